//! Up-down exscan, for associative operations. One round more than the scan by one rank less, fewer
//! than 3n messages of S.
//! Brent & Kung 1982; Ladner & Fischer 1980.

use super::{shifted, shifted_cost};
use crate::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step, scan};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Exscan,
    name: "up_down",
    demand: Demand::Associative,
    cut: None,
    medium: Medium::Links,
    growth: Growth::Logarithmic,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| shifted_cost(shape, scan::up_down::ALGORITHM.rounds),
    sent: |shape| shifted_cost(shape, scan::up_down::ALGORITHM.sent),
};

/// A [scan](scan::up_down) by all ranks but the first, of the values of those below.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    shifted(rank, shape, 1, scan::up_down::plan)
}
