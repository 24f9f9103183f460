//! The models that the processes of a forming job bring; one of them becomes the group's.
//!
//! It is that which has learnt the most, else that of the lowest process that has one: who comes anew, after a
//! loss, must not make those who were there forget. Until the job is complete that one may leave, so
//! its successors' are kept, too: equal ones once, and of those that differ only the lowest few. So
//! it is another's than the lowest's only if all processes with those have left.

use fmi_model::learn::marked;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Models that differ, of one job.
const KEPT: usize = 16;

/// Each model, and the processes that brought it.
#[derive(Debug, Default)]
pub(crate) struct Models(BTreeMap<String, BTreeSet<u32>>);

impl Models {
    /// A process comes, with its model; an empty one is none.
    pub(crate) fn enter(&mut self, process: u32, model: String) {
        if model.is_empty() {
            return;
        }
        self.0.entry(model).or_default().insert(process);
        if self.0.len() > KEPT {
            let last = self
                .0
                .iter()
                .max_by_key(|(model, processes)| (Reverse(marked(model)), processes.first()));
            if let Some(last) = last.map(|(model, _)| model.clone()) {
                self.0.remove(&last);
            }
        }
    }

    /// A process goes.
    #[cfg(feature = "tcp")]
    pub(crate) fn leave(&mut self, process: u32) {
        self.0.retain(|_, processes| {
            processes.remove(&process);
            !processes.is_empty()
        });
    }

    /// The model that has learnt the most, of processes in the job; of equal ones that of the lowest. Empty if
    /// there is none.
    pub(crate) fn first(&self, is_in: impl Fn(u32) -> bool) -> &str {
        let lowest = |processes: &BTreeSet<u32>| processes.iter().copied().find(|one| is_in(*one));
        let models = self
            .0
            .iter()
            .filter_map(|(model, all)| Some((Reverse(marked(model)), lowest(all)?, &model[..])));
        models.min().map_or("", |(.., model)| model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Brought by processes 0, 1, 2…
    fn models<'m>(all: impl IntoIterator<Item = &'m str>) -> Models {
        let mut models = Models::default();
        for (process, model) in (0..).zip(all) {
            models.enter(process, model.to_owned());
        }
        models
    }

    #[test]
    fn lowest_that_is_in_and_has_one() {
        let models = models(["", "b", "a", "b"]);
        assert_eq!(models.0.len(), 2);
        assert_eq!(models.first(|_| true), "b");
        assert_eq!(models.first(|process| process > 1), "a");
        assert_eq!(models.first(|process| process > 2), "b");
        assert_eq!(models.first(|process| process == 0), "");
    }

    #[test]
    fn who_comes_anew_makes_nobody_forget() {
        let learnt = ["# learnt 2\nx", "# learnt 10\nx"];
        let mut models = models(["x", learnt[0], learnt[1], "x"]);
        assert_eq!(models.first(|_| true), learnt[1]);
        assert_eq!(models.first(|process| process != 2), learnt[0]);
        for number in 4..100 {
            models.enter(number, number.to_string());
        }
        assert_eq!(models.first(|_| true), learnt[1]);
    }

    #[test]
    #[cfg(feature = "tcp")]
    fn successors_in_their_order() {
        let mut models = models(["", "b", "a", "b"]);
        for (gone, next) in [(0, "b"), (1, "a"), (9, "a"), (2, "b"), (3, "")] {
            models.leave(gone);
            assert_eq!(models.first(|_| true), next);
        }
        assert!(models.0.is_empty());
    }

    #[test]
    fn of_many_the_lowest_are_kept_in_whatever_order_they_come() {
        let mut models = Models::default();
        for number in 0..1000 {
            // A permutation of all.
            let process = number * 7 % 1000;
            models.enter(process, process.to_string());
        }
        assert_eq!(models.0.len(), KEPT);
        assert_eq!(models.first(|_| true), "0");
        assert_eq!(models.first(|process| process + 1 >= KEPT as u32), "15");
    }
}
