//! The task that keeps a process' connection to the rendezvous.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use fmi_actors::{Error, Reason};
use tokio::{
    io::split,
    sync::{mpsc, oneshot, watch},
    time::{sleep_until, timeout},
};
use tracing::{debug, warn};

use super::{
    event::Event,
    post::Note,
    protocol::{Answer, Member, Missing, Registered, Request},
    pulse::{self, Death, Pulse},
    stream::Stream,
    wire::{Inbox, Outbox, frame},
};

/// How far joining has come.
#[derive(Debug, Clone)]
pub(super) enum State {
    Joining,
    /// All processes, and their model.
    Complete(Arc<[Member]>, Arc<str>),
    Failed(Error),
}

/// What the client asks of its task.
#[derive(Debug)]
pub(super) enum Command {
    WhoIsMissing(oneshot::Sender<Missing>),
    Abort(u32, Reason),
    /// The sender is dropped when the connection is closed.
    Leave(oneshot::Sender<()>),
}

/// The client's end of the connection, apart from the stream.
#[derive(Debug)]
pub(super) struct Session {
    address: String,
    inbox: Inbox,
    outbox: Outbox,
    state: watch::Sender<State>,
    /// Bounded by the job: one departure a member, one abort, one loss.
    events: mpsc::UnboundedSender<Event>,
    /// Notes that nobody takes in time get lost.
    told: mpsc::Sender<Note>,
    /// Ranks of the members that are still there.
    present: HashMap<u32, Vec<u32>>,
    asked: Vec<oneshot::Sender<Missing>>,
    leaving: Vec<oneshot::Sender<()>>,
    aborted: bool,
    silent: Duration,
}

/// Why the connection ended.
enum End {
    Lost(String),
    /// `leave` was called, or the client dropped.
    Meant,
}

impl Session {
    pub(super) fn new(
        address: &str,
        registered: &Registered,
        inbox: Inbox,
        state: watch::Sender<State>,
        events: mpsc::UnboundedSender<Event>,
        told: mpsc::Sender<Note>,
    ) -> Self {
        Self {
            address: address.to_owned(),
            inbox,
            outbox: Outbox::default(),
            state,
            events,
            told,
            present: HashMap::new(),
            asked: Vec::new(),
            leaving: Vec::new(),
            aborted: false,
            // Whatever the other side says, neither a busy loop nor an overflowing clock.
            silent: pulse::term(registered.silent),
        }
    }

    pub(super) async fn run(
        mut self,
        stream: Stream,
        commands: mpsc::Receiver<Command>,
        notes: mpsc::Receiver<Note>,
    ) {
        let end = self.talk(stream, commands, notes).await;
        let End::Lost(reason) = end else { return };
        let error = Error::Rendezvous { address: self.address.clone(), reason: reason.clone() };
        let joining = self.state.send_if_modified(|state| {
            let joining = matches!(state, State::Joining);
            if joining {
                *state = State::Failed(error);
            }
            joining
        });
        if joining {
            debug!(address = self.address, "rendezvous lost while joining: {reason}");
        } else {
            warn!(address = self.address, "rendezvous lost, the job goes on: {reason}");
        }
        let _ = self.events.send(Event::RendezvousLost);
    }

    async fn talk(
        &mut self,
        stream: Stream,
        mut commands: mpsc::Receiver<Command>,
        mut notes: mpsc::Receiver<Note>,
    ) -> End {
        let (mut reader, mut writer) = split(stream);
        let mut pulse = Pulse::new(self.silent, Instant::now());
        let mut beat = Instant::now() + pulse.beat();
        loop {
            // What came along with the answer to the registration is here before the first read.
            loop {
                match self.inbox.next() {
                    Ok(Some(answer)) => {
                        if let Err(nonsense) = self.hear(answer) {
                            return End::Lost(nonsense.to_owned());
                        }
                    }
                    Ok(None) => break,
                    Err(bad) => return End::Lost(bad.to_string()),
                }
            }
            let now = Instant::now();
            if now >= beat {
                beat = now + pulse.beat();
                // One that still waits to be sent will do.
                if self.outbox.is_empty() {
                    self.outbox.push(frame(&Request::Beat));
                }
            }
            if !self.outbox.is_empty() {
                pulse.waiting(now);
            }
            let wake = beat.min(pulse.due());
            tokio::select! {
                biased;
                read = self.inbox.read(&mut reader) => match read {
                    Ok(0) | Err(_) if !self.leaving.is_empty() => return End::Meant,
                    Ok(0) => return End::Lost("it closed the connection".to_owned()),
                    Ok(_) => pulse.heard(Instant::now()),
                    Err(error) => return End::Lost(error.to_string()),
                },
                wrote = self.outbox.write(&mut writer), if !self.outbox.is_empty() => match wrote {
                    Ok(()) => pulse.taken(!self.outbox.is_empty(), Instant::now()),
                    Err(_) if !self.leaving.is_empty() => return End::Meant,
                    Err(error) => return End::Lost(error.to_string()),
                },
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => {
                        // The client was dropped: an abort said before must still get out.
                        let _ = timeout(FLUSH, self.outbox.flush(&mut writer)).await;
                        return End::Meant;
                    }
                },
                Some(note) = notes.recv(), if self.outbox.len() < WRITES => {
                    let Note { process: to, channel, note } = note;
                    self.outbox.push(frame(&Request::Tell { to, channel, note }));
                }
                () = sleep_until(wake.into()) => match pulse.check(Instant::now()) {
                    Some(Death::Silent) => {
                        return End::Lost(format!("it said nothing for {:?}", self.silent));
                    }
                    Some(Death::Stalled) => {
                        return End::Lost(format!("it did not read for {:?}", self.silent));
                    }
                    None => {}
                },
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let request = match command {
            Command::WhoIsMissing(reply) => {
                self.asked.push(reply);
                Request::WhoIsMissing
            }
            Command::Abort(rank, reason) => Request::Abort { rank, reason: reason.into() },
            Command::Leave(done) => {
                self.leaving.push(done);
                Request::Leave
            }
        };
        self.outbox.push(frame(&request));
    }

    fn hear(&mut self, answer: Answer) -> Result<(), &'static str> {
        match answer {
            Answer::Beat => {}
            Answer::Missing(missing) => {
                for reply in self.asked.drain(..) {
                    let _ = reply.send(missing.clone());
                }
            }
            Answer::Complete { members, model } => {
                let ranks = members.iter().map(|member| (member.process, member.ranks.clone()));
                self.present = ranks.collect();
                self.settle(State::Complete(members.into(), model.into()));
            }
            Answer::Gone { process } => {
                let ranks = self.present.remove(&process).ok_or(STRANGER)?;
                self.tell(Event::Gone { process, ranks, reason: Reason::Died });
            }
            Answer::Left { process } => {
                let ranks = self.present.remove(&process).ok_or(STRANGER)?;
                self.tell(Event::Left { process, ranks });
            }
            Answer::Moved { process } => {
                let ranks = self.present.remove(&process).ok_or(STRANGER)?;
                self.tell(Event::Moved { process, ranks });
            }
            Answer::Abort { rank, reason } => {
                if std::mem::replace(&mut self.aborted, true) {
                    return Err("it relayed two aborts of one job");
                }
                let reason = Reason::from(reason);
                self.settle(State::Failed(Error::RankLost {
                    rank: rank as usize,
                    reason: reason.clone(),
                }));
                self.tell(Event::Abort { rank, reason });
            }
            Answer::Told { from, channel, note } => {
                let _ = self.told.try_send(Note { process: from, channel, note });
            }
            Answer::Registered(_) | Answer::Refused(_) => {
                return Err("it answered a registration twice");
            }
        }
        Ok(())
    }

    /// The first outcome of joining stays.
    fn settle(&self, outcome: State) {
        self.state.send_if_modified(|state| {
            let joining = matches!(state, State::Joining);
            if joining {
                *state = outcome;
            }
            joining
        });
    }

    fn tell(&self, event: Event) {
        // Without a listener there is nobody to tell.
        let _ = self.events.send(event);
    }
}

const STRANGER: &str = "it reported the end of a process that is not in the job";
/// Frames that one write takes.
const WRITES: usize = 64;
const FLUSH: Duration = Duration::from_secs(1);
