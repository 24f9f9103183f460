//! Every form of protocol that `#[derive(fmi::Protocol)]` accepts.

use std::{future::Future, marker::PhantomData};

use fmi::{Communicator, Message, Protocol, Result, Worker, op};
use serde::{Deserialize, Serialize};

#[derive(fmi::Protocol)]
#[protocol(output = ())]
struct Unit;

impl Unit {
    async fn run(self, comm: &Communicator) -> Result<()> {
        comm.barrier().await
    }
}

/// Not an async fn, and a type of its own that is not serialisable.
#[derive(fmi::Protocol)]
#[protocol(output = usize)]
struct Borrowed<'a>(&'a [u8]);

impl<'a> Borrowed<'a> {
    fn run(self, comm: &Communicator) -> impl Future<Output = Result<usize>> + Send + use<'a> {
        comm.allreduce(self.0.len(), op::sum())
    }
}

#[derive(Serialize, Deserialize, fmi::Protocol)]
#[protocol(output = Vec<T>, state = Table<T>)]
enum Fetch<T: Message + Clone + Sync = u8, const N: usize = 2>
where
    T: Default,
{
    All,
    One { at: usize, kind: PhantomData<T> },
}

struct Table<T>(Vec<T>);

impl<T: Message + Clone + Sync + Default, const N: usize> Fetch<T, N> {
    async fn run(self, table: &Table<T>, comm: &Communicator) -> Result<Vec<T>> {
        let own = match self {
            Self::All => table.0.first().cloned().unwrap_or_default(),
            Self::One { at, .. } => table.0[at % N].clone(),
        };
        Ok(comm.gather(own, 0).await?.unwrap_or_default())
    }
}

mod renamed {
    pub use fmi as other;
}

#[derive(Serialize, Deserialize, fmi::Protocol)]
#[protocol(crate = renamed::other)]
#[protocol(output = Result<u8, String>)]
struct Renamed;

impl Renamed {
    async fn run(self, comm: &Communicator) -> Result<Result<u8, String>> {
        comm.call(Unit).await?;
        Ok(Err("its own error".to_owned()))
    }
}

fn is_protocol<P: Protocol<S>, S: ?Sized + Sync>() {}

fn main() {
    is_protocol::<Unit, ()>();
    is_protocol::<Unit, str>();
    is_protocol::<Borrowed<'static>, ()>();
    is_protocol::<Fetch, Table<u8>>();
    is_protocol::<Renamed, Vec<u8>>();
    let _ = Worker::new(Table(vec![1_u8])).on::<Fetch>().on::<Fetch<u8, 3>>().on::<Renamed>();
}
