//! What an algorithm is, and all of them by name.

use super::{Action, Collective, Demand, Packs, Steps, check};
use crate::message::hash;
use std::fmt;

/// An algorithm for a collective: how each rank's steps are made, and what it claims to cost.
///
/// Each file of a collective has one, named `ALGORITHM`. Yours are as good: fill in the fields,
/// [`check`](Self::check) it, and give it to `Communicator::using`.
///
/// ```
/// use fmi_collectives::plan::{Algorithm, Collective, Demand, Growth, Medium, Shape, Step};
///
/// /// The root sends to everybody.
/// const STAR: Algorithm = Algorithm {
///     collective: Collective::Bcast,
///     name: "star",
///     demand: Demand::Ordered,
///     cut: None,
///     medium: Medium::Links,
///     growth: Growth::Logarithmic,
///     steps: |rank, Shape { size, root, .. }| {
///         let others = (0..size).filter(move |rank| *rank != root);
///         if rank == root {
///             Box::new(others.map(|other| Step::send(other, 0)))
///         } else {
///             Box::new(std::iter::once(Step::recv(root, 0)))
///         }
///     },
///     rounds: |shape| shape.size - 1,
///     sent: |shape| shape.size - 1,
/// };
///
/// for size in 1..=64 {
///     for root in 0..size {
///         STAR.check(Shape::of(size).rooted(root))?;
///     }
/// }
/// # Ok::<(), fmi_collectives::plan::check::CheckError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Algorithm {
    /// What it is an algorithm for.
    pub collective: Collective,
    /// Its name among those of its collective: `"ring"`.
    pub name: &'static str,
    /// The strongest demand of an operation that it meets. An algorithm that combines nothing
    /// meets all.
    pub demand: Demand,
    /// Into how many pieces it cuts each value, if it has to; values that are not vectors of
    /// numbers cannot be cut.
    pub cut: Option<fn(Shape) -> usize>,
    /// What its ranks must have in common.
    pub medium: Medium,
    /// How it is priced where there are many ranks.
    pub growth: Growth,
    /// One rank's steps, lazily. The rank is below the size.
    pub steps: fn(usize, Shape) -> Steps,
    /// How many rounds it takes, exactly, or [among packs](Medium::Packs) at most; see
    /// [`Report::rounds`](check::Report::rounds).
    pub rounds: fn(Shape) -> usize,
    /// How many blocks the rank that sends most sends, exactly, or among packs at most.
    pub sent: fn(Shape) -> usize,
}

/// What moves the blocks of an algorithm.
#[derive(Debug, Clone, Copy)]
pub enum Medium {
    /// Messages.
    Links,
    /// Messages, some of them through a rank that holds what it passes on.
    Relay {
        /// How many blocks a workspace has for that, as among [packs](Self::Packs).
        scratch: fn(&Shape) -> usize,
    },
    /// Its ranks publish and fetch: they share memory, or a store.
    Shared,
    /// Messages from pack to pack; inside of a pack its ranks may publish and fetch, in steps that say so
    /// ([`Tier::Pack`](super::Tier::Pack)).
    Packs {
        /// How many messages go from one pack to another, exactly.
        remote: fn(&Shape) -> usize,
        /// How many blocks a workspace has besides those of the collective, behind them and each as long as
        /// one of those: for what a rank holds for others. 0 if it cuts values.
        scratch: fn(&Shape) -> usize,
    },
}

/// How a plan grows with its ranks and chunks, and so how much of it has to be played through to know what
/// it takes. What is said here is only a way to save time: small plans are played through anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Growth {
    /// It has n·log n messages or fewer. All of it is played through.
    Logarithmic,
    /// All ranks do the same at the same time. One of them is played through.
    Mirrored,
    /// Each further rank or chunk takes as much longer as the one before it. Plans among fewer ranks and
    /// with fewer chunks are played through, and continued in a straight line.
    Linear,
}

/// What all ranks know of a call when they make their plans.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    /// How many ranks there are, at least 1.
    pub size: usize,
    /// The root, 0 where there is none. Below the size.
    pub root: usize,
    /// Into how many chunks a pipeline cuts the value, at least 1.
    pub chunks: usize,
    /// Which of them share a process.
    pub packs: Packs,
}

impl Shape {
    /// Without a root, in one chunk, each rank in a process of its own.
    #[must_use]
    pub const fn of(size: usize) -> Self {
        Self { size, root: 0, chunks: 1, packs: Packs::ALONE }
    }

    /// With this root.
    #[must_use]
    pub fn rooted(self, root: usize) -> Self {
        Self { root, ..self }
    }

    /// In so many chunks.
    #[must_use]
    pub fn chunked(self, chunks: usize) -> Self {
        Self { chunks, ..self }
    }

    /// In these packs.
    #[must_use]
    pub fn packed(self, packs: &Packs) -> Self {
        Self { packs: packs.clone(), ..self }
    }
}

impl Algorithm {
    /// The algorithm of the library with this name: `"allreduce/ring"`.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::all().find(|algorithm| algorithm.to_string() == name)
    }

    /// Those of the library.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        Collective::ALL.iter().flat_map(|collective| collective.algorithms()).copied()
    }

    /// Its number on the wire: a hash of its name and the collective, never 0 and never `u32::MAX`.
    #[must_use]
    pub fn code(&self) -> u32 {
        let collective = (self.collective as u32 + 1) << 24;
        (hash(self.name) ^ collective).clamp(1, u32::MAX - 1)
    }

    /// The algorithm of the library with this number.
    #[must_use]
    pub fn from_code(code: u32) -> Option<&'static Self> {
        Self::all().find(|algorithm| algorithm.code() == code)
    }

    /// How many pieces each value is cut into.
    #[must_use]
    pub fn pieces(&self, shape: &Shape) -> usize {
        self.cut.map_or(1, |cut| cut(shape.clone()))
    }

    /// How many blocks a workspace has, those for others besides.
    #[must_use]
    pub fn blocks(&self, shape: &Shape) -> usize {
        self.collective.blocks(shape.size, self.pieces(shape)) + self.scratch(shape)
    }

    /// How many of them are for others.
    #[must_use]
    pub fn scratch(&self, shape: &Shape) -> usize {
        match self.medium {
            Medium::Packs { scratch, .. } | Medium::Relay { scratch } => scratch(shape),
            Medium::Links | Medium::Shared => 0,
        }
    }

    /// Whether its ranks publish and fetch, all of them.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.medium, Medium::Shared)
    }

    /// The strongest demand that it meets there: where packs are scattered, what they combine is out of
    /// order.
    #[must_use]
    pub fn demand_among(&self, packs: &Packs) -> Demand {
        match self.medium {
            Medium::Packs { .. } if !packs.is_contiguous() => Demand::Commutative,
            _ => self.demand,
        }
    }

    /// Whether it publishes, and its ranks find what is published without a message that tells them
    /// to look.
    #[must_use]
    pub fn is_silent(&self, size: usize) -> bool {
        let first = || (self.steps)(1, Shape::of(size)).next().map(|step| step.action);
        self.is_shared() && (size < 2 || !matches!(first(), Some(Action::Recv { .. })))
    }

    /// Checks that it does what its collective promises, at the cost that it claims.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, shape: Shape) -> Result<check::Report, check::CheckError> {
        check::Check::of(self, &shape).run(|rank| (self.steps)(rank, shape.clone()))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.collective, self.name)
    }
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Algorithm({self})")
    }
}

/// Two are equal if their names are.
impl PartialEq for Algorithm {
    fn eq(&self, other: &Self) -> bool {
        (self.collective, self.name) == (other.collective, other.name)
    }
}

impl Eq for Algorithm {}
