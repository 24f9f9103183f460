//! FMI's own algorithms, step by step as its C++ does them.
//!
//! Over direct links: binomial trees; an allreduce by recursive doubling in which of two partners one
//! sends before it receives and the other after, so that a round is two hops; a scan up and down a tree.
//! Through a store: who has something writes an object, who wants it reads one after the other; who finds
//! nothing sleeps and looks again.

use super::Source;
use crate::{
    Bytes, Seconds,
    channel::{Channel, Quantile, Server},
    host::Effort,
    replay::{Act, Op, Outcome, Replay, Stuck, Wires, Work},
    topology::Topology,
};

/// What was measured of a collective of FMI's: a barrier, which ranks leave at different times, and then the
/// collective, from the clock of one rank to that of another.
///
/// # Errors
/// [`Stuck`] if the operation is none of FMI's.
pub fn sample(
    source: Source,
    channel: &Channel,
    (operation, ranks, bytes): (&str, usize, Bytes),
    quantile: Quantile,
) -> Result<Seconds, Stuck> {
    let topology = Topology::apart(ranks);
    let crowded = crowded(channel, ranks);
    let mut wires = Wires::all(&crowded);
    wires.host.combine =
        Effort { fixed: channel.requests.map_or(Seconds::ZERO, |r| r.look), ..Effort::default() };
    let program = |rank| steps(source, operation, rank, ranks, bytes);
    let start = match source {
        // The barrier is an allreduce.
        Source::Direct => {
            let barrier = |rank| steps(source, "allreduce", rank, ranks, Bytes::new(1));
            Replay::new(&topology, wires).run(barrier)?.ends
        }
        Source::Redis | Source::S3 => after_looking(channel, ranks),
    };
    let outcome = Replay::new(&topology, wires).from(start).run(program)?;
    let late = channel.tail.late(ranks, quantile);
    Ok(span(operation, &outcome) + late)
}

/// A store while so many ranks ask it again and again for what is not there yet: its server does no more
/// than it can.
fn crowded(channel: &Channel, ranks: usize) -> Channel {
    let mut crowded = channel.clone();
    if let Some(server) = crowded.server {
        let turn = server.request * ranks as u64;
        crowded.send.fixed = crowded.send.fixed.max(turn);
        crowded.receive.fixed = crowded.receive.fixed.max(turn);
    }
    crowded
}

/// When ranks leave a barrier through a store: each has written an object, and lists all that there are,
/// again and again, until everybody's is among them. Each sees that with its next look, so they leave evenly
/// spread over the time from one look to the next; rank 0 on average in the middle.
fn after_looking(channel: &Channel, ranks: usize) -> Vec<Seconds> {
    let keys = ROUNDS * 2.0 * ranks as f64;
    let busy = |server: Server| (server.request + LISTED * keys) * ranks as f64;
    let list = channel.receive.fixed.max(channel.server.map_or(Seconds::ZERO, busy));
    let period = list + channel.requests.map_or(Seconds::ZERO, |requests| requests.look);
    let others = (ranks - 1).max(2) as f64 - 1.0;
    let start = |rank: usize| match rank {
        0 => period / 2.0,
        _ if ranks == 2 => period / 2.0,
        rank => period * ((rank - 1) as f64 / others),
    };
    (0..ranks).map(start).collect()
}

/// Rounds before the middle one of those that were measured; their objects are still there, one of the barrier and one
/// of the collective a rank.
const ROUNDS: f64 = 15.0;
/// How long each object keeps a Redis busy that lists all. Not fitted: it is that of the reference machine
/// (`redis-benchmark -c 8 KEYS '*'` with 500 and with 2,000 keys).
const LISTED: Seconds = Seconds::new(0.2e-6);

/// How long an allreduce is for a rank, on its own clock, if all begin at once: the slowest.
///
/// # Errors
/// Never: all ranks do their part.
pub fn allreduce(channel: &Channel, ranks: usize, bytes: Bytes) -> Result<Seconds, Stuck> {
    let topology = Topology::apart(ranks);
    let program = |rank| steps(Source::Direct, "allreduce", rank, ranks, bytes);
    let outcome = Replay::new(&topology, Wires::all(channel)).run(program)?;
    Ok(outcome.end() + channel.tail.late(ranks, Quantile::MEDIAN))
}

/// From which clock to which its authors measured. A reduce is not the reduction: rank 0, which has
/// the result, is not asked when.
fn span(operation: &str, outcome: &Outcome) -> Seconds {
    let others = 1..outcome.ends.len();
    match operation {
        "gather" => {
            let first =
                outcome.starts[others].iter().copied().fold(Seconds::new(f64::MAX), Seconds::min);
            outcome.ends[0] - first
        }
        _ => {
            let last = outcome.ends[others].iter().copied().fold(Seconds::ZERO, Seconds::max);
            last - outcome.starts[0]
        }
    }
}

/// What one rank does, in the making.
struct Steps {
    rank: usize,
    ranks: usize,
    bytes: Bytes,
    steps: Vec<Op>,
}

fn steps(
    source: Source,
    operation: &str,
    rank: usize,
    ranks: usize,
    bytes: Bytes,
) -> std::vec::IntoIter<Op> {
    let mut steps = Steps { rank, ranks, bytes, steps: Vec::new() };
    match source {
        Source::Direct => steps.direct(operation),
        Source::Redis | Source::S3 => steps.stored(operation),
    }
    steps.steps.into_iter()
}

/// Over links.
impl Steps {
    fn direct(&mut self, operation: &str) {
        let rounds = self.ranks.next_power_of_two().ilog2();
        match operation {
            "bcast" => (0..rounds).rev().for_each(|round| self.down(round, false)),
            "scatter" => (0..rounds).rev().for_each(|round| self.down(round, true)),
            "reduce" => (0..rounds).for_each(|round| self.up(round, false)),
            "gather" => (0..rounds).for_each(|round| self.up(round, true)),
            "allreduce" => self.doubling(),
            "scan" => self.scan(),
            _ => {}
        }
    }

    /// A round of a binomial tree, from its root; each gets one value, or those of all below it.
    fn down(&mut self, round: u32, parts: bool) {
        let (rank, far) = (self.rank, 1 << round);
        if rank.is_multiple_of(2 * far) && rank + far < self.ranks {
            self.send(rank + far, if parts { far.min(self.ranks - rank - far) } else { 1 });
        } else if rank.is_multiple_of(far) && !rank.is_multiple_of(2 * far) {
            self.recv(rank - far, if parts { far.min(self.ranks - rank) } else { 1 });
        }
    }

    /// The same to its root.
    fn up(&mut self, round: u32, parts: bool) {
        let (rank, far) = (self.rank, 1 << round);
        if rank.is_multiple_of(2 * far) && rank + far < self.ranks {
            self.recv(rank + far, if parts { far.min(self.ranks - rank - far) } else { 1 });
        } else if rank.is_multiple_of(far) && !rank.is_multiple_of(2 * far) {
            self.send(rank - far, if parts { far.min(self.ranks - rank) } else { 1 });
        }
    }

    /// Recursive doubling: the lower of two partners receives first, then sends.
    fn doubling(&mut self) {
        let (rank, power) = (self.rank, 1 << self.ranks.ilog2());
        let beyond = |rank: usize| rank + power;
        if rank >= power {
            self.send(rank - power, 1);
            self.recv(rank - power, 1);
            return;
        }
        let has_beyond = beyond(rank) < self.ranks;
        if has_beyond {
            self.recv(beyond(rank), 1);
        }
        for round in 0..power.ilog2() {
            let partner = rank ^ (1 << round);
            if partner < rank {
                self.send(partner, 1);
                self.recv(partner, 1);
            } else {
                self.recv(partner, 1);
                self.send(partner, 1);
            }
        }
        if has_beyond {
            self.send(beyond(rank), 1);
        }
    }

    /// Up a tree of the last ranks of blocks of 2, 4, 8 …, and down again.
    fn scan(&mut self) {
        let (rank, rounds) = (self.rank, self.ranks.ilog2());
        let ends = |bits: u32| rank & ((1 << bits) - 1) == (1 << bits) - 1;
        for round in 0..rounds {
            if ends(round + 1) {
                self.recv(rank - (1 << round), 1);
            } else if ends(round) && rank + (1 << round) < self.ranks {
                self.send(rank + (1 << round), 1);
                break;
            }
        }
        for round in (0..rounds).rev() {
            let far = 1 << round;
            if ends(round + 1) {
                if rank + far < self.ranks {
                    self.send(rank + far, 1);
                }
            } else if ends(round) && rank > far {
                self.recv(rank - far, 1);
            }
        }
    }

    fn send(&mut self, to: usize, values: usize) {
        self.steps.push(Op::new(Act::Send { to }, self.bytes * values as u64));
    }

    fn recv(&mut self, from: usize, values: usize) {
        self.steps.push(Op::new(Act::Recv { from }, self.bytes * values as u64));
    }
}

/// Through a store. An object is named by its writer and a number.
impl Steps {
    fn stored(&mut self, operation: &str) {
        let (rank, last) = (self.rank, self.ranks - 1);
        match operation {
            "bcast" if rank == 0 => self.write(0),
            "bcast" => self.read(0, 0),
            "reduce" | "gather" if rank == 0 => (1..=last).for_each(|from| self.read(from, 0)),
            "reduce" | "gather" => self.write(0),
            "scatter" if rank == 0 => (1..=last).for_each(|reader| self.write(reader)),
            "scatter" => self.read(0, rank),
            "scan" => {
                if rank != last {
                    self.write(0);
                }
                (0..rank).for_each(|from| self.read(from, 0));
                self.sleep();
            }
            "allreduce" if rank == 0 => {
                (1..=last).for_each(|from| self.read(from, 0));
                self.sleep();
                self.write(0);
            }
            "allreduce" => {
                self.write(0);
                self.read(0, 0);
            }
            _ => {}
        }
    }

    fn write(&mut self, object: usize) {
        self.steps.push(Op::new(Act::Publish { first: object, blocks: 1 }, self.bytes));
    }

    fn read(&mut self, from: usize, object: usize) {
        self.steps.push(Op::new(Act::Fetch { from, block: object }, self.bytes));
    }

    /// Before the next look, which finds that all is there.
    fn sleep(&mut self) {
        self.steps.push(Op { work: Work::Combine, ..Op::new(Act::Local, Bytes::ZERO) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Leg, Tail, Turns};

    const HOP: Channel = Channel { latency: Seconds::new(1.0), ..NOTHING };
    const NOTHING: Channel = Channel {
        send: Leg::NOTHING,
        latency: Seconds::ZERO,
        receive: Leg::NOTHING,
        turns: Turns::NOTHING,
        side_by_side: 0,
        server: None,
        bucket: None,
        full_memory: None,
        tail: Tail::NONE,
        requests: None,
        machine: None,
    };

    fn hops(operation: &str, ranks: usize) -> f64 {
        sample(Source::Direct, &HOP, (operation, ranks, Bytes::new(4)), Quantile::MEDIAN)
            .unwrap()
            .get()
    }

    #[test]
    fn rounds_of_direct_collectives() {
        for rounds in 1..8 {
            let (ranks, rounds) = (1 << rounds, f64::from(rounds));
            // The barrier lets rank 0 go first, the last rank a hop a round later.
            assert_eq!(hops("bcast", ranks), rounds);
            assert_eq!(hops("scatter", ranks), rounds);
            assert_eq!(hops("gather", ranks), 2.0 * rounds - 1.0);
            assert_eq!(hops("reduce", ranks), 2.0 * rounds - 1.0);
            assert_eq!(hops("allreduce", ranks), 3.0 * rounds);
            assert_eq!(allreduce(&HOP, ranks, Bytes::new(8)).unwrap().get(), 2.0 * rounds);
        }
    }

    #[test]
    fn any_number_of_ranks_comes_to_an_end() {
        for source in Source::ALL {
            for operation in ["bcast", "scatter", "gather", "reduce", "allreduce", "scan"] {
                for ranks in 2..40 {
                    let took =
                        sample(source, &HOP, (operation, ranks, Bytes::new(4)), Quantile::MEDIAN)
                            .unwrap();
                    assert!(took > Seconds::ZERO || operation == "reduce", "{operation} {ranks}");
                }
            }
        }
    }
}
