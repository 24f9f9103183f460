//! One attempt: who has said what, and what is fired.

use super::{
    Failure, Shot, Sight, Wire,
    note::{Id, Offer, micros},
    schedule,
    sight::{Face, Mapping},
};
use fmi_actors::clock::Time;
use std::{net::SocketAddr, time::Duration};

/// A call that is not answered within this is repeated.
const REPEAT: Duration = Duration::from_millis(150);
/// So long a round that is not refused may go without success before other ports are tried.
const SILENCE: Duration = Duration::from_millis(600);
/// Until the other side, too, has noticed that its shots are refused.
const PAUSE: Duration = Duration::from_millis(2);
/// Until a volley has failed.
const SETTLE: Duration = Duration::from_millis(10);
/// What the next pair of ports waits for the one before, besides the round trips.
const STAGGER: Duration = Duration::from_millis(5);
/// How long no round is begun for a connection that stands, besides the round trips: it has to be
/// greeted.
const GRACE: Duration = Duration::from_millis(200);
/// What one side says that it has may take this long to be here, besides the round trips.
const BEHIND: Duration = Duration::from_millis(300);
/// Addresses that are fired at.
const MAX_LANES: usize = 16;
/// Addresses from which datagrams are believed to come.
const MAX_HEARD: usize = 4;

#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) id: Id,
    /// We are the caller.
    pub(super) ours: bool,
    /// It fails then.
    pub(super) until: Time,
    pub(super) round: u8,
    pub(super) stage: Stage,
    pub(super) theirs: Option<Offer>,
    /// The call to be answered, or that was answered last.
    pub(super) call: Option<Call>,
    pub(super) answers: u8,
    /// What we have said in this round of our shots having been refused.
    pub(super) said: bool,
    /// The other side's shots are refused: our translation refuses.
    pub(super) refused_there: bool,
    /// The caller knows that ours are.
    pub(super) complained: bool,
    ours_seen: Option<(Face, Duration)>,
    first_call: Option<Time>,
    lanes: Vec<Lane>,
    /// Shots of this round's volley that are not known to be refused.
    volley: Vec<(u16, SocketAddr)>,
    next_round: Option<Time>,
    heard: Vec<SocketAddr>,
    /// It was known not to be likely.
    slim: bool,
    /// The other side has said that it has a link: nothing is fired any more.
    pub(super) ceased: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A look is under way.
    Looking,
    /// The call has been sent.
    Calling { again: Time, pause: Duration },
    /// Both have said where they are.
    Firing,
}

/// How a call came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) at: Time,
    pub(super) fired: bool,
    pub(super) sent: u64,
}

/// A pair of ports that is fired at again and again.
#[derive(Debug)]
struct Lane {
    port: u16,
    to: SocketAddr,
    shots: u32,
    next: Time,
    /// It leads through what lies between, not beside it.
    outside: bool,
    /// From a port that was reserved for it, at one that was.
    fresh: bool,
    /// A connection stands, or has stood, which is greeted until then.
    greeted: Time,
}

impl Lane {
    fn new((port, to): (u16, SocketAddr), next: Time, outside: bool, fresh: bool) -> Self {
        Self { port, to, shots: 0, next, outside, fresh, greeted: Time(0) }
    }
}

impl Attempt {
    pub(super) fn new(id: Id, ours: bool, until: Time) -> Self {
        Self {
            id,
            ours,
            until,
            round: 0,
            stage: Stage::Looking,
            theirs: None,
            call: None,
            answers: 0,
            said: false,
            refused_there: false,
            complained: false,
            ours_seen: None,
            first_call: None,
            lanes: Vec::new(),
            volley: Vec::new(),
            next_round: None,
            heard: Vec::new(),
            slim: false,
            ceased: false,
        }
    }

    /// Goes on with the shots of an attempt that this one displaces.
    pub(super) fn inherit(&mut self, old: Self) {
        self.lanes = old.lanes;
    }

    /// False if nobody has asked.
    pub(super) fn seen(&mut self, sight: &Sight) -> bool {
        let asked = self.stage == Stage::Looking;
        if asked {
            self.ours_seen = Some((Face::of(sight), sight.round_trip));
        }
        asked
    }

    /// Whether this side has ports to fire from that nobody remembers.
    pub(super) fn has_fresh(&self) -> bool {
        self.ours_seen.as_ref().is_some_and(|(face, _)| face.spare(0).is_some())
    }

    /// Fires at where the other side is likely to be, if it can know where we are.
    pub(super) fn guess(&mut self, now: Time, expected: Option<SocketAddr>) {
        let Some((face, _)) = &self.ours_seen else { return };
        let steady = matches!(face.mapping(), Mapping::Open | Mapping::Kept | Mapping::Stable);
        if let Some(to) = expected.filter(|_| steady && self.lanes.is_empty()) {
            let port = face.port;
            self.lanes.push(Lane::new((port, to), now, true, false));
        }
    }

    pub(super) fn offer(&self, refused: bool) -> Option<Offer> {
        let (face, round_trip) = self.ours_seen.clone()?;
        Some(Offer { round: self.round, face, round_trip: micros(round_trip), refused })
    }

    pub(super) fn calling(&mut self, now: Time, refused: bool) {
        let pause = match self.stage {
            Stage::Calling { pause, .. } => pause * 2,
            Stage::Looking | Stage::Firing => REPEAT + 2 * self.round_trips(),
        };
        self.stage = Stage::Calling { again: now + pause, pause };
        self.said = refused;
        self.first_call.get_or_insert(now);
    }

    pub(super) fn begun_at(&self) -> Time {
        self.first_call.unwrap_or(Time::NEVER)
    }

    /// The way from one to the other and back through the rendezvous: it cannot be much longer
    /// than that. What the other side says counts as far as it is known.
    pub(super) fn round_trips(&self) -> Duration {
        let ours = self.ours_seen.as_ref().map_or(Duration::ZERO, |(_, round_trip)| *round_trip);
        ours + self.theirs.as_ref().map_or(ours, Offer::round_trip)
    }

    /// True if a look is needed to answer.
    pub(super) fn take_call(&mut self, now: Time, offer: Offer, how: (bool, u64)) -> bool {
        if offer.round < self.round || offer.round > schedule::ROUNDS {
            return false;
        }
        let looking = self.stage == Stage::Looking && self.call.is_some();
        self.round = offer.round;
        self.refused_there |= offer.refused;
        self.theirs = Some(offer);
        let (fired, sent) = how;
        self.call = Some(Call { at: now, fired, sent });
        self.stage = Stage::Looking;
        !looking
    }

    /// False if this is not what was asked.
    pub(super) fn take_answer(&mut self, offer: &Offer) -> bool {
        let asked = matches!(self.stage, Stage::Calling { .. }) && offer.round == self.round;
        self.refused_there |= asked && offer.refused;
        asked
    }

    /// It is not worth while to try for longer.
    pub(super) fn limit(&mut self, now: Time, span: Duration) {
        if span < super::ATTEMPT {
            self.slim = true;
            self.until = self.until.min(now + span + 2 * self.round_trips());
        }
    }

    /// Both know where to fire: from this moment on. `delay` is what a note takes.
    pub(super) fn open_fire(&mut self, moment: Time, delay: Duration) -> Vec<Shot> {
        self.stage = Stage::Firing;
        if self.round == 0 {
            self.aim(moment);
            return Vec::new();
        }
        self.volley(moment, delay)
    }

    /// What the plain schedule fires now.
    pub(super) fn due(&mut self, now: Time, wire: Wire) -> Vec<Shot> {
        let floor = match wire {
            Wire::Tcp => self.round_trips(),
            Wire::Udp => Duration::ZERO,
        };
        let mut shots = Vec::new();
        for lane in self.lanes.iter_mut().filter(|lane| lane.next <= now) {
            lane.next = now + schedule::gap(lane.shots, floor);
            lane.shots += 1;
            shots.push(Shot { port: lane.port, to: lane.to, at: now, hops: None });
        }
        shots
    }

    pub(super) fn has_lanes(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// False if that says nothing of what lies between.
    pub(super) fn refused(&mut self, port: u16, to: SocketAddr) -> bool {
        let before = self.volley.len();
        self.volley.retain(|shot| *shot != (port, to));
        let is_it = |lane: &Lane| lane.outside && lane.port == port && lane.to == to;
        let known = self.volley.len() < before || self.lanes.iter().any(is_it);
        // Fresh ports are spoilt for good.
        self.lanes.retain(|lane| !lane.fresh || !is_it(lane));
        known
    }

    /// Nothing can be fired from there to there. False if it was not to be, or if it is a connection
    /// of this attempt that stands there.
    pub(super) fn taken(&mut self, now: Time, port: u16, to: SocketAddr) -> bool {
        let before = self.lanes.len() + self.volley.len();
        self.volley.retain(|shot| *shot != (port, to));
        self.lanes.retain(|lane| (lane.port, lane.to) != (port, to) || now < lane.greeted);
        self.lanes.len() + self.volley.len() < before
    }

    /// A connection stands: it gets time before a round is begun. The plain schedule goes on: the
    /// other side may have closed its end of it for a new shot.
    pub(super) fn connected(&mut self, now: Time, port: u16, to: SocketAddr) {
        let pause = now + GRACE + self.round_trips();
        for lane in self.lanes.iter_mut().filter(|lane| (lane.port, lane.to) == (port, to)) {
            lane.greeted = pause;
        }
        self.next_round = self.next_round.map(|next| next.max(pause));
    }

    /// Nothing may come of these ports: a translation remembers the connection that was. When to
    /// begin the next round, should they stay silent.
    pub(super) fn plan_for_silence(&mut self, now: Time, wire: Wire) {
        self.plan_round(now + SILENCE, wire);
    }

    /// Shots are refused: when to begin the next round, if that makes sense.
    pub(super) fn plan_round(&mut self, now: Time, wire: Wire) {
        let Some((face, _)) = &self.ours_seen else { return };
        let keeps = |theirs: &Offer| theirs.face.keeps_ports();
        let fresh = face.keeps_ports() && self.theirs.as_ref().is_some_and(keeps);
        if wire == Wire::Tcp
            && self.stage == Stage::Firing
            && fresh
            && self.round < schedule::ROUNDS
        {
            let pause = now + PAUSE + self.round_trips() / 2;
            if self.round == 0 || self.volley.is_empty() {
                self.next_round = Some(self.next_round.map_or(pause, |next| next.min(pause)));
            }
        }
    }

    /// Begins the next round, if it is time to.
    pub(super) fn is_round_due(&mut self, now: Time) -> bool {
        let due = self.next_round.is_some_and(|next| next <= now);
        if due {
            self.next_round = None;
            self.lanes.retain(|lane| !lane.fresh);
            self.round += 1;
            self.stage = Stage::Looking;
        }
        due
    }

    /// True if the way to this address has just turned out to be open.
    pub(super) fn heard(&mut self, now: Time, from: SocketAddr) -> bool {
        if self.heard.contains(&from) || self.heard.len() == MAX_HEARD {
            return false;
        }
        self.heard.push(from);
        // So that the other side hears as well.
        match self.lanes.iter_mut().find(|lane| lane.to == from) {
            Some(lane) => (lane.next, lane.shots) = (now, 0),
            None => {
                let port = self.ours_seen.as_ref().map_or(0, |(face, _)| face.port);
                self.lanes.push(Lane::new((port, from), now, false, false));
            }
        }
        true
    }

    /// The other side says that it has a link.
    pub(super) fn cease(&mut self, now: Time) {
        let until = now + BEHIND + self.round_trips();
        self.ceased = true;
        self.stage = Stage::Firing;
        self.lanes.clear();
        self.volley.clear();
        self.next_round = None;
        self.until = self.until.min(until);
    }

    /// Why it has come to nothing.
    pub(super) fn failure(&self, refused: bool) -> Failure {
        match &self.theirs {
            _ if self.ceased => Failure::Linked,
            None => Failure::NoAnswer,
            Some(_) if self.slim => Failure::Filtered,
            Some(_) if refused || self.refused_there => Failure::Refused,
            Some(_) => Failure::Silent,
        }
    }

    pub(super) fn timer(&self) -> Time {
        let again = match self.stage {
            Stage::Calling { again, .. } => again,
            Stage::Looking | Stage::Firing => Time::NEVER,
        };
        let lanes = self.lanes.iter().map(|lane| lane.next);
        let others = [self.until, again, self.next_round.unwrap_or(Time::NEVER)];
        lanes.chain(others).min().unwrap_or(Time::NEVER)
    }

    /// Sets the plain schedule up.
    fn aim(&mut self, base: Time) {
        let Some((ours, _)) = &self.ours_seen else { return };
        let Some(theirs) = &self.theirs else { return };
        let outside = theirs.face.outside();
        let inside = theirs.face.inside(ours);
        let targets = outside.iter().map(|to| (*to, true));
        let inside = inside.into_iter().filter(|to| !outside.contains(to)).map(|to| (to, false));
        let plain = targets.chain(inside).map(|(to, outside)| (ours.port, to, outside));
        // One after the other: if the first gets through, the rest need not be fired.
        let pairs = self.fresh_pairs();
        let step = STAGGER + self.round_trips();
        let times = (0..).map(|at| base + step * at);
        let last = base + step * pairs.len() as u32;
        let fresh = pairs.into_iter().map(|(port, to)| (port, to, true)).zip(times);
        let fresh = fresh.map(|(lane, next)| (lane, next, true));
        let plain: Vec<_> = plain.map(|lane| (lane, last, false)).collect();
        for ((port, to, outside), next, fresh) in fresh.chain(plain) {
            if self.lanes.iter().all(|lane| lane.to != to) && self.lanes.len() < MAX_LANES {
                self.lanes.push(Lane::new((port, to), next, outside, fresh));
            }
        }
    }

    /// The ports that both sides have reserved, if those are the ports that the outside sees.
    fn fresh_pairs(&self) -> Vec<(u16, SocketAddr)> {
        let Some((ours, _)) = &self.ours_seen else { return Vec::new() };
        let Some(theirs) = &self.theirs else { return Vec::new() };
        if !ours.keeps_ports() || !theirs.face.keeps_ports() {
            return Vec::new();
        }
        let targets = ours.spares.iter().zip((0..).map_while(|at| theirs.face.spare(at)));
        targets.map(|(port, to)| (*port, to)).collect()
    }

    /// What is fired from fresh ports.
    fn volley(&mut self, moment: Time, delay: Duration) -> Vec<Shot> {
        let Some(theirs) = &self.theirs else { return Vec::new() };
        let mut pairs = self.fresh_pairs();
        // Who goes second does so when the other surely has fired.
        let second = moment + PAUSE + delay;
        let one_refuses = self.said != theirs.refused;
        let short = !one_refuses && schedule::is_short(self.round);
        pairs.truncate(if short { schedule::RANGES.into() } else { schedule::PAIRS });
        let count = pairs.len();
        let drift = schedule::drift(self.round, delay);
        let times: Vec<Time> = if one_refuses {
            // It is the other's translation that refuses our shots.
            vec![if self.said { second } else { moment }; count]
        } else if short {
            vec![moment; count]
        } else if self.ours {
            let first = moment.0.saturating_sub(nanos(schedule::lead(count, drift)));
            schedule::caller(count, drift).map(|after| Time(first) + after).collect()
        } else {
            schedule::answerer(count).map(|after| moment + after).collect()
        };
        if self.ours {
            let last = times.last().copied().unwrap_or(second).max(second);
            self.next_round =
                (self.round < schedule::ROUNDS).then(|| last + SETTLE + self.round_trips());
        }
        if short && self.ours {
            // In earnest.
            let lane = |pair: &(u16, SocketAddr)| Lane::new(*pair, second, true, true);
            self.lanes.extend(pairs.iter().map(lane));
        }
        self.volley.clone_from(&pairs);
        let hops = (2..).map(|hops| short.then_some(hops));
        let shots = pairs.into_iter().zip(times).zip(hops);
        shots.map(|(((port, to), at), hops)| Shot { port, to, at, hops }).collect()
    }
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
