//! Bcast: every rank gets the root's value. One block, or one a piece.
//!
//! Only the root knows how large the value is. The first step of every other rank receives, so that
//! it can make its plan when the first frame has told it.

pub mod binomial;
pub mod chain;
pub mod linear;
pub mod packed;
pub mod packed_chain;
pub mod scatter_allgather;
pub mod shared;
pub mod stored;

use crate::plan::Algorithm;

/// All for a bcast.
pub const ALGORITHMS: &[&Algorithm] = &[
    &binomial::ALGORITHM,
    &scatter_allgather::ALGORITHM,
    &chain::ALGORITHM,
    &linear::ALGORITHM,
    &shared::ALGORITHM,
    &stored::ALGORITHM,
    &packed::ALGORITHM,
    &packed_chain::ALGORITHM,
];
