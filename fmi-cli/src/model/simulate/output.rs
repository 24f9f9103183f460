//! Rows as a table or as JSON, and a progress bar.

use super::{
    calls::Call,
    rounds::{Row, Setting},
};
use crate::{failure::Failure, units::human};
use fmi::meter::Seconds;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

/// Where rows go.
pub(super) struct Output {
    json: bool,
    bar: ProgressBar,
}

impl Output {
    /// Says what is simulated, and that there are so many rounds.
    pub(super) fn new(setting: &Setting<'_>, json: bool, rounds: usize) -> Self {
        if !json {
            say(&head(setting));
        }
        // Hidden where stderr is no terminal, or stdout is one for a machine.
        let bar = match json || !std::io::stderr().is_terminal() {
            true => ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            false => ProgressBar::new(rounds as u64),
        };
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {bar:30} {pos}/{len} {msg} {elapsed}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { json, bar }
    }

    /// This comes now.
    pub(super) fn next(&self, call: &Call, ranks: usize) {
        self.bar.set_message(format!("{} on {ranks} ranks", call.collective));
    }

    /// A round is over.
    pub(super) fn round(&self) {
        self.bar.inc(1);
    }

    pub(super) fn row(&self, row: &Row) -> Result<(), Failure> {
        let text = match self.json {
            true => serde_json::to_string(row).map_err(|error| Failure::new(error.to_string()))?,
            false => line(row),
        };
        self.bar.suspend(|| say(&text));
        Ok(())
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// What is simulated, and the head of the table.
pub(super) fn head(setting: &Setting<'_>) -> String {
    let Setting { profile, channel, tariff, pack, .. } = setting;
    let packs = match pack {
        1 => "a process each".to_owned(),
        pack => format!("{pack} ranks a process"),
    };
    format!(
        "{channel} of the profile {}, {packs} of {} ({}, {}, {})\n\n{HEAD}",
        profile.name,
        tariff.memory,
        tariff.prices.provider,
        tariff.prices.region,
        tariff.prices.date
    )
}

pub(super) const HEAD: &str = "\
| collective | ranks | bytes | median | p95 | hops | messages | moved | GiB·s | functions | requests | machine | money |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

pub(super) fn line(row: &Row) -> String {
    let Row { op, ranks, hops, messages, bill, .. } = row;
    let time = |micros: f64| Seconds::new(micros / 1e6);
    let op = match &row.algorithm {
        Some(algorithm) => format!("{op}/{algorithm}"),
        None => (*op).to_owned(),
    };
    format!(
        "| {op} | {ranks} | {} | {} | {} | {hops} | {messages} | {} | {:.3} | {} | {} | {} | {} |",
        human(row.bytes as u64),
        time(row.median_us),
        time(row.p95_us),
        human(row.message_bytes),
        bill.gib_seconds,
        bill.function_dollars,
        bill.request_dollars,
        bill.machine_dollars,
        bill.dollars
    )
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody may be reading any more.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
