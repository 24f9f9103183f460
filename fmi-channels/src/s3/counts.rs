//! What has been asked of S3: it is billed by the request.

pub(super) use crate::account::SPACE;

use crate::account::Account;
use fmi_actors::meter;
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

impl Request {
    /// As what it is billed.
    fn kind(self) -> meter::Request {
        match self {
            Self::Get | Self::Head => meter::Request::Get,
            Self::Put => meter::Request::Put,
            Self::List => meter::Request::List,
            Self::Delete => meter::Request::Delete,
        }
    }
}

/// Counts since the beginning, and for the bill.
#[derive(Debug)]
pub(super) struct Counts {
    pub(super) account: Account,
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

impl Default for Counts {
    fn default() -> Self {
        Self {
            account: Account::new(super::NAME),
            requests: Default::default(),
            failed: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }
}

impl Counts {
    pub(super) fn asked(&self, request: Request) {
        self.account.count(request.kind(), 1, 0);
        self.requests[request as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.account.count(meter::Request::Put, 0, bytes as u64);
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.account.count(meter::Request::Get, 0, bytes as u64);
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
