//! One sends the same to many.

use super::{Channel, Quantile};
use crate::{Bytes, Seconds};

impl Channel {
    /// From when on the first `done` of `readers` have what one sends to all of them.
    ///
    /// On a link they get it one after the other; through a store it is written once, and they share its
    /// server. The median reader is the last of the quicker half: `done = (readers + 1) / 2`.
    #[must_use]
    pub fn fan_out(&self, bytes: Bytes, readers: f64, done: f64) -> Seconds {
        let (on_the_way, read) = (self.latency + self.look_late(), self.receive.time(bytes));
        let read_last = (self.send.fixed + read).max(self.send.time(bytes) + self.receive.fixed);
        let time = match &self.server {
            _ if self.is_link() => {
                let all = self.send.time(bytes) * (done - 1.0).max(0.0) + on_the_way + read_last;
                let paced = |bucket: &super::Bucket| {
                    bucket.per_byte
                        * (bytes.get() as f64 * done - bucket.burst.get() as f64).max(0.0)
                };
                all.max(self.bucket.as_ref().map_or(Seconds::ZERO, paced))
            }
            server => {
                let shared = server.map_or(Seconds::ZERO, |server| server.busy(bytes) * readers);
                let write = self.send.time(bytes) + self.busy_here(bytes);
                let once = write + on_the_way + read.max(shared);
                // Written through one bucket, read through another.
                let paced = self.bucket.map_or(Seconds::ZERO, |bucket| bucket.time(bytes) * 2.0);
                once.max(paced)
            }
        };
        time + self.tail.slowest(done, Quantile::MEDIAN)
    }

    /// Whether it leads from one rank to another, without anything between them that keeps what is
    /// sent.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.server.is_none() && self.requests.is_none()
    }

    /// As it is in functions with so much memory: less of it is less of the processor, which bytes need.
    #[must_use]
    pub fn in_memory(mut self, memory: Bytes) -> Self {
        if let Some(full) = self.full_memory {
            let slower = (full.get() as f64 / memory.get().max(1) as f64).max(1.0);
            self.send.per_byte = self.send.per_byte * slower;
            self.receive.per_byte = self.receive.per_byte * slower;
            self.full_memory = Some(full.min(memory));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Bandwidth,
        channel::{Bucket, Leg, Server, Tail},
    };

    const MB: Bytes = Bytes::new(1_000_000);

    #[test]
    fn a_link_serves_one_after_the_other() {
        let leg = Leg::flat(Seconds::ZERO, Bandwidth::new(1e9));
        let link = Channel { send: leg, latency: Seconds::new(0.5), ..Channel::default() };
        let last = |readers: f64| link.fan_out(MB, readers, readers).get();
        assert!((last(1.0) - 0.501).abs() < 1e-9);
        assert!((last(100.0) - 0.6).abs() < 1e-9);
        let bucket = Bucket::new(MB * 50, Bandwidth::new(1e8));
        let limited = Channel { bucket: Some(bucket), ..link };
        assert!((limited.fan_out(MB, 150.0, 150.0).get() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_store_writes_once_and_its_server_is_shared() {
        let server = Server { request: Seconds::new(0.001), ..Server::default() };
        let store =
            Channel { latency: Seconds::new(0.1), server: Some(server), ..Channel::default() };
        let tail = Tail { scale: Seconds::new(0.01), index: 0.0 };
        let late = Channel { tail, ..store.clone() };
        assert!((store.fan_out(MB, 10.0, 10.0).get() - 0.11).abs() < 1e-9);
        assert!(late.fan_out(MB, 11.0, 11.0) > late.fan_out(MB, 11.0, 6.0));
    }

    #[test]
    fn little_memory_is_slow() {
        let leg = Leg::flat(Seconds::ZERO, Bandwidth::new(1e9));
        let link = Channel { send: leg, full_memory: Some(Bytes::mib(1024)), ..Channel::default() };
        let time = |memory| link.clone().in_memory(Bytes::mib(memory)).transfer(MB).get();
        assert!((time(512) / time(1024) - 2.0).abs() < 1e-9);
        assert!((time(2048) / time(1024) - 1.0).abs() < 1e-9);
    }
}
