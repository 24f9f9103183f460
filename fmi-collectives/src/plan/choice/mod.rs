//! Which algorithm runs a collective: a table of rules, the first that applies.

mod library;
mod rule;
mod table;

pub use rule::Rule;
pub use table::Table;

use super::{Algorithm, Objection, Question};

/// Bytes of a chunk in a pipeline.
pub const CHUNK: u64 = 128 << 10;
/// Chunks that a value is cut into at most.
const CHUNKS: u64 = 1024;

/// The algorithm to run, and into how many chunks a pipeline cuts the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// What to run.
    pub algorithm: &'static Algorithm,
    /// At least 1.
    pub chunks: usize,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Collective, Demand, Packing, Shelf, allreduce};

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
        let long = Question { bytes: Some(1 << 20), ..question };
        assert_eq!(chosen(long), "ring");
        assert_eq!(chosen(Question { size: 3, ..long }), "star");
        assert_eq!(chosen(Question { demand: Demand::Associative, ..long }), "star");
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
