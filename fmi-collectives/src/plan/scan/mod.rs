//! Scan (inclusive): rank r gets the combination of the values of ranks 0 to r. One block.

pub mod chain;
pub mod hillis_steele;
