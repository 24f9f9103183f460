//! A config file in memory: keys and values that know where they stand.

use fmi_actors::{Error, Result};

use super::{suggest, told};

/// A value, with its place in the text (in JSON, that of its key), in bytes.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) at: usize,
    pub(super) node: Node,
}

#[derive(Debug)]
pub(super) enum Node {
    /// In the order of the file.
    Table(Vec<Entry>),
    List(Vec<Tree>),
    Text(String),
    Integer(i128),
    Flag(bool),
    /// What no setting can be: its name for errors.
    Other(&'static str),
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: usize,
    pub(super) value: Tree,
}

/// A key of a file, with its dotted path.
pub(super) struct Setting<'t> {
    pub(super) path: String,
    pub(super) at: usize,
    pub(super) value: &'t Tree,
}

impl Tree {
    pub(super) fn text(&self) -> Result<&str, String> {
        match &self.node {
            Node::Text(text) => Ok(text),
            _ => self.wrong("a text in quotes"),
        }
    }

    pub(super) fn flag(&self) -> Result<bool, String> {
        match self.node {
            Node::Flag(flag) => Ok(flag),
            _ => self.wrong("true or false"),
        }
    }

    pub(super) fn number(&self) -> Result<usize, String> {
        match self.node {
            Node::Integer(number) => usize::try_from(number)
                .map_err(|_| format!("must be a whole number from 0 up, not {number}")),
            _ => self.wrong("a whole number"),
        }
    }

    pub(super) fn list(&self) -> Result<&[Tree], String> {
        match &self.node {
            Node::List(list) => Ok(list),
            _ => self.wrong("a list"),
        }
    }

    pub(super) fn wrong<T>(&self, expected: &str) -> Result<T, String> {
        let kind = match &self.node {
            Node::Table(_) => "a table",
            Node::List(_) => "a list",
            Node::Text(_) => "a text",
            Node::Integer(_) => "a whole number",
            Node::Flag(_) => "true or false",
            Node::Other(kind) => kind,
        };
        Err(format!("must be {expected}, not {kind}"))
    }
}

/// A text and what to call it, for errors.
#[derive(Clone, Copy)]
pub(super) struct Document<'a> {
    pub(super) origin: &'a str,
    pub(super) text: &'a str,
}

impl Document<'_> {
    /// An error at a place in the text: `fmi.toml:3:8`.
    pub(super) fn error(&self, at: usize, message: impl Into<String>) -> Error {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        told(format!("{}:{line}:{column}", self.origin), message)
    }

    /// An error about the value of one setting.
    pub(super) fn wrong(&self, setting: &Setting<'_>, message: &str) -> Error {
        self.error(setting.value.at, format!("{}: {message}", setting.path))
    }

    /// A key that is none of `known`.
    pub(super) fn unknown(&self, setting: &Setting<'_>, known: &[&str]) -> Error {
        let path = setting.path.as_str();
        let (section, key) = split(path);
        // The same section first: "host" is a key of two back ends.
        let near = known.iter().filter_map(|known| {
            let (home, name) = split(known);
            suggest::slips(key, name).map(|slips| (slips, home != section, *known))
        });
        let hint = match near.min() {
            Some((_, _, known)) => format!("did you mean {known:?}?"),
            None => {
                let here = known.iter().map(|known| split(known));
                let here: Vec<_> = here.filter(|(home, _)| *home == section).collect();
                let names: Vec<_> = here.iter().map(|(_, name)| *name).collect();
                format!("the keys here are {}", names.join(", "))
            }
        };
        self.error(setting.at, format!("unknown key {path:?}: {hint}"))
    }

    /// All settings with their paths, going into the tables named by `sections`. A section comes
    /// before its content.
    pub(super) fn settings<'t>(
        &self,
        root: &'t Tree,
        sections: &[&str],
    ) -> Result<Vec<Setting<'t>>> {
        let mut all = Vec::new();
        self.collect(root, "", sections, &mut all)?;
        Ok(all)
    }

    fn collect<'t>(
        &self,
        table: &'t Tree,
        section: &str,
        sections: &[&str],
        all: &mut Vec<Setting<'t>>,
    ) -> Result<()> {
        let Node::Table(entries) = &table.node else {
            let name = if section.is_empty() { "the file" } else { section };
            let wrong = table.wrong::<()>("a table").err().unwrap_or_default();
            return Err(self.error(table.at, format!("{name}: {wrong}")));
        };
        for (number, entry) in entries.iter().enumerate() {
            let path = match section {
                "" => entry.key.clone(),
                _ => format!("{section}.{}", entry.key),
            };
            if entries[..number].iter().any(|other| other.key == entry.key) {
                return Err(self.error(entry.at, format!("key {path:?} is given twice")));
            }
            let inner = sections.iter().find(|section| **section == path);
            all.push(Setting { path, at: entry.at, value: &entry.value });
            if let Some(inner) = inner {
                self.collect(&entry.value, inner, sections, all)?;
            }
        }
        Ok(())
    }
}

/// Section and key of a dotted path.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_columns_in_characters() {
        let document = Document { origin: "f", text: "a\nµµ x\n" };
        let places = [(0, "f:1:1"), (2, "f:2:1"), (7, "f:2:4"), (8, "f:2:5"), (99, "f:3:1")];
        for (at, origin) in places {
            assert_eq!(document.error(at, "m"), told(origin, "m"));
        }
    }
}
