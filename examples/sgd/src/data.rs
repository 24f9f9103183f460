//! The digits, and random features made of them.

use std::path::{Path, PathBuf};

use crate::model::CLASSES;

/// Rows of features, each with a class.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Digits {
    pub(crate) columns: usize,
    values: Vec<f64>,
    pub(crate) classes: Vec<u8>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: csv::Error },
    #[error("{}:{line}: {found:?} is no number", path.display())]
    NoNumber { path: PathBuf, line: u64, found: String },
    #[error("{}:{line}: the last column is {found:?}, which is no class from 0 to 9", path.display())]
    NoClass { path: PathBuf, line: u64, found: String },
    #[error("{}: there are no rows in it", .0.display())]
    Empty(PathBuf),
}

impl Digits {
    /// A CSV file with a header line, whose last column is the class.
    pub(crate) fn load(path: &Path) -> Result<Self, DataError> {
        let failed = |source| DataError::Read { path: path.to_owned(), source };
        let mut reader = csv::Reader::from_path(path).map_err(failed)?;
        let mut digits = Self { columns: 0, values: Vec::new(), classes: Vec::new() };
        for record in reader.records() {
            let record = record.map_err(failed)?;
            let line = record.position().map_or(0, csv::Position::line);
            let mut fields: Vec<&str> = record.iter().map(str::trim).collect();
            let class = fields.pop().unwrap_or_default();
            digits.columns = fields.len();
            for field in fields {
                let number = field.parse().ok().filter(|number: &f64| number.is_finite());
                digits.values.push(number.ok_or_else(|| DataError::NoNumber {
                    path: path.to_owned(),
                    line,
                    found: field.to_owned(),
                })?);
            }
            let number = class.parse().ok().filter(|class| usize::from(*class) < CLASSES);
            digits.classes.push(number.ok_or_else(|| DataError::NoClass {
                path: path.to_owned(),
                line,
                found: class.to_owned(),
            })?);
        }
        if digits.values.is_empty() {
            return Err(DataError::Empty(path.to_owned()));
        }
        Ok(digits)
    }

    pub(crate) fn rows(&self) -> usize {
        self.classes.len()
    }

    pub(crate) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..][..self.columns]
    }

    /// Rows of `features` random combinations of the values, cut off below 0, and a 1. The same on all ranks.
    pub(crate) fn expand(&self, features: usize) -> Self {
        let mut random = SplitMix64(17);
        let weights: Vec<f64> = (0..features * self.columns).map(|_| random.unit() - 0.5).collect();
        let largest = self.values.iter().fold(1.0, |largest: f64, x| largest.max(x.abs()));
        // Such that a row's length does not depend on how many features there are.
        let scale = 1.0 / largest / (features as f64).sqrt();
        let combine = |row: &[f64], weights: &[f64]| {
            let sum: f64 = row.iter().zip(weights).map(|(x, weight)| x * weight).sum();
            (scale * sum).max(0.0)
        };
        let mut values = Vec::with_capacity(self.rows() * (features + 1));
        for row in 0..self.rows() {
            let row = self.row(row);
            values.extend(weights.chunks_exact(self.columns).map(|weights| combine(row, weights)));
            values.push(1.0);
        }
        Self { columns: features + 1, values, classes: self.classes.clone() }
    }
}

/// Steele, Lea & Flood 2014.
struct SplitMix64(u64);

impl SplitMix64 {
    /// In [0, 1).
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_and_their_features() {
        let digits = Digits::load(Path::new(crate::DIGITS)).unwrap();
        assert_eq!((digits.rows(), digits.columns, digits.classes[2]), (1797, 64, 2));
        let features = digits.expand(30);
        assert_eq!((features.columns, features.row(5).len(), features.row(5)[30]), (31, 31, 1.0));
        assert_eq!(features, digits.expand(30));
    }

    #[test]
    fn faults_name_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.csv");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Digits::load(&path).unwrap_err().to_string()
        };
        assert!(said("x,label\n1,2\nnan,3\n").ends_with("d.csv:3: \"nan\" is no number"));
        assert!(said("x,label\n1,12\n").contains(":2: the last column is \"12\""));
        assert!(said("x,label\n").ends_with("there are no rows in it"));
        assert!(said("x,label\n1,2,3\n").contains("d.csv: "));
    }
}
