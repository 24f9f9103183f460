//! What a rank has seen of its collectives, bounded, and what ranks make of it together.

use crate::{Message, plan::Lesson};
use fmi_actors::{
    frame::Space,
    meter::{Seconds, Tier},
};
use fmi_model::learn::{self, Factor, Part};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Kinds of calls that are told apart.
const CELLS: usize = 64;
/// Calls of a kind: the latest of a rank.
const CALLS: usize = 64;
/// Of fewer calls nothing is said: the first ones set up links.
const LEAST: usize = 8;
/// If no rank took more times as long as another, all came at about the same time.
const EVEN: f32 = 1.5;

/// How much longer than foretold a rank's calls took, since the model was made. Its own, so nobody else
/// takes its lock.
#[derive(Debug, Default)]
pub(crate) struct Log(Mutex<FxHashMap<Key, Ring>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Key {
    /// Collective, algorithm, size and bytes, as one number.
    kind: u64,
    size: u32,
    tier: Tier,
    part: Part,
}

#[derive(Debug, Default)]
struct Ring {
    calls: Vec<(u32, f32)>,
    next: usize,
}

/// What ranks have seen, call by call.
///
/// A rank's time begins when it calls, the model's when all have. Whoever comes early waits for the others,
/// which is no slow network; whoever comes last finds there what the others have sent, which is no fast one. So only
/// calls count for which all ranks took about as long: then all came at about the same time, and the longest is the
/// time that the model means.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary(Vec<(Key, Vec<Seen>)>);

/// What so many ranks took for one call, times what was foretold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Seen {
    /// The same number on all ranks.
    call: u32,
    ranks: u32,
    least: f32,
    most: f32,
}

impl Message for Summary {}

impl Log {
    /// A call among so many ranks took so long instead of what was foretold.
    pub(crate) fn note(
        &self,
        lesson: Lesson,
        (space, size, tier): (Space, usize, Tier),
        took: Seconds,
        foretold: Seconds,
    ) {
        let key = Key { kind: lesson.kind, size: size as u32, tier, part: lesson.part };
        let call = fmi_actors::mix(space.scope ^ u64::from(space.number)) as u32;
        let mut cells = self.0.lock();
        let full = cells.len() == CELLS;
        let ring = match cells.get_mut(&key) {
            Some(ring) => ring,
            None if full => return,
            None => cells.entry(key).or_default(),
        };
        let seen = (call, (took / foretold) as f32);
        match ring.calls.get_mut(ring.next) {
            Some(oldest) => *oldest = seen,
            None => ring.calls.push(seen),
        }
        ring.next = (ring.next + 1) % CALLS;
    }

    /// What this rank has to say.
    pub(crate) fn summary(&self) -> Summary {
        let seen = |ring: &Ring| {
            let seen = |(call, ratio)| Seen { call, ranks: 1, least: ratio, most: ratio };
            let mut all: Vec<Seen> = ring.calls.iter().copied().map(seen).collect();
            all.sort_unstable_by_key(|seen| seen.call);
            all.dedup_by_key(|seen| seen.call);
            all
        };
        let cells = self.0.lock();
        let mut all: Vec<_> = cells.iter().map(|(key, ring)| (*key, seen(ring))).collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        Summary(all)
    }
}

impl Summary {
    /// Of both, bounded. In whatever order all are put together, the same comes of it: what is left out is left
    /// out wherever there are as many with lower numbers, and so it is in the end.
    pub(crate) fn with(self, other: Self) -> Self {
        let both = |one: Vec<Seen>, other| merged(one, other, CALLS, |seen| seen.call, Seen::with);
        let key = |(key, _): &(Key, _)| *key;
        Self(merged(self.0, other.0, CELLS, key, |(key, one), (_, other)| (key, both(one, other))))
    }

    /// What it teaches of a tier.
    pub(crate) fn lessons(&self, tier: Tier) -> Vec<learn::Lesson> {
        let lesson = |(key, seen): &(Key, Vec<Seen>)| {
            let even = seen.iter().filter(|seen| seen.is_even(key.size));
            let ratios: Vec<_> = even.map(|seen| Factor::new(f64::from(seen.most))).collect();
            let ratio = Factor::median(ratios.iter().copied()).filter(|_| ratios.len() >= LEAST);
            Some(learn::Lesson { part: key.part, ratio: ratio? })
        };
        self.0.iter().filter(|(key, _)| key.tier == tier).filter_map(lesson).collect()
    }
}

impl Seen {
    fn with(self, other: Self) -> Self {
        Self {
            ranks: self.ranks.saturating_add(other.ranks),
            least: self.least.min(other.least),
            most: self.most.max(other.most),
            ..self
        }
    }

    /// Whether all came at about the same time.
    fn is_even(&self, size: u32) -> bool {
        self.ranks == size && self.least > 0.0 && self.most <= self.least * EVEN
    }
}

/// Two lists in the order of their keys as one, the first of it.
fn merged<T, K: Ord>(
    one: Vec<T>,
    other: Vec<T>,
    most: usize,
    key: impl Fn(&T) -> K,
    both: impl Fn(T, T) -> T,
) -> Vec<T> {
    let (mut one, mut other) = (one.into_iter().peekable(), other.into_iter().peekable());
    let mut all = Vec::new();
    while all.len() < most {
        let order = match (one.peek(), other.peek()) {
            (Some(one), Some(other)) => key(one).cmp(&key(other)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        all.extend(match order {
            Ordering::Less => one.next(),
            Ordering::Greater => other.next(),
            Ordering::Equal => one.next().zip(other.next()).map(|(one, other)| both(one, other)),
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lesson(kind: u64) -> Lesson {
        Lesson { kind, part: Part::Fixed }
    }

    /// Of one of so many ranks.
    fn log(size: usize, ratios: &[f64]) -> Log {
        let log = Log::default();
        for (number, ratio) in (1..).zip(ratios) {
            let call = (Space { scope: 7, number }, size, Tier::Network);
            log.note(lesson(1), call, Seconds::new(*ratio * 1e-3), Seconds::new(1e-3));
        }
        log
    }

    fn together(ranks: &[&[f64]]) -> Option<f64> {
        let all = ranks.iter().map(|ratios| log(ranks.len(), ratios).summary());
        let lessons = all.reduce(Summary::with).unwrap().lessons(Tier::Network);
        lessons.first().map(|lesson| (lesson.ratio.get() * 1e4).round() / 1e4)
    }

    #[test]
    fn few_calls_say_nothing_and_old_ones_are_forgotten() {
        assert_eq!(together(&[&[2.0; LEAST - 1]]), None);
        assert_eq!(together(&[&[2.0; LEAST]]), Some(2.0));
        let mut all = vec![2.0; 500];
        all.extend([4.0; CALLS]);
        assert_eq!(together(&[&all]), Some(4.0));
        assert_eq!(log(1, &all).0.lock().values().next().unwrap().calls.len(), CALLS);
    }

    #[test]
    fn kinds_are_bounded() {
        let log = Log::default();
        for kind in 0..1000 {
            let call = (Space { scope: 1, number: 1 }, 1, Tier::Store);
            log.note(lesson(kind), call, Seconds::new(1.0), Seconds::new(1.0));
        }
        assert_eq!(log.0.lock().len(), CELLS);
    }

    #[test]
    fn wild_values_move_nothing() {
        // Of some calls of one rank.
        let mut wild = vec![1.0; 40];
        wild.extend([0.0, 1e300, f64::INFINITY, f64::NAN, 1e-9, 30.0, 0.05]);
        assert_eq!(together(&[&[1.0; 47], &wild]), Some(1.0));
        // All of one rank: one that the others wait for, one that waits, one whose clock is broken.
        for all in [0.1, 20.0, 0.0, 1e-6, f64::NAN, 1e300] {
            assert_eq!(together(&[&[1.0; 47], &[all; 47], &[1.1; 47]]), None, "{all}");
        }
        assert_eq!(together(&[&[1.0; 47], &[1.2; 47], &[1.1; 47]]), Some(1.2));
    }

    #[test]
    fn calls_of_which_not_all_say_something_are_left_out() {
        let one = log(2, &[1.0; 20]).summary();
        assert!(one.lessons(Tier::Network).is_empty());
        let both = one.with(log(2, &[1.0; LEAST - 1]).summary());
        assert!(both.lessons(Tier::Network).is_empty());
        assert_eq!(together(&[&[1.0; 20], &[1.0; LEAST]]), Some(1.0));
    }

    proptest! {
        /// Rank after rank, as a plan puts them together; parts of the group have calls of their own.
        #[test]
        fn the_order_of_ranks_does_not_matter(
            ranks in prop::collection::vec(
                prop::collection::vec((0_u64..100, any::<bool>(), any::<f64>(), 0_u32..200), 0..300), 1..6),
        ) {
            let summaries: Vec<Summary> = ranks.iter().map(|calls| {
                let log = Log::default();
                for (kind, store, took, number) in calls {
                    let tier = if *store { Tier::Store } else { Tier::Machine };
                    let call = (Space { scope: 1, number: *number }, ranks.len(), tier);
                    log.note(lesson(*kind / 20), call, Seconds::new(*took), Seconds::new(1.0));
                }
                log.summary()
            }).collect();
            let forth = summaries.iter().cloned().reduce(Summary::with).unwrap();
            let back = summaries.iter().cloned().rev().reduce(|all, next| next.with(all)).unwrap();
            prop_assert!(forth.0.len() <= CELLS && forth.0.iter().all(|(_, seen)| seen.len() <= CALLS));
            // Not a number is not equal to itself.
            prop_assert_eq!(format!("{:?}", &forth), format!("{:?}", &back));
            for tier in Tier::ALL {
                let finite = |lesson: &learn::Lesson| (0.0625..=16.0).contains(&lesson.ratio.get());
                prop_assert!(forth.lessons(tier).iter().all(finite));
            }
        }
    }
}
