//! Reads a process's mailbox: looks for those whom its ranks wait for, as often as the model says,
//! and for all others now and then.
//!
//! One GET asks for the next object of one process. If many are waited for, or anybody, one LIST of
//! the mailbox tells of all; what it shows may be old, so that it is only a hint of what to get,
//! and whom it never shows is asked for directly now and then. Objects are taken in any order, and
//! deleted in order: whoever wrote them looks for the last one only.

use super::{
    counts::SPACE,
    error::{Kind as TroubleKind, Trouble},
    link::PATH,
    mail::{self, Before, MOST},
    object::{Content, Kind},
    office::Office,
    schedule::Looks,
    source::Source,
};
use fmi_actors::{Awaited, Node, Reason, frame::Space};
use fmi_model::polling::cheaper_by_list;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// GETs under way at once.
const GETS: usize = 32;
/// In a row, that many LISTs are believed.
const LISTS: u32 = 8;
/// The pause between looks that nobody waits for grows to this many times the first.
const SELDOM: u32 = 12;
/// Pause after a failure that may pass.
const TROUBLED: Duration = Duration::from_secs(1);

/// What others ask of the reader.
#[derive(Debug)]
pub(super) enum Request {
    /// A process leaves: read what it has left, then end the link to it.
    LastLook(u32),
}

/// Reads the mailbox of a process.
#[derive(Debug)]
pub(super) struct Reader {
    office: Arc<Office>,
    sources: BTreeMap<u32, Source>,
    awaited: Awaited,
    /// Looks at the whole mailbox, for somebody who waits.
    lists: Looks,
    listing: bool,
    /// LISTs since all that are waited for were asked for directly.
    believed: u32,
    /// When to look at the whole mailbox for those whom nobody waits for, and the pause after.
    seldom: (Instant, Duration),
    /// To be read: from whom, which.
    queue: VecDeque<(u32, u64)>,
    gets: usize,
}

/// What a request brought.
enum Brought {
    Object(u32, u64, Result<Option<Content>, Trouble>),
    List(Result<Vec<String>, Trouble>),
}

type Requests = FuturesUnordered<BoxFuture<'static, (Brought, Duration)>>;

impl Reader {
    pub(super) fn new(office: Arc<Office>) -> Self {
        let pause = office.bucket.options.seldom;
        Self {
            sources: BTreeMap::new(),
            awaited: Awaited::default(),
            lists: Looks::new(&office.looks, None),
            listing: false,
            believed: 0,
            seldom: (Instant::now() + pause, pause),
            queue: VecDeque::new(),
            gets: 0,
            office,
        }
    }

    /// Until the process ends.
    pub(super) async fn run(mut self) {
        let mut requests = Requests::new();
        loop {
            let Some(node) = self.office.node.upgrade().filter(|_| !self.office.is_stopped())
            else {
                return;
            };
            self.awaited = node.awaited();
            self.awaited.anybody |= self.office.wants_room();
            drop(node);
            for Request::LastLook(process) in self.office.requests() {
                self.source(process).leaves();
            }
            let next = self.look(&mut requests);
            let attention = Arc::clone(&self.office.attention);
            let idle = requests.is_empty();
            tokio::select! {
                Some((brought, took)) = requests.next(), if !idle => self.take(brought, took),
                () = attention.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    fn source(&mut self, process: u32) -> &mut Source {
        let looks = &self.office.looks;
        self.sources.entry(process).or_insert_with(|| Source::new(looks))
    }

    /// Whether one LIST tells of all that are waited for.
    fn by_list(&self) -> bool {
        self.awaited.anybody || cheaper_by_list(self.awaited.processes.len(), &self.office.prices)
    }

    /// Begins the requests that are due; when the next ones are.
    fn look(&mut self, requests: &mut Requests) -> Instant {
        let now = Instant::now();
        let mut next = self.seldom.0;
        let by_list = self.by_list();
        if by_list && !self.listing {
            let due = self.lists.due();
            if due <= now {
                self.list(requests);
            } else {
                next = next.min(due);
            }
        } else if !by_list {
            self.lists.give_up();
            self.believed = 0;
        }
        if self.seldom.0 <= now && !self.listing {
            self.list(requests);
        }
        if self.seldom.0 <= now {
            let pause = match self.awaited.is_nobody() {
                true => (self.seldom.1 * 2).min(self.office.bucket.options.seldom * SELDOM),
                false => self.office.bucket.options.seldom,
            };
            self.seldom = (now + pause, pause);
            next = next.min(self.seldom.0);
        }
        if !by_list {
            for process in self.awaited.processes.clone() {
                self.source(process);
            }
        }
        let mut ask = Vec::new();
        for (process, source) in &mut self.sources {
            let awaited = !by_list && self.awaited.includes(*process);
            if !awaited && !source.is_leaving() {
                source.give_up();
            } else if let Some(due) = source.due() {
                if due <= now {
                    ask.extend(source.ask_next().map(|number| (*process, number)));
                } else {
                    next = next.min(due);
                }
            }
        }
        // They are waited for: before what was only found.
        ask.into_iter().for_each(|asked| self.queue.push_front(asked));
        while self.gets < GETS
            && let Some((process, number)) = self.queue.pop_front()
        {
            self.get(process, number, requests);
        }
        next
    }

    fn get(&mut self, process: u32, number: u64, requests: &mut Requests) {
        self.gets += 1;
        let office = Arc::clone(&self.office);
        let begun = Instant::now();
        let get = async move {
            let key = office.keys.mail(office.own, process, number);
            let read = office.bucket.read(Kind::Mail, &key, MOST);
            let got = SPACE.scope(Some(Space::messages(0)), read).await;
            (Brought::Object(process, number, got), begun.elapsed())
        };
        requests.push(get.boxed());
    }

    fn list(&mut self, requests: &mut Requests) {
        self.listing = true;
        let office = Arc::clone(&self.office);
        let begun = Instant::now();
        let list = async move {
            let listed = office.bucket.list_all(&office.keys.mailbox(office.own)).await;
            (Brought::List(listed), begun.elapsed())
        };
        requests.push(list.boxed());
    }

    fn take(&mut self, brought: Brought, took: Duration) {
        match brought {
            Brought::Object(process, number, got) => {
                self.gets -= 1;
                self.source(process).came(number, took);
                match got {
                    Ok(Some(content)) => self.object(process, number, content),
                    Ok(None) => self.nothing(process, number),
                    Err(trouble) if trouble.kind == TroubleKind::Foreign => {
                        self.foreign(process, number, &trouble.reason);
                    }
                    Err(trouble) => {
                        self.source(process).troubled(TROUBLED);
                        self.trouble(&trouble);
                    }
                }
            }
            Brought::List(listed) => {
                self.listing = false;
                self.lists.took(took);
                match listed {
                    Ok(keys) => self.listed(&keys),
                    Err(trouble) => {
                        self.trouble(&trouble);
                        self.lists.put_off(TROUBLED);
                    }
                }
            }
        }
    }

    fn trouble(&self, trouble: &Trouble) {
        if trouble.may_pass() {
            tracing::warn!(reason = %trouble.reason, "cannot read the mailbox now");
        } else {
            self.office.refuse(trouble);
        }
    }

    fn nothing(&mut self, process: u32, number: u64) {
        let source = self.source(process);
        if source.missed(number) {
            // It has said all that it had to say.
            if let Some(link) = self.office.link_to(process) {
                link.kill("the other process has left");
            }
            self.office.gone(process);
        }
    }

    fn object(&mut self, process: u32, number: u64, content: Content) {
        let Some(node) = self.office.node.upgrade() else { return };
        if !self.source(process).is_new(number) {
            return;
        }
        match mail::deliver(content, &node, process, PATH) {
            Ok(Before { again, reports }) => {
                reports.into_iter().for_each(|report| self.office.was_read(report));
                let by_list = self.by_list();
                let source = self.source(process);
                let mut read = source.taken(number);
                read.extend(again.into_iter().filter(|number| source.is_read(*number)));
                if !by_list {
                    let ahead = source.ask_ahead();
                    self.queue.extend(ahead.into_iter().map(|number| (process, number)));
                }
                self.delete(process, read);
            }
            Err(refused) => self.foreign(process, number, &refused.to_string()),
        }
    }

    /// What nobody else may have put there: its sender cannot be understood any more.
    fn foreign(&mut self, process: u32, number: u64, why: &str) {
        let Some(node) = self.office.node.upgrade() else { return };
        let key = self.office.keys.mail(self.office.own, process, number);
        let reason = format!("object {key} in {}: {why}", self.office.bucket.location);
        lose(&node, process, &reason);
    }

    fn listed(&mut self, keys: &[String]) {
        let mut found = false;
        let mut stale: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for key in keys {
            let Some((process, number)) = self.office.keys.read_mail(self.office.own, key) else {
                tracing::warn!(key, "is none of fmi's objects and stays there");
                continue;
            };
            if self.office.node.upgrade().is_none_or(|node| node.roster().member(process).is_none())
            {
                tracing::warn!(key, "is from no process of the job and stays there");
                continue;
            }
            let source = self.source(process);
            if source.is_read(number) {
                // The list is old, or it was written twice.
                stale.entry(process).or_default().push(number);
            } else if source.ask(number) {
                found = true;
                self.queue.push_back((process, number));
            }
        }
        for (process, numbers) in stale {
            self.delete(process, numbers);
        }
        if found {
            self.lists.found();
            self.believed = 0;
            self.seldom.1 = self.office.bucket.options.seldom;
        } else if self.by_list() {
            self.believed += 1;
            self.lists.again();
            if self.believed >= LISTS {
                self.believed = 0;
                for (process, source) in &mut self.sources {
                    let asked = source.ask_next();
                    self.queue.extend(asked.map(|number| (*process, number)));
                }
            }
        }
    }

    fn delete(&self, process: u32, numbers: Vec<u64>) {
        if numbers.is_empty() {
            return;
        }
        let office = Arc::clone(&self.office);
        self.office.tasks.spawn(async move {
            let keys = numbers.into_iter().map(|n| office.keys.mail(office.own, process, n));
            if let Err(trouble) = office.bucket.delete_all(keys.collect()).await
                && !trouble.may_pass()
            {
                office.refuse(&trouble);
            }
        });
    }
}

fn lose(node: &Node, process: u32, reason: &str) {
    tracing::error!(process, reason, "what was read makes no sense");
    if let Some(member) = node.roster().member(process) {
        node.lose(&member.ranks, &Reason::Unreachable(reason.to_owned()));
    }
}
