//! What an algorithm takes and costs: its steps are played through on the channels of a model.
//!
//! ```
//! use fmi_collectives::plan::{Shape, allreduce, price::{Market, Model}};
//! use fmi_model::{Bytes, Profile, topology::Topology};
//!
//! let lambda = Market::of(Profile::shipped("aws-lambda").unwrap());
//! let model = Model::new(lambda, Topology::apart(8));
//! let price = |algorithm: &fmi_collectives::plan::Algorithm, bytes| {
//!     algorithm.price(Shape::of(8), Bytes::new(bytes), &model)
//! };
//! let (doubling, ring) = (&allreduce::recursive_doubling::ALGORITHM, &allreduce::ring::ALGORITHM);
//! assert!(price(doubling, 8).time < price(ring, 8).time);
//! assert!(price(doubling, 100 << 20).time > price(ring, 100 << 20).time);
//! ```

mod lesson;
mod line;
mod model;
mod ops;
mod repeated;
#[cfg(test)]
mod tests;

pub use model::{Channels, Market, Model};

use super::{Algorithm, Growth, Shape};
use fmi_model::{
    Bytes, Dollars, Estimate, Seconds,
    channel::Quantile,
    replay::{Outcome, Replay, Stuck, Wires},
    topology::Topology,
};
use ops::{Ops, Sizes};

/// Steps of all ranks together that are played through in any case.
const PLAYED: usize = 1 << 14;
/// Up to so many ranks that take turns a plan is played through with shorter values, too.
const UNLUCKY: usize = 64;
/// How many times shorter each of them is.
const SHORTER: u64 = 8;

impl Algorithm {
    /// What it takes and costs, for values of so many bytes. The same for the same arguments, on any
    /// machine, to the last bit.
    ///
    /// Signals have no bytes; a value that is cut is cut as evenly as can be. Plans with many more than
    /// n·log n messages are not played through in full: see [`Growth`]. What comes of it is
    /// [corrected](fmi_model::correction) by what was measured of the plan, if the profile has that.
    ///
    /// A plan that would never end takes the longest time there is.
    ///
    /// # Panics
    /// When the model is of another number of ranks.
    #[must_use]
    pub fn price(&self, shape: Shape, bytes: Bytes, model: &Model) -> Estimate {
        assert_eq!(shape.size, model.topology.ranks(), "a model of as many ranks");
        self.estimate(&shape, bytes, model).unwrap_or_else(|Stuck { .. }| {
            let (longest, most) = (Seconds::new(f64::MAX), Dollars::new(f64::MAX));
            Estimate { time: longest, late: longest, money: most }
        })
    }

    fn estimate(&self, shape: &Shape, bytes: Bytes, model: &Model) -> Result<Estimate, Stuck> {
        let (market, topology) = (&*model.market, &*model.topology);
        let pricing = |wires| Pricing { algorithm: self, topology, wires };
        let (wires, ranks) = (market.wires(), topology.ranks());
        let here = pricing(wires);
        let outcome = here.outcome(shape, bytes)?;
        let (lucky, foretold) = (here.median(&outcome), here.unlucky(shape, bytes, &outcome)?);
        let corrected = match (model.correction(self), market.first_wires()) {
            (None, _) => 1.0,
            (Some(correction), None) => correction.factor(ranks, foretold),
            // It is of what was foretold then: what was learnt of the channel comes on top.
            (Some(correction), Some(first)) => {
                let then = pricing(first);
                let outcome = then.outcome(shape, bytes)?;
                correction.factor(ranks, then.unlucky(shape, bytes, &outcome)?)
            }
        };
        let unlucky = if lucky > Seconds::ZERO { foretold / lucky } else { 1.0 };
        let processes = topology.processes();
        Ok(Estimate::of(&outcome, unlucky * corrected, &wires, processes, &market.costs))
    }
}

/// An algorithm in its place.
#[derive(Clone, Copy)]
struct Pricing<'a> {
    algorithm: &'a Algorithm,
    topology: &'a Topology,
    wires: Wires<'a>,
}

impl Pricing<'_> {
    /// How long it takes.
    fn median(self, outcome: &Outcome) -> Seconds {
        outcome.end() + outcome.late(|route| self.wires.channel(route), Quantile::MEDIAN)
    }

    /// How long it takes, and no shorter than with shorter values. Where ranks take turns, a little more or less
    /// decides who comes next, and so which core has nothing to do: a plan can be lucky with one length, and is not
    /// chosen for that. Of many ranks some are always unlucky.
    fn unlucky(self, shape: &Shape, bytes: Bytes, outcome: &Outcome) -> Result<Seconds, Stuck> {
        let (mut longest, mut shorter) = (self.median(outcome), bytes.get());
        if !self.wires.are_crowded(self.topology) || self.topology.ranks() > UNLUCKY {
            return Ok(longest);
        }
        while shorter >= SHORTER {
            shorter /= SHORTER;
            longest = longest.max(self.median(&self.outcome(shape, Bytes::new(shorter))?));
        }
        Ok(longest)
    }

    fn outcome(self, shape: &Shape, bytes: Bytes) -> Result<Outcome, Stuck> {
        match self.algorithm.growth {
            Growth::Logarithmic => self.played(shape, bytes),
            _ if self.is_short(shape) => self.played(shape, bytes),
            Growth::Mirrored => Ok(self.mirrored(shape, bytes)),
            Growth::Linear => self.line(shape, bytes),
        }
    }

    /// All of it.
    fn played(self, shape: &Shape, bytes: Bytes) -> Result<Outcome, Stuck> {
        self.played_from(Vec::new(), shape, bytes)
    }

    /// All of it, where ranks begin when they ended something else; all at once if it is not said when.
    fn played_from(
        self,
        starts: Vec<Seconds>,
        shape: &Shape,
        bytes: Bytes,
    ) -> Result<Outcome, Stuck> {
        let sizes = Sizes::of(self.algorithm, shape, bytes);
        let steps = |rank| Ops::new((self.algorithm.steps)(rank, shape.clone()), sizes);
        Replay::new(self.topology, self.wires).from(starts).run(steps)
    }

    /// One rank for all: the last one in the process of the first, whose neighbours are near on one side
    /// and far on the other.
    fn mirrored(self, shape: &Shape, bytes: Bytes) -> Outcome {
        let places = self.topology.places();
        let here = places.iter().take_while(|place| place.process == places[0].process);
        let rank = here.count().max(1) - 1;
        let sizes = Sizes::of(self.algorithm, shape, bytes);
        let ops = Ops::new((self.algorithm.steps)(rank, shape.clone()), sizes);
        Replay::new(self.topology, self.wires).mirrored(rank, ops)
    }

    /// Whether it has so few steps that all are played through.
    fn is_short(self, shape: &Shape) -> bool {
        let most = PLAYED / shape.size;
        (self.algorithm.steps)(shape.size / 2, shape.clone()).take(most + 1).count() <= most
    }
}
