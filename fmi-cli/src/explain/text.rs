//! A call in words: why, what it costs, what happens.

use super::{
    case::{Case, Why},
    model::Verdict,
    traffic,
};
use crate::{
    model::weigh::Plan,
    units::{count, human},
};
use fmi::plan::{
    Blocks, Side,
    trace::{Event, Kind, Trace},
};
use std::fmt::{self, Write};

/// Rows in all: rounds that would go beyond are left out, but for the first.
const ROWS: usize = 200;
/// Rows of one round.
const ROUND_ROWS: usize = 64;
/// Runs of blocks in a row.
const RUNS: usize = 4;
/// For more ranks than these, totals are summed up.
const RANKS: usize = 32;

pub(super) fn case(case: &Case) -> String {
    let mut text = String::new();
    // A String takes whatever is written.
    let _ = write(&mut text, case);
    text
}

/// What `--svg` says too: `6 rounds, 24 messages, the busiest rank sends 6.0 MiB`.
pub(super) fn cost(case: &Case) -> String {
    let busiest = human(case.busiest());
    let Some(Trace { report, events, .. }) = &case.trace else {
        let rounds = count((case.algorithm.rounds)(case.shape.clone()), "round");
        return format!("{rounds}, the busiest rank sends {busiest}");
    };
    let mut parts = vec![count(report.rounds, "round")];
    let published = events.iter().filter(|e| matches!(e.kind, Kind::Publish { .. })).count();
    if report.messages > 0 || published == 0 {
        parts.push(count(report.messages, "message"));
    }
    if published > 0 {
        parts.push(count(published, "publication"));
    }
    if case.bytes > 0 {
        parts.push(format!("the busiest rank sends {busiest}"));
    }
    parts.join(", ")
}

/// `block 3`, `blocks 0–3`, `a signal`; with their numbers at the other end where these differ.
pub(super) fn blocks(event: &Event) -> String {
    let Event { blocks, into, .. } = event;
    let name = match blocks.len() {
        0 => return "a signal".to_owned(),
        1 => "block",
        _ => "blocks",
    };
    let (blocks, into) = (shortened(blocks), shortened(into));
    match blocks == into {
        true => format!("{name} {blocks}"),
        false => format!("{name} {blocks} into {into}"),
    }
}

/// The first of many runs, and how many blocks there are.
fn shortened(blocks: &Blocks) -> String {
    let runs = blocks.runs().count();
    if runs <= RUNS {
        return blocks.to_string();
    }
    let text = blocks.to_string();
    let first: Vec<_> = text.split(", ").take(RUNS - 1).collect();
    format!("{}, … ({} in all)", first.join(", "), blocks.len())
}

fn write(text: &mut String, case: &Case) -> fmt::Result {
    let (collective, algorithm) = (case.question.collective, case.algorithm);
    let bytes = if case.bytes > 0 { format!(" of {}", human(case.bytes)) } else { String::new() };
    writeln!(text, "{collective}{bytes} on {}: {algorithm}", case.ranks())?;
    why(text, case)?;
    if let Some(verdict) = &case.verdict {
        model(text, case, verdict)?;
    }
    writeln!(text, "  costs   {}", cost(case))?;
    if let Some(traffic) = traffic::told(case) {
        writeln!(text, "  moves   {traffic}")?;
    }
    if case.blocks() > 0 {
        let first = human(case.bytes_of(&Blocks::from(0)));
        let pieces = case.algorithm.pieces(&case.shape);
        let cut =
            if pieces > 1 { format!(": each value cut into {pieces}") } else { String::new() };
        writeln!(text, "  blocks  {} of {first} on each rank{cut}", case.blocks())?;
    }
    let Some(trace) = &case.trace else {
        let hint = "too long to be shown round by round; take fewer ranks to see how it goes";
        return writeln!(text, "\nThe plan is {hint}.");
    };
    rounds(text, case, trace)?;
    totals(text, case)
}

fn why(text: &mut String, case: &Case) -> fmt::Result {
    match &case.why {
        Why::Asked => writeln!(text, "  why     it is asked for"),
        Why::Model => Ok(()),
        Why::Fallback => {
            writeln!(text, "  why     no rule applies, and it is the first that can run")
        }
        Why::Rule { number, rule, passed } => {
            let demand = match case.question.collective.combines() {
                true => format!(", {} operations", rule.algorithm.demand),
                false => String::new(),
            };
            writeln!(text, "  why     rule {number}: {rule}{demand}")?;
            for (number, algorithm, objection) in passed {
                writeln!(text, "          not rule {number}, {}: {objection}", algorithm.name)?;
            }
            Ok(())
        }
    }
}

/// All plans with their prices, and why this one.
fn model(text: &mut String, case: &Case, verdict: &Verdict) -> fmt::Result {
    let what = if matches!(case.why, Why::Model) { "why     " } else { "model   " };
    writeln!(text, "  {what}{}", verdict.because(case.algorithm))?;
    let Verdict { profile, channel, objective, weighed, .. } = verdict;
    writeln!(text, "  by      the profile {profile} over {channel}, {objective}")?;
    let names: Vec<String> = weighed.plans.iter().map(Plan::name).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0).max(20);
    writeln!(text, "{:>10}{:<width$}{:>12}{:>12}{:>19}", "", "", "median", "p95", "money")?;
    for (plan, name) in weighed.plans.iter().zip(names) {
        let mark = if plan.algorithm == case.algorithm { "→" } else { " " };
        let price = &plan.price;
        writeln!(
            text,
            "        {mark} {name:<width$}{:>12}{:>12}{:>19}",
            price.time, price.late, price.money
        )?;
    }
    for (algorithm, objection) in &weighed.refused {
        writeln!(text, "          not {}: {objection}", algorithm.name)?;
    }
    Ok(())
}

fn rounds(text: &mut String, case: &Case, trace: &Trace) -> fmt::Result {
    let mut shown = 0;
    let mut rest = &trace.events[..];
    while let Some(first) = rest.first() {
        let length = rest.iter().take_while(|event| event.round == first.round).count();
        let rows = length.min(ROUND_ROWS);
        if shown > 0 && shown + rows > ROWS {
            let left = trace.report.rounds + 1 - first.round;
            let events = count(rest.len(), "line");
            return writeln!(text, "\n… {} in {events} more: --json has all", count(left, "round"));
        }
        let (round, later) = rest.split_at(length);
        match first.round {
            0 => writeln!(text, "\nbefore the first round")?,
            number => writeln!(text, "\nround {number}")?,
        }
        let width = round[..rows].iter().map(|event| blocks(event).chars().count()).max();
        for event in &round[..rows] {
            row(text, case, event, width.unwrap_or(0).max(14))?;
        }
        if rows < length {
            writeln!(text, "  … {} more", length - rows)?;
        }
        shown += rows;
        rest = later;
    }
    Ok(())
}

fn row(text: &mut String, case: &Case, event: &Event, blocks_width: usize) -> fmt::Result {
    let width = (case.question.size - 1).to_string().len();
    let from = event.from;
    let who = match (event.kind, event.to) {
        (Kind::Fetch | Kind::CombineShared(_), Some(to)) => {
            format!("{from:>width$} ⇢ {to:<width$}")
        }
        (_, Some(to)) => format!("{from:>width$} → {to:<width$}"),
        (Kind::Copy, None) => format!("{from:>width$} ↻ {:width$}", ""),
        (_, None) => format!("{from:>width$} ↑ {:width$}", ""),
    };
    let how = match event.kind {
        Kind::Publish { readers } => format!("publish for {readers}"),
        Kind::Send => String::new(),
        Kind::Combine(side) => format!("combine: {}", operands(side)),
        Kind::Fetch => "fetch".to_owned(),
        Kind::CombineShared(side) => format!("fetch and combine: {}", operands(side)),
        Kind::Copy => "copy".to_owned(),
    };
    let early = match event.sent < event.round {
        true if event.kind.is_message() => format!(" (sent in round {})", event.sent),
        _ => String::new(),
    };
    let bytes = human(case.bytes_of(&event.blocks));
    let row = format!("  {who}  {:<blocks_width$} {bytes:>9}  {how}{early}", blocks(event));
    writeln!(text, "{}", row.trim_end())
}

/// Which operand stands where.
pub(super) fn operands(side: Side) -> &'static str {
    match side {
        Side::Left => "received · here",
        Side::Right => "here · received",
    }
}

fn totals(text: &mut String, case: &Case) -> fmt::Result {
    writeln!(
        text,
        "\n{:>6}{:>9}{:>12}{:>11}{:>12}",
        "rank", "sends", "bytes", "receives", "bytes"
    )?;
    let mut row = |name: &str, rank: &super::case::Totals| {
        let (sent, received) = (human(rank.bytes_sent), human(rank.bytes_received));
        writeln!(text, "{name:>6}{:>9}{sent:>12}{:>11}{received:>12}", rank.sends, rank.receives)
    };
    if case.ranks.len() <= RANKS {
        return case.ranks.iter().enumerate().try_for_each(|(rank, it)| row(&rank.to_string(), it));
    }
    for (name, pick) in [("least", |all: &mut Vec<u64>| all[0]), ("most", |all| all[all.len() - 1])]
        as [(&str, fn(&mut Vec<u64>) -> u64); 2]
    {
        let of = |number: fn(&super::case::Totals) -> u64| {
            let mut all: Vec<u64> = case.ranks.iter().map(number).collect();
            all.sort_unstable();
            pick(&mut all)
        };
        let totals = super::case::Totals {
            sends: of(|rank| rank.sends as u64) as usize,
            bytes_sent: of(|rank| rank.bytes_sent),
            receives: of(|rank| rank.receives as u64) as usize,
            bytes_received: of(|rank| rank.bytes_received),
        };
        row(name, &totals)?;
    }
    Ok(())
}
