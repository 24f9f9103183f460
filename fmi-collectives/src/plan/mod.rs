//! Plans: collectives as plain data.
//!
//! A plan is what one rank does in a collective: an iterator of [`Step`]s, made lazily and without
//! I/O from the rank, the size and, where there is one, the root. The executor runs it, the
//! [checker](check) proves it, for every size and root.
//!
//! Each collective is a module, each algorithm one small file in it, with `plan` and `rounds`.
//! All of them take any size from 1 and any root; rank and root are below the size.
//! [`Algorithm`] names them at run time, [`choose`] picks one.
//!
//! ```
//! use fmi_collectives::plan::{Step, bcast::binomial};
//!
//! let steps: Vec<Step> = binomial::plan(2, 4, 0).collect();
//! assert_eq!(steps, [
//!     Step::Recv { from: 0, blocks: 0..1 },
//!     Step::Send { to: 3, blocks: 0..1 },
//! ]);
//! ```

pub mod allreduce;
pub mod barrier;
pub mod bcast;
pub mod check;
pub mod gather;
pub mod reduce;
pub mod scan;
pub mod scatter;

mod algorithm;
mod binomial;
mod choice;
mod collective;
mod step;

pub use algorithm::Algorithm;
pub use choice::choose;
pub use collective::{Collective, Demand};
pub use step::{Side, Step, Steps};

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
