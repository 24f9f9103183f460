//! Large plans whose ranks and chunks each add as much as the one before: a few small ones are played
//! through, and what comes of them is continued in a straight line.

use super::Pricing;
use crate::plan::Shape;
use fmi_model::{
    Bytes, Seconds,
    replay::{Outcome, Route, Stuck},
    topology::Topology,
};

/// Of what is large, ranks or chunks or both: the least number in the smaller of the two plans.
pub(super) const LEAST: usize = 16;

impl Pricing<'_> {
    /// What comes of it, in a straight line.
    pub(super) fn line(self, shape: &Shape, bytes: Bytes) -> Result<Outcome, Stuck> {
        self.line_from(shape, bytes, LEAST)
    }

    /// As `line`, from plans that are at least so large.
    ///
    /// Where both ranks and chunks are many, both plans have as many chunks a rank as the large one: what a
    /// rank does while it waits for others, and what it does too late for that, stay in proportion. Else
    /// what is large is larger than what is small, there too.
    pub(super) fn line_from(
        self,
        shape: &Shape,
        bytes: Bytes,
        least: usize,
    ) -> Result<Outcome, Stuck> {
        let [one, two] = [1, 2].map(|chunks| self.algorithm.pieces(&shape.clone().chunked(chunks)));
        let chunks = if one == two { 1 } else { shape.chunks };
        let (many_ranks, many_chunks) = (shape.size > 2 * least, chunks > 2 * least);
        // How much smaller, at least.
        let (size, count) = (shape.size as f64, chunks as f64);
        let share = match (many_ranks, many_chunks) {
            (true, true) => least as f64 / size.min(count),
            (true, false) => least.max(2 * chunks) as f64 / size,
            (false, _) => least.max(2 * shape.size) as f64 / count,
        };
        let [near, far] = [share, 2.0 * share].map(|share| {
            let part = |number: usize| libm::round(number as f64 * share) as usize;
            let size = if many_ranks { part(shape.size) } else { shape.size };
            let size = end_of_machines(self.topology, size);
            // As many chunks a rank, however many ranks those of the last machine are.
            let share = size as f64 / shape.size as f64;
            let chunks = match (many_ranks, many_chunks) {
                (true, true) => libm::round(chunks as f64 * share) as usize,
                (false, true) => part(chunks),
                (_, false) => shape.chunks,
            };
            Shape {
                size,
                root: shape.root.min(size - 1),
                chunks: chunks.clamp(1, shape.chunks),
                packs: shape.packs.of_first(size),
            }
        });
        let grows = |of: fn(&Shape) -> usize| of(&near) < of(&far) && of(&far) < of(shape);
        let mut outcome = if many_ranks && grows(|shape| shape.size) {
            self.part(&near, shape, bytes)?.beyond(&self.part(&far, shape, bytes)?, shape.size)
        } else if !many_ranks && many_chunks && grows(|shape| shape.chunks) {
            let at = (chunks - near.chunks) as f64 / (far.chunks - near.chunks) as f64;
            self.part(&near, shape, bytes)?.further(&self.part(&far, shape, bytes)?, at)
        } else {
            return self.played(shape, bytes);
        };
        self.at_least(&mut outcome, shape, bytes);
        Ok(outcome)
    }

    /// The plan among the first ranks, with blocks as long as those of the large one.
    fn part(self, smaller: &Shape, shape: &Shape, bytes: Bytes) -> Result<Outcome, Stuck> {
        let bytes = self.scaled(bytes, shape, smaller);
        if smaller.size == shape.size {
            return self.played(smaller, bytes);
        }
        let topology = Topology::new(self.topology.places()[..smaller.size].to_vec());
        Pricing { topology: &topology, ..self }.played(smaller, bytes)
    }

    /// Bytes of a value whose pieces are as long, in a plan that has fewer.
    fn scaled(self, bytes: Bytes, shape: &Shape, smaller: &Shape) -> Bytes {
        let [all, fewer] = [shape, smaller].map(|shape| self.algorithm.pieces(shape).max(1));
        let bytes = u128::from(bytes.get()) * fewer as u128 / all as u128;
        Bytes::new(u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    /// What small plans do not show: a network that goes on more slowly after a while, a server or cores
    /// that have more to do than there is time.
    fn at_least(self, outcome: &mut Outcome, shape: &Shape, bytes: Bytes) {
        let pieces = self.algorithm.pieces(shape).max(1) as f64;
        let sent = (self.algorithm.sent)(shape.clone()) as f64 * bytes.get() as f64 / pieces;
        let mut least = outcome.busy / self.topology.cores().max(1) as f64;
        for route in Route::ALL {
            let (channel, traffic) = (self.wires.channel(route), &outcome.traffic[route as usize]);
            if traffic.sent == 0 {
                continue;
            }
            if let Some(bucket) = &channel.bucket {
                least = least.max(bucket.time(Bytes::new(sent as u64)));
            }
            if let Some(server) = &channel.server {
                let requests = server.request * (traffic.sent + traffic.received);
                least = least.max(requests + server.per_byte * traffic.bytes.get() * 2.0);
            }
        }
        let end = outcome.end();
        if least > end {
            let later = least - end;
            outcome.ends.iter_mut().for_each(|end: &mut Seconds| *end += later);
        }
    }
}

/// The least number of ranks, of at least so many, that are all of their machines, or of their processes
/// if there is but one machine.
fn end_of_machines(topology: &Topology, ranks: usize) -> usize {
    let places = topology.places();
    let machines = places.iter().any(|place| place.machine != places[0].machine);
    let of = |rank: usize| if machines { places[rank].machine } else { places[rank].process };
    (ranks.max(1)..places.len()).find(|&rank| of(rank - 1) != of(rank)).unwrap_or(places.len())
}
