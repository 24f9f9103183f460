//! Does what the machine of one pair of processes says, until it says nothing.

use super::{
    super::begin::{Greeted, attach, tune},
    Pairing, Puncher,
    shots::{Fired, Landed, Lane, Shots},
};
use crate::{
    greeting,
    punch::{Action, Failure, Sight, schedule::PAIRS},
};
use fmi_actors::{
    Node,
    channel::{DialError, Link, Rung},
    clock::Time,
};
use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Weak, atomic::Ordering},
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc},
    time::sleep,
};

/// Connections of one pair that may be in their greeting at once.
const MAX_GREETINGS: usize = 32;

/// Drives one [`Pairing`].
pub(super) struct Drive {
    puncher: Arc<Puncher>,
    node: Weak<Node>,
    pairing: Arc<Pairing>,
    shots: Shots,
    fired: (mpsc::Sender<Fired>, mpsc::Receiver<Fired>),
    looked: (mpsc::Sender<Sight>, mpsc::Receiver<Sight>),
    spares: usize,
    greetings: Arc<Semaphore>,
    /// The link that there was at first.
    before: Option<Arc<dyn Link>>,
}

/// What the driver waits for.
enum Event {
    Landed(Lane, Landed),
    Fired(Fired),
    Looked(Sight),
    /// Notes, or time.
    Other,
}

impl Drive {
    pub(super) fn new(puncher: &Arc<Puncher>, node: &Arc<Node>, pairing: &Arc<Pairing>) -> Self {
        let peer = node.peer(pairing.process);
        Self {
            puncher: Arc::clone(puncher),
            node: Arc::downgrade(node),
            pairing: Arc::clone(pairing),
            shots: Shots::new(puncher.eye.port()),
            fired: mpsc::channel(4 * PAIRS),
            looked: mpsc::channel(4),
            spares: 0,
            greetings: Arc::new(Semaphore::new(MAX_GREETINGS)),
            before: peer.and_then(|peer| peer.link()),
        }
    }

    /// Runs until no attempt is under way.
    pub(super) async fn run(mut self) {
        loop {
            let Some(timer) = self.step() else {
                if self.rest() {
                    return;
                }
                continue;
            };
            match self.next(timer).await {
                Event::Landed(lane, landed) => self.on_landed(lane, landed),
                Event::Fired(fired) => {
                    if let Some((lane, landed)) = self.shots.watch(fired) {
                        self.on_landed(lane, landed);
                    }
                }
                Event::Looked(sight) => self.on_look(sight),
                Event::Other => {}
            }
        }
    }

    /// Does all there is to do now; when there will be more, if ever.
    fn step(&mut self) -> Option<Time> {
        let node = self.node.upgrade().filter(|node| !node.is_closing())?;
        if self.puncher.stopped.load(Ordering::Acquire) {
            return None;
        }
        let now = node.now();
        {
            let mut punch = self.pairing.punch.lock();
            if self.is_linked(&node, punch.is_ceased()) {
                punch.linked(now);
            }
            if punch.timer() <= now {
                punch.tick(now);
            }
        }
        loop {
            let action = self.pairing.punch.lock().poll();
            if let Some(action) = &action {
                tracing::trace!(process = self.pairing.process, at = now.0, %action, "punching");
            }
            match action {
                Some(Action::Look { spares }) => self.look(spares),
                Some(Action::Tell(note)) => {
                    node.tell(self.pairing.process, self.puncher.terms.channel, note);
                }
                Some(Action::Fire(shots)) => {
                    let now = node.now();
                    if shots.iter().any(|shot| shot.at > now) {
                        self.shots.volley(shots, self.fired.0.clone());
                        continue;
                    }
                    for shot in shots {
                        if let Some((lane, landed)) = self.shots.fire(shot) {
                            self.on_landed(lane, landed);
                        }
                    }
                }
                // Only datagrams are answered by a dial.
                Some(Action::Dial(_)) => {}
                Some(Action::Over(outcome)) => self.over(outcome),
                None => break,
            }
        }
        let punch = self.pairing.punch.lock();
        punch.is_busy().then(|| punch.timer())
    }

    /// Nothing is under way any more. False if something has come in between.
    fn rest(&mut self) -> bool {
        self.shots.clear();
        let ended = self.node.upgrade().is_none_or(|node| node.is_closing())
            || self.puncher.stopped.load(Ordering::Acquire);
        if ended {
            self.pairing.waiting.lock().clear();
        }
        self.pairing.running.store(false, Ordering::Release);
        let busy = self.pairing.punch.lock().is_busy();
        if busy && !ended && !self.pairing.running.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.puncher.busy.fetch_sub(1, Ordering::AcqRel);
        true
    }

    async fn next(&mut self, timer: Time) -> Event {
        let (shots, fired, looked) = (&mut self.shots, &mut self.fired.1, &mut self.looked.1);
        let wait = timer.since(fmi_actors::now());
        let mut timer = pin!(sleep(wait));
        let mut news = pin!(self.pairing.news.notified());
        poll_fn(|context| {
            if let std::task::Poll::Ready((lane, landed)) = shots.poll(context) {
                return std::task::Poll::Ready(Event::Landed(lane, landed));
            }
            if let std::task::Poll::Ready(Some(shot)) = fired.poll_recv(context) {
                return std::task::Poll::Ready(Event::Fired(shot));
            }
            if let std::task::Poll::Ready(Some(sight)) = looked.poll_recv(context) {
                return std::task::Poll::Ready(Event::Looked(sight));
            }
            if news.as_mut().poll(context).is_ready() || timer.as_mut().poll(context).is_ready() {
                return std::task::Poll::Ready(Event::Other);
            }
            std::task::Poll::Pending
        })
        .await
    }

    fn look(&mut self, spares: usize) {
        self.spares = spares;
        if let Some(sight) = self.puncher.eye.known() {
            return self.on_look(sight);
        }
        let (puncher, looked) = (Arc::clone(&self.puncher), self.looked.0.clone());
        actix_rt::spawn(async move {
            let _ = looked.try_send(puncher.eye.look().await);
        });
    }

    fn on_look(&mut self, mut sight: Sight) {
        let Some(node) = self.node.upgrade() else { return };
        let spares = self.puncher.eye.spares(self.spares);
        sight.spares = spares.iter().map(|(port, _)| *port).collect();
        self.shots.spares = spares.into_iter().collect();
        self.pairing.punch.lock().seen(node.now(), &sight);
    }

    fn on_landed(&mut self, lane: Lane, landed: Landed) {
        let Some(node) = self.node.upgrade() else { return };
        let (port, to) = lane;
        match landed {
            Landed::Connected(stream) => {
                self.pairing.punch.lock().connected(node.now(), port, to);
                self.greet(stream, to);
            }
            Landed::Refused => self.pairing.punch.lock().refused(node.now(), port, to),
            Landed::Taken => self.pairing.punch.lock().taken(node.now(), port, to),
            Landed::Lost => {}
        }
    }

    fn over(&mut self, outcome: Result<(), Failure>) {
        let process = self.pairing.process;
        match outcome {
            Ok(()) => tracing::debug!(process, "punched"),
            Err(failure) => tracing::debug!(process, %failure, "not punched"),
        }
        self.shots.clear();
        for told in self.pairing.waiting.lock().drain(..) {
            let _ = told.send(outcome);
        }
    }

    fn greet(&self, stream: TcpStream, to: SocketAddr) {
        let Ok(permit) = Arc::clone(&self.greetings).try_acquire_owned() else { return };
        let Some(node) = self.node.upgrade() else { return };
        let (puncher, pairing) = (Arc::clone(&self.puncher), Arc::clone(&self.pairing));
        actix_rt::spawn(async move {
            let _permit = permit;
            match greet(stream, &node, &puncher, &pairing, to).await {
                Ok(()) => pairing.punch.lock().linked(node.now()),
                Err(error) => tracing::debug!(%to, %error, "a punched connection came to nothing"),
            }
            pairing.news.notify_one();
        });
    }

    /// Whether a link has come up since that is as good as a punched one; `any` if the one that
    /// there was at first will do, too.
    fn is_linked(&self, node: &Arc<Node>, any: bool) -> bool {
        let link = node.peer(self.pairing.process).and_then(|peer| peer.link());
        link.is_some_and(|link| {
            let new = any || self.before.as_ref().is_none_or(|before| !Arc::ptr_eq(before, &link));
            new && link.rung() >= Rung::Punched
        })
    }
}

async fn greet(
    mut stream: TcpStream,
    node: &Arc<Node>,
    puncher: &Puncher,
    pairing: &Pairing,
    to: SocketAddr,
) -> Result<(), DialError> {
    tune(&stream, node).map_err(DialError::soft)?;
    let quality = node.quality(puncher.terms.channel, Rung::Punched);
    let quality = quality.ok_or_else(|| DialError::soft("punched links are not wanted"))?;
    let (process, at) = (pairing.process, to.to_string());
    let terms = &puncher.terms;
    let bound = (quality, terms.protection.word());
    let turns = &pairing.turns;
    let met = greeting::meet(&mut stream, node, process, &terms.token, bound, turns, &at).await?;
    let (role, process, rank) = (met.role, met.process, met.rank);
    let greeted = Greeted { role, process, rank, rung: Rung::Punched };
    let attached = attach(stream, node, greeted, terms, &at);
    match met.turn {
        Some(turn) => turn.end(attached).await,
        None => attached.await.map_err(DialError::soft),
    }
}
