//! How long a frame takes on a channel of a profile.
//!
//! As in the model: the sender's port is busy with the send leg, then comes the latency, then the receiver's port
//! is busy with the receive leg, on a link from the first byte on. The pieces of a long message share what it costs
//! once. A store's server takes one request at a time, of all processes; a process that has sent more than its burst
//! goes on at the rate that its bucket fills. Acknowledgements only take the latency: on a link they go beside
//! everything else, and of what lies in a store its absence is one.

use super::{calendar::Calendar, dice::Dice, wire::Port};
use fmi_actors::{
    clock::Time,
    frame::{Frame, HEADER_LEN, Kind, SIGNATURE_LEN},
};
use fmi_model::{
    Bytes,
    channel::{Channel, Leg},
};
use std::time::Duration;

/// What is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// All bytes, headers included.
    pub(super) bytes: usize,
    /// Those of the user.
    pub(super) payload: u64,
    /// How many bytes of the same message were carried before.
    pub(super) offset: u64,
    /// It carries nothing but acknowledgement and credit.
    pub(super) is_ack: bool,
}

impl Load {
    pub(super) fn of(frame: &Frame) -> Self {
        let header = &frame.header;
        let signature = if frame.signature.is_some() { SIGNATURE_LEN } else { 0 };
        Self {
            bytes: HEADER_LEN + signature + header.length as usize,
            payload: u64::from(header.length),
            offset: if header.kind == Kind::Data { header.total } else { 0 },
            is_ack: header.kind == Kind::Ack,
        }
    }

    /// A whole message.
    pub(super) fn whole(bytes: usize) -> Self {
        Self { bytes, payload: bytes as u64, offset: 0, is_ack: false }
    }
}

/// A channel, and what all that use it share.
#[derive(Debug)]
pub(super) struct Modelled<'a> {
    pub(super) channel: &'a Channel,
    pub(super) server: &'a mut Calendar,
    pub(super) now: Time,
}

impl Modelled<'_> {
    /// When it has left, and when it can be received.
    pub(super) fn leave(&mut self, port: &mut Port, load: &Load) -> (Time, Time) {
        let latency = self.channel.latency.into();
        if load.is_ack {
            return (self.now, self.now + latency);
        }
        let start = self.now.max(port.sent);
        let mut sent = start + piece(&self.channel.send, load);
        if let Some(bucket) = &self.channel.bucket {
            // The time at which it would be through, had there never been a burst.
            port.paced = port.paced.max(start) + (bucket.per_byte * load.payload).into();
            let burst: Duration = (bucket.per_byte * bucket.burst.get()).into();
            sent = sent.max(Time(0) + port.paced.since(Time(0) + burst));
        }
        if self.channel.server_here().is_some() {
            port.sent = sent;
            return (sent, self.served(sent, load) + latency);
        }
        sent = sent + self.queue(start, load);
        port.sent = sent;
        (sent, sent + latency)
    }

    /// When a server on the machine of the processes has done what it is asked for at `from`. Of another one
    /// that is a part of what the processes take.
    pub(super) fn served(&mut self, from: Time, load: &Load) -> Time {
        match self.channel.server_here() {
            Some(server) => {
                from + self.queue(from, load) + server.busy(Bytes::new(load.payload)).into()
            }
            None => from,
        }
    }

    /// When it is there, if it can be received from `comes` on.
    pub(super) fn receive(&mut self, port: &mut Port, comes: Time, load: &Load) -> Time {
        let busy = piece(&self.channel.receive, load);
        if load.is_ack || busy.is_zero() && self.channel.server.is_none() {
            return comes;
        }
        let lanes = self.channel.side_by_side.max(1) as usize;
        if port.receiving.len() < lanes {
            port.receiving.resize_with(lanes, Calendar::default);
        }
        let since = Time(comes.0.saturating_sub(self.streamed(load).as_nanos() as u64));
        let begins = port.receiving.iter().map(|lane| lane.first(since, busy));
        let first = begins.enumerate().min_by_key(|(lane, begin)| (*begin, *lane));
        let Some((lane, begin)) = first else { return comes };
        let waits = match self.channel.server_here() {
            Some(_) => Duration::ZERO,
            None => self.queue(begin, load),
        };
        let busy = busy + waits;
        let lane = &mut port.receiving[lane];
        let begin = lane.first(begin, busy);
        lane.take(begin, busy, self.now);
        let last =
            if self.channel.is_link() { comes + once(&self.channel.receive, load) } else { comes };
        last.max(begin + busy)
    }

    /// For how long it has been coming when the last of it comes.
    fn streamed(&self, load: &Load) -> Duration {
        match self.channel.is_link() {
            true => piece(&self.channel.send, load).saturating_sub(once(&self.channel.send, load)),
            false => Duration::ZERO,
        }
    }

    /// How much later than others it is.
    pub(super) fn late(&self, load: &Load, dice: &mut Dice) -> Duration {
        match load.is_ack || self.channel.tail.is_none() {
            true => Duration::ZERO,
            false => self.channel.tail.one(dice.fraction()).into(),
        }
    }

    /// How late a reader that looks now and then finds it.
    pub(super) fn unseen(&self, load: &Load, dice: &mut Dice) -> Duration {
        match &self.channel.requests {
            Some(requests) if !load.is_ack => dice.up_to(requests.look.into()),
            _ => Duration::ZERO,
        }
    }

    /// How long it waits for the server, if it asks at `from`.
    fn queue(&mut self, from: Time, load: &Load) -> Duration {
        let Some(server) = &self.channel.server else { return Duration::ZERO };
        let busy: Duration = server.busy(Bytes::new(load.payload)).into();
        let begin = self.server.first(from, busy);
        self.server.take(begin, busy, self.now);
        begin.since(from)
    }
}

/// What a message costs once, if this is its first piece.
fn once(leg: &Leg, load: &Load) -> Duration {
    if load.offset == 0 { leg.fixed.into() } else { Duration::ZERO }
}

/// What a leg is busy with a piece of a message.
fn piece(leg: &Leg, load: &Load) -> Duration {
    let until = |bytes| leg.time(Bytes::new(bytes));
    match load.offset {
        0 => until(load.payload).into(),
        offset => (until(offset + load.payload) - until(offset)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::wire::{Shared, Trip, Wire};
    use fmi_model::{
        Bandwidth, Profile, Seconds,
        channel::{Bucket, Server, Tail},
        prices::Request,
    };

    fn link() -> Channel {
        Channel {
            send: Leg::flat(Seconds::new(2e-6), Bandwidth::new(1e9)),
            latency: Seconds::new(20e-6),
            receive: Leg::flat(Seconds::new(1e-6), Bandwidth::new(2e9)),
            ..Channel::default()
        }
    }

    /// Sends whole messages one after the other at `now`, each from a port of its own if so.
    fn trips(channel: &Channel, seed: u64, apart: bool, bytes: &[usize]) -> Vec<Trip> {
        let (wire, mut shared) = (Wire::of(channel), Shared::new(seed));
        let (mut from, mut to) = (Port::default(), Port::default());
        let carry = |bytes: &usize| {
            if apart {
                from = Port::default();
            }
            let ports = (&mut from, &mut to);
            wire.carry(Time(0), ports, &Load::whole(*bytes), &mut shared)
        };
        let mut trips: Vec<_> = bytes.iter().map(carry).collect();
        // They come in this order.
        for (trip, bytes) in trips.iter_mut().zip(bytes) {
            let come = trip.arrives.unwrap();
            trip.arrives = wire.receive(come, &mut to, &Load::whole(*bytes), &mut shared);
        }
        trips
    }

    fn arrivals(channel: &Channel, apart: bool, bytes: &[usize]) -> Vec<u64> {
        let trips = trips(channel, 0, apart, bytes);
        trips.iter().filter_map(|trip| trip.arrives).map(|at| at.0 / 1000).collect()
    }

    #[test]
    fn a_message_takes_its_three_parts() {
        for bytes in [0, 1000, 1_000_000] {
            let whole: Duration = link().transfer(Bytes::new(bytes)).into();
            let arrivals = arrivals(&link(), false, &[bytes as usize]);
            assert_eq!(arrivals, [whole.as_micros() as u64]);
        }
        // The second leaves after the first; the receiver is busy with none when it comes.
        assert_eq!(arrivals(&link(), false, &[1000, 1000]), [24, 27]);
        // Of two senders the second has to wait.
        assert_eq!(arrivals(&link(), true, &[20_000, 20_000]), [43, 44]);
    }

    #[test]
    fn a_profile_takes_what_its_model_says() {
        for name in Profile::SHIPPED {
            let profile = Profile::shipped(name).unwrap();
            for (name, channel) in &profile.channels {
                let channel = Channel { tail: Tail::default(), requests: None, ..channel.clone() };
                let channel = Channel { bucket: None, ..channel };
                for bytes in [1, 1000, 10_000_000] {
                    let time = trips(&channel, 0, false, &[bytes])[0].arrives.unwrap();
                    let model = channel.transfer(Bytes::new(bytes as u64)).get();
                    let off = (time.0 as f64 * 1e-9 - model).abs() / model;
                    assert!(off < 0.01, "{name} {bytes}: {time:?}, {model}");
                }
            }
        }
    }

    #[test]
    fn pieces_take_as_long_as_the_whole() {
        let profile = Profile::shipped("aws-lambda").unwrap();
        let channel = profile.channel("tcp");
        let (mut one, mut pieces) = (Port::default(), Port::default());
        let mut server = Calendar::default();
        let mut modelled = Modelled { channel, server: &mut server, now: Time(0) };
        let (whole, _) = modelled.leave(&mut one, &Load::whole(1 << 20));
        let piece = |at: u64| Load { offset: at << 18, ..Load::whole(1 << 18) };
        let parts: Vec<_> = (0..4).map(|at| modelled.leave(&mut pieces, &piece(at)).0).collect();
        assert!(parts.is_sorted());
        assert!(parts[3].0.abs_diff(whole.0) < 10, "{parts:?} {whole:?}");
        // What only acknowledges keeps no port busy.
        let ack = Load { is_ack: true, ..Load::whole(0) };
        assert_eq!(modelled.leave(&mut pieces, &ack).1, Time(0) + channel.latency.into());
        assert_eq!(pieces.sent, parts[3]);
    }

    #[test]
    fn after_the_burst_it_trickles() {
        let bucket = Bucket::new(Bytes::new(1_000_000), Bandwidth::new(1e8));
        let channel = Channel { bucket: Some(bucket), ..link() };
        // 1 ms each at the full rate of 1 GB/s, 10 ms at that of the bucket.
        let sent: Vec<_> = trips(&channel, 0, false, &[1_000_000; 4])
            .iter()
            .map(|trip| trip.sent.0 / 1_000_000)
            .collect();
        assert_eq!(sent, [1, 10, 20, 30]);
        // A pause fills it again.
        let mut port = Port::default();
        port.paced = Time(40_000_000);
        let mut server = Calendar::default();
        let now = Time(100_000_000);
        let mut modelled = Modelled { channel: &channel, server: &mut server, now };
        let (sent, _) = modelled.leave(&mut port, &Load::whole(1_000_000));
        assert_eq!(sent, now + Duration::from_micros(1002));
    }

    #[test]
    fn a_server_serves_one_after_the_other() {
        let server = Server { request: Seconds::new(10e-6), ..Server::default() };
        let channel = Channel { server: Some(server), receive: Leg::default(), ..link() };
        // Each is written and read: twenty requests of 10 µs, of which the last waits for all others.
        let arrivals = arrivals(&channel, true, &[0; 10]);
        assert_eq!(arrivals, (10..20).map(|at| at * 10).collect::<Vec<_>>());
    }

    #[test]
    fn a_server_here_is_passed_once_and_keeps_nobody_busy() {
        let server = Server { request: Seconds::new(10e-6), here: true, ..Server::default() };
        let channel = Channel { server: Some(server), receive: Leg::default(), ..link() };
        let all = trips(&channel, 0, true, &[0; 10]);
        let micros = |at: Time| at.0 / 1000;
        let left: Vec<_> = all.iter().map(|trip| micros(trip.sent)).collect();
        let came: Vec<_> = all.iter().filter_map(|trip| trip.arrives).map(micros).collect();
        let model = channel.transfer(Bytes::ZERO).get() * 1e6;
        assert_eq!(came[0], model.round() as u64);
        assert!(left[9] < came[0] && came.is_sorted(), "{left:?} {came:?}");
        // Who reads what is there asks it.
        let mut calendar = Calendar::default();
        let mut store = Modelled { channel: &channel, server: &mut calendar, now: Time(0) };
        let first = store.served(Time(0), &Load::whole(0));
        let second = store.served(Time(0), &Load::whole(0));
        assert_eq!([first, second].map(micros), [10, 20]);
    }

    #[test]
    fn stragglers_are_as_late_as_the_model_says() {
        let scale = Seconds::new(0.01);
        for index in [0.0, 0.5] {
            let tail = Tail { scale, index };
            let channel = Channel { tail, ..Channel::default() };
            let slowest = |seed| {
                let all = trips(&channel, seed, false, &[0; 64]);
                all.iter().filter_map(|trip| trip.arrives).max().unwrap()
            };
            let mut runs: Vec<_> = (0..2001).map(slowest).collect();
            runs.sort_unstable();
            let expected = tail.late(64, fmi_model::channel::Quantile::MEDIAN).get();
            let median = runs[1000].0 as f64 * 1e-9;
            assert!((median / expected - 1.0).abs() < 0.05, "{median} instead of {expected}");
            assert_eq!(slowest(5), slowest(5));
        }
    }

    #[test]
    fn who_looks_now_and_then_is_late() {
        let look = Seconds::new(0.02);
        let requests =
            fmi_model::channel::Requests { send: Request::Put, receive: Request::Get, look };
        let channel = Channel { requests: Some(requests), ..Channel::default() };
        let all = trips(&channel, 3, false, &[0; 1000]);
        let late = all.iter().filter_map(|trip| trip.arrives).map(|at| at.0 as f64 * 1e-9);
        let mean = late.sum::<f64>() / 1000.0;
        assert!((mean - 0.01).abs() < 0.001, "{mean}");
    }
}
