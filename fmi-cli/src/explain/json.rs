//! A call as JSON.

use super::{
    case::{Case, Totals, Why},
    model::Verdict,
    traffic::Traffic,
};
use crate::{failure::Failure, model::weigh::Plan};
use fmi::plan::{
    Side,
    trace::{Event, Kind},
};
use fmi_model::{Dollars, Seconds};
use serde::Serialize;

#[derive(Serialize)]
struct Explained<'c> {
    op: &'static str,
    algorithm: String,
    ranks: usize,
    processes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<usize>,
    bytes: u64,
    why: Reason<'c>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Modelled<'c>>,
    rounds: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<ByTier>,
    busiest_bytes: u64,
    blocks: usize,
    totals: Vec<RankTotals>,
    /// `None` where it would be too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Vec<Line>>,
}

/// Messages, and what is fetched, by how far they go.
#[derive(Serialize)]
struct ByTier {
    process: Traffic,
    machine: Traffic,
    remote: Traffic,
}

#[derive(Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
enum Reason<'c> {
    Asked,
    Model,
    Rule { number: usize, rule: String, passed: Vec<Passed<'c>> },
    Fallback,
}

#[derive(Serialize)]
struct Passed<'c> {
    number: usize,
    algorithm: &'c str,
    because: String,
}

#[derive(Serialize)]
struct Modelled<'c> {
    profile: &'c str,
    channel: &'c str,
    objective: String,
    because: String,
    /// The best first.
    candidates: Vec<Priced>,
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Priced {
    algorithm: &'static str,
    /// Bytes, of a pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk: Option<u64>,
    median_us: f64,
    p95_us: f64,
    dollars: Dollars,
}

#[derive(Serialize)]
struct Refused {
    algorithm: &'static str,
    because: String,
}

#[derive(Serialize)]
struct RankTotals {
    rank: usize,
    sends: usize,
    bytes_sent: u64,
    receives: usize,
    bytes_received: u64,
}

#[derive(Serialize)]
struct Line {
    round: usize,
    sent: usize,
    kind: &'static str,
    from: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<usize>,
    blocks: Vec<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    into: Option<Vec<usize>>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    readers: Option<usize>,
}

pub(super) fn case(case: &Case) -> Result<String, Failure> {
    let trace = case.trace.as_ref();
    let collective = case.question.collective;
    let why = match &case.why {
        Why::Asked => Reason::Asked,
        Why::Model => Reason::Model,
        Why::Fallback => Reason::Fallback,
        Why::Rule { number, rule, passed } => {
            let passed = passed.iter().map(|(number, algorithm, objection)| Passed {
                number: *number,
                algorithm: algorithm.name,
                because: objection.to_string(),
            });
            Reason::Rule { number: *number, rule: rule.to_string(), passed: passed.collect() }
        }
    };
    super::line(&Explained {
        op: collective.name(),
        algorithm: case.algorithm.to_string(),
        ranks: case.question.size,
        processes: case.stand.topology().processes(),
        root: collective.is_rooted().then_some(case.shape.root),
        bytes: case.bytes,
        why,
        model: case.verdict.as_ref().map(|verdict| modelled(case, verdict)),
        rounds: (case.algorithm.rounds)(case.shape.clone()),
        messages: trace.map(|trace| trace.report.messages),
        traffic: case.traffic.map(|[process, machine, remote]| ByTier { process, machine, remote }),
        busiest_bytes: case.busiest(),
        blocks: case.blocks(),
        totals: case.ranks.iter().enumerate().map(totals).collect(),
        plan: trace.map(|trace| trace.events.iter().map(|event| line(case, event)).collect()),
    })
}

fn modelled<'c>(case: &Case, verdict: &'c Verdict) -> Modelled<'c> {
    let micros = |time: Seconds| (time.get() * 1e9).round() / 1e3;
    let priced = |plan: &Plan| Priced {
        algorithm: plan.algorithm.name,
        chunk: plan.chunk,
        median_us: micros(plan.price.time),
        p95_us: micros(plan.price.late),
        dollars: plan.price.money,
    };
    let refused = verdict.weighed.refused.iter();
    let refused = refused
        .map(|(algorithm, why)| Refused { algorithm: algorithm.name, because: why.to_string() });
    Modelled {
        profile: &verdict.profile,
        channel: &verdict.channel,
        objective: verdict.objective.to_string(),
        because: verdict.because(case.algorithm),
        candidates: verdict.weighed.plans.iter().map(priced).collect(),
        refused: refused.collect(),
    }
}

fn totals((rank, totals): (usize, &Totals)) -> RankTotals {
    let Totals { sends, bytes_sent, receives, bytes_received } = *totals;
    RankTotals { rank, sends, bytes_sent, receives, bytes_received }
}

fn line(case: &Case, event: &Event) -> Line {
    let kind = match event.kind {
        Kind::Publish { .. } => "publish",
        Kind::Send => "send",
        Kind::Combine(_) => "combine",
        Kind::Fetch => "fetch",
        Kind::CombineShared(_) => "combine_shared",
        Kind::Copy => "copy",
    };
    let side = |side| match side {
        Side::Left => "left",
        Side::Right => "right",
    };
    let readers = if let Kind::Publish { readers } = event.kind { Some(readers) } else { None };
    Line {
        round: event.round,
        sent: event.sent,
        kind,
        from: event.from,
        to: event.to,
        blocks: event.blocks.iter().collect(),
        into: (event.blocks != event.into).then(|| event.into.iter().collect()),
        bytes: case.bytes_of(&event.blocks),
        received: event.kind.side().map(side),
        readers,
    }
}
