//! All plans of a call, with what they take and cost.

use fmi::plan::{Algorithm, Collective, Objection, Question, Shape, price::Model};
use fmi_model::{Bytes, Estimate, Objective};

/// All plans of a collective on one way.
#[derive(Debug, Clone)]
pub(crate) struct Weighed {
    /// Those that can run, the best first. Of a pipeline the best length of chunks.
    pub(crate) plans: Vec<Plan>,
    /// The library's choice among them: its place in the list. It is not the first where the ranks do not all know
    /// the length before.
    pub(crate) chosen: usize,
    /// What cannot run, and why.
    pub(crate) refused: Vec<(&'static Algorithm, Objection)>,
}

/// A plan, and what it takes and costs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) algorithm: &'static Algorithm,
    pub(crate) shape: Shape,
    /// Bytes of a chunk, if values are cut into several.
    pub(crate) chunk: Option<u64>,
    pub(crate) price: Estimate,
}

impl Weighed {
    /// Those of a question about values of so many bytes, which it may know or not.
    pub(crate) fn new(
        question: Question,
        (root, length): (usize, u64),
        model: &Model,
        objective: Objective,
    ) -> Self {
        let bound = question.ranking(model, objective);
        // Where only the root knows the length, all ask first whether what is published would do.
        let unbound = Question { bytes: None, ..question };
        let late = question.collective.is_late_bound() && question.bytes.is_some();
        let unbound = late.then(|| unbound.ranking(model, objective));
        let unasked = unbound.as_ref().and_then(|ranking| ranking.candidates.first());
        let unasked = unasked.filter(|best| best.algorithm.is_silent(question.size));
        let chosen = unasked.or(bound.candidates.first()).map(|best| best.algorithm);
        let length = Bytes::new(length);
        let known = Question { bytes: Some(length.get()), ..question };
        let mut plans: Vec<Plan> = Vec::new();
        for candidate in bound.candidates.iter().chain(unasked) {
            let algorithm = candidate.algorithm;
            // Those that follow are worse, but for the length of chunks.
            if plans.iter().any(|plan| plan.algorithm == algorithm) {
                continue;
            }
            let count = known.cut(candidate.chunk);
            let shape = Shape::of(question.size).rooted(root).chunked(count).packed(model.packs());
            let chunk = (algorithm.pieces(&shape) != algorithm.pieces(&shape.clone().chunked(1)))
                .then_some(candidate.chunk);
            // The ranking asked for another root, or for another length.
            let same = root == 0 && question.bytes == Some(length.get());
            let price = match same && unasked != Some(candidate) {
                true => candidate.price,
                false => algorithm.price(shape.clone(), length, model),
            };
            plans.push(Plan { algorithm, shape, chunk, price });
        }
        plans.sort_by(|one, other| objective.compare(&one.price, &other.price));
        let place = plans.iter().position(|plan| Some(plan.algorithm) == chosen);
        let refused = bound.refused.into_iter();
        let refused = refused.filter(|(it, _)| plans.iter().all(|plan| plan.algorithm != *it));
        let refused = refused.collect();
        Self { plans, chosen: place.unwrap_or(0), refused }
    }
}

impl Plan {
    /// `ring`, `chain by 128 KiB`.
    pub(crate) fn name(&self) -> String {
        match self.chunk {
            Some(chunk) => format!("{} by {}", self.algorithm.name, Bytes::new(chunk)),
            None => self.algorithm.name.to_owned(),
        }
    }
}

/// Bytes of one value, where a rank has so many in all.
pub(crate) fn length(collective: Collective, bytes: u64, size: usize) -> u64 {
    match collective {
        Collective::Barrier => 0,
        Collective::Alltoall | Collective::ReduceScatter => bytes / size.max(1) as u64,
        _ => bytes,
    }
}

/// Whether all ranks know the length of values before the call, if they are vectors.
pub(crate) fn is_known(collective: Collective) -> bool {
    collective != Collective::Scatter
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::way::Way;
    use fmi::plan::{Demand, Packing, price::Market};
    use fmi_model::{Profile, topology::Topology};

    fn weighed(collective: Collective, channel: &str, bytes: u64) -> Weighed {
        let profile = Profile::shipped("aws-lambda").unwrap();
        let way = Way::read(&profile, "--channel", channel).unwrap();
        let model = Model::new(Market::of(profile).over(way.channels()), Topology::apart(16));
        let question = Question {
            collective,
            demand: Demand::Commutative,
            size: 16,
            bytes: is_known(collective).then_some(bytes),
            cuttable: true,
            together: false,
            crowded: false,
            packing: Packing::None,
            store: way.shelf(),
        };
        Weighed::new(question, (0, bytes), &model, Objective::Fast)
    }

    #[test]
    fn each_algorithm_is_there_once() {
        for &collective in Collective::ALL {
            for channel in ["tcp", "redis", "s3", "tcp+s3"] {
                let Weighed { plans, refused, chosen } = weighed(collective, channel, 16 << 20);
                let mut all: Vec<_> = plans.iter().map(|plan| plan.algorithm.name).collect();
                all.extend(refused.iter().map(|(algorithm, _)| algorithm.name));
                let mut known: Vec<_> = collective.algorithms().iter().map(|it| it.name).collect();
                all.sort_unstable();
                known.sort_unstable();
                assert_eq!(all, known, "{collective} over {channel}");
                let times: Vec<_> = plans.iter().map(|plan| plan.price.time.get()).collect();
                assert!(times.is_sorted() && chosen < plans.len(), "{collective}: {plans:?}");
            }
        }
    }

    #[test]
    fn who_does_not_know_the_length_chooses_by_another() {
        let large = weighed(Collective::Scatter, "tcp", 64 << 20);
        let small = weighed(Collective::Scatter, "tcp", fmi::plan::TYPICAL);
        assert_eq!(small.chosen, 0);
        assert_eq!(large.plans[large.chosen].algorithm, small.plans[0].algorithm);
        let known = weighed(Collective::Allreduce, "tcp", 64 << 20);
        assert_eq!(known.chosen, 0);
    }
}
