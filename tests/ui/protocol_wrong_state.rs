struct Table;
struct Index;

#[derive(fmi::Protocol)]
#[protocol(output = (), state = Table)]
struct Find;

impl Find {
    async fn run(self, _: &Index, _: &fmi::Communicator) -> fmi::Result<()> {
        Ok(())
    }
}

fn main() {}
