//! Which algorithms are measured, and how a communicator gets to run them.

use super::{Case, Op, OpChoice};
use crate::failure::Failure;
use fmi::{
    Communicator, Config,
    config::ChannelSpec,
    plan::{Algorithm, Collective, Demand, Objection, Packing, Question, Rule, Shelf},
};

/// All that can run, instead of some by name.
const ALL: &str = "all";

/// Those of an operation that were asked for; `[None]` if none were.
pub(super) fn of(
    op: Op,
    names: &[String],
    packing: Packing,
    ranks: usize,
    channel: &ChannelSpec,
) -> Result<Vec<Option<String>>, Failure> {
    if names.is_empty() {
        return Ok(vec![None]);
    }
    let Some(collective) = collective(op) else {
        // A message has no algorithm; it is part of all that can be measured.
        return Ok(if names.iter().any(|name| name == ALL) { vec![None] } else { Vec::new() });
    };
    let question = Question { packing, ..question(collective, ranks, channel) };
    let mut wanted = Vec::new();
    for name in names {
        if name == ALL {
            wanted.extend(all(&question).map(|algorithm| Some(algorithm.name.to_owned())));
            continue;
        }
        let Some(algorithm) = named(collective, name) else { continue };
        match Rule::always(algorithm).objection(&question) {
            Some(Objection::Apart) => {
                return Err(Failure::usage(format!(
                    "--algorithm {algorithm} needs ranks that share memory or a store: take \
                     --channel local, redis or s3"
                )));
            }
            Some(Objection::Unpacked) => {
                return Err(Failure::usage(format!(
                    "--algorithm {algorithm} is for several processes of several ranks: take \
                     --channel shm, tcp or quic, and give --packs"
                )));
            }
            _ => (),
        }
        wanted.push(Some(algorithm.name.to_owned()));
    }
    Ok(wanted)
}

/// Every operation with every algorithm that can run; messages have none.
pub(crate) fn every(ranks: usize, channel: &ChannelSpec) -> Vec<(Op, Option<String>)> {
    let of = |op: Op| match collective(op) {
        None => vec![(op, None)],
        Some(collective) => {
            let question = question(collective, ranks, channel);
            all(&question).map(|algorithm| (op, Some(algorithm.name.to_owned()))).collect()
        }
    };
    Op::ALL.into_iter().flat_map(of).collect()
}

/// Those that can run.
fn all(question: &Question) -> impl Iterator<Item = &'static Algorithm> {
    let all = question.collective.algorithms().iter().copied();
    all.filter(|algorithm| Rule::always(algorithm).objection(question).is_none())
}

/// About what is measured: sums of vectors of numbers.
pub(crate) fn question(collective: Collective, ranks: usize, channel: &ChannelSpec) -> Question {
    Question {
        collective,
        demand: Demand::Commutative,
        size: ranks,
        bytes: None,
        cuttable: true,
        together: *channel == ChannelSpec::Local,
        crowded: false,
        packing: Packing::None,
        store: match channel.name() {
            "redis" => Shelf::Pushed,
            "s3" => Shelf::Alone,
            _ => Shelf::None,
        },
    }
}

/// Fails if a name fits no operation that is measured: it would go unnoticed.
pub(super) fn check(names: &[String], ops: &[OpChoice]) -> Result<(), Failure> {
    let ops = ops.iter().flat_map(|choice| choice.ops());
    let measured: Vec<Collective> = ops.filter_map(collective).collect();
    for name in names.iter().filter(|name| *name != ALL) {
        if measured.iter().any(|collective| named(*collective, name).is_some()) {
            continue;
        }
        // The library's errors say what was probably meant.
        let full = match measured.first() {
            Some(first) if !name.contains('/') => format!("{first}/{name}"),
            _ => name.clone(),
        };
        return Err(Failure::usage(match Config::default().algorithms(&full) {
            Err(error) => format!("--algorithm: {}", message(&error)),
            Ok(_) => format!("--algorithm {name} is of none of the operations that --op names"),
        }));
    }
    Ok(())
}

/// Without the name of the setting.
fn message(error: &fmi::Error) -> String {
    match error {
        fmi::Error::Config { message, .. } => message.clone(),
        error => error.to_string(),
    }
}

/// The same communicator, which runs the case's algorithm.
pub(super) fn prepared(comm: &Communicator, case: &Case) -> Communicator {
    let name = case.algorithm.as_deref();
    let algorithm = collective(case.op).and_then(|collective| named(collective, name?));
    algorithm.map_or_else(|| comm.clone(), |algorithm| comm.using(algorithm))
}

pub(crate) fn collective(op: Op) -> Option<Collective> {
    Collective::ALL.iter().copied().find(|collective| collective.name() == op.name())
}

/// `ring`, or `allreduce/ring`.
pub(crate) fn named(collective: Collective, name: &str) -> Option<&'static Algorithm> {
    let all = collective.algorithms().iter().copied();
    let own = name.strip_prefix(collective.name()).and_then(|name| name.strip_prefix('/'));
    all.into_iter().find(|algorithm| algorithm.name == own.unwrap_or(name))
}
