//! Which of Debian's packages needs which.

use crate::Failure;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// Print the graph of Debian's packages: a line `PACKAGE NEEDED` for each dependency
///
/// Depends and Pre-Depends, all alternatives, without versions. What is only provided by others (a virtual
/// package) leads to those who provide it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Package descriptions [default: what `apt-cache dumpavail` says, or, if that is nothing,
    /// /var/lib/dpkg/status: only what is installed here]
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let text = match &args.from {
        Some(path) => read(path)?,
        None => available()?,
    };
    let mut output = BufWriter::new(io::stdout().lock());
    let mut write = || {
        for (package, needed) in edges(&text) {
            writeln!(output, "{package} {needed}")?;
        }
        output.flush()
    };
    match write() {
        // Whoever reads has enough: `pagerank debian | head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Failure::Output),
    }
}

const STATUS: &str = "/var/lib/dpkg/status";

fn available() -> Result<String, Failure> {
    let asked = Command::new("apt-cache").arg("dumpavail").output();
    let text = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if let Ok(text) = text
        && text.contains("Package:")
    {
        return Ok(text);
    }
    let path = Path::new(STATUS);
    eprintln!("pagerank: apt-cache dumpavail says nothing (apt-get update?): reading {STATUS}");
    let text = read(path)?;
    if text.contains("Package:") { Ok(text) } else { Err(Failure::NoPackages(path.to_owned())) }
}

fn read(path: &Path) -> Result<String, Failure> {
    let bytes = fs::read(path).map_err(|source| Failure::Read { path: path.to_owned(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Each once, in order.
fn edges(text: &str) -> BTreeSet<(&str, &str)> {
    let mut edges = BTreeSet::new();
    let mut packages = BTreeSet::new();
    let mut provided: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            let lines = stanza.lines();
            lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(':')).next()
        };
        let Some(package) = field("Package").map(str::trim) else { continue };
        packages.insert(package);
        for needed in ["Depends", "Pre-Depends"].into_iter().filter_map(field).flat_map(names) {
            edges.insert((package, needed));
        }
        for name in field("Provides").into_iter().flat_map(names) {
            provided.entry(name).or_default().insert(package);
        }
    }
    for (name, by) in provided {
        if !packages.contains(name) {
            edges.extend(by.into_iter().map(|package| (name, package)));
        }
    }
    edges
}

/// The names in `a (>= 1), b | c:any [amd64]`.
fn names(field: &str) -> impl Iterator<Item = &str> {
    field.split([',', '|']).filter_map(|one| {
        let name = one.split_whitespace().next()?;
        let name = name.split(['(', ':']).next()?;
        (!name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_alternatives_and_what_is_provided() {
        let text = "Package: mutt\nDepends: libc6 (>= 2.34), exim4 | mail-transport-agent, \
                    libc6 (>= 2.0)\nDescription: Depends: on\n nothing\n\n\
                    Package: exim4\nPre-Depends: dpkg:any\nProvides: mail-transport-agent (= 1), libc6\n\n\
                    Package: libc6\n\n\n";
        let found: Vec<_> = edges(text).into_iter().collect();
        assert_eq!(
            found,
            [
                ("exim4", "dpkg"),
                ("mail-transport-agent", "exim4"),
                ("mutt", "exim4"),
                ("mutt", "libc6"),
                ("mutt", "mail-transport-agent"),
            ]
        );
        assert!(edges("").is_empty() && edges("nothing: here\n").is_empty());
    }
}
