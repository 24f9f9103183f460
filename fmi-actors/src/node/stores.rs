//! A process and its store; what channels through a store tell it, and ask of it.

use super::Node;
use crate::{
    awaited::{Awaited, Whom},
    frame::Space,
    keeper::within,
    reads::Reads,
    store::{Agreed, Store},
};
use futures::{channel::oneshot, future};
use std::{pin::pin, sync::Arc};

impl Node {
    /// A channel has learnt that process `process` has read all frames from rank `source` here to
    /// its rank `destination` before this number. What is not true is ignored.
    pub fn receipt(&self, process: u32, source: u32, destination: u32, upto: u32) {
        if let Some(rank) = self.ranks.get(&source).filter(|_| self.hosts(process, destination)) {
            rank.receipt(destination, upto);
        }
    }

    /// Whom the ranks here wait for now. Looks at every receive that is posted and every pair.
    #[must_use]
    pub fn awaited(&self) -> Awaited {
        let mut awaited = Awaited::default();
        for rank in self.ranks.values() {
            rank.awaits(&mut |whom| match whom {
                Whom::Rank(rank) => awaited.processes.extend(self.roster.host(rank)),
                Whom::Anybody => awaited.anybody = true,
                Whom::Notice => awaited.notices = true,
            });
        }
        awaited.processes.retain(|process| *process != self.process);
        awaited.processes.sort_unstable();
        awaited.processes.dedup();
        awaited
    }

    /// Calls `call` whenever a rank here begins to wait for another: [`awaited`](Self::awaited) may
    /// say more than before. From any thread, often, with no lock held; it must return at once.
    pub fn on_awaited(&self, call: Arc<dyn Fn() + Send + Sync>) {
        self.attention.add(call);
    }

    /// Where this process puts what many read: the first store that a channel has.
    #[must_use]
    pub fn store(&self) -> Option<Arc<dyn Store>> {
        self.channels.iter().find_map(|channel| channel.store())
    }

    /// Name of the channel that has the store, or of the first that has none; empty if there is no such one.
    #[must_use]
    pub fn channel_name(&self, of_store: bool) -> &'static str {
        let mut channels = self.channels.iter();
        let channel = channels.find(|channel| channel.store().is_some() == of_store);
        channel.map_or("", |channel| channel.name())
    }

    /// Whether all processes of the job have this process's store, and if so, whether links lead
    /// from one to the other beside it. All say the same: they know each other's addresses.
    #[must_use]
    pub fn agreed_store(&self) -> Option<Agreed> {
        *self.agreed.get_or_init(|| {
            let store = self.store()?;
            let (name, wide, pushed) = (store.name(), store.is_wide(), store.pushes());
            let mut linked = false;
            for member in self.roster.members() {
                let has = member.addresses.iter().any(|(channel, _)| channel == name);
                if !has {
                    return None;
                }
                linked |= member.addresses.iter().any(|(channel, _)| channel != name);
            }
            Some(if linked { Agreed::Beside { wide } } else { Agreed::Alone { pushed } })
        })
    }

    /// Whether nothing joins the processes but a store that does not [push](Store::pushes).
    #[must_use]
    pub fn has_to_ask(&self) -> bool {
        self.agreed_store() == Some(Agreed::Alone { pushed: false })
    }

    /// What its ranks read from the store.
    pub(crate) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// A collective has failed: what was published for it is of no use.
    pub(crate) fn clear(&self, space: Space) {
        self.board.clear(space);
        if let Some(store) = self.store() {
            store.forget(space);
        }
    }

    /// Nothing more is put into the store: waits until others have read what they will read. If one
    /// is lost, for what the rest may have under way and no longer: nobody knows what it did read.
    pub(super) async fn close_store(&self) {
        let Some(store) = self.store() else { return };
        let (keeper, mut loss) = (Arc::clone(&self.keeper), self.loss.subscribe());
        let (operation, silent) = (self.settings.operation, self.settings.silent);
        // Whoever awaits this may be on another runtime, or on none.
        let (done, closed) = oneshot::channel();
        self.keeper.spawn(Box::pin(async move {
            let lost = async {
                // Without a node there is nothing to wait for, either.
                let _ = loss.wait_for(Option::is_some).await;
                keeper.sleep(silent).await;
            };
            let lost = pin!(lost);
            within(&*keeper, operation, future::select(store.close(), lost)).await;
            let _ = done.send(());
        }));
        let _ = closed.await;
    }
}
