//! What is to be started: the description in `fmi.toml`, and the flags, which override it.

use super::{Args, engine::On, lacking, output::Format};
use crate::failure::Failure;
use fmi::{
    Config,
    config::{ChannelSpec, Launch, Rendezvous, ranks_of},
};
use std::{
    ffi::OsString,
    fs,
    ops::Range,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

/// A job, checked.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    /// If it was given one.
    pub(crate) name: Option<String>,
    pub(crate) ranks: usize,
    /// Processes that host them.
    pub(crate) packs: usize,
    pub(crate) channel: Option<ChannelSpec>,
    /// Where the rendezvous listens, if not on a free port of the loopback.
    pub(crate) listen: Option<String>,
    /// Where the processes meet, if not where the engine lets them.
    pub(crate) rendezvous: Option<Rendezvous>,
    /// The folder where the processes leave their bills and reports.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) launch: Launch,
    /// For the handlers of functions, instead of arguments.
    #[cfg(feature = "lambda")]
    pub(crate) payload: Option<serde_json::Value>,
    /// Whether the others go on when a process fails.
    pub(crate) keep_going: bool,
    pub(crate) output: Format,
    /// Its deadline counts from here, on both clocks.
    pub(super) began: (Instant, SystemTime),
    /// What the environment says of its end.
    pub(super) until: Option<SystemTime>,
}

impl Job {
    /// One process a rank, and nothing else said.
    pub(crate) fn new(program: OsString, arguments: Vec<OsString>, ranks: usize) -> Self {
        Self {
            program,
            arguments,
            name: None,
            ranks,
            packs: ranks,
            channel: None,
            listen: None,
            rendezvous: None,
            folder: None,
            launch: Launch::default(),
            #[cfg(feature = "lambda")]
            payload: None,
            keep_going: false,
            output: Format::Raw,
            began: (Instant::now(), SystemTime::now()),
            until: None,
        }
    }

    /// When it is over.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.began.0.checked_add(self.launch.deadline?)
    }

    /// The same as `FMI_UNTIL` has it, rounded up: ranks that are given up then have not failed before the
    /// job is over. `None` if the environment has an earlier one.
    pub(crate) fn until(&self) -> Option<String> {
        let end = self.began.1.checked_add(self.launch.deadline?)?;
        if self.until.is_some_and(|until| until <= end) {
            return None;
        }
        let micros = end.duration_since(UNIX_EPOCH).ok()?.as_micros();
        let millis = micros.div_ceil(1000);
        Some(format!("{}.{:03}", millis / 1000, millis % 1000))
    }

    /// The ranks of a process.
    pub(crate) fn ranks_of(&self, pack: usize) -> Range<usize> {
        ranks_of(pack, self.packs, self.ranks)
    }

    /// What the flags say, and, where they do not, the file.
    pub(super) fn read(args: &Args, config: Config) -> Result<(Self, On), Failure> {
        // That of a launcher around us is not this job's.
        let named = config.launcher.is_none() && config.job != Config::default().job;
        let (name, until) = (named.then_some(config.job), config.until);
        let mut launch = config.launch;
        let on = match (&args.on, &launch.on) {
            (Some(on), _) => *on,
            (None, Some(name)) => On::named(name)?,
            (None, None) => On::Local,
        };
        if let Some(text) = &args.deadline {
            launch.deadline =
                Some(fmi::config::duration(text).map_err(|error| flag("--deadline", &error))?);
        }
        if let Some(bytes) = args.memory {
            launch.memory = Some(bytes as u64);
        }
        for variable in &args.env {
            launch.environment.push(self::variable(variable)?);
        }
        if let Some(image) = &args.image {
            launch.image = Some(image.clone());
        }
        if let Some(file) = &args.rank_args {
            let text = fs::read_to_string(file).map_err(|error| {
                Failure::usage(format!("--rank-args {}: {error}", file.display()))
            })?;
            let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
            launch.rank_arguments = text.lines().map(words).collect();
        }
        let (program, arguments) = match (args.command.split_first(), &launch.program) {
            (Some((program, arguments)), _) => (program.clone(), arguments.to_vec()),
            (None, Some(program)) => {
                (program.into(), launch.arguments.iter().map(OsString::from).collect())
            }
            (None, None) => {
                return Err(Failure::usage(
                    "there is nothing to start: write it behind --, or as program = \"…\" into the section \
                     [job] of fmi.toml",
                ));
            }
        };
        let ranks = args.ranks.map(|ranks| ranks as usize).or(launch.ranks).ok_or_else(|| {
            Failure::usage(
                "how many ranks? Write -n N, or ranks = N into the section [job] of fmi.toml",
            )
        })?;
        let given = launch.rank_arguments.len();
        if given > 0 && given != ranks {
            return Err(Failure::usage(format!(
                "there are arguments for {given} ranks, and the job has {ranks}: give each one list, \
                 which may be empty"
            )));
        }
        check(args)?;
        let packs = packs(args, &launch, ranks)?;
        let output = args.output.unwrap_or_else(Format::usual);
        let job = Self {
            name,
            packs,
            channel: args.channel.clone(),
            listen: args.listen.clone(),
            rendezvous: args.rendezvous.clone(),
            launch,
            #[cfg(feature = "lambda")]
            payload: args.payload.as_deref().map(payload).transpose()?,
            keep_going: args.keep_going,
            output,
            until,
            ..Self::new(program, arguments, ranks)
        };
        Ok((job, on))
    }
}

/// What this build cannot do.
fn check(args: &Args) -> Result<(), Failure> {
    if let Some(channel) = &args.channel
        && let Some(why) = channel.unavailable()
    {
        return Err(Failure::usage(lacking("--channel", channel, why)));
    }
    if let Some(url) = &args.rendezvous
        && let Some(why) = url.unavailable()
    {
        return Err(Failure::usage(lacking("--rendezvous", url, why)));
    }
    Ok(())
}

/// How many processes host the ranks.
fn packs(args: &Args, launch: &Launch, ranks: usize) -> Result<usize, Failure> {
    let local = args.channel == Some(ChannelSpec::Local);
    let flags = args.packs.is_some() || args.ranks_per_pack.is_some();
    let (packs, each) = match flags {
        true => (args.packs.map(|packs| packs as usize), args.ranks_per_pack.map(|n| n as usize)),
        false => (launch.packs, launch.ranks_per_pack),
    };
    match (packs, each) {
        (Some(_), Some(_)) => Err(Failure::usage(
            "packs and ranks_per_pack both say how many processes there are: keep one",
        )),
        (Some(packs), None) if local && packs > 1 => Err(Failure::usage(format!(
            "--channel local is one process with all ranks, and --packs asks for {packs}: leave one of \
             them out"
        ))),
        (Some(packs), None) if packs > ranks => Err(Failure::usage(format!(
            "--packs {packs} are more than the {ranks} ranks: give each process one at least"
        ))),
        (Some(packs), None) => Ok(packs),
        (None, _) if local => Ok(1),
        (None, Some(each)) => Ok(ranks.div_ceil(each)),
        (None, None) => Ok(ranks),
    }
}

/// JSON, or `@` and a file with it.
#[cfg(feature = "lambda")]
fn payload(text: &str) -> Result<serde_json::Value, Failure> {
    let wrong = |why: &dyn std::fmt::Display| Failure::usage(format!("--payload {text}: {why}"));
    let text = match text.strip_prefix('@') {
        Some(file) => fs::read_to_string(file).map_err(|error| wrong(&error))?,
        None => text.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| wrong(&error))
}

/// `NAME=VALUE`.
fn variable(text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some(("FMI_TOKEN", _)) => Err(Failure::usage(
            "--env FMI_TOKEN=…: a command line can be read by others: export FMI_TOKEN instead",
        )),
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(format!("--env {text}: write NAME=VALUE"))),
    }
}

fn flag(name: &str, error: &fmi::Error) -> Failure {
    let text = error.to_string();
    Failure::usage(format!("{name}: {}", text.strip_prefix("duration: ").unwrap_or(&text)))
}
