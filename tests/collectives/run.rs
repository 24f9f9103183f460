//! Collectives on one rank, each against what one loop computes.

use crate::{
    common::Wire,
    values::{Value, all, bits},
};
use fmi::{
    Communicator,
    plan::{Algorithm, Collective, Demand, Question, Shelf, can_run},
};
use fmi_collectives::{Extent, op::Reduction};
use std::{collections::BTreeSet, sync::Mutex};

/// What is called, and how.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) comm: &'a Communicator,
    pub(crate) root: usize,
    pub(crate) seed: u64,
    pub(crate) len: usize,
    /// Only this collective.
    pub(crate) only: Option<Collective>,
    /// Only by this algorithm, wherever it can run.
    pub(crate) by: Option<By<'a>>,
}

/// An algorithm, and a record of those that were run.
#[derive(Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) algorithm: &'static Algorithm,
    pub(crate) wire: Wire,
    pub(crate) ran: &'a Mutex<BTreeSet<String>>,
}

/// The collectives whose results are [`Outcomes`], in their order.
pub(crate) const REDUCTIONS: [Collective; 5] = [
    Collective::Reduce,
    Collective::Allreduce,
    Collective::ReduceScatter,
    Collective::Scan,
    Collective::Exscan,
];

/// The bits of what reductions gave on a rank.
pub(crate) type Outcomes = [Vec<u64>; 5];

/// What a reduction may deliver.
pub(crate) enum Expect<T> {
    /// The left fold in rank order.
    Fold(fn(T, T) -> T),
    /// Something near it, but the same bits on all ranks.
    Near(fn(T, T) -> T, fn(&T, &T) -> bool),
}

impl<'a> Run<'a> {
    pub(crate) fn new(comm: &'a Communicator, root: usize, seed: u64, len: usize) -> Self {
        Self { comm, root, seed, len, only: None, by: None }
    }

    /// The communicator to call a collective on, if it is to be called.
    fn on<T: Value>(&self, collective: Collective, demand: Demand) -> Option<Communicator> {
        if self.only.is_some_and(|only| only != collective) {
            return None;
        }
        let Some(By { algorithm, wire, ran }) = self.by else { return Some(self.comm.clone()) };
        let cuttable = matches!(T::extent(), Extent::Elements(_));
        let size = self.comm.size();
        let together = wire.is_together(size);
        let packing = wire.packing(size);
        let store = if wire.is_store() { Shelf::Alone } else { Shelf::None };
        let question = Question {
            collective,
            demand,
            size,
            bytes: None,
            cuttable,
            together,
            crowded: false,
            packing,
            store,
        };
        can_run(algorithm, &question).then(|| {
            let comm = self.comm.using(algorithm);
            assert_eq!(comm.table().choose(&question).algorithm, algorithm);
            ran.lock().unwrap().insert(algorithm.to_string());
            comm
        })
    }

    fn text(&self) -> String {
        let Self { comm, root, len, .. } = self;
        let by = self.by.map(|by| format!(" by {}", by.algorithm)).unwrap_or_default();
        format!("{comm:?}, root {root}, length {len}{by}")
    }

    pub(crate) async fn barrier(&self) {
        if let Some(comm) = self.on::<()>(Collective::Barrier, Demand::Commutative) {
            comm.barrier().await.unwrap_or_else(|error| panic!("{}: {error}", self.text()));
        }
    }

    /// Everything that moves values of a type, and combines none.
    pub(crate) async fn moves<T: Value>(&self) {
        let &Self { root, seed, len, .. } = self;
        let (rank, size) = (self.comm.rank(), self.comm.size());
        let on = |collective| self.on::<T>(collective, Demand::Commutative);
        let text = || self.text();
        // Uneven, some empty.
        let at = |place: usize| [len, 0, 1, len / 2][(place + seed as usize) % 4];
        let uneven = |rank: usize| T::make(rank, seed + 3, at(rank));
        let pair = |from: usize, to: usize, len| T::make(from * 20 + to, seed + 4, len);

        if let Some(comm) = on(Collective::Bcast) {
            // What others than the root pass is ignored.
            let value = (rank == root || rank % 2 == 1).then(|| T::make(rank, seed, len));
            let got = comm.bcast(value, root).await.unwrap();
            assert_eq!(got.bits(), T::make(root, seed, len).bits(), "bcast: {}", text());
        }
        if let Some(comm) = on(Collective::Gather) {
            let got = comm.gather(T::make(rank, seed + 1, len), root).await.unwrap();
            let right = (rank == root).then(|| bits(all::<T>(size, seed + 1, len)));
            assert_eq!(got.map(bits), right, "gather: {}", text());
            let got = comm.gatherv(uneven(rank), root).await.unwrap();
            let right = (rank == root).then(|| bits((0..size).map(uneven)));
            assert_eq!(got.map(bits), right, "gatherv: {}", text());
        }
        if let Some(comm) = on(Collective::Scatter) {
            let values = (rank == root).then(|| all::<T>(size, seed + 2, len));
            let got = comm.scatter(values, root).await.unwrap();
            assert_eq!(got.bits(), T::make(rank, seed + 2, len).bits(), "scatter: {}", text());
            let values = (rank == root).then(|| (0..size).map(uneven).collect());
            let got = comm.scatterv(values, root).await.unwrap();
            assert_eq!(got.bits(), uneven(rank).bits(), "scatterv: {}", text());
        }
        if let Some(comm) = on(Collective::Allgather) {
            let got = comm.allgather(T::make(rank, seed + 1, len)).await.unwrap();
            assert_eq!(bits(got), bits(all::<T>(size, seed + 1, len)), "allgather: {}", text());
            let got = comm.allgatherv(uneven(rank)).await.unwrap();
            assert_eq!(bits(got), bits((0..size).map(uneven)), "allgatherv: {}", text());
        }
        if let Some(comm) = on(Collective::Alltoall) {
            let got = comm.alltoall((0..size).map(|to| pair(rank, to, len)).collect()).await;
            let right = bits((0..size).map(|from| pair(from, rank, len)));
            assert_eq!(bits(got.unwrap()), right, "alltoall: {}", text());
            let mine = (0..size).map(|to| pair(rank, to, at(rank + 2 * to)));
            let got = comm.alltoallv(mine.collect()).await.unwrap();
            let right = bits((0..size).map(|from| pair(from, rank, at(from + 2 * rank))));
            assert_eq!(bits(got), right, "alltoallv: {}", text());
        }
    }

    /// Everything that combines, for comparison with other ranks and runs.
    pub(crate) async fn reductions<T: Value, R: Reduction<T>>(
        &self,
        op: impl Fn() -> R,
        expect: Expect<T>,
    ) -> Outcomes {
        let &Self { root, seed, len, .. } = self;
        let (rank, size) = (self.comm.rank(), self.comm.size());
        let on = |collective| self.on::<T>(collective, op().demand());
        let own = || T::make(rank, seed, len);
        let (fold, near) = match expect {
            Expect::Fold(fold) => (fold, None),
            Expect::Near(fold, near) => (fold, Some(near)),
        };
        let folded = |ranks, seed, len| all::<T>(ranks, seed, len).into_iter().reduce(fold);
        let judge = |what: &str, got: &T, right: Option<T>| {
            let right = right.unwrap();
            let equal = near.map_or(got.bits() == right.bits(), |near| near(got, &right));
            if !equal {
                let mut texts = [format!("{got:?}"), format!("{right:?}")];
                texts.iter_mut().for_each(|text| text.truncate(400));
                panic!("{what}, {}: {} instead of {}", self.text(), texts[0], texts[1]);
            }
        };
        let mut outcomes = Outcomes::default();
        if let Some(comm) = on(Collective::Reduce) {
            let got = comm.reduce(own(), op(), root).await.unwrap();
            assert_eq!(got.is_some(), rank == root);
            got.iter().for_each(|got| judge("reduce", got, folded(size, seed, len)));
            outcomes[0] = got.map_or(Vec::new(), |got| got.bits());
        }
        if let Some(comm) = on(Collective::Allreduce) {
            let got = comm.allreduce(own(), op()).await.unwrap();
            judge("allreduce", &got, folded(size, seed, len));
            outcomes[1] = got.bits();
        }
        if let Some(comm) = on(Collective::ReduceScatter) {
            // Of one length all, and from place to place others.
            for lengths in [[len; 4], [len, 0, 1, len / 2]] {
                let place = |place: usize| (seed + 31 * place as u64, lengths[place % 4]);
                let value = |(seed, len)| T::make(rank, seed, len);
                let values = (0..size).map(place).map(value).collect();
                let got = comm.reduce_scatter(values, op()).await.unwrap();
                let (seed, len) = place(rank);
                judge("reduce_scatter", &got, folded(size, seed, len));
                outcomes[2].extend(got.bits());
            }
        }
        if let Some(comm) = on(Collective::Scan) {
            let got = comm.scan(own(), op()).await.unwrap();
            judge("scan", &got, folded(rank + 1, seed, len));
            outcomes[3] = got.bits();
        }
        if let Some(comm) = on(Collective::Exscan) {
            let got = comm.exscan(own(), op()).await.unwrap();
            assert_eq!(got.is_some(), rank > 0);
            got.iter().for_each(|got| judge("exscan", got, folded(rank, seed, len)));
            outcomes[4] = got.map_or(Vec::new(), |got| got.bits());
        }
        outcomes
    }
}

/// The results of allreduce are equal to the bit on all ranks.
pub(crate) fn same_everywhere(ends: &[Vec<Outcomes>]) {
    for end in ends {
        let equal = end.iter().zip(&ends[0]).all(|(own, first)| own[1] == first[1]);
        assert!(equal, "allreduce gave different bits on different ranks");
    }
}
