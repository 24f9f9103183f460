//! How long things take on a channel, and what a message there costs.
//!
//! One form fits all channels. A message of so many bytes goes in three parts: its sender is busy with
//! it ([`Channel::send`]), it is on its way ([`Channel::latency`]), its receiver is busy with it
//! ([`Channel::receive`]). On a link that is the classic LogGP, and both are busy with a long message at the same time;
//! through a store the first is a write and the
//! last a read. Whatever else shapes the time is a part of its own, and absent where it does not
//! matter: bandwidth that has to [ramp up](Leg), a [server](Server) that all share, a [bucket](Bucket) that limits
//! a function's network, the [tail](Tail) of stragglers.
//!
//! ```
//! use fmi_model::{Bandwidth, Bytes, Seconds, channel::{Channel, Leg}};
//! let wire = Channel {
//!     send: Leg::flat(Seconds::new(1e-6), Bandwidth::new(1e9)),
//!     latency: Seconds::new(20e-6),
//!     ..Channel::default()
//! };
//! assert_eq!(wire.transfer(Bytes::new(1_000_000)).to_string(), "1.02 ms");
//! ```

mod bucket;
mod fan_out;
mod leg;
mod server;
mod tail;
mod turns;

pub use bucket::Bucket;
pub use leg::Leg;
pub use server::Server;
pub use tail::{Quantile, Tail};
pub use turns::Turns;

use crate::{Bytes, Seconds, prices::Request};
use serde::{Deserialize, Serialize};

/// What is known of a channel.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Channel {
    /// What its sender does: on a link it is busy with a message, into a store it writes one.
    #[serde(skip_serializing_if = "Leg::is_nothing")]
    pub send: Leg,
    /// From when the sender is done until the receiver can begin.
    #[serde(skip_serializing_if = "Seconds::is_zero")]
    pub latency: Seconds,
    /// What its receiver does.
    #[serde(skip_serializing_if = "Leg::is_nothing")]
    pub receive: Leg,
    /// What it takes that ranks share cores: processes those of their machine, ranks of one process its threads.
    #[serde(skip_serializing_if = "Turns::is_nothing")]
    pub turns: Turns,
    /// How many messages a receiver reads side by side.
    #[serde(skip_serializing_if = "is_zero")]
    pub side_by_side: u32,
    /// What all share that use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    /// The network of each process, where that is limited over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Bucket>,
    /// From how much memory on a function is as fast as this; with less its bytes take longer, in proportion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_memory: Option<Bytes>,
    /// How late the slowest is.
    #[serde(skip_serializing_if = "Tail::is_none")]
    pub tail: Tail,
    /// What is paid for a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<Requests>,
    /// The machine that has to run for it, by its name in the list of prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

/// Requests that a store takes money for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// What a message is written with.
    pub send: Request,
    /// What it is read with.
    pub receive: Request,
    /// How long a reader that finds nothing waits before it looks again; 0: it is told.
    #[serde(default)]
    pub look: Seconds,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Channel {
    /// How long one message takes, alone, from the call of the sender until its receiver has it.
    #[must_use]
    pub fn transfer(&self, bytes: Bytes) -> Seconds {
        let (send, receive) = (self.send.time(bytes), self.receive.time(bytes));
        let way = self.latency + self.look_late();
        let alone = match self.is_link() {
            // What is long is received while it is still being sent.
            true => (self.send.fixed + way + receive).max(send + way + self.receive.fixed),
            false => send + self.busy_here(bytes) + way + receive,
        };
        match &self.bucket {
            Some(bucket) => alone.max(bucket.time(bytes)),
            None => alone,
        }
    }

    /// The server, if it takes one of the ranks' cores: then no leg has what it does.
    #[must_use]
    pub fn server_here(&self) -> Option<Server> {
        self.server.filter(|server| server.here)
    }

    /// How long that one is busy with a request.
    fn busy_here(&self, bytes: Bytes) -> Seconds {
        self.server_here().map_or(Seconds::ZERO, |server| server.busy(bytes))
    }

    /// How late a reader that looks now and then is in the mean.
    #[must_use]
    pub fn look_late(&self) -> Seconds {
        self.requests.map_or(Seconds::ZERO, |requests| requests.look / 2.0)
    }

    /// How often a reader looks in vain that waits so long for what it looks for.
    #[must_use]
    pub fn looks(&self, wait: Seconds) -> f64 {
        match self.requests {
            Some(Requests { look, .. }) if look > Seconds::ZERO => (wait / look).max(0.0),
            _ => 0.0,
        }
    }

    /// With three significant digits: more is not known.
    #[must_use]
    pub fn rounded(mut self) -> Self {
        for leg in [&mut self.send, &mut self.receive] {
            for time in [&mut leg.fixed, &mut leg.lag, &mut leg.per_byte] {
                *time = time.rounded();
            }
            leg.knee = Bytes::new(Seconds::new(leg.knee.get() as f64).rounded().get() as u64);
        }
        for time in [&mut self.latency, &mut self.tail.scale] {
            *time = time.rounded();
        }
        self.turns.times_mut().into_iter().for_each(|(_, time)| *time = time.rounded());
        if let Some(server) = &mut self.server {
            (server.request, server.per_byte) =
                (server.request.rounded(), server.per_byte.rounded());
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.per_byte = bucket.per_byte.rounded();
            bucket.burst =
                Bytes::new(Seconds::new(bucket.burst.get() as f64).rounded().get() as u64);
        }
        self
    }

    /// Whether all numbers are finite and none is negative.
    ///
    /// # Errors
    /// The name of the first that is not.
    pub fn check(&self) -> Result<(), String> {
        let legs = [("send", &self.send), ("receive", &self.receive)];
        let mut numbers: Vec<(String, f64)> = vec![("latency".to_owned(), self.latency.get())];
        for (name, leg) in legs {
            numbers.push((format!("{name}.fixed"), leg.fixed.get()));
            numbers.push((format!("{name}.lag"), leg.lag.get()));
            numbers.push((format!("{name}.per_byte"), leg.per_byte.get()));
        }
        let mut turns = self.turns;
        numbers.extend(turns.times_mut().map(|(name, time)| (format!("turns.{name}"), time.get())));
        if let Some(server) = &self.server {
            numbers.push(("server.request".to_owned(), server.request.get()));
            numbers.push(("server.per_byte".to_owned(), server.per_byte.get()));
        }
        if let Some(bucket) = &self.bucket {
            numbers.push(("bucket.per_byte".to_owned(), bucket.per_byte.get()));
        }
        numbers.push(("tail.scale".to_owned(), self.tail.scale.get()));
        numbers.push(("tail.index".to_owned(), self.tail.index));
        if let Some(requests) = &self.requests {
            numbers.push(("requests.look".to_owned(), requests.look.get()));
        }
        match numbers.into_iter().find(|(_, number)| !(number.is_finite() && *number >= 0.0)) {
            Some((name, number)) => Err(format!("{name} is {number}: it must be 0 or more")),
            None => Ok(()),
        }
    }
}
