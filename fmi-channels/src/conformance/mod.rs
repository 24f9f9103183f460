//! What every channel must do, whatever its wire: the suite that each runs in its tests.
//!
//! A channel's test says how processes are linked over it ([`Wire`]) and calls
//! [`conformance_suite!`](crate::conformance_suite), which makes one test of each function here.
//! They work on [`Endpoint`]s, so they hold channel, pair layer and mailbox to account together.
//!
//! | part | what |
//! |---|---|
//! | [`order`] | order, tags, wildcards, many messages, many ranks |
//! | [`content`] | lengths around every boundary, alignment, what arrives is what was sent |
//! | [`flow`] | back-pressure, reserved lane, match, cancellation |
//! | [`ending`] | flush, closing in good order, lost ranks, failure notices |
//! | [`links`] | first sends that cross, links that die and are replaced |
//!
//! Nothing here waits for time to pass in the hope that something has happened: each wait is for
//! an event, and all of them end after [`Runtime::patience`] with a report of what hangs.

pub mod content;
pub mod ending;
pub mod flow;
pub mod links;
pub mod order;
mod runtime;

pub use runtime::{Runtime, Simulated, Tokio};

use fmi_actors::{
    Endpoint, Node, Payload, Settings,
    endpoint::{RecvFuture, SendFuture},
    frame::{Datatype, Space},
    mailbox::{Failure, Filter},
    pair::{Arrival, Body},
};
use futures::{FutureExt, channel::oneshot, future::try_join_all};
use runtime::patient;
use std::{
    fmt::Debug,
    future::Future,
    ops::Deref,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The communicator of all tests.
const SCOPE: u64 = 0x5c0_9e5;

/// How processes are linked over the channel under test.
pub trait Wire: Debug + Send + Sync + 'static {
    /// One node for each process, each hosting so many ranks; ranks are numbered through. A
    /// channel inside a process gives one node with all ranks.
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>>;

    /// Destroys the link between two processes, with what is in it; both live. False if this
    /// channel's links cannot be destroyed.
    fn cut(&self, one: &Arc<Node>, other: &Arc<Node>) -> bool;

    /// What the tests over it run on.
    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(Tokio)
    }
}

/// One test for each demand on a channel. `$wire` makes a [`Wire`]; `on run` names a function
/// that runs a test's future to its end, where that is not tokio.
#[macro_export]
macro_rules! conformance_suite {
    ($wire:expr $(, on $run:ident)?) => {
        $crate::conformance_suite! { @ [$($run)?] $wire;
            order: one_source, two_sources_and_many_tags, any_source_and_any_tag,
                tags_are_found_behind_others, all_to_all_in_packs, many_messages_both_ways,
                probes_show_what_is_next, to_oneself;
            content: lengths_around_every_boundary, empty_messages, elements_are_aligned,
                values_arrive, lengths_are_told_before;
            flow: a_flood_waits_and_loses_nothing, empty_messages_are_bounded_too,
                big_messages_are_bounded_too, a_flood_leaves_collectives_alone,
                a_flood_leaves_other_pairs_alone, ssend_waits_for_the_match,
                cancelled_receives_lose_nothing, dropped_sends_leave_no_hole,
                room_made_is_room_told, a_big_message_gets_through_a_stream_of_small_ones;
            ending: flush_waits_until_all_has_arrived, closing_in_good_order,
                a_lost_rank_ends_every_wait, a_rank_lost_in_the_middle_of_a_message,
                a_dropped_collective_is_told_to_all, finished_ranks_pass_the_notice_on,
                ranks_that_left_do_not_hold_the_notice_up, after_the_end;
            links: first_sends_that_cross, links_closed_in_mid_stream, links_cut_in_mid_stream,
                both_sides_idle_when_it_dies;
        }
    };
    (@ $run:tt $wire:expr; $($part:ident: $($test:ident),*;)*) => {
        $(mod $part {
            #[allow(unused_imports, reason = "the wire may be made of anything in scope")]
            use super::*;
            $($crate::conformance_suite! { @ test $run $wire, $part, $test })*
        })*
    };
    (@ test [] $wire:expr, $part:ident, $test:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            $crate::conformance::$part::$test(&$wire).await;
        }
    };
    (@ test [$run:ident] $wire:expr, $part:ident, $test:ident) => {
        #[test]
        fn $test() {
            let wire = $wire;
            $run(&wire, $crate::conformance::$part::$test(&wire));
        }
    };
}

/// The nodes of a test and their ranks.
#[derive(Debug)]
pub struct Bed {
    nodes: Vec<Arc<Node>>,
    ranks: Vec<Rank>,
    runtime: Arc<dyn Runtime>,
}

impl Bed {
    /// Processes with so many ranks each, linked over `wire`.
    pub fn new(wire: &dyn Wire, processes: &[usize]) -> Self {
        Self::with(wire, processes, &Settings::default())
    }

    /// As [`new`](Self::new), with bounds of its own.
    pub fn with(wire: &dyn Wire, processes: &[usize], settings: &Settings) -> Self {
        let nodes = wire.nodes(processes, settings);
        let mut ranks: Vec<_> = nodes
            .iter()
            .flat_map(|node| node.local_ranks().filter_map(|rank| node.endpoint(rank)))
            .map(Rank)
            .collect();
        ranks.sort_by_key(|rank| rank.rank());
        let size: usize = processes.iter().sum();
        assert_eq!(ranks.len(), size, "the wire makes other ranks than it was asked for");
        let group: Arc<[u32]> = (0..size as u32).collect();
        for rank in &ranks {
            rank.open(SCOPE, Arc::clone(&group));
        }
        Self { nodes, ranks, runtime: wire.runtime() }
    }

    /// A rank.
    pub fn rank(&self, rank: usize) -> &Rank {
        &self.ranks[rank]
    }

    /// All ranks.
    pub fn ranks(&self) -> &[Rank] {
        &self.ranks
    }

    /// The process that hosts a rank.
    pub fn node(&self, rank: usize) -> &Arc<Node> {
        let hosts = |node: &&Arc<Node>| node.local_ranks().any(|local| local == rank as u32);
        self.nodes.iter().find(hosts).expect("every rank has a process")
    }

    /// Runs a future for each rank, each on a task of its own, and returns what they return.
    ///
    /// # Panics
    /// When one panics, or has not ended when patience has.
    pub async fn each<F, Fut>(&self, life: F) -> Vec<Fut::Output>
    where
        F: Fn(Rank) -> Fut,
        Fut: Future<Output: Send> + Send + 'static,
    {
        let hang: Vec<_> = self.ranks.iter().map(|_| Arc::new(AtomicBool::new(true))).collect();
        let ends = self.ranks.iter().map(|rank| {
            let (send, end) = oneshot::channel();
            let life = AssertUnwindSafe(life(rank.clone())).catch_unwind();
            self.runtime.spawn(Box::pin(async move {
                let _ = send.send(life.await);
            }));
            let hangs = Arc::clone(&hang[rank.rank() as usize]);
            async move {
                let end = end.await.expect("the runtime runs all tasks");
                hangs.store(false, Ordering::Relaxed);
                end
            }
        });
        match patient(&*self.runtime, try_join_all(ends)).await {
            Some(Ok(values)) => values,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => {
                let hang = (0..hang.len()).filter(|rank| hang[*rank].load(Ordering::Relaxed));
                panic!("ranks {:?} hang\n{}", hang.collect::<Vec<_>>(), self.state());
            }
        }
    }

    /// Waits for a future that needs no task of its own.
    ///
    /// # Panics
    /// When it has not ended when patience has.
    pub async fn bounded<T>(&self, what: &str, future: impl Future<Output = T>) -> T {
        match patient(&*self.runtime, future).await {
            Some(value) => value,
            None => panic!("{what} hangs\n{}", self.state()),
        }
    }

    /// Waits until `done`, which the test cannot be told of otherwise.
    ///
    /// # Panics
    /// When it is not when patience ends.
    pub async fn until(&self, what: &str, done: impl Fn() -> bool) {
        self.bounded(what, async {
            while !done() {
                self.runtime.sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    /// Links and what is not flushed, for the report of a test that hangs.
    fn state(&self) -> String {
        let mut text = String::new();
        for rank in &self.ranks {
            let number = rank.rank();
            text += &format!("rank {number}: not flushed {:?}, links", rank.flush().behind());
            let node = self.node(number as usize);
            for other in 0..self.ranks.len() as u32 {
                let Some(peer) = node.route(other) else { continue };
                let link = peer.link().map_or_else(
                    || format!("none {:?}", peer.attempts()),
                    |link| format!("{} {:?}", link.channel(), link.room()),
                );
                text += &format!(" {other}:{link}");
            }
            text.push('\n');
        }
        text
    }
}

impl Drop for Bed {
    /// Closes the processes: one whose ranks talk to each other holds itself.
    fn drop(&mut self) {
        self.nodes.iter().for_each(|node| node.close());
    }
}

/// A rank as the tests use it.
#[derive(Debug, Clone)]
pub struct Rank(Endpoint);

impl Deref for Rank {
    type Target = Endpoint;
    fn deref(&self) -> &Endpoint {
        &self.0
    }
}

/// What a rank got.
#[derive(Debug)]
pub struct Got {
    /// From whom.
    pub source: u32,
    /// Its tag.
    pub tag: u32,
    /// Its content.
    pub payload: Payload,
}

impl Rank {
    /// Sends bytes.
    pub fn post(&self, to: u32, tag: u32, bytes: Vec<u8>) -> SendFuture {
        self.post_as(to, tag, Payload::from_vec(bytes), Datatype::BYTES, false)
    }

    /// Sends bytes and waits for the match.
    pub fn post_sync(&self, to: u32, tag: u32, bytes: Vec<u8>) -> SendFuture {
        self.post_as(to, tag, Payload::from_vec(bytes), Datatype::BYTES, true)
    }

    /// Sends anything.
    pub fn post_as(
        &self,
        to: u32,
        tag: u32,
        payload: Payload,
        of: Datatype,
        sync: bool,
    ) -> SendFuture {
        self.0.send(Space::messages(SCOPE), to, tag, of, payload, sync)
    }

    /// Posts a receive; `None` takes any.
    pub fn take(&self, from: Option<u32>, tag: Option<u32>) -> RecvFuture {
        self.0.recv(Space::messages(SCOPE), Filter { source: from, tag })
    }

    /// Receives.
    ///
    /// # Panics
    /// When that fails.
    pub async fn get(&self, from: impl Into<Option<u32>>, tag: impl Into<Option<u32>>) -> Got {
        let arrival = self.take(from.into(), tag.into()).await;
        opened(arrival.unwrap_or_else(|failure| panic!("rank {}: {failure:?}", self.rank())))
    }

    /// Receives what must fail.
    ///
    /// # Panics
    /// When it does not.
    pub async fn refused(&self, from: impl Into<Option<u32>>) -> Failure {
        self.take(from.into(), None).await.expect_err("nobody can have sent this")
    }

    /// Sends and waits until it is in the outbox.
    ///
    /// # Panics
    /// When that fails.
    pub async fn put(&self, to: u32, tag: u32, bytes: Vec<u8>) {
        let sent = self.post(to, tag, bytes).await;
        sent.unwrap_or_else(|failure| panic!("rank {}: {failure:?}", self.rank()));
    }

    /// Waits until all has arrived.
    ///
    /// # Panics
    /// When a peer is gone before.
    pub async fn flushed(&self) {
        let flushed = self.flush().await;
        flushed.unwrap_or_else(|lost| panic!("rank {}: {lost:?}", self.rank()));
    }

    /// The source, tag and length of a message that waits.
    pub fn waits(&self, from: Option<u32>, tag: Option<u32>) -> Option<(u32, u32, u64)> {
        let envelope = self.peek(Space::messages(SCOPE), Filter { source: from, tag })?;
        Some((envelope.source, envelope.tag, envelope.total))
    }
}

fn opened(arrival: Arrival) -> Got {
    let Arrival { source, tag, body, .. } = arrival;
    match body {
        Body::Here(payload) => Got { source, tag, payload },
        _ => panic!("a receive ended without its payload"),
    }
}

/// Bytes that can be told from those of every other seed and from themselves moved.
fn letter(seed: u64, len: usize) -> Vec<u8> {
    let words: Vec<u64> = (0..len.div_ceil(8) as u64).map(|index| word(seed, index)).collect();
    bytemuck::cast_slice(&words)[..len].to_vec()
}

/// Compares with [`letter`], and says where it differs instead of printing megabytes.
fn check(payload: &Payload, seed: u64, len: usize) {
    let bytes = payload.bytes().expect("bytes were sent");
    assert_eq!(bytes.len(), len, "length of message {seed}");
    let expected = letter(seed, len);
    if bytes != expected {
        let at = bytes.iter().zip(&expected).position(|(got, sent)| got != sent);
        panic!("message {seed} of {len} bytes differs from byte {at:?} on");
    }
}

fn word(seed: u64, index: u64) -> u64 {
    let mixed =
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ index.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 29)
}

/// Polls once: whether a future is ready now.
async fn ready_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    futures::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
