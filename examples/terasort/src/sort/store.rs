//! The records that a rank has got: in memory, and in sorted runs on disk when they are too many.

use super::merge::{Run, merge};
use crate::{
    Failure,
    files::Writer,
    order::{Entry, sorted},
    record::RECORD,
};
use std::{fs::File, io, os::unix::fs::FileExt, path::PathBuf};

/// Keeps records.
#[derive(Debug)]
pub(crate) struct Store {
    records: Vec<u8>,
    /// Bytes that are kept in memory, at most.
    limit: Option<usize>,
    folder: PathBuf,
    spill: Option<Spill>,
}

/// All runs of a rank, in one file without a name: it is gone when the rank is, however that ends.
#[derive(Debug)]
struct Spill {
    file: File,
    runs: Vec<Run>,
    end: u64,
}

/// All records of a rank, ready to be written.
#[derive(Debug)]
pub(crate) struct Sorted {
    records: Vec<u8>,
    order: Vec<Entry>,
    spill: Option<Spill>,
    /// Bytes to read runs with.
    buffers: usize,
    folder: PathBuf,
}

impl Store {
    /// That spills into a file in this folder.
    pub(crate) fn new(limit: Option<usize>, folder: PathBuf) -> Self {
        // Memory that is not touched costs nothing; growing would copy.
        let records = Vec::with_capacity(limit.unwrap_or(0));
        Self { records, limit, folder, spill: None }
    }

    /// Takes records.
    pub(crate) fn keep(&mut self, records: &[u8]) -> Result<(), Failure> {
        let is_full = |limit| self.records.len() + records.len() > limit;
        if self.limit.is_some_and(is_full) && !self.records.is_empty() {
            self.spill()?;
        }
        self.records.extend_from_slice(records);
        Ok(())
    }

    /// How many there are.
    pub(crate) fn records(&self) -> u64 {
        (self.records.len() as u64 + self.spilled()) / RECORD as u64
    }

    /// Bytes on disk.
    pub(crate) fn spilled(&self) -> u64 {
        self.spill.as_ref().map_or(0, |spill| spill.end)
    }

    /// Sorts what is in memory. What is on disk is merged when it is written, with so many bytes of memory.
    pub(crate) fn sort(mut self, buffers: usize) -> Result<Sorted, Failure> {
        let mut order = Vec::new();
        if self.spill.is_none() {
            order = sorted(&self.records);
        } else {
            // One run more: runs are read again with the memory that this frees.
            self.spill()?;
            self.records = Vec::new();
        }
        let Self { records, folder, spill, .. } = self;
        Ok(Sorted { records, order, spill, buffers, folder })
    }

    /// What is in memory becomes a run.
    fn spill(&mut self) -> Result<(), Failure> {
        let failed = Failure::write(&self.folder);
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => {
                let file = tempfile::tempfile_in(&self.folder).map_err(&failed)?;
                none.insert(Spill { file, runs: Vec::new(), end: 0 })
            }
        };
        let mut writer = Writer::new(spill.end, |bytes: &[u8], at| {
            spill.file.write_all_at(bytes, at).map_err(&failed)
        });
        for entry in sorted(&self.records) {
            writer.write(entry.record(&self.records))?;
        }
        let end = writer.end()?;
        spill.runs.push(Run { start: spill.end, end });
        spill.end = end;
        self.records.clear();
        Ok(())
    }
}

impl Sorted {
    /// Gives all records away, in order.
    pub(crate) fn write(
        self,
        mut write: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(spill) = self.spill else {
            return self.order.iter().try_for_each(|entry| write(entry.record(&self.records)));
        };
        let failed = Failure::read(&self.folder);
        let read = |place: &mut [u8], at| -> io::Result<()> { spill.file.read_exact_at(place, at) };
        merge(&spill.runs, self.buffers, |place, at| read(place, at).map_err(&failed), write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        generate::{Kind, generate},
        validate::Summary,
    };

    #[test]
    fn with_and_without_disk_it_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let records = generate(Kind::Ascii, 0, 1000);
        let sort = |limit: Option<usize>, piece: usize| {
            let mut store = Store::new(limit, folder.path().to_owned());
            records.chunks(piece * RECORD).for_each(|some| store.keep(some).unwrap());
            assert_eq!(store.records(), 1000);
            let spilled = store.spilled();
            let mut output = Vec::new();
            let sorted = store.sort(5000).unwrap();
            sorted
                .write(|record| {
                    output.extend_from_slice(record);
                    Ok(())
                })
                .unwrap();
            (output, spilled)
        };
        let (whole, spilled) = sort(None, 100);
        assert_eq!(spilled, 0);
        assert!(Summary::of(&whole).judge().is_ok());
        for (limit, piece) in [(10_000, 7), (33_333, 100), (50, 3), (99_999, 1000), (200_000, 9)] {
            let (output, spilled) = sort(Some(limit), piece);
            assert_eq!(spilled > 0, limit < 100_000 && piece < 1000, "{limit} {piece}");
            assert!(output == whole, "{limit} {piece}");
        }
        // Nothing has a name there.
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let mut store = Store::new(Some(100), PathBuf::from("/none/such"));
        store.keep(&[1; RECORD]).unwrap();
        let said = store.keep(&[2; RECORD]).unwrap_err().to_string();
        assert!(said.contains("cannot write /none/such"), "{said}");
    }
}
