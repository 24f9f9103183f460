#[derive(fmi::Protocol)]
#[protocol(output = ())]
struct Fine;

impl Fine {
    async fn run(self, _: &fmi::Communicator) -> fmi::Result<()> {
        Ok(())
    }
}

fn example(comm: fmi::Communicator, driver: fmi::Driver<()>) {
    // A call travels nowhere.
    let _ = comm.call(Fine);
    let _ = driver.ask(Fine);
}

fn main() {}
