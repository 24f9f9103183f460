//! The signs of life of a process in a folder, and those of the others.

use super::{
    blocking,
    disk::{Record, Run, View},
    is_old,
};
use crate::rendezvous::{Event, Member};
use fmi_actors::Reason;
use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
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
    /// The last sign of life, by the folder's clock and by ours.
    last: Mutex<(SystemTime, Instant)>,
}

impl Pulse {
    pub(super) fn new(run: Run, number: u32, record: Arc<Record>, alive: SystemTime) -> Self {
        Self { run, number, record, last: Mutex::new((alive, Instant::now())) }
    }

    /// What time it is in the folder.
    pub(super) fn now(&self) -> SystemTime {
        let (folder, ours) = *self.last.lock();
        folder + ours.elapsed()
    }

    /// Gives signs of life until told to end, or until the entry is gone.
    pub(super) async fn keep(self: Arc<Self>, mut ended: flag::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = ended.changed() => return,
                () = tokio::time::sleep(self.record.silent / 4) => {}
            }
            let pulse = Arc::clone(&self);
            let beaten = blocking(move || {
                let begun = Instant::now();
                let alive = pulse.run.beat(pulse.number, &pulse.record)?;
                // Not later than it was, so that nobody seems older.
                *pulse.last.lock() = (alive, begun.max(Instant::now()));
                Ok(())
            });
            if let Err(error) = beaten.await {
                tracing::warn!("no sign of life to {}: {error}", self.run.path().display());
                if error.kind() == ErrorKind::NotFound {
                    return;
                }
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
        run: Run,
        pulse: Arc<Pulse>,
        members: Arc<[Member]>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let here = members.iter().map(|member| member.process);
        let here = here.filter(|process| *process != pulse.number).collect();
        Self { run, pulse, members, here, aborted: false, events }
    }

    /// Tells what happens until told to end. Each process and the abort are told once, so what
    /// nobody hears is bounded.
    pub(super) async fn keep(mut self, mut ended: flag::Receiver<bool>) {
        let often = Duration::from_millis(20)..Duration::from_millis(500);
        let pause = (self.pulse.record.silent / 8).clamp(often.start, often.end);
        loop {
            tokio::select! {
                _ = ended.changed() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let mut run = self.run.clone();
            let looked = blocking(move || {
                let view = run.look();
                Ok((run, view))
            });
            let Ok((run, view)) = looked.await else { return };
            self.run = run;
            if !self.tell(view) {
                return;
            }
        }
    }

    /// False if there is nothing more to tell.
    fn tell(&mut self, view: io::Result<View>) -> bool {
        let view = match view {
            Ok(view) => view,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let _ = self.events.send(Event::RendezvousLost);
                return false;
            }
            // It may be for a moment.
            Err(error) => {
                tracing::debug!("{}: {error}", self.run.path().display());
                return true;
            }
        };
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
                Some((record, alive)) if is_old(record, *alive, now, self.pulse.record.silent) => {
                    told.push(Event::Gone { process, ranks, reason: Reason::Died });
                }
                Some(_) => continue,
            }
            self.here.remove(&process);
        }
        told.into_iter().all(|event| self.events.send(event).is_ok())
    }
}
