//! For machines: JSON, and a progress bar.

use super::{
    field::{Field, Over},
    table,
};
use crate::{
    failure::Failure,
    model::{
        predict::{json, micros},
        setting::Candidate,
    },
};
use fmi_model::Dollars;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::{io::IsTerminal as _, time::Duration};

#[derive(Serialize)]
struct Head<'a> {
    op: &'static str,
    profile: &'a str,
    pack: usize,
    objective: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ranks: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
}

#[derive(Serialize)]
struct One<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    /// The best first.
    candidates: Vec<Row>,
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct List<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    over: &'static str,
    points: Vec<Point>,
    crossovers: Vec<Crossing>,
}

#[derive(Serialize)]
struct Point {
    at: usize,
    /// The channel that is best.
    best: Option<String>,
    /// The best plan of each.
    channels: Vec<Row>,
}

#[derive(Serialize)]
struct Crossing {
    at: usize,
    before: Row,
    after: Row,
}

#[derive(Serialize)]
struct Row {
    channel: String,
    plan: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<&'static str>,
    median_us: f64,
    p95_us: f64,
    dollars: Dollars,
}

#[derive(Serialize)]
struct Refused {
    channel: String,
    algorithm: &'static str,
    because: String,
}

/// Shown where somebody sees it, when it takes a while.
pub(super) fn bar(fields: &[Field<'_>], json: bool) -> ProgressBar {
    let total: usize = fields.iter().map(|field| field.grid.len()).sum();
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {bar:30} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// One number of ranks, one length.
pub(super) fn point(field: &Field<'_>) -> Result<String, Failure> {
    let all = field.all(field.grid[0]);
    let mut candidates: Vec<&Candidate> = all.iter().flat_map(|(_, it)| &it.all).collect();
    let objective = field.setting.objective;
    candidates.sort_by(|one, other| objective.compare(&one.price, &other.price));
    let refused = all.iter().flat_map(|(way, candidates)| {
        candidates.refused.iter().map(|(algorithm, why)| Refused {
            channel: way.name(),
            algorithm,
            because: why.clone(),
        })
    });
    json(&One {
        head: head(field),
        candidates: candidates.into_iter().map(row).collect(),
        refused: refused.collect(),
    })
}

/// A list of either.
pub(super) fn list(field: &Field<'_>) -> Result<String, Failure> {
    let objective = field.setting.objective;
    let point = |&at: &usize| Point {
        at,
        best: field.best(at, objective).map(|best| best.way),
        channels: field.bests(at).iter().map(row).collect(),
    };
    let crossovers = field.crossovers(objective);
    let crossing = |crossover: &super::field::Crossover| Crossing {
        at: crossover.at,
        before: row(&crossover.before),
        after: row(&crossover.after),
    };
    json(&List {
        head: head(field),
        over: table::over(field.over),
        points: field.grid.iter().map(point).collect(),
        crossovers: crossovers.iter().map(crossing).collect(),
    })
}

fn head<'a>(field: &Field<'a>) -> Head<'a> {
    let (ranks, bytes) = field.at(field.grid[0]);
    let list = field.grid.len() > 1;
    let over_ranks = matches!(field.over, Over::Ranks { .. });
    Head {
        op: field.call.name(),
        profile: &field.setting.profile.name,
        pack: field.setting.pack,
        objective: field.setting.objective.to_string(),
        ranks: (!list || !over_ranks).then_some(ranks),
        bytes: (!list || over_ranks).then_some(bytes),
    }
}

fn row(candidate: &Candidate) -> Row {
    Row {
        channel: candidate.way.clone(),
        plan: candidate.plan.clone(),
        algorithm: candidate.algorithm(),
        median_us: micros(candidate.price.time),
        p95_us: micros(candidate.price.late),
        dollars: candidate.price.money,
    }
}
