//! Runs a plan on a communicator.
//!
//! Steps are done in their order, but nothing waits without need. A send is posted and left to
//! the pair's outbox. Receives are posted some steps ahead, so that large payloads are on their
//! way while an earlier one is combined. Only the content that a step needs is waited for.

use crate::{
    Communicator,
    operation::Trouble,
    plan::{Action, Algorithm, Blocks, Shape, Side, Step, Steps},
    signature::Terms,
    store::{Combiner, Store, broken},
    through::Through,
};
use fmi_actors::{
    Payload, Reason, Result, SIGNAL,
    endpoint::{Alarm, Published, RecvFuture, SendFuture},
    frame::{Datatype, Signature, Space},
    mailbox::{Failure, Filter},
    pair::{Arrival, Body},
};
use futures::future::BoxFuture;
use smallvec::SmallVec;
use std::{
    collections::VecDeque,
    future::{Future, pending, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
};

/// Receives that are posted before their turn.
const AHEAD: usize = 8;
/// Sends that wait for room in an outbox before the rank itself waits.
const BEHIND: usize = 16;

/// One rank's part of a collective.
pub(crate) struct Part {
    /// How the rest is made when the first message has come, which is received here.
    late: Option<(usize, Bind, RecvFuture)>,
    steps: SmallVec<[Step; 4]>,
    work: Work,
}

/// What steps are done with.
struct Work {
    wire: Wire,
    store: Store,
    combine: Option<Box<dyn Combiner>>,
    /// Blocks that make up this rank's result; `None` for all.
    result: Option<Blocks>,
    /// Of each step: its blocks are not needed afterwards.
    last: Vec<bool>,
    /// The first message and its sender, until the receive that it is for is to be posted.
    early: Option<(u32, Payload)>,
    /// Posted receives, in the order of their steps, and the first step that may have none.
    receives: SmallVec<[Incoming; 2]>,
    posted: usize,
    /// Sends that wait for room, and to whom.
    sends: VecDeque<(usize, SendFuture)>,
    has_published: bool,
    /// What it runs, and, if its ranks publish in a store, the way there.
    origin: Option<(&'static Algorithm, Shape)>,
    through: Option<Box<Through>>,
    /// The fetches before this step were waited for together.
    run_end: usize,
    /// Rings when the collective fails; fetches do not learn it by themselves.
    alarm: Option<Alarm>,
}

/// A receive of a step.
enum Incoming {
    Posted(RecvFuture),
    /// It has ended.
    Done(Payload),
}

/// What messages of the collective have in common.
pub(crate) struct Wire {
    pub(crate) communicator: Communicator,
    pub(crate) space: Space,
    pub(crate) signature: Signature,
    pub(crate) datatype: Datatype,
    /// Whom it waits for, for the deadline's error.
    pub(crate) waits_for: Arc<AtomicU32>,
}

/// What is to be done.
pub(crate) enum Plan {
    Known((&'static Algorithm, Shape), Steps, Store),
    /// The first message says how, whatever way it comes from this root.
    Late(usize, Bind),
}

/// Makes the workspace when the first message has told the terms.
pub(crate) type Bind = Box<dyn FnOnce(&Terms) -> Result<(&'static Algorithm, Shape, Store)> + Send>;

impl Part {
    /// In a box: it is moved several times before it is polled.
    pub(crate) fn new(
        wire: Wire,
        plan: Plan,
        combine: Option<Box<dyn Combiner>>,
        result: Option<Blocks>,
    ) -> Box<Self> {
        let (late, origin, steps, store): (_, _, SmallVec<[Step; 4]>, _) = match plan {
            Plan::Known(origin, steps, store) => (None, Some(origin), steps.collect(), store),
            Plan::Late(root, bind) => {
                let late = (root, bind, wire.post_any());
                (Some(late), None, SmallVec::new(), Store::none())
            }
        };
        let mut part = Box::new(Self {
            late,
            steps,
            work: Work {
                wire,
                store,
                combine,
                result,
                last: Vec::new(),
                early: None,
                receives: SmallVec::new(),
                posted: 0,
                sends: VecDeque::new(),
                has_published: false,
                origin,
                through: None,
                run_end: 0,
                alarm: None,
            },
        });
        // Now, not when it is polled: whoever sends to it need not wait for that.
        let Self { steps, work, .. } = &mut *part;
        work.post_receives(0, steps);
        part
    }

    /// Does all steps; the store holds the result then.
    pub(crate) async fn run(mut self: Box<Self>) -> Result<Store, Trouble> {
        // In place: what waits is moved about, and large enough.
        let Self { late, steps, work } = &mut *self;
        if let Some((root, bind, first)) = late.take() {
            *steps = work.bind(bind, first, root).await?;
        }
        work.through = work.wire.through(work.origin.take());
        if work.store.gives_away() {
            let result = work.result.take();
            let result = result.unwrap_or_else(|| (0..work.store.blocks()).into());
            work.last = last_uses(steps, &result);
        }
        for (index, step) in steps.iter().enumerate() {
            work.post_receives(index, steps);
            if let Some(through) = &mut work.through {
                through.begin(index, steps, &work.store)?;
            }
            match &step.action {
                Action::Send { to, blocks } => work.send(*to, blocks, index).await?,
                Action::Recv { from, blocks } => {
                    let message = work.receive(*from).await?;
                    work.store.write(blocks, message)?;
                }
                Action::Combine { from, blocks, side } => {
                    let message = work.receive(*from).await?;
                    work.combine(blocks, message, *side)?;
                }
                Action::Copy { from, to } => work.store.copy(from, to)?,
                Action::Publish { blocks, readers } => {
                    work.publish(blocks, *readers, index).await?;
                }
                Action::Fetch { from, blocks } => {
                    work.await_run(index, steps).await?;
                    for block in numbers(blocks) {
                        let content = work.fetch(*from, block).await?;
                        if block != SIGNAL {
                            work.store.write(&block.into(), content)?;
                        }
                    }
                }
                Action::CombineShared { from, blocks, side } => {
                    work.await_run(index, steps).await?;
                    for block in numbers(blocks) {
                        let content = work.fetch(*from, block).await?;
                        work.combine(&block.into(), content, *side)?;
                    }
                }
            }
        }
        work.flush().await?;
        Ok(self.work.store)
    }
}

impl Work {
    /// Takes the first message, which tells the terms. Returns the steps that follow from them.
    async fn bind(
        &mut self,
        bind: Bind,
        first: RecvFuture,
        root: usize,
    ) -> Result<SmallVec<[Step; 4]>, Trouble> {
        let first = self.wire.first_message(first, root).await?;
        let signature = first.signature.ok_or_else(|| broken("the first message is not signed"))?;
        let terms = Terms::decode(&signature);
        let terms = terms.ok_or_else(|| broken("its sender does not know the plan"))?;
        let (algorithm, shape, store) = bind(&terms)?;
        let steps = (algorithm.steps)(self.wire.communicator.rank(), shape.clone()).collect();
        (self.wire.signature, self.store) = (signature, store);
        self.origin = Some((algorithm, shape));
        self.early = Some((first.source, here(first)));
        Ok(steps)
    }

    /// Waits until all that was sent has found room.
    async fn flush(&mut self) -> Result<(), Trouble> {
        while let Some((to, send)) = self.sends.pop_front() {
            self.wait_for(Some(to));
            self.unless_it_fails(send).await??;
        }
        Ok(())
    }

    /// For the deadline's error.
    fn wait_for(&self, rank: Option<usize>) {
        let rank = rank.map_or(u32::MAX, |rank| rank as u32);
        self.wire.waits_for.store(rank, Ordering::Relaxed);
    }

    /// Posts the receives of the steps that come next.
    fn post_receives(&mut self, index: usize, steps: &[Step]) {
        self.posted = self.posted.max(index);
        while self.posted < steps.len() && self.receives.len() < AHEAD {
            if let Action::Recv { from, .. } | Action::Combine { from, .. } =
                steps[self.posted].action
            {
                // Messages of one rank match in the order sent, and none of any rank came before that.
                let rank = self.wire.world_rank(from);
                self.receives.push(match self.early.take_if(|(source, _)| *source == rank) {
                    Some((_, payload)) => Incoming::Done(payload),
                    None => Incoming::Posted(self.wire.post(from)),
                });
            }
            self.posted += 1;
        }
    }

    async fn receive(&mut self, from: usize) -> Result<Payload, Trouble> {
        self.wait_for(Some(from));
        if self.receives.is_empty() {
            return Err(broken("no receive is posted").into());
        }
        match self.receives.remove(0) {
            Incoming::Posted(receive) => Ok(here(receive.await?)),
            Incoming::Done(payload) => Ok(payload),
        }
    }

    async fn send(&mut self, to: usize, blocks: &Blocks, index: usize) -> Result<(), Trouble> {
        let last = self.last.get(index).copied().unwrap_or_default();
        let message = self.store.read(blocks, last)?;
        let mut send = self.wire.send(to, message);
        if let Some(result) = send.finished() {
            return Ok(result?);
        }
        self.sends.push_back((to, send));
        if self.sends.len() > BEHIND
            && let Some((to, oldest)) = self.sends.pop_front()
        {
            self.wait_for(Some(to));
            self.unless_it_fails(oldest).await??;
        }
        Ok(())
    }

    fn combine(&mut self, blocks: &Blocks, message: Payload, side: Side) -> Result<()> {
        let combine = self.combine.as_ref().ok_or_else(|| broken("there is no operation"))?;
        self.store.combine(blocks, message, side, &**combine)
    }

    async fn publish(
        &mut self,
        blocks: &Blocks,
        readers: usize,
        index: usize,
    ) -> Result<(), Trouble> {
        if !std::mem::replace(&mut self.has_published, true) {
            self.wait_for(None);
            if let Some(through) = &self.through {
                let room = through.room()?;
                self.unless_it_fails(room).await?;
            } else {
                let room = self.wire.communicator.endpoint().may_publish();
                self.unless_it_fails(room).await?;
            }
        }
        let last = self.last.get(index).copied().unwrap_or_default();
        if let Some(through) = &self.through {
            return Ok(through.publish(&mut self.store, blocks, readers, last)?);
        }
        let Self { wire, store, .. } = self;
        let Some(publications) = wire.communicator.publications() else { return Ok(()) };
        if blocks.is_empty() {
            let signal = std::iter::once(Ok((SIGNAL, Payload::empty())));
            return Ok(publications.publish(wire.space, signal, readers)?);
        }
        Ok(publications.publish(wire.space, store.read_each(blocks, last)?, readers)?)
    }

    /// Before the first of several fetches with nothing but copies between them: waits for what
    /// the last one needs. This rank has no part in what is published in between, and mostly is
    /// woken once instead of once a fetch.
    async fn await_run(&mut self, index: usize, steps: &[Step]) -> Result<(), Trouble> {
        if index < self.run_end || self.through.is_some() {
            return Ok(());
        }
        let fetched = |step: &Step| match &step.action {
            Action::Fetch { from, blocks } | Action::CombineShared { from, blocks, .. } => {
                Some((*from, numbers(blocks).last().unwrap_or(SIGNAL)))
            }
            _ => None,
        };
        self.run_end = index + 1;
        let mut last = None;
        for (at, step) in steps.iter().enumerate().skip(index + 1) {
            match fetched(step) {
                Some(next) => (last, self.run_end) = (Some(next), at + 1),
                None if matches!(step.action, Action::Copy { .. }) => {}
                None => break,
            }
        }
        match last {
            Some((from, block)) => self.await_published(from, block).await,
            None => Ok(()),
        }
    }

    async fn fetch(&mut self, from: usize, block: usize) -> Result<Payload, Trouble> {
        if let Some(through) = &mut self.through {
            let read = through.next()?;
            self.wait_for(Some(from));
            // In a box: a read from a store takes long enough, and other ways need not carry it.
            return Box::pin(self.wire.stored(from, read)).await;
        }
        loop {
            if let Some(content) = self.wire.fetch(from, block)? {
                return Ok(content);
            }
            self.await_published(from, block).await?;
        }
    }

    async fn await_published(&mut self, from: usize, block: usize) -> Result<(), Trouble> {
        self.wait_for(Some(from));
        match self.wire.published(from, block) {
            Some(published) => Ok(self.unless_it_fails(published).await??),
            // Its process is about to go, and the alarm says so.
            None => self.unless_it_fails(pending()).await?,
        }
    }

    /// Awaits something that does not learn of the collective's failure.
    async fn unless_it_fails<F: Future + Unpin>(
        &mut self,
        mut future: F,
    ) -> Result<F::Output, Trouble> {
        let Self { wire, alarm, .. } = self;
        poll_fn(|context| {
            if let Poll::Ready(output) = Pin::new(&mut future).poll(context) {
                return Poll::Ready(Ok(output));
            }
            let set = || wire.communicator.endpoint().alarm(wire.space);
            let alarm = Pin::new(alarm.get_or_insert_with(set));
            alarm.poll(context).map(|failure| Err(Trouble::Failure(failure)))
        })
        .await
    }
}

impl Wire {
    /// The way to the store, for what publishes and fetches between processes.
    fn through(&self, origin: Option<(&'static Algorithm, Shape)>) -> Option<Box<Through>> {
        let comm = &self.communicator;
        let origin =
            origin.filter(|(algorithm, _)| algorithm.is_shared() && !comm.is_together())?;
        let usage = comm.endpoint().use_store(self.space, comm.ranks_here());
        Some(Box::new(Through::new(usage, origin, self.datatype.align(), comm.group())))
    }

    fn world_rank(&self, rank: usize) -> u32 {
        self.communicator.world_rank(rank)
    }

    fn post(&self, from: usize) -> RecvFuture {
        let filter = Filter { source: Some(self.world_rank(from)), tag: None };
        self.communicator.endpoint().recv(self.space, filter)
    }

    fn post_any(&self) -> RecvFuture {
        self.communicator.endpoint().recv(self.space, Filter { source: None, tag: None })
    }

    fn send(&self, to: usize, message: Payload) -> SendFuture {
        let to = self.world_rank(to);
        let endpoint = self.communicator.endpoint();
        endpoint.send_signed(self.space, to, self.datatype, message, self.signature)
    }

    fn published(&self, from: usize, block: usize) -> Option<Published> {
        let from = self.world_rank(from);
        Some(self.communicator.publications()?.published(self.space, from, block))
    }

    fn fetch(&self, from: usize, block: usize) -> Result<Option<Payload>> {
        let from = self.world_rank(from);
        let Some(publications) = self.communicator.publications() else { return Ok(None) };
        publications.fetch(self.space, from, block)
    }

    /// What a rank has put into the store, once it has. What is not there some time after it has
    /// left never will be: who leaves waits until all have read.
    async fn stored(
        &self,
        from: usize,
        mut read: BoxFuture<'static, Result<Payload>>,
    ) -> Result<Payload, Trouble> {
        let (comm, endpoint) = (&self.communicator, self.communicator.endpoint());
        let (mut alarm, mut gone) = (None, None);
        poll_fn(|context| {
            if let Poll::Ready(content) = read.as_mut().poll(context) {
                return Poll::Ready(content.map_err(Trouble::Error));
            }
            let watched = comm.world_rank(from);
            let alarm = alarm.get_or_insert_with(|| endpoint.departure(self.space, watched));
            if let Poll::Ready(failure) = Pin::new(&mut *alarm).poll(context) {
                if !matches!(failure, Failure::Lost { reason: Reason::Left, .. }) {
                    return Poll::Ready(Err(Trouble::Failure(failure)));
                }
                gone = Some(endpoint.watch(comm.silence()));
                *alarm = endpoint.alarm(self.space);
                if let Poll::Ready(failure) = Pin::new(alarm).poll(context) {
                    return Poll::Ready(Err(Trouble::Failure(failure)));
                }
            }
            let Some(patience) = &mut gone else { return Poll::Pending };
            if !patience.poll_expired(context) {
                return Poll::Pending;
            }
            let what = format!("what rank {from} published before it left");
            Poll::Ready(Err(Trouble::Error(comm.forgotten(what))))
        })
        .await
    }

    /// The first message, from anybody. A root that has left has sent all it had to; if nobody has anything to pass
    /// on for some time after that, it had not.
    async fn first_message(&self, mut first: RecvFuture, root: usize) -> Result<Arrival, Failure> {
        let (comm, endpoint) = (&self.communicator, self.communicator.endpoint());
        let source = Some(self.world_rank(root));
        let (mut root, mut gone) = (None, None);
        poll_fn(|context| {
            if let Poll::Ready(first) = Pin::new(&mut first).poll(context) {
                return Poll::Ready(first);
            }
            // Mostly it is there at once, and nobody asks.
            let probe = || Some(endpoint.probe(self.space, Filter { source, tag: None }));
            if let Some(probe) = root.get_or_insert_with(probe)
                && let Poll::Ready(answer) = Pin::new(probe).poll(context)
            {
                root = Some(None);
                let wait = |failure| Box::new((failure, endpoint.watch(comm.silence())));
                gone = answer.err().map(wait);
            }
            let Some((failure, patience)) = gone.as_deref_mut() else { return Poll::Pending };
            if !patience.poll_expired(context) {
                return Poll::Pending;
            }
            if first.is_matched() {
                // Somebody has it, and it is on its way.
                gone = None;
                return Poll::Pending;
            }
            Poll::Ready(Err(failure.clone()))
        })
        .await
    }
}

/// The payload of a receive that has ended.
fn here(arrival: Arrival) -> Payload {
    match arrival.body {
        Body::Here(payload) => payload,
        _ => unreachable!("receives end with the payload"),
    }
}

/// The blocks one by one; of none, the news that there are none.
pub(crate) fn numbers(blocks: &Blocks) -> impl Iterator<Item = usize> + use<> {
    let signal = blocks.is_empty().then_some(SIGNAL);
    // Mostly they are a range, which is simpler to walk through.
    let plain = blocks.plain();
    let others = if plain.is_none() { Some(blocks.iter()) } else { None };
    signal.into_iter().chain(plain.into_iter().flatten()).chain(others.into_iter().flatten())
}

/// Which steps are the last to need all the blocks that they read.
fn last_uses(steps: &[Step], result: &Blocks) -> Vec<bool> {
    let mut needed: SmallVec<[bool; 32]> = SmallVec::new();
    let mut mark = |block: usize, value: bool| {
        if block >= needed.len() {
            needed.resize(block + 1, false);
        }
        std::mem::replace(&mut needed[block], value)
    };
    for block in result.iter() {
        mark(block, true);
    }
    let mut last: Vec<bool> = steps
        .iter()
        .rev()
        .map(|step| {
            let overwrites = matches!(step.action, Action::Recv { .. } | Action::Fetch { .. });
            if let Action::Copy { to, .. } = &step.action {
                for block in to.iter() {
                    mark(block, false);
                }
            }
            let later = step.blocks().iter().map(|block| mark(block, !overwrites));
            !later.fold(false, |any, needed| any | needed)
        })
        .collect();
    last.reverse();
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Allocators hand out up to 1,032 bytes much sooner than more, and every collective has a part.
    #[test]
    fn a_part_is_small() {
        assert!(size_of::<Part>() <= 1032, "{} bytes", size_of::<Part>());
    }

    #[test]
    fn what_nobody_needs_again_is_given_away() {
        let steps = [
            Step::send(1, 0),
            Step::combine(1, 0, Side::Right),
            Step::send(2, 0),
            Step::recv(2, 0),
            Step::copy(0, 1),
            Step::send(3, 0..2),
            Step::send(3, 1),
        ];
        let uses = |result: Blocks| last_uses(&steps, &result);
        assert_eq!(uses(Blocks::NONE), [false, false, true, false, false, false, true]);
        assert!(!uses(1.into())[6]);
    }
}
