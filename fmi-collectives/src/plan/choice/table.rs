//! Rules in an order: the user's, then the library's.

use super::{Choice, Rule, can_run, library};
use crate::plan::{Algorithm, Collective, Question};
use std::fmt;

/// Rules in the order in which they are tried.
///
/// ```
/// use fmi_collectives::plan::{Rule, Table, allreduce};
///
/// // The ring from 1 MiB on, else what the library would take.
/// let table = Table::default().prefer(Rule::always(&allreduce::ring::ALGORITHM).from_bytes(1 << 20));
/// println!("{table}");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The user's, then the library's.
    rules: Vec<Rule>,
    /// How many are the user's.
    preferred: usize,
    /// Of each collective, which rules are about it: asked at every call.
    about: [Vec<usize>; Collective::ALL.len()],
}

impl Table {
    /// With a rule that is tried before all others.
    #[must_use]
    pub fn prefer(mut self, rule: Rule) -> Self {
        self.rules.insert(0, rule);
        Self::new(self.rules, self.preferred + 1)
    }

    /// Of which so many are the user's.
    fn new(rules: Vec<Rule>, preferred: usize) -> Self {
        let mut about = [const { Vec::new() }; Collective::ALL.len()];
        for (at, rule) in rules.iter().enumerate() {
            about[rule.algorithm.collective as usize].push(at);
        }
        Self { rules, preferred, about }
    }

    /// Those that somebody prefers to the library's own.
    #[must_use]
    pub fn preferred(&self) -> &[Rule] {
        &self.rules[..self.preferred]
    }

    /// What the first preferred rule that applies says.
    #[must_use]
    pub fn preference(&self, question: &Question) -> Option<Choice> {
        let rule = self.preferred().iter().find(|rule| rule.applies(question))?;
        Some(Choice { algorithm: rule.algorithm, chunks: question.chunks() })
    }

    /// In the order in which they are tried.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// An algorithm that a rule names, by its number on the wire.
    #[must_use]
    pub fn find(&self, collective: Collective, code: u32) -> Option<&'static Algorithm> {
        self.about(collective).map(|(_, rule)| rule.algorithm).find(|it| it.code() == code)
    }

    /// Those about a collective, and their places in the table.
    fn about(&self, collective: Collective) -> impl Iterator<Item = (usize, &Rule)> {
        self.about[collective as usize].iter().map(|&at| (at, &self.rules[at]))
    }

    /// The first rule that applies, and its place in the table.
    #[must_use]
    pub fn rule(&self, question: &Question) -> Option<(usize, &Rule)> {
        self.about(question.collective).find(|(_, rule)| rule.applies(question))
    }

    /// What the first rule that applies says; where none does, the first algorithm that can run.
    #[must_use]
    pub fn choose(&self, question: &Question) -> Choice {
        let algorithm = self.rule(question).map(|(_, rule)| rule.algorithm).or_else(|| {
            let mut all = question.collective.algorithms().iter().copied();
            all.find(|algorithm| can_run(algorithm, question))
        });
        let algorithm = algorithm.unwrap_or(question.collective.algorithms()[0]);
        Choice { algorithm, chunks: question.chunks() }
    }
}

impl Default for Table {
    /// The library's own.
    fn default() -> Self {
        Self::new(library::rules(), 0)
    }
}

/// One rule a line: algorithm, ranks, bytes, demand, place.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.rules {
            let (name, demand) = (rule.algorithm.to_string(), rule.algorithm.demand);
            let (ranks, bytes) = rule.limits();
            write!(f, "{name:<34}{ranks:<24}{bytes:<24} {demand}")?;
            match rule.place {
                Some(place) => writeln!(f, ", {place}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
