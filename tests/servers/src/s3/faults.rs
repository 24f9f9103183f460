//! What goes wrong between a process and S3, on purpose.

use hyper::{
    Method, Response, Uri,
    body::{Body, Bytes, Frame, SizeHint},
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    task::{Context, Poll},
    time::Duration,
};

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 503 SlowDown: nothing is done.
    Busy,
    /// 429: nothing is done.
    Throttled,
    /// It is done, but 500 is the answer.
    DoneButFailed,
    /// It is done, but the connection ends without an answer.
    DoneButReset,
    /// The answer's content ends in its middle.
    Cut,
    /// A bit of the answer's content is another.
    Altered,
    /// The answer takes so many milliseconds.
    Slow(u64),
    /// 403 AccessDenied.
    Denied,
    /// 400 ExpiredToken.
    Expired,
    /// 404 NoSuchBucket.
    NoBucket,
    /// An earlier answer to the same question.
    Stale,
    /// A list of nothing.
    Empty,
}

/// A fault for some requests.
#[derive(Debug, Clone)]
struct Rule {
    method: Method,
    /// What its path and query contain.
    part: &'static str,
    fault: Fault,
    /// So many times.
    times: usize,
    /// One of so many such requests.
    every: u64,
    seen: u64,
}

/// All faults of a server.
#[derive(Debug, Default)]
pub struct Faults {
    /// So many of a thousand requests fail somehow.
    share: AtomicU32,
    drawn: AtomicU64,
    rules: Mutex<Vec<Rule>>,
    /// Answers to lists, for those that are stale.
    lists: Mutex<HashMap<String, Bytes>>,
    requests: Mutex<HashMap<Method, u64>>,
    hit: AtomicU64,
}

impl Faults {
    /// From now on so many of a thousand requests fail, in one of the ways that pass.
    pub fn share(&self, per_mille: u32) {
        self.share.store(per_mille, Ordering::Relaxed);
    }

    /// Harms the next such requests, so many: the part is of the path and query.
    pub fn add(&self, method: Method, part: &'static str, fault: Fault, times: usize) {
        self.rules.lock().push(Rule { method, part, fault, times, every: 1, seen: 0 });
    }

    /// Harms one of so many such requests, from now on.
    pub fn often(&self, method: Method, part: &'static str, fault: Fault, every: u64) {
        self.rules.lock().push(Rule { method, part, fault, times: usize::MAX, every, seen: 0 });
    }

    /// From now on nothing goes wrong.
    pub fn clear(&self) {
        self.share(0);
        self.rules.lock().clear();
    }

    /// How many requests were harmed.
    pub fn hit(&self) -> u64 {
        self.hit.load(Ordering::Relaxed)
    }

    /// How many requests there were.
    pub fn asked(&self) -> u64 {
        self.requests.lock().values().sum()
    }

    /// How many of them with this method.
    pub fn requests(&self, method: &Method) -> u64 {
        self.requests.lock().get(method).copied().unwrap_or_default()
    }

    pub(super) fn draw(&self, method: &Method, uri: &Uri) -> Option<Fault> {
        *self.requests.lock().entry(method.clone()).or_default() += 1;
        let uri = uri.to_string();
        let ruled = {
            let mut rules = self.rules.lock();
            let meant = |rule: &&mut Rule| {
                rule.times > 0 && rule.method == method && uri.contains(rule.part)
            };
            let rule = rules.iter_mut().filter(meant).find_map(|rule| {
                rule.seen += 1;
                rule.seen.is_multiple_of(rule.every).then_some(rule)
            });
            rule.map(|rule| {
                rule.times -= 1;
                rule.fault
            })
        };
        let fault = ruled.or_else(|| {
            let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
            let dice = drawn.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let dice = (dice ^ dice >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 20;
            let hit = (dice % 1000) < u64::from(self.share.load(Ordering::Relaxed));
            const PASSING: [Fault; 7] = [
                Fault::Busy,
                Fault::Throttled,
                Fault::DoneButFailed,
                Fault::DoneButReset,
                Fault::Cut,
                Fault::Altered,
                Fault::Slow(30),
            ];
            hit.then(|| PASSING[(dice / 1000 % 7) as usize])
        });
        self.hit.fetch_add(u64::from(fault.is_some()), Ordering::Relaxed);
        fault
    }

    /// Does to an answer what was drawn.
    pub(super) async fn apply(
        &self,
        fault: Option<Fault>,
        uri: &Uri,
        response: Response<Bytes>,
    ) -> Result<Response<TestBody>, io::Error> {
        let list = uri.query().is_some_and(|query| query.contains("list-type=2"));
        let mut response = response;
        if list {
            let before = self.lists.lock().insert(uri.to_string(), response.body().clone());
            if let (Some(Fault::Stale), Some(before)) = (fault, before) {
                self.lists.lock().insert(uri.to_string(), before.clone());
                *response.body_mut() = before;
                response.headers_mut().remove("content-length");
            }
        }
        match fault {
            Some(Fault::DoneButFailed) => return Ok(said(500, "InternalError")),
            Some(Fault::DoneButReset) => return Err(io::Error::other("reset by the test")),
            Some(Fault::Slow(millis)) => tokio::time::sleep(Duration::from_millis(millis)).await,
            // A list has no checksum, as little as the answer to a PUT: TCP's has to do.
            Some(Fault::Altered) if response.status().is_success() && is_object(&response) => {
                let mut bytes = response.body().to_vec();
                let middle = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(middle) {
                    *byte ^= 4;
                }
                *response.body_mut() = bytes.into();
            }
            _ => {}
        }
        let cut = fault == Some(Fault::Cut) && !response.body().is_empty();
        let length = response.body().len() as u64;
        if cut {
            let length = length.to_string().parse().unwrap();
            response.headers_mut().insert("content-length", length);
        }
        Ok(response.map(|whole| {
            let part = if cut { whole.slice(..whole.len() / 2) } else { whole };
            TestBody { part: Some(part), length, cut }
        }))
    }
}

fn is_object(response: &Response<Bytes>) -> bool {
    response.headers().get("content-type").is_none_or(|kind| kind != "application/xml")
}

impl Fault {
    /// An answer for which the server need not be asked.
    pub(super) fn refusal(&self) -> Option<Response<TestBody>> {
        match self {
            Self::Busy => Some(said(503, "SlowDown")),
            Self::Throttled => Some(said(429, "TooManyRequests")),
            Self::Denied => Some(said(403, "AccessDenied")),
            Self::Expired => Some(said(400, "ExpiredToken")),
            Self::NoBucket => Some(said(404, "NoSuchBucket")),
            Self::Empty => Some(nothing()),
            _ => None,
        }
    }
}

fn said(status: u16, code: &str) -> Response<TestBody> {
    xml(status, format!("<Error><Code>{code}</Code></Error>"))
}

fn nothing() -> Response<TestBody> {
    let namespace = "http://s3.amazonaws.com/doc/2006-03-01/";
    xml(200, format!("<ListBucketResult xmlns=\"{namespace}\"></ListBucketResult>"))
}

fn xml(status: u16, body: String) -> Response<TestBody> {
    let body = format!("<?xml version=\"1.0\"?>{body}");
    let length = body.len() as u64;
    let body = TestBody { part: Some(body.into()), length, cut: false };
    let response = Response::builder().status(status).header("content-type", "application/xml");
    response.body(body).unwrap()
}

/// A content that may end too early.
#[derive(Debug)]
pub(super) struct TestBody {
    part: Option<Bytes>,
    length: u64,
    cut: bool,
}

impl Body for TestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(match self.part.take() {
            Some(part) if !part.is_empty() => Some(Ok(Frame::data(part))),
            _ if self.cut => Some(Err(io::Error::other("cut by the test"))),
            _ => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        !self.cut && self.part.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
