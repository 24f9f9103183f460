//! Chain bcast among packs in chunks, for long values and many packs: the leaders pass chunks on along a
//! [chain](super::chain) and publish each for their pack. At most p + c + m + 1 rounds for c chunks, p packs
//! and m ranks in the largest; c(p−1) messages between packs, and each leader sends S bytes at most.

use crate::plan::{
    Algorithm, Blocks, Collective, Demand, Growth, Medium, Shape, Step, Tier, seat::Seat,
};

/// This [module](self).
pub const ALGORITHM: Algorithm = Algorithm {
    collective: Collective::Bcast,
    name: "packed_chain",
    demand: Demand::Ordered,
    cut: Some(|shape| shape.chunks),
    medium: Medium::Packs {
        remote: |shape| shape.chunks * (shape.packs.len(shape.size) - 1),
        scratch: |_| 0,
    },
    growth: Growth::Linear,
    steps: |rank, shape| Box::new(plan(rank, shape)),
    rounds: |shape| {
        let Shape { size, packs, chunks, .. } = shape;
        packs.len(size) + 3 * chunks + packs.largest(size)
    },
    sent: |shape| 2 * shape.chunks,
};

/// The chain goes up from the root's pack and wraps around. A leader passes a chunk on before it publishes
/// it, and tells its pack of the first one.
pub fn plan(rank: usize, shape: Shape) -> impl Iterator<Item = Step> + Send + 'static {
    let (seat, chunks) = (Seat::of(rank, &shape), shape.chunks);
    let (leads, company, root) = (seat.leads(), seat.company(), seat.root_pack());
    let (pack, count) = (seat.pack, seat.count);
    let next = Some((pack + 1) % count).filter(|next| *next != root);
    let previous = (pack != root).then_some((pack + count - 1) % count);
    let [next, previous] = [next, previous].map(|pack| pack.map(|pack| seat.leader(pack)));
    let tell: Vec<usize> = if leads { seat.others().collect() } else { Vec::new() };
    let lead = (0..if leads { chunks } else { 0 }).flat_map(move |chunk| {
        let recv = previous.map(|from| Step::recv(from, chunk));
        let send = next.map(|to| Step::send(to, chunk));
        let publish = (company > 0).then(|| Step::publish(chunk, company).on(Tier::Pack));
        let told = if chunk == 0 { tell.clone() } else { Vec::new() };
        let tell = told.into_iter().map(|to| Step::send(to, Blocks::NONE).on(Tier::Pack));
        recv.into_iter().chain(send).chain(publish).chain(tell)
    });
    let leader = seat.leader(pack);
    let hear = (!leads).then(|| Step::recv(leader, Blocks::NONE));
    let read = (0..if leads { 0 } else { chunks }).map(move |chunk| Step::fetch(leader, chunk));
    let follow = hear.into_iter().chain(read).map(|step| step.on(Tier::Pack));
    seat.named(lead.chain(follow))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Packs;

    #[test]
    fn each_chunk_enters_a_pack_once() {
        let packs = Packs::of([0, 0, 1, 1, 2, 2]);
        let report = ALGORITHM.check(Shape::of(6).rooted(3).chunked(4).packed(&packs)).unwrap();
        assert_eq!((report.remote, report.messages), (8, 11));
    }
}
