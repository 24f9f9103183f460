//! What benchmarks measure: one call after the other, each after a barrier.

use super::{Model, Pricing};
use crate::plan::{Algorithm, Shape};
use fmi_model::{Bytes, Seconds, channel::Quantile};

impl Algorithm {
    /// How long a call takes that follows a barrier, as benchmarks measure it: the largest of the ranks' own
    /// durations, in the median.
    ///
    /// It differs from the [price](Self::price). Ranks do not leave a barrier all at once, so some begin while
    /// others are not there yet; and what the ranks did before, they do still when the barrier begins.
    /// So it is what measurements are compared with, and plans are chosen by the price: unless that was
    /// [corrected](fmi_model::correction) by measurements, then it is what was measured.
    ///
    /// All steps are played through then. A plan that would never end takes the longest time there is.
    ///
    /// # Panics
    /// When the model is of another number of ranks.
    #[must_use]
    pub fn repeated(&self, shape: Shape, bytes: Bytes, barrier: &Self, model: &Model) -> Seconds {
        let (topology, wires) = (&*model.topology, model.market.wires());
        assert_eq!(shape.size, topology.ranks(), "a model of as many ranks");
        if model.correction(self).is_some() {
            return self.price(shape, bytes, model).time;
        }
        let call = Pricing { algorithm: self, topology, wires };
        let barrier = Pricing { algorithm: barrier, ..call };
        let all = Shape { root: 0, chunks: 1, ..shape.clone() };
        let measured = call
            .played(&shape, bytes)
            .and_then(|before| barrier.played_from(before.ends, &all, Bytes::ZERO))
            .and_then(|ready| call.played_from(ready.ends, &shape, bytes));
        let Ok(outcome) = measured else { return Seconds::new(f64::MAX) };
        let durations = outcome.starts.iter().zip(&outcome.ends).map(|(start, end)| *end - *start);
        let longest = durations.fold(Seconds::ZERO, Seconds::max);
        longest + outcome.late(|route| wires.channel(route), Quantile::MEDIAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{
        barrier, bcast,
        price::{Channels, Market},
        scan,
    };
    use fmi_model::{Profile, topology::Topology};
    use std::sync::Arc;

    #[test]
    fn whoever_left_the_barrier_late_was_waited_for() {
        let market = Market::of(Profile::shipped("lan").unwrap()).over(Channels::only("tcp"));
        let model = Model::new(market, Topology::apart(8));
        let bytes = Bytes::new(8);
        let barrier = &barrier::dissemination::ALGORITHM;
        for algorithm in [&bcast::binomial::ALGORITHM, &scan::chain::ALGORITHM] {
            let alone = algorithm.price(Shape::of(8), bytes, &model).time;
            let repeated = algorithm.repeated(Shape::of(8), bytes, barrier, &model);
            assert!(repeated > alone * 0.5 && repeated < alone * 2.0, "{alone} {repeated}");
        }
        // Where all leave at once, it is the same.
        let single = Model::new(Arc::clone(&model.market), Topology::apart(1));
        let algorithm = &bcast::binomial::ALGORITHM;
        let none = algorithm.repeated(Shape::of(1), bytes, barrier, &single);
        assert_eq!(none, algorithm.price(Shape::of(1), bytes, &single).time);
    }
}
