struct Table;

#[derive(fmi::Protocol)]
#[protocol(output = ())]
struct Find;

impl Find {
    async fn run(self, _: &Table, _: &fmi::Communicator) -> fmi::Result<()> {
        Ok(())
    }
}

fn main() {}
