//! A call to explain: the question, the answer, and what happens.

use super::{
    Args,
    model::{Place, Verdict},
    traffic::{ByDistance, Stand},
};
use crate::{
    failure::Failure,
    model::weigh::{self, is_known},
    units::count,
};
use fmi::{
    Config,
    plan::{
        Algorithm, Blocks, Collective, Demand, Objection, Question, Rule, Shape, Table, can_run,
        chunks,
        trace::{Event, Kind, Trace},
    },
};

/// All there is to tell about a call.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) question: Question,
    /// As `--bytes` said.
    pub(super) bytes: u64,
    pub(super) shape: Shape,
    pub(super) stand: Stand,
    pub(super) algorithm: &'static Algorithm,
    pub(super) why: Why,
    /// What the model says, if a profile was asked for.
    pub(super) verdict: Option<Verdict>,
    /// `None` where it would be too long to show.
    pub(super) trace: Option<Trace>,
    /// Of each rank, if there is a trace.
    pub(super) ranks: Vec<Totals>,
    /// How far it goes, if there is a trace.
    pub(super) traffic: Option<ByDistance>,
    /// What a vector is a vector of, in bytes.
    element: u64,
}

/// Why this algorithm.
#[derive(Debug)]
pub(super) enum Why {
    /// The user asks for it.
    Asked,
    /// A rule of the table, which has this number, and what was tried before it.
    Rule { number: usize, rule: Rule, passed: Vec<(usize, &'static Algorithm, Objection)> },
    /// The model finds it the best.
    Model,
    /// No rule applies; it is the first that can run.
    Fallback,
}

/// What one rank has to do with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Messages, and publications.
    pub(super) sends: usize,
    pub(super) bytes_sent: u64,
    /// Messages, and what is fetched.
    pub(super) receives: usize,
    pub(super) bytes_received: u64,
}

/// Plans with more blocks in messages, or on all ranks, are not traced.
const BLOCKS_MAX: usize = 1 << 19;

impl Case {
    pub(super) fn new(args: &Args, collective: Collective, table: &Table) -> Result<Self, Failure> {
        let (size, root) = (args.ranks as usize, args.root as usize);
        check_root(collective, root, size)?;
        let bytes = if collective == Collective::Barrier { 0 } else { args.bytes as u64 };
        let length = weigh::length(collective, bytes, size);
        let known = !args.opaque && is_known(collective);
        let place = Place::new(args)?;
        let stand = Stand::new(args, place.as_ref().map_or(0, Place::cores))?;
        let asked_store = args.store.into();
        let question = Question {
            collective,
            demand: args.op_kind.into(),
            size,
            bytes: known.then_some(length),
            cuttable: !args.opaque && collective != Collective::Barrier,
            together: stand.is_together() && (args.together || size > 1),
            crowded: stand.topology().is_crowded(),
            packing: stand.packing(),
            store: place.as_ref().map_or(asked_store, Place::shelf),
        };
        let verdict = |place: Place| {
            let topology = stand.topology().clone();
            place.verdict(question, (root, length), topology, args.objective)
        };
        let verdict = place.map(verdict).transpose()?;
        let modelled = verdict.as_ref().and_then(Verdict::chosen);
        let (question, algorithm, why) = match (&args.algorithm, modelled) {
            (Some(name), _) => (question, asked(name, &question)?, Why::Asked),
            (None, Some(plan)) if !is_preferred(table, &question) => {
                (question, plan.algorithm, Why::Model)
            }
            (None, _) => chosen(table, question),
        };
        let cut = question.bytes.filter(|_| question.cuttable).unwrap_or(0);
        // The model knows how long chunks are to be.
        let plan = verdict.as_ref().and_then(|verdict| verdict.plan(algorithm));
        let shape = plan.map(|plan| plan.shape.clone()).unwrap_or_else(|| {
            Shape::of(size).rooted(root).chunked(chunks(cut)).packed(&stand.packs())
        });
        let element = if length.is_multiple_of(4) { 4 } else { 1 };
        let ranks = Vec::new();
        let long = (algorithm.sent)(shape.clone()).max(algorithm.blocks(&shape));
        let long = long.saturating_mul(size);
        let (trace, traffic) = (None, None);
        let mut case = Self {
            question,
            bytes,
            shape: shape.clone(),
            stand,
            algorithm,
            why,
            verdict,
            trace,
            ranks,
            traffic,
            element,
        };
        if long <= BLOCKS_MAX {
            let wrong = |error| Failure::new(format!("{algorithm} is wrong: {error}"));
            let trace = algorithm.trace(shape).map_err(wrong)?;
            case.ranks = case.totals(&trace.events);
            let bytes = |event: &Event| case.bytes_of(&event.blocks);
            case.traffic = Some(case.stand.traffic(&trace.events, bytes));
            case.trace = Some(trace);
        }
        Ok(case)
    }

    /// Bytes of one value.
    pub(super) fn length(&self) -> u64 {
        weigh::length(self.question.collective, self.bytes, self.question.size)
    }

    /// How many blocks a workspace has.
    pub(super) fn blocks(&self) -> usize {
        self.algorithm.blocks(&self.shape)
    }

    /// Bytes of these blocks. A value that is cut is cut between elements, as evenly as can be.
    pub(super) fn bytes_of(&self, blocks: &Blocks) -> u64 {
        let pieces = self.algorithm.pieces(&self.shape);
        if pieces == 1 {
            return blocks.len() as u64 * self.length();
        }
        let elements = u128::from(self.length() / self.element);
        let at = |block: usize| (elements * block as u128 / pieces as u128) as u64 * self.element;
        blocks.runs().map(|run| at(run.end) - at(run.start)).sum()
    }

    /// What the rank that sends most sends.
    pub(super) fn busiest(&self) -> u64 {
        match &self.trace {
            Some(_) => self.ranks.iter().map(|rank| rank.bytes_sent).max().unwrap_or(0),
            None => {
                let pieces = self.algorithm.pieces(&self.shape) as u64;
                self.length() * (self.algorithm.sent)(self.shape.clone()) as u64 / pieces
            }
        }
    }

    /// `4 ranks`, `4 ranks, root 2`.
    pub(super) fn ranks(&self) -> String {
        let ranks = count(self.question.size, "rank") + &self.stand.text();
        match self.question.collective.is_rooted() {
            true => format!("{ranks}, root {}", self.shape.root),
            false => ranks,
        }
    }

    fn totals(&self, events: &[Event]) -> Vec<Totals> {
        let mut ranks = vec![Totals::default(); self.question.size];
        for event in events {
            let bytes = self.bytes_of(&event.blocks);
            if event.kind.is_message() || matches!(event.kind, Kind::Publish { .. }) {
                let from = &mut ranks[event.from];
                from.sends += 1;
                from.bytes_sent += bytes;
            }
            if let Some(to) = event.to {
                ranks[to].receives += 1;
                ranks[to].bytes_received += bytes;
            }
        }
        ranks
    }
}

fn check_root(collective: Collective, root: usize, size: usize) -> Result<(), Failure> {
    if root > 0 && !collective.is_rooted() {
        return Err(Failure::usage(format!("--root {root}: {collective} has no root")));
    }
    if root >= size {
        let last = size - 1;
        return Err(Failure::usage(format!(
            "--root {root} is not one of the {size} ranks: give 0 to {last}"
        )));
    }
    Ok(())
}

/// Whether a rule applies that the user put before those of the library.
fn is_preferred(table: &Table, question: &Question) -> bool {
    let own = Table::default().rules().len();
    let preferred = table.rules().len().saturating_sub(own);
    table.rule(question).is_some_and(|(index, _)| index < preferred)
}

fn asked(name: &str, question: &Question) -> Result<&'static Algorithm, Failure> {
    let Question { collective, .. } = question;
    let full = if name.contains('/') { name.to_owned() } else { format!("{collective}/{name}") };
    let rules = Config::default().algorithms(&full);
    let rules = rules
        .map_err(|error| {
            Failure::usage(match error {
                fmi::Error::Config { message, .. } => format!("--algorithm: {message}"),
                error => error.to_string(),
            })
        })?
        .algorithms;
    let [rule] = &rules[..] else {
        return Err(Failure::usage("--algorithm takes one algorithm"));
    };
    let algorithm = rule.algorithm;
    if can_run(algorithm, question) {
        return Ok(algorithm);
    }
    let objection = rule.objection(question).map_or_else(String::new, |it| it.to_string());
    let advice = match rule.objection(question) {
        Some(Objection::Apart) => ": add --together".to_owned(),
        Some(Objection::Unpacked) => ": add --packs".to_owned(),
        Some(Objection::Opaque) => ": leave --opaque out".to_owned(),
        Some(Objection::Demand) => {
            let demand = match algorithm.demand {
                Demand::Commutative => "commutative",
                _ => "associative",
            };
            format!(": it suits --op-kind {demand}")
        }
        _ => String::new(),
    };
    Err(Failure::usage(format!("--algorithm {algorithm} cannot run there, {objection}{advice}")))
}

/// What the table says. Where only the root knows the length, all ask first whether what is
/// published would do, as a call does.
fn chosen(table: &Table, question: Question) -> (Question, &'static Algorithm, Why) {
    let unbound = Question { bytes: None, ..question };
    let late = question.collective.is_late_bound();
    let question = match late && table.choose(&unbound).algorithm.is_shared() {
        true => unbound,
        false => question,
    };
    let why = match table.rule(&question) {
        Some((index, rule)) => {
            let before = table.rules()[..index].iter().enumerate();
            let passed = before.filter_map(|(index, rule)| {
                let objection = rule.objection(&question)?;
                let other = objection == Objection::Collective;
                (!other).then_some((index + 1, rule.algorithm, objection))
            });
            Why::Rule { number: index + 1, rule: rule.clone(), passed: passed.collect() }
        }
        None => Why::Fallback,
    };
    (question, table.choose(&question).algorithm, why)
}
