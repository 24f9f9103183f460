//! Chain reduce and binomial tree bcast, for ordered operations. n−1 + ⌈log₂ n⌉ rounds, 2(n−1)
//! messages of S bytes, at most ⌈log₂ n⌉ from one rank.

use crate::plan::{
    Algorithm, Collective, Demand, Growth, Medium, Shape, Step, bcast, log2_ceil, reduce,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Allreduce,
    name: "reduce_bcast",
    demand: Demand::Ordered,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shape.size - 1 + log2_ceil(shape.size),
    sent: |shape| log2_ceil(shape.size),
};

/// The last rank is root of both, because the left fold ends there.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let last = shape.size - 1;
    let shape = shape.rooted(last).chunked(1);
    reduce::chain::plan(rank, shape.clone()).chain(bcast::binomial::plan(rank, shape))
}
