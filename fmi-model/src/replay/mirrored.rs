//! Playing one rank through, where all do the same.

use super::{Act, Op, Outcome, Replay, Route, Traffic, Wires, Work};
use crate::{Seconds, channel::Channel};
use std::collections::VecDeque;

impl Replay<'_> {
    /// Plays one rank's steps through, as if all others did the same at the same time: what it
    /// receives was sent when it sent itself. So rings, exchanges of pairs and the like cost what one rank
    /// costs. Which rank it is decides only how far its peers are.
    #[must_use]
    pub fn mirrored(&self, rank: usize, steps: impl Iterator<Item = Op>) -> Outcome {
        let (topology, wires) = (self.topology, &self.wires);
        let size = topology.ranks();
        // Ranks of a core take turns, and all ask a server at once.
        let turns = size.div_ceil(topology.cores().max(1)) as f64;
        let turn = match turns > 1.0 && topology.processes() > 1 {
            true => wires.channel(Route::Machine).turns.turn(size, topology.cores()).get(),
            false => 0.0,
        };
        // What all ask at once has been answered to the last when the server has done it for all.
        let cores = topology.cores().max(1) as f64;
        let busy = |channel: &Channel, time: Seconds, op: &Op| match channel.server {
            // It takes turns with them.
            Some(server) if server.here => {
                (time.get() + turn) * turns + server.busy(op.bytes).get() * size as f64 / cores
            }
            Some(server) => time.get().max(server.busy(op.bytes).get() * size as f64),
            None if !channel.is_link() => time.get(),
            None => (time.get() + turn) * turns,
        };
        let work = |op: &Op| match op.work {
            Work::None => 0.0,
            Work::Combine => wires.host.combine.time(op.bytes).get() * turns,
            Work::Copy => wires.host.copy.time(op.bytes).get() * turns,
            Work::Call => wires.host.call.get() * turns,
        };
        let pieces =
            |op: &Op| wires.host.piece.get() * f64::from(op.pieces.saturating_sub(1)) * turns;
        let mut clock = 0.0_f64;
        let mut traffic = [Traffic::default(); Route::ALL.len()];
        let mut sent = VecDeque::new();
        let mut published = 0.0_f64;
        let mut bytes = 0;
        let mut reading = (0, 0.0);
        for op in steps {
            let (route, arrival) = match op.act {
                Act::Local => {
                    clock += work(&op);
                    continue;
                }
                Act::Also { .. } => continue,
                Act::Send { to } => (Wires::message(topology, rank, to), None),
                Act::Pin { .. } => (Route::Board, None),
                Act::Publish { .. } if topology.processes() == 1 => (Route::Board, None),
                Act::Publish { .. } => (Route::Store, None),
                Act::Recv { from } => {
                    let arrival = sent.pop_front().unwrap_or((clock, clock));
                    (Wires::message(topology, from, rank), Some(arrival))
                }
                Act::Fetch { from, .. } => {
                    (Wires::shelf(topology, from, rank), Some((published, published)))
                }
            };
            let channel = wires.channel(route);
            let way = &mut traffic[route as usize];
            let Some((first, last)) = arrival else {
                way.sent += size as u64;
                way.bytes += op.bytes * size as u64;
                reading.0 = 0;
                let begin = clock + channel.send.fixed.get();
                clock += busy(channel, channel.send.time(op.bytes), &op) + pieces(&op);
                if let Some(bucket) = &channel.bucket {
                    bytes += op.bytes.get();
                    clock = clock.max(bucket.time(crate::Bytes::new(bytes)).get());
                }
                let arrival = clock + channel.latency.get();
                let first = if channel.is_link() { begin + channel.latency.get() } else { arrival };
                match op.act {
                    Act::Send { .. } => sent.push_back((first, arrival)),
                    _ => published = arrival,
                }
                continue;
            };
            way.received += size as u64;
            let wait = (first - clock).max(0.0);
            way.looks += channel.looks(Seconds::new(wait)) * size as f64;
            let found = first + channel.look_late().get();
            let (count, since) = reading;
            let beside = count > 0 && count < channel.side_by_side.max(1);
            reading = if beside { (count + 1, since) } else { (1, clock) };
            let begin = if beside { found.max(since) } else { found.max(clock) };
            let mut end = begin + busy(channel, channel.receive.time(op.bytes), &op) + pieces(&op);
            if channel.is_link() {
                end = end.max(last + channel.receive.fixed.get());
            }
            clock = end.max(clock) + work(&op);
        }
        let end = Seconds::new(clock);
        // Ranks that take turns are as busy as they are slow: nothing is left out of `clock`.
        let (starts, ends) = (vec![Seconds::ZERO], vec![end]);
        Outcome { starts, ends, traffic, busy: Seconds::ZERO, alike: Some(size) }
    }
}
