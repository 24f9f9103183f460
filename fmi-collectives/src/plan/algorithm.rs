//! All algorithms by name.

use super::check::{Check, CheckError, Contract, Report};
use super::{Collective, Demand, Steps};
use super::{allreduce, barrier, bcast, gather, reduce, scan, scatter};
use std::fmt;

/// An algorithm for a collective.
///
/// The number of a variant is its code on the wire; it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Algorithm {
    /// [`barrier::dissemination`]
    BarrierDissemination = 0,
    /// [`bcast::binomial`]
    BcastBinomial = 1,
    /// [`gather::binomial`]
    GatherBinomial = 2,
    /// [`scatter::binomial`]
    ScatterBinomial = 3,
    /// [`reduce::contiguous_tree`]
    ReduceContiguousTree = 4,
    /// [`reduce::chain`]
    ReduceChain = 5,
    /// [`allreduce::recursive_doubling`]
    AllreduceRecursiveDoubling = 6,
    /// [`allreduce::reduce_bcast`]
    AllreduceReduceBcast = 7,
    /// [`scan::hillis_steele`]
    ScanHillisSteele = 8,
    /// [`scan::chain`]
    ScanChain = 9,
}

impl Algorithm {
    /// All of them, in the order of their codes.
    pub const ALL: &[Self] = &[
        Self::BarrierDissemination,
        Self::BcastBinomial,
        Self::GatherBinomial,
        Self::ScatterBinomial,
        Self::ReduceContiguousTree,
        Self::ReduceChain,
        Self::AllreduceRecursiveDoubling,
        Self::AllreduceReduceBcast,
        Self::ScanHillisSteele,
        Self::ScanChain,
    ];

    /// One rank's steps. Collectives without a root do not look at it.
    pub fn steps(self, rank: usize, size: usize, root: usize) -> Steps {
        match self {
            Self::BarrierDissemination => Box::new(barrier::dissemination::plan(rank, size)),
            Self::BcastBinomial => Box::new(bcast::binomial::plan(rank, size, root)),
            Self::GatherBinomial => Box::new(gather::binomial::plan(rank, size, root)),
            Self::ScatterBinomial => Box::new(scatter::binomial::plan(rank, size, root)),
            Self::ReduceContiguousTree => Box::new(reduce::contiguous_tree::plan(rank, size, root)),
            Self::ReduceChain => Box::new(reduce::chain::plan(rank, size, root)),
            Self::AllreduceRecursiveDoubling => {
                Box::new(allreduce::recursive_doubling::plan(rank, size))
            }
            Self::AllreduceReduceBcast => Box::new(allreduce::reduce_bcast::plan(rank, size)),
            Self::ScanHillisSteele => Box::new(scan::hillis_steele::plan(rank, size)),
            Self::ScanChain => Box::new(scan::chain::plan(rank, size)),
        }
    }

    /// How many rounds it takes, exactly; see [`Report::rounds`].
    pub fn rounds(self, size: usize, root: usize) -> usize {
        match self {
            Self::BarrierDissemination => barrier::dissemination::rounds(size),
            Self::BcastBinomial => bcast::binomial::rounds(size),
            Self::GatherBinomial => gather::binomial::rounds(size),
            Self::ScatterBinomial => scatter::binomial::rounds(size),
            Self::ReduceContiguousTree => reduce::contiguous_tree::rounds(size),
            Self::ReduceChain => reduce::chain::rounds(size, root),
            Self::AllreduceRecursiveDoubling => allreduce::recursive_doubling::rounds(size),
            Self::AllreduceReduceBcast => allreduce::reduce_bcast::rounds(size),
            Self::ScanHillisSteele => scan::hillis_steele::rounds(size),
            Self::ScanChain => scan::chain::rounds(size),
        }
    }

    /// Collective and algorithm: `"allreduce/recursive_doubling"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::BarrierDissemination => "barrier/dissemination",
            Self::BcastBinomial => "bcast/binomial",
            Self::GatherBinomial => "gather/binomial",
            Self::ScatterBinomial => "scatter/binomial",
            Self::ReduceContiguousTree => "reduce/contiguous_tree",
            Self::ReduceChain => "reduce/chain",
            Self::AllreduceRecursiveDoubling => "allreduce/recursive_doubling",
            Self::AllreduceReduceBcast => "allreduce/reduce_bcast",
            Self::ScanHillisSteele => "scan/hillis_steele",
            Self::ScanChain => "scan/chain",
        }
    }

    /// What it is an algorithm for.
    pub fn collective(self) -> Collective {
        match self {
            Self::BarrierDissemination => Collective::Barrier,
            Self::BcastBinomial => Collective::Bcast,
            Self::GatherBinomial => Collective::Gather,
            Self::ScatterBinomial => Collective::Scatter,
            Self::ReduceContiguousTree | Self::ReduceChain => Collective::Reduce,
            Self::AllreduceRecursiveDoubling | Self::AllreduceReduceBcast => Collective::Allreduce,
            Self::ScanHillisSteele | Self::ScanChain => Collective::Scan,
        }
    }

    /// The strongest demand that it meets. An algorithm that combines nothing meets all.
    pub fn demand(self) -> Demand {
        match self {
            Self::ReduceContiguousTree
            | Self::AllreduceRecursiveDoubling
            | Self::ScanHillisSteele => Demand::Associative,
            _ => Demand::Ordered,
        }
    }

    /// What it promises, for the checker.
    pub fn contract(self, root: usize) -> Contract {
        let demand = self.demand();
        match self.collective() {
            Collective::Barrier => Contract::Barrier,
            Collective::Bcast => Contract::Bcast { root },
            Collective::Gather => Contract::Gather { root },
            Collective::Scatter => Contract::Scatter { root },
            Collective::Reduce => Contract::Reduce { root, demand },
            Collective::Allreduce => Contract::Allreduce { demand },
            Collective::Scan => Contract::Scan { demand },
        }
    }

    /// Checks that it keeps its contract, in the rounds that it claims.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(self, size: usize, root: usize) -> Result<Report, CheckError> {
        Check::new(self.contract(root), size)
            .rounds(self.rounds(size, root))
            .run(|rank| self.steps(rank, size, root))
    }

    /// Its number on the wire.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The algorithm with this number, if there is one.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Side, Step};
    use super::*;

    #[test]
    fn every_size_to_64_and_every_root() {
        for &algorithm in Algorithm::ALL {
            for size in 1..=64 {
                check_roots(algorithm, size, 0..size);
            }
        }
    }

    #[test]
    fn some_large_sizes() {
        for &algorithm in Algorithm::ALL {
            for size in [100, 127, 128, 255, 256, 1000] {
                check_roots(algorithm, size, [0, 1, size / 2 - 1, size / 2, size - 2, size - 1]);
            }
        }
    }

    #[test]
    fn no_step_can_be_left_out() {
        for_each_step(|algorithm, plans, size, rank, index| {
            let mut plans = plans.to_vec();
            let step = plans[rank].remove(index);
            let result = Check::new(algorithm.contract(1), size).run(|rank| plans[rank].clone());
            assert!(result.is_err(), "{algorithm} on {size}: rank {rank} without {step:?}");
        });
    }

    #[test]
    fn no_combination_can_be_turned_around() {
        for_each_step(|algorithm, plans, size, rank, index| {
            let mut plans = plans.to_vec();
            let Step::Combine { side, .. } = &mut plans[rank][index] else { return };
            *side = if *side == Side::Left { Side::Right } else { Side::Left };
            let result = Check::new(algorithm.contract(1), size).run(|rank| plans[rank].clone());
            assert!(
                matches!(result, Err(CheckError::WrongResult { .. })),
                "{algorithm} on {size}: step {index} of rank {rank} gives {result:?}"
            );
        });
    }

    #[test]
    fn codes_lead_back() {
        for &algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_code(algorithm.code()), Some(algorithm));
            assert!(algorithm.name().starts_with(algorithm.collective().name()));
        }
        assert_eq!(Algorithm::from_code(255), None);
    }

    fn check_roots(
        algorithm: Algorithm,
        size: usize,
        roots: impl IntoIterator<Item = usize> + Clone,
    ) {
        let rooted = matches!(
            algorithm.collective(),
            Collective::Bcast | Collective::Gather | Collective::Scatter | Collective::Reduce
        );
        for root in roots.into_iter().take(if rooted { usize::MAX } else { 1 }) {
            match algorithm.check(size, root) {
                Ok(report) => assert_eq!(report.outbox, 1, "{algorithm} on {size}"),
                Err(error) => panic!("{algorithm} on {size}, root {root}: {error}"),
            }
        }
    }

    /// Calls `each(algorithm, plans, size, rank, index)` for every step of small plans.
    fn for_each_step(mut each: impl FnMut(Algorithm, &[Vec<Step>], usize, usize, usize)) {
        for &algorithm in Algorithm::ALL {
            for size in 2..=9 {
                let plans: Vec<Vec<Step>> =
                    (0..size).map(|rank| algorithm.steps(rank, size, 1).collect()).collect();
                for rank in 0..size {
                    for index in 0..plans[rank].len() {
                        each(algorithm, &plans, size, rank, index);
                    }
                }
            }
        }
    }
}
