//! Where records are: in a file, or in an object of a bucket.

use crate::{Failure, files, record::RECORD};
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

#[cfg(feature = "s3")]
use crate::objects;

/// A file, or an object.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// Its path.
    File(PathBuf),
    /// `s3://BUCKET/KEY?region=…&endpoint=…`.
    #[cfg(feature = "s3")]
    Object(String),
}

/// Records that are read.
#[derive(Debug)]
pub(crate) enum Reading {
    File(files::Reading),
    #[cfg(feature = "s3")]
    Object(objects::Reading),
}

/// Records that are written. They have their name only when they are whole ([`keep`](Self::keep)); else they
/// are removed.
#[derive(Debug)]
pub(crate) enum Created {
    File(files::Created),
    #[cfg(feature = "s3")]
    Object(objects::Created),
}

/// The parts in which records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    /// All records.
    pub(crate) records: u64,
    /// Those of a part, but of the last.
    pub(crate) each: u64,
}

impl Place {
    /// Where the temporary files belong that are made for it.
    pub(crate) fn folder(&self) -> PathBuf {
        match self {
            Self::File(path) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                folder.unwrap_or(Path::new(".")).to_owned()
            }
            #[cfg(feature = "s3")]
            Self::Object(_) => std::env::temp_dir(),
        }
    }

    /// Whether reading and writing take memory besides that for the records.
    pub(crate) fn is_remote(&self) -> bool {
        !matches!(self, Self::File(_))
    }
}

impl Reading {
    pub(crate) async fn open(place: &Place) -> Result<Self, Failure> {
        match place {
            Place::File(path) => files::Reading::open(path).map(Self::File),
            #[cfg(feature = "s3")]
            Place::Object(url) => objects::Reading::open(url).await.map(Self::Object),
        }
    }

    pub(crate) fn records(&self) -> u64 {
        match self {
            Self::File(file) => file.records(),
            #[cfg(feature = "s3")]
            Self::Object(object) => object.records(),
        }
    }

    /// How many records that follow each other are best read at a time, where some are wanted of all: a look
    /// into a bucket takes milliseconds.
    pub(crate) fn run(&self) -> u64 {
        match self {
            Self::File(_) => 1,
            #[cfg(feature = "s3")]
            Self::Object(_) => objects::RUN,
        }
    }

    /// What is at the beginning of a record and after it.
    pub(crate) async fn read_into(&self, place: &mut [u8], first: u64) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.read_into(place, first),
            #[cfg(feature = "s3")]
            Self::Object(object) => object.read_into(place, first).await,
        }
    }

    /// So many records from this one on, for threads that may wait.
    pub(crate) fn read(&self, first: u64, count: usize) -> Result<Vec<u8>, Failure> {
        let mut records = vec![0; count * RECORD];
        wait(self.read_into(&mut records, first))?;
        Ok(records)
    }
}

impl Created {
    /// New ones.
    pub(crate) async fn new(place: &Place, parts: Parts) -> Result<Self, Failure> {
        match place {
            Place::File(path) => {
                files::Created::new(path, parts.records * RECORD as u64).map(Self::File)
            }
            #[cfg(feature = "s3")]
            Place::Object(url) => objects::Created::new(url).await.map(Self::Object),
        }
    }

    /// Writes the part of this number, from 0 on. On a thread that may wait.
    pub(crate) fn write_part(
        &self,
        parts: Parts,
        number: u64,
        records: Vec<u8>,
    ) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.write_at(&records, number * parts.each * RECORD as u64),
            #[cfg(feature = "s3")]
            Self::Object(object) => wait(object.write_part(number, records)),
        }
    }

    /// Gives them their name.
    pub(crate) fn keep(self) -> Result<(), Failure> {
        match self {
            Self::File(file) => file.keep(),
            #[cfg(feature = "s3")]
            Self::Object(object) => wait(object.keep(Vec::new())),
        }
    }
}

impl Parts {
    /// Such as a bucket takes: no more than 10,000, and none but the last of less than 5 MiB.
    pub(crate) fn of(records: u64) -> Self {
        Self { records, each: LEAST.max(records.div_ceil(10_000)) }
    }

    /// How many there are: one of nothing, too.
    pub(crate) fn count(self) -> u64 {
        self.records.div_ceil(self.each).max(1)
    }

    /// The records of one.
    pub(crate) fn range(self, number: u64) -> std::ops::Range<u64> {
        number * self.each..((number + 1) * self.each).min(self.records)
    }
}

/// Records of a part, at least: 6.25 MiB.
const LEAST: u64 = 65_536;

/// Waits on a thread that is not a rank's, or of a rank that has nothing else to do.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    // As a task of tokio's it would have to give way now and then, to nobody here.
    futures::executor::block_on(tokio::task::unconstrained(future))
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.starts_with("s3://") {
            false => Ok(Self::File(text.into())),
            #[cfg(feature = "s3")]
            true => Ok(Self::Object(text.to_owned())),
            #[cfg(not(feature = "s3"))]
            true => Err("this build reads and writes files alone: cargo build -p terasort \
                         --features s3"
                .to_owned()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            #[cfg(feature = "s3")]
            Self::Object(url) => f.write_str(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_such_as_a_bucket_takes() {
        for records in [0, 1, 65_536, 65_537, 20_000_000, 655_360_001, 50_000_000_000] {
            let parts = Parts::of(records);
            assert!((1..=10_000).contains(&parts.count()), "{records}");
            assert!(parts.each * RECORD as u64 >= 5 << 20);
            let ranges: Vec<_> = (0..parts.count()).map(|number| parts.range(number)).collect();
            assert_eq!((ranges[0].start, ranges.last().unwrap().end), (0, records));
            assert!(ranges.windows(2).all(|two| two[0].end == two[1].start));
        }
    }

    #[test]
    fn a_folder_for_temporary_files() {
        assert_eq!("a/b".parse::<Place>().unwrap().folder(), Path::new("a"));
        assert_eq!("b".parse::<Place>().unwrap().folder(), Path::new("."));
    }

    #[cfg(not(feature = "s3"))]
    #[test]
    fn without_s3_it_says_how_to_get_it() {
        assert!("s3://bucket/in".parse::<Place>().unwrap_err().contains("--features s3"));
    }
}
