//! What can be learnt of a plan by how long it takes.

use super::{Market, Model};
use crate::plan::{Algorithm, Collective, Shape};
use fmi_model::{
    Bytes, Estimate, Profile, Seconds,
    learn::{Drift, Factor, Part},
};
use std::{collections::BTreeMap, sync::Arc};

impl Algorithm {
    /// What of a channel shows in how long a rank takes for the plan, of which this is the price; `None` if
    /// nothing does.
    ///
    /// A rank's time is the plan's only if it must wait for all others. So nothing is learnt of a bcast, whose
    /// root has done when it has sent and whose other ranks may find it there.
    pub(in crate::plan) fn teaches(
        &self,
        shape: Shape,
        bytes: Bytes,
        model: &Model,
        price: &Estimate,
    ) -> Option<Part> {
        use Collective::{Allgather, Allreduce, Alltoall, Barrier, ReduceScatter};
        let meets = [Barrier, Allreduce, Allgather, Alltoall, ReduceScatter];
        let known = price.time > Seconds::ZERO && price.time < Seconds::new(f64::MAX);
        if !meets.contains(&self.collective) || shape.size < 2 || !known {
            return None;
        }
        // By its steps alone: what was measured beyond them does not say which part of a channel it is.
        let price = self.price(shape.clone(), bytes, &model.with_bytes(Factor::NONE));
        let slower = self.price(shape, bytes, &model.with_bytes(Factor::new(2.0)));
        let share = slower.time / price.time - 1.0;
        Some(if share < 0.5 { Part::Fixed } else { Part::Bytes })
    }
}

impl Model {
    /// The same where bytes take so many times longer, on any channel, and plans what their steps do.
    fn with_bytes(&self, times: Factor) -> Self {
        let Market { profile, channels, costs, .. } = &*self.market;
        let drift = Drift { bytes: times, ..Drift::default() };
        let used = [Profile::LOCAL, &channels.machine, &channels.network, &channels.store];
        let drifts: BTreeMap<_, _> = used.map(|name| (name.to_owned(), drift)).into();
        let mut profile = profile.drifted(&drifts);
        profile.corrections.clear();
        let market = Market::of(profile);
        let market = market.over(channels.clone()).costing(costs.clone());
        Self::new(market, Arc::clone(&self.topology))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{allgather, allreduce, barrier, bcast};
    use fmi_model::topology::Topology;

    #[test]
    fn short_messages_teach_of_messages_and_long_ones_of_bytes() {
        let lan = Market::of(Profile::shipped("lan").unwrap());
        let model = Model::new(lan, Topology::apart(8));
        let teaches = |algorithm: &Algorithm, bytes| {
            let (shape, bytes) = (Shape::of(8), Bytes::new(bytes));
            let price = algorithm.price(shape.clone(), bytes, &model);
            algorithm.teaches(shape, bytes, &model, &price)
        };
        assert_eq!(teaches(&barrier::dissemination::ALGORITHM, 0), Some(Part::Fixed));
        assert_eq!(teaches(&allreduce::recursive_doubling::ALGORITHM, 8), Some(Part::Fixed));
        assert_eq!(teaches(&allreduce::ring::ALGORITHM, 64 << 20), Some(Part::Bytes));
        assert_eq!(teaches(&allgather::ring::ALGORITHM, 8 << 20), Some(Part::Bytes));
        assert_eq!(teaches(&bcast::binomial::ALGORITHM, 8), None);
    }
}
