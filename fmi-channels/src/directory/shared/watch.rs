//! The signs of life of a process, and those of the others.

use super::{
    is_old,
    run::{Record, Run, View},
};
use crate::rendezvous::{Event, Member};
use fmi_actors::Reason;
use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::{mpsc, watch as flag};

/// The own entry.
#[derive(Debug)]
pub(super) struct Pulse {
    pub(super) run: Run,
    pub(super) number: u32,
    record: Arc<Record>,
    /// The last sign of life, by the place's clock and by ours.
    last: Mutex<(SystemTime, Instant)>,
}

impl Pulse {
    pub(super) fn new(run: Run, number: u32, record: Arc<Record>, alive: SystemTime) -> Self {
        Self { run, number, record, last: Mutex::new((alive, Instant::now())) }
    }

    /// What time it is in the place.
    pub(super) fn now(&self) -> SystemTime {
        let (theirs, ours) = *self.last.lock();
        theirs + ours.elapsed()
    }

    /// Gives signs of life until told to end, or until the entry is gone.
    pub(super) async fn keep(self: Arc<Self>, mut ended: flag::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = ended.changed() => return,
                () = tokio::time::sleep(self.record.silent / 4) => {}
            }
            match self.run.beat(self.number, &self.record).await {
                // After the fact, so that nobody seems older than it is.
                Ok(Some(alive)) => *self.last.lock() = (alive, Instant::now()),
                // The watcher tells it.
                Ok(None) => return,
                Err(error) => tracing::warn!("no sign of life to the directory: {error}"),
            }
        }
    }
}

/// Looks after the others of a complete job.
pub(super) struct Watcher {
    run: Run,
    pulse: Arc<Pulse>,
    /// Those that are there.
    members: Arc<[Member]>,
    here: BTreeSet<u32>,
    aborted: bool,
    events: mpsc::UnboundedSender<Event>,
}

impl Watcher {
    pub(super) fn new(
        pulse: Arc<Pulse>,
        members: Arc<[Member]>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let here = members.iter().map(|member| member.process);
        let here: BTreeSet<_> = here.filter(|process| *process != pulse.number).collect();
        let mut run = pulse.run.clone();
        run.expect(here.iter().copied(), pulse.now());
        Self { run, pulse, members, here, aborted: false, events }
    }

    /// Tells what happens until told to end. Each process and the abort are told once, so what
    /// nobody hears is bounded.
    pub(super) async fn keep(mut self, mut ended: flag::Receiver<bool>) {
        let (least, most) = self.run.names.pace().running;
        let names = Arc::clone(&self.run.names);
        let pause = (self.pulse.silent() / 8).clamp(least, most);
        loop {
            tokio::select! {
                _ = ended.changed() => return,
                () = tokio::time::sleep(pause) => {}
                () = names.changed() => {}
            }
            let looked = async {
                let found = names.list().await?;
                self.run.look(&found).await
            };
            match looked.await {
                Ok(view) => {
                    if !self.tell(view) {
                        return;
                    }
                }
                // It may be for a moment.
                Err(error) => {
                    tracing::debug!("the directory cannot be read: {error}");
                    tokio::select! {
                        _ = ended.changed() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        }
    }

    /// False if there is nothing more to tell.
    fn tell(&mut self, view: View) -> bool {
        if !view.entries.contains_key(&self.pulse.number) {
            // All has been taken away: what is missing says nothing of the others.
            let _ = self.events.send(Event::RendezvousLost);
            return false;
        }
        let now = self.pulse.now();
        let mut told = Vec::new();
        if let Some((rank, reason)) = view.abort.filter(|_| !self.aborted) {
            self.aborted = true;
            told.push(Event::Abort { rank, reason });
        }
        for member in self.members.iter() {
            let Member { process, ranks, .. } = member;
            if !self.here.contains(process) {
                continue;
            }
            let (process, ranks) = (*process, ranks.clone());
            match view.entries.get(&process) {
                None => told.push(Event::Left { process, ranks }),
                Some((record, alive)) if is_old(record, *alive, now, self.pulse.silent()) => {
                    told.push(Event::Gone { process, ranks, reason: Reason::Died });
                }
                Some(_) => continue,
            }
            self.here.remove(&process);
        }
        told.into_iter().all(|event| self.events.send(event).is_ok())
    }
}

impl Pulse {
    fn silent(&self) -> Duration {
        self.record.silent
    }
}
