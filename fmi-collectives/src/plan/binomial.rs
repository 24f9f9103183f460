//! The binomial tree under bcast, gather and scatter.
//!
//! Its nodes are *relative* ranks, counted from the root: node 0 is the root, node `v` is rank
//! `(root + v) mod size`. The parent of a node is the node without its lowest set bit, so that each
//! subtree is a contiguous range of nodes.
//!
//! ```text
//!        0
//!      / | \
//!     4  2  1      size 7: the subtree of 4 is 4..7
//!    /|  |
//!   6 5  3
//! ```

use super::{Blocks, Shape, log2_ceil};
use std::ops::Range;

/// A binomial tree over all ranks.
#[derive(Clone, Copy)]
pub(super) struct Tree {
    pub(super) size: usize,
    pub(super) root: usize,
}

impl Tree {
    pub(super) fn of(shape: &Shape) -> Self {
        Self { size: shape.size, root: shape.root }
    }

    /// The node of a rank.
    pub(super) fn node(self, rank: usize) -> usize {
        // Not (rank + size - root) % size: no division on the way to a message.
        if rank >= self.root { rank - self.root } else { rank + self.size - self.root }
    }

    /// The rank of a node.
    pub(super) fn rank(self, node: usize) -> usize {
        let above = self.size - self.root;
        if node < above { self.root + node } else { node - above }
    }

    /// The node above. The root has none.
    pub(super) fn parent(self, node: usize) -> Option<usize> {
        (node != 0).then(|| node & (node - 1))
    }

    /// The nodes below, smallest subtree first.
    pub(super) fn children(self, node: usize) -> impl DoubleEndedIterator<Item = usize> + Send {
        // One child for each 2^k below the lowest set bit that stays inside the tree.
        let count = log2_ceil(self.size - node).min(node.trailing_zeros() as usize);
        (0..count).map(move |k| node + (1 << k))
    }

    /// The node and all nodes below it.
    pub(super) fn subtree(self, node: usize) -> Range<usize> {
        match node {
            0 => 0..self.size,
            _ => node..(node + (1 << node.trailing_zeros())).min(self.size),
        }
    }

    /// Block `i` of each rank `i` in the subtree.
    pub(super) fn blocks(self, node: usize) -> Blocks {
        Blocks::wrapping(self.rank(node), self.subtree(node).len(), 0..self.size)
    }

    /// How many nodes the largest subtree below the root has, 0 if there is none.
    pub(super) fn largest_subtree(self) -> usize {
        self.children(0).map(|child| self.subtree(child).len()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_ranks_counted_from_the_root() {
        let tree = Tree { size: 5, root: 3 };
        let nodes: Vec<usize> = (0..5).map(|rank| tree.node(rank)).collect();
        assert_eq!(nodes, [2, 3, 4, 0, 1]);
        for rank in 0..5 {
            assert_eq!(tree.rank(tree.node(rank)), rank);
        }
    }

    #[test]
    fn a_subtree_is_its_node_and_its_childrens_subtrees() {
        for size in 1..=33 {
            let tree = Tree { size, root: 0 };
            for node in 0..size {
                let mut end = node + 1;
                for child in tree.children(node) {
                    assert_eq!(tree.parent(child), Some(node));
                    assert_eq!(tree.subtree(child).start, end);
                    end = tree.subtree(child).end;
                }
                assert_eq!(tree.subtree(node), node..end);
            }
        }
    }
}
