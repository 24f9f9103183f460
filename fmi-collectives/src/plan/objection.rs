//! Why an algorithm is not taken.

use super::{Algorithm, Question, Shape, Shelf};
use std::fmt;

/// What speaks against an algorithm or a rule, given a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Objection {
    /// It is for another collective.
    Collective,
    /// It does not combine as the operation demands.
    Demand,
    /// It cuts values, and these cannot be cut.
    Opaque,
    /// It cuts values, and there are several.
    Several,
    /// It publishes and fetches, and the ranks share neither memory nor a store.
    Apart,
    /// It publishes what nobody is told of, where ranks do not look for it unasked.
    Untold,
    /// The rule is for ranks that reach each other in another way.
    Place,
    /// The rule is for other numbers of ranks.
    Size,
    /// The rule is for other numbers of bytes.
    Bytes,
    /// The rule is for some numbers of bytes, and not all ranks know this one.
    UnknownBytes,
}

impl Objection {
    /// Why the algorithm would not give the right result, if so.
    pub(super) fn to(algorithm: &Algorithm, question: &Question) -> Option<Self> {
        let combines = question.collective.combines();
        // A pipeline of one chunk cuts nothing.
        let cuts = || algorithm.pieces(Shape::of(question.size)) > 1;
        if algorithm.collective != question.collective {
            Some(Self::Collective)
        } else if algorithm.shared && !question.together && question.store == Shelf::None {
            Some(Self::Apart)
        } else if combines && algorithm.demand < question.demand {
            Some(Self::Demand)
        } else if algorithm.cut.is_some() && question.collective.blocks(question.size, 1) > 1 {
            Some(Self::Several)
        } else if !question.cuttable && cuts() {
            Some(Self::Opaque)
        } else {
            None
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Collective => "it is for another collective",
            Self::Demand => "it does not combine in the order that the operation demands",
            Self::Opaque => "it cuts values, and these cannot be cut",
            Self::Several => "it cuts values, and of several only whole ones can be moved yet",
            Self::Apart => "it needs ranks that share memory or a store",
            Self::Untold => "nobody would be told to look for what it publishes",
            Self::Place => "the rule is for ranks that reach each other in another way",
            Self::Size => "the rule is for other numbers of ranks",
            Self::Bytes => "the rule is for other numbers of bytes",
            Self::UnknownBytes => "the rule asks for bytes that not all ranks know",
        })
    }
}
