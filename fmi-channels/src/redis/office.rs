//! What a process has in the store once it has its place in the job: its mailbox, its links to
//! those of others, its part of the shelf.

use super::{
    coding::{Kind, note},
    hub::Hub,
    keys::Keys,
    link::RedisLink,
    long::LongValues,
    mailbox::Mailbox,
    script,
    shelf::Shelf,
    trouble::Trouble,
};
use fmi_actors::{
    Node, Reason,
    channel::{DialError, Link},
};
use parking_lot::Mutex;
use redis::{Cmd, Value, cmd};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// How long leaving waits for what is under way.
const PATIENCE: Duration = Duration::from_secs(2);
/// Values that may be there or not which a process remembers.
const DOUBTS: usize = 4096;
/// Between tries to delete what is left.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Office {
    pub(super) hub: Arc<Hub>,
    pub(super) keys: Keys,
    pub(super) node: Weak<Node>,
    pub(super) process: u32,
    pub(super) epoch: u32,
    pub(super) mailbox: Mailbox,
    pub(super) long: LongValues,
    pub(super) shelf: Arc<Shelf>,
    /// Of the last value.
    values: AtomicU64,
    links: Mutex<Vec<Arc<RedisLink>>>,
    doubts: Mutex<VecDeque<(String, u16)>>,
    leaving: AtomicBool,
    left: watch::Sender<bool>,
}

impl Office {
    pub(super) fn new(
        hub: &Arc<Hub>,
        job: &str,
        node: &Arc<Node>,
        shelf: &Arc<Shelf>,
    ) -> Arc<Self> {
        let keys = Keys::new(job, node.epoch());
        let mailbox = Mailbox::new(keys.mailbox(node.process()), keys.shelf_bell());
        Arc::new(Self {
            hub: Arc::clone(hub),
            mailbox,
            long: LongValues::default(),
            keys,
            node: Arc::downgrade(node),
            process: node.process(),
            epoch: node.epoch(),
            shelf: Arc::clone(shelf),
            values: AtomicU64::new(0),
            links: Mutex::default(),
            doubts: Mutex::default(),
            leaving: AtomicBool::new(false),
            left: watch::Sender::new(false),
        })
    }

    /// Links to a process. On the service thread.
    pub(super) async fn dial(
        self: &Arc<Self>,
        process: u32,
        quality: u16,
    ) -> Result<(), DialError> {
        if self.leaving.load(Ordering::Acquire) {
            return Err(DialError::soft("this process is leaving"));
        }
        let link = RedisLink::begin(self, process).await?;
        let node = self.node.upgrade().ok_or_else(|| DialError::soft("the process has ended"))?;
        let peer = node.peer(process).ok_or_else(|| DialError::soft("no such process"))?;
        self.links.lock().push(Arc::clone(&link));
        // Its end came first: nothing would ever end this link.
        if self.mailbox.has_ended(process) {
            let left = Trouble::passing("it has left");
            link.kill(&left);
            return Err(left.into());
        }
        link.watch_connection();
        peer.attach(link.clone(), peer.next_rank(self.process, quality));
        Ok(())
    }

    pub(super) fn forget_link(&self, link: &Arc<RedisLink>) {
        self.links.lock().retain(|other| !Arc::ptr_eq(other, link));
    }

    pub(super) fn next_value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The links to a process, which end.
    pub(super) fn end_links(&self, process: u32, why: &str) {
        let links: Vec<_> = {
            let links = self.links.lock();
            links.iter().filter(|link| link.process() == process).map(Arc::clone).collect()
        };
        links.iter().for_each(|link| link.kill(&Trouble::passing(why)));
    }

    /// The process that a letter says it is from has lost its way: what it sends makes no sense.
    pub(super) fn broken(&self, process: Option<u32>, reason: &str) {
        let Some(node) = self.node.upgrade().filter(|node| !node.is_closing()) else { return };
        let reason = format!("{}: {reason}", self.hub.target);
        tracing::error!(reason, "the store's content cannot be trusted");
        for member in node.roster().members() {
            let meant = process.is_none_or(|process| process == member.process);
            if meant && member.process != self.process {
                node.lose(&member.ranks, &Reason::Error(reason.clone()));
            }
        }
    }

    /// Writes a letter without a body to a process; whether it has a mailbox.
    pub(super) async fn post(&self, kind: Kind, process: u32) -> Result<bool, Trouble> {
        let to = self.keys.mailbox(process);
        let connection = self.hub.connection(to.slot).await?;
        let mut post = cmd("EVALSHA");
        post.arg(script::POST.hash()).arg(1).arg(&to.stream);
        post.arg(note(kind, self.process, self.epoch)).arg(&to.bell).arg(self.hub.publish());
        let answer = connection.ask(post).await;
        let answer = answer.inspect_err(|trouble| self.hub.failed(&connection, trouble))?;
        Ok(answer != redis::Value::Nil)
    }

    /// Leaves nothing behind. On the service thread.
    pub(super) async fn leave(self: Arc<Self>) {
        if self.leaving.swap(true, Ordering::AcqRel) {
            return;
        }
        let linked: BTreeSet<_> = self.links.lock().iter().map(|link| link.process()).collect();
        let quiet = async {
            while !self.links.lock().is_empty() || !self.mailbox.is_quiet() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, quiet).await.is_err() {
            let links = self.links.lock().clone();
            links.iter().for_each(|link| link.close());
        }
        let end = async {
            for process in
                self.mailbox.writers().into_iter().filter(|other| !linked.contains(other))
            {
                if let Err(trouble) = self.post(Kind::End, process).await {
                    tracing::debug!(process, why = trouble.reason, "not told of our end");
                }
            }
            self.shelf.clear().await;
            if let Err(trouble) = self.mailbox.remove(&self).await {
                tracing::warn!(why = trouble.reason, "what is left in the store goes by itself");
            }
            // The last letters may have brought more.
            self.delete_doubts().await;
        };
        let _ = tokio::time::timeout(PATIENCE, end).await;
        self.hub.end();
        self.left.send_replace(true);
    }

    /// A value may be there or not, and nobody will read it: it is deleted when the process leaves, if
    /// its time is not over before.
    pub(super) fn doubt(&self, key: String, slot: u16) {
        let mut doubts = self.doubts.lock();
        if doubts.len() >= DOUBTS {
            doubts.pop_front();
        }
        doubts.push_back((key, slot));
    }

    /// Deletes what may have been left behind. The caller limits the time.
    async fn delete_doubts(&self) {
        let doubts = std::mem::take(&mut *self.doubts.lock());
        for (key, slot) in doubts {
            let mut delete = cmd("DEL");
            delete.arg(key);
            let _ = self.insist(slot, &delete).await;
        }
    }

    /// Asks until there is an answer or trouble that lasts. The caller limits the time.
    pub(super) async fn insist(&self, slot: u16, command: &Cmd) -> Result<Value, Trouble> {
        loop {
            let answer = match self.hub.connection(slot).await {
                Ok(connection) => {
                    let answer = connection.ask(command.clone()).await;
                    answer.inspect_err(|trouble| self.hub.failed(&connection, trouble))
                }
                Err(trouble) => Err(trouble),
            };
            match answer {
                Err(trouble) if !trouble.is_lasting() => tokio::time::sleep(PAUSE).await,
                answer => return answer,
            }
        }
    }

    /// Waits until it has left.
    pub(super) async fn left(&self) {
        let _ = self.left.subscribe().wait_for(|left| *left).await;
    }
}
