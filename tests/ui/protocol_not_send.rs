use std::rc::Rc;

#[derive(fmi::Protocol)]
#[protocol(output = u8)]
struct Mean;

impl Mean {
    async fn run(self, comm: &fmi::Communicator) -> fmi::Result<u8> {
        let one = Rc::new(1);
        comm.barrier().await?;
        Ok(*one)
    }
}

fn main() {}
