//! The table of choice, and the list of algorithms.

use super::line;
use crate::failure::Failure;
use fmi::plan::{Algorithm, Collective, Shape, Table};
use serde::Serialize;
use std::fmt::Write;

#[derive(Serialize)]
struct RuleRow {
    number: usize,
    algorithm: String,
    min_ranks: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ranks: Option<usize>,
    min_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
    demand: &'static str,
    shared: bool,
}

#[derive(Serialize)]
struct AlgorithmRow {
    algorithm: String,
    demand: &'static str,
    pieces: usize,
    shared: bool,
    rounds: usize,
    sent_values: f64,
}

/// Rules in the order in which they are tried.
pub(super) fn table(table: &Table, json: bool) -> Result<String, Failure> {
    if json {
        return line(&table.rules().iter().enumerate().map(rule).collect::<Vec<_>>());
    }
    let mut text = String::new();
    for (index, row) in table.to_string().lines().enumerate() {
        let _ = writeln!(text, "{:>3}  {row}", index + 1);
    }
    text += "\nThe first rule that applies decides. Where values cannot be cut, or not all ranks \
             know\nhow long they are, rules about bytes do not apply. Others come first by \
             [algorithms] in\nfmi.toml, FMI_ALGORITHMS=allreduce/ring, or \
             comm.using(&ring::ALGORITHM).\n";
    Ok(text)
}

/// All algorithms, or those of one collective, on so many ranks.
pub(super) fn list(only: Option<Collective>, size: usize, json: bool) -> Result<String, Failure> {
    let wanted = |algorithm: &&Algorithm| only.is_none_or(|it| it == algorithm.collective);
    let rows: Vec<_> = Algorithm::all().filter(wanted).map(|it| algorithm(it, size)).collect();
    if json {
        return line(&rows);
    }
    let head = ("algorithm", "demand", "pieces", "rounds", "sends");
    let mut text = String::new();
    let _ = writeln!(text, "{:<34}{:<13}{:>8}{:>9}{:>9}", head.0, head.1, head.2, head.3, head.4);
    for row in &rows {
        let AlgorithmRow { algorithm, demand, pieces, shared, rounds, sent_values } = row;
        let shared = if *shared { "  in one process, or over a store" } else { "" };
        let _ = writeln!(
            text,
            "{algorithm:<34}{demand:<13}{pieces:>8}{rounds:>9}{sent_values:>9.1}{shared}"
        );
    }
    let _ = writeln!(
        text,
        "\nOn {size} ranks, values in one chunk. demand: the strongest of an operation that it \
         meets. pieces: into\nhow many it cuts a value (a pipeline: one a chunk of 128 KiB). sends: \
         by the rank that sends most, in values."
    );
    Ok(text)
}

fn rule((index, rule): (usize, &fmi::plan::Rule)) -> RuleRow {
    RuleRow {
        number: index + 1,
        algorithm: rule.algorithm.to_string(),
        min_ranks: rule.size.start,
        max_ranks: (rule.size.end < usize::MAX).then(|| rule.size.end - 1),
        min_bytes: rule.bytes.start,
        max_bytes: (rule.bytes.end < u64::MAX).then(|| rule.bytes.end - 1),
        demand: rule.algorithm.demand.name(),
        shared: rule.algorithm.is_shared(),
    }
}

fn algorithm(algorithm: &Algorithm, size: usize) -> AlgorithmRow {
    let shape = Shape::of(size);
    let pieces = algorithm.pieces(&shape);
    AlgorithmRow {
        algorithm: algorithm.to_string(),
        demand: if algorithm.collective.combines() { algorithm.demand.name() } else { "-" },
        pieces,
        shared: algorithm.is_shared(),
        rounds: (algorithm.rounds)(shape.clone()),
        sent_values: (algorithm.sent)(shape) as f64 / pieces as f64,
    }
}
