//! `fmi.toml`.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};
use fmi_actors::Result;

use super::check::check_threads;
use super::tree::{Document, Entry, Node, Tree};
use super::{
    Config, Rendezvous, address, algorithms, channel, ladder, launch, money, ranks, units,
};

const SECTIONS: [&str; 6] = ["deadlines", "limits", "tcp", "run", "money", algorithms::SECTION];

const KEYS: [&str; 45] = [
    "job",
    "size",
    "min_size",
    "rank",
    "ranks",
    "rendezvous",
    "rendezvous_ca",
    "serve",
    "channels",
    "ladder",
    "hint",
    "profile",
    "reproducible",
    "learnt",
    "deadlines",
    "deadlines.join",
    "deadlines.silent",
    "deadlines.operation",
    "deadlines.grace",
    "limits",
    "limits.outbox",
    "tcp",
    "tcp.listen",
    "tcp.advertise",
    "tcp.encrypt",
    "tcp.checksum",
    "run",
    "run.threads",
    "run.keep_awake",
    "money",
    "money.prices",
    "money.memory",
    "money.machines",
    "algorithms",
    "algorithms.barrier",
    "algorithms.bcast",
    "algorithms.gather",
    "algorithms.scatter",
    "algorithms.allgather",
    "algorithms.alltoall",
    "algorithms.reduce",
    "algorithms.allreduce",
    "algorithms.reduce_scatter",
    "algorithms.scan",
    "algorithms.exscan",
];

/// Reads a file's text.
pub(super) fn read(origin: &str, text: &str) -> Result<Config> {
    let document = Document { origin, text };
    let root = DeTable::parse(text).map_err(|wrong| {
        let at = wrong.span().map_or(text.len(), |span| span.start);
        document.error(at, format!("not valid TOML: {}", wrong.message()))
    })?;
    let root = Tree { at: 0, node: table(root.get_ref()) };
    let mut config = Config::default();
    let mut sections = SECTIONS.to_vec();
    // A job may have a name, or a section.
    let section = |entry: &Entry| entry.key == launch::SECTION && is_table(&entry.value);
    if matches!(&root.node, Node::Table(entries) if entries.iter().any(section)) {
        sections.push(launch::SECTION);
    }
    for setting in document.settings(&root, &sections)? {
        if let Some(collective) = algorithms::collective(&setting.path) {
            config.algorithms.extend(algorithms::read(&document, &setting, collective)?);
            continue;
        }
        match set(&mut config, &setting.path, setting.value) {
            Some(Ok(())) => {}
            Some(Err(wrong)) => return Err(document.wrong(&setting, &wrong)),
            None if setting.path == "token" => {
                let wrong = "a secret does not belong in a file: set FMI_TOKEN instead";
                return Err(document.wrong(&setting, wrong));
            }
            None if setting.path.starts_with("job.") => {
                return Err(document.unknown(&setting, &launch::KEYS));
            }
            None => return Err(document.unknown(&setting, &KEYS)),
        }
    }
    Ok(config)
}

/// Applies one setting; `None` if there is no such key.
fn set(config: &mut Config, path: &str, value: &Tree) -> Option<Result<(), String>> {
    let done = match path {
        launch::SECTION if is_table(value) => Ok(()),
        "job.channels" => channels(value).map(|channels| config.channels = channels),
        job if job.starts_with("job.") => return launch::set(config, job, value),
        "job" => value.text().map(|job| config.job = job.to_owned()),
        "size" => value.number().and_then(|size| {
            config.size = Some(size);
            ranks::check_size(size)
        }),
        "min_size" => value.number().map(|ranks| config.min_size = ranks),
        "rank" | "ranks" if config.ranks.is_some() => {
            Err("rank and ranks are both given: keep one".to_owned())
        }
        "rank" | "ranks" => pack(value).map(|ranks| config.ranks = Some(ranks)),
        "rendezvous" => value
            .text()
            .and_then(Rendezvous::read)
            .map(|rendezvous| config.rendezvous = Some(rendezvous)),
        "serve" => {
            value.text().and_then(address::listen).map(|address| config.serve = Some(address))
        }
        "rendezvous_ca" => value.text().map(|path| config.rendezvous_ca = Some(path.into())),
        "ladder" => rungs(value).map(|ladder| config.ladder = ladder),
        "hint" => value.text().and_then(units::hint).map(|hint| config.hint = Some(hint)),
        "profile" => value.text().map(|name| config.profile = Some(name.to_owned())),
        "reproducible" => value.flag().map(|on| config.reproducible = on),
        "learnt" => value.text().map(|path| config.learnt = Some(path.into())),
        "channels" => channels(value).map(|channels| config.channels = channels),
        "deadlines.join" => deadline(value).map(|join| config.deadlines.join = join),
        "deadlines.silent" => deadline(value).map(|silent| config.deadlines.silent = silent),
        "deadlines.operation" => {
            deadline(value).map(|operation| config.deadlines.operation = operation)
        }
        "deadlines.grace" => deadline(value).map(|grace| config.deadlines.grace = grace),
        "limits.outbox" => bytes(value).map(|outbox| config.limits.outbox = outbox),
        "tcp.listen" => {
            value.text().and_then(address::listen).map(|listen| config.listen = Some(listen))
        }
        "tcp.advertise" => value
            .text()
            .and_then(address::advertise)
            .map(|advertise| config.advertise = Some(advertise)),
        "tcp.encrypt" => value.flag().map(|on| config.encrypt = on),
        "tcp.checksum" => value.flag().map(|on| config.checksum = on),
        "run.threads" => value.number().and_then(|threads| {
            config.threads = Some(threads);
            check_threads(threads)
        }),
        "run.keep_awake" => value.flag().map(|on| config.keep_awake = on),
        "money.prices" => value.text().map(|path| config.money.prices = Some(path.into())),
        "money.memory" => bytes(value).map(|memory| config.money.memory = Some(memory as u64)),
        "money.machines" => machines(value).map(|names| config.money.machines = names),
        section if SECTIONS.contains(&section) => Ok(()),
        _ => return None,
    };
    Some(done)
}

fn is_table(value: &Tree) -> bool {
    matches!(value.node, Node::Table(_))
}

/// `3`, `"0-15"` or `[0, 4, 8]`.
fn pack(value: &Tree) -> Result<Vec<usize>, String> {
    let ranks = match &value.node {
        Node::Text(text) => return ranks::read(text),
        Node::Integer(_) => vec![value.number()?],
        Node::List(list) => list.iter().map(Tree::number).collect::<Result<_, _>>()?,
        _ => return value.wrong("a rank, a list of ranks or a text as \"0-15\""),
    };
    ranks::check(&ranks)?;
    Ok(ranks)
}

/// `["local", "tcp"]` or `"local,tcp"`.
fn channels(value: &Tree) -> Result<Vec<channel::ChannelSpec>, String> {
    if let Node::Text(text) = &value.node {
        return channel::list(text);
    }
    let channels = value.list()?.iter().map(|item| channel::ChannelSpec::read(item.text()?));
    let channels = channels.collect::<Result<Vec<_>, String>>()?;
    channel::check(&channels)?;
    Ok(channels)
}

/// `["cache.t3.micro"]` or `"cache.t3.micro,t3.nano"`.
fn machines(value: &Tree) -> Result<Vec<String>, String> {
    if let Node::Text(text) = &value.node {
        return money::machines(text);
    }
    value.list()?.iter().map(|item| item.text().map(str::to_owned)).collect()
}

/// `["direct", "relay"]` or `"direct,relay"`.
fn rungs(value: &Tree) -> Result<Vec<fmi_actors::channel::Rung>, String> {
    if let Node::Text(text) = &value.node {
        return ladder::list(text);
    }
    let rungs = value.list()?.iter().map(|item| ladder::read(item.text()?));
    let rungs = rungs.collect::<Result<Vec<_>, String>>()?;
    ladder::check(&rungs)?;
    Ok(rungs)
}

fn deadline(value: &Tree) -> Result<std::time::Duration, String> {
    match &value.node {
        Node::Text(text) => units::deadline(text),
        _ => value.wrong("a duration in quotes, as \"10 s\""),
    }
}

pub(super) fn bytes(value: &Tree) -> Result<usize, String> {
    match &value.node {
        Node::Text(text) => units::bytes(text),
        Node::Integer(_) => {
            let bytes = value.number()?;
            units::check_bytes(bytes).map(|()| bytes)
        }
        _ => value.wrong("a size as \"4 MiB\" or a number of bytes"),
    }
}

fn table(table: &DeTable<'_>) -> Node {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            at: key.span().start,
            value: tree(value),
        })
        .collect();
    // The parser sorts by name; errors shall come in the order of the file.
    entries.sort_by_key(|entry| entry.at);
    Node::Table(entries)
}

fn tree(value: &Spanned<DeValue<'_>>) -> Tree {
    let node = match value.get_ref() {
        DeValue::Table(inner) => table(inner),
        DeValue::Array(items) => Node::List(items.iter().map(tree).collect()),
        DeValue::String(text) => Node::Text(text.to_string()),
        DeValue::Boolean(flag) => Node::Flag(*flag),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or(Node::Other("a number too large"), Node::Integer),
        DeValue::Float(_) => Node::Other("a number with a point"),
        DeValue::Datetime(_) => Node::Other("a date"),
    };
    Tree { at: value.span().start, node }
}

#[cfg(test)]
#[path = "toml_tests.rs"]
mod tests;
