//! Which algorithms are measured, and how a communicator gets to run them.

use super::{Case, Op, OpChoice};
use crate::failure::Failure;
use fmi::{
    Communicator, Config,
    plan::{Algorithm, Collective, Demand, Objection, Question, Rule, Shelf},
};

/// Those of an operation that were asked for; `[None]` if none were.
pub(super) fn of(
    op: Op,
    names: &[String],
    ranks: usize,
    together: bool,
) -> Result<Vec<Option<String>>, Failure> {
    if names.is_empty() {
        return Ok(vec![None]);
    }
    let Some(collective) = collective(op) else { return Ok(Vec::new()) };
    let mut wanted = Vec::new();
    for name in names {
        let Some(algorithm) = named(collective, name) else { continue };
        // Sums of vectors of numbers.
        let question = Question {
            collective,
            demand: Demand::Commutative,
            size: ranks,
            bytes: None,
            cuttable: true,
            together,
            store: Shelf::None,
        };
        if Rule::always(algorithm).objection(&question) == Some(Objection::Apart) {
            return Err(Failure::usage(format!(
                "--algorithm {algorithm} needs ranks that share memory: take --channel local"
            )));
        }
        wanted.push(Some(algorithm.name.to_owned()));
    }
    Ok(wanted)
}

/// Fails if a name fits no operation that is measured: it would go unnoticed.
pub(super) fn check(names: &[String], ops: &[OpChoice]) -> Result<(), Failure> {
    let ops = ops.iter().flat_map(|choice| choice.ops());
    let measured: Vec<Collective> = ops.filter_map(collective).collect();
    for name in names {
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

fn collective(op: Op) -> Option<Collective> {
    Collective::ALL.iter().copied().find(|collective| collective.name() == op.name())
}

/// `ring`, or `allreduce/ring`.
fn named(collective: Collective, name: &str) -> Option<&'static Algorithm> {
    let all = collective.algorithms().iter().copied();
    let own = name.strip_prefix(collective.name()).and_then(|name| name.strip_prefix('/'));
    all.into_iter().find(|algorithm| algorithm.name == own.unwrap_or(name))
}
