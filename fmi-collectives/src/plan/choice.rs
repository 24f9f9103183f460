//! Which algorithm runs a collective: a table of rules, the first that applies.

use super::{
    Algorithm, Collective, Objection, Place, Question, allgather, allreduce, alltoall, barrier,
    bcast, exscan, gather, reduce, reduce_scatter, scan, scatter,
};
use std::{fmt, ops::Range};

/// Bytes of a chunk in a pipeline.
pub const CHUNK: u64 = 128 << 10;
/// Chunks that a value is cut into at most.
const CHUNKS: u64 = 1024;
const ANY_BYTES: Range<u64> = 0..u64::MAX;
const ANY_SIZE: Range<usize> = 0..usize::MAX;

/// The algorithm to run, and into how many chunks a pipeline cuts the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// What to run.
    pub algorithm: &'static Algorithm,
    /// At least 1.
    pub chunks: usize,
}

/// An algorithm, and when it is to be taken. A rule that asks for a number of bytes does not
/// apply where ranks do not know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What to run.
    pub algorithm: &'static Algorithm,
    /// For so many ranks.
    pub size: Range<usize>,
    /// For values of so many bytes.
    pub bytes: Range<u64>,
    /// Only there.
    pub place: Option<Place>,
}

/// Rules in the order in which they are tried.
///
/// ```
/// use fmi_collectives::plan::{Rule, Table, allreduce};
///
/// // The ring from 1 MiB on, else what the library would take.
/// let table = Table::default().prefer(Rule::always(&allreduce::ring::ALGORITHM).from_bytes(1 << 20));
/// println!("{table}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The user's, then the library's.
    rules: Vec<Rule>,
    /// How many are the user's.
    preferred: usize,
    /// Of each collective, which rules are about it: asked at every call.
    about: [Vec<usize>; Collective::ALL.len()],
}

impl Rule {
    /// For any number of ranks and bytes.
    #[must_use]
    pub const fn always(algorithm: &'static Algorithm) -> Self {
        Self { algorithm, size: ANY_SIZE, bytes: ANY_BYTES, place: None }
    }

    /// For values of at least so many bytes.
    #[must_use]
    pub const fn from_bytes(mut self, bytes: u64) -> Self {
        self.bytes.start = bytes;
        self
    }

    /// For values of fewer bytes.
    #[must_use]
    pub const fn below_bytes(mut self, bytes: u64) -> Self {
        self.bytes.end = bytes;
        self
    }

    /// For at least so many ranks.
    #[must_use]
    pub const fn from_size(mut self, size: usize) -> Self {
        self.size.start = size;
        self
    }

    /// For fewer ranks.
    #[must_use]
    pub const fn below_size(mut self, size: usize) -> Self {
        self.size.end = size;
        self
    }

    /// Only there.
    #[must_use]
    pub const fn within(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// What speaks against it: the algorithm may not run at all, or is not wanted here.
    #[must_use]
    pub fn objection(&self, question: &Question) -> Option<Objection> {
        Objection::to(self.algorithm, question).or_else(|| self.unwanted(question))
    }

    /// Why it is not wanted here, if so.
    fn unwanted(&self, question: &Question) -> Option<Objection> {
        match question.bytes {
            _ if self.place.is_some_and(|place| !question.is_in(place)) => Some(Objection::Place),
            _ if !self.size.contains(&question.size) => Some(Objection::Size),
            Some(bytes) if !self.bytes.contains(&bytes) => Some(Objection::Bytes),
            None if self.bytes != ANY_BYTES => Some(Objection::UnknownBytes),
            _ => None,
        }
    }

    /// Whether nothing speaks against it. Most rules are for other places and sizes.
    fn applies(&self, question: &Question) -> bool {
        self.unwanted(question).is_none() && can_run(self.algorithm, question)
    }
}

impl Table {
    /// With a rule that is tried before all others.
    #[must_use]
    pub fn prefer(mut self, rule: Rule) -> Self {
        self.rules.insert(0, rule);
        Self::new(self.rules, self.preferred + 1)
    }

    /// Of which so many are the user's.
    fn new(rules: Vec<Rule>, preferred: usize) -> Self {
        let mut about = [const { Vec::new() }; Collective::ALL.len()];
        for (at, rule) in rules.iter().enumerate() {
            about[rule.algorithm.collective as usize].push(at);
        }
        Self { rules, preferred, about }
    }

    /// Those that somebody prefers to the library's own.
    #[must_use]
    pub fn preferred(&self) -> &[Rule] {
        &self.rules[..self.preferred]
    }

    /// What the first preferred rule that applies says.
    #[must_use]
    pub fn preference(&self, question: &Question) -> Option<Choice> {
        let rule = self.preferred().iter().find(|rule| rule.applies(question))?;
        Some(Choice { algorithm: rule.algorithm, chunks: question.chunks() })
    }

    /// In the order in which they are tried.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// An algorithm that a rule names, by its number on the wire.
    #[must_use]
    pub fn find(&self, collective: Collective, code: u32) -> Option<&'static Algorithm> {
        self.about(collective).map(|(_, rule)| rule.algorithm).find(|it| it.code() == code)
    }

    /// Those about a collective, and their places in the table.
    fn about(&self, collective: Collective) -> impl Iterator<Item = (usize, &Rule)> {
        self.about[collective as usize].iter().map(|&at| (at, &self.rules[at]))
    }

    /// The first rule that applies, and its place in the table.
    #[must_use]
    pub fn rule(&self, question: &Question) -> Option<(usize, &Rule)> {
        self.about(question.collective).find(|(_, rule)| rule.applies(question))
    }

    /// What the first rule that applies says; where none does, the first algorithm that can run.
    #[must_use]
    pub fn choose(&self, question: &Question) -> Choice {
        let algorithm = self.rule(question).map(|(_, rule)| rule.algorithm).or_else(|| {
            let mut all = question.collective.algorithms().iter().copied();
            all.find(|algorithm| can_run(algorithm, question))
        });
        let algorithm = algorithm.unwrap_or(question.collective.algorithms()[0]);
        Choice { algorithm, chunks: question.chunks() }
    }
}

/// Into how many chunks a pipeline cuts a value.
#[must_use]
pub fn chunks(bytes: u64) -> usize {
    cut(bytes, CHUNK)
}

/// Into how many chunks of so many bytes a value is cut.
pub(super) fn cut(bytes: u64, chunk: u64) -> usize {
    bytes.div_ceil(chunk.max(1)).clamp(1, CHUNKS) as usize
}

/// Whether an algorithm gives the right result there.
#[must_use]
pub fn can_run(algorithm: &Algorithm, question: &Question) -> bool {
    Objection::to(algorithm, question).is_none()
}

impl Default for Table {
    /// The library's own.
    fn default() -> Self {
        use Rule as R;
        const LARGE: u64 = 64 << 10;
        /// What goes in one command with its message.
        const SMALL: u64 = 16 << 10;
        /// Values of an alltoall that are as well sent each by itself.
        const TOGETHER: u64 = 16 << 10;
        /// Ranks of which one no longer reads what each of the others has.
        const MANY: usize = 64;
        /// Ranks of which one no longer serves all others.
        const STAR: usize = 33;
        /// Ranks of which one serves all others even with long values.
        const FEW: usize = 9;
        /// Values that one rank can well pass on to all, and those of which it can have one for each pair.
        const SHORT: u64 = 32 << 10;
        const TINY: u64 = 8 << 10;
        /// Values that one rank passes on sooner than all others read them.
        const CHIP: u64 = 2 << 10;
        /// Values that are as well passed on from rank to rank as sent to each.
        const BLOCK: u64 = 128 << 10;
        /// Values that one rank still passes on to many sooner than pairs exchange them.
        const LONG: u64 = 256 << 10;
        let within = |algorithm| R::always(algorithm).within(Place::Process);
        let turns = |algorithm| R::always(algorithm).within(Place::Turns);
        let packs = |algorithm| R::always(algorithm).within(Place::Packs);
        let store = |algorithm| R::always(algorithm).within(Place::Store);
        let crowd = |algorithm| R::always(algorithm).within(Place::Crowd);
        let pushed = |algorithm| R::always(algorithm).within(Place::Pushed);
        let rules = vec![
            // Within one process.
            within(&barrier::shared::ALGORITHM),
            within(&bcast::shared::ALGORITHM),
            within(&gather::shared::ALGORITHM),
            // Ranks that take turns on threads: where each would read what all others have, one that passes
            // it on is sooner done.
            turns(&scatter::binomial::ALGORITHM).from_size(7),
            turns(&allgather::star::ALGORITHM).from_size(12),
            turns(&allgather::star::ALGORITHM).below_bytes(CHIP / 8).from_size(5),
            turns(&alltoall::star::ALGORITHM).from_size(5).below_size(17),
            turns(&alltoall::star::ALGORITHM).below_bytes(CHIP).below_size(5),
            // What is short is copied, all ranks' by one; what is long is handed over.
            turns(&alltoall::star::ALGORITHM).below_bytes(64).from_size(17).below_size(MANY + 1),
            turns(&alltoall::star::ALGORITHM).from_bytes(CHIP).from_size(17).below_size(MANY + 1),
            turns(&reduce::shared::ALGORITHM).below_size(6),
            turns(&reduce::shared_tree::ALGORITHM).from_bytes(LARGE),
            turns(&allreduce::shared_tree::ALGORITHM).from_bytes(LARGE),
            turns(&allreduce::shared_tree::ALGORITHM).from_size(STAR),
            turns(&allreduce::shared_small::ALGORITHM),
            turns(&reduce_scatter::star::ALGORITHM).below_bytes(CHIP),
            turns(&reduce_scatter::star::ALGORITHM).below_bytes(2 * CHIP).from_size(STAR),
            turns(&scan::up_down::ALGORITHM).below_bytes(TINY).below_size(4),
            turns(&scan::chain::ALGORITHM).below_bytes(TINY).below_size(MANY + 1),
            turns(&scan::star::ALGORITHM).below_size(MANY + 1),
            turns(&exscan::up_down::ALGORITHM).below_size(6),
            turns(&exscan::star::ALGORITHM).below_size(MANY + 1),
            // Others of one process.
            within(&scatter::shared::ALGORITHM),
            within(&allgather::shared::ALGORITHM),
            within(&alltoall::shared::ALGORITHM),
            within(&reduce::shared::ALGORITHM).below_bytes(LARGE),
            within(&allreduce::shared_tree::ALGORITHM).from_bytes(LARGE).below_size(3),
            within(&allreduce::shared::ALGORITHM).from_bytes(LARGE),
            within(&allreduce::shared_small::ALGORITHM),
            within(&reduce_scatter::shared::ALGORITHM),
            // Where there is nothing but a store, whose messages are pushed: one is one command,
            // where an item is written, told of, asked for and counted.
            pushed(&barrier::dissemination::ALGORITHM),
            pushed(&reduce::contiguous_tree::ALGORITHM).below_bytes(SMALL),
            pushed(&allreduce::recursive_doubling::ALGORITHM).below_bytes(SMALL),
            // Where there is nothing but a store.
            store(&barrier::shared::ALGORITHM).below_size(MANY),
            store(&barrier::shared_tree::ALGORITHM),
            store(&bcast::shared::ALGORITHM),
            store(&gather::shared::ALGORITHM),
            store(&scatter::shared::ALGORITHM),
            store(&allgather::shared::ALGORITHM),
            store(&alltoall::shared::ALGORITHM),
            store(&reduce::shared::ALGORITHM).below_size(MANY),
            store(&reduce::shared_tree::ALGORITHM),
            store(&reduce::shared::ALGORITHM),
            store(&allreduce::shared::ALGORITHM).from_bytes(1 << 20).below_size(MANY),
            store(&allreduce::shared::ALGORITHM).from_bytes(64 << 20),
            store(&allreduce::shared_small::ALGORITHM).below_size(MANY),
            store(&allreduce::shared_tree::ALGORITHM),
            store(&allreduce::shared_small::ALGORITHM),
            store(&reduce_scatter::shared::ALGORITHM),
            // Between processes of several ranks.
            packs(&barrier::packed::ALGORITHM),
            packs(&bcast::packed_chain::ALGORITHM).from_bytes(512 << 10),
            packs(&bcast::packed::ALGORITHM),
            packs(&gather::packed::ALGORITHM),
            packs(&scatter::packed::ALGORITHM),
            packs(&allgather::packed::ALGORITHM),
            // Where values are long, nothing is saved, and to put them together is a copy.
            packs(&alltoall::pairwise::ALGORITHM).from_bytes(TOGETHER),
            packs(&alltoall::packed::ALGORITHM),
            packs(&reduce::packed::ALGORITHM).below_bytes(LARGE),
            packs(&allreduce::packed_lanes::ALGORITHM).from_bytes(8 << 20),
            packs(&allreduce::packed::ALGORITHM),
            packs(&reduce_scatter::packed::ALGORITHM),
            packs(&scan::packed::ALGORITHM),
            packs(&exscan::packed::ALGORITHM),
            // Between processes. From some 16 readers on, direct links take longer than
            // one object in S3 (docs/model.md).
            R::always(&bcast::stored::ALGORITHM)
                .from_bytes(8 << 20)
                .from_size(17)
                .within(Place::Wide),
            // Between processes that take turns on their cores, where a message is work that no idle
            // core does meanwhile, and waiting is a switch: few messages and few waits are worth more
            // than few rounds.
            crowd(&barrier::star::ALGORITHM).below_size(STAR),
            crowd(&bcast::linear::ALGORITHM).below_size(STAR),
            crowd(&gather::linear::ALGORITHM).below_size(STAR),
            crowd(&scatter::linear::ALGORITHM).below_size(STAR),
            crowd(&allgather::star::ALGORITHM).below_bytes(TINY).below_size(STAR),
            crowd(&allgather::pairwise::ALGORITHM)
                .from_bytes(TINY)
                .below_bytes(BLOCK)
                .below_size(FEW),
            crowd(&allgather::star::ALGORITHM).below_bytes(SHORT).from_size(FEW).below_size(STAR),
            crowd(&alltoall::star::ALGORITHM).below_bytes(TINY).below_size(STAR),
            crowd(&alltoall::star::ALGORITHM).below_bytes(SHORT).from_size(6).below_size(STAR),
            crowd(&reduce::linear::ALGORITHM).below_bytes(2 * LONG).below_size(STAR),
            crowd(&allreduce::star::ALGORITHM).below_bytes(2 << 20).below_size(STAR),
            crowd(&allreduce::star::ALGORITHM).below_size(FEW),
            crowd(&reduce_scatter::star::ALGORITHM).below_bytes(LARGE).below_size(STAR),
            crowd(&reduce_scatter::ring::ALGORITHM).from_bytes(LARGE).from_size(3).below_size(STAR),
            crowd(&scan::star::ALGORITHM).below_bytes(LONG).from_size(FEW).below_size(STAR),
            // Of few chunks, a pipeline is none.
            crowd(&scan::up_down::ALGORITHM).below_bytes(LONG).below_size(FEW),
            crowd(&scan::star::ALGORITHM).below_bytes(SHORT).from_size(8).below_size(FEW),
            crowd(&scan::chain::ALGORITHM).from_bytes(SHORT).below_size(STAR),
            crowd(&exscan::up_down::ALGORITHM).below_size(8),
            crowd(&exscan::star::ALGORITHM).from_size(8).below_size(FEW),
            crowd(&exscan::star::ALGORITHM).below_bytes(2 * LONG).from_size(FEW).below_size(STAR),
            crowd(&exscan::up_down::ALGORITHM).from_bytes(SHORT).below_size(STAR),
            R::always(&barrier::dissemination::ALGORITHM),
            R::always(&bcast::scatter_allgather::ALGORITHM).from_bytes(4 << 20).from_size(8),
            R::always(&bcast::chain::ALGORITHM).from_bytes(1 << 20).from_size(3),
            R::always(&bcast::binomial::ALGORITHM),
            R::always(&gather::binomial::ALGORITHM),
            R::always(&scatter::binomial::ALGORITHM),
            R::always(&allgather::ring::ALGORITHM).from_bytes(16 << 10),
            R::always(&allgather::bruck::ALGORITHM),
            R::always(&alltoall::bruck::ALGORITHM).below_bytes(256).from_size(8),
            R::always(&alltoall::pairwise::ALGORITHM),
            R::always(&reduce::contiguous_tree::ALGORITHM),
            R::always(&reduce::chain::ALGORITHM),
            R::always(&allreduce::ring::ALGORITHM).from_bytes(1 << 20).from_size(3),
            R::always(&allreduce::rabenseifner::ALGORITHM).from_bytes(LARGE).from_size(3),
            R::always(&allreduce::recursive_doubling::ALGORITHM),
            R::always(&allreduce::reduce_bcast::ALGORITHM),
            R::always(&reduce_scatter::recursive_halving::ALGORITHM).below_bytes(LARGE),
            R::always(&reduce_scatter::pairwise::ALGORITHM),
            R::always(&scan::hillis_steele::ALGORITHM).below_size(64),
            R::always(&scan::up_down::ALGORITHM),
            R::always(&scan::chain::ALGORITHM),
            R::always(&exscan::hillis_steele::ALGORITHM).below_size(64),
            R::always(&exscan::up_down::ALGORITHM),
            R::always(&exscan::chain::ALGORITHM),
        ];
        Self::new(rules, 0)
    }
}

/// For which ranks and bytes, and whom the algorithm suits: `ranks ≥ 3, bytes ≥ 1 MiB`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ranks, bytes) = self.limits();
        write!(f, "{ranks}, {bytes}")?;
        self.place.map_or(Ok(()), |place| write!(f, ", {place}"))
    }
}

/// One rule a line: algorithm, ranks, bytes, demand, place.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.rules {
            let (name, demand) = (rule.algorithm.to_string(), rule.algorithm.demand);
            let (ranks, bytes) = rule.limits();
            write!(f, "{name:<34}{ranks:<24}{bytes:<24} {demand}")?;
            match rule.place {
                Some(place) => writeln!(f, ", {place}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

impl Rule {
    /// Ranks and bytes in words.
    fn limits(&self) -> (String, String) {
        let Self { size, bytes, .. } = self;
        let end = |end, most| (end != most).then_some(end);
        let ranks = (size.start as u64, end(size.end as u64, usize::MAX as u64));
        let ranks = limits("ranks", ranks, |ranks| ranks.to_string());
        (ranks, limits("bytes", (bytes.start, end(bytes.end, u64::MAX)), rounded))
    }
}

fn limits(what: &str, bounds: (u64, Option<u64>), text: fn(u64) -> String) -> String {
    match (bounds.0, bounds.1.map(text)) {
        (0, None) => format!("any {what}"),
        (low, None) => format!("{what} ≥ {}", text(low)),
        (0, Some(high)) => format!("{what} < {high}"),
        (low, Some(high)) => format!("{} ≤ {what} < {high}", text(low)),
    }
}

/// Bytes in the largest unit of which they are a multiple.
fn rounded(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.iter().find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    unit.map_or_else(|| bytes.to_string(), |(bits, unit)| format!("{} {unit}", bytes >> bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Demand, Packing, Shelf};

    /// Of processes with a core each, without a store.
    const QUESTION: Question = Question {
        collective: Collective::Allreduce,
        demand: Demand::Commutative,
        size: 4,
        bytes: Some(100),
        cuttable: true,
        together: false,
        crowded: false,
        packing: Packing::None,
        store: Shelf::None,
    };

    const DEMANDS: [Demand; 3] = [Demand::Commutative, Demand::Associative, Demand::Ordered];

    #[test]
    fn whatever_is_asked_the_answer_can_run() {
        let table = Table::default();
        for &collective in Collective::ALL {
            for demand in DEMANDS {
                for size in [1, 2, 3, 8, 100] {
                    for bytes in [None, Some(0), Some(100), Some(1 << 16), Some(1 << 24)] {
                        for (cuttable, together) in
                            [(true, true), (true, false), (false, true), (false, false)]
                        {
                            let places = Shelf::ALL
                                .iter()
                                .flat_map(|store| Packing::ALL.map(|packing| (*store, packing)));
                            for (store, packing) in places {
                                for crowded in [false, true] {
                                    let question = Question {
                                        collective,
                                        demand,
                                        size,
                                        bytes,
                                        cuttable,
                                        together,
                                        crowded,
                                        packing,
                                        store,
                                    };
                                    let choice = table.choose(&question);
                                    assert!(can_run(choice.algorithm, &question), "{question:?}");
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_preferred_rule_holds_where_it_applies() {
        let rule = Rule::always(&allreduce::ring::ALGORITHM).from_bytes(100).below_size(5);
        let table = Table::default().prefer(rule);
        let question = QUESTION;
        let chosen = |question| table.choose(&question).algorithm.name;
        assert_eq!(chosen(question), "ring");
        assert_ne!(chosen(Question { bytes: Some(99), ..question }), "ring");
        assert_ne!(chosen(Question { size: 5, ..question }), "ring");
        assert_ne!(chosen(Question { cuttable: false, ..question }), "ring");
        assert_ne!(chosen(Question { demand: Demand::Associative, ..question }), "ring");
    }

    #[test]
    fn ranks_that_share_cores_talk_to_one_of_them() {
        let question = Question { size: 8, crowded: true, ..QUESTION };
        let chosen = |question| Table::default().choose(&question).algorithm.name;
        assert_eq!(chosen(question), "star");
        assert_eq!(chosen(Question { bytes: Some(1 << 20), ..question }), "star");
        for other in [
            Question { crowded: false, ..question },
            Question { bytes: Some(2 << 20), size: 9, ..question },
            Question { size: 64, ..question },
            Question { together: true, ..question },
            Question { store: Shelf::Alone, ..question },
            Question { packing: Packing::Contiguous, ..question },
        ] {
            assert_ne!(chosen(other), "star", "{other:?}");
        }
    }

    #[test]
    fn ranks_that_take_turns_on_threads_have_one_that_passes_on() {
        let question = Question {
            collective: Collective::Alltoall,
            size: 8,
            together: true,
            crowded: true,
            ..QUESTION
        };
        let chosen = |question| Table::default().choose(&question).algorithm.name;
        assert_eq!(chosen(question), "star");
        // A thread each; many blocks to be copied.
        assert_eq!(chosen(Question { crowded: false, ..question }), "shared");
        assert_eq!(chosen(Question { size: 64, ..question }), "shared");
        let long = Question { collective: Collective::Allreduce, bytes: Some(1 << 20), ..question };
        assert_eq!(chosen(long), "shared_tree");
        assert_eq!(chosen(Question { crowded: false, ..long }), "shared");
        assert_eq!(chosen(Question { demand: Demand::Ordered, ..long }), "shared_small");
    }

    #[test]
    fn a_rule_says_why_it_is_passed_over() {
        let question = QUESTION;
        let ring = Rule::always(&allreduce::ring::ALGORITHM);
        let objects = |rule: &Rule, question| rule.objection(&question);
        assert_eq!(objects(&ring, question), None);
        let associative = Question { demand: Demand::Associative, ..question };
        assert_eq!(objects(&ring, associative), Some(Objection::Demand));
        let opaque = Question { cuttable: false, ..question };
        assert_eq!(objects(&ring, opaque), Some(Objection::Opaque));
        let scan = Question { collective: Collective::Scan, ..question };
        assert_eq!(objects(&ring, scan), Some(Objection::Collective));
        let large = ring.clone().from_bytes(101);
        assert_eq!(objects(&large, question), Some(Objection::Bytes));
        let unknown = Question { bytes: None, ..question };
        assert_eq!(objects(&large, unknown), Some(Objection::UnknownBytes));
        assert_eq!(objects(&ring.from_size(5), question), Some(Objection::Size));
        let shared = Rule::always(&allreduce::shared::ALGORITHM);
        assert_eq!(objects(&shared, question), Some(Objection::Apart));
        let (place, rule) = Table::default().rule(&question).map(|(i, r)| (i, r.clone())).unwrap();
        assert_eq!(rule.algorithm.name, "recursive_doubling");
        assert_eq!((rule.to_string(), place > 8), ("any ranks, any bytes".to_owned(), true));
    }

    #[test]
    fn a_store_is_used_where_it_is_all_there_is_or_where_many_read() {
        let question = Question {
            collective: Collective::Bcast,
            size: 17,
            bytes: Some(10_000_000),
            store: Shelf::Wide,
            ..QUESTION
        };
        let chosen = |question| Table::default().choose(&question).algorithm.name;
        assert_eq!(chosen(question), "stored");
        assert_eq!(chosen(Question { store: Shelf::Alone, ..question }), "shared");
        for other in [
            Question { store: Shelf::None, ..question },
            Question { store: Shelf::Beside, ..question },
            Question { size: 16, ..question },
            Question { bytes: Some(1_000_000), ..question },
        ] {
            assert!(!["stored", "shared"].contains(&chosen(other)), "{other:?}");
        }
        let alone = |collective, size, bytes, demand| {
            let store = Shelf::Alone;
            chosen(Question { collective, size, bytes, demand, store, ..question })
        };
        use Collective::{Allreduce, Barrier, Reduce};
        use Demand::{Associative, Ordered};
        assert_eq!(alone(Barrier, 63, None, Ordered), "shared");
        assert_eq!(alone(Barrier, 64, None, Ordered), "shared_tree");
        assert_eq!(alone(Reduce, 64, Some(8), Associative), "shared_tree");
        assert_eq!(alone(Reduce, 64, Some(8), Ordered), "shared");
        assert_eq!(alone(Allreduce, 16, Some(8), Associative), "shared_small");
        assert_eq!(alone(Allreduce, 16, Some(1 << 20), Associative), "shared");
        assert_eq!(alone(Allreduce, 1000, Some(1 << 20), Associative), "shared_tree");
        assert_eq!(alone(Allreduce, 1000, Some(8), Ordered), "shared_small");
        let pushed = |collective, bytes, demand| {
            let store = Shelf::Pushed;
            chosen(Question { collective, size: 8, bytes, demand, store, ..question })
        };
        assert_eq!(pushed(Barrier, None, Ordered), "dissemination");
        assert_eq!(pushed(Allreduce, Some(4), Associative), "recursive_doubling");
        assert_eq!(pushed(Allreduce, Some(4), Ordered), "shared_small");
        assert_eq!(pushed(Allreduce, None, Associative), "shared_small");
        assert_eq!(pushed(Allreduce, Some(1 << 20), Associative), "shared");
        assert_eq!(pushed(Reduce, Some(4), Associative), "contiguous_tree");
        assert_eq!(pushed(Collective::Bcast, Some(4), Ordered), "shared");
    }

    #[test]
    fn chunks_are_bounded() {
        assert_eq!([0, 1, CHUNK, CHUNK + 1, u64::MAX].map(chunks), [1, 1, 1, 2, CHUNKS as usize]);
    }
}
