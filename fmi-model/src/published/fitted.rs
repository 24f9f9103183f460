//! Parameters of the channels that were measured, found in a part of the tables.

use super::{Collective, FanOut, Source, Tables, Transfer, algorithms};
use crate::{
    Bytes, Profile, Seconds,
    channel::{Bucket, Channel, Leg, Quantile, Requests, Server, Tail},
    fit::{log_error, minimise},
    prices::Request,
};

/// A channel, as the tables have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Which.
    pub source: Source,
    /// From point-to-point transfers and the fan-out to 8 consumers: functions of 2 GiB.
    pub channel: Channel,
    /// As FMI's collectives use it: two parameters besides, from collectives of up to 8 ranks: what a request
    /// takes longer there (functions of 512 MiB), and the tail of stragglers.
    pub collective: Channel,
}

/// Consumers of the fan-out, and most ranks of the collectives, from which parameters are found.
pub(super) const SEEN: usize = 8;
/// How heavy the tails are: not fitted. Links between functions have a power law, S3 an exponential tail.
const HEAVY: f64 = 0.5;
/// How long a Redis is busy with a request. With 8 ranks it does not show, so it cannot be fitted: it is that of the
/// reference machine (`redis-benchmark -c 64 -t get`).
const REDIS_REQUEST: f64 = 20e-6;

impl Fitted {
    /// Finds the parameters of a channel.
    #[must_use]
    pub fn new(source: Source, tables: &Tables) -> Self {
        let channel = transfers(source, tables);
        let collective = collectives(source, &channel, tables);
        Self { source, channel, collective }
    }

    /// What a transfer takes; where its memory is not recorded, that of most others.
    #[must_use]
    pub fn transfer(&self, row: &Transfer) -> Seconds {
        let memory = row.memory.unwrap_or(Bytes::gib(2));
        self.channel.clone().in_memory(memory).transfer(row.bytes)
    }

    /// What a fan-out takes, to the consumer that its authors judge by.
    #[must_use]
    pub fn fan_out(&self, row: &FanOut) -> Seconds {
        self.channel.fan_out(row.bytes, row.consumers as f64, row.consumer())
    }

    /// What a collective of FMI's takes, as its authors measured it. None, if it is none of FMI's.
    #[must_use]
    pub fn collective(&self, row: &Collective) -> Seconds {
        let case = (row.operation.as_str(), row.ranks, row.bytes);
        algorithms::sample(self.source, &self.collective, case, Quantile::MEDIAN)
            .unwrap_or_default()
    }
}

/// The profile `aws-lambda`: what was found, and the rest (inside a function, and its own work) from another.
#[must_use]
pub fn profile(tables: &Tables, rest: &Profile) -> Profile {
    let mut profile = rest.clone();
    for source in Source::ALL {
        let Fitted { channel, collective, .. } = Fitted::new(source, tables);
        let name = if source == Source::Direct { "tcp" } else { source.name() };
        let known = profile.channels.get(name).and_then(|channel| channel.requests);
        let channel = Channel { tail: collective.tail, requests: known, ..channel };
        profile.channels.insert(name.to_owned(), channel.rounded());
    }
    profile
}

/// From one function to another, and to 8.
fn transfers(source: Source, tables: &Tables) -> Channel {
    let single: Vec<_> = tables
        .transfers
        .iter()
        .filter(|row| row.source == source && !row.is_impossible())
        .filter_map(|row| Some((row.memory?, row.bytes, row.time.get())))
        .collect();
    let seen = |row: &&FanOut| row.source == source && row.consumers == SEEN && !row.is_broken();
    let many: Vec<&FanOut> =
        tables.fan_outs.iter().filter(|row| !row.varies_consumers).filter(seen).collect();
    let make: fn(&[f64]) -> Channel = match source {
        Source::Direct => direct,
        Source::Redis => redis,
        Source::S3 => s3,
    };
    let loss = |parameters: &[f64]| {
        let channel = make(parameters);
        let alone = single.iter().map(|(memory, bytes, time)| {
            (channel.clone().in_memory(*memory).transfer(*bytes).get(), *time)
        });
        let shared = many.iter().flat_map(|row| {
            let at = |consumer| channel.fan_out(row.bytes, row.consumers as f64, consumer).get();
            [(at(row.consumers as f64), row.slowest.get()), (at(row.middle()), row.typical.get())]
        });
        log_error(alone.chain(shared))
    };
    let start: &[f64] = match source {
        Source::Direct => &[0.4, 0.05, 24.8, 1.77e6, 1.1, 145e6, 12.8, 0.1],
        Source::Redis => &[1.8, 13.4, 0.13e6, 10.2, 2.1, 1.0],
        Source::S3 => &[37.5, 21.8, 0.1e6, 16.0, 10.0],
    };
    make(&minimise(start, loss).0)
}

/// A function with so much memory has a whole processor, AWS says.
const FULL_MEMORY: Bytes = Bytes::mib(1769);
const MS: f64 = 1e-3;
const NS: f64 = 1e-9;

fn direct(p: &[f64]) -> Channel {
    Channel {
        latency: Seconds::new(p[0] * MS),
        send: Leg {
            fixed: Seconds::new(p[1] * MS),
            lag: Seconds::new(p[2] * MS),
            knee: Bytes::new(p[3] as u64),
            per_byte: Seconds::new(p[4] * NS),
        },
        bucket: Some(Bucket { burst: Bytes::new(p[5] as u64), per_byte: Seconds::new(p[6] * NS) }),
        tail: Tail { scale: Seconds::new(p[7] * MS), index: HEAVY },
        full_memory: Some(FULL_MEMORY),
        machine: Some("t2.micro".to_owned()),
        ..Channel::default()
    }
}

/// Half of what was measured is the write, half the read.
fn half(fixed: f64, p: &[f64]) -> Leg {
    Leg {
        fixed: Seconds::new(fixed * MS),
        lag: Seconds::new(p[1] * MS / 2.0),
        knee: Bytes::new(p[2] as u64),
        per_byte: Seconds::new(p[3] * NS / 2.0),
    }
}

fn redis(p: &[f64]) -> Channel {
    // A read alone was measured, too: 0.95 ms.
    let read = 0.95_f64.min(p[0]);
    Channel {
        send: half(p[0] - read, p),
        receive: half(read, p),
        server: Some(Server {
            request: Seconds::new(REDIS_REQUEST),
            per_byte: Seconds::new(p[4] * NS),
            here: false,
        }),
        tail: Tail { scale: Seconds::new(p[5] * MS), index: HEAVY },
        machine: Some("cache.t3.small".to_owned()),
        ..Channel::default()
    }
}

fn s3(p: &[f64]) -> Channel {
    // A read alone was measured, too: 12.5 ms.
    let read = 12.5_f64.min(p[0]);
    Channel {
        side_by_side: 16,
        send: half(p[0] - read, p),
        receive: half(read, p),
        tail: Tail { scale: Seconds::new(p[4] * MS), index: 0.0 },
        requests: Some(Requests { send: Request::Put, receive: Request::Get, look: Seconds::ZERO }),
        ..Channel::default()
    }
}

/// As FMI's collectives use it.
fn collectives(source: Source, channel: &Channel, tables: &Tables) -> Channel {
    let seen =
        |row: &&Collective| row.source == source && row.ranks <= SEEN && !row.is_impossible();
    let rows: Vec<&Collective> = tables.collectives.iter().filter(seen).collect();
    let make = |p: &[f64]| {
        let mut channel = channel.clone();
        let (service, tail) = (Seconds::new(p[0] * MS), Seconds::new(p[1] * MS));
        channel.receive.fixed += service;
        if !channel.is_link() {
            channel.send.fixed += service;
        }
        channel.tail.scale = tail;
        channel.side_by_side = 0;
        // It sleeps so long after a look in vain.
        let look = match source {
            Source::Direct => None,
            Source::Redis => Some(0.001),
            Source::S3 => Some(0.02),
        };
        channel.requests = look.map(|look| Requests {
            send: if source == Source::S3 { Request::Put } else { Request::Command },
            receive: if source == Source::S3 { Request::Get } else { Request::Command },
            look: Seconds::new(look),
        });
        channel
    };
    let loss = |p: &[f64]| {
        let channel = make(p);
        // How far the slow runs are from the median says what the tail is like.
        log_error(rows.iter().flat_map(|row| {
            let at = |quantile| {
                let case = (row.operation.as_str(), row.ranks, row.bytes);
                algorithms::sample(source, &channel, case, quantile).unwrap_or_default().get()
            };
            [(at(Quantile::MEDIAN), row.time.get()), (at(Quantile::new(0.9)), row.slow.get())]
        }))
    };
    let start = channel.transfer(Bytes::ZERO).get() / MS;
    make(&minimise(&[start * 0.05, start * 0.05], loss).0)
}
