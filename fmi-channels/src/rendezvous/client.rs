//! A process' side of the rendezvous.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use fmi_actors::{Error, NoRejoin, Reason, Result, channel::Post as _};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, lookup_host},
    sync::{Mutex, mpsc, oneshot, watch},
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::{debug, warn};

use super::{
    event::Event,
    post::{Note, Post, WAITING},
    protocol::{
        Answer, MAX_ANSWER, MAX_REQUEST, Member, Missing, Ranks, Refusal, Registered, Registration,
        RejoinRefusal, Request,
    },
    session::{Command, Session, State},
    stream::Stream,
    tls::{self, Opener},
    wire::{Inbox, frame},
};
use crate::{
    dial,
    handshake::{self, Failure, Purpose, Token},
    outside::Outside,
};

/// How a process reaches the rendezvous.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// `tcp://HOST:PORT`, `tls://HOST:PORT` (encrypted; the server has a certificate) or
    /// `HOST:PORT`.
    pub address: String,
    /// The local port that the connection comes from, if it can be had (see [`dial`]).
    pub port: Option<u16>,
    /// A file with certificates (PEM) that may have signed the server's, besides those that this
    /// machine trusts.
    pub ca: Option<PathBuf>,
}

/// What the session hands on.
#[derive(Debug)]
struct Inbound {
    events: mpsc::UnboundedReceiver<Event>,
    told: mpsc::Receiver<Note>,
}

/// A process' registration with the rendezvous, kept alive by a task of its own.
///
/// Made and used on a tokio runtime with time and net enabled, of either flavour, which must keep
/// running: a runtime that stalls for longer than the rendezvous' `silent` is taken for dead (in
/// `fmi`, this is the service thread). All methods take `&self` and all futures are `Send`.
///
/// Dropping the client without [`leave`](Self::leave) is a death: the others are told so.
#[derive(Debug)]
pub struct Client {
    registered: Registered,
    outside: Outside,
    job: String,
    address: String,
    deadline: Instant,
    after: Duration,
    state: watch::Receiver<State>,
    inbound: Mutex<Inbound>,
    post: Post,
    commands: mpsc::Sender<Command>,
}

impl Client {
    /// Registers with the rendezvous at `address`: `tcp://HOST:PORT`,
    /// `tls://HOST:PORT` or `HOST:PORT`.
    ///
    /// Tries again until `deadline` while nothing listens there: the rendezvous may start later.
    /// The same deadline holds for [`complete`](Self::complete).
    ///
    /// # Errors
    /// [`Error::WrongToken`], [`Error::RankTaken`], [`Error::RankOutOfRange`],
    /// [`Error::SizeMismatch`], [`Error::Rejoin`]: as refused. [`Error::Rendezvous`] for
    /// everything else.
    pub async fn connect(
        address: &str,
        token: &Token,
        registration: Registration,
        deadline: Duration,
    ) -> Result<Self> {
        let reach = Reach { address: address.to_owned(), ..Reach::default() };
        Self::connect_with(&reach, token, |_| registration.clone(), deadline).await
    }

    /// Like [`connect`](Self::connect), with a registration that depends on this side's address
    /// of the connection: the one under which this process is likely to be reached.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(
        reach: &Reach,
        token: &Token,
        mut registration: impl FnMut(SocketAddr) -> Registration + Send,
        deadline: Duration,
    ) -> Result<Self> {
        let address = &reach.address[..];
        let (encrypted, target) = target(address)?;
        let opener = match target.rsplit_once(':').filter(|_| encrypted) {
            Some((host, _)) => Some(Opener::new(host, reach.ca.as_deref())?),
            None => None,
        };
        let way = (target, reach.port, opener.as_ref());
        let failed = |reason: String| Error::Rendezvous { address: address.to_owned(), reason };
        let start = Instant::now();
        let end = start + deadline.min(FOREVER);
        let mut last = String::new();
        let mut warned = false;
        let mut wait = Duration::from_millis(10);
        let attempts = async {
            loop {
                match attempt(address, way, token, &mut registration, &mut last).await {
                    Ok(joined) => return Ok(joined),
                    Err(Setback::Final(error)) => return Err(error),
                    Err(Setback::Again(reason)) => {
                        if !std::mem::replace(&mut warned, true) {
                            warn!(address, "rendezvous: {reason}; trying for {deadline:?}");
                        }
                        last = reason;
                    }
                }
                sleep(wait).await;
                wait = (wait * 2).min(Duration::from_millis(500));
            }
        };
        let joined = timeout_at(end, attempts).await;
        let joined = match joined {
            Ok(joined) => joined?,
            Err(_) if last.is_empty() => return Err(failed(format!("no answer in {deadline:?}"))),
            Err(_) => return Err(failed(format!("{last} (tried for {deadline:?})"))),
        };
        let Joined { stream, inbox, outside, job, registered } = joined;
        debug!(
            address,
            job,
            epoch = registered.epoch,
            process = registered.process,
            "registered with the rendezvous"
        );
        let (commands, inlet) = mpsc::channel(COMMANDS);
        let (outlet, events) = mpsc::unbounded_channel();
        let (show, state) = watch::channel(State::Joining);
        let (hear, told) = mpsc::channel(WAITING);
        let (post, notes) = Post::new();
        let session = Session::new(address, &registered, inbox, show, outlet, hear);
        tokio::spawn(session.run(stream, inlet, notes));
        Ok(Self {
            registered,
            outside,
            job,
            address: address.to_owned(),
            deadline: end,
            after: deadline,
            state,
            inbound: Mutex::new(Inbound { events, told }),
            post,
            commands,
        })
    }

    /// What the rendezvous said about this process.
    pub fn registered(&self) -> &Registered {
        &self.registered
    }

    /// This side's address of the connection to the rendezvous.
    pub fn local_addr(&self) -> SocketAddr {
        self.outside.local
    }

    /// What was learnt of the way to the rendezvous and back.
    pub fn outside(&self) -> &Outside {
        &self.outside
    }

    /// Sends a note of a channel to the same channel of another process, once the job is complete.
    /// Does not wait; the note may get lost, above all one longer than
    /// [`MAX_NOTE`](fmi_actors::channel::MAX_NOTE). The rendezvous can read it.
    pub fn tell(&self, process: u32, channel: &str, note: Vec<u8>) {
        self.post.tell(process, channel, note);
    }

    /// Who sends notes for the channels.
    pub fn post(&self) -> Post {
        self.post.clone()
    }

    /// Waits until all ranks of the job have registered. May be called again.
    ///
    /// # Errors
    /// [`Error::Missing`] at the join deadline; [`Error::RankLost`] when a rank failed meanwhile;
    /// [`Error::Rendezvous`] when the rendezvous is lost.
    pub async fn complete(&self) -> Result<Arc<[Member]>> {
        if let Ok(result) = timeout_at(self.deadline, self.settled()).await {
            return result;
        }
        // Late, but the last one may come while we ask who is missing.
        let (reply, missing) = oneshot::channel();
        let asked = async {
            let _ = self.commands.send(Command::WhoIsMissing(reply)).await;
            match missing.await {
                Ok(missing) if !missing.ranks.is_empty() => missing,
                _ => std::future::pending().await,
            }
        };
        let answer = timeout(LAST_WORD, async {
            tokio::select! {
                biased;
                result = self.settled() => Ok(result),
                missing = asked => Err(missing),
            }
        });
        match answer.await {
            Ok(Ok(result)) => result,
            Ok(Err(missing)) => Err(self.missing(missing)),
            Err(_) => Err(self.lost(format!(
                "not all ranks joined in {:?}, and it does not answer who is missing",
                self.after
            ))),
        }
    }

    /// The group's model: that of the lowest process that has one. Empty if none has, and until
    /// the job is [complete](Self::complete).
    pub fn model(&self) -> Arc<str> {
        match &*self.state.borrow() {
            State::Complete(_, model) => Arc::clone(model),
            State::Joining | State::Failed(_) => Arc::default(),
        }
    }

    /// The next event, or `None` when nothing more can come (after `RendezvousLost` or `leave`).
    ///
    /// Cancel-safe.
    pub async fn event(&self) -> Option<Event> {
        let mut inbound = self.inbound.lock().await;
        let Inbound { events, told } = &mut *inbound;
        tokio::select! {
            biased;
            event = events.recv() => event,
            Some(Note { process: from, channel, note }) = told.recv() => {
                Some(Event::Told { from, channel, note })
            }
        }
    }

    /// Tells all other processes that a rank failed. Does not wait; [`leave`](Self::leave) does.
    pub fn abort(&self, rank: u32, reason: Reason) {
        // A full queue holds an abort already, and only the job's first one counts.
        let _ = self.commands.try_send(Command::Abort(rank, reason));
    }

    /// Leaves the job, after what was said before has been sent. Ends within a few seconds, also
    /// when the rendezvous is lost.
    pub async fn leave(&self) {
        let (done, left) = oneshot::channel();
        let leave = async {
            let _ = self.commands.send(Command::Leave(done)).await;
            let _ = left.await;
        };
        if timeout(GOODBYE, leave).await.is_err() {
            warn!(address = self.address, "the rendezvous does not answer a goodbye");
        }
    }

    async fn settled(&self) -> Result<Arc<[Member]>> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Joining)).await;
        match settled.as_deref() {
            Ok(State::Complete(members, _)) => Ok(members.clone()),
            Ok(State::Failed(error)) => Err(error.clone()),
            Ok(State::Joining) | Err(_) => Err(self.lost("the job was left".to_owned())),
        }
    }

    fn missing(&self, missing: Missing) -> Error {
        debug!(joined = missing.joined, "not all ranks have joined");
        Error::Missing {
            job: self.job.clone(),
            missing: missing.ranks.into_iter().map(|rank| rank as usize).collect(),
            size: missing.size as usize,
            after: self.after,
        }
    }

    fn lost(&self, reason: String) -> Error {
        Error::Rendezvous { address: self.address.clone(), reason }
    }
}

/// Longer deadlines mean no deadline, and overflow no clock.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How long the question who is missing may take, after the deadline.
const LAST_WORD: Duration = Duration::from_secs(1);
/// How long leaving may take.
const GOODBYE: Duration = Duration::from_secs(3);
/// Commands that may wait for the task.
const COMMANDS: usize = 64;
/// Tries one of several addresses for so long: the next one may answer.
const CONNECT: Duration = Duration::from_secs(5);

struct Joined {
    stream: Stream,
    inbox: Inbox,
    outside: Outside,
    job: String,
    registered: Registered,
}

/// What an attempt came to, if not to a connection.
enum Setback {
    /// The rendezvous may not be up yet.
    Again(String),
    /// It will not be otherwise next time.
    Final(Error),
}

/// The host and port of `tcp://HOST:PORT`, and whether it is to be encrypted.
fn target(address: &str) -> Result<(bool, &str)> {
    let encrypted = address.strip_prefix("tls://");
    let target = encrypted.or_else(|| address.strip_prefix("tcp://")).unwrap_or(address);
    let port = target.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains('/'));
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(_)) => Ok((encrypted.is_some(), target)),
        _ => Err(Error::Rendezvous {
            address: address.to_owned(),
            reason: "an address is tcp://HOST:PORT or tls://HOST:PORT".to_owned(),
        }),
    }
}

/// One attempt to register. `stage` says how far it came, should the deadline cut it short.
async fn attempt(
    address: &str,
    (target, port, opener): (&str, Option<u16>, Option<&Opener>),
    token: &Token,
    registration: &mut (impl FnMut(SocketAddr) -> Registration + Send),
    stage: &mut String,
) -> Result<Joined, Setback> {
    let again = |error: std::io::Error| Setback::Again(error.to_string());
    let failed =
        |reason: String| Setback::Final(Error::Rendezvous { address: address.to_owned(), reason });
    let (stream, reached) = dial(target, port).await?;
    let server = stream.peer_addr().map_err(again)?;
    let local = stream.local_addr().map_err(again)?;
    stream.set_nodelay(true).map_err(again)?;
    "the connection is accepted, but not answered".clone_into(stage);
    let mut stream = match opener {
        Some(opener) => match opener.open(stream).await {
            Ok(stream) => Stream::Tls(Box::new(stream)),
            Err(tls::Setback::Again(reason)) => return Err(Setback::Again(reason)),
            Err(tls::Setback::Final(reason)) => return Err(failed(reason)),
        },
        None => Stream::Plain(stream),
    };

    match handshake::opening(&mut stream, Purpose::Rendezvous, token, &[]).await {
        Ok(_) => {}
        Err(Failure::WrongToken) => {
            return Err(Setback::Final(Error::WrongToken { at: format!("rendezvous {address}") }));
        }
        // It may be just ending, or starting, or have no room.
        Err(failure @ Failure::Broken { .. }) => return Err(Setback::Again(failure.to_string())),
        Err(failure) => return Err(failed(failure.to_string())),
    }

    let registration = registration(local);
    registration.check().map_err(failed)?;
    let job = registration.job.clone();
    let ours = registration.size;
    let given = match &registration.ranks {
        // Those that it had.
        _ if registration.after.is_some() => None,
        Ranks::Given(ranks) => Some(ranks.len()),
        Ranks::Any(count) => Some(*count as usize),
    };
    let request = frame(&Request::Register(Box::new(registration)));
    if request.len() - 4 > MAX_REQUEST {
        return Err(failed(format!(
            "a registration of {} bytes, at most {MAX_REQUEST} are allowed",
            request.len()
        )));
    }
    let asked = Instant::now();
    stream.write_all(&request).await.map_err(again)?;
    stream.flush().await.map_err(again)?;

    let mut inbox = Inbox::new(MAX_ANSWER);
    let answer = loop {
        match inbox.next().map_err(|bad| failed(bad.to_string()))? {
            Some(answer) => break answer,
            None if inbox.read(&mut stream).await.map_err(again)? == 0 => {
                return Err(Setback::Again("it closed the connection".to_owned()));
            }
            None => {}
        }
    };
    match answer {
        Answer::Registered(registered)
            if given.is_none_or(|given| given == registered.ranks.len()) =>
        {
            let ip = server.ip().to_canonical();
            let ports = &registered.mirrors;
            let outside = Outside {
                server,
                local,
                observed: registered.observed,
                tcp_mirror: ports.tcp.map(|port| SocketAddr::new(ip, port)),
                udp_mirrors: ports.udp.iter().map(|port| SocketAddr::new(ip, *port)).collect(),
                // Either may have waited for something besides.
                round_trip: reached.min(asked.elapsed()),
                token: token.clone(),
            };
            Ok(Joined { stream, inbox, outside, job, registered })
        }
        // Another process of the job may say it later.
        Answer::Refused(refusal @ Refusal::SizeUnknown) => {
            Err(Setback::Again(format!("job \"{job}\": {refusal}")))
        }
        Answer::Refused(refusal) => Err(Setback::Final(refused(refusal, address, job, ours))),
        _ => Err(failed("it answers a registration with nonsense".to_owned())),
    }
}

/// A connection, and how long it took to be accepted.
async fn dial(target: &str, port: Option<u16>) -> Result<(TcpStream, Duration), Setback> {
    let addresses = lookup_host(target)
        .await
        .map_err(|error| Setback::Again(format!("cannot look up {target}: {error}")))?;
    let mut last = format!("{target} has no address");
    for address in addresses {
        let start = Instant::now();
        match timeout(CONNECT, dial::from(port, address)).await {
            Ok(Ok(stream)) => return Ok((stream, start.elapsed())),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("{address} does not answer"),
        }
    }
    Err(Setback::Again(last))
}

fn refused(refusal: Refusal, address: &str, job: String, ours: Option<u32>) -> Error {
    match refusal {
        Refusal::RankTaken { rank } => Error::RankTaken { rank: rank as usize, job },
        Refusal::RankOutOfRange { rank, size } => {
            Error::RankOutOfRange { operation: "join", rank: rank as usize, size: size as usize }
        }
        Refusal::SizeMismatch { size } => Error::SizeMismatch {
            job,
            ours: ours.unwrap_or_default() as usize,
            theirs: size as usize,
        },
        Refusal::Rejoin(why) => Error::Rejoin {
            job,
            reason: match why {
                RejoinRefusal::NotBroken => NoRejoin::NotBroken,
                RejoinRefusal::Late => NoRejoin::Late,
                RejoinRefusal::Twice => NoRejoin::Twice,
                RejoinRefusal::Forgotten { epoch } => NoRejoin::Forgotten { epoch },
            },
        },
        other => Error::Rendezvous {
            address: address.to_owned(),
            reason: format!("job \"{job}\": {other}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (address, expected) in [
            ("tcp://10.0.0.1:10000", Some("10.0.0.1:10000")),
            ("localhost:1", Some("localhost:1")),
            ("tcp://[::1]:1", Some("[::1]:1")),
            ("tls://meet.example.org:1", Some("meet.example.org:1")),
            ("10.0.0.1", None),
            (":1", None),
            ("http://10.0.0.1:80", None),
            ("tcp://10.0.0.1:80/job", None),
            ("tcp://10.0.0.1:65536", None),
            ("", None),
        ] {
            assert_eq!(target(address).ok().map(|(_, target)| target), expected, "{address}");
        }
    }
}
