//! Which algorithm runs a collective.

use super::{Algorithm, Collective, Demand};

/// The algorithm for `collective` under an operation with this demand. Collectives that combine
/// nothing do not look at the demand.
///
/// The answer depends on nothing else, so that all ranks choose alike.
pub fn choose(collective: Collective, demand: Demand) -> Algorithm {
    match (collective, demand) {
        (Collective::Barrier, _) => Algorithm::BarrierDissemination,
        (Collective::Bcast, _) => Algorithm::BcastBinomial,
        (Collective::Gather, _) => Algorithm::GatherBinomial,
        (Collective::Scatter, _) => Algorithm::ScatterBinomial,
        (Collective::Reduce, Demand::Ordered) => Algorithm::ReduceChain,
        (Collective::Reduce, _) => Algorithm::ReduceContiguousTree,
        (Collective::Allreduce, Demand::Ordered) => Algorithm::AllreduceReduceBcast,
        (Collective::Allreduce, _) => Algorithm::AllreduceRecursiveDoubling,
        (Collective::Scan, Demand::Ordered) => Algorithm::ScanChain,
        (Collective::Scan, _) => Algorithm::ScanHillisSteele,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_does_what_is_asked() {
        for &collective in Collective::ALL {
            for demand in [Demand::Commutative, Demand::Associative, Demand::Ordered] {
                let algorithm = choose(collective, demand);
                assert_eq!(algorithm.collective(), collective);
                assert!(algorithm.demand() >= demand, "{algorithm} is not {demand}");
            }
        }
    }
}
