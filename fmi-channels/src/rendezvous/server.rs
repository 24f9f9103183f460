//! The rendezvous' server: one small task a connection around the [`Hall`].

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use fmi_actors::{Error, Result};
use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, sleep_until, timeout},
};
use tracing::{debug, info, warn};

use super::{
    hall::{Hall, Limits, Ticket},
    job::Departure,
    protocol::{Answer, MAX_REQUEST, Refusal, Registered, Request},
    pulse::{self, Death, Pulse},
    wire::{BadFrame, Inbox, Outbox, frame},
};
use crate::handshake::{self, Failure, HANDSHAKE_DEADLINE, Purpose, Token};

/// Limits and terms of a [`Server`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Jobs at once.
    pub jobs: usize,
    /// Ranks of one job.
    pub ranks: u32,
    /// Processes of all jobs at once.
    pub processes: usize,
    /// Connections at once that have not registered yet. More wait in the system's backlog.
    pub unauthenticated: usize,
    /// How long a connection may take until it has registered.
    pub handshake: Duration,
    /// How long a process may be silent, or not read, before the others are told it is gone.
    pub silent: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jobs: 1024,
            ranks: 100_000,
            processes: 32_768,
            unauthenticated: 1024,
            handshake: HANDSHAKE_DEADLINE,
            silent: Duration::from_secs(10),
        }
    }
}

/// The place where the processes of a job find each other.
///
/// Needs a tokio runtime with time and net enabled, of either flavour. All futures are `Send`.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// Listens on `address`: `HOST:PORT` or `tcp://HOST:PORT`; port 0 takes a free one.
    ///
    /// # Errors
    /// [`Error::Listen`] when the address is taken, not ours or no address.
    pub async fn bind(address: &str, token: Token, mut options: Options) -> Result<Self> {
        options.silent = pulse::term(options.silent);
        let failed = |reason: String| Error::Listen { address: address.to_owned(), reason };
        let listener = listen(address).await.map_err(|error| failed(error.to_string()))?;
        let local = listener.local_addr().map_err(|error| failed(error.to_string()))?;
        let mut seed = [0; 4];
        getrandom::fill(&mut seed).map_err(|error| failed(error.to_string()))?;
        let limits =
            Limits { jobs: options.jobs, ranks: options.ranks, processes: options.processes };
        let floor =
            Floor { hall: Hall::new(limits, u32::from_le_bytes(seed)), bells: HashMap::new() };
        let shared = Shared { token, options, floor: Mutex::new(floor) };
        Ok(Self { listener, address: local, shared: Arc::new(shared) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` ends. Then what is already due is sent (for at most a second) and
    /// all connections are closed; the processes go on without a rendezvous.
    pub async fn run(self, shutdown: impl Future + Send) {
        let Self { listener, address, shared } = self;
        info!(%address, "rendezvous listens");
        let unregistered = Arc::new(Semaphore::new(shared.options.unauthenticated.max(1)));
        let (close, closing) = watch::channel(false);
        let mut connections = JoinSet::new();
        // Dropped before the tasks are, also when this future is: their ends are then nobody's.
        let hush = Hush(&shared);
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                _ = &mut shutdown => break,
                Some(ended) = connections.join_next() => if let Err(error) = ended {
                    warn!(%error, "a connection's task failed");
                },
                (stream, peer, permit) = next(&listener, &unregistered) => {
                    let (shared, closing) = (shared.clone(), closing.clone());
                    connections.spawn(serve(shared, stream, peer, permit, closing));
                }
            }
        }
        drop(listener);
        drop(hush);
        close.send_replace(true);
        let _ =
            timeout(FLUSH * 2, async { while connections.join_next().await.is_some() {} }).await;
        connections.shutdown().await;
        info!(%address, "rendezvous has ended");
    }
}

/// How long what is due may take to be sent at the end of a connection.
const FLUSH: Duration = Duration::from_secs(1);
/// Replies that may wait for a client to read. With so many, nothing more is read from it.
const MAX_REPLIES: usize = 64;
/// A connection writes a job's news at most once in this time a process. With thousands of
/// processes that leave together, each is so told of hundreds at once, not one by one.
const PACE: Duration = Duration::from_micros(20);
/// Up to this pace nobody waits at all.
const NO_PACE: Duration = Duration::from_millis(1);

#[derive(Debug)]
struct Shared {
    token: Token,
    options: Options,
    floor: Mutex<Floor>,
}

#[derive(Debug)]
struct Floor {
    hall: Hall,
    /// By epoch: rung when the job's log has grown.
    bells: HashMap<u32, watch::Sender<()>>,
}

impl Floor {
    fn depart(&mut self, ticket: Ticket, how: Departure) {
        let news = self.hall.depart(ticket, how);
        self.ring_stirred();
        if self.hall.job(ticket).is_none() {
            if self.bells.remove(&ticket.epoch).is_some() {
                info!(epoch = ticket.epoch, "job has ended");
            }
        } else if news {
            self.ring(ticket.epoch);
        }
    }

    /// Rings for all that a step of the hall concerned.
    fn ring_stirred(&mut self) {
        for epoch in self.hall.stirred() {
            self.ring(epoch);
        }
    }

    fn ring(&self, epoch: u32) {
        if let Some(bell) = self.bells.get(&epoch) {
            bell.send_replace(());
        }
    }
}

/// Closes the hall when `run` ends or is dropped.
struct Hush<'a>(&'a Shared);

impl Drop for Hush<'_> {
    fn drop(&mut self) {
        self.0.floor.lock().hall.close();
    }
}

/// A process' place in the hall, given back whatever ends the connection.
struct Seat {
    shared: Arc<Shared>,
    ticket: Ticket,
    bell: watch::Receiver<()>,
    how: Departure,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.floor.lock().depart(self.ticket, self.how);
    }
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("{0}")]
    Handshake(#[from] Failure),
    #[error("{0}")]
    BadFrame(#[from] BadFrame),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("did not register in time")]
    Slow,
    #[error("another request where a registration is due, or a second registration")]
    OutOfTurn,
    #[error("it said nothing for {0:?}")]
    Silent(Duration),
    #[error("it did not read for {0:?}")]
    Stalled(Duration),
    #[error("closed without leaving")]
    Closed,
    #[error("left")]
    Left,
    #[error("the rendezvous ends")]
    Closing,
}

async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in lookup_host(address.strip_prefix("tcp://").unwrap_or(address)).await? {
        let bound = (|| {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4(),
                SocketAddr::V6(_) => TcpSocket::new_v6(),
            }?;
            // So that a rendezvous can be started anew at once; a live one still holds its port.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            // Thousands of processes come at once; those above the limit wait here.
            socket.listen(4096)
        })();
        match bound {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The next connection, when there is room for one more that has not registered.
async fn next(
    listener: &TcpListener,
    unregistered: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    loop {
        let Ok(permit) = unregistered.clone().acquire_owned().await else {
            return std::future::pending().await; // Never: nobody closes the semaphore.
        };
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) => {
                // Mostly out of file descriptors: trying at once would only burn the processor.
                warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(
    shared: Arc<Shared>,
    mut stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    mut closing: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let admitted = tokio::select! {
        admitted = timeout(shared.options.handshake, admit(&shared, &mut stream, peer)) => admitted,
        _ = closing.wait_for(|closing| *closing) => return,
    };
    drop(permit);
    let end = match admitted {
        Err(_) => End::Slow,
        Ok(Err(end)) => end,
        Ok(Ok((seat, inbox, outbox))) => {
            let ticket = seat.ticket;
            let end = attend(seat, inbox, outbox, &mut stream, closing).await;
            let Ticket { epoch, process } = ticket;
            match end {
                End::Left | End::Closing => debug!(%peer, epoch, process, "process: {end}"),
                _ => warn!(%peer, epoch, process, "process is gone: {end}"),
            }
            return;
        }
    };
    warn!(%peer, "connection dropped: {end}");
}

/// Handshake and registration.
async fn admit(
    shared: &Arc<Shared>,
    stream: &mut TcpStream,
    peer: SocketAddr,
) -> Result<(Seat, Inbox, Outbox), End> {
    handshake::accepting(stream, Purpose::Rendezvous, &shared.token, |_| Ok(Vec::new())).await?;
    let mut inbox = Inbox::new(MAX_REQUEST);
    let registration = loop {
        match inbox.next()? {
            Some(Request::Register(registration)) => break registration,
            Some(_) => return Err(End::OutOfTurn),
            None if inbox.read(stream).await? == 0 => return Err(End::Closed),
            None => {}
        }
    };
    let job = registration.job.clone();
    let size = registration.size;
    let entered = {
        let mut floor = shared.floor.lock();
        let entered = floor.hall.register(registration, Instant::now());
        let entered = entered.map(|(ticket, admitted)| {
            let bell = floor.bells.entry(ticket.epoch).or_default().subscribe();
            let size = floor.hall.job(ticket).map_or(0, |job| job.full());
            let complete = floor.hall.job(ticket).is_some_and(|job| job.is_complete());
            (ticket, admitted, bell, size, complete)
        });
        floor.ring_stirred();
        entered
    };
    let (ticket, admitted, bell, size, complete) = match entered {
        Ok(entered) => entered,
        Err(refusal) => {
            debug!(%peer, job, ?size, "refused: {refusal}");
            stream.write_all(&frame(&Answer::Refused(refusal.clone()))).await?;
            stream.shutdown().await?;
            return Err(End::Refused(refusal));
        }
    };
    let seat = Seat { shared: shared.clone(), ticket, bell, how: Departure::Died };
    let Ticket { epoch, process } = ticket;
    debug!(%peer, job, epoch, process, ranks = admitted.ranks.len(), "process registered");
    if complete {
        info!(job, epoch, size, "job is complete");
    }
    let mut outbox = Outbox::default();
    outbox.push(frame(&Answer::Registered(Registered {
        process,
        epoch,
        incarnation: admitted.incarnation,
        ranks: admitted.ranks,
        size,
        observed: peer.ip().to_canonical(),
        silent: shared.options.silent,
    })));
    Ok((seat, inbox, outbox))
}

/// Serves a registered process until its connection ends.
async fn attend(
    mut seat: Seat,
    mut inbox: Inbox,
    mut outbox: Outbox,
    stream: &mut TcpStream,
    mut closing: watch::Receiver<bool>,
) -> End {
    let (mut reader, mut writer) = stream.split();
    let silent = seat.shared.options.silent;
    let mut pulse = Pulse::new(silent, Instant::now());
    let mut cursor = 0;
    // Whether to look into the log, and from when on.
    let (mut look, mut quiet_until) = (true, Instant::now());
    // When the job, if it forms anew, goes on with those who are there.
    let mut due = None;
    let end = loop {
        // Bytes that came along with the registration are here before the first read.
        if let Err(end) = requests(&mut seat, &mut inbox, &mut outbox) {
            break end;
        }
        let now = Instant::now();
        if look && outbox.is_empty() && now >= quiet_until {
            look = false;
            let population = collect(&seat, &mut cursor, &mut outbox);
            due = seat.shared.floor.lock().hall.due(seat.ticket);
            let pace = PACE * u32::try_from(population).unwrap_or(u32::MAX);
            if pace > NO_PACE {
                quiet_until = now + pace;
            }
        }
        if due.is_some_and(|due| due <= now) {
            let mut floor = seat.shared.floor.lock();
            floor.hall.expire(seat.ticket, now);
            floor.ring_stirred();
            due = floor.hall.due(seat.ticket);
        }
        if !outbox.is_empty() {
            pulse.waiting(now);
        }
        let wake =
            if look && outbox.is_empty() { quiet_until.min(pulse.due()) } else { pulse.due() };
        tokio::select! {
            biased;
            read = inbox.read(&mut reader), if outbox.len() < MAX_REPLIES => match read {
                Ok(0) => break End::Closed,
                Ok(_) => pulse.heard(Instant::now()),
                Err(error) => break End::Io(error),
            },
            wrote = outbox.write(&mut writer), if !outbox.is_empty() => match wrote {
                Ok(()) => pulse.taken(!outbox.is_empty(), Instant::now()),
                Err(error) => break End::Io(error),
            },
            // The bell outlives the seat: a job ends only when its last process has departed.
            _ = seat.bell.changed(), if !look => look = true,
            _ = closing.wait_for(|closing| *closing) => break End::Closing,
            () = sleep_until(due.map_or(wake, |due| due.min(wake)).into()) => match pulse.check(Instant::now()) {
                Some(Death::Silent) => break End::Silent(silent),
                Some(Death::Stalled) => break End::Stalled(silent),
                None => {}
            },
        }
    };
    if matches!(end, End::Closing) {
        // An abort may just have come.
        collect(&seat, &mut cursor, &mut outbox);
        let _ = timeout(FLUSH, outbox.flush(&mut writer)).await;
    }
    if matches!(end, End::Left) {
        seat.how = Departure::Left;
    }
    // The others first; the socket is the leaving process' own time.
    drop(seat);
    if matches!(end, End::Left | End::Closing) {
        let _ = timeout(FLUSH, writer.shutdown()).await;
    }
    end
}

/// Handles the requests that have arrived, as far as their replies have room.
fn requests(seat: &mut Seat, inbox: &mut Inbox, outbox: &mut Outbox) -> Result<(), End> {
    while outbox.len() < MAX_REPLIES {
        let Some(request) = inbox.next()? else { break };
        match request {
            Request::Register(_) => return Err(End::OutOfTurn),
            Request::Beat => outbox.push(frame(&Answer::Beat)),
            Request::WhoIsMissing => {
                let missing = seat.shared.floor.lock().hall.missing(seat.ticket);
                if let Some(missing) = missing {
                    outbox.push(frame(&Answer::Missing(missing)));
                }
            }
            Request::Abort { rank, reason } => {
                let Ticket { epoch, process } = seat.ticket;
                warn!(epoch, process, rank, ?reason, "a rank failed");
                let mut floor = seat.shared.floor.lock();
                if floor.hall.abort(seat.ticket, rank, reason) {
                    floor.ring(epoch);
                }
            }
            Request::Leave => return Err(End::Left),
        }
    }
    Ok(())
}

/// Takes over what is new in the log. Returns how many processes the job has if there was any.
fn collect(seat: &Seat, cursor: &mut usize, outbox: &mut Outbox) -> usize {
    let floor = seat.shared.floor.lock();
    let news = floor.hall.news(seat.ticket, cursor);
    let population = floor.hall.job(seat.ticket).map_or(0, |job| job.population());
    drop(floor);
    let told = !news.is_empty();
    news.into_iter().for_each(|frame| outbox.push(frame));
    if told { population } else { 0 }
}
