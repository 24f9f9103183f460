//! `[job]`: what `fmi run` starts.

use std::{path::PathBuf, time::Duration};

use fmi_actors::Result;

use super::tree::{Node, Tree};
use super::{Config, told, units};

/// The description of a job for `fmi run`: the section `[job]` of `fmi.toml`. Flags override it. All of
/// it may be left out.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Launch {
    /// What to start, and its arguments.
    pub program: Option<String>,
    /// The arguments of all its processes.
    pub arguments: Vec<String>,
    /// How many ranks there are.
    pub ranks: Option<usize>,
    /// How many processes host them.
    pub packs: Option<usize>,
    /// The same, said by how many ranks each hosts.
    pub ranks_per_pack: Option<usize>,
    /// Memory of a process, in bytes.
    pub memory: Option<u64>,
    /// Variables for all processes.
    pub environment: Vec<(String, String)>,
    /// Further arguments, a list for each rank: [`Context::args`](crate::Context::args) has them behind
    /// those of the process. `FMI_ARGS` has them as JSON.
    pub rank_arguments: Vec<Vec<String>>,
    /// How long it may take.
    pub deadline: Option<Duration>,
    /// Which engine starts it: `local`, `slurm` or `kubernetes`.
    pub on: Option<String>,
    /// The image of its containers.
    pub image: Option<String>,
    /// A folder where its processes say that they began, and leave what their ranks
    /// [finish](crate::Context::finish) with. `fmi run` sets it (`FMI_REPORT`).
    pub report: Option<PathBuf>,
}

/// The section.
pub(super) const SECTION: &str = "job";

/// Its keys.
pub(super) const KEYS: [&str; 13] = [
    "job.name",
    "job.program",
    "job.arguments",
    "job.ranks",
    "job.packs",
    "job.ranks_per_pack",
    "job.memory",
    "job.env",
    "job.rank_arguments",
    "job.deadline",
    "job.channels",
    "job.on",
    "job.image",
];

/// Applies one key of the section; `None` if there is no such key.
pub(super) fn set(config: &mut Config, path: &str, value: &Tree) -> Option<Result<(), String>> {
    let launch = &mut config.launch;
    let text = |value: &Tree| value.text().map(|text| Some(text.to_owned()));
    let count = |value: &Tree| match value.number()? {
        0 => Err("must be 1 at least".to_owned()),
        number => Ok(Some(number)),
    };
    Some(match path.strip_prefix("job.")? {
        "name" => value.text().map(|name| config.job = name.to_owned()),
        "program" => text(value).map(|program| launch.program = program),
        "arguments" => texts(value).map(|arguments| launch.arguments = arguments),
        "ranks" => value.number().and_then(|ranks| {
            launch.ranks = Some(ranks);
            super::ranks::check_size(ranks)
        }),
        "packs" => count(value).map(|packs| launch.packs = packs),
        "ranks_per_pack" => count(value).map(|ranks| launch.ranks_per_pack = ranks),
        "memory" => super::toml::bytes(value).map(|bytes| launch.memory = Some(bytes as u64)),
        "env" => variables(value).map(|variables| launch.environment = variables),
        "rank_arguments" => value
            .list()
            .and_then(|lists| lists.iter().map(texts).collect())
            .map(|lists| launch.rank_arguments = lists),
        "deadline" => {
            value.text().and_then(units::deadline).map(|deadline| launch.deadline = Some(deadline))
        }
        "on" => text(value).map(|engine| launch.on = engine),
        "image" => text(value).map(|image| launch.image = image),
        _ => return None,
    })
}

/// Reads `FMI_ARGS`.
pub(super) fn arguments(text: &str) -> Result<Vec<Vec<String>>, String> {
    serde_json::from_str(text).map_err(|_| {
        "is not a list with a list of texts for each rank, as JSON: fmi run sets it".to_owned()
    })
}

/// A length of time as people write it, `10 min`.
///
/// # Errors
/// [`Error::Config`](fmi_actors::Error::Config) with an advice.
pub fn duration(text: &str) -> Result<Duration> {
    units::deadline(text).map_err(|wrong| told("duration", wrong))
}

fn texts(value: &Tree) -> Result<Vec<String>, String> {
    value.list()?.iter().map(|item| item.text().map(str::to_owned)).collect()
}

fn variables(value: &Tree) -> Result<Vec<(String, String)>, String> {
    let Node::Table(entries) = &value.node else { return value.wrong("a table of texts") };
    let pair = |entry: &super::tree::Entry| {
        let text = entry.value.text().map_err(|wrong| format!("{}: {wrong}", entry.key))?;
        check_variable(&entry.key)?;
        Ok((entry.key.clone(), text.to_owned()))
    };
    entries.iter().map(pair).collect()
}

/// Refuses what cannot be a variable, and a secret in a file.
fn check_variable(name: &str) -> Result<(), String> {
    if name == "FMI_TOKEN" {
        return Err(
            "a secret does not belong in a file: set FMI_TOKEN where you call fmi run".to_owned()
        );
    }
    match name.is_empty() || name.contains(['=', '\0']) {
        true => Err(format!("{name:?} is no name of a variable")),
        false => Ok(()),
    }
}
