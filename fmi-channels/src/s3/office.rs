//! What a process has of the channel: its mailbox, and what it writes for others.

use super::{
    bucket::Bucket,
    error::Trouble,
    keys::Keys,
    ledger::Ledger,
    link::S3Link,
    lookout::Lookout,
    outgoing::Outgoing,
    reader::{Reader, Request},
    receipts, runtime,
    schedule::Planner,
    tasks::Tasks,
};
use fmi_actors::{
    Node, Reason,
    channel::{DialError, Link},
};
use fmi_model::{polling::Hint, prices::Prices};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// How long the end of a process waits for what is being written and deleted.
const LINGER: Duration = Duration::from_secs(5);

/// The number of no link.
const NO_LINK: u64 = u64::MAX;

/// The channel of one process in one epoch.
#[derive(Debug)]
pub(super) struct Office {
    pub(super) bucket: Arc<Bucket>,
    pub(super) keys: Arc<Keys>,
    pub(super) hint: Hint,
    pub(super) looks: Planner,
    pub(super) prices: Prices,
    pub(super) own: u32,
    /// All processes of the job, and their ranks.
    pub(super) members: BTreeMap<u32, Vec<u32>>,
    pub(super) node: Weak<Node>,
    pub(super) tasks: Arc<Tasks>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) lookout: Lookout,
    /// So many wait for reports of what was read.
    pub(super) wants_reports: AtomicUsize,
    /// Something was read.
    pub(super) room: Notify,
    /// Ranks that are lost.
    lost: Mutex<BTreeSet<u32>>,
    out: Mutex<HashMap<u32, Writing>>,
    /// What S3 refused for good.
    refused: Mutex<Option<Trouble>>,
    /// Wakes the reader.
    pub(super) attention: Arc<Notify>,
    requests: Mutex<Vec<Request>>,
    stopped: AtomicBool,
    farewell: watch::Sender<bool>,
}

/// What is written for one process.
#[derive(Debug)]
struct Writing {
    outgoing: Arc<Outgoing>,
    link: Weak<S3Link>,
    /// A link has died: the store is asked whether it is there before there is another.
    failed: bool,
}

impl Office {
    /// Opens the mailbox.
    pub(super) fn open(
        bucket: Arc<Bucket>,
        keys: Keys,
        hint: Hint,
        looks: Planner,
        node: &Arc<Node>,
    ) -> Arc<Self> {
        let members = node.roster().members().iter();
        let members = members.map(|member| (member.process, member.ranks.clone())).collect();
        let office = Arc::new(Self {
            bucket,
            keys: Arc::new(keys),
            hint,
            looks,
            prices: node.meter().tariff().prices,
            own: node.process(),
            members,
            node: Arc::downgrade(node),
            tasks: Arc::default(),
            ledger: Arc::default(),
            lookout: Lookout::default(),
            wants_reports: AtomicUsize::new(0),
            room: Notify::new(),
            lost: Mutex::default(),
            out: Mutex::default(),
            refused: Mutex::default(),
            attention: Arc::default(),
            requests: Mutex::default(),
            stopped: AtomicBool::new(false),
            farewell: watch::Sender::new(false),
        });
        let attention = Arc::clone(&office.attention);
        node.on_awaited(Arc::new(move || attention.notify_one()));
        office.tasks.spawn(Reader::new(Arc::clone(&office)).run());
        office
    }

    /// Makes a link to a process, which is up as soon as the store answers.
    pub(super) async fn link(self: &Arc<Self>, to: u32) -> Result<Arc<S3Link>, DialError> {
        let node = self.node.upgrade().ok_or_else(|| DialError::soft("the process has ended"))?;
        let failed = self.out.lock().get(&to).is_some_and(|writing| writing.failed);
        self.check()?;
        if failed {
            let key = self.keys.mail(to, self.own, 0);
            let bucket = Arc::clone(&self.bucket);
            let answer = runtime::run(async move { Ok(bucket.has(&key).await) }).await;
            match answer.map_err(DialError::soft)? {
                Ok(_) => {}
                Err(trouble) if trouble.may_pass() => return Err(DialError::soft(trouble.reason)),
                Err(trouble) => self.refuse(&trouble),
            }
            self.check()?;
        }
        let mut out = self.out.lock();
        let writing = out.entry(to).or_insert_with(|| self.writing(to));
        // Until it has shown to be well; the first was seen to be when the channel was made.
        writing.failed = true;
        let link = S3Link::new(self, &node, Arc::clone(&writing.outgoing));
        writing.link = Arc::downgrade(&link);
        drop(out);
        self.tasks.spawn(Arc::clone(&link).write());
        self.tasks.spawn(receipts::look_for(Arc::clone(&link)));
        Ok(link)
    }

    fn writing(&self, to: u32) -> Writing {
        let (bucket, keys) = (Arc::clone(&self.bucket), Arc::clone(&self.keys));
        let outgoing = Outgoing::new(bucket, keys, Arc::clone(&self.ledger), self.own, to);
        Writing { outgoing: Arc::new(outgoing), link: Weak::new(), failed: false }
    }

    /// Writes to a process what it is owed, whether there is a link to it or not.
    pub(super) fn tell(self: &Arc<Self>, process: u32) {
        let outgoing = {
            let mut out = self.out.lock();
            let writing = out.entry(process).or_insert_with(|| self.writing(process));
            Arc::clone(&writing.outgoing)
        };
        self.tasks.spawn(async move {
            while let Some(left) = outgoing.left() {
                if outgoing.put(left).await.is_err() {
                    return;
                }
            }
            let object = outgoing.object(NO_LINK, &[]);
            // What fails is written the next time.
            let _ = outgoing.put(object).await;
        });
    }

    fn check(&self) -> Result<(), DialError> {
        match &*self.refused.lock() {
            Some(trouble) => Err(DialError { reason: trouble.reason.clone(), fatal: true }),
            None if self.is_stopped() => Err(DialError::soft("the process ends")),
            None => Ok(()),
        }
    }

    /// S3 will not have it: no link lives on, none comes up, and everybody learns at once, also who
    /// has no link.
    pub(super) fn refuse(&self, trouble: &Trouble) {
        self.refused.lock().get_or_insert_with(|| trouble.clone());
        for link in self.links() {
            link.kill(&trouble.reason);
        }
        let Some(node) = self.node.upgrade().filter(|_| !self.is_stopped()) else { return };
        for (process, ranks) in self.members.iter().filter(|(process, _)| **process != self.own) {
            let other = node.peer(*process).and_then(|peer| peer.link());
            // Who can be reached otherwise is not lost.
            if other.is_none_or(|link| link.channel() == super::NAME) {
                node.lose(ranks, &Reason::Unreachable(trouble.reason.clone()));
            }
        }
    }

    fn links(&self) -> Vec<Arc<S3Link>> {
        self.out.lock().values().filter_map(|writing| writing.link.upgrade()).collect()
    }

    /// The link to a process, dead or alive.
    pub(super) fn link_to(&self, process: u32) -> Option<Arc<S3Link>> {
        self.out.lock().get(&process)?.link.upgrade()
    }

    /// A process leaves: reads what it has left, then ends the link to it.
    pub(super) fn last_look(&self, process: u32) {
        self.ask(Request::LastLook(process));
    }

    fn ask(&self, request: Request) {
        self.requests.lock().push(request);
        self.attention.notify_one();
    }

    /// What the reader was asked since it asked last.
    pub(super) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock())
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Whether somebody waits until what was put on the shelf has been read.
    pub(super) fn wants_room(&self) -> bool {
        self.wants_reports.load(Ordering::Acquire) > 0 && !self.ledger.has_room()
    }

    /// Ranks have left, or are lost.
    pub(super) fn ranks_gone(&self, ranks: &[u32]) {
        let Some(node) = self.node.upgrade() else { return };
        for rank in ranks {
            let Some(process) = node.roster().host(*rank) else { continue };
            self.ledger.gone(process);
            // Who leaves in good order writes that himself, sooner or later.
            if !node.peer(process).is_some_and(|peer| peer.is_leaving()) {
                self.lost.lock().insert(*rank);
            }
        }
        self.room.notify_waiters();
    }

    /// Whether all ranks of a process are lost.
    pub(super) fn is_lost(&self, process: u32) -> bool {
        self.members.get(&process).is_some_and(|ranks| {
            let lost = self.lost.lock();
            ranks.iter().all(|rank| lost.contains(rank))
        })
    }

    /// A process is gone and reads no more.
    pub(super) fn gone(self: &Arc<Self>, process: u32) {
        let outgoing = self.out.lock().get(&process).map(|w| Arc::clone(&w.outgoing));
        if let Some(outgoing) = outgoing {
            self.tasks.spawn(async move { outgoing.delete_unread().await });
        }
    }

    /// The process ends: what it has said is written, what it leaves behind deleted.
    pub(super) fn stop(self: &Arc<Self>) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        self.attention.notify_one();
        self.room.notify_waiters();
        let office = Arc::clone(self);
        runtime::spawn(async move {
            office.clean_up().await;
            office.farewell.send_replace(true);
        });
    }

    /// Ready when everything is cleaned up after [`stop`](Self::stop).
    pub(super) async fn stopped(&self) {
        let _ = self.farewell.subscribe().wait_for(|said| *said).await;
    }

    async fn clean_up(&self) {
        // A node that is dropped without a word has nobody who waits for what it said.
        let orderly = self.node.upgrade().is_some();
        for link in self.links() {
            match orderly {
                true => link.close(),
                false => link.kill("the process ends"),
            }
        }
        if !self.tasks.ended(LINGER).await {
            tracing::debug!(
                "S3 is slow: something may stay behind until the bucket's rule takes it"
            );
        }
        if !orderly {
            let out: Vec<_> = self.out.lock().values().map(|w| Arc::clone(&w.outgoing)).collect();
            for outgoing in out {
                outgoing.delete_unread().await;
            }
        }
        self.farewell().await;
    }
}
