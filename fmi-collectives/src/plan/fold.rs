//! A power of two of ranks that act, and the others behind their neighbours.
//!
//! Exchanges at distances 1, 2, 4… need a power of two of ranks. The largest that the size has are
//! the *actors*; where ranks are left over, the first ones stand in pairs, and the lower rank of
//! a pair acts for both. It has to be neighbours: so each range of actors stands for a range of
//! ranks, and the order of operands can be kept.
//!
//! ```text
//! rank   0 1 2 3 4 5     size 6: four actors, two pairs
//! actor  0 - 1 - 2 3
//! ```

use std::ops::Range;

/// Who acts among `size` ranks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fold {
    /// How many actors there are: a power of two.
    pub(super) actors: usize,
    pairs: usize,
}

/// What a rank is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Acts for itself alone.
    Single { actor: usize },
    /// Acts for itself and the next rank.
    Lower { actor: usize },
    /// Has the rank below act for it.
    Upper,
}

impl Fold {
    pub(super) fn of(size: usize) -> Self {
        let actors = 1 << size.ilog2();
        Self { actors, pairs: size - actors }
    }

    pub(super) fn role(self, rank: usize) -> Role {
        if rank >= 2 * self.pairs {
            Role::Single { actor: rank - self.pairs }
        } else if rank.is_multiple_of(2) {
            Role::Lower { actor: rank / 2 }
        } else {
            Role::Upper
        }
    }

    /// log₂ of the number of actors.
    pub(super) fn levels(self) -> usize {
        self.actors.ilog2() as usize
    }

    /// Whether there are pairs.
    pub(super) fn is_uneven(self) -> bool {
        self.pairs > 0
    }

    /// The rank of an actor; of the one after the last, the size.
    pub(super) fn rank_of(self, actor: usize) -> usize {
        actor + actor.min(self.pairs)
    }

    /// The ranks for which these actors act.
    pub(super) fn ranks(self, actors: Range<usize>) -> Range<usize> {
        self.rank_of(actors.start)..self.rank_of(actors.end)
    }
}

impl Role {
    /// The number of the actor, if it is one.
    pub(super) fn actor(self) -> Option<usize> {
        match self {
            Self::Single { actor } | Self::Lower { actor } => Some(actor),
            Self::Upper => None,
        }
    }
}

/// The actors in the group of `width` neighbours that `actor` is in; `width` is a power of two.
pub(super) fn group(actor: usize, width: usize) -> Range<usize> {
    let first = actor & !(width - 1);
    first..first + width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_ranks_are_four_actors() {
        let fold = Fold::of(6);
        let actors: Vec<Option<usize>> = (0..6).map(|rank| fold.role(rank).actor()).collect();
        assert_eq!(actors, [Some(0), None, Some(1), None, Some(2), Some(3)]);
        assert_eq!((fold.ranks(0..2), fold.ranks(2..4)), (0..4, 4..6));
    }

    #[test]
    fn actors_have_their_ranks() {
        for size in 1..=40 {
            let fold = Fold::of(size);
            assert_eq!(fold.ranks(0..fold.actors), 0..size);
            for actor in 0..fold.actors {
                assert_eq!(fold.role(fold.rank_of(actor)).actor(), Some(actor));
            }
        }
    }

    #[test]
    fn groups_are_aligned() {
        assert_eq!((group(5, 1), group(5, 2), group(5, 4), group(5, 8)), (5..6, 4..6, 4..8, 0..8));
    }
}
