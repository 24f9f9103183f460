use serde::{Deserialize, Serialize};

struct Table;
struct Index;

#[derive(Serialize, Deserialize, fmi::Protocol)]
#[protocol(output = (), state = Table)]
struct Find;

impl Find {
    async fn run(self, _: &Table, _: &fmi::Communicator) -> fmi::Result<()> {
        Ok(())
    }
}

fn example(comm: fmi::Communicator) {
    // It has a state: `call_with`.
    let _ = comm.call(Find);
}

fn main() {
    let _ = fmi::Worker::new(Index).on::<Find>();
}
