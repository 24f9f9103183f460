//! Why an algorithm is not taken.

use super::{Algorithm, Collective, Demand, Medium, Packing, Place, Question, Shape, Shelf};
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
    /// It is for packs, and there are none that links join.
    Unpacked,
    /// It combines pack by pack, and that is not the order of ranks.
    Scattered,
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
        // A pipeline of one chunk cuts nothing. Into how many parts packs cut, only they tell.
        let packed = matches!(algorithm.medium, Medium::Packs { .. });
        let cuts =
            || algorithm.pieces(&Shape::of(question.size)) > 1 || packed && algorithm.cut.is_some();
        if algorithm.collective != question.collective {
            Some(Self::Collective)
        } else if algorithm.is_shared() && !question.together && question.store == Shelf::None {
            Some(Self::Apart)
        } else if let Some(objection) = Self::of_packs(algorithm, question) {
            Some(objection)
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

    fn of_packs(algorithm: &Algorithm, question: &Question) -> Option<Self> {
        let Medium::Packs { .. } = algorithm.medium else { return None };
        // What ends at a rank has to begin at the lowest one.
        let scans = matches!(algorithm.collective, Collective::Scan | Collective::Exscan);
        let combines = algorithm.collective.combines();
        let in_order = scans || combines && question.demand > Demand::Commutative;
        if !question.is_in(Place::Packs) {
            Some(Self::Unpacked)
        } else if in_order && question.packing == Packing::Scattered {
            Some(Self::Scattered)
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
            Self::Unpacked => "it needs several ranks in one of several processes that links join",
            Self::Scattered => "it combines pack by pack, and that is not the order of ranks",
            Self::Untold => "nobody would be told to look for what it publishes",
            Self::Place => "the rule is for ranks that reach each other in another way",
            Self::Size => "the rule is for other numbers of ranks",
            Self::Bytes => "the rule is for other numbers of bytes",
            Self::UnknownBytes => "the rule asks for bytes that not all ranks know",
        })
    }
}
