//! `fmi model validate`: the model against what others have measured.

use crate::failure::Failure;
use fmi_model::{
    Rate, Seconds,
    published::{
        Source,
        cells::Cell,
        validate::{Bound, Exchange, Prediction, Report, Set, validate},
    },
};
use std::{fmt::Write as _, io::Write as _, process::ExitCode};

/// Predicts what FMI's authors measured on AWS Lambda, and says how far off that is.
///
/// Parameters are found in transfers from one function to another and in the fan-out to 8; for FMI's
/// collectives two more a channel in those of up to 8 ranks. Everything else is predicted, by playing FMI's
/// own algorithms through, and the model that its authors published stands beside. The last line is the
/// summary; the exit code is not 0 if a bound is missed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also print the rows from which parameters were found.
    #[arg(long)]
    all: bool,

    /// Print one line of JSON with everything.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let report = validate();
    let text = match args.json {
        true => {
            serde_json::to_string(&report).map_err(|error| Failure::new(error.to_string()))? + "\n"
        }
        false => text(&report, args.all),
    };
    // Nobody may be reading any more.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(if report.is_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(report: &Report, all: bool) -> String {
    let mut out = String::new();
    let sets = [
        (Set::Seen, "Parameters were found here"),
        (Set::FanOut, "Fan-out to other numbers of consumers, held out"),
        (Set::Collectives, "FMI's collectives of 16 ranks and more, held out"),
        (Set::KMeans, "LambdaML's K-Means, the slowest rank's epochs"),
    ];
    for (set, title) in sets.into_iter().filter(|(set, _)| all || *set != Set::Seen) {
        let _ = write!(out, "{title}\n\n{HEAD}");
        for source in Source::ALL {
            report.of(set, source).for_each(|row| out += &line(row));
        }
        out += "\n";
    }
    out += "Left out\n\n";
    for (row, why) in &report.left_out {
        let _ = writeln!(out, "- {row}: {why}");
    }
    out += "\nFan-outs where direct is not the fastest, and cells where something is lost\n\n";
    out += "| cell | fastest | chosen | lost |\n|---|---|---|--:|\n";
    let told = |cell: &&Cell| cell.lost() > 0.0 || cell.fan_out && cell.fastest() != Source::Direct;
    for cell in report.cells.iter().filter(told) {
        let (fastest, chosen) = (cell.fastest(), cell.chosen());
        let _ = writeln!(
            out,
            "| {} | {fastest} | {chosen} | {:.0} % |",
            cell.what,
            cell.lost() * 100.0
        );
    }
    out += "\nWhat an exchange costs (functions of 2 GiB), and the cheapest channel if so many happen an hour\n\n";
    out += "| to | bytes | each: direct | redis | s3 | 10 | 1,000 | 100,000 | crossovers |\n|--:|--:|--:|--:|--:|---|---|---|---|\n";
    report.exchanges.iter().for_each(|exchange| out += &money(exchange));
    out += "\nWhat an epoch of K-Means costs (functions of 1 GiB, 1,000 epochs an hour)\n\n";
    out += "| functions | direct, predicted | DynamoDB, functions alone |\n|--:|--:|--:|\n";
    for epoch in &report.epochs {
        let dynamo = epoch.dynamo.map_or("".to_owned(), |money| money.to_string());
        let _ = writeln!(out, "| {} | {} | {dynamo} |", epoch.ranks, epoch.direct);
    }
    if let Some(ranks) = report.epochs_crossover {
        let _ = writeln!(out, "\nDirect is cheaper from {ranks:.1} functions on.");
    }
    out += "\n| what | reached | bound | published model | |\n|---|--:|--:|--:|---|\n";
    report.bounds.iter().for_each(|bound| out += &summary(bound));
    let met = report.bounds.iter().filter(|bound| bound.is_met()).count();
    let _ = writeln!(out, "\n{met} of {} bounds met", report.bounds.len());
    out
}

const HEAD: &str = "\
| channel | what | measured | predicted | off | published model | off |
|---|---|--:|--:|--:|--:|--:|
";

fn line(row: &Prediction) -> String {
    let off = |time: Seconds| format!("{:+.0} %", (time / row.measured - 1.0) * 100.0);
    let published =
        row.published.map_or((String::new(), String::new()), |time| (time.to_string(), off(time)));
    let mark = if row.used { "" } else { " (not used by the authors)" };
    format!(
        "| {} | {}{mark} | {} | {} | {} | {} | {} |\n",
        row.source,
        row.what,
        row.measured,
        row.predicted,
        off(row.predicted),
        published.0,
        published.1,
    )
}

fn money(exchange: &Exchange) -> String {
    let each = exchange.costs.iter().map(|cost| cost.each.to_string()).collect::<Vec<_>>();
    let cheapest = [10.0, 1000.0, 100_000.0].map(|often| exchange.cheapest(Rate::hourly(often)));
    let crossovers = exchange.crossovers();
    let crossovers: Vec<String> = crossovers
        .iter()
        .map(|(rate, below, above)| format!("{below} → {above} at {:.0}", rate.per_hour()))
        .collect();
    format!(
        "| {} | {} | {} | {} | {} | {} | {} |\n",
        exchange.consumers,
        exchange.bytes.get(),
        each.join(" | "),
        cheapest[0],
        cheapest[1],
        cheapest[2],
        crossovers.join(", "),
    )
}

fn summary(bound: &Bound) -> String {
    let percent = |value: f64| match bound.at_least {
        true => format!("{value:.0}"),
        false => format!("{:.1} %", value * 100.0),
    };
    let sign = if bound.at_least { "≥" } else { "≤" };
    let published = bound.published.map(percent).unwrap_or_default();
    let met = if bound.is_met() { "met" } else { "MISSED" };
    let (value, limit) = (percent(bound.value), percent(bound.limit));
    format!("| {} | {value} | {sign} {limit} | {published} | {met} |\n", bound.what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the docs say is what this program says.
    #[test]
    fn the_summary_in_the_docs_is_true() {
        let docs = include_str!("../../../docs/model.md");
        let report = validate();
        for bound in &report.bounds {
            let line = summary(bound);
            assert!(docs.contains(&line), "{line}");
        }
        for exchange in &report.exchanges {
            let line = money(exchange);
            assert!(docs.contains(&line), "{line}");
        }
        assert!(text(&report, true).ends_with("9 of 9 bounds met\n"));
    }
}
