//! The end of a process: the last of a job leaves nothing behind.
//!
//! Whoever leaves writes an object that says so, and looks for those of the others. Who finds them
//! all deletes everything of the job's epoch: nobody reads it any more. So nobody has to wait for
//! those who still read what he has put there.

use super::{error::Trouble, office::Office};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep};

/// How long one that is lost is waited for: it may live all the same, and be about to say it.
const LOST: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(250);
/// What was asked again, as its answer got lost, may come to life after it was deleted.
const ECHO: Duration = Duration::from_millis(150);
/// How often is looked whether it did.
const LOOKS: u32 = 5;

impl Office {
    /// Says that this process has left; if it is the last, it cleans up.
    pub(super) async fn farewell(&self) {
        if let Err(trouble) = self.leave().await {
            tracing::debug!(reason = %trouble.reason, "something may stay in the bucket");
        }
    }

    async fn leave(&self) -> Result<(), Trouble> {
        let others: BTreeSet<u32> =
            self.members.keys().copied().filter(|process| *process != self.own).collect();
        if others.is_empty() {
            return self.sweep().await;
        }
        let own = bytes::Bytes::from_static(b"fmi");
        self.bucket.put(&self.keys.has_left(self.own), &own).await?;
        let end = Instant::now() + LOST;
        loop {
            let listed = self.bucket.list_all(&self.keys.left()).await?;
            let mut here = Vec::new();
            for process in &others {
                let key = self.keys.has_left(*process);
                if !listed.contains(&key) {
                    here.push((*process, key));
                }
            }
            let (lost, live): (Vec<_>, Vec<_>) =
                here.into_iter().partition(|(process, _)| self.is_lost(*process));
            for (_, key) in live {
                // The list may be old.
                if !self.bucket.has(&key).await? {
                    return Ok(());
                }
            }
            if lost.is_empty() || Instant::now() >= end {
                return self.sweep().await;
            }
            sleep(PAUSE).await;
        }
    }

    /// Deletes everything.
    async fn sweep(&self) -> Result<(), Trouble> {
        for look in 0..LOOKS {
            let mut keys = self.bucket.list_all(self.keys.all()).await?;
            // What others have put there is not for us to delete.
            keys.retain(|key| self.keys.is_ours(key));
            if keys.is_empty() && look > 0 {
                break;
            }
            self.bucket.delete_all(keys).await?;
            if self.members.len() == 1 {
                break;
            }
            sleep(ECHO).await;
        }
        Ok(())
    }
}
