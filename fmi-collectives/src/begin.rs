//! From a collective that is called to a plan that runs: what all ranks must agree on, the choice
//! of the algorithm, the workspace.

use crate::{
    Communicator, Extent, Message,
    executor::{Part, Plan, Wire},
    judge::Chosen,
    observe::Observed,
    op::{Reduction, Typed},
    operation::{Base, Operation, Trouble, WaitsFor},
    plan::{
        Algorithm, Blocks, Choice, Collective, Demand, Packing, Question, Shape, Table, can_run,
    },
    signature::{Call, Terms, What},
    store::{Combiner, Lengths, Store, broken},
};
use fmi_actors::{Error, Payload, Result, frame::Datatype};
use std::{
    future::Future,
    ops::Range,
    sync::{Arc, atomic::AtomicU32},
};

/// A collective, typed and with its operation, before it is known how it is carried out.
pub(crate) struct Input {
    collective: Collective,
    datatype: Datatype,
    /// Bytes of a value, if all ranks must have the same; of a bcast, as far as this rank knows.
    length: Option<usize>,
    /// Lengths that a value can have, and whether it can be cut.
    extent: Extent,
    root: Option<usize>,
    demand: Demand,
    reduction: u32,
    combine: Option<Box<dyn Combiner>>,
    in_place: bool,
    /// Blocks that are needed in the end; all that there are, unless it says so.
    result: Option<Range<usize>>,
    refused: Option<Error>,
}

/// Lengths, plan and chunks that follow from the input.
struct Draft {
    algorithm: &'static Algorithm,
    shape: Shape,
    lengths: Lengths,
}

impl Input {
    pub(crate) fn new<T: Message>(collective: Collective, length: Option<usize>) -> Self {
        Self {
            collective,
            datatype: T::datatype(),
            length,
            extent: T::extent(),
            root: None,
            demand: Demand::Commutative,
            reduction: 0,
            combine: None,
            in_place: true,
            result: None,
            refused: None,
        }
    }

    /// Nothing is sent but the news.
    pub(crate) fn untyped(self) -> Self {
        Self { datatype: Datatype::BYTES, ..self }
    }

    pub(crate) fn rooted(self, root: usize) -> Self {
        Self { root: Some(root), ..self }
    }

    pub(crate) fn result(self, blocks: Range<usize>) -> Self {
        Self { result: Some(blocks), ..self }
    }

    /// The first reason not to begin counts.
    pub(crate) fn refuse(self, reason: Option<Error>) -> Self {
        Self { refused: self.refused.or(reason), ..self }
    }

    pub(crate) fn reduced_by<T: Message, R: Reduction<T>>(self, op: R) -> Self {
        // A vector as a whole is a value like any other: it is not cut, and may grow.
        let whole = self.extent.element().is_some() && !op.is_by_element();
        Self {
            length: self.length.filter(|_| !whole),
            extent: if whole { Extent::Opaque } else { self.extent },
            demand: op.demand(),
            reduction: op.code(),
            in_place: op.is_in_place(),
            combine: Some(Box::new(Typed::<T, R>::new(op))),
            ..self
        }
    }

    fn question(&self, comm: &Communicator, length: Option<usize>) -> Question {
        Question {
            collective: self.collective,
            demand: self.demand,
            size: comm.size(),
            bytes: length.map(|bytes| bytes as u64),
            cuttable: self.extent.element().is_some(),
            together: comm.is_together(),
            crowded: comm.is_crowded(),
            packing: Packing::of(comm.packs()),
            store: comm.shelf(),
        }
    }

    fn shape(&self, comm: &Communicator, chunks: usize) -> Shape {
        let packs = comm.packs().clone();
        Shape { size: comm.size(), root: self.root.unwrap_or(0), chunks, packs }
    }

    fn draft(&self, comm: &Communicator, choice: Choice) -> Draft {
        let shape = self.shape(comm, choice.chunks);
        let lengths = lengths(choice.algorithm, &shape, self.length, self.extent);
        Draft { algorithm: choice.algorithm, shape, lengths }
    }

    /// What runs if only the root knows the length: the same on all ranks.
    fn unbound(&self, comm: &Communicator) -> Option<Chosen> {
        self.collective.is_late_bound().then(|| comm.choose(&self.question(comm, None)))
    }

    /// `None` if this rank learns it from the first frame.
    fn decide(
        &self,
        comm: &Communicator,
        unbound: Option<Chosen>,
        observed: Option<&Observed>,
    ) -> Option<Draft> {
        let choose = |length| comm.choose(&self.question(comm, length));
        let draft = |choice: Choice, chosen: &Chosen| {
            if let Some(observed) = observed {
                observed.plans(choice.algorithm, choice.chunks, chosen);
            }
            self.draft(comm, choice)
        };
        let Some(unbound) = unbound else {
            let chosen = choose(self.length);
            return Some(draft(chosen.choice, &chosen));
        };
        // What is published is found without a first frame.
        if comm.is_silent(unbound.choice.algorithm) || comm.size() == 1 {
            return Some(draft(Choice { chunks: 1, ..unbound.choice }, &unbound));
        }
        let at_root = self.root == Some(comm.rank());
        at_root.then(|| {
            let chosen = choose(self.length);
            let mut choice = chosen.choice;
            if comm.is_silent(choice.algorithm) {
                // The others wait for a frame, and would not find what is published.
                choice.algorithm = unbound.choice.algorithm;
            }
            draft(choice, &chosen)
        })
    }

    fn terms(&self, comm: &Communicator, draft: &Draft) -> Terms {
        // Of what is published nobody else knows the length.
        let told = !self.collective.is_late_bound() || !comm.is_silent(draft.algorithm);
        let length = self.length.filter(|_| told);
        Terms {
            length: length.map_or(Terms::ANY_LENGTH, |bytes| bytes as u64),
            algorithm: draft.algorithm.code(),
            chunks: draft.shape.chunks as u32,
        }
    }
}

impl Communicator {
    /// Takes the number, builds this rank's part and runs it.
    pub(crate) fn collective<T, L, F>(
        &self,
        name: &'static str,
        mut input: Input,
        load: L,
        finish: F,
    ) -> Operation<impl Future<Output = Result<T, Trouble>> + Send + use<T, L, F>>
    where
        T: Send,
        L: FnOnce(&mut Store) -> Result<()> + Send,
        F: FnOnce(Store) -> Result<T> + Send + 'static,
    {
        let unbound = input.unbound(self);
        let observed = self.observe(input.collective);
        let draft = match input.refused {
            Some(_) => None,
            None => input.decide(self, unbound, observed.as_deref()),
        };
        let signature = Call {
            what: What::Collective(input.collective),
            root: input.root,
            datatype: input.datatype,
            reduction: input.reduction,
            hint: self.hinted(),
            published: unbound.is_some_and(|it| self.is_silent(it.choice.algorithm)),
            terms: draft.as_ref().map(|draft| input.terms(self, draft)),
        }
        .encode();
        let entered = self.enter(signature);
        self.endpoint().meter().name(entered.space(), input.collective.name());
        let failed = entered.failure().cloned().map(Box::new);
        let waits_for = Arc::new(AtomicU32::new(u32::MAX));
        let wire = Wire {
            communicator: self.clone(),
            space: entered.space(),
            signature,
            datatype: input.datatype,
            waits_for: Arc::clone(&waits_for),
        };
        let mut refused = input.refused.take();
        let part = match plan(self, &input, draft, observed.as_ref(), load) {
            Ok(plan) => {
                let result = input.result.map(Blocks::from);
                Some(Part::new(wire, plan, input.combine, result))
            }
            Err(error) => {
                refused = refused.or(Some(error));
                None
            }
        };
        let base = Base::new(self, name, WaitsFor::Changing(waits_for))
            .collective(entered, observed)
            .refused(refused);
        Operation::of(base, async move {
            if let Some(failure) = failed {
                return Err(Trouble::Failure(*failure));
            }
            let part = part.ok_or_else(|| broken("it was refused"))?;
            Ok(finish(part.run().await?)?)
        })
    }
}

/// What a rank knows that learns the rest from the first frame.
struct Late {
    question: Question,
    extent: Extent,
    shape: Shape,
}

impl Late {
    /// What follows from the terms, if a root with this rank's type could have set them.
    fn draft(&self, table: &Table, terms: &Terms) -> Result<Draft> {
        // The ranks' own table first: it may have another algorithm of that name.
        let algorithm = table
            .find(self.question.collective, terms.algorithm)
            .or_else(|| Algorithm::from_code(terms.algorithm))
            .ok_or_else(|| broken("the root runs an algorithm that is not known here"))?;
        let length = match terms.length {
            Terms::ANY_LENGTH => None,
            bytes => Some(usize::try_from(bytes).map_err(|_| Error::TooLarge { bytes })?),
        };
        let question = Question { bytes: length.map(|bytes| bytes as u64), ..self.question };
        let fits = can_run(algorithm, &question)
            && !algorithm.is_silent(self.shape.size)
            && question.may_be_cut_into(terms.chunks as usize)
            && length.is_none_or(|bytes| self.extent.check(bytes).is_ok());
        if !fits {
            return Err(broken(&format!("the root's terms do not fit: {terms:?}")));
        }
        let shape = self.shape.clone().chunked(terms.chunks as usize);
        let lengths = lengths(algorithm, &shape, length, self.extent);
        Ok(Draft { algorithm, shape, lengths })
    }
}

/// This rank's plan with its workspace.
fn plan(
    comm: &Communicator,
    input: &Input,
    draft: Option<Draft>,
    observed: Option<&Arc<Observed>>,
    load: impl FnOnce(&mut Store) -> Result<()>,
) -> Result<Plan> {
    let (align, flat) = (input.datatype.align(), input.in_place);
    let Some(draft) = draft else {
        let shape = input.shape(comm, 1);
        let root = shape.root;
        let late = Late { question: input.question(comm, None), extent: input.extent, shape };
        let (comm, observed) = (comm.clone(), observed.map(Arc::clone));
        let bind = move |terms: &Terms| {
            let Draft { algorithm, shape, lengths } = late.draft(comm.table(), terms)?;
            if let Some(observed) = observed {
                let bytes = Some(terms.length).filter(|bytes| *bytes != Terms::ANY_LENGTH);
                let question = Question { bytes, ..late.question };
                observed.learns(&comm, algorithm, shape.chunks, &question);
            }
            let store = workspace(algorithm, &shape, lengths, align, flat)?;
            Ok((algorithm, shape, store))
        };
        return Ok(Plan::Late(root, Box::new(bind)));
    };
    let Draft { algorithm, shape, lengths } = draft;
    let mut store = workspace(algorithm, &shape, lengths, align, flat)?;
    load(&mut store)?;
    let steps = (algorithm.steps)(comm.rank(), shape.clone());
    Ok(Plan::Known((algorithm, shape), steps, store))
}

fn workspace(
    algorithm: &Algorithm,
    shape: &Shape,
    lengths: Lengths,
    align: usize,
    flat: bool,
) -> Result<Store> {
    let scratch = algorithm.scratch(shape);
    Store::new(algorithm.blocks(shape) - scratch, scratch, lengths, align, flat)
}

/// Puts a value into the workspace, cut into as many blocks as there are.
pub(crate) fn one_block(payload: Option<Payload>) -> impl FnOnce(&mut Store) -> Result<()> + Send {
    move |store| match payload {
        Some(payload) => store.write(&(0..store.blocks()).into(), payload),
        None => Ok(()),
    }
}

/// How long the blocks are.
fn lengths(algorithm: &Algorithm, shape: &Shape, length: Option<usize>, extent: Extent) -> Lengths {
    match (length, algorithm.cut, extent.element()) {
        (None, ..) => Lengths::Unknown,
        (Some(bytes), Some(_), Some(size)) => {
            Lengths::Cut(bytes / size, size, algorithm.pieces(shape))
        }
        (Some(bytes), ..) => Lengths::Even(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Shelf;
    use proptest::prelude::*;

    fn late<T: Message>(size: usize) -> Late {
        let question = Question {
            collective: Collective::Bcast,
            demand: Demand::Commutative,
            size,
            bytes: None,
            cuttable: T::extent().element().is_some(),
            together: false,
            crowded: false,
            packing: Packing::None,
            store: Shelf::None,
        };
        Late { question, extent: T::extent(), shape: Shape::of(size) }
    }

    /// As an honest root would say it.
    fn terms<T: Message>(size: usize, algorithm: &Algorithm, bytes: u64) -> Terms {
        let question = Question { bytes: Some(bytes), ..late::<T>(size).question };
        let chunks = question.chunks() as u32;
        Terms { length: bytes, algorithm: algorithm.code(), chunks }
    }

    fn draft<T: Message>(size: usize, terms: &Terms) -> Result<Draft> {
        late::<T>(size).draft(&Table::default(), terms)
    }

    #[test]
    fn what_a_root_says_is_believed_if_it_can_be() {
        use crate::plan::bcast::{binomial, chain, scatter_allgather, shared};
        let said = terms::<Vec<f64>>(4, &chain::ALGORITHM, 8 << 20);
        assert_eq!(draft::<Vec<f64>>(4, &said).unwrap().shape.chunks, 64);
        for wrong in [
            Terms { chunks: u32::MAX, ..said },
            Terms { chunks: 63, ..said },
            Terms { length: 8 << 20 | 1, ..said },
            Terms { algorithm: 7, ..said },
            Terms { algorithm: crate::plan::alltoall::bruck::ALGORITHM.code(), ..said },
            terms::<Vec<f64>>(4, &shared::ALGORITHM, 80),
        ] {
            assert!(draft::<Vec<f64>>(4, &wrong).is_err(), "{wrong:?}");
        }
        assert!(draft::<u64>(4, &terms::<u64>(4, &binomial::ALGORITHM, 8)).is_ok());
        assert!(draft::<u64>(4, &terms::<u64>(4, &binomial::ALGORITHM, 9)).is_err());
        assert!(draft::<u64>(4, &terms::<u64>(4, &scatter_allgather::ALGORITHM, 8)).is_err());
    }

    proptest! {
        #[test]
        fn terms_that_nobody_sends_are_errors_not_panics(
            length: u64, code: u32, chunks: u32, honest: bool, size in 1usize..100, which: prop::sample::Index,
        ) {
            let all: Vec<_> = Algorithm::all().collect();
            let algorithm = if honest { which.get(&all).code() } else { code };
            let terms = Terms { length, algorithm, chunks };
            let drafts = [draft::<Vec<f64>>(size, &terms), draft::<u8>(size, &terms), draft::<String>(size, &terms)];
            for Draft { algorithm, shape, lengths } in drafts.into_iter().flatten() {
                // Too much memory is an error, too.
                let blocks = algorithm.blocks(&shape);
                prop_assert!(blocks <= 1024.max(size));
                let _ = Store::new(blocks, 0, lengths, 8, false);
            }
        }
    }
}
