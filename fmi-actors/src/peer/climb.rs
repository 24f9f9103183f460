//! Trying the ways to a process side by side: the first that works carries its frames, and a
//! better one that works later takes over.

use super::{FIRST_RETRY, Peer, PeerAttempt};
use crate::{
    Node,
    channel::{DialError, Rung, Way},
    clock::Time,
    keeper::within,
};
use futures::future::BoxFuture;
use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

/// What an ascent came to.
#[derive(Default)]
pub(super) struct Ascent {
    /// The ways that have failed, and why, for people.
    pub(super) tried: Vec<(String, String)>,
    /// None of the ways will ever lead there.
    pub(super) fatal: bool,
    /// There was a link, and it is gone again.
    pub(super) fell: bool,
    /// What was under way then. The other side may have closed the link for one of these, which it
    /// has already: to give that up would leave both with none.
    pub(super) left: Vec<Climber>,
}

/// A way that has failed waits this long before it is tried again beside the others; twice as
/// long each time.
const FIRST_AGAIN: Duration = Duration::from_millis(50);
const LAST_AGAIN: Duration = Duration::from_millis(500);
/// The start that memory gets before sockets, if there is some to share.
const MACHINE_FIRST: Duration = Duration::from_millis(100);

/// An attempt that is under way.
pub(super) struct Climber {
    way: Way,
    quality: u16,
    /// How long to wait should it fail.
    pause: Duration,
    begun: Time,
    attempt: BoxFuture<'static, Option<Result<(), DialError>>>,
}

/// Tries all ways that are better than the link there is, each when its turn comes or when
/// nothing better is under way any more. Ends when none is left, which may be long after the
/// first has succeeded, or when the link that there was is gone. While there is none, a way that
/// has failed is tried again as long as others are under way: one that gets no answer from a
/// wrong address takes all the time there is. `climbers` are what an ascent before this one has
/// left.
pub(super) async fn climb(
    peer: &Arc<Peer>,
    node: &Arc<Node>,
    patience: Duration,
    mut climbers: Vec<Climber>,
) -> Ascent {
    let start = node.now();
    // What is under way still gets a lead.
    let first = if climbers.is_empty() { start } else { start + FIRST_RETRY };
    let mut ways = node.ways_to(peer.member());
    if ways.iter().any(|(_, way)| way.rung == Rung::Machine) {
        // A link inside the machine comes up at once or not at all; then the others are tried.
        for (_, way) in ways.iter_mut().filter(|(_, way)| way.rung != Rung::Machine) {
            way.after += MACHINE_FIRST;
        }
    }
    ways.sort_by_key(|(quality, way)| (way.after, std::cmp::Reverse(*quality)));
    let mut ascent = Ascent { fatal: true, ..Ascent::default() };
    let mut ways: VecDeque<(u16, Way)> = ways.into();
    let mut again: Vec<(Time, Climber)> = Vec::new();
    let (generation, mut linked) = (peer.generation.load(Ordering::Acquire), false);
    loop {
        let have = peer.quality();
        linked |= have.is_some() || peer.generation.load(Ordering::Acquire) != generation;
        if linked && have.is_none() {
            return Ascent { fatal: false, fell: true, left: climbers, ..ascent };
        }
        if have.is_some() || peer.is_gone() || node.is_closing() {
            ascent.fatal = false;
        }
        if peer.is_gone() || node.is_closing() {
            return ascent;
        }
        ways.retain(|(quality, _)| Some(*quality) > have);
        climbers.retain(|climber| peer.may_outrank(climber.quality));
        while let Some((_, way)) = ways.front()
            && (climbers.is_empty() || node.now() >= first + way.after)
            && let Some((quality, way)) = ways.pop_front()
        {
            let left = patience.saturating_sub(node.now().since(start));
            climbers.push(Climber::begin(node, (way, quality), left, FIRST_AGAIN));
        }
        if climbers.is_empty() {
            return ascent;
        }
        let now = node.now();
        again.retain(|(_, climber)| Some(climber.quality) > have);
        while let Some(at) = again.iter().position(|(due, _)| *due <= now) {
            let Climber { way, quality, pause, .. } = again.swap_remove(at).1;
            let left = patience.saturating_sub(now.since(start));
            climbers.push(Climber::begin(node, (way, quality), left, (pause * 2).min(LAST_AGAIN)));
        }
        let turn = ways.front().map(|(_, way)| (first + way.after).since(now));
        let due = again.iter().map(|(due, _)| due.since(now)).min();
        let turn = turn.into_iter().chain(due).min();
        let mut turn = turn.map(|span| node.keeper().sleep(span));
        let over = poll_fn(|context| {
            peer.watch(context.waker());
            if peer.quality() != have || peer.is_gone() {
                return Poll::Ready(None);
            }
            if let Some(over) = poll_climbers(&mut climbers, context) {
                return Poll::Ready(Some(over));
            }
            match turn.as_mut().map(|turn| turn.as_mut().poll(context)) {
                Some(Poll::Ready(())) => Poll::Ready(None),
                _ => Poll::Pending,
            }
        });
        let Some((climber, outcome)) = over.await else { continue };
        let answered = outcome.is_some();
        let soft = matches!(&outcome, Some(Err(error)) if !error.fatal);
        let outcome = match outcome {
            Some(Ok(())) => Ok(node.now().since(climber.begun)),
            Some(Err(error)) => {
                ascent.fatal &= error.fatal;
                Err(error.reason)
            }
            None => {
                ascent.fatal = false;
                Err("no answer".to_owned())
            }
        };
        let (rung, way) = (climber.way.rung, climber.way.name.clone());
        if let Err(reason) = &outcome {
            let known = ascent.tried.iter().position(|(other, _)| *other == way);
            match known {
                None => ascent.tried.push((way.clone(), reason.clone())),
                Some(at) if answered => ascent.tried[at].1.clone_from(reason),
                // That time ran out says less than why it failed before.
                Some(_) => {}
            }
        }
        if soft && have.is_none() && node.now().since(start) < patience {
            again.push((node.now() + climber.pause, climber));
        }
        peer.note_attempt(PeerAttempt { rung, way, outcome });
    }
}

impl Climber {
    fn begin(
        node: &Arc<Node>,
        (way, quality): (Way, u16),
        left: Duration,
        pause: Duration,
    ) -> Self {
        let (keeper, dialled) = (Arc::clone(node.keeper()), (way.dial)(quality));
        let attempt = Box::pin(async move { within(&*keeper, left, dialled).await });
        Self { way, quality, pause, begun: node.now(), attempt }
    }
}

/// The first attempt that is over.
fn poll_climbers(
    climbers: &mut Vec<Climber>,
    context: &mut Context<'_>,
) -> Option<(Climber, Option<Result<(), DialError>>)> {
    for at in 0..climbers.len() {
        if let Poll::Ready(outcome) = climbers[at].attempt.as_mut().poll(context) {
            return Some((climbers.swap_remove(at), outcome));
        }
    }
    None
}
