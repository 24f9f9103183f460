//! Choosing by the model, once for each question.

use super::{Algorithm, Candidate, Choice, Question, price::Model};
use fmi_model::{Estimate, Objective, learn::Part, topology::Topology};
use parking_lot::{Mutex, RwLock};
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::{
    fmt,
    hash::BuildHasher,
    sync::{Arc, OnceLock},
};

/// Chooses the best of a [`Ranking`](super::Ranking), and remembers it.
///
/// Lengths are [rounded](Question::rounded) for that. The first answer to a question takes as long as it
/// takes to put a price on all algorithms, milliseconds if there are a thousand ranks; the next ones some ten
/// nanoseconds, without a lock. What has been found out is shared by all choosers of equal groups and
/// objectives in one market.
#[derive(Debug, Clone)]
pub struct Chooser {
    model: Model,
    objective: Objective,
    known: Arc<Known>,
}

/// What has been chosen in a market, by groups and objectives.
#[derive(Default)]
pub(super) struct Shared(Mutex<Vec<Group>>);

type Group = (Arc<Topology>, Objective, Arc<Known>);

/// Groups and objectives that are remembered.
const GROUPS: usize = 64;
/// Answers that can be read without a lock, and places in which one may stand.
const SLOTS: usize = 256;
const PLACES: usize = 8;

/// What can be learnt of a call by how long it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lesson {
    /// Calls of one kind may be compared: collective, algorithm, ranks and bytes.
    pub(crate) kind: u64,
    /// What shows in it.
    pub(crate) part: Part,
}

/// What to run, and what it takes and costs: kept beside, so that to know it costs a call nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Answer {
    algorithm: &'static Algorithm,
    /// Bytes of a chunk.
    chunk: u64,
    price: Option<Estimate>,
    lesson: Option<Lesson>,
}

/// What has been chosen.
#[derive(Debug)]
struct Known {
    slots: Box<[OnceLock<(Question, Answer)>]>,
    /// What found no place there.
    more: RwLock<FxHashMap<Question, Answer>>,
    /// One at a time: the others wait for what they want to know as well.
    finding: Mutex<()>,
}

impl Chooser {
    /// By this model, for this objective.
    #[must_use]
    pub fn new(model: Model, objective: Objective) -> Self {
        let (topology, known) = model.market.known.of(&model.topology, objective);
        Self { model: Model { topology, ..model }, objective, known }
    }

    /// By what it chooses.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// For what it chooses.
    #[must_use]
    pub fn objective(&self) -> Objective {
        self.objective
    }

    /// What to run.
    ///
    /// # Panics
    /// When the model is of another number of ranks.
    #[must_use]
    pub fn choose(&self, question: &Question) -> Choice {
        self.foretell(question).0
    }

    /// What to run, and what it will take and cost, a little less if the length was rounded. Nothing is known
    /// of what could not be priced.
    ///
    /// # Panics
    /// As [`choose`](Self::choose).
    #[must_use]
    pub fn foretell(&self, question: &Question) -> (Choice, Option<Estimate>) {
        let (choice, price, _) = self.look_up(question);
        (choice, price)
    }

    /// As `foretell`, with what can be learnt.
    pub(crate) fn look_up(
        &self,
        question: &Question,
    ) -> (Choice, Option<Estimate>, Option<Lesson>) {
        let rounded = question.rounded();
        let Answer { algorithm, chunk, price, lesson } =
            self.known.get(&rounded).unwrap_or_else(|| self.find(rounded));
        (Choice { algorithm, chunks: question.cut(chunk) }, price, lesson)
    }

    #[cold]
    fn find(&self, question: Question) -> Answer {
        let _turn = self.known.finding.lock();
        if let Some(answer) = self.known.get(&question) {
            return answer;
        }
        // What was learnt since would bracket operands otherwise, and give other last bits.
        let told = question.collective.combines().then(|| self.model.reproducible()).flatten();
        let by = told.as_ref().unwrap_or(&self.model);
        let ranking = question.ranking(by, self.objective);
        let best = ranking.candidates.first().map(|best| {
            let Candidate { algorithm, chunk, price } = *best;
            // What it takes, though, is what is known now.
            let price = match told {
                Some(_) => question.price(algorithm, chunk, &self.model),
                None => price,
            };
            let lesson = question.teaches(algorithm, chunk, &self.model, &price);
            Answer { algorithm, chunk, price: Some(price), lesson }
        });
        // Every collective has an algorithm that can always run; another answer would be an error later.
        let algorithm = question.collective.algorithms()[0];
        let answer =
            best.unwrap_or(Answer { algorithm, chunk: super::CHUNK, price: None, lesson: None });
        self.known.insert(question, answer);
        answer
    }
}

impl Known {
    fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| OnceLock::new()).collect(),
            more: RwLock::default(),
            finding: Mutex::new(()),
        }
    }

    fn get(&self, question: &Question) -> Option<Answer> {
        for slot in self.places(question) {
            // Places are filled in order, and never emptied.
            let (known, answer) = slot.get()?;
            if known == question {
                return Some(*answer);
            }
        }
        self.more.read().get(question).copied()
    }

    fn insert(&self, question: Question, answer: Answer) {
        let free = self.places(&question).find(|slot| slot.get().is_none());
        match free {
            Some(slot) => {
                // Only who has the turn inserts, so it is free still.
                let _ = slot.set((question, answer));
            }
            None => {
                self.more.write().insert(question, answer);
            }
        }
    }

    fn places(&self, question: &Question) -> impl Iterator<Item = &OnceLock<(Question, Answer)>> {
        let first = FxBuildHasher.hash_one(question) as usize;
        (0..PLACES).map(move |place| &self.slots[first.wrapping_add(place) % SLOTS])
    }
}

impl Shared {
    /// What is known of such a group, which is kept once.
    fn of(&self, topology: &Arc<Topology>, objective: Objective) -> (Arc<Topology>, Arc<Known>) {
        let mut all = self.0.lock();
        let same = |(other, wanted, _): &&Group| {
            *wanted == objective && (Arc::ptr_eq(other, topology) || other == topology)
        };
        if let Some((topology, _, known)) = all.iter().find(same) {
            return (Arc::clone(topology), Arc::clone(known));
        }
        if all.len() == GROUPS {
            all.remove(0);
        }
        let known = Arc::new(Known::new());
        all.push((Arc::clone(topology), objective, Arc::clone(&known)));
        (Arc::clone(topology), known)
    }
}

/// A copy finds out by itself.
impl Clone for Shared {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What has been found out follows from the rest.
impl PartialEq for Shared {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} groups", self.0.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{CHUNK, Collective, Demand, Packing, Shelf, price::Market};
    use fmi_model::Profile;

    fn question(bytes: u64) -> Question {
        Question {
            collective: Collective::Allreduce,
            demand: Demand::Ordered,
            size: 5,
            bytes: Some(bytes),
            cuttable: true,
            together: false,
            crowded: false,
            packing: Packing::None,
            store: Shelf::None,
        }
    }

    fn chooser() -> Chooser {
        let market = Market::of(Profile::shipped("lan").unwrap());
        Chooser::new(Model::new(market, Topology::apart(5)), Objective::Fast)
    }

    #[test]
    fn what_is_known_is_what_would_be_found() {
        let chooser = chooser();
        for bytes in (0..60).flat_map(|bit| [1 << bit, (1 << bit) + 1, 3 << bit]) {
            let first = chooser.choose(&question(bytes));
            assert_eq!(chooser.choose(&question(bytes)), first);
            let ranking = question(bytes).rounded().ranking(chooser.model(), Objective::Fast);
            assert_eq!(first.algorithm, ranking.candidates[0].algorithm);
            assert_eq!(chooser.foretell(&question(bytes)).1, Some(ranking.candidates[0].price));
        }
    }

    #[test]
    fn more_than_there_is_room_for_is_known_too() {
        let known = Known::new();
        let algorithm = Collective::Allreduce.algorithms()[0];
        let answer = |chunk: u64| Answer { algorithm, chunk, price: None, lesson: None };
        for bytes in 0..2 * SLOTS as u64 {
            assert_eq!(known.get(&question(bytes)), None);
            known.insert(question(bytes), answer(bytes));
        }
        for bytes in 0..2 * SLOTS as u64 {
            assert_eq!(known.get(&question(bytes)), Some(answer(bytes)));
        }
    }

    #[test]
    fn equal_groups_share_what_they_know() {
        let one = chooser();
        let other = Chooser::new(
            Model::new(Arc::clone(&one.model.market), Topology::apart(5)),
            Objective::Fast,
        );
        assert!(Arc::ptr_eq(&one.known, &other.known));
        assert!(Arc::ptr_eq(&one.model.topology, &other.model.topology));
        let cheap = Chooser::new(one.model.clone(), Objective::Cheap);
        assert!(!Arc::ptr_eq(&one.known, &cheap.known));
        for size in 1..=2 * GROUPS {
            let model = Model::new(Arc::clone(&one.model.market), Topology::apart(size));
            let _ = Chooser::new(model, Objective::Fast);
        }
        assert_eq!(format!("{:?}", one.model.market.known), format!("{GROUPS} groups"));
    }

    #[test]
    fn chunks_are_of_the_exact_length() {
        let choice = chooser().choose(&question(100 * CHUNK + 1));
        let sizes = super::super::CHUNK_SIZES;
        let chunks = sizes.map(|chunk| (100 * CHUNK + 1).div_ceil(chunk) as usize);
        assert!(chunks.contains(&choice.chunks), "{choice:?}");
    }
}
