//! Rows as JSON lines, or as a table with a progress bar.

use super::{Case, Layout, Op, Row};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{io::Write, time::Duration};

/// Where rows go.
pub(super) struct Output {
    json: bool,
    begun: bool,
    bar: ProgressBar,
}

impl Output {
    pub(super) fn new(json: bool, cases: usize) -> Self {
        let bar = progress(cases as u64);
        if json {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { json, begun: false, bar }
    }

    /// What is measured now.
    pub(super) fn next(&self, case: Option<&Case>) {
        if let Some(case) = case {
            let name = name(case.op, case.algorithm.as_deref());
            self.bar.set_message(format!("{name} {} B", case.bytes));
        }
    }

    pub(super) fn row(&mut self, row: &Row) {
        self.bar.inc(1);
        let begun = std::mem::replace(&mut self.begun, true);
        let text = match self.json {
            true => serde_json::to_string(row).unwrap_or_else(|error| error.to_string()),
            false if begun => line(row),
            false => format!("{}\n{}", head(row), line(row)),
        };
        self.bar.suspend(|| {
            let mut out = std::io::stdout().lock();
            // Nobody may be reading any more; the bench ends soon anyhow.
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        });
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// A bar for so many cases, on standard error; hidden where that is no terminal.
pub(crate) fn progress(cases: u64) -> ProgressBar {
    let bar = ProgressBar::new(cases);
    let template = "{spinner} {bar:30} {pos}/{len} {msg} {elapsed}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn head(row: &Row) -> String {
    let Row { channel, ranks, threads, .. } = row;
    let ranks = match ranks {
        1 => "1 rank".to_owned(),
        ranks => format!("{ranks} ranks"),
    };
    let place = match row.layout {
        Layout::Threads => format!("one process, threads: {threads}"),
        Layout::Processes => match row.packs {
            Some(packs) => format!("{packs} processes, threads: {threads}"),
            None => "a process each".to_owned(),
        },
    };
    let width = width(row);
    format!(
        "{ranks} over {channel}, {place}\n{:<width$}{:>12}{:>9}{:>13}{:>13}{:>12}",
        "op", "bytes", "iters", "median µs", "p99 µs", "MB/s"
    )
}

fn line(row: &Row) -> String {
    let Row { bytes, iters, median_us, p99_us, mb_per_s, .. } = row;
    let (name, width) = (name(row.op, row.algorithm.as_deref()), width(row));
    format!("{name:<width$}{bytes:>12}{iters:>9}{median_us:>13.2}{p99_us:>13.2}{mb_per_s:>12.1}")
}

/// With the algorithm, if one was asked for.
fn name(op: Op, algorithm: Option<&str>) -> String {
    algorithm.map_or_else(|| op.name().to_owned(), |name| format!("{}/{name}", op.name()))
}

/// Of the column with names.
fn width(row: &Row) -> usize {
    if row.algorithm.is_some() { 34 } else { 15 }
}
