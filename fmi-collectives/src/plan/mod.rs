//! Plans: collectives as plain data.
//!
//! A plan is what one rank does in a collective: an iterator of [`Step`]s, made lazily and without
//! I/O from the rank and the [`Shape`] of the call. The executor runs it, the [checker](check)
//! proves it, for every size and root.
//!
//! Each collective is a module, each algorithm one small file in it, with `plan` and `ALGORITHM`.
//! All of them take any size from 1 and any root. A [`Collective`] lists its algorithms,
//! [`Algorithm::find`] knows them by name, a [`Table`] chooses one, a [trace] shows what happens.
//!
//! ```
//! use fmi_collectives::plan::{Algorithm, Shape, Step, bcast::binomial};
//!
//! let steps: Vec<Step> = binomial::plan(2, Shape::of(4)).collect();
//! assert_eq!(steps, [Step::recv(0, 0), Step::send(3, 0)]);
//!
//! let binomial = Algorithm::find("bcast/binomial").unwrap();
//! assert_eq!((binomial.rounds)(Shape::of(1000)), 10);
//! ```

pub mod allgather;
pub mod allreduce;
pub mod alltoall;
pub mod barrier;
pub mod bcast;
pub mod check;
pub mod exscan;
pub mod gather;
pub mod price;
pub mod reduce;
pub mod reduce_scatter;
pub mod scan;
pub mod scatter;
pub mod trace;

mod algorithm;
mod binomial;
mod blocks;
mod choice;
mod chooser;
mod collective;
mod fold;
mod groups;
mod lanes;
mod objection;
mod packs;
mod pairwise;
mod question;
mod ranking;
mod seat;
mod star;
mod step;

pub use algorithm::{Algorithm, Growth, Medium, Shape};
pub use blocks::Blocks;
pub use choice::{CHUNK, Choice, Rule, Table, can_run, chunks};
pub use chooser::Chooser;
pub(crate) use chooser::Lesson;
pub use collective::{Collective, Demand};
pub use objection::Objection;
pub use packs::Packs;
pub use question::{Packing, Place, Question, Shelf};
pub use ranking::{CHUNK_SIZES, Candidate, Ranking, TYPICAL};
pub use step::{Action, Side, Step, Steps, Tier};

/// ⌈log₂ n⌉ for n ≥ 1: how often 1 must be doubled to reach n.
fn log2_ceil(n: usize) -> usize {
    n.next_power_of_two().ilog2() as usize
}

#[cfg(test)]
mod tests {
    use super::log2_ceil;

    #[test]
    fn logarithms_round_up() {
        let first: Vec<usize> = (1..=9).map(log2_ceil).collect();
        assert_eq!(first, [0, 1, 2, 2, 3, 3, 3, 3, 4]);
    }
}
