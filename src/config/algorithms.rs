//! Which algorithms run the collectives: the section `[algorithms]`, and `FMI_ALGORITHMS`.

use fmi_actors::Result;
use fmi_collectives::plan::{Algorithm, Collective, Rule, Table};

use super::tree::{Document, Node, Setting, Tree};
use super::{Config, suggest, units};

/// The section of the file.
pub(super) const SECTION: &str = "algorithms";
/// What a table in it may say.
const KEYS: [&str; 5] = ["algorithm", "min_bytes", "max_bytes", "min_ranks", "max_ranks"];

impl Config {
    /// By which table the job's communicators choose algorithms: the library's, behind the rules
    /// that were configured.
    pub fn table(&self) -> Table {
        let rules = self.algorithms.iter().rev().cloned();
        rules.fold(Table::default(), Table::prefer)
    }
}

/// The collective that a key of the file is about.
pub(super) fn collective(path: &str) -> Option<Collective> {
    let name = path.strip_prefix(SECTION)?.strip_prefix('.')?;
    Collective::ALL.iter().copied().find(|collective| collective.name() == name)
}

/// A name, a table, or a list of them, as rules in the order in which they are tried.
pub(super) fn read(
    document: &Document<'_>,
    setting: &Setting<'_>,
    collective: Collective,
) -> Result<Vec<Rule>> {
    let one = |value| rule(document, &setting.path, value, collective);
    match &setting.value.node {
        Node::List(list) => list.iter().map(one).collect(),
        _ => one(setting.value).map(|rule| vec![rule]),
    }
}

/// `allreduce/ring,bcast/chain`.
pub(super) fn list(text: &str) -> Result<Vec<Rule>, String> {
    text.split(',').map(|name| full(name.trim()).map(Rule::always)).collect()
}

fn rule(document: &Document<'_>, path: &str, value: &Tree, collective: Collective) -> Result<Rule> {
    let wrong = |value: &Tree, message: String| {
        document.wrong(&Setting { path: path.to_owned(), at: value.at, value }, &message)
    };
    let named = |value: &Tree| {
        let algorithm = value.text().and_then(|name| of(collective, name));
        algorithm.map(Rule::always).map_err(|message| wrong(value, message))
    };
    let Node::Table(entries) = &value.node else {
        if matches!(value.node, Node::Text(_)) {
            return named(value);
        }
        let forms = "a name in quotes, a table with algorithm = \"…\", or a list of them";
        return Err(wrong(value, value.wrong::<()>(forms).err().unwrap_or_default()));
    };
    let Some(name) = entries.iter().find(|entry| entry.key == "algorithm") else {
        let message = format!("names no algorithm: add algorithm = {:?}", any(collective));
        return Err(wrong(value, message));
    };
    let mut rule = named(&name.value)?;
    for entry in entries {
        let path = format!("{path}.{}", entry.key);
        let setting = Setting { path, at: entry.at, value: &entry.value };
        let done = match entry.key.as_str() {
            "algorithm" => Ok(()),
            "min_bytes" => bytes(&entry.value).map(|bytes| rule.bytes.start = bytes),
            "max_bytes" => {
                bytes(&entry.value).map(|bytes| rule.bytes.end = bytes.saturating_add(1))
            }
            "min_ranks" => entry.value.number().map(|ranks| rule.size.start = ranks),
            "max_ranks" => {
                entry.value.number().map(|ranks| rule.size.end = ranks.saturating_add(1))
            }
            _ => {
                let known = KEYS.map(|key| setting.path.replace(&entry.key, key));
                return Err(document.unknown(&setting, &known.each_ref().map(String::as_str)));
            }
        };
        done.map_err(|message| document.wrong(&setting, &message))?;
    }
    if rule.bytes.is_empty() || rule.size.is_empty() {
        let what = if rule.size.is_empty() { "ranks" } else { "bytes" };
        let message = format!("min_{what} is above max_{what}: the rule would never apply");
        return Err(wrong(value, message));
    }
    Ok(rule)
}

fn bytes(value: &Tree) -> Result<u64, String> {
    match &value.node {
        Node::Text(text) => units::size(text).map(|bytes| bytes as u64),
        Node::Integer(_) => value.number().map(|bytes| bytes as u64),
        _ => value.wrong("a size as \"4 MiB\" or a number of bytes"),
    }
}

/// An algorithm by its name among those of its collective.
fn of(collective: Collective, name: &str) -> Result<&'static Algorithm, String> {
    let all = || collective.algorithms().iter().copied();
    all().find(|algorithm| algorithm.name == name).ok_or_else(|| {
        match suggest::closest(name, all().map(|algorithm| algorithm.name)) {
            Some(known) => {
                format!("{name:?} is no algorithm for {collective}: did you mean {known:?}?")
            }
            None => {
                let names: Vec<_> = all().map(|algorithm| algorithm.name).collect();
                let names = names.join(", ");
                format!("{name:?} is no algorithm for {collective}: there are {names}")
            }
        }
    })
}

/// An algorithm by its full name.
fn full(name: &str) -> Result<&'static Algorithm, String> {
    if let Some(algorithm) = Algorithm::find(name) {
        return Ok(algorithm);
    }
    if let Some((collective, own)) = name.split_once('/')
        && let Some(collective) = Collective::ALL.iter().find(|known| known.name() == collective)
    {
        return of(*collective, own);
    }
    let names: Vec<_> = Algorithm::all().map(ToString::to_string).collect();
    Err(match suggest::closest(name, names.iter().map(String::as_str)) {
        Some(known) => format!("{name:?} is no algorithm: did you mean {known:?}?"),
        None => {
            format!("{name:?} is no algorithm: write COLLECTIVE/NAME, as in \"allreduce/ring\"")
        }
    })
}

/// An example.
fn any(collective: Collective) -> &'static str {
    collective.algorithms()[0].name
}

#[cfg(test)]
#[path = "algorithms_tests.rs"]
mod tests;
