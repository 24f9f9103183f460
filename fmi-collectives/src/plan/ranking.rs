//! All that could run, from best to worst: by the model of time and money.

use super::{
    Algorithm, Lesson, Objection, Question, Shape, Shelf,
    price::{Market, Model},
};
use fmi_model::{Bytes, Estimate, Objective};
use std::{borrow::Cow, sync::Arc};

/// What all ranks take the length of a value to be, where not all know it: 1 KiB.
pub const TYPICAL: u64 = 1 << 10;

/// Bytes of a chunk that pipelines are priced with; what the library takes without a model first.
pub const CHUNK_SIZES: [u64; 4] = [super::CHUNK, 32 << 10, 512 << 10, 2 << 20];

/// All algorithms of a collective, priced where they can run.
///
/// It depends on the question, the model and the objective alone, all of which are the same on all ranks:
/// so all have the same, to the last bit. Nothing that a rank measures on its own has a part in it. A
/// model may [learn](crate::Communicator::calibrate); yet as algorithms bracket operations differently, what combines
/// values is chosen by what was known at first, while results are to be [reproducible](Market#structfield.reproducible).
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The best first. Of what is equally good that which the collective lists first.
    pub candidates: Vec<Candidate>,
    /// What cannot run there, and why.
    pub refused: Vec<(&'static Algorithm, Objection)>,
}

/// A way to carry out a collective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// What runs.
    pub algorithm: &'static Algorithm,
    /// Bytes of a chunk, if it is a pipeline.
    pub chunk: u64,
    /// What it takes and costs.
    pub price: Estimate,
}

impl Question {
    /// All that could run, from best to worst. Lengths that not all ranks know are taken to be
    /// [`TYPICAL`].
    ///
    /// Through a store beside links goes only what messages tell of (`bcast/stored`). Where there is no other
    /// way than the store, messages go through it, too.
    ///
    /// # Panics
    /// When the model is of another number of ranks.
    #[must_use]
    pub fn ranking(&self, model: &Model, objective: Objective) -> Ranking {
        let mut ranking = Ranking { candidates: Vec::new(), refused: Vec::new() };
        let model = &*self.routed(model);
        for &algorithm in self.collective.algorithms() {
            match self.objection(algorithm) {
                Some(objection) => ranking.refused.push((algorithm, objection)),
                None => ranking.candidates.extend(self.candidates(algorithm, model)),
            }
        }
        // Stable: the order of the list decides in the end.
        ranking.candidates.sort_by(|one, other| objective.compare(&one.price, &other.price));
        ranking
    }

    /// The same question of a length of which there are few: down to four for each power of two. So prices
    /// need not be found out for each length anew.
    #[must_use]
    pub fn rounded(&self) -> Self {
        Self { bytes: self.bytes.map(rounded), ..*self }
    }

    /// Into how many chunks of so many bytes a pipeline cuts the value.
    #[must_use]
    pub fn cut(&self, chunk: u64) -> usize {
        super::choice::cut(self.bytes.filter(|_| self.cuttable).unwrap_or(0), chunk)
    }

    /// Whether somebody could choose so many chunks.
    pub(crate) fn may_be_cut_into(&self, chunks: usize) -> bool {
        CHUNK_SIZES.iter().any(|&chunk| self.cut(chunk) == chunks)
    }

    /// What one of them takes and costs.
    pub(super) fn price(&self, algorithm: &Algorithm, chunk: u64, model: &Model) -> Estimate {
        let (shape, bytes) = self.shape(chunk, model);
        algorithm.price(shape, bytes, &self.routed(model))
    }

    /// What can be learnt of how long one of them takes, if it should take as long as this.
    pub(super) fn teaches(
        &self,
        algorithm: &Algorithm,
        chunk: u64,
        model: &Model,
        price: &Estimate,
    ) -> Option<Lesson> {
        self.bytes?;
        let (shape, bytes) = self.shape(chunk, model);
        let part = algorithm.teaches(shape, bytes, &self.routed(model), price)?;
        let numbers = [u64::from(algorithm.code()), self.size as u64, bytes.get()];
        let kind = numbers.into_iter().fold(0, |kind, number| fmi_actors::mix(kind ^ number));
        Some(Lesson { kind, part })
    }

    fn shape(&self, chunk: u64, model: &Model) -> (Shape, Bytes) {
        let shape = Shape::of(self.size).chunked(self.cut(chunk)).packed(model.packs());
        (shape, Bytes::new(self.bytes.unwrap_or(TYPICAL)))
    }

    /// The model of the way that messages take.
    fn routed<'m>(&self, model: &'m Model) -> Cow<'m, Model> {
        match self.is_through_store() {
            true => Cow::Owned(model.through_store()),
            false => Cow::Borrowed(model),
        }
    }

    fn candidates(
        &self,
        algorithm: &'static Algorithm,
        model: &Model,
    ) -> impl Iterator<Item = Candidate> {
        let shape = Shape::of(self.size).packed(model.packs());
        let is_pipeline = algorithm.pieces(&shape) != algorithm.pieces(&shape.clone().chunked(2));
        let bytes = Bytes::new(self.bytes.unwrap_or(TYPICAL));
        let sizes = if is_pipeline { &CHUNK_SIZES[..] } else { &CHUNK_SIZES[..1] };
        let mut seen = Vec::with_capacity(sizes.len());
        sizes.iter().filter_map(move |&chunk| {
            let chunks = self.cut(chunk);
            if seen.contains(&chunks) {
                return None;
            }
            seen.push(chunks);
            let price = algorithm.price(shape.clone().chunked(chunks), bytes, model);
            Some(Candidate { algorithm, chunk, price })
        })
    }

    /// What speaks against an algorithm there.
    fn objection(&self, algorithm: &Algorithm) -> Option<Objection> {
        let untold = || {
            let beside = matches!(self.store, Shelf::Beside | Shelf::Wide) && !self.together;
            // Those who do not know the length wait for a first message.
            let waits = self.collective.is_late_bound() && self.bytes.is_some();
            let silent = algorithm.is_shared() && (self.together || algorithm.is_silent(self.size));
            ((beside || waits) && silent && self.size > 1).then_some(Objection::Untold)
        };
        Objection::to(algorithm, self).or_else(untold)
    }

    fn is_through_store(&self) -> bool {
        matches!(self.store, Shelf::Alone | Shelf::Pushed) && !self.together
    }
}

impl Model {
    /// The same where messages go through the store.
    fn through_store(&self) -> Self {
        let channels = super::price::Channels::only(&self.market.channels.store);
        let Market { profile, costs, .. } = &*self.market;
        let market = Market::of(profile.clone()).over(channels).costing(costs.clone());
        Self::new(market, Arc::clone(&self.topology))
    }
}

/// Down to the three highest bits.
fn rounded(bytes: u64) -> u64 {
    let low = (u64::BITS - bytes.leading_zeros()).saturating_sub(3);
    bytes >> low << low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Collective, Demand, Packing, price::Channels};
    use fmi_model::{Profile, topology::Topology};

    fn question(collective: Collective, size: usize, bytes: u64, store: Shelf) -> Question {
        let demand = Demand::Commutative;
        let bytes = Some(bytes);
        let (cuttable, together, crowded) = (true, false, false);
        let packing = Packing::None;
        Question { collective, demand, size, bytes, cuttable, together, crowded, packing, store }
    }

    fn best(question: Question, market: &Market) -> String {
        let model = Model::new(market.clone(), Topology::apart(question.size));
        let ranking = question.ranking(&model, Objective::Fast);
        let all = ranking.candidates.iter().map(|it| it.algorithm).collect::<Vec<_>>();
        let refused = ranking.refused.iter().map(|(algorithm, _)| *algorithm);
        for algorithm in question.collective.algorithms() {
            assert!(all.contains(algorithm) != refused.clone().any(|it| it == *algorithm));
        }
        ranking.candidates[0].algorithm.name.to_owned()
    }

    #[test]
    fn what_is_best_depends_on_the_length_and_the_wires() {
        let lambda = Market::of(Profile::shipped("aws-lambda").unwrap());
        let allreduce = |bytes, store| question(Collective::Allreduce, 16, bytes, store);
        let chosen = |question| best(question, &lambda);
        assert_eq!(chosen(allreduce(8, Shelf::None)), "recursive_doubling");
        assert!(["ring", "rabenseifner"].contains(&&*chosen(allreduce(64 << 20, Shelf::None))));
        assert!(chosen(allreduce(8, Shelf::Alone)).starts_with("shared"));
        let bcast = |size, bytes, store| question(Collective::Bcast, size, bytes, store);
        assert_eq!(chosen(bcast(64, 8, Shelf::Wide)), "binomial");
        assert_eq!(chosen(bcast(256, 32 << 20, Shelf::Wide)), "stored");
        assert_ne!(chosen(bcast(256, 32 << 20, Shelf::None)), "stored");
        let pushed = lambda.clone().over(Channels::new("tcp", "tcp", "redis"));
        let alone = best(question(Collective::Barrier, 8, 0, Shelf::Pushed), &pushed);
        assert_ne!(alone, "");
    }

    #[test]
    fn beside_links_only_what_is_told_of_goes_through_the_store() {
        let model = Model::new(Market::of(Profile::shipped("lan").unwrap()), Topology::apart(20));
        for (store, stored) in [(Shelf::None, false), (Shelf::Beside, true), (Shelf::Wide, true)] {
            for &collective in Collective::ALL {
                let ranking =
                    question(collective, 20, 1000, store).ranking(&model, Objective::Fast);
                let shared = ranking.candidates.iter().filter(|it| it.algorithm.is_shared());
                let names: Vec<String> = shared.map(|it| it.algorithm.to_string()).collect();
                let expected = stored && collective == Collective::Bcast;
                assert_eq!(names, if expected { vec!["bcast/stored"] } else { vec![] });
            }
        }
    }

    #[test]
    fn what_is_equally_good_stays_in_order() {
        let model = Model::new(Market::of(Profile::shipped("lan").unwrap()), Topology::apart(1));
        for &collective in Collective::ALL {
            let ranking = question(collective, 1, 64 << 20, Shelf::Alone);
            let ranking = ranking.ranking(&model, Objective::Fast).candidates;
            assert_eq!(ranking[0].algorithm, collective.algorithms()[0], "{collective}");
            assert_eq!(ranking[0].chunk, CHUNK_SIZES[0]);
        }
    }

    #[test]
    fn lengths_are_rounded_down_to_few() {
        let known: Vec<u64> = [0, 1, 7, 8, 9, 15, 1023, 1024, 1_000_000].map(rounded).into();
        assert_eq!(known, [0, 1, 7, 8, 8, 14, 896, 1024, 917_504]);
        assert_eq!(rounded(u64::MAX), 7 << 61);
    }
}
