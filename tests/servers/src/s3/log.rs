//! When objects came and went, as the server sees it.

use hyper::Method;
use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// Requests that succeeded.
#[derive(Debug, Default)]
pub struct Log(Mutex<Vec<(Method, String, Instant)>>);

impl Log {
    pub(super) fn note(&self, method: &Method, path: &str, at: Instant) {
        self.0.lock().push((method.clone(), path.to_owned(), at));
    }

    /// Of the first object written after that time whose path contains this: when it was there, and when
    /// the question came that found it.
    ///
    /// Whoever asks knows that it was read; the log may hear of it a little later.
    pub async fn passage(&self, part: &str, since: Instant) -> (Instant, Instant) {
        loop {
            if let Some(passage) = self.noted(part, since) {
                return passage;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn noted(&self, part: &str, since: Instant) -> Option<(Instant, Instant)> {
        let log = self.0.lock();
        let of = |wanted: Method| {
            log.iter().filter(move |(method, path, _)| *method == wanted && path.contains(part))
        };
        let (_, path, there) = of(Method::PUT).find(|(.., at)| *at >= since)?;
        let (.., found) = of(Method::GET).find(|(_, other, _)| other == path)?;
        Some((*there, *there.max(found)))
    }
}
