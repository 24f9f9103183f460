//! The collectives of a communicator.

use crate::{
    Communicator, Message,
    executor::{Combine, Part},
    message::{Shape, name},
    op::Reduction,
    operation::{Operation, Trouble, WaitsFor},
    plan::{Algorithm, Collective, Demand, Shape as PlanShape, choose},
    signature::Call,
};
use fmi_actors::{Error, Payload, Result, frame::Datatype};
use std::{
    future::Future,
    ops::Range,
    sync::{Arc, atomic::AtomicU32},
};

/// What all ranks must agree on, and this rank's own input.
struct Input {
    collective: Collective,
    demand: Demand,
    root: Option<usize>,
    datatype: Datatype,
    length: u64,
    reduction: u32,
    blocks: Vec<Option<Payload>>,
    result: Range<usize>,
    combine: Option<Combine>,
}

impl Communicator {
    /// Waits until all ranks have called it.
    ///
    /// # Errors
    /// Of this and every collective: [`Error::RankLost`] when a member is gone,
    /// [`Error::Abandoned`] when one gives up, [`Error::Mismatch`] when one calls something
    /// else, [`Error::Timeout`] at the deadline.
    pub fn barrier(&self) -> Operation<impl Future<Output = Result<(), Trouble>> + Send + use<>> {
        let input = self.input(Collective::Barrier, None, Datatype::BYTES, u64::MAX, Vec::new());
        self.collective("barrier", None, input, |_, _| Ok(()))
    }

    /// Gives the root's value to all ranks. The root passes `Some`; what the others pass
    /// is ignored. They need not know the length.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); [`Error::RankOutOfRange`]; [`Error::Argument`] when the
    /// root has no value.
    pub fn bcast<T: Message>(
        &self,
        value: Option<T>,
        root: usize,
    ) -> Operation<impl Future<Output = Result<T, Trouble>> + Send + use<T>> {
        let value = value.filter(|_| self.rank() == root);
        let refused = self.check_root("bcast", root).or_else(|| {
            self.missing(value.is_none() && self.rank() == root, "bcast", "the root has no value")
        });
        let blocks = vec![value.map(Message::into_payload)];
        let mut input = self.input(Collective::Bcast, Some(root), T::datatype(), u64::MAX, blocks);
        input.result = 0..1;
        self.collective("bcast", refused, input, |comm, mut blocks| comm.open_block(&mut blocks, 0))
    }

    /// Collects one value from each rank at the root, in rank order; the others get `None`.
    /// Vectors of numbers must have one length.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); [`Error::RankOutOfRange`].
    pub fn gather<T: Message>(
        &self,
        value: T,
        root: usize,
    ) -> Operation<impl Future<Output = Result<Option<Vec<T>>, Trouble>> + Send + use<T>> {
        let refused = self.check_root("gather", root);
        let (size, at_root) = (self.size(), self.rank() == root);
        let payload = value.into_payload();
        let length = T::shape().agreed(payload.size_hint());
        let mut blocks: Vec<_> = (0..size).map(|_| None).collect();
        blocks[self.rank()] = Some(payload);
        let mut input = self.input(Collective::Gather, Some(root), T::datatype(), length, blocks);
        if at_root {
            input.result = 0..size;
        }
        self.collective("gather", refused, input, move |comm, mut blocks| {
            if !at_root {
                return Ok(None);
            }
            (0..size)
                .map(|rank| comm.open_block(&mut blocks, rank))
                .collect::<Result<_>>()
                .map(Some)
        })
    }

    /// Gives each rank one of the root's values: rank `i` gets the `i`-th. The root passes
    /// `Some` of `size` values; what the others pass is ignored.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); [`Error::RankOutOfRange`]; [`Error::Argument`] when the
    /// root has not as many values as there are ranks.
    pub fn scatter<T: Message>(
        &self,
        values: Option<Vec<T>>,
        root: usize,
    ) -> Operation<impl Future<Output = Result<T, Trouble>> + Send + use<T>> {
        let (size, rank) = (self.size(), self.rank());
        let values = values.filter(|_| rank == root);
        let given = values.as_ref().map_or(0, Vec::len);
        let refused = self.check_root("scatter", root).or_else(|| {
            let text = format!("the root has {given} values for {size} ranks");
            self.missing(rank == root && given != size, "scatter", &text)
        });
        let mut blocks: Vec<_> = (0..size).map(|_| None).collect();
        for (rank, value) in values.into_iter().flatten().take(size).enumerate() {
            blocks[rank] = Some(value.into_payload());
        }
        let mut input =
            self.input(Collective::Scatter, Some(root), T::datatype(), u64::MAX, blocks);
        let own = rank;
        input.result = own..own + 1;
        self.collective("scatter", refused, input, move |comm, mut blocks| {
            comm.open_block(&mut blocks, own)
        })
    }

    /// Combines the values of all ranks at the root; the others get `None`. See
    /// [`op`](crate::op) for what can be combined, and in which order it is.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); [`Error::RankOutOfRange`]. Vectors of different lengths
    /// are [`Error::Mismatch`].
    pub fn reduce<T: Message, R: Reduction<T>>(
        &self,
        value: T,
        op: R,
        root: usize,
    ) -> Operation<impl Future<Output = Result<Option<T>, Trouble>> + Send + use<T, R>> {
        let refused = self.check_root("reduce", root);
        let at_root = self.rank() == root;
        let mut input = self.reduction(Collective::Reduce, Some(root), value, op);
        input.result = if at_root { 0..1 } else { 0..0 };
        self.collective("reduce", refused, input, move |comm, mut blocks| {
            at_root.then(|| comm.open_block(&mut blocks, 0)).transpose()
        })
    }

    /// Combines the values of all ranks; every rank gets the same bits.
    ///
    /// # Errors
    /// As [`reduce`](Self::reduce).
    pub fn allreduce<T: Message, R: Reduction<T>>(
        &self,
        value: T,
        op: R,
    ) -> Operation<impl Future<Output = Result<T, Trouble>> + Send + use<T, R>> {
        let input = self.reduction(Collective::Allreduce, None, value, op);
        self.collective("allreduce", None, input, |comm, mut blocks| {
            comm.open_block(&mut blocks, 0)
        })
    }

    /// Combines the values of ranks `0..=rank`, on each rank (the inclusive scan).
    ///
    /// # Errors
    /// As [`reduce`](Self::reduce).
    pub fn scan<T: Message, R: Reduction<T>>(
        &self,
        value: T,
        op: R,
    ) -> Operation<impl Future<Output = Result<T, Trouble>> + Send + use<T, R>> {
        let input = self.reduction(Collective::Scan, None, value, op);
        self.collective("scan", None, input, |comm, mut blocks| comm.open_block(&mut blocks, 0))
    }

    fn input(
        &self,
        collective: Collective,
        root: Option<usize>,
        datatype: Datatype,
        length: u64,
        blocks: Vec<Option<Payload>>,
    ) -> Input {
        let demand = Demand::Commutative;
        let (reduction, result, combine) = (0, 0..0, None);
        Input { collective, demand, root, datatype, length, reduction, blocks, result, combine }
    }

    fn reduction<T: Message, R: Reduction<T>>(
        &self,
        collective: Collective,
        root: Option<usize>,
        value: T,
        op: R,
    ) -> Input {
        let payload = value.into_payload();
        let length = T::shape().agreed(payload.size_hint());
        let input = self.input(collective, root, T::datatype(), length, vec![Some(payload)]);
        Input {
            demand: op.demand(),
            reduction: op.code(),
            result: 0..1,
            combine: Some(Box::new(move |left, right| op.combine(left, right))),
            ..input
        }
    }

    /// Takes the number, builds this rank's part and runs it.
    fn collective<T, F>(
        &self,
        name: &'static str,
        refused: Option<Error>,
        input: Input,
        finish: F,
    ) -> Operation<impl Future<Output = Result<T, Trouble>> + Send + use<T, F>>
    where
        T: Send,
        F: FnOnce(&Self, Vec<Option<Payload>>) -> Result<T> + Send + 'static,
    {
        let algorithm = choose(input.collective, input.demand);
        let call = Call {
            algorithm,
            root: input.root.map_or(u32::MAX, |root| root as u32),
            datatype: input.datatype,
            length: input.length,
            reduction: input.reduction,
        };
        let signature = call.encode();
        let entered = self.endpoint().enter(self.scope(), Some(signature));
        let failed = entered.failure().cloned();
        let waits_for = Arc::new(AtomicU32::new(u32::MAX));
        let part = Part {
            communicator: self.clone(),
            space: entered.space(),
            signature,
            datatype: input.datatype,
            steps: self.steps(algorithm, input.root, refused.is_some()),
            blocks: input.blocks,
            result: input.result,
            combine: input.combine,
            waits_for: Arc::clone(&waits_for),
        };
        let comm = self.clone();
        Operation::new(self, name, WaitsFor::Changing(waits_for), async move {
            if let Some(failure) = failed {
                return Err(Trouble::Failure(failure));
            }
            let blocks = part.run().await?;
            Ok(finish(&comm, blocks)?)
        })
        .collective(entered)
        .refused(refused)
    }

    fn steps(
        &self,
        algorithm: Algorithm,
        root: Option<usize>,
        refused: bool,
    ) -> crate::plan::Steps {
        if refused {
            return Box::new(std::iter::empty());
        }
        let shape = PlanShape::of(self.size()).rooted(root.unwrap_or(0));
        (algorithm.steps)(self.rank(), shape)
    }

    fn check_root(&self, operation: &'static str, root: usize) -> Option<Error> {
        self.check_rank(operation, root).err()
    }

    fn missing(&self, missing: bool, operation: &'static str, message: &str) -> Option<Error> {
        missing.then(|| Error::Argument { operation, message: message.to_owned() })
    }

    fn open_block<T: Message>(&self, blocks: &mut [Option<Payload>], block: usize) -> Result<T> {
        let payload = blocks[block].take().ok_or_else(|| Error::Codec {
            what: name::<T>(),
            reason: "the collective left no value".to_owned(),
        })?;
        if T::shape() != Shape::Opaque
            && let Err(expected) = T::shape().check(payload.size_hint())
        {
            let found = payload.size_hint();
            return Err(Error::Codec {
                what: name::<T>(),
                reason: format!("{found} bytes instead of {expected}"),
            });
        }
        T::from_payload(payload)
    }
}
