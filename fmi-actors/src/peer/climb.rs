//! Trying the ways to a process side by side: the first that works carries its frames, and a
//! better one that works later takes over.

use super::{Peer, PeerAttempt};
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
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// What an ascent came to.
#[derive(Debug, Default)]
pub(super) struct Ascent {
    /// How it went, way by way, for people.
    pub(super) tried: Vec<String>,
    /// None of the ways will ever lead there.
    pub(super) fatal: bool,
}

/// An attempt that is under way.
struct Climber {
    rung: Rung,
    name: String,
    quality: u16,
    begun: Time,
    attempt: BoxFuture<'static, Option<Result<(), DialError>>>,
}

/// Tries all ways that are better than the link there is, each when its turn comes or when
/// nothing better is under way any more. Ends when none is left, which may be long after the
/// first has succeeded.
pub(super) async fn climb(peer: &Arc<Peer>, node: &Arc<Node>, patience: Duration) -> Ascent {
    let start = node.now();
    let mut ways = node.ways_to(peer.member());
    ways.sort_by_key(|(quality, way)| (way.after, std::cmp::Reverse(*quality)));
    let mut ascent = Ascent { tried: Vec::new(), fatal: true };
    let mut ways: VecDeque<(u16, Way)> = ways.into();
    let mut climbers: Vec<Climber> = Vec::new();
    loop {
        let have = peer.quality();
        if have.is_some() || peer.is_gone() || node.is_closing() {
            ascent.fatal = false;
        }
        if peer.is_gone() || node.is_closing() {
            return ascent;
        }
        ways.retain(|(quality, _)| Some(*quality) > have);
        climbers.retain(|climber| peer.may_outrank(climber.quality));
        while let Some((_, way)) = ways.front()
            && (climbers.is_empty() || node.now().since(start) >= way.after)
            && let Some((quality, way)) = ways.pop_front()
        {
            let left = patience.saturating_sub(node.now().since(start));
            let keeper = Arc::clone(node.keeper());
            let dialled = (way.dial)(quality);
            climbers.push(Climber {
                rung: way.rung,
                name: way.name,
                quality,
                begun: node.now(),
                attempt: Box::pin(async move { within(&*keeper, left, dialled).await }),
            });
        }
        if climbers.is_empty() {
            return ascent;
        }
        let turn = ways.front().map(|(_, way)| way.after.saturating_sub(node.now().since(start)));
        let mut turn = turn.map(|span| node.keeper().sleep(span));
        let over = poll_fn(|context| {
            peer.dialler.register(context.waker());
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
        if let Err(reason) = &outcome {
            ascent.tried.push(format!("{}: {reason}", climber.name));
        }
        let Climber { rung, name: way, .. } = climber;
        peer.note_attempt(PeerAttempt { rung, way, outcome });
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
