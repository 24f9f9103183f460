//! For people: tables in Markdown.

use super::field::{Crossover, Field, Over};
use crate::{
    model::setting::{Candidate, Candidates},
    units::count,
};
use fmi_model::Bytes;
use std::fmt::Write as _;

/// All plans on all channels, the best first and marked.
pub(super) fn point(field: &Field<'_>) -> String {
    let at = field.grid[0];
    let mut text = head(field);
    let all = field.all(at);
    let mut candidates: Vec<&Candidate> = all.iter().flat_map(|(_, it)| &it.all).collect();
    let objective = field.setting.objective;
    candidates.sort_by(|one, other| objective.compare(&one.price, &other.price));
    text += "|  | channel | plan | median | p95 | money |\n|---|---|---|--:|--:|--:|\n";
    for (place, candidate) in candidates.iter().enumerate() {
        let Candidate { way, plan, price, .. } = candidate;
        let mark = if place == 0 { "→" } else { "" };
        let _ = writeln!(
            text,
            "| {mark} | {way} | {plan} | {} | {} | {} |",
            price.time, price.late, price.money
        );
    }
    if all.iter().any(|(_, candidates)| !candidates.refused.is_empty()) {
        text += "\nWhat cannot run:\n\n";
    }
    for (way, Candidates { refused, .. }) in &all {
        for (names, why) in by_reason(refused) {
            let _ = writeln!(text, "- {}: {}: {why}", way.name(), names.join(", "));
        }
    }
    text + "\n"
}

/// The best plan of each channel, and where another is the best.
pub(super) fn list(field: &Field<'_>) -> String {
    let mut text = head(field);
    let (what, names) = (over(field.over), field.names());
    let _ = writeln!(text, "| {what} | {} |", names.join(" | "));
    let _ = writeln!(text, "|--:|{}", "---|".repeat(names.len()));
    for &at in &field.grid {
        let best = field.best(at, field.setting.objective);
        let bests = field.bests(at);
        let cells = names.iter().map(|name| {
            let Some(candidate) = bests.iter().find(|candidate| candidate.way == *name) else {
                return String::new();
            };
            let Candidate { plan, price, .. } = candidate;
            let cell = format!("{plan}: {}, {}", price.time, price.money);
            if Some(candidate) == best.as_ref() { format!("**{cell}**") } else { cell }
        });
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(text, "| {} | {} |", number(field.over, at), cells.join(" | "));
    }
    let crossovers = field.crossovers(field.setting.objective);
    text += if crossovers.is_empty() { "\nNo crossovers.\n" } else { "\nCrossovers:\n\n" };
    for Crossover { at, before, after } in &crossovers {
        let name = |candidate: &Candidate| format!("{} {}", candidate.way, candidate.kind());
        let _ = writeln!(
            text,
            "- from {} on {} instead of {}",
            number(field.over, *at),
            name(after),
            name(before)
        );
    }
    text + "\n"
}

/// `bcast on 64 ranks`, `bcast of 1.0 MiB`, `bcast of 1.0 MiB on 64 ranks`.
pub(super) fn title(field: &Field<'_>) -> String {
    let (ranks, bytes) = field.at(field.grid[0]);
    let list = field.grid.len() > 1;
    let mut text = field.call.to_string();
    if field.call.has_bytes() && !(list && matches!(field.over, Over::Bytes { .. })) {
        text += &format!(" of {}", Bytes::new(bytes as u64));
    }
    if !(list && matches!(field.over, Over::Ranks { .. })) {
        text += &format!(" on {}", count(ranks, "rank"));
    }
    text
}

/// What the numbers of a list are.
pub(super) fn over(over: Over) -> &'static str {
    match over {
        Over::Bytes { .. } => "bytes",
        Over::Ranks { .. } => "ranks",
    }
}

/// One of these numbers.
pub(super) fn number(over: Over, at: usize) -> String {
    match over {
        Over::Bytes { .. } => Bytes::new(at as u64).to_string(),
        Over::Ranks { .. } => at.to_string(),
    }
}

fn head(field: &Field<'_>) -> String {
    let objective = field.setting.objective;
    format!("{}, {objective}\n{}\n\n", title(field), field.setting.head())
}

/// Names that are refused for the same reason, in their order.
fn by_reason<'a>(refused: &'a [(&'static str, String)]) -> Vec<(Vec<&'a str>, &'a str)> {
    let mut all: Vec<(Vec<&str>, &str)> = Vec::new();
    for (name, why) in refused {
        match all.iter_mut().find(|(_, other)| other == why) {
            Some((names, _)) => names.push(name),
            None => all.push((vec![name], why)),
        }
    }
    all
}
