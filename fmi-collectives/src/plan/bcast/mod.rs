//! Bcast: every rank gets the root's value. One block.

pub mod binomial;
