//! Scan (inclusive): rank r gets the combination of the values of ranks 0 to r. One block, or one
//! a piece.

pub mod chain;
pub mod hillis_steele;
pub mod packed;
pub mod star;
pub mod up_down;

use crate::plan::Algorithm;

/// All for a scan.
pub const ALGORITHMS: &[&Algorithm] = &[
    &hillis_steele::ALGORITHM,
    &up_down::ALGORITHM,
    &chain::ALGORITHM,
    &star::ALGORITHM,
    &packed::ALGORITHM,
];
