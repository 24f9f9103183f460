//! The mailbox of this process: a stream that others write, and its bell.
//!
//! The bell brings each letter itself, with its number in the stream. Who lost the bell's connection
//! subscribes again and then reads the stream from the last number on, so that nothing is missed.
//! What has been read is taken out of the stream.

use super::{
    answer::{entries, text},
    coding::{Kind, Letter, ValueFrame},
    connection::{Connection, Ear},
    keys::BoxKeys,
    office::Office,
    script,
    stamp::Stamp,
    trouble::Trouble,
};
use fmi_actors::{AlignedBuf, Node, frame::Frame, service::Service};
use parking_lot::Mutex;
use redis::{PushInfo, PushKind, Value, cmd};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// Letters and bytes after which what has been read is taken out. What is left is taken out when
/// the owner looks after the mailbox.
const TRIM_LETTERS: usize = 64;
const TRIM_BYTES: usize = 256 << 10;
/// How often the owner does so, at least.
const TICK: Duration = Duration::from_secs(1);
/// Letters of one answer when the stream is read.
const PAGE: usize = 64;
/// A server that says nothing for so long is dead.
const SILENT: Duration = Duration::from_secs(10);
/// How often a process that has no mailbox is asked to send again, a tick apart.
const REPLAY_TRIES: u32 = 15;
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Mailbox {
    keys: BoxKeys,
    shelf_bell: String,
    reading: Mutex<Reading>,
    /// There is something to do: the mailbox may be gone, or others are to send again.
    call: Notify,
    /// Who writes here.
    writers: Mutex<BTreeSet<u32>>,
    /// Who has said that it leaves. In this epoch it does not come back.
    ended: Mutex<BTreeSet<u32>>,
    /// Who is to send again, and how often that could not be said.
    replays: Mutex<BTreeMap<u32, u32>>,
    /// Values that are being read.
    fetching: AtomicUsize,
    bell: Mutex<Option<Connection>>,
    /// It is to be removed.
    over: AtomicBool,
    /// Nobody keeps it any more.
    kept: watch::Sender<bool>,
}

/// How far it has been read.
#[derive(Debug, Default)]
struct Reading {
    /// Which of the bell's connections counts.
    session: u64,
    /// The server of that connection does not have the mailbox any more.
    moved: bool,
    /// Letters come by the bell; until then they are read from the stream.
    live: bool,
    /// All up to this one have been read.
    last: Stamp,
    /// The last that the bell told of before it was live.
    missed: Stamp,
    /// Read, and still in the stream.
    letters: usize,
    bytes: usize,
    /// The mailbox has been made.
    begun: bool,
}

impl Mailbox {
    pub(super) fn new(keys: BoxKeys, shelf_bell: String) -> Self {
        Self {
            keys,
            shelf_bell,
            reading: Mutex::default(),
            call: Notify::new(),
            writers: Mutex::default(),
            ended: Mutex::default(),
            replays: Mutex::default(),
            fetching: AtomicUsize::new(0),
            bell: Mutex::default(),
            over: AtomicBool::new(false),
            kept: watch::Sender::new(true),
        }
    }

    /// Those who have written and have not said that they leave.
    pub(super) fn writers(&self) -> Vec<u32> {
        self.writers.lock().iter().copied().collect()
    }

    /// Whether a process has said that it leaves: its mailbox may still be there, but nobody reads it.
    pub(super) fn has_ended(&self, process: u32) -> bool {
        self.ended.lock().contains(&process)
    }

    /// Nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.fetching.load(Ordering::Acquire) == 0
    }

    /// Keeps the mailbox, on the service thread, until it is to be removed.
    pub(super) async fn keep(office: Weak<Office>) {
        let mut pause = FIRST_PAUSE;
        while let Some(office) = office.upgrade().filter(|office| !office.mailbox.is_over()) {
            let began = tokio::time::Instant::now();
            let mailbox = &office.mailbox;
            mailbox.kept.send_replace(false);
            let kept = mailbox.session(&office).await;
            mailbox.kept.send_replace(true);
            let Err(trouble) = kept else { return };
            if mailbox.is_over() {
                return;
            }
            tracing::info!(why = trouble.reason, "the mailbox's connection is lost");
            if trouble.is_lasting() {
                return office.broken(None, &trouble.reason);
            }
            if began.elapsed() > LAST_PAUSE {
                pause = FIRST_PAUSE;
            }
            drop(office);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// One connection's life. Ends with an error, or when the process leaves.
    async fn session(&self, office: &Arc<Office>) -> Result<(), Trouble> {
        let session = {
            let mut reading = self.reading.lock();
            reading.session += 1;
            (reading.moved, reading.live) = (false, false);
            reading.missed = Stamp::default();
            reading.session
        };
        let bell = office.hub.listen(self.keys.slot, ear(office, session)).await?;
        let kept = self.keep_live(office, &bell).await;
        if let Err(trouble) = &kept {
            office.hub.failed(&bell, trouble);
        }
        *self.bell.lock() = None;
        bell.cut();
        kept
    }

    async fn keep_live(&self, office: &Arc<Office>, bell: &Connection) -> Result<(), Trouble> {
        let mut subscribe = office.hub.subscribe();
        subscribe.arg(&self.keys.bell);
        soon(bell.ask(subscribe)).await?;
        // Of the shelf it is told over all servers of a cluster.
        let mut shelf = cmd("SUBSCRIBE");
        shelf.arg(&self.shelf_bell);
        soon(bell.ask(shelf)).await?;
        let caught_up = if self.reading.lock().begun {
            // What has gathered is not read over the bell: servers limit what waits for a connection
            // that subscribes, and would end it at each attempt to answer.
            let reader = office.hub.another(self.keys.slot, None).await?;
            let caught_up = async {
                self.check_last(office, &reader).await?;
                self.catch_up(office, bell, &reader).await
            };
            let caught_up = caught_up.await;
            reader.cut();
            caught_up
        } else {
            self.empty(office, bell).await?;
            self.catch_up(office, bell, bell).await
        };
        caught_up?;
        office.shelf.rung_all();
        let mut over = std::pin::pin!(bell.over());
        while !self.is_over() {
            // At any time since the subscription.
            if self.reading.lock().moved {
                return Err(Trouble::elsewhere("the cluster has moved the mailbox"));
            }
            self.ask_again(office).await;
            tokio::select! {
                () = &mut over => return Err(Trouble::cut("the server has closed it")),
                () = self.call.notified() => {}
                () = tokio::time::sleep(TICK.min(office.hub.target.ttl / 4)) => {
                    office.hub.check().await;
                }
            }
            self.open(office, bell).await?;
            self.trim(bell);
            office.shelf.refresh().await;
        }
        Ok(())
    }

    /// Takes away what a mailbox of this name holds, at the beginning.
    async fn empty(&self, office: &Office, bell: &Connection) -> Result<(), Trouble> {
        let mut delete = cmd("DEL");
        delete.arg(&self.keys.stream);
        if soon(bell.ask(delete)).await? != Value::Int(0) {
            // Left behind by a job that crashed; but somebody may have used it already.
            self.replay_all(office);
        }
        Ok(())
    }

    /// Makes the mailbox if there is none, and lets it live on.
    async fn open(&self, office: &Arc<Office>, bell: &Connection) -> Result<(), Trouble> {
        let mut open = cmd("EVAL");
        open.arg(script::OPEN.text).arg(1).arg(&self.keys.stream);
        open.arg(office.hub.target.ttl.as_millis() as u64);
        open.arg(super::coding::note(Kind::Open, office.process, office.epoch));
        let there = soon(bell.ask(open)).await? == Value::Int(1);
        let lost = {
            let mut reading = self.reading.lock();
            if !there {
                reading.last = Stamp::default();
            }
            !there && reading.begun
        };
        if lost {
            tracing::warn!("the store has forgotten the mailbox: all is sent again");
            self.replay_all(office);
            office.shelf.replenish();
        }
        Ok(())
    }

    /// The server may have been replaced by one that knows less.
    async fn check_last(&self, office: &Arc<Office>, reader: &Connection) -> Result<(), Trouble> {
        let mut info = cmd("XINFO");
        info.arg("STREAM").arg(&self.keys.stream);
        let last = match soon(reader.ask(info)).await {
            Ok(Value::Map(info)) => {
                let last = info.iter().find(|(key, _)| text(key) == Some(b"last-generated-id"));
                last.and_then(|(_, last)| Stamp::parse(text(last)?))
            }
            // It is gone, as is found next.
            Ok(_) => None,
            Err(trouble) if trouble.kind == super::trouble::TroubleKind::Cut => {
                return Err(trouble);
            }
            Err(_) => None,
        };
        if let Some(last) = last {
            let knows_less = {
                let mut reading = self.reading.lock();
                let less = last < reading.last;
                reading.last = reading.last.min(last);
                less
            };
            if knows_less {
                tracing::warn!("the store has forgotten the latest: it is sent again");
                self.replay_all(office);
                office.shelf.replenish();
            }
        }
        Ok(())
    }

    /// Makes the mailbox if there is none, and reads it until the bell is live.
    async fn catch_up(
        &self,
        office: &Arc<Office>,
        bell: &Connection,
        reader: &Connection,
    ) -> Result<(), Trouble> {
        self.open(office, bell).await?;
        self.reading.lock().begun = true;
        *self.bell.lock() = Some(bell.clone());
        loop {
            let (last, asked) = {
                let reading = self.reading.lock();
                (reading.last, reading.missed)
            };
            let entries = self.page(reader, last).await?;
            let full = entries.len() >= PAGE;
            for (stamp, letter) in entries {
                {
                    let mut reading = self.reading.lock();
                    reading.last = stamp;
                    reading.letters += 1;
                    reading.bytes += letter.len();
                }
                self.letter(office, &letter);
            }
            self.trim(bell);
            let mut reading = self.reading.lock();
            // What the bell told of before the question is in the answer, or gone for good: it was in
            // a mailbox that this one has replaced.
            if !full && reading.missed <= reading.last.max(asked) {
                reading.live = true;
                return Ok(());
            }
        }
    }

    /// Entries behind the last one.
    async fn page(
        &self,
        reader: &Connection,
        last: Stamp,
    ) -> Result<Vec<(Stamp, Vec<u8>)>, Trouble> {
        let mut range = cmd("XRANGE");
        range.arg(&self.keys.stream).arg(format!("({last}")).arg("+").arg("COUNT").arg(PAGE);
        entries(soon(reader.ask(range)).await?)
            .ok_or_else(|| Trouble::lasting("a mailbox's entries are not fmi's"))
    }

    /// The bell will not ring any more over a connection: the cluster has moved the mailbox.
    fn moved(&self, session: u64) {
        let mut reading = self.reading.lock();
        if reading.session == session {
            reading.moved = true;
            self.call.notify_one();
        }
    }

    /// The bell rang.
    fn rung(&self, office: &Arc<Office>, session: u64, ring: &[u8]) {
        let Some(at) = ring.iter().position(|byte| *byte == b'\n') else {
            // Somebody has found no mailbox.
            return self.call.notify_one();
        };
        let (stamp, letter) = (Stamp::parse(&ring[..at]), &ring[at + 1..]);
        let Some(stamp) = stamp else {
            return office.broken(None, "something else uses the channel of a mailbox");
        };
        let full = {
            let mut reading = self.reading.lock();
            if reading.session != session {
                return;
            }
            if !reading.live {
                reading.missed = reading.missed.max(stamp);
                return;
            }
            if stamp <= reading.last {
                return;
            }
            reading.last = stamp;
            reading.letters += 1;
            reading.bytes += letter.len();
            reading.letters >= TRIM_LETTERS || reading.bytes >= TRIM_BYTES
        };
        self.letter(office, letter);
        if full && let Some(bell) = self.bell.lock().clone() {
            self.trim(&bell);
        }
    }

    /// Takes what has been read out of the stream.
    fn trim(&self, bell: &Connection) {
        let last = {
            let mut reading = self.reading.lock();
            if std::mem::take(&mut reading.letters) == 0 {
                return;
            }
            reading.bytes = 0;
            reading.last
        };
        let mut trim = cmd("XTRIM");
        trim.arg(&self.keys.stream).arg("MINID").arg(last.next().to_string());
        // What is not taken out now is taken out later.
        bell.send(trim, |_| ());
    }

    /// Delivers a letter.
    fn letter(&self, office: &Arc<Office>, bytes: &[u8]) {
        let Some(node) = office.node.upgrade() else { return self.discard(office, bytes) };
        let foreign = |process, why: &dyn std::fmt::Display| {
            office.broken(process, &format!("in the mailbox there is a letter that is {why}"))
        };
        let mut letter = match Letter::read(bytes) {
            Ok(letter) => letter,
            Err(why) => return foreign(None, &why),
        };
        let from = letter.from;
        if from == office.process {
            return;
        }
        if letter.epoch != office.epoch || node.peer(from).is_none() {
            return foreign(None, &"not of this job");
        }
        self.writers.lock().insert(from);
        match letter.kind {
            Kind::Open => {}
            Kind::Frames => loop {
                match letter.frame() {
                    Ok(Some(frame)) => deliver(office, &node, from, frame, None),
                    Ok(None) => return,
                    Err(why) => return foreign(Some(from), &why),
                }
            },
            Kind::Value => match letter.value() {
                Ok(value) => self.fetch(office, from, value),
                Err(why) => foreign(Some(from), &why),
            },
            Kind::Replay => office.end_links(from, "the other side asks for all again"),
            Kind::End => {
                self.writers.lock().remove(&from);
                self.ended.lock().insert(from);
                office.end_links(from, "the other side has left");
            }
        }
    }

    /// Nobody is here any more to read a letter: the value that it tells of is deleted.
    fn discard(&self, office: &Arc<Office>, bytes: &[u8]) {
        if let Ok(letter) = Letter::read(bytes)
            && letter.kind == Kind::Value
            && let (from, Ok(value)) = (letter.from, letter.value())
        {
            office.doubt(self.keys.value(from, value.number), self.keys.slot);
        }
    }

    /// Reads a value, and deletes it.
    fn fetch(&self, office: &Arc<Office>, from: u32, value: ValueFrame) {
        self.fetching.fetch_add(1, Ordering::AcqRel);
        let mut get = cmd("GETDEL");
        get.arg(self.keys.value(from, value.number));
        let reader = Arc::clone(office);
        let bytes = value.header.length as usize;
        office.long.begin(bytes);
        let then = move |answer| {
            reader.long.end(bytes);
            reader.mailbox.fetched(&reader, from, &value, answer);
            reader.mailbox.fetching.fetch_sub(1, Ordering::AcqRel);
        };
        if let Some(connection) = office.hub.live(self.keys.slot) {
            return connection.send(get, then);
        }
        let office = Arc::clone(office);
        Service::get().spawn(async move {
            match office.hub.connection(office.mailbox.keys.slot).await {
                Ok(connection) => connection.send(get, then),
                Err(trouble) => then(Err(trouble)),
            }
        });
    }

    fn fetched(
        &self,
        office: &Arc<Office>,
        from: u32,
        value: &ValueFrame,
        answer: Result<Value, Trouble>,
    ) {
        let Some(node) = office.node.upgrade() else { return };
        let altered = |why: &dyn std::fmt::Display| {
            let key = self.keys.value(from, value.number);
            office.broken(Some(from), &format!("the value {key} is {why}"));
        };
        let payload = match answer {
            Ok(Value::BulkString(payload)) => payload,
            Ok(Value::Nil) => return self.replay(from),
            Ok(_) => return altered(&"of another kind"),
            Err(trouble) if trouble.is_lasting() => return altered(&trouble.reason),
            // It may be read and deleted, or not.
            Err(_) => {
                office.doubt(self.keys.value(from, value.number), self.keys.slot);
                return self.replay(from);
            }
        };
        if let Err(why) = value.check(&payload) {
            return altered(&why);
        }
        let (header, signature) = (value.header, value.signature);
        let (mut buf, in_place) = match node.place(from, &header) {
            Some(buf) => (buf, true),
            None => match AlignedBuf::with_capacity(payload.len(), header.datatype.align()) {
                Ok(buf) => (buf, false),
                Err(error) => return office.broken(Some(from), &error.to_string()),
            },
        };
        buf.extend(&payload);
        let (payload, place) = match in_place {
            true => (fmi_actors::Payload::empty(), Some(buf)),
            false => (buf.into(), None),
        };
        deliver(office, &node, from, Frame { header, signature, payload }, place);
    }

    /// A process is to send again what it has sent here.
    fn replay(&self, process: u32) {
        self.replays.lock().insert(process, 0);
        self.call.notify_one();
    }

    /// The store has forgotten, nobody knows what: all is sent again, both ways.
    fn replay_all(&self, office: &Office) {
        let Some(node) = office.node.upgrade() else { return };
        for member in node.roster().members() {
            if member.process != office.process {
                self.replays.lock().insert(member.process, 0);
                office.end_links(member.process, "the store has forgotten its mailbox");
            }
        }
    }

    /// Tells those who are to send again. Who has no mailbox may be about to make it anew.
    async fn ask_again(&self, office: &Office) {
        let replays = std::mem::take(&mut *self.replays.lock());
        for (process, tries) in replays {
            let posted = office.post(Kind::Replay, process).await;
            if !matches!(posted, Ok(true)) && tries < REPLAY_TRIES {
                self.replays.lock().entry(process).or_insert(tries + 1);
            }
        }
    }

    /// Deletes the mailbox and what waits in it. Nobody makes it again. The caller limits the time.
    pub(super) async fn remove(&self, office: &Arc<Office>) -> Result<(), Trouble> {
        self.over.store(true, Ordering::Release);
        self.call.notify_one();
        let _ = self.kept.subscribe().wait_for(|kept| *kept).await;
        let last = {
            let mut reading = self.reading.lock();
            reading.session += 1;
            reading.last
        };
        // Who writes now finds no mailbox, and deletes its values itself.
        let away = format!("{}:left", self.keys.stream);
        let mut rename = cmd("RENAME");
        rename.arg(&self.keys.stream).arg(&away);
        match office.insist(self.keys.slot, &rename).await {
            Err(trouble) if trouble.reason.contains("no such key") => return Ok(()),
            renamed => renamed.map(drop)?,
        }
        let mut delete = cmd("DEL");
        delete.arg(&away);
        let mut range = cmd("XRANGE");
        range.arg(&away).arg(format!("({last}")).arg("+");
        let left = entries(office.insist(self.keys.slot, &range).await?).unwrap_or_default();
        for (_, letter) in &left {
            if let Ok(letter) = Letter::read(letter)
                && letter.kind == Kind::Value
                && let (from, Ok(value)) = (letter.from, letter.value())
            {
                delete.arg(self.keys.value(from, value.number));
            }
        }
        office.insist(self.keys.slot, &delete).await.map(drop)
    }
}

/// What hears the pushes of one of the bell's connections.
fn ear(office: &Arc<Office>, session: u64) -> Ear {
    let office = Arc::downgrade(office);
    Box::new(move |info: PushInfo| {
        let Some(office) = office.upgrade() else { return };
        match (info.kind, &info.data[..]) {
            (
                PushKind::Message | PushKind::SMessage,
                [Value::BulkString(channel), Value::BulkString(ring)],
            ) => match *channel == office.mailbox.keys.bell.as_bytes() {
                true => office.mailbox.rung(&office, session, ring),
                false => office.shelf.rung(ring),
            },
            (PushKind::SUnsubscribe, _) => office.mailbox.moved(session),
            _ => {}
        }
    })
}

fn deliver(office: &Office, node: &Node, from: u32, frame: Frame, place: Option<AlignedBuf>) {
    if let Err(violation) = node.accept(from, super::PATH, frame, place) {
        office.broken(Some(from), &format!("a process does not keep to the protocol: {violation}"));
    }
}

/// The answer, unless the server says nothing.
async fn soon(answer: impl Future<Output = Result<Value, Trouble>>) -> Result<Value, Trouble> {
    let answer = tokio::time::timeout(SILENT, answer).await;
    answer.unwrap_or_else(|_| Err(Trouble::cut("the server does not answer")))
}
