#[derive(fmi::Protocol)]
#[protocol(output = f64)]
struct Mean;

impl Mean {
    async fn run(self, _: &fmi::Communicator) -> fmi::Result<f32> {
        Ok(1.0)
    }
}

fn main() {}
