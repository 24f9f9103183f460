//! Tables of numbers from CSV and libsvm files.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use crate::cluster::Rows;

/// Features, and labels if the file has them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dataset {
    /// Features of a row.
    pub(crate) columns: usize,
    /// Row by row, all finite.
    pub(crate) values: Vec<f64>,
    /// One a row.
    pub(crate) labels: Option<Labels>,
}

impl Dataset {
    pub(crate) fn rows(&self) -> Rows<'_> {
        Rows { values: &self.values, columns: self.columns }
    }
}

/// Labels, numbered in order: by value if all are numbers, else by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Labels {
    /// The different labels.
    pub(crate) names: Vec<String>,
    /// An index into `names` for each row.
    pub(crate) of_row: Vec<u32>,
}

/// Whether the file has labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LabelColumn {
    /// Look: a CSV file's last column is one if it is not numeric or called label, class, target
    /// or species; libsvm files always have labels
    Auto,
    /// The last column of a CSV file, the first of a libsvm file
    Yes,
    /// All columns of a CSV file are features; a libsvm file's labels are left out
    No,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}:{line}: {fault}", path.display())]
    Line { path: PathBuf, line: usize, fault: Fault },
    #[error("{}: there are no rows in it", .0.display())]
    Empty(PathBuf),
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("column {column} is \"{found}\", which is not a finite number{}", hint(*column))]
    NotANumber { column: usize, found: String },
    #[error("{found} columns, the lines above have {expected}")]
    Width { found: usize, expected: usize },
    #[error("a quote is opened and not closed in the line")]
    OpenQuote,
    #[error("there is no feature beside the label")]
    NoFeature,
    #[error("\"{0}\" is not INDEX:VALUE with an index from 1 and a finite value")]
    NotAPair(String),
    #[error("index {0} comes twice")]
    Twice(usize),
    #[error("{rows} rows of {columns} features are too many to keep in memory")]
    TooLarge { rows: usize, columns: usize },
}

/// Reads a CSV file (separated by comma, semicolon or tab, with or without a header) or a libsvm
/// file.
pub(crate) fn load(path: &Path, labels: LabelColumn) -> Result<Dataset, DataError> {
    let read = |source| DataError::Read { path: path.to_path_buf(), source };
    let text = std::fs::read_to_string(path).map_err(read)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let extension = path.extension().and_then(|extension| extension.to_str());
    let parsed = match extension {
        Some("libsvm" | "svm" | "svmlight") => parse_libsvm(text, labels),
        Some("csv" | "tsv") => parse_csv(text, labels),
        _ if looks_like_libsvm(text) => parse_libsvm(text, labels),
        _ => parse_csv(text, labels),
    };
    let located = |(line, fault)| DataError::Line { path: path.to_path_buf(), line, fault };
    let dataset = parsed.map_err(located)?;
    if dataset.values.is_empty() {
        return Err(DataError::Empty(path.to_path_buf()));
    }
    Ok(dataset)
}

/// A line's number, from 1, and what is wrong with it.
type Located = (usize, Fault);

/// 2 GiB: a libsvm file may name any index, and the table is dense.
const MOST_VALUES: usize = 1 << 28;

fn hint(column: usize) -> &'static str {
    if column == 1 { " (a header line has no numbers in it)" } else { "" }
}

/// The lines that say something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn parse_csv(text: &str, labels: LabelColumn) -> Result<Dataset, Located> {
    let mut lines = lines(text).peekable();
    let Some(&(number, first)) = lines.peek() else {
        return Ok(Dataset { columns: 0, values: Vec::new(), labels: None });
    };
    let separator = [',', ';', '\t'].into_iter().find(|&s| first.contains(s)).unwrap_or(',');
    let located = |number| move |fault| (number, fault);
    let mut head = split(first, separator).map_err(located(number))?;
    let width = head.len();
    let last_name = head.last().map(|name| name.to_lowercase()).unwrap_or_default();
    let is_header = head.iter().all(|name| parse_number(name).is_none());
    if is_header {
        lines.next();
        if let Some(&(number, first)) = lines.peek() {
            head = split(first, separator).map_err(located(number))?;
        }
    }
    let is_labelled = match labels {
        LabelColumn::Yes => true,
        LabelColumn::No => false,
        LabelColumn::Auto => {
            let named = ["label", "class", "target", "species"].contains(&last_name.as_str());
            named || head.last().is_some_and(|last| parse_number(last).is_none())
        }
    };
    let columns = width - usize::from(is_labelled);
    if columns == 0 {
        return Err((number, Fault::NoFeature));
    }

    let mut values = Vec::new();
    let mut names = Vec::new();
    for (number, line) in lines {
        let mut fields = split(line, separator).map_err(located(number))?;
        if fields.len() != width {
            return Err((number, Fault::Width { found: fields.len(), expected: width }));
        }
        if is_labelled {
            names.extend(fields.pop());
        }
        for (column, field) in (1..).zip(fields) {
            let value = parse_number(&field);
            values.push(value.ok_or((number, Fault::NotANumber { column, found: field }))?);
        }
    }
    Ok(Dataset { columns, values, labels: is_labelled.then(|| number_labels(&names)) })
}

/// Fields of a CSV line; in quotes a separator is text and a doubled quote is one (RFC 4180).
fn split(line: &str, separator: char) -> Result<Vec<String>, Fault> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("there is one from the start");
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            c if c == separator && !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    if quoted {
        return Err(Fault::OpenQuote);
    }
    fields.iter_mut().for_each(|field| *field = field.trim().to_owned());
    Ok(fields)
}

fn looks_like_libsvm(text: &str) -> bool {
    let Some((_, line)) = lines(text).next() else { return false };
    let mut fields = line.split_whitespace();
    fields.next().is_some_and(|label| parse_number(label).is_some())
        && fields.next().is_some_and(|pair| parse_pair(pair).is_ok())
}

/// `LABEL INDEX:VALUE …  # comment` with indices from 1; what is left out is 0.
fn parse_libsvm(text: &str, labels: LabelColumn) -> Result<Dataset, Located> {
    let mut names = Vec::new();
    let mut pairs = Vec::new();
    let mut columns = 0;
    for (number, line) in lines(text) {
        let line = line.split('#').next().unwrap_or_default();
        let mut fields = line.split_whitespace();
        let row = names.len();
        names.push(fields.next().unwrap_or_default().to_owned());
        let start = pairs.len();
        for pair in fields.filter(|field| !field.starts_with("qid:")) {
            let (index, value) = parse_pair(pair).map_err(|fault| (number, fault))?;
            columns = columns.max(index);
            pairs.push((row, index, value));
        }
        let mut indices: Vec<_> = pairs[start..].iter().map(|&(_, index, _)| index).collect();
        indices.sort_unstable();
        if let Some(twice) = indices.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err((number, Fault::Twice(twice[0])));
        }
        let rows = names.len();
        if rows.checked_mul(columns).is_none_or(|values| values > MOST_VALUES) {
            return Err((number, Fault::TooLarge { rows, columns }));
        }
    }
    let mut values = vec![0.0; names.len() * columns];
    for (row, index, value) in pairs {
        values[row * columns + index - 1] = value;
    }
    let labels = (labels != LabelColumn::No).then(|| number_labels(&names));
    Ok(Dataset { columns, values, labels })
}

fn parse_pair(pair: &str) -> Result<(usize, f64), Fault> {
    pair.split_once(':')
        .and_then(|(index, value)| Some((index.parse().ok()?, parse_number(value)?)))
        .filter(|&(index, _)| index > 0)
        .ok_or_else(|| Fault::NotAPair(pair.to_owned()))
}

fn parse_number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn number_labels(of_row: &[String]) -> Labels {
    // "7" and "7.000e+00" are one label.
    let numbers: Option<Vec<f64>> = of_row.iter().map(|label| parse_number(label)).collect();
    let (names, of_row) = match numbers {
        Some(numbers) => {
            let mut sorted = numbers.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            let of_row = numbers.iter().map(f64::to_string).collect();
            (sorted.iter().map(f64::to_string).collect(), of_row)
        }
        None => {
            let mut sorted = of_row.to_vec();
            sorted.sort_unstable();
            (sorted, of_row.to_vec())
        }
    };
    number_names(names, &of_row)
}

fn number_names(mut names: Vec<String>, of_row: &[String]) -> Labels {
    names.dedup();
    let index: HashMap<_, u32> = names.iter().zip(0..).collect();
    let of_row = of_row.iter().map(|label| index[label]).collect();
    Labels { names, of_row }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/digits.csv");

    fn labels(names: &[&str], of_row: &[u32]) -> Option<Labels> {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Some(Labels { names, of_row: of_row.to_vec() })
    }

    fn csv(text: &str) -> Result<Dataset, Located> {
        parse_csv(text, LabelColumn::Auto)
    }

    fn svm(text: &str) -> Result<Dataset, Located> {
        parse_libsvm(text, LabelColumn::Auto)
    }

    #[test]
    fn reads_the_digits() {
        let digits = load(Path::new(DIGITS), LabelColumn::Auto).unwrap();
        assert_eq!((digits.rows().len(), digits.columns), (1797, 64));
        assert!(digits.values.iter().all(|&x| (0.0..=16.0).contains(&x)));
        let labels = digits.labels.unwrap();
        assert_eq!(labels.names.join(""), "0123456789");
        assert_eq!(labels.of_row[..3], [0, 1, 2]);
        assert_eq!(load(Path::new(DIGITS), LabelColumn::No).unwrap().columns, 65);
    }

    #[test]
    fn csv_without_header_or_labels() {
        let expected = Dataset { columns: 2, values: vec![1.0, -2.0, 3e2, 0.5], labels: None };
        assert_eq!(csv("1,-2\n3e2, .5\n"), Ok(expected.clone()));
        assert_eq!(csv("# comment\r\n\r\nx;y\r\n1;-2\r\n300;0.5"), Ok(expected));
    }

    #[test]
    fn csv_with_labels_named_or_recognised() {
        let values = vec![5.1, 4.9];
        let labelled = |labels| Ok(Dataset { columns: 1, values: values.clone(), labels });
        assert_eq!(csv("5.1,b\n4.9,a\n"), labelled(labels(&["a", "b"], &[1, 0])));
        assert_eq!(csv("size,Class\n5.1,10\n4.9,9"), labelled(labels(&["9", "10"], &[1, 0])));
        let yes = parse_csv("5.1,1.0\n4.9,1", LabelColumn::Yes);
        assert_eq!(yes, labelled(labels(&["1"], &[0, 0])));
        let quoted = csv("\"size\",\"a, \"\"b\"\"\"\n5.1,\"x, \"\"y\"\"\"\n4.9,z");
        assert_eq!(quoted, labelled(labels(&["x, \"y\"", "z"], &[0, 1])));
    }

    #[test]
    fn csv_faults_name_line_and_column() {
        let nan = |column, found: &str| Fault::NotANumber { column, found: found.to_owned() };
        assert_eq!(csv("1,2\n3,4,5\n"), Err((2, Fault::Width { found: 3, expected: 2 })));
        assert_eq!(csv("x,y\n\n1,2\nabc,3\n"), Err((4, nan(1, "abc"))));
        assert_eq!(csv("1,2\n3,\n"), Err((2, nan(2, ""))));
        assert_eq!(csv("1,2\n3,nan\n"), Err((2, nan(2, "nan"))));
        assert_eq!(csv("1,2\n1e999,1\n"), Err((2, nan(1, "1e999"))));
        assert_eq!(csv("id,1,2\n0,1,2\n"), Err((1, nan(1, "id"))));
        assert_eq!(csv("1,\"2\n"), Err((1, Fault::OpenQuote)));
        assert_eq!(csv("label\n1\n"), Err((1, Fault::NoFeature)));
        let named = parse_csv("x,species\n1,cat\n", LabelColumn::No);
        assert_eq!(named, Err((2, nan(2, "cat"))));
    }

    #[test]
    fn libsvm_fills_in_zeros() {
        let text = "+1 1:0.5 3:2 # a comment\n-1\n1 qid:4 2:-1e3\n";
        let values = vec![0.5, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, -1e3, 0.0];
        let expected = Dataset { columns: 3, values, labels: labels(&["-1", "1"], &[1, 0, 1]) };
        assert!(looks_like_libsvm(text));
        assert_eq!(svm(text), Ok(expected.clone()));
        let unlabelled = Dataset { labels: None, ..expected };
        assert_eq!(parse_libsvm(text, LabelColumn::No), Ok(unlabelled));
        assert!(!looks_like_libsvm("1,2\n"));
        assert!(!looks_like_libsvm("time 12:30\n"));
    }

    #[test]
    fn libsvm_faults_name_the_line() {
        let pair = |text: &str| Fault::NotAPair(text.to_owned());
        assert_eq!(svm("1 1:2\n1 0:3"), Err((2, pair("0:3"))));
        assert_eq!(svm("1 1:x"), Err((1, pair("1:x"))));
        assert_eq!(svm("1 2:1 1:4 2:3"), Err((1, Fault::Twice(2))));
        let huge = svm("1 1:1\n1 18446744073709551615:1");
        assert_eq!(huge, Err((2, Fault::TooLarge { rows: 2, columns: usize::MAX })));
    }

    #[test]
    fn files_are_told_apart_and_named_in_errors() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let load = |path: &Path| load(path, LabelColumn::Auto);
        assert_eq!(load(&write("by-content.txt", b"1 2:1\n2 1:4\n")).unwrap().columns, 2);
        assert_eq!(load(&write("by-name.svm", b"1\n2 1:4\n")).unwrap().columns, 1);
        assert_eq!(load(&write("bom.csv", b"\xef\xbb\xbf1,2\n")).unwrap().columns, 2);
        let said = |path: &Path| load(path).unwrap_err().to_string();
        let place = folder.path().display();
        let bad = said(&write("bad.csv", b"1,2\n3,4\n5,x\n"));
        assert!(bad.starts_with(&format!("{place}/bad.csv:3: column 2 is \"x\"")), "{bad}");
        assert!(said(&write("empty.csv", b"\n")).ends_with("empty.csv: there are no rows in it"));
        assert!(said(&write("header.csv", b"x,y\n")).ends_with("there are no rows in it"));
        assert!(said(&write("packed.csv", b"\x1f\x8b\x08")).contains("UTF-8"));
        assert!(said(&folder.path().join("none.csv")).contains("none.csv: No such file"));
    }
}
