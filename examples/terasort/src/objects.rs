//! Objects of records: read in ranges, and written in parts by several threads and processes.

use crate::{Failure, place::wait, record::RECORD};
use fmi::s3::{Object, Part, Upload};
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

/// Records that are read at a time where some are wanted of all.
pub(crate) const RUN: u64 = 50;

/// Bytes that are asked for at a time.
const PIECE: usize = 2 << 20;
/// So many times at once: together they have what a connection takes for itself.
const ABREAST: usize = 4;

/// An object that is read.
#[derive(Debug)]
pub(crate) struct Reading {
    object: Object,
    records: u64,
}

impl Reading {
    pub(crate) async fn open(url: &str) -> Result<Self, Failure> {
        let object = Object::at(url).await?;
        let bytes = object.length().await?.ok_or_else(|| Failure::NoObject(url.to_owned()))?;
        if !bytes.is_multiple_of(RECORD as u64) {
            return Err(Failure::Torn { path: PathBuf::from(url), bytes });
        }
        Ok(Self { object, records: bytes / RECORD as u64 })
    }

    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// What is at the beginning of a record and after it.
    pub(crate) async fn read_into(&self, place: &mut [u8], first: u64) -> Result<(), Failure> {
        let start = first * RECORD as u64;
        let pieces = place.chunks_mut(PIECE).enumerate().map(|(number, piece)| async move {
            let from = start + (number * PIECE) as u64;
            let mut rest = piece;
            for bytes in self.object.read(from..from + rest.len() as u64).await? {
                let (here, after) = rest.split_at_mut(bytes.len());
                here.copy_from_slice(&bytes);
                rest = after;
            }
            Ok(())
        });
        stream::iter(pieces).buffer_unordered(ABREAST).try_collect().await
    }
}

/// An object that is written. It is there only when it is whole ([`keep`](Self::keep)); else its parts are
/// given up.
#[derive(Debug)]
pub(crate) struct Created {
    upload: Upload,
    written: Mutex<Vec<Part>>,
    is_open: bool,
}

impl Created {
    pub(crate) async fn new(url: &str) -> Result<Self, Failure> {
        Ok(Self::of(Object::at(url).await?.begin().await?))
    }

    /// One that another process has begun, by the name that it has [there](Self::id).
    pub(crate) async fn join(url: &str, id: &str) -> Result<Self, Failure> {
        Ok(Self::of(Object::at(url).await?.upload(id)))
    }

    fn of(upload: Upload) -> Self {
        Self { upload, written: Mutex::default(), is_open: true }
    }

    pub(crate) fn id(&self) -> &str {
        self.upload.id()
    }

    /// Writes the part of this number, from 0 on.
    pub(crate) async fn write_part(&self, number: u64, records: Vec<u8>) -> Result<(), Failure> {
        let part = self.upload.part(number as u32 + 1, records.into()).await?;
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(part);
        Ok(())
    }

    /// The parts that were written here.
    pub(crate) fn written(&self) -> Vec<Part> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes an object of them and of those that others have written.
    pub(crate) async fn keep(mut self, others: Vec<Part>) -> Result<(), Failure> {
        let parts = [self.written(), others].concat();
        self.upload.complete(parts).await?;
        self.is_open = false;
        Ok(())
    }

    /// Leaves it as it is: another process has kept it.
    pub(crate) fn leave(mut self) {
        self.is_open = false;
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        if self.is_open {
            // Others do so, too: what stays here a rule of the bucket takes.
            let _ = wait(self.upload.give_up());
        }
    }
}
