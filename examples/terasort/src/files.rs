//! Files of records, read and written at any place by several threads and processes.

use crate::{Failure, record::RECORD};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// A file that is read.
#[derive(Debug)]
pub(crate) struct Reading {
    file: File,
    path: PathBuf,
    records: u64,
}

impl Reading {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(Failure::read(path))?;
        let metadata = file.metadata().map_err(Failure::read(path))?;
        if !metadata.is_file() {
            return Err(Failure::NoFile(path.to_owned()));
        }
        let bytes = metadata.len();
        if !bytes.is_multiple_of(RECORD as u64) {
            return Err(Failure::Torn { path: path.to_owned(), bytes });
        }
        Ok(Self { file, path: path.to_owned(), records: bytes / RECORD as u64 })
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// What is at the beginning of a record and after it.
    pub(crate) fn read_into(&self, place: &mut [u8], first: u64) -> Result<(), Failure> {
        let offset = first * RECORD as u64;
        self.file.read_exact_at(place, offset).map_err(Failure::read(&self.path))
    }
}

/// A file that is written. It has its name only when it is whole ([`keep`](Self::keep)); else it is removed.
#[derive(Debug)]
pub(crate) struct Created {
    file: File,
    path: PathBuf,
    is_owner: bool,
}

impl Created {
    /// A new one, of this length.
    pub(crate) fn new(path: &Path, bytes: u64) -> Result<Self, Failure> {
        // What is given its name at the end would take its place otherwise.
        if path.exists() && !path.is_file() {
            return Err(Failure::NoFile(path.to_owned()));
        }
        let partial = partial(path);
        let file = File::create(&partial).map_err(Failure::write(&partial))?;
        let created = Self { file, path: path.to_owned(), is_owner: true };
        created.file.set_len(bytes).map_err(Failure::write(&partial))?;
        Ok(created)
    }

    /// One that another process has created.
    pub(crate) fn join(path: &Path) -> Result<Self, Failure> {
        let partial = partial(path);
        let file =
            OpenOptions::new().write(true).open(&partial).map_err(Failure::write(&partial))?;
        Ok(Self { file, path: path.to_owned(), is_owner: false })
    }

    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), Failure> {
        self.file.write_all_at(bytes, offset).map_err(Failure::write(&partial(&self.path)))
    }

    /// Gives it its name.
    pub(crate) fn keep(mut self) -> Result<(), Failure> {
        if self.is_owner {
            let failed = Failure::write(&self.path);
            fs::rename(partial(&self.path), &self.path).map_err(failed)?;
            self.is_owner = false;
        }
        Ok(())
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        if self.is_owner {
            let _ = fs::remove_file(partial(&self.path));
        }
    }
}

/// Writes records one after the other, a MiB at a time.
#[derive(Debug)]
pub(crate) struct Writer<W> {
    write_at: W,
    buffer: Vec<u8>,
    offset: u64,
}

impl<W: FnMut(&[u8], u64) -> Result<(), Failure>> Writer<W> {
    /// From an offset on, with what writes bytes at an offset.
    pub(crate) fn new(offset: u64, write_at: W) -> Self {
        Self { write_at, buffer: Vec::with_capacity(BUFFER), offset }
    }

    pub(crate) fn write(&mut self, record: &[u8]) -> Result<(), Failure> {
        self.buffer.extend_from_slice(record);
        if self.buffer.len() + RECORD > BUFFER { self.flush() } else { Ok(()) }
    }

    /// What is left; says where it ends.
    pub(crate) fn end(mut self) -> Result<u64, Failure> {
        self.flush()?;
        Ok(self.offset)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        (self.write_at)(&self.buffer, self.offset)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Bytes that are written at a time.
pub(crate) const BUFFER: usize = 1 << 20;

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

impl Failure {
    pub(crate) fn read(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Read { path: path.clone(), source }
    }

    pub(crate) fn write(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Write { path: path.clone(), source }
    }
}
