//! The collectives of a communicator.
//!
//! Each method owns its value, takes its number and enters when it is called (rule 3). How it is
//! carried out is decided by [`begin`](crate::begin).

use crate::{
    Communicator, Message,
    begin::{Input, one_block},
    message::{Extent, Values, name},
    op::Reduction,
    operation::{Operation, Trouble},
    plan::Collective,
    store::Store,
};
use fmi_actors::{Error, Payload, Result};
use std::{fmt, future::Future, ops::Range};

impl Communicator {
    /// Waits until all ranks have called it.
    ///
    /// # Errors
    /// Of this and every collective: [`Error::RankLost`] when a member is gone,
    /// [`Error::Abandoned`] when one gives up, [`Error::Mismatch`] when one calls something
    /// else, [`Error::Timeout`] at the deadline.
    pub fn barrier(&self) -> Operation<impl Future<Output = Result<(), Trouble>> + Send + use<>> {
        let input = Input::new::<()>(Collective::Barrier, Some(0)).untyped();
        self.collective("barrier", input, |_| Ok(()), |_| Ok(()))
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
        let at_root = self.rank() == root;
        let payload = value.filter(|_| at_root).map(Message::into_payload);
        let length = payload.as_ref().and_then(|payload| T::extent().agreed(payload.size_hint()));
        let input = Input::new::<T>(Collective::Bcast, length)
            .refuse(self.wrong_root("bcast", root))
            .refuse(argument(at_root && payload.is_none(), "bcast", "the root has no value"))
            .rooted(root);
        self.collective("bcast", input, one_block(payload), value_of)
    }

    /// Collects one value from each rank at the root, in rank order; the others get `None`.
    /// Vectors of numbers must have one length; see [`gatherv`](Self::gatherv).
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); [`Error::RankOutOfRange`].
    pub fn gather<T: Message>(
        &self,
        value: T,
        root: usize,
    ) -> Operation<impl Future<Output = Result<Option<Vec<T>>, Trouble>> + Send + use<T>> {
        self.gather_as("gather", value, root, T::extent())
    }

    /// As [`gather`](Self::gather), with values of any length.
    ///
    /// # Errors
    /// As [`gather`](Self::gather).
    pub fn gatherv<T: Message>(
        &self,
        value: T,
        root: usize,
    ) -> Operation<impl Future<Output = Result<Option<Vec<T>>, Trouble>> + Send + use<T>> {
        self.gather_as("gatherv", value, root, Extent::Opaque)
    }

    /// Gives each rank one of the root's values: rank `i` gets the `i`-th. The root passes
    /// `Some` of `size` values, of any lengths; what the others pass is ignored.
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
        let values = values.filter(|_| rank == root).unwrap_or_default();
        let given = values.len();
        // Only the type tells all ranks how long a value is.
        let length = if let Extent::Fixed(bytes) = T::extent() { Some(bytes) } else { None };
        let wrong = rank == root && given != size;
        let input = Input::new::<T>(Collective::Scatter, length)
            .refuse(self.wrong_root("scatter", root))
            .refuse(argument(
                wrong,
                "scatter",
                format_args!("the root has {given} values for {size} ranks"),
            ))
            .rooted(root)
            .result(rank..rank + 1);
        let load = load_all(T::vec_into_values(values), 0, given);
        self.collective("scatter", input, load, move |store| value_at(store, rank))
    }

    /// [`scatter`](Self::scatter), which takes values of any lengths, under MPI's name.
    ///
    /// # Errors
    /// As [`scatter`](Self::scatter).
    pub fn scatterv<T: Message>(
        &self,
        values: Option<Vec<T>>,
        root: usize,
    ) -> Operation<impl Future<Output = Result<T, Trouble>> + Send + use<T>> {
        self.scatter(values, root)
    }

    /// Collects one value from each rank on every rank, in rank order. Vectors of numbers must
    /// have one length; see [`allgatherv`](Self::allgatherv).
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier). Vectors of different lengths are [`Error::Mismatch`].
    pub fn allgather<T: Message>(
        &self,
        value: T,
    ) -> Operation<impl Future<Output = Result<Vec<T>, Trouble>> + Send + use<T>> {
        self.allgather_as("allgather", value, T::extent())
    }

    /// As [`allgather`](Self::allgather), with values of any length.
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier).
    pub fn allgatherv<T: Message>(
        &self,
        value: T,
    ) -> Operation<impl Future<Output = Result<Vec<T>, Trouble>> + Send + use<T>> {
        self.allgather_as("allgatherv", value, Extent::Opaque)
    }

    /// Every rank gives every rank a value: the `i`-th of `values` goes to rank `i`, and the
    /// `i`-th of the result came from rank `i`. Vectors of numbers must all have one length, here
    /// and on all ranks; see [`alltoallv`](Self::alltoallv).
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); [`Error::Argument`] when there are not as many values as
    /// ranks, or their lengths differ.
    pub fn alltoall<T: Message>(
        &self,
        values: Vec<T>,
    ) -> Operation<impl Future<Output = Result<Vec<T>, Trouble>> + Send + use<T>> {
        self.alltoall_as("alltoall", values, T::extent())
    }

    /// As [`alltoall`](Self::alltoall), with values of any length.
    ///
    /// # Errors
    /// As [`alltoall`](Self::alltoall).
    pub fn alltoallv<T: Message>(
        &self,
        values: Vec<T>,
    ) -> Operation<impl Future<Output = Result<Vec<T>, Trouble>> + Send + use<T>> {
        self.alltoall_as("alltoallv", values, Extent::Opaque)
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
        let at_root = self.rank() == root;
        let (input, payload) = reduction(Collective::Reduce, value, op);
        let mut input = input.refuse(self.wrong_root("reduce", root)).rooted(root);
        if !at_root {
            input = input.result(0..0);
        }
        self.collective("reduce", input, one_block(Some(payload)), move |store| {
            at_root.then(|| value_of(store)).transpose()
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
        let (input, payload) = reduction(Collective::Allreduce, value, op);
        self.collective("allreduce", input, one_block(Some(payload)), value_of)
    }

    /// Combines the `i`-th values of all ranks and gives the result to rank `i`. Each rank has as
    /// many values as there are ranks. Vectors of numbers may differ in length from place to
    /// place, but not from rank to rank.
    ///
    /// # Errors
    /// As [`reduce`](Self::reduce); [`Error::Argument`] when there are not as many values as
    /// ranks.
    pub fn reduce_scatter<T: Message, R: Reduction<T>>(
        &self,
        values: Vec<T>,
        op: R,
    ) -> Operation<impl Future<Output = Result<T, Trouble>> + Send + use<T, R>> {
        let (size, rank, given) = (self.size(), self.rank(), values.len());
        let values = T::vec_into_values(values);
        let length = even_length(&values, given, T::extent());
        let input = Input::new::<T>(Collective::ReduceScatter, length)
            .refuse(argument(
                given != size,
                "reduce_scatter",
                format_args!("{given} values for {size} ranks"),
            ))
            .reduced_by(op)
            .result(rank..rank + 1);
        let load = load_all(values, 0, given);
        self.collective("reduce_scatter", input, load, move |store| value_at(store, rank))
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
        let (input, payload) = reduction(Collective::Scan, value, op);
        self.collective("scan", input, one_block(Some(payload)), value_of)
    }

    /// Combines the values of ranks `0..rank`, on each rank (the exclusive scan); rank 0, below
    /// which there is none, gets `None`.
    ///
    /// # Errors
    /// As [`reduce`](Self::reduce).
    pub fn exscan<T: Message, R: Reduction<T>>(
        &self,
        value: T,
        op: R,
    ) -> Operation<impl Future<Output = Result<Option<T>, Trouble>> + Send + use<T, R>> {
        let first = self.rank() == 0;
        let (mut input, payload) = reduction(Collective::Exscan, value, op);
        if first {
            input = input.result(0..0);
        }
        self.collective("exscan", input, one_block(Some(payload)), move |store| {
            (!first).then(|| value_of(store)).transpose()
        })
    }

    fn gather_as<T: Message>(
        &self,
        name: &'static str,
        value: T,
        root: usize,
        extent: Extent,
    ) -> Operation<impl Future<Output = Result<Option<Vec<T>>, Trouble>> + Send + use<T>> {
        let (size, rank, at_root) = (self.size(), self.rank(), self.rank() == root);
        let payload = value.into_payload();
        let length = extent.agreed(payload.size_hint());
        let mut input = Input::new::<T>(Collective::Gather, length)
            .refuse(self.wrong_root(name, root))
            .rooted(root);
        if !at_root {
            input = input.result(0..0);
        }
        let load = load_all(Values::Each(vec![payload]), rank, 1);
        self.collective(name, input, load, move |store| {
            at_root.then(|| values_of(store, 0..size)).transpose()
        })
    }

    fn allgather_as<T: Message>(
        &self,
        name: &'static str,
        value: T,
        extent: Extent,
    ) -> Operation<impl Future<Output = Result<Vec<T>, Trouble>> + Send + use<T>> {
        let (size, rank) = (self.size(), self.rank());
        let payload = value.into_payload();
        let input = Input::new::<T>(Collective::Allgather, extent.agreed(payload.size_hint()));
        let load = load_all(Values::Each(vec![payload]), rank, 1);
        self.collective(name, input, load, move |store| values_of(store, 0..size))
    }

    fn alltoall_as<T: Message>(
        &self,
        name: &'static str,
        values: Vec<T>,
        extent: Extent,
    ) -> Operation<impl Future<Output = Result<Vec<T>, Trouble>> + Send + use<T>> {
        let (size, given) = (self.size(), values.len());
        let lengths = "the vectors differ in length: alltoallv takes any";
        let values = T::vec_into_values(values);
        let length = even_length(&values, given, extent);
        let uneven = length.is_none() && extent != Extent::Opaque && given == size;
        let input = Input::new::<T>(Collective::Alltoall, length)
            .refuse(argument(given != size, name, format_args!("{given} values for {size} ranks")))
            .refuse(argument(uneven, name, lengths))
            .result(size..2 * size);
        let load = load_all(values, 0, given);
        self.collective(name, input, load, move |store| values_of(store, size..2 * size))
    }

    fn wrong_root(&self, operation: &'static str, root: usize) -> Option<Error> {
        self.check_rank(operation, root).err()
    }
}

/// The message is put together only if something is wrong.
fn argument(wrong: bool, operation: &'static str, message: impl fmt::Display) -> Option<Error> {
    wrong.then(|| Error::Argument { operation, message: message.to_string() })
}

fn reduction<T: Message, R: Reduction<T>>(
    collective: Collective,
    value: T,
    op: R,
) -> (Input, Payload) {
    let payload = value.into_payload();
    let length = T::extent().agreed(payload.size_hint());
    (Input::new::<T>(collective, length).reduced_by(op), payload)
}

/// The bytes of each value, if all have as many.
fn even_length(values: &Values, count: usize, extent: Extent) -> Option<usize> {
    match values {
        Values::Joined(payload) => Some(payload.size_hint() / count.max(1)),
        _ if extent == Extent::Opaque => None,
        Values::Each(each) => {
            let first = each.first().map_or(0, Payload::size_hint);
            each.iter().all(|payload| payload.size_hint() == first).then_some(first)
        }
    }
}

/// Puts values into the blocks from `first` on.
fn load_all(
    values: Values,
    first: usize,
    count: usize,
) -> impl FnOnce(&mut Store) -> Result<()> + Send {
    move |store| match values {
        Values::Joined(payload) => store.write(&(first..first + count).into(), payload),
        Values::Each(each) => each
            .into_iter()
            .enumerate()
            .try_for_each(|(index, payload)| store.write(&(first + index).into(), payload)),
    }
}

/// The only value, whatever it was cut into.
fn value_of<T: Message>(store: Store) -> Result<T> {
    let blocks = store.blocks();
    open(store.into_one(0..blocks)?)
}

fn value_at<T: Message>(store: Store, block: usize) -> Result<T> {
    open(store.into_one(block..block + 1)?)
}

fn values_of<T: Message>(store: Store, blocks: Range<usize>) -> Result<Vec<T>> {
    if let Extent::Fixed(bytes) = T::extent() {
        let count = blocks.len();
        let joined = store.into_one(blocks)?;
        if joined.size_hint() != count * bytes {
            return Err(wrong_length::<T>(joined.size_hint(), count * bytes));
        }
        return T::vec_from_values(Values::Joined(joined));
    }
    let each = store.into_each(blocks)?;
    for payload in &each {
        check_length::<T>(payload)?;
    }
    T::vec_from_values(Values::Each(each))
}

fn open<T: Message>(payload: Payload) -> Result<T> {
    check_length::<T>(&payload)?;
    T::from_payload(payload)
}

fn check_length<T: Message>(payload: &Payload) -> Result<()> {
    let found = payload.size_hint();
    let opaque = T::extent() == Extent::Opaque;
    T::extent()
        .check(found)
        .or_else(|expected| if opaque { Ok(()) } else { Err(wrong_length::<T>(found, expected)) })
}

fn wrong_length<T: Message>(found: usize, expected: usize) -> Error {
    Error::Codec { what: name::<T>(), reason: format!("{found} bytes instead of {expected}") }
}
