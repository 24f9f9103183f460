//! Reads lists of edges.

use crate::Failure;
use std::{
    collections::HashMap,
    fs,
    io::{self, Read},
    path::Path,
};

/// A directed graph.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Graph {
    /// The vertices' names.
    pub(crate) names: Vec<String>,
    /// From, to.
    pub(crate) edges: Vec<(u32, u32)>,
}

impl Graph {
    /// From a file, or from standard input (`-`).
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let failed = |source| Failure::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        if path == Path::new("-") {
            io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
        } else {
            bytes = fs::read(path).map_err(failed)?;
        }
        Self::parse(&String::from_utf8_lossy(&bytes), path)
    }

    /// A pair of names a line, with spaces, tabs or a comma between them; `#` and `%` begin comments.
    /// An edge that is there twice counts twice. Vertices are numbered as they come.
    fn parse(text: &str, path: &Path) -> Result<Self, Failure> {
        let mut numbers = HashMap::new();
        let mut names = Vec::new();
        let mut edges = Vec::new();
        for (line, text) in (1..).zip(text.lines().map(str::trim)) {
            if text.is_empty() || text.starts_with(['#', '%']) {
                continue;
            }
            let no_edge = || Failure::NoEdge { path: path.to_owned(), line, text: text.to_owned() };
            let words = text.split(|c: char| c.is_whitespace() || c == ',');
            let mut words = words.filter(|word| !word.is_empty());
            let pair = words.next().zip(words.next()).filter(|_| words.next().is_none());
            let (from, to) = pair.ok_or_else(no_edge)?;
            let mut number = |name| {
                let next = u32::try_from(names.len());
                let next = next.map_err(|_| Failure::TooMany(path.to_owned()))?;
                Ok::<u32, Failure>(*numbers.entry(name).or_insert_with(|| {
                    names.push(str::to_owned(name));
                    next
                }))
            };
            edges.push((number(from)?, number(to)?));
        }
        if edges.is_empty() {
            return Err(Failure::Empty(path.to_owned()));
        }
        Ok(Self { names, edges })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Graph, String> {
        Graph::parse(text, Path::new("g")).map_err(|failure| failure.to_string())
    }

    #[test]
    fn pairs_are_edges() {
        let graph = parse("# a comment\na b\r\n\nb\tc\n% another\nc,a\na b\n").unwrap();
        assert_eq!(graph.names, ["a", "b", "c"]);
        assert_eq!(graph.edges, [(0, 1), (1, 2), (2, 0), (0, 1)]);
    }

    #[test]
    fn what_is_no_edge_is_named() {
        let said = parse("a b\na\n").unwrap_err();
        assert_eq!(said, "g:2: \"a\" is no edge: write two names with a space between them");
        assert!(parse("a b c\n").unwrap_err().starts_with("g:1: "));
        assert_eq!(parse("# nothing\n").unwrap_err(), "g: there are no edges in it");
    }
}
