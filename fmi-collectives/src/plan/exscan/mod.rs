//! Exscan (exclusive scan): rank r gets the combination of the values of ranks 0 to r−1, rank 0
//! nothing. One block, or one a piece.
//!
//! All algorithms first move each value up by one rank; the ranks from 1 on then run a
//! [scan](super::scan). Rank 0 keeps its own value, which is not its result.

pub mod chain;
pub mod hillis_steele;
pub mod packed;
pub mod star;
pub mod up_down;

use crate::plan::{Algorithm, Shape, Step};

/// All for an exscan.
pub const ALGORITHMS: &[&Algorithm] = &[
    &hillis_steele::ALGORITHM,
    &up_down::ALGORITHM,
    &chain::ALGORITHM,
    &star::ALGORITHM,
    &packed::ALGORITHM,
];

/// Moves the blocks up by one rank, then has the ranks from 1 on run a plan for one rank less.
fn shifted<S>(
    rank: usize,
    shape: Shape,
    blocks: usize,
    scan: impl FnOnce(usize, Shape) -> S,
) -> impl Iterator<Item = Step> + Send + 'static
where
    S: Iterator<Item = Step> + Send + 'static,
{
    let send = (rank + 1 < shape.size).then(|| Step::send(rank + 1, 0..blocks));
    let recv = (rank > 0).then(|| Step::recv(rank - 1, 0..blocks));
    let steps = (rank > 0).then(|| scan(rank - 1, without_first(shape)));
    send.into_iter()
        .chain(recv)
        .chain(steps.into_iter().flatten().map(|step| step.renumbered(|rank| rank + 1)))
}

/// What a scan costs when a value of one block is first moved up.
fn shifted_cost(shape: Shape, scan: impl FnOnce(Shape) -> usize) -> usize {
    match shape.size {
        1 => 0,
        _ => 1 + scan(without_first(shape)),
    }
}

fn without_first(shape: Shape) -> Shape {
    let packs = shape.packs.without_first(shape.size);
    Shape { size: shape.size - 1, packs, ..shape }
}
