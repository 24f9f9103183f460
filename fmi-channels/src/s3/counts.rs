//! What has been asked of S3: it is billed by the request.

use std::sync::atomic::{AtomicU64, Ordering};

/// A kind of request, as they are priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Get = 0,
    Head = 1,
    Put = 2,
    List = 3,
    Delete = 4,
}

/// Counts since the beginning.
#[derive(Debug, Default)]
pub(super) struct Counts {
    requests: [AtomicU64; 5],
    failed: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

/// What a process has asked of S3 so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requests {
    /// GETs, of ranges too.
    pub get: u64,
    /// HEADs.
    pub head: u64,
    /// PUTs, and what belongs to an upload in parts.
    pub put: u64,
    /// LISTs.
    pub list: u64,
    /// DELETEs, which AWS does not bill.
    pub delete: u64,
    /// Those of all these that failed and were asked again.
    pub failed: u64,
    /// Bytes of objects written.
    pub sent: u64,
    /// Bytes of objects read.
    pub received: u64,
}

impl Counts {
    pub(super) fn asked(&self, request: Request) {
        self.requests[request as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn so_far(&self) -> Requests {
        let of = |request: Request| self.requests[request as usize].load(Ordering::Relaxed);
        Requests {
            get: of(Request::Get),
            head: of(Request::Head),
            put: of(Request::Put),
            list: of(Request::List),
            delete: of(Request::Delete),
            failed: self.failed.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
        }
    }
}
