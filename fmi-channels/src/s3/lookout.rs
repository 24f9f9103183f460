//! Waiting for items that are not there yet: a look each, or one LIST for all items of a collective
//! that ranks of this process wait for, where that is cheaper.

use super::{error::Trouble, office::Office, schedule::Looks};
use fmi_actors::{
    frame::Space,
    store::{Agreed, Item},
};
use fmi_model::polling::cheaper_by_list;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    sync::{Mutex as Turn, watch},
    time::Instant,
};

/// In a row, that many LISTs are believed that do not show an item; then it is asked for.
const LISTS: u64 = 8;

/// All who wait, by collective.
#[derive(Debug, Default)]
pub(super) struct Lookout(Mutex<HashMap<Space, Arc<Group>>>);

/// Those who wait for items of one collective.
#[derive(Debug)]
struct Group {
    waiting: AtomicUsize,
    /// Of the one who lists for all.
    turn: Turn<Looks>,
    seen: watch::Sender<Seen>,
}

/// What the last LIST showed.
#[derive(Debug, Default)]
struct Seen {
    round: u64,
    keys: HashSet<String>,
}

/// One who waits for an item.
#[derive(Debug)]
pub(super) struct Watch {
    office: Arc<Office>,
    space: Space,
    key: String,
    group: Arc<Group>,
    looks: Looks,
    /// Word has come that it is there.
    told: bool,
}

impl Watch {
    pub(super) fn new(office: &Arc<Office>, item: Item) -> Self {
        let node = office.node.upgrade();
        let operation =
            node.as_ref().map_or("item", |node| node.meter().operation(item.space).name());
        let looks = || Looks::new(&office.looks, Some(operation));
        let group = {
            let mut groups = office.lookout.0.lock();
            let group = groups.entry(item.space).or_insert_with(|| {
                let (turn, seen) = (Turn::new(looks()), watch::Sender::default());
                Arc::new(Group { waiting: AtomicUsize::new(0), turn, seen })
            });
            group.waiting.fetch_add(1, Ordering::AcqRel);
            Arc::clone(group)
        };
        let told = node.is_some_and(|node| node.agreed_store() == Some(Agreed::Beside));
        let key = office.keys.item(&item);
        Self { office: Arc::clone(office), space: item.space, key, looks: looks(), group, told }
    }

    /// Waits until it is worth while to ask for the item (again).
    pub(super) async fn next(&mut self) -> Result<(), Trouble> {
        if std::mem::take(&mut self.told) {
            return Ok(());
        }
        let waiting = self.group.waiting.load(Ordering::Acquire);
        if !cheaper_by_list(waiting, &self.office.prices) {
            self.looks.next().await;
            return Ok(());
        }
        self.looks.give_up();
        let mut seen = self.group.seen.subscribe();
        let distrusted = seen.borrow_and_update().round + LISTS;
        loop {
            tokio::select! {
                biased;
                _ = seen.changed() => {
                    let seen = seen.borrow_and_update();
                    if seen.keys.contains(&self.key) || seen.round >= distrusted {
                        return Ok(());
                    }
                }
                mut looks = self.group.turn.lock() => self.list(&mut looks).await?,
            }
        }
    }

    /// Lists for all who wait.
    async fn list(&self, looks: &mut Looks) -> Result<(), Trouble> {
        looks.next().await;
        let begun = Instant::now();
        let prefix = self.office.keys.items(self.space);
        match self.office.bucket.list_all(&prefix).await {
            Ok(keys) => {
                looks.took(begun.elapsed());
                self.group.seen.send_modify(|seen| {
                    if keys.iter().any(|key| !seen.keys.contains(key)) {
                        looks.found();
                    }
                    seen.keys = keys.into_iter().collect();
                    seen.round += 1;
                });
                Ok(())
            }
            Err(trouble) if trouble.may_pass() => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// It is there.
    pub(super) fn found(&mut self) {
        self.looks.found();
    }

    /// A look took so long.
    pub(super) fn took(&mut self, begun: Instant) {
        self.looks.took(begun.elapsed());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut groups = self.office.lookout.0.lock();
        if self.group.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            groups.remove(&self.space);
        }
    }
}
