//! A job's next epoch while it forms: whom it waits for, and for how long.
//!
//! Pure: time comes in as an argument. A group forms anew at once when all its ranks are there.
//! Once a survivor has come, it does not wait for ever: replacements have a grace, and members of
//! the broken group that live but do not rejoin (they may compute) have as long as the others'
//! patience lasts. Newcomers alone are a job like any other and wait for their full size.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::protocol::Terms;

/// What is agreed while a group forms anew.
#[derive(Debug)]
pub(super) struct Regroup {
    after: u32,
    /// The process numbers of survivors, here and in the broken epoch.
    survivors: BTreeMap<u32, u32>,
    /// When the first of them came.
    since: Option<Instant>,
    /// Of all who came, the most demanding ones.
    terms: Terms,
}

impl Regroup {
    pub(super) fn new(after: u32) -> Self {
        let terms = Terms { grace: Duration::ZERO, patience: Duration::ZERO, min_size: 1 };
        Self { after, survivors: BTreeMap::new(), since: None, terms }
    }

    /// The broken epoch.
    pub(super) fn after(&self) -> u32 {
        self.after
    }

    /// A process has come; if a survivor, with its number in the broken epoch.
    pub(super) fn enter(
        &mut self,
        process: u32,
        survivor: Option<u32>,
        terms: Terms,
        now: Instant,
    ) {
        self.terms = Terms {
            grace: self.terms.grace.max(terms.grace),
            patience: self.terms.patience.max(terms.patience),
            min_size: self.terms.min_size.max(terms.min_size),
        };
        if let Some(before) = survivor {
            self.survivors.insert(process, before);
            self.since.get_or_insert(now);
        }
    }

    /// A process has gone again. Its number in the broken epoch, if it had one.
    pub(super) fn exit(&mut self, process: u32) -> Option<u32> {
        let before = self.survivors.remove(&process);
        if self.survivors.is_empty() {
            self.since = None;
        }
        before
    }

    /// When the group may go on with the `present` of `full` ranks, while so many are `reserved`
    /// for members of the broken group that live.
    pub(super) fn due(&self, present: u32, reserved: u32, full: u32) -> Option<Instant> {
        let since = self.since?;
        if present < self.terms.min_size.min(full) {
            return None;
        }
        let wait = match reserved {
            0 => self.terms.grace,
            _ => self.terms.patience.max(self.terms.grace),
        };
        // What overflows the clock never comes.
        since.checked_add(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(grace: u64, patience: u64, min_size: u32) -> Terms {
        Terms {
            grace: Duration::from_secs(grace),
            patience: Duration::from_secs(patience),
            min_size,
        }
    }

    #[test]
    fn time_runs_from_the_first_survivor_on_the_most_patient_terms() {
        let start = Instant::now();
        let after = |seconds| Some(start + Duration::from_secs(seconds));
        let mut regroup = Regroup::new(7);
        regroup.enter(0, None, terms(3, 9, 1), start);
        assert_eq!(regroup.due(1, 0, 4), None, "newcomers alone wait for all");
        regroup.enter(1, Some(5), terms(2, 30, 1), start + Duration::from_secs(1));
        assert_eq!(regroup.due(2, 0, 4), after(4));
        assert_eq!(regroup.due(2, 1, 4), after(31), "a member lives and may compute");
        regroup.enter(2, Some(6), terms(5, 1, 3), start + Duration::from_secs(2));
        assert_eq!(regroup.due(3, 0, 4), after(6));
        assert_eq!(regroup.due(2, 0, 4), None, "one of them demands three ranks");
        assert_eq!(regroup.due(2, 0, 2), after(6), "more than all is all");
        assert_eq!((regroup.exit(1), regroup.exit(0), regroup.exit(2)), (Some(5), None, Some(6)));
        assert_eq!(regroup.due(3, 0, 4), None);
    }

    #[test]
    fn forged_terms_overflow_nothing() {
        let mut regroup = Regroup::new(7);
        let forged = Terms { grace: Duration::MAX, patience: Duration::MAX, min_size: u32::MAX };
        regroup.enter(0, Some(0), forged, Instant::now());
        assert_eq!(regroup.due(4, 1, 4), None);
        assert_eq!(regroup.due(4, 0, 4), None);
    }
}
