#[derive(fmi::Protocol)]
#[protocol(output = ())]
struct Fine;

impl Fine {
    async fn run(self, _: &fmi::Communicator) -> fmi::Result<()> {
        Ok(())
    }
}

fn main() {
    let _ = fmi::Worker::new(()).on::<Fine>();
}
