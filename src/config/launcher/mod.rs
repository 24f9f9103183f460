//! Launchers that are not ours: what their environment says of rank, size and job.
//!
//! One file each, with one function from an environment to [`Found`]. The order of [`ALL`] is that
//! of nesting, the inner ones first: `mpirun` starts its daemons by `srun` where there is Slurm, so
//! that its processes have the variables of both.

mod batch;
mod kubernetes;
mod mpich;
mod openmpi;
mod slurm;

use std::ops::Range;

use fmi_actors::Result;

use super::env::{Lookup, raw};
use super::{Config, ranks, suggest, told};

/// The launcher that a process has its rank and size from, where these are not set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Launcher {
    /// `openmpi`, `mpich`, `slurm`, `batch` or `kubernetes`: as `FMI_LAUNCHER` takes it.
    pub name: &'static str,
    /// How it tells this job from all others.
    pub(crate) id: Id,
}

/// What a launcher calls a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Id {
    /// Name of a folder below the home that the processes share.
    Shared(String),
    /// The same, but it has to be asked for, by PMI on this descriptor.
    Asked(i32),
    /// It has none that could be found out.
    Unknown,
    /// Its processes share no home.
    Apart,
}

/// What a launcher's environment says.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    /// Number of this process.
    process: usize,
    /// How many there are, if it says so.
    processes: Option<usize>,
    id: Id,
}

/// A launcher's name, and how to know it. `None`: it has not started this process.
type Contract = (&'static str, fn(Env<'_>) -> Result<Option<Found>>);

const ALL: [Contract; 5] = [
    ("openmpi", openmpi::find),
    ("mpich", mpich::find),
    ("slurm", slurm::find),
    ("batch", batch::find),
    ("kubernetes", kubernetes::find),
];

/// Completes a configuration from what a launcher says, should it lack ranks.
pub(super) fn adopt(config: &mut Config, lookup: Lookup<'_>) -> Result<()> {
    let env = Env(lookup);
    let wanted = env.text(NAME)?;
    if config.ranks.is_some() || wanted.as_deref() == Some("none") {
        return Ok(());
    }
    let Some((name, found)) = find(env, wanted.as_deref())? else { return Ok(()) };
    // Where many copies of a program are mostly to have nothing to do with each other, and share no
    // home: they make a job if they are told where to meet.
    if found.id == Id::Apart
        && wanted.is_none()
        && config.rendezvous.is_none()
        && !has_store(config)
    {
        return Ok(());
    }
    let Some((own, size)) = seat(config.size, packs(env)?, name, &found)? else { return Ok(()) };
    config.ranks = Some(own.collect());
    config.size = Some(size);
    if let Id::Shared(id) = &found.id
        && config.job == Config::default().job
    {
        config.job.clone_from(id);
    }
    config.launcher = Some(Launcher { name, id: found.id });
    Ok(())
}

/// Whether a store is named where processes could meet.
fn has_store(config: &Config) -> bool {
    config.available().filter(|channel| channel.is_store()).count() == 1
}

const NAME: &str = "FMI_LAUNCHER";
const PACKS: &str = "FMI_PACKS";

/// The ranks of process `pack` of `packs`: contiguous, and of lengths that differ by at most one.
pub fn ranks_of(pack: usize, packs: usize, ranks: usize) -> Range<usize> {
    pack * ranks / packs..(pack + 1) * ranks / packs
}

fn find(env: Env<'_>, wanted: Option<&str>) -> Result<Option<(&'static str, Found)>> {
    let Some(wanted) = wanted else {
        for (name, find) in ALL {
            if let Some(found) = find(env)? {
                return Ok(Some((name, found)));
            }
        }
        return Ok(None);
    };
    let Some((name, find)) = ALL.iter().find(|(name, _)| *name == wanted) else {
        let names = ALL.map(|(name, _)| name);
        let hint = match suggest::closest(wanted, names) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("write one of {} or none", names.join(", ")),
        };
        return Err(told(NAME, format!("{wanted:?} is no launcher: {hint}")));
    };
    match find(env)? {
        Some(found) => Ok(Some((name, found))),
        None => {
            Err(told(NAME, format!("{name} has not started this process: take FMI_LAUNCHER away")))
        }
    }
}

/// The ranks of this process, and how many there are. `None` where what is ours says otherwise.
fn seat(
    size: Option<usize>,
    packs: Option<usize>,
    name: &str,
    found: &Found,
) -> Result<Option<(Range<usize>, usize)>> {
    let (process, processes) = (found.process, found.processes);
    let (own, size) = match (packs, size) {
        (Some(packs), Some(size)) => {
            if packs > size || processes.is_some_and(|processes| processes != packs) {
                let started = processes.unwrap_or(packs);
                return Err(told(
                    PACKS,
                    format!(
                        "the {size} ranks are to be in {packs} processes, and {name} has started \
                         {started}: start as many processes as FMI_PACKS says, and give each a rank \
                         at least"
                    ),
                ));
            }
            check(process, packs, name)?;
            (ranks_of(process, packs, size), size)
        }
        (Some(_), None) => {
            return Err(told(PACKS, "is set without FMI_SIZE: set how many ranks the job has"));
        }
        (None, ours) => {
            let Some(size) = ours.or(processes) else { return Ok(None) };
            if processes.is_some_and(|processes| processes != size) {
                return Ok(None);
            }
            ranks::check_size(size).map_err(|wrong| told(name, wrong))?;
            check(process, size, name)?;
            (process..process + 1, size)
        }
    };
    Ok(Some((own, size)))
}

/// Refuses a number beyond the last.
fn check(process: usize, processes: usize, name: &str) -> Result<()> {
    match process < processes {
        true => Ok(()),
        false => Err(told(
            name,
            format!(
                "this is its process {process}, and there are {processes} in all, counted from 0: \
                 set FMI_SIZE to how many there are, or FMI_LAUNCHER=none"
            ),
        )),
    }
}

fn packs(env: Env<'_>) -> Result<Option<usize>> {
    match env.number(PACKS)? {
        Some(0) => Err(told(PACKS, "0 processes host nothing: write 1 at least")),
        packs => Ok(packs),
    }
}

/// An environment, with errors that name the variable.
#[derive(Clone, Copy)]
struct Env<'a>(Lookup<'a>);

impl Env<'_> {
    fn text(self, name: &str) -> Result<Option<String>> {
        let text = raw(self.0, name).map(|value| {
            value.into_string().map_err(|_| told(name, "is not valid UTF-8: set FMI_LAUNCHER=none"))
        });
        text.transpose()
    }

    fn has(self, name: &str) -> bool {
        raw(self.0, name).is_some()
    }

    fn number(self, name: &str) -> Result<Option<usize>> {
        let number = self.text(name)?.map(|text| {
            text.trim().parse().map_err(|_| {
                told(name, format!("{text:?} is no number: correct it, or set FMI_LAUNCHER=none"))
            })
        });
        number.transpose()
    }

    /// The first of several variables.
    fn any_number(self, names: &[&str]) -> Result<Option<usize>> {
        for name in names {
            if let Some(number) = self.number(name)? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }
}

/// As a file's name: what could be anything else becomes a dash.
pub(super) fn name(text: &str) -> String {
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = text.chars().map(|c| if fit(c) { c } else { '-' }).take(LONGEST).collect();
    // Hidden names are ours.
    name.trim_start_matches('.').to_owned()
}

/// The longest name that every file system takes, with room for what we put behind it.
const LONGEST: usize = 200;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
