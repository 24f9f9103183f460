//! Symbolic values: inputs and their combinations.
//!
//! Terms are hash-consed: equal trees have equal numbers, so that ranks with the same bracketing are
//! found by comparing two integers, and a term that many ranks hold exists once. Each term knows
//! what is asked of it most, so that a check seldom walks a tree.

use crate::plan::Demand;
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

/// The number of a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Term(u32);

/// One piece of what a rank brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) rank: usize,
    pub(super) part: usize,
}

/// All terms of one check.
#[derive(Debug)]
pub(super) struct Terms {
    size: usize,
    parts: usize,
    /// The combinations. Inputs have the numbers before them and need no node.
    nodes: Vec<Node>,
    combined: FxHashMap<(Term, Term), Term>,
    /// Which terms out of order have each input once.
    each_once: FxHashMap<Term, bool>,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    /// The operands of a combination.
    operands: Option<(Term, Term)>,
    /// How many inputs are in it, repeated ones as often as they are.
    inputs: u32,
    /// Of which ranks, if each is there once, in order and without a gap.
    range: Option<(u32, u32)>,
    /// Which input of these ranks.
    part: u32,
    /// Whether each right operand in it is an input.
    left_fold: bool,
}

/// Longer combinations are not written out.
const WRITTEN: u32 = 16;

impl Terms {
    /// With `parts` inputs of each of `size` ranks.
    pub(super) fn new(size: usize, parts: usize) -> Self {
        let (nodes, combined, each_once) = Default::default();
        Self { size, parts, nodes, combined, each_once }
    }

    /// The term that is an input alone.
    pub(super) fn input(&self, input: Input) -> Term {
        Term((input.part * self.size + input.rank) as u32)
    }

    /// The term `left · right`. `None` if they are of different parts.
    pub(super) fn combine(&mut self, left: Term, right: Term) -> Option<Term> {
        let (l, r) = (self.node(left), self.node(right));
        if l.part != r.part {
            return None;
        }
        let next = Term((self.size * self.parts + self.nodes.len()) as u32);
        let entry = match self.combined.entry((left, right)) {
            Entry::Occupied(known) => return Some(*known.get()),
            Entry::Vacant(entry) => entry,
        };
        entry.insert(next);
        self.nodes.push(Node {
            operands: Some((left, right)),
            inputs: l.inputs.saturating_add(r.inputs),
            range: match (l.range, r.range) {
                (Some((start, middle)), Some((from, end))) if middle == from => Some((start, end)),
                _ => None,
            },
            part: l.part,
            left_fold: l.left_fold && r.operands.is_none(),
        });
        Some(next)
    }

    /// Whether the term combines exactly this part of these ranks, as demanded.
    pub(super) fn is(
        &mut self,
        term: Term,
        ranks: &Range<usize>,
        part: usize,
        demand: Demand,
    ) -> bool {
        let node = self.node(term);
        if node.part as usize != part || node.inputs as usize != ranks.len() {
            return false;
        }
        let in_order = node.range == Some((ranks.start as u32, ranks.end as u32));
        match demand {
            Demand::Ordered => in_order && node.left_fold,
            Demand::Associative => in_order,
            Demand::Commutative => in_order || self.has_each_once(term, ranks),
        }
    }

    /// The term in the notation of [`CheckError`](super::CheckError).
    pub(super) fn text(&self, term: Term) -> String {
        let node = self.node(term);
        match node.operands {
            None => {
                let rank = term.0 as usize % self.size;
                if self.parts == 1 { rank.to_string() } else { format!("{rank}#{}", node.part) }
            }
            Some(_) if node.inputs > WRITTEN => format!("{} inputs", node.inputs),
            Some((left, right)) => format!("({}·{})", self.text(left), self.text(right)),
        }
    }

    fn node(&self, term: Term) -> Node {
        let (number, inputs) = (term.0 as usize, self.size * self.parts);
        if number >= inputs {
            return self.nodes[number - inputs];
        }
        let rank = (number % self.size) as u32;
        Node {
            operands: None,
            inputs: 1,
            range: Some((rank, rank + 1)),
            part: (number / self.size) as u32,
            left_fold: true,
        }
    }

    /// Only for a term with as many inputs as there are ranks, asked always for the same ranks:
    /// a tree with shared parts may be exponentially larger than its terms.
    fn has_each_once(&mut self, term: Term, ranks: &Range<usize>) -> bool {
        if let Some(known) = self.each_once.get(&term) {
            return *known;
        }
        let mut seen = vec![false; ranks.len()];
        let mut todo = vec![term];
        while let Some(term) = todo.pop() {
            let node = self.node(term);
            if let Some((left, right)) = node.operands {
                todo.extend([left, right]);
            } else {
                let rank = term.0 as usize % self.size;
                if ranks.contains(&rank) {
                    seen[rank - ranks.start] = true;
                }
            }
        }
        let each = seen.into_iter().all(|seen| seen);
        self.each_once.insert(term, each);
        each
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Demand::{Associative, Commutative, Ordered};

    fn meets(terms: &mut Terms, term: Term, ranks: Range<usize>) -> [bool; 3] {
        [Commutative, Associative, Ordered].map(|demand| terms.is(term, &ranks, 0, demand))
    }

    #[test]
    fn each_demand_is_told_from_the_next() {
        let mut terms = Terms::new(3, 1);
        let [a, b, c] = [0, 1, 2].map(|rank| terms.input(Input { rank, part: 0 }));
        let mut both = |left, right| terms.combine(left, right).unwrap();
        let (ab, bc) = (both(a, b), both(b, c));
        let (left, right, turned, twice) = (both(ab, c), both(a, bc), both(c, ab), both(ab, b));
        assert_eq!(both(ab, c), left);
        assert_eq!(meets(&mut terms, left, 0..3), [true, true, true]);
        assert_eq!(meets(&mut terms, right, 0..3), [true, true, false]);
        assert_eq!(meets(&mut terms, turned, 0..3), [true, false, false]);
        assert_eq!(meets(&mut terms, twice, 0..3), [false, false, false]);
        assert_eq!(meets(&mut terms, ab, 0..3), [false, false, false]);
        assert_eq!(terms.text(turned), "(2·(0·1))");
    }

    #[test]
    fn parts_are_told_apart() {
        let mut terms = Terms::new(2, 2);
        let [a, b, c] =
            [(0, 1), (1, 1), (1, 0)].map(|(rank, part)| terms.input(Input { rank, part }));
        let ab = terms.combine(a, b).unwrap();
        assert_eq!(terms.combine(a, c), None);
        assert!(terms.is(ab, &(0..2), 1, Ordered));
        assert!(!terms.is(ab, &(0..2), 0, Commutative));
        assert_eq!(terms.text(ab), "(0#1·1#1)");
    }

    #[test]
    fn doubling_a_term_stays_cheap() {
        let mut terms = Terms::new(1, 1);
        let mut term = terms.input(Input { rank: 0, part: 0 });
        for _ in 0..100 {
            term = terms.combine(term, term).unwrap();
        }
        assert!(!terms.is(term, &(0..1), 0, Commutative));
        assert_eq!(terms.text(term), format!("{} inputs", u32::MAX));
    }
}
