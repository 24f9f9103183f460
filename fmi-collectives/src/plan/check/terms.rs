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
pub(super) struct Term(usize);

/// All terms of one check.
#[derive(Debug)]
pub(super) struct Terms {
    /// Input `i` is term `i`; combinations follow.
    nodes: Vec<Node>,
    combined: FxHashMap<(Term, Term), Term>,
}

#[derive(Debug, Clone)]
struct Node {
    /// The operands of a combination.
    operands: Option<(Term, Term)>,
    /// How many inputs are in it, repeated ones as often as they are.
    inputs: usize,
    /// Which inputs, if each is there once, in order and without a gap.
    range: Option<Range<usize>>,
    /// Whether each right operand in it is an input.
    left_fold: bool,
}

/// Longer combinations are not written out.
const WRITTEN: usize = 16;

impl Terms {
    /// With the inputs 0 to `inputs - 1`.
    pub(super) fn new(inputs: usize) -> Self {
        let node = |input| Node {
            operands: None,
            inputs: 1,
            range: Some(input..input + 1),
            left_fold: true,
        };
        Self { nodes: (0..inputs).map(node).collect(), combined: FxHashMap::default() }
    }

    /// The term that is an input alone.
    pub(super) fn input(&self, input: usize) -> Term {
        Term(input)
    }

    /// The term `left · right`.
    pub(super) fn combine(&mut self, left: Term, right: Term) -> Term {
        let entry = match self.combined.entry((left, right)) {
            Entry::Occupied(known) => return *known.get(),
            Entry::Vacant(entry) => entry,
        };
        let (l, r) = (&self.nodes[left.0], &self.nodes[right.0]);
        let node = Node {
            operands: Some((left, right)),
            inputs: l.inputs.saturating_add(r.inputs),
            range: match (&l.range, &r.range) {
                (Some(l), Some(r)) if l.end == r.start => Some(l.start..r.end),
                _ => None,
            },
            left_fold: l.left_fold && r.operands.is_none(),
        };
        let term = *entry.insert(Term(self.nodes.len()));
        self.nodes.push(node);
        term
    }

    /// Whether the term combines exactly these inputs as demanded.
    pub(super) fn is(&self, term: Term, inputs: &Range<usize>, demand: Demand) -> bool {
        let node = &self.nodes[term.0];
        let in_order = node.range.as_ref() == Some(inputs);
        match demand {
            Demand::Ordered => in_order && node.left_fold,
            Demand::Associative => in_order,
            Demand::Commutative => in_order || self.has_each_once(term, inputs),
        }
    }

    /// The term in the notation of [`CheckError`](super::CheckError).
    pub(super) fn text(&self, term: Term) -> String {
        let node = &self.nodes[term.0];
        match node.operands {
            None => term.0.to_string(),
            Some(_) if node.inputs > WRITTEN => format!("{} inputs", node.inputs),
            Some((left, right)) => format!("({}·{})", self.text(left), self.text(right)),
        }
    }

    fn has_each_once(&self, term: Term, inputs: &Range<usize>) -> bool {
        // The count first: a tree with shared parts may be exponentially larger than its terms.
        if self.nodes[term.0].inputs != inputs.len() {
            return false;
        }
        let mut seen = vec![false; inputs.len()];
        let mut todo = vec![term];
        while let Some(term) = todo.pop() {
            if let Some((left, right)) = self.nodes[term.0].operands {
                todo.extend([left, right]);
            } else if inputs.contains(&term.0) {
                seen[term.0 - inputs.start] = true;
            }
        }
        seen.into_iter().all(|seen| seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Demand::{Associative, Commutative, Ordered};

    fn meets(terms: &Terms, term: Term, inputs: Range<usize>) -> [bool; 3] {
        [Commutative, Associative, Ordered].map(|demand| terms.is(term, &inputs, demand))
    }

    #[test]
    fn each_demand_is_told_from_the_next() {
        let mut terms = Terms::new(3);
        let [a, b, c] = [0, 1, 2].map(|input| terms.input(input));
        let ab = terms.combine(a, b);
        let bc = terms.combine(b, c);
        let left = terms.combine(ab, c);
        let right = terms.combine(a, bc);
        let turned = terms.combine(c, ab);
        let twice = terms.combine(ab, b);
        assert_eq!(meets(&terms, left, 0..3), [true, true, true]);
        assert_eq!(meets(&terms, right, 0..3), [true, true, false]);
        assert_eq!(meets(&terms, turned, 0..3), [true, false, false]);
        assert_eq!(meets(&terms, twice, 0..3), [false, false, false]);
        assert_eq!(meets(&terms, ab, 0..3), [false, false, false]);
        assert_eq!(terms.text(turned), "(2·(0·1))");
        assert_eq!(terms.combine(ab, c), left);
    }

    #[test]
    fn doubling_a_term_stays_cheap() {
        let mut terms = Terms::new(1);
        let mut term = terms.input(0);
        for _ in 0..100 {
            term = terms.combine(term, term);
        }
        assert!(!terms.is(term, &(0..1), Commutative));
        assert_eq!(terms.text(term), format!("{} inputs", usize::MAX));
    }
}
