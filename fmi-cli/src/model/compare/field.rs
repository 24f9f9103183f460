//! What is compared: the best of each channel, wherever it is asked for, and where another becomes the best.

use crate::model::{
    call::Call,
    setting::{Candidate, Candidates, Setting},
    way::Way,
};
use fmi_model::Objective;
use std::{borrow::Cow, cell::RefCell, collections::BTreeMap, rc::Rc};

/// A call, over ranks or bytes.
pub(super) struct Field<'a> {
    pub(super) call: Call,
    pub(super) setting: &'a Setting,
    pub(super) over: Over,
    /// What was asked for, in order.
    pub(super) grid: Vec<usize>,
    /// Those that were asked for; none: all.
    ways: &'a [Way],
    /// What is known already.
    known: RefCell<BTreeMap<usize, Rc<Vec<Candidate>>>>,
}

/// What the numbers of the grid are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Bytes { ranks: usize },
    Ranks { bytes: usize },
}

/// Where something else becomes the best.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Crossover {
    /// From here on.
    pub(super) at: usize,
    pub(super) before: Candidate,
    pub(super) after: Candidate,
}

/// Crossovers are found to within this share: the model knows no better.
const NEAR: usize = 100;

impl<'a> Field<'a> {
    pub(super) fn new(
        call: Call,
        setting: &'a Setting,
        ways: &'a [Way],
        (over, grid): (Over, Vec<usize>),
    ) -> Self {
        Self { call, setting, over, grid, ways, known: RefCell::default() }
    }

    /// Looks at all of the grid; `done` is called after each number.
    pub(super) fn find(&self, done: impl Fn()) {
        for &at in &self.grid {
            self.bests(at);
            done();
        }
    }

    /// Ranks and bytes, where the grid has this number.
    pub(super) fn at(&self, number: usize) -> (usize, usize) {
        match self.over {
            Over::Bytes { ranks } => (ranks, number),
            Over::Ranks { bytes } => (number, bytes),
        }
    }

    /// The ways between so many ranks.
    pub(super) fn ways(&self, ranks: usize) -> Cow<'a, [Way]> {
        match self.ways.is_empty() || self.setting.is_together(ranks) {
            true => self.setting.ways(ranks).into(),
            false => self.ways.into(),
        }
    }

    /// All that could be done over each channel.
    pub(super) fn all(&self, number: usize) -> Vec<(Way, Candidates)> {
        let (ranks, bytes) = self.at(number);
        let ways = self.ways(ranks).into_owned().into_iter();
        let candidates = |way: &Way| self.setting.candidates(self.call, ranks, bytes as u64, way);
        ways.map(|way| (way.clone(), candidates(&way))).collect()
    }

    /// The best of each channel.
    pub(super) fn bests(&self, number: usize) -> Rc<Vec<Candidate>> {
        if let Some(known) = self.known.borrow().get(&number) {
            return Rc::clone(known);
        }
        let first = |(_, candidates): (Way, Candidates)| candidates.all.into_iter().next();
        let bests = Rc::new(self.all(number).into_iter().filter_map(first).collect());
        self.known.borrow_mut().insert(number, Rc::clone(&bests));
        bests
    }

    /// The best of these by what is wanted.
    pub(super) fn best(&self, number: usize, wanted: Objective) -> Option<Candidate> {
        let bests = self.bests(number);
        bests.iter().min_by(|one, other| wanted.compare(&one.price, &other.price)).cloned()
    }

    /// The names of all channels, in the order in which they were asked for.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for best in self.grid.iter().flat_map(|at| self.bests(*at).to_vec()) {
            if !names.contains(&best.way) {
                names.push(best.way);
            }
        }
        names
    }

    /// Where another channel or plan becomes the best of the channels' best.
    pub(super) fn crossovers(&self, wanted: Objective) -> Vec<Crossover> {
        let mut all = Vec::new();
        for pair in self.grid.windows(2) {
            self.between(pair[0], pair[1], wanted, &mut all);
        }
        all
    }

    /// Halves what is between two numbers until nothing changes in it, or it is narrow.
    fn between(&self, low: usize, high: usize, wanted: Objective, all: &mut Vec<Crossover>) {
        let (Some(before), Some(after)) = (self.best(low, wanted), self.best(high, wanted)) else {
            return;
        };
        if before.way == after.way && before.kind() == after.kind() {
            return;
        }
        if high - low <= (low / NEAR).max(1) {
            all.push(Crossover { at: high, before, after });
            return;
        }
        let middle = low + (high - low) / 2;
        self.between(low, middle, wanted, all);
        self.between(middle, high, wanted, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::setting::Wanted;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        wanted: Wanted,
    }

    fn setting(options: &str) -> Setting {
        let line = Line::try_parse_from(["test"].into_iter().chain(options.split_whitespace()));
        line.unwrap().wanted.setting().unwrap()
    }

    #[test]
    fn crossovers_are_where_the_best_changes() {
        let setting = setting("--profile aws-lambda --memory 2GiB");
        let grid = (0..20).map(|power| 8 << power).collect();
        let over = (Over::Bytes { ranks: 64 }, grid);
        let field = Field::new(Call::FanOut, &setting, &[], over);
        for wanted in [Objective::Fast, Objective::Cheap] {
            let all = field.crossovers(wanted);
            assert!(!all.is_empty());
            for Crossover { at, before, after } in &all {
                assert_ne!((&before.way, before.kind()), (&after.way, after.kind()));
                let best = field.best(*at, wanted).unwrap();
                assert_eq!((&best.way, best.kind()), (&after.way, after.kind()));
                let near = field.best(at - at / NEAR - 1, wanted).unwrap();
                assert_eq!((&near.way, near.kind()), (&before.way, before.kind()));
            }
            assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at));
        }
    }

    #[test]
    fn in_one_process_no_channel_is_asked() {
        let setting = setting("--pack 8");
        let over = (Over::Ranks { bytes: 8 }, vec![8, 16]);
        let call = Call::Collective(fmi::plan::Collective::Allreduce);
        let field = Field::new(call, &setting, &[], over);
        assert_eq!(field.names(), ["local", "tcp", "redis", "s3"]);
    }
}
