//! One connection to the rendezvous: who it is, what it asks and what it is told.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use fmi_actors::codec;
use tokio::{
    io::{AsyncWriteExt, split},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, watch},
    time::{sleep_until, timeout},
};
use tracing::{debug, info, warn};

use super::{
    bucket::Bucket,
    counts::count,
    floor::{Bells, Shared},
    hall::Ticket,
    job::{Departure, Job},
    protocol::{Answer, MAX_REQUEST, Refusal, Registered, Request},
    pulse::{Death, Pulse},
    relay::{self, Hello, Relayed},
    server::FLUSH,
    stream::Stream,
    tls,
    wire::{BadFrame, Inbox, Outbox, frame},
};
use crate::handshake::{self, Failure, Purpose};

/// Serves a connection until it ends.
pub(super) async fn serve(
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    mut closing: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let admitted = tokio::select! {
        admitted = timeout(shared.options.handshake, admit(&shared, stream, peer)) => admitted,
        _ = closing.wait_for(|closing| *closing) => return,
    };
    drop(permit);
    let end = match admitted {
        Err(_) => End::Slow,
        Ok(Err(end)) => end,
        Ok(Ok(Admitted::Relayed(stream, hello, place))) => {
            return relay::serve(&shared, stream, hello, place, closing).await;
        }
        Ok(Ok(Admitted::Process(mut stream, seat, inbox, outbox))) => {
            let ticket = seat.ticket;
            let end = attend(seat, inbox, outbox, &mut stream, closing).await;
            let Ticket { epoch, process } = ticket;
            match end {
                End::Left | End::Closing => debug!(%peer, epoch, process, "process: {end}"),
                _ => {
                    count(&shared.counts.died, 1);
                    warn!(%peer, epoch, process, "process is gone: {end}");
                }
            }
            return;
        }
    };
    match end {
        End::Refused(_) => count(&shared.counts.refused, 1),
        _ => count(&shared.counts.strangers, 1),
    }
    warn!(%peer, "connection dropped: {end}");
}

/// Said to a process that comes without TLS where there is a certificate.
const ENCRYPTED: &str = "it is encrypted: write tls:// instead of tcp:// in FMI_RENDEZVOUS";
/// Replies that may wait for a client to read. With so many, nothing more is read from it.
const MAX_REPLIES: usize = 64;
/// A connection writes a job's news at most once in this time a process. With thousands of
/// processes that leave together, each is so told of hundreds at once, not one by one.
const PACE: Duration = Duration::from_micros(20);
/// Up to this pace nobody waits at all.
const NO_PACE: Duration = Duration::from_millis(1);
/// Notes that a process may send at once, and in a second: enough to call a thousand others, and to
/// answer them.
const NOTES: (u32, u32) = (4096, 1024);

/// A process' place in the hall, given back whatever ends the connection.
struct Seat {
    shared: Arc<Shared>,
    ticket: Ticket,
    bells: Bells,
    /// Of the notes that it may send.
    notes: Bucket,
    how: Departure,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.floor.lock().depart(self.ticket, self.how);
    }
}

/// What a connection is for.
enum Admitted {
    Process(Stream, Box<Seat>, Inbox, Outbox),
    Relayed(TcpStream, Hello, Relayed),
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
    #[error("it wants TLS, and there is no certificate")]
    Tls,
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
    #[error("its job has not become complete for long")]
    Incomplete,
    #[error("the rendezvous ends")]
    Closing,
}

/// Handshake, and registration if it is a process' own connection.
async fn admit(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) -> Result<Admitted, End> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    let certificate = shared.options.certificate.as_ref();
    let mut stream = match certificate.filter(|_| first == [tls::RECORD]) {
        Some(certificate) => Stream::Tls(Box::new(certificate.accept(stream).await?)),
        None => Stream::Plain(stream),
    };
    if first == [tls::RECORD] && certificate.is_none() {
        stream.write_all(&tls::REFUSAL).await?;
        stream.shutdown().await?;
        return Err(End::Tls);
    }
    let plain = matches!(stream, Stream::Plain(_));
    let mut relayed = None;
    let judge = |hello: &[u8]| {
        if hello.is_empty() && plain && certificate.is_some() {
            return Err(ENCRYPTED.to_owned());
        }
        if !hello.is_empty() && !plain {
            return Err("what is relayed needs no second encryption".to_owned());
        }
        if !hello.is_empty() {
            let hello = codec::decode(hello).map_err(|error| error.to_string())?;
            relayed = Some((hello, relay::enter(shared, hello)?));
        }
        Ok(Vec::new())
    };
    handshake::accepting(&mut stream, Purpose::Rendezvous, &shared.token, judge).await?;
    let mut stream = match (relayed, stream) {
        (Some((hello, place)), Stream::Plain(stream)) => {
            count(&shared.counts.joined, 1);
            return Ok(Admitted::Relayed(stream, hello, place));
        }
        (_, stream) => stream,
    };
    let mut inbox = Inbox::new(MAX_REQUEST);
    let registration = loop {
        match inbox.next()? {
            Some(Request::Register(registration)) => break registration,
            Some(_) => return Err(End::OutOfTurn),
            None if inbox.read(&mut stream).await? == 0 => return Err(End::Closed),
            None => {}
        }
    };
    let observed = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let job = registration.job.clone();
    let size = registration.size;
    let entered = {
        let mut floor = shared.floor.lock();
        let entered = floor.hall.register(*registration, observed, Instant::now());
        let entered = entered.map(|(ticket, admitted)| {
            let bells = floor.bells(ticket);
            let size = floor.hall.job(ticket).map_or(0, |job| job.full());
            let complete = floor.hall.job(ticket).is_some_and(|job| job.is_complete());
            (ticket, admitted, bells, size, complete)
        });
        floor.ring_stirred();
        entered
    };
    let (ticket, admitted, bells, size, complete) = match entered {
        Ok(entered) => entered,
        Err(refusal) => {
            debug!(%peer, job, ?size, "refused: {refusal}");
            stream.write_all(&frame(&Answer::Refused(refusal.clone()))).await?;
            stream.shutdown().await?;
            return Err(End::Refused(refusal));
        }
    };
    let notes = Bucket::new(NOTES.0, NOTES.1, Instant::now());
    let seat = Seat { shared: shared.clone(), ticket, bells, notes, how: Departure::Died };
    let Ticket { epoch, process } = ticket;
    debug!(%peer, job, epoch, process, ranks = admitted.ranks.len(), "process registered");
    count(&shared.counts.registered, 1);
    if complete {
        count(&shared.counts.completed, 1);
        info!(job, epoch, size, "job is complete");
    }
    let mut outbox = Outbox::default();
    outbox.push(frame(&Answer::Registered(Registered {
        process,
        epoch,
        incarnation: admitted.incarnation,
        ranks: admitted.ranks,
        size,
        observed,
        mirrors: shared.ports.clone(),
        silent: shared.options.silent,
    })));
    Ok(Admitted::Process(stream, Box::new(seat), inbox, outbox))
}

/// Serves a registered process until its connection ends.
async fn attend(
    mut seat: Box<Seat>,
    mut inbox: Inbox,
    mut outbox: Outbox,
    stream: &mut Stream,
    mut closing: watch::Receiver<bool>,
) -> End {
    let (mut reader, mut writer) = split(stream);
    let silent = seat.shared.options.silent;
    let mut pulse = Pulse::new(silent, Instant::now());
    let mut cursor = 0;
    // Whether to look into the log, and from when on.
    let (mut look, mut quiet_until) = (true, Instant::now());
    // Until when the job is waited for.
    let mut patience = Instant::now().checked_add(seat.shared.options.incomplete);
    // When the job, if it forms anew, goes on with those who are there.
    let mut due = None;
    // Whether there may be notes.
    let mut told = false;
    let letters = Arc::clone(&seat.bells.letters);
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
        if told && outbox.is_empty() {
            // As much as one write takes.
            let some = seat.shared.floor.lock().letters(seat.ticket, MAX_REPLIES);
            told = !some.is_empty();
            some.into_iter().for_each(|letter| outbox.push(letter));
        }
        if due.is_some_and(|due| due <= now) {
            let mut floor = seat.shared.floor.lock();
            floor.hall.expire(seat.ticket, now);
            floor.ring_stirred();
            due = floor.hall.due(seat.ticket);
        }
        if patience.is_some_and(|patience| patience <= now) {
            let job = seat.shared.floor.lock().hall.job(seat.ticket).map(Job::is_complete);
            if job != Some(true) {
                break End::Incomplete;
            }
            patience = None;
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
            _ = seat.bells.news.changed(), if !look => look = true,
            () = letters.notified(), if !told => told = true,
            _ = closing.wait_for(|closing| *closing) => break End::Closing,
            () = sleep_until([due, patience].into_iter().flatten().fold(wake, Instant::min).into()) => match pulse.check(Instant::now()) {
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
            Request::Tell { to, channel, note } => {
                let Ticket { epoch, process } = seat.ticket;
                let lost = match seat.notes.take(Instant::now()) {
                    true => seat.shared.floor.lock().tell(seat.ticket, to, channel, note),
                    false => 1,
                };
                let counts = &seat.shared.counts;
                count(&counts.notes, 1);
                count(&counts.lost, lost);
                if lost > 0 {
                    debug!(epoch, process, to, lost, "notes got lost");
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
