//! Time and money: what things cost, and what follows from that.
//!
//! Arithmetic only: no I/O, no clock, and nothing of the rest of `fmi`. Whoever has the clock says
//! how much time has passed.

pub mod polling;
pub mod prices;
pub mod units;

pub use units::{Bytes, Dollars, DollarsPerSecond, Rate, Seconds};
