//! Time and money: what things cost, and what follows from that.
//!
//! Arithmetic only: no I/O, no clock, and nothing of the rest of `fmi`. Whoever has the clock says
//! how much time has passed.

pub mod channel;
pub mod correction;
pub mod estimate;
pub mod fit;
pub mod host;
pub mod learn;
pub mod objective;
pub mod polling;
pub mod prices;
pub mod profile;
pub mod published;
pub mod replay;
pub mod topology;
pub mod units;

pub use estimate::{Costs, Estimate};
pub use objective::Objective;
pub use profile::Profile;
pub use units::{Bandwidth, Bytes, Dollars, DollarsPerSecond, GibSeconds, Rate, Seconds};
