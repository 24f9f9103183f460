//! The library's own rules.

use super::Rule;
use crate::plan::{
    Place, allgather, allreduce, alltoall, barrier, bcast, exscan, gather, reduce, reduce_scatter,
    scan, scatter,
};
use Rule as R;

const LARGE: u64 = 64 << 10;
/// What goes in one command with its message.
const SMALL: u64 = 16 << 10;
/// Values of an alltoall that are as well sent each by itself.
const TOGETHER: u64 = 16 << 10;
/// Ranks of which one no longer reads what each of the others has.
const MANY: usize = 64;
/// Ranks of which one no longer serves all others.
const STAR: usize = 33;
/// Ranks of which one serves all others even with long values.
const FEW: usize = 9;
/// Values that one rank can well pass on to all, and those of which it can have one for each pair.
const SHORT: u64 = 32 << 10;
const TINY: u64 = 8 << 10;
/// Values that one rank passes on sooner than all others read them.
const CHIP: u64 = 2 << 10;
/// Values that are as well passed on from rank to rank as sent to each.
const BLOCK: u64 = 128 << 10;
/// Values that one rank still passes on to many sooner than pairs exchange them.
const LONG: u64 = 256 << 10;

/// In the order in which they are tried: what is special comes first.
pub(super) fn rules() -> Vec<Rule> {
    [
        one_process(),
        only_a_store(),
        processes_of_several(),
        many_readers(),
        shared_cores(),
        anywhere(),
    ]
    .concat()
}

/// Within one process.
fn one_process() -> Vec<Rule> {
    let within = |algorithm| R::always(algorithm).within(Place::Process);
    let turns = |algorithm| R::always(algorithm).within(Place::Turns);
    vec![
        within(&barrier::shared::ALGORITHM),
        within(&bcast::shared::ALGORITHM),
        within(&gather::shared::ALGORITHM),
        // Ranks that take turns on threads: where each would read what all others have, one that passes
        // it on is sooner done.
        turns(&scatter::binomial::ALGORITHM).from_size(7),
        turns(&allgather::star::ALGORITHM).from_size(12),
        turns(&allgather::star::ALGORITHM).below_bytes(CHIP / 8).from_size(5),
        turns(&alltoall::star::ALGORITHM).from_size(5).below_size(17),
        turns(&alltoall::star::ALGORITHM).below_bytes(CHIP).below_size(5),
        // What is short is copied, all ranks' by one; what is long is handed over.
        turns(&alltoall::star::ALGORITHM).below_bytes(64).from_size(17).below_size(MANY + 1),
        turns(&alltoall::star::ALGORITHM).from_bytes(CHIP).from_size(17).below_size(MANY + 1),
        turns(&reduce::shared::ALGORITHM).below_size(6),
        turns(&reduce::shared_tree::ALGORITHM).from_bytes(LARGE),
        turns(&allreduce::shared_tree::ALGORITHM).from_bytes(LARGE),
        turns(&allreduce::shared_tree::ALGORITHM).from_size(STAR),
        turns(&reduce_scatter::star::ALGORITHM).below_bytes(CHIP),
        turns(&reduce_scatter::star::ALGORITHM).below_bytes(2 * CHIP).from_size(STAR),
        turns(&scan::up_down::ALGORITHM).below_bytes(TINY).below_size(4),
        turns(&scan::chain::ALGORITHM).below_bytes(TINY).below_size(MANY + 1),
        turns(&scan::star::ALGORITHM).below_size(MANY + 1),
        turns(&exscan::up_down::ALGORITHM).below_size(6),
        turns(&exscan::star::ALGORITHM).below_size(MANY + 1),
        // Others of one process.
        within(&scatter::shared::ALGORITHM),
        within(&allgather::shared::ALGORITHM),
        within(&alltoall::shared::ALGORITHM),
        within(&reduce::shared::ALGORITHM).below_bytes(LARGE),
        within(&allreduce::shared_tree::ALGORITHM).from_bytes(LARGE).below_size(3),
        within(&allreduce::shared::ALGORITHM).from_bytes(LARGE),
        within(&allreduce::shared_small::ALGORITHM),
        within(&reduce_scatter::shared::ALGORITHM),
    ]
}

/// Where there is nothing but a store.
fn only_a_store() -> Vec<Rule> {
    let store = |algorithm| R::always(algorithm).within(Place::Store);
    let pushed = |algorithm| R::always(algorithm).within(Place::Pushed);
    vec![
        // One whose messages are pushed: one is one command, where an item is written, told of, asked
        // for and counted.
        pushed(&barrier::dissemination::ALGORITHM),
        pushed(&reduce::contiguous_tree::ALGORITHM).below_bytes(SMALL),
        pushed(&allreduce::recursive_doubling::ALGORITHM).below_bytes(SMALL),
        // Any other.
        store(&barrier::shared::ALGORITHM).below_size(MANY),
        store(&barrier::shared_tree::ALGORITHM),
        store(&bcast::shared::ALGORITHM),
        store(&gather::shared::ALGORITHM),
        store(&scatter::shared::ALGORITHM),
        store(&allgather::shared::ALGORITHM),
        store(&alltoall::shared::ALGORITHM),
        store(&reduce::shared::ALGORITHM).below_size(MANY),
        store(&reduce::shared_tree::ALGORITHM),
        store(&reduce::shared::ALGORITHM),
        store(&allreduce::shared::ALGORITHM).from_bytes(1 << 20).below_size(MANY),
        store(&allreduce::shared::ALGORITHM).from_bytes(64 << 20),
        store(&allreduce::shared_small::ALGORITHM).below_size(MANY),
        store(&allreduce::shared_tree::ALGORITHM),
        store(&allreduce::shared_small::ALGORITHM),
        store(&reduce_scatter::shared::ALGORITHM),
    ]
}

/// Between processes of several ranks.
fn processes_of_several() -> Vec<Rule> {
    let packs = |algorithm| R::always(algorithm).within(Place::Packs);
    vec![
        packs(&barrier::packed::ALGORITHM),
        packs(&bcast::packed_chain::ALGORITHM).from_bytes(512 << 10),
        packs(&bcast::packed::ALGORITHM),
        packs(&gather::packed::ALGORITHM),
        packs(&scatter::packed::ALGORITHM),
        packs(&allgather::packed::ALGORITHM),
        // Where values are long, nothing is saved, and to put them together is a copy.
        packs(&alltoall::pairwise::ALGORITHM).from_bytes(TOGETHER),
        packs(&alltoall::packed::ALGORITHM),
        packs(&reduce::packed::ALGORITHM).below_bytes(LARGE),
        packs(&allreduce::packed_lanes::ALGORITHM).from_bytes(8 << 20),
        packs(&allreduce::packed::ALGORITHM),
        packs(&reduce_scatter::packed::ALGORITHM),
        packs(&scan::packed::ALGORITHM),
        packs(&exscan::packed::ALGORITHM),
    ]
}

/// Between processes, beside a store that serves many at once: from some 16 readers on, direct links
/// take longer than one object in S3 (docs/model.md).
fn many_readers() -> Vec<Rule> {
    let wide = |algorithm| R::always(algorithm).within(Place::Wide);
    vec![wide(&bcast::stored::ALGORITHM).from_bytes(8 << 20).from_size(17)]
}

/// Between processes that take turns on their cores, where a message is work that no idle core does
/// meanwhile, and waiting is a switch: few messages and few waits are worth more than few rounds.
fn shared_cores() -> Vec<Rule> {
    let crowd = |algorithm| R::always(algorithm).within(Place::Crowd);
    vec![
        crowd(&barrier::star::ALGORITHM).below_size(STAR),
        crowd(&bcast::linear::ALGORITHM).below_size(STAR),
        crowd(&gather::linear::ALGORITHM).below_size(STAR),
        crowd(&scatter::linear::ALGORITHM).below_size(STAR),
        crowd(&allgather::star::ALGORITHM).below_bytes(TINY).below_size(STAR),
        crowd(&allgather::pairwise::ALGORITHM).from_bytes(TINY).below_bytes(BLOCK).below_size(FEW),
        crowd(&allgather::star::ALGORITHM).below_bytes(SHORT).from_size(FEW).below_size(STAR),
        crowd(&alltoall::star::ALGORITHM).below_bytes(TINY).below_size(STAR),
        crowd(&alltoall::star::ALGORITHM).below_bytes(SHORT).from_size(6).below_size(STAR),
        crowd(&reduce::linear::ALGORITHM).below_bytes(2 * LONG).below_size(STAR),
        crowd(&allreduce::ring::ALGORITHM).from_bytes(2 * LONG).from_size(4).below_size(FEW),
        crowd(&allreduce::star::ALGORITHM).below_bytes(2 << 20).below_size(STAR),
        crowd(&allreduce::star::ALGORITHM).below_size(FEW),
        crowd(&reduce_scatter::star::ALGORITHM).below_bytes(LARGE).below_size(STAR),
        crowd(&reduce_scatter::ring::ALGORITHM).from_bytes(LARGE).from_size(3).below_size(STAR),
        crowd(&scan::star::ALGORITHM).below_bytes(LONG).from_size(FEW).below_size(STAR),
        crowd(&scan::star::ALGORITHM).below_bytes(SHORT).from_size(8).below_size(FEW),
        // Of few chunks, a pipeline is none.
        crowd(&scan::up_down::ALGORITHM).below_bytes(LONG).below_size(FEW),
        crowd(&scan::chain::ALGORITHM).from_bytes(SHORT).below_size(STAR),
        crowd(&exscan::star::ALGORITHM).below_bytes(LONG).from_size(6).below_size(FEW),
        crowd(&exscan::star::ALGORITHM).below_bytes(2 * LONG).from_size(FEW).below_size(STAR),
        crowd(&exscan::up_down::ALGORITHM).below_size(FEW),
        crowd(&exscan::up_down::ALGORITHM).from_bytes(2 * LONG).below_size(STAR),
    ]
}

/// What applies where nothing else does.
fn anywhere() -> Vec<Rule> {
    vec![
        R::always(&barrier::dissemination::ALGORITHM),
        R::always(&bcast::scatter_allgather::ALGORITHM).from_bytes(4 << 20).from_size(8),
        R::always(&bcast::chain::ALGORITHM).from_bytes(1 << 20).from_size(3),
        R::always(&bcast::binomial::ALGORITHM),
        R::always(&gather::binomial::ALGORITHM),
        R::always(&scatter::binomial::ALGORITHM),
        R::always(&allgather::ring::ALGORITHM).from_bytes(16 << 10),
        R::always(&allgather::bruck::ALGORITHM),
        R::always(&alltoall::bruck::ALGORITHM).below_bytes(256).from_size(8),
        R::always(&alltoall::pairwise::ALGORITHM),
        R::always(&reduce::contiguous_tree::ALGORITHM),
        R::always(&reduce::chain::ALGORITHM),
        R::always(&allreduce::ring::ALGORITHM).from_bytes(1 << 20).from_size(3),
        R::always(&allreduce::rabenseifner::ALGORITHM).from_bytes(LARGE).from_size(3),
        R::always(&allreduce::recursive_doubling::ALGORITHM),
        R::always(&allreduce::reduce_bcast::ALGORITHM),
        R::always(&reduce_scatter::recursive_halving::ALGORITHM).below_bytes(LARGE),
        R::always(&reduce_scatter::pairwise::ALGORITHM),
        R::always(&scan::hillis_steele::ALGORITHM).below_size(64),
        R::always(&scan::up_down::ALGORITHM),
        R::always(&scan::chain::ALGORITHM),
        R::always(&exscan::hillis_steele::ALGORITHM).below_size(64),
        R::always(&exscan::up_down::ALGORITHM),
        R::always(&exscan::chain::ALGORITHM),
    ]
}
