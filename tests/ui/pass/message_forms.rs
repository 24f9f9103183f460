//! Every form of type that `#[derive(fmi::Message)]` accepts.

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, fmi::Message)]
struct Unit;

#[derive(Serialize, Deserialize, fmi::Message)]
struct Shard {
    first_row: usize,
    assignments: Vec<u32>,
}

/// No Message itself: only its serde derives count.
#[derive(Serialize, Deserialize)]
struct Foreign(u8);

#[derive(Serialize, Deserialize, fmi::Message)]
enum Tree<T = u8, const N: usize = 2>
where
    T: Clone,
{
    Leaf(T),
    Sized([u8; 2]),
    Node { children: Vec<Tree<T, N>> },
}

#[derive(Serialize, Deserialize, fmi::Message)]
struct Pair<A, B: Default>(A, B);

mod renamed {
    pub use fmi as other;
}

#[derive(Serialize, Deserialize, fmi::Message)]
#[message(crate = renamed::other)]
struct Renamed<T>(T);

fn is_message<T: fmi::Message>() {}

fn main() {
    is_message::<Unit>();
    is_message::<Shard>();
    is_message::<Tree>();
    is_message::<Tree<String, 3>>();
    is_message::<Pair<Foreign, u8>>();
    is_message::<Renamed<Foreign>>();
}
