//! The state machine of one pair of processes.

use super::{
    ATTEMPT, Action, Datagram, Failure, Shot, Sight, Wire,
    attempt::{Attempt, Stage, nanos},
    datagram::datagram,
    note::{Body, Id, Note, Offer, micros, span},
    schedule,
    sight::outlook,
};
use fmi_actors::clock::Time;
use std::{collections::VecDeque, net::SocketAddr, time::Duration};

/// Calls of one attempt that are answered.
const MAX_ANSWERS: u8 = 2 * schedule::ROUNDS;
/// How long after an answer's estimated arrival the shots of a volley begin.
const MARGIN: Duration = Duration::from_millis(2);

/// Hole punching with one other process. See the [module](super).
#[derive(Debug)]
pub struct Punch {
    wire: Wire,
    own: u32,
    peer: u32,
    attempt: Option<Attempt>,
    /// Somebody here waits for a link.
    wanted: Option<Wanted>,
    /// Number of the last call made here.
    called: u64,
    /// Greatest number of a call of the other side that was answered or is known to be over.
    answered: u64,
    /// How the last attempt ended, for an other side that does not know yet.
    ended: Option<(Id, Failure)>,
    /// Our shots have been refused: the other's translation refuses.
    refused: bool,
    /// There was a link: this system, or what lies between, may remember its ports for minutes.
    worn: bool,
    actions: VecDeque<Action>,
}

/// What was asked of [`Punch::call`].
#[derive(Debug, Clone, Copy)]
struct Wanted {
    until: Time,
    cookie: u64,
    expected: Option<SocketAddr>,
}

impl Punch {
    /// Between process `own` and process `peer` of a job.
    #[must_use]
    pub fn new(wire: Wire, own: u32, peer: u32) -> Self {
        Self {
            wire,
            own,
            peer,
            attempt: None,
            wanted: None,
            called: 0,
            answered: 0,
            ended: None,
            refused: false,
            worn: false,
            actions: VecDeque::new(),
        }
    }

    /// A link is wanted. It ends with [`Action::Over`]. `cookie` is random; `expected` is where
    /// the other side is likely to be seen: it is fired at without waiting for the answer, so
    /// that the answerer's first shot finds the way open.
    pub fn call(&mut self, now: Time, cookie: u64, expected: Option<SocketAddr>) {
        self.wanted = Some(Wanted { until: now + ATTEMPT, cookie, expected });
        // An attempt that is under way will do, but not one that ended with a link elsewhere: that
        // may have died since.
        if self.attempt.as_ref().is_none_or(|attempt| attempt.ceased) {
            self.begin(now);
        }
    }

    /// How this side is seen, after [`Action::Look`].
    pub fn seen(&mut self, now: Time, sight: &Sight) {
        let Some(attempt) = &mut self.attempt else { return };
        if !attempt.seen(sight) {
            return;
        }
        if !attempt.ours {
            return self.answer(now);
        }
        let expected = self.wanted.and_then(|wanted| wanted.expected);
        let plain = attempt.round == 0 && self.wire == Wire::Tcp && !self.refused;
        if plain && !attempt.has_fresh() {
            attempt.guess(now, expected);
        }
        self.tell_call(now);
        self.fire(now);
    }

    /// The other side has sent a note.
    pub fn told(&mut self, now: Time, note: &[u8]) {
        let Some(Note { id, body }) = Note::decode(note) else { return };
        match body {
            Body::Call { offer, fired, sent } => self.on_call(now, id, offer, (fired, sent)),
            Body::Ready { offer, sent, held, wait, called } => {
                self.answered = self.answered.max(called);
                if self.is_ours(id) {
                    self.on_ready(now, offer, sent, (span(held), span(wait)));
                } else {
                    self.disown(id);
                }
            }
            Body::Refused { round } => {
                if self.is_ours(id) {
                    self.on_refused(now, round);
                } else {
                    self.disown(id);
                }
            }
            Body::Over(failure) => self.on_over(now, id, failure),
        }
    }

    /// Tcp: a shot from `port` at `to` was refused by something on the way or at the end of it.
    pub fn refused(&mut self, now: Time, port: u16, to: SocketAddr) {
        let Some(attempt) = &mut self.attempt else { return };
        if !attempt.refused(port, to) {
            return;
        }
        self.refused = true;
        self.change_ports(now);
    }

    /// Tcp: a shot from `port` at `to` cannot leave: this system remembers a connection between the
    /// two.
    pub fn taken(&mut self, now: Time, port: u16, to: SocketAddr) {
        let Some(attempt) = &mut self.attempt else { return };
        if !attempt.taken(now, port, to) {
            return;
        }
        self.worn = true;
        // What else is fired may do.
        if !attempt.has_lanes() {
            self.change_ports(now);
        }
    }

    /// Tcp: a shot from `port` at `to` has become a connection, which is greeted now.
    pub fn connected(&mut self, now: Time, port: u16, to: SocketAddr) {
        if let Some(attempt) = &mut self.attempt {
            attempt.connected(now, port, to);
        }
    }

    /// Udp: a [`Datagram`] of this attempt came from this address.
    pub fn heard(&mut self, now: Time, from: SocketAddr) {
        let Some(attempt) = &mut self.attempt else { return };
        if attempt.heard(now, from) && self.own < self.peer {
            self.actions.push_back(Action::Dial(from));
        }
        self.fire(now);
    }

    /// There is a link as good as what is wanted here, however it has come about.
    pub fn linked(&mut self, now: Time) {
        self.worn = true;
        let Some(attempt) = &self.attempt else { return };
        if attempt.ours && !matches!(attempt.stage, Stage::Firing) {
            // Without this it would answer and fire for nothing.
            self.tell(attempt.id, Body::Over(Failure::Linked));
        }
        self.finish(now, Ok(()));
    }

    /// No link is wanted any more.
    pub fn withdraw(&mut self, now: Time) {
        self.wanted = None;
        if let Some(attempt) = &self.attempt {
            self.tell(attempt.id, Body::Over(Failure::Withdrawn));
            self.finish(now, Err(Failure::Withdrawn));
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Time) {
        let Some(attempt) = &mut self.attempt else { return };
        if now >= attempt.until {
            if attempt.ceased {
                return self.finish(now, Err(Failure::Linked));
            }
            let (id, failure) = (attempt.id, attempt.failure(self.refused));
            self.tell(id, Body::Over(failure));
            return self.finish(now, Err(failure));
        }
        if attempt.is_round_due(now) {
            let spares = spares(attempt.round, false);
            self.actions.push_back(Action::Look { spares });
        } else if matches!(attempt.stage, Stage::Calling { again, .. } if again <= now) {
            self.tell_call(now);
        }
        self.fire(now);
    }

    /// When [`tick`](Self::tick) is to be called, at the latest.
    #[must_use]
    pub fn timer(&self) -> Time {
        self.attempt.as_ref().map_or(Time::NEVER, Attempt::timer)
    }

    /// What to do next, if anything.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether an attempt is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.attempt.is_some()
    }

    /// Whether all that is awaited is the link that the other side says it has.
    #[must_use]
    pub fn is_ceased(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.ceased)
    }

    /// What all datagrams of this attempt have in common, and no others.
    #[must_use]
    pub fn cookie(&self) -> Option<u64> {
        self.attempt.as_ref().map(|attempt| attempt.id.cookie)
    }

    /// What is fired over UDP in this attempt.
    #[must_use]
    pub fn datagram(&self) -> Option<Datagram> {
        self.cookie().map(datagram)
    }

    /// Begins an attempt of our own.
    fn begin(&mut self, now: Time) {
        let Some(wanted) = self.wanted else { return };
        self.called = (self.called + 1).max(now.0);
        let id = Id { number: self.called, cookie: wanted.cookie };
        self.attempt = Some(Attempt::new(id, true, wanted.until));
        let fresh = self.worn && self.wire == Wire::Tcp && !self.refused;
        self.actions.push_back(Action::Look { spares: spares(0, fresh) });
    }

    /// The ports of this round will not do: the caller plans a round from others, the answerer asks
    /// for one, once.
    fn change_ports(&mut self, now: Time) {
        let Some(attempt) = &mut self.attempt else { return };
        if attempt.ours {
            attempt.plan_round(now, self.wire);
        } else if attempt.round == 0 && !std::mem::replace(&mut attempt.complained, true) {
            let (id, round) = (attempt.id, attempt.round);
            self.tell(id, Body::Refused { round });
        }
    }

    fn tell_call(&mut self, now: Time) {
        let refused = self.refused;
        let Some(attempt) = &mut self.attempt else { return };
        let Some(offer) = attempt.offer(refused) else { return };
        attempt.calling(now, refused);
        let fired = attempt.has_lanes();
        let id = attempt.id;
        self.tell(id, Body::Call { offer, fired, sent: now.0 });
    }

    fn on_call(&mut self, now: Time, id: Id, offer: Offer, how: (bool, u64)) {
        let ours_counts = self.own < self.peer;
        let spares = spares(offer.round, !offer.face.spares.is_empty());
        match &mut self.attempt {
            _ if id.number < self.answered => {}
            Some(attempt) if !attempt.ours && attempt.id == id => {
                let goes_on = !attempt.ceased && attempt.answers < MAX_ANSWERS;
                if goes_on && attempt.take_call(now, offer, how) {
                    self.actions.push_back(Action::Look { spares });
                }
            }
            _ if id.number == self.answered => {
                // It is over; the caller does not know.
                if let Some((ended, failure)) = self.ended
                    && ended == id
                {
                    self.tell(id, Body::Over(failure));
                }
            }
            Some(attempt) if attempt.ours && ours_counts && !attempt.ceased => {}
            _ => {
                self.answered = id.number;
                let mut attempt = Attempt::new(id, false, now + ATTEMPT);
                if let Some(old) = self.attempt.take() {
                    attempt.inherit(old);
                }
                attempt.take_call(now, offer, how);
                self.attempt = Some(attempt);
                self.actions.push_back(Action::Look { spares });
            }
        }
    }

    /// Answers the call that was waiting for a look.
    fn answer(&mut self, now: Time) {
        let (refused, called) = (self.refused, self.called);
        let Some(attempt) = &mut self.attempt else { return };
        let Some((offer, call)) = attempt.offer(refused).zip(attempt.call) else { return };
        let Some(theirs) = &attempt.theirs else { return };
        let id = attempt.id;
        match outlook(&offer.face, &theirs.face) {
            Ok(span) => attempt.limit(now, span),
            Err(failure) => {
                self.tell(id, Body::Over(failure));
                return self.finish(now, Err(failure));
            }
        }
        let round_trips = attempt.round_trips();
        let wait = match attempt.round {
            0 if call.fired => Duration::ZERO,
            0 => round_trips / 2,
            _ => round_trips + MARGIN,
        };
        attempt.answers += 1;
        attempt.said = refused;
        let shots = attempt.open_fire(now + wait, round_trips / 2);
        let (held, wait) = (micros(now - call.at), micros(wait));
        self.tell(id, Body::Ready { offer, sent: call.sent, held, wait, called });
        self.shoot(shots);
        self.fire(now);
    }

    fn on_ready(&mut self, now: Time, offer: Offer, sent: u64, how: (Duration, Duration)) {
        let Some(attempt) = &mut self.attempt else { return };
        let (held, wait) = how;
        if !attempt.take_answer(&offer) {
            return;
        }
        let id = attempt.id;
        let Some(ours) = attempt.offer(false) else { return };
        match outlook(&ours.face, &offer.face) {
            Ok(span) => attempt.limit(now, span),
            Err(failure) => {
                self.tell(id, Body::Over(failure));
                return self.finish(now, Err(failure));
            }
        }
        // Half of the time that the notes were on their way.
        let measured = now.since(Time(sent)).saturating_sub(held) / 2;
        let known = Time(sent) >= attempt.begun_at() && Time(sent) <= now;
        let delay = if known { measured } else { attempt.round_trips() / 2 };
        attempt.theirs = Some(offer);
        let moment = match attempt.round {
            0 => now,
            _ => Time(now.0.saturating_sub(nanos(delay))) + wait,
        };
        let shots = attempt.open_fire(moment, delay);
        match self.refused {
            true => attempt.plan_round(now, self.wire),
            false => attempt.plan_for_silence(moment, self.wire),
        }
        self.shoot(shots);
        self.fire(now);
    }

    fn on_refused(&mut self, now: Time, round: u8) {
        let Some(attempt) = &mut self.attempt else { return };
        if round == attempt.round {
            attempt.refused_there = true;
            attempt.plan_round(now, self.wire);
        }
    }

    fn on_over(&mut self, now: Time, id: Id, failure: Failure) {
        match &mut self.attempt {
            Some(attempt) if attempt.id != id => {}
            // Our end of that link may be a moment behind.
            Some(attempt) if failure == Failure::Linked => attempt.cease(now),
            Some(_) => self.finish(now, Err(failure)),
            None => {}
        }
    }

    /// The other side goes on with an attempt of ours that is over.
    fn disown(&mut self, id: Id) {
        if id.number <= self.called {
            let failure = match self.ended {
                Some((ended, failure)) if ended == id => failure,
                _ => Failure::Withdrawn,
            };
            self.tell(id, Body::Over(failure));
        }
    }

    fn is_ours(&self, id: Id) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.ours && attempt.id == id)
    }

    fn finish(&mut self, now: Time, outcome: Result<(), Failure>) {
        let Some(attempt) = self.attempt.take() else { return };
        self.ended = Some((attempt.id, outcome.err().unwrap_or(Failure::Linked)));
        // The other side has dropped a call of its own that had displaced ours, or its link has died
        // before it was here.
        let displaced = match outcome {
            Err(Failure::Withdrawn) => !attempt.ours,
            Err(Failure::Linked) => true,
            _ => false,
        };
        if displaced && self.wanted.is_some_and(|wanted| now < wanted.until) {
            return self.begin(now);
        }
        self.wanted = None;
        self.actions.push_back(Action::Over(outcome));
    }

    fn tell(&mut self, id: Id, body: Body) {
        if let Some(note) = (Note { id, body }).encode() {
            self.actions.push_back(Action::Tell(note));
        }
    }

    /// Fires what is due of the plain schedule.
    fn fire(&mut self, now: Time) {
        if let Some(attempt) = &mut self.attempt {
            let shots = attempt.due(now, self.wire);
            self.shoot(shots);
        }
    }

    fn shoot(&mut self, shots: Vec<Shot>) {
        if !shots.is_empty() {
            self.actions.push_back(Action::Fire(shots));
        }
    }
}

/// How many ports are reserved for a round; `fresh` if the plain schedule, too, is to have some.
fn spares(round: u8, fresh: bool) -> usize {
    match round {
        0 if fresh => schedule::FRESH,
        0 => 0,
        _ => schedule::PAIRS,
    }
}
