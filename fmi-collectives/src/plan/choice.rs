//! Which algorithm runs a collective.

use super::{
    Algorithm, Collective, Demand, allgather, allreduce, alltoall, barrier, bcast, exscan, gather,
    reduce, reduce_scatter, scan, scatter,
};

/// The algorithm for `collective` under an operation with this demand. Collectives that combine
/// nothing do not look at the demand.
///
/// The answer depends on nothing else, so that all ranks choose alike.
pub fn choose(collective: Collective, demand: Demand) -> Algorithm {
    match (collective, demand) {
        (Collective::Barrier, _) => barrier::dissemination::ALGORITHM,
        (Collective::Bcast, _) => bcast::binomial::ALGORITHM,
        (Collective::Gather, _) => gather::binomial::ALGORITHM,
        (Collective::Scatter, _) => scatter::binomial::ALGORITHM,
        (Collective::Allgather, _) => allgather::ring::ALGORITHM,
        (Collective::Alltoall, _) => alltoall::pairwise::ALGORITHM,
        (Collective::Reduce, Demand::Ordered) => reduce::chain::ALGORITHM,
        (Collective::Reduce, _) => reduce::contiguous_tree::ALGORITHM,
        (Collective::Allreduce, Demand::Ordered) => allreduce::reduce_bcast::ALGORITHM,
        (Collective::Allreduce, _) => allreduce::recursive_doubling::ALGORITHM,
        (Collective::ReduceScatter, Demand::Ordered | Demand::Associative) => {
            reduce_scatter::chain::ALGORITHM
        }
        (Collective::ReduceScatter, _) => reduce_scatter::ring::ALGORITHM,
        (Collective::Scan, Demand::Ordered) => scan::chain::ALGORITHM,
        (Collective::Scan, _) => scan::hillis_steele::ALGORITHM,
        (Collective::Exscan, Demand::Ordered) => exscan::chain::ALGORITHM,
        (Collective::Exscan, _) => exscan::hillis_steele::ALGORITHM,
    }
}
