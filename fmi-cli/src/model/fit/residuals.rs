//! How far off the model is from what was measured, and what its choices lose.

use super::sample::{Cell, Sample, market};
use fmi_model::{Profile, Seconds, fit::median};
use std::{collections::BTreeMap, fmt::Write as _};

/// Measurements, and what a profile says of them.
#[derive(Debug)]
pub(in crate::model) struct Residuals {
    rows: Vec<Residual>,
}

/// One of them.
#[derive(Debug, Clone)]
struct Residual {
    cell: Cell,
    plan: Option<&'static str>,
    measured: Seconds,
    /// Each time, in the order of the rounds. Plans that are the same were measured several times in each.
    times: Vec<Seconds>,
    predicted: Seconds,
    /// By what plans are chosen.
    price: Seconds,
}

/// A cell in which several plans could run.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::model) struct Choice {
    pub(in crate::model) cell: Cell,
    pub(in crate::model) chosen: &'static str,
    pub(in crate::model) best: &'static str,
    /// How much longer than the best the chosen one takes, as a part of that.
    pub(in crate::model) lost: f64,
}

/// What a choice may lose and still be good.
pub(in crate::model) const NEAR: f64 = 0.1;

impl Residuals {
    pub(in crate::model) fn new(profile: &Profile, samples: &[Sample]) -> Self {
        let mut markets = BTreeMap::new();
        let rows = samples.iter().map(|sample| {
            let name = sample.channel();
            let market = markets.entry(name).or_insert_with(|| market(profile, name));
            Residual {
                cell: sample.cell(),
                plan: sample.plan(),
                measured: sample.time(),
                times: sample.times().to_vec(),
                predicted: sample.predicted(market),
                price: sample.price(market),
            }
        });
        Self { rows: rows.collect() }
    }

    /// The median of |predicted / measured − 1|.
    pub(in crate::model) fn median_error(&self) -> f64 {
        median(self.rows.iter().map(|row| row.error().abs()))
    }

    /// The channels, in order.
    pub(in crate::model) fn channels(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.rows.iter().map(|row| row.cell.0.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Those of one channel.
    pub(in crate::model) fn of(&self, channel: &str) -> Self {
        let of = self.rows.iter().filter(|row| row.cell.0 == channel);
        Self { rows: of.cloned().collect() }
    }

    /// What is chosen in each cell that has several plans. Where there were three rounds or more, each round judges
    /// the plan against the one that is best in all others: in the round where it is found, the best is also the
    /// luckiest.
    pub(in crate::model) fn choices(&self) -> Vec<Choice> {
        let mut cells: BTreeMap<&Cell, Vec<(&'static str, &Residual)>> = BTreeMap::new();
        for row in &self.rows {
            if let Some(plan) = row.plan {
                cells.entry(&row.cell).or_default().push((plan, row));
            }
        }
        let choice = |(cell, rows): (&Cell, Vec<_>)| {
            let several = rows.len() > 1;
            let (chosen, best) =
                (least(&rows, |row| row.price)?, least(&rows, |row| row.measured)?);
            let lost = lost(&rows, chosen.1);
            let choice = Choice { cell: cell.clone(), chosen: chosen.0, best: best.0, lost };
            several.then_some(choice)
        };
        cells.into_iter().filter_map(choice).collect()
    }

    /// Each of them, a line.
    pub(in crate::model) fn rows(&self) -> String {
        let mut text = format!(
            "{:<8}{:>6}  {:<34}{:>10}{:>14}{:>14}{:>9}\n",
            "channel", "ranks", "plan", "bytes", "measured", "predicted", "error"
        );
        for row in &self.rows {
            let (channel, op, ranks, bytes) = &row.cell;
            let plan =
                row.plan.map_or(op.name().to_owned(), |plan| format!("{}/{plan}", op.name()));
            let _ = writeln!(
                text,
                "{channel:<8}{ranks:>6}  {plan:<34}{bytes:>10}{:>14}{:>14}{:>+7.0} %",
                row.measured.to_string(),
                row.predicted.to_string(),
                row.error() * 100.0
            );
        }
        text
    }

    /// By channel and operation: how many, how far off in the median, and to which side; what choices lose.
    pub(in crate::model) fn summary(&self) -> String {
        let mut text = format!(
            "{:<8}{:<16}{:>13}{:>9}{:>9}{:>7}{:>11}\n",
            "channel", "operation", "measurements", "error", "bias", "cells", "good plan"
        );
        for channel in self.channels() {
            let of = self.of(channel);
            let mut ops: Vec<_> = of.rows.iter().map(|row| row.cell.1).collect();
            ops.sort_unstable();
            ops.dedup();
            for op in ops {
                let rows = of.rows.iter().filter(|row| row.cell.1 == op).cloned();
                text += &Self { rows: rows.collect() }.line(channel, op.name());
            }
            text += &of.line(channel, "all");
        }
        text
    }

    fn line(&self, channel: &str, what: &str) -> String {
        let choices = self.choices();
        let good = choices.iter().filter(|choice| choice.is_good()).count();
        let choices = match choices.len() {
            0 => String::new(),
            cells => format!("{cells:>7}{:>9.0} %", 100.0 * good as f64 / cells as f64),
        };
        let line = format!(
            "{channel:<8}{what:<16}{:>13}{:>7.0} %{:>+7.0} %{choices}",
            self.rows.len(),
            self.median_error() * 100.0,
            median(self.rows.iter().map(Residual::error)) * 100.0,
        );
        line.trim_end().to_owned() + "\n"
    }
}

/// Rounds of which each can be judged by the others.
const ROUNDS: usize = 3;

/// How much longer than the best one a plan takes, as a part of that.
fn lost(rows: &[(&'static str, &Residual)], chosen: &Residual) -> f64 {
    let rounds = rows.iter().map(|(_, row)| row.times.len()).min().unwrap_or_default();
    if rounds < ROUNDS || rows.iter().any(|(_, row)| row.times.len() % rounds != 0) {
        let best = rows.iter().map(|(_, row)| row.measured).fold(chosen.measured, Seconds::min);
        return chosen.measured / best - 1.0;
    }
    let judged_by = |round: usize| {
        let others = |row: &Residual| median_of(row.rounds(rounds), |other| other != round);
        let here = |row: &Residual| median_of(row.rounds(rounds), |other| other == round);
        let best = least(rows, others).map_or(chosen, |(_, best)| best);
        here(chosen) / here(best) - 1.0
    };
    // One odd round of a few is no verdict.
    median((0..rounds).map(judged_by))
}

/// The median of the times of some rounds.
fn median_of<'a>(
    rounds: impl Iterator<Item = &'a [Seconds]>,
    which: impl Fn(usize) -> bool,
) -> Seconds {
    let of = rounds.enumerate().filter(|(round, _)| which(*round));
    median(of.flat_map(|(_, times)| times).map(|time| time.get())).into()
}

/// The plan of which that is least.
fn least<'a>(
    rows: &[(&'static str, &'a Residual)],
    of: impl Fn(&Residual) -> Seconds,
) -> Option<(&'static str, &'a Residual)> {
    rows.iter().copied().min_by(|one, other| of(one.1).get().total_cmp(&of(other.1).get()))
}

impl Residual {
    /// Its times in each of so many rounds.
    fn rounds(&self, rounds: usize) -> impl Iterator<Item = &[Seconds]> {
        self.times.chunks(self.times.len() / rounds)
    }

    /// How far off, as a part of what was measured.
    fn error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }
}

impl Choice {
    /// Whether it is the best, or nearly.
    pub(in crate::model) fn is_good(&self) -> bool {
        self.lost <= NEAR
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Op;

    /// A plan's price, and its times in the order of the rounds, in seconds.
    fn row(plan: &'static str, price: f64, times: &[f64]) -> Residual {
        Residual {
            cell: ("tcp".to_owned(), Op::Bcast, 4, 8),
            plan: Some(plan),
            measured: median(times.iter().copied()).into(),
            times: times.iter().map(|time| Seconds::new(*time)).collect(),
            predicted: price.into(),
            price: price.into(),
        }
    }

    fn lost(rows: &[Residual]) -> f64 {
        let choices = Residuals { rows: rows.to_vec() }.choices();
        assert_eq!(choices.len(), 1);
        choices[0].lost
    }

    #[test]
    fn luck_in_one_round_is_not_the_best() {
        // Each as good as the other, but for chance.
        let even = [row("chosen", 1.0, &[1.0, 1.0, 1.3]), row("other", 2.0, &[1.3, 1.0, 1.0])];
        assert!(lost(&even).abs() < 0.15, "{}", lost(&even));
        let worse = [row("chosen", 1.0, &[2.0, 2.2, 2.1]), row("other", 2.0, &[1.0, 1.1, 1.0])];
        assert!((lost(&worse) - 1.03).abs() < 0.05, "{}", lost(&worse));
        let best = [row("chosen", 1.0, &[1.0, 1.1, 1.0]), row("other", 2.0, &[2.0, 2.2, 2.1])];
        assert_eq!(lost(&best), 0.0);
        // One of them was measured under two names.
        let twice = [
            row("chosen", 1.0, &[2.0, 2.0, 2.2, 2.2, 2.1, 2.1]),
            row("other", 2.0, &[1.0, 1.1, 1.0]),
        ];
        assert_eq!(lost(&twice), lost(&worse));
        // Two rounds judge nothing: the medians do.
        let few = [row("chosen", 1.0, &[1.0, 1.2]), row("other", 2.0, &[1.0, 1.0])];
        assert!((lost(&few) - 0.1).abs() < 1e-9);
    }
}
