//! What ranks of one process call, compared when they enter.
//!
//! Of each collective the first to come leaves its call, the others look. Mostly they only read
//! what another wrote long ago, so that entering costs no lock that all cores share. A slot is
//! written again when another collective needs it; one that was overwritten too early is
//! compared by frames, or by inquiry, as between processes.

use crate::frame::{SIGNATURE_LEN, Signature, Space};
use rustc_hash::FxHasher;
use std::{
    hash::{Hash, Hasher},
    sync::atomic::{AtomicU64, Ordering, fence},
};

const SLOTS: usize = 64;
const WORDS: usize = 2 + SIGNATURE_LEN / 8;
/// Looks at a slot that another rank is writing.
const PATIENCE: usize = 1000;

/// A rank, and what it believes a collective to be.
pub(crate) type Signed = (u32, Signature);

/// The latest calls.
#[derive(Debug)]
pub(super) struct Calls([Slot; SLOTS]);

/// A call behind a version that is odd while it is written.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Slot {
    version: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Default for Calls {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Slot::default()))
    }
}

impl Calls {
    /// What the first to come called, if it is something else.
    pub(super) fn compare(&self, space: Space, own: Signed) -> Option<Signed> {
        let mut hasher = FxHasher::default();
        space.hash(&mut hasher);
        let slot = &self.0[hasher.finish() as usize >> 7 & (SLOTS - 1)];
        let mine = encode(space, own);
        for _ in 0..PATIENCE {
            match slot.read() {
                Some((_, words)) if words[0] == mine[0] && words[1] >> 32 == mine[1] >> 32 => {
                    let first = decode(&words);
                    return (!first.1.agrees(&own.1)).then_some(first);
                }
                Some((version, _)) if slot.write(version, &mine) => return None,
                _ => std::hint::spin_loop(),
            }
        }
        None
    }
}

impl Slot {
    /// With the version; `None` while it is written.
    fn read(&self) -> Option<(u64, [u64; WORDS])> {
        let version = self.version.load(Ordering::Acquire);
        let words = std::array::from_fn(|index| self.words[index].load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let same = self.version.load(Ordering::Relaxed) == version;
        (same && version.is_multiple_of(2)).then_some((version, words))
    }

    /// False if another rank writes, or has written since that version was read: it may have
    /// called the same collective.
    fn write(&self, version: u64, words: &[u64; WORDS]) -> bool {
        let odd = version + 1;
        let begun =
            self.version.compare_exchange(version, odd, Ordering::Acquire, Ordering::Relaxed);
        if begun.is_err() {
            return false;
        }
        fence(Ordering::Release);
        for (place, word) in self.words.iter().zip(words) {
            place.store(*word, Ordering::Relaxed);
        }
        self.version.store(odd + 1, Ordering::Release);
        true
    }
}

/// Scope; number (never 0) and rank; signature.
fn encode(space: Space, (rank, signature): Signed) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    words[0] = space.scope;
    words[1] = u64::from(space.number) << 32 | u64::from(rank);
    for (word, bytes) in words[2..].iter_mut().zip(signature.0.chunks_exact(8)) {
        *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    words
}

fn decode(words: &[u64; WORDS]) -> Signed {
    let mut signature = [0; SIGNATURE_LEN];
    for (bytes, word) in signature.chunks_exact_mut(8).zip(&words[2..]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    (words[1] as u32, Signature(signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(number: u32) -> Space {
        Space { scope: 0xfeed_beef_0000_0007, number }
    }

    fn signed(rank: u32, byte: u8) -> Signed {
        (rank, Signature(std::array::from_fn(|index| byte ^ index as u8)))
    }

    #[test]
    fn the_first_call_is_compared_with_all_others() {
        let calls = Calls::default();
        assert_eq!(calls.compare(space(1), signed(3, 9)), None);
        assert_eq!(calls.compare(space(1), signed(4, 9)), None);
        assert_eq!(calls.compare(space(1), signed(5, 8)), Some(signed(3, 9)));
        for number in 2..1000 {
            assert_eq!(calls.compare(space(number), signed(1, number as u8)), None);
        }
    }

    #[test]
    fn what_several_threads_write_is_read_whole() {
        let calls = Calls::default();
        std::thread::scope(|threads| {
            for rank in 0..4 {
                let calls = &calls;
                threads.spawn(move || {
                    for number in 1..20_000 {
                        // All agree, so that a difference could only be half a write.
                        let own = signed(rank, number as u8);
                        assert_eq!(calls.compare(space(number), own), None);
                    }
                });
            }
        });
    }

    #[test]
    fn of_two_that_come_at_once_one_sees_the_other() {
        let calls = Calls::default();
        let arrived = std::sync::atomic::AtomicU32::new(0);
        let call = |rank: u32| {
            let (calls, arrived) = (&calls, &arrived);
            move || {
                let own = (rank, Signature([rank as u8 + 1; SIGNATURE_LEN]));
                let seen = (1..=50_000).map(|number| {
                    // As closely together as can be.
                    arrived.fetch_add(1, Ordering::SeqCst);
                    let mut looks = 0;
                    while arrived.load(Ordering::SeqCst) < 2 * number {
                        looks += 1;
                        if looks % 1000 == 0 {
                            std::thread::yield_now()
                        } else {
                            std::hint::spin_loop()
                        }
                    }
                    calls.compare(Space { scope: 1, number }, own).is_some()
                });
                seen.collect::<Vec<_>>()
            }
        };
        let (zero, one) = std::thread::scope(|scope| {
            let (zero, one) = (scope.spawn(call(0)), scope.spawn(call(1)));
            (zero.join().unwrap(), one.join().unwrap())
        });
        let pairs = || zero.iter().zip(&one);
        assert!(!pairs().any(|(zero, one)| *zero && *one), "both cannot be the first");
        // Who loses its core while it writes is not waited for: frames will tell.
        let missed = pairs().filter(|(zero, one)| !**zero && !**one).count();
        assert!(missed < 50, "{missed} of 50000 went unseen");
    }
}
