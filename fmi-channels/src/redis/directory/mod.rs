//! A directory's names in a Redis server.
//!
//! ```text
//! fmi:{JOB}:directory   a hash: RUN/WHAT → time (16 digits, ms) and content
//! fmi:{JOB}:bell        pub/sub: something has changed
//! ```
//!
//! JOB is the job's name, percent-encoded. All of a job is one key, so one time to live holds for
//! all of it, which each sign of life renews; the last to leave takes the key away. What reads and
//! writes is a script, which nothing comes between; times are the server's.

mod bell;
mod scripts;

use super::{hub::Hub, keys, trouble, url::Target};
use crate::directory::names::{self, Found, Pace, Result, Trouble};
use bell::Bell;
use fmi_actors::{
    meter::{Meter, Purpose},
    service::Service,
};
use futures::future::BoxFuture;
use redis::{Cmd, FromRedisValue, Value, cmd};
use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::oneshot;

/// A job's part of a server.
#[derive(Debug)]
pub(crate) struct Names {
    hub: Arc<Hub>,
    bell: Bell,
    key: String,
    channel: String,
    slot: u16,
    /// Without a sign of life.
    life: Duration,
}

/// A death is to be seen as an entry that has grown old, not as one that is gone.
const LIVES: u32 = 8;
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
/// Digits of a time.
const STAMP: usize = 16;

impl Names {
    /// Checks the server and the password at once.
    pub(crate) async fn open(url: &str, job: &str, silent: Duration) -> Result<Self> {
        let target = Target::parse(url).map_err(|error| Trouble::lasting(error.to_string()))?;
        let hub = Hub::new(target).map_err(trouble)?;
        let job = keys::encode(job);
        let (key, channel) = (format!("fmi:{{{job}}}:directory"), format!("fmi:{{{job}}}:bell"));
        let slot = keys::slot(&job);
        let (used, heard) = (Arc::clone(&hub), channel.clone());
        let bell = on_thread(async move {
            // That of the commands, too: what is wrong is to be known now.
            used.connection(slot).await?.ask(cmd("PING")).await?;
            Bell::listen(&used, heard, slot).await
        });
        let bell = bell.await.map_err(|trouble| Trouble { passing: false, ..trouble })?;
        let life = (silent * LIVES).max(SHORTEST_LIFE);
        Ok(Self { hub, bell, key, channel, slot, life })
    }

    /// A script with what it may ring.
    fn script(&self, text: &str) -> Cmd {
        let mut script = cmd("EVAL");
        script.arg(text).arg(1).arg(&self.key).arg(self.hub.publish()).arg(&self.channel);
        script
    }

    fn life(&self) -> u64 {
        self.life.as_millis() as u64
    }

    async fn ask<T: FromRedisValue>(&self, command: Cmd) -> Result<T> {
        let (hub, slot) = (Arc::clone(&self.hub), self.slot);
        let answer: Value = on_thread(async move {
            let connection = hub.connection(slot).await?;
            let answer = connection.ask(command).await;
            answer.inspect_err(|trouble| hub.failed(&connection, trouble))
        })
        .await?;
        redis::from_redis_value(answer)
            .map_err(|_| Trouble::lasting("it gives an answer that makes no sense"))
    }
}

impl names::Names for Names {
    fn charge(&self, meter: &Arc<Meter>) {
        self.hub.traffic().account.charge(meter, Purpose::Upkeep);
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>>> {
        Box::pin(async move {
            self.bell.heard();
            let all: Vec<(Vec<u8>, Vec<u8>)> = self.ask(self.script(&scripts::list())).await?;
            let found = |(name, at): (Vec<u8>, Vec<u8>)| {
                Found::new(&String::from_utf8(name).ok()?, stamp(&at)?)
            };
            Ok(all.into_iter().filter_map(found).collect())
        })
    }

    fn read<'a>(&'a self, name: &'a str, most: usize) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        Box::pin(async move {
            let mut get = cmd("HGET");
            get.arg(&self.key).arg(name);
            let content: Option<Vec<u8>> = self.ask(get).await?;
            Ok(content.map(|mut content| {
                content.drain(..STAMP.min(content.len()));
                content.truncate(most);
                content
            }))
        })
    }

    fn create<'a>(
        &'a self,
        name: &'a str,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<Option<SystemTime>>> {
        Box::pin(async move {
            let mut create = self.script(&scripts::create());
            create.arg(name).arg(content).arg(self.life());
            Ok(time(self.ask(create).await?))
        })
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<Option<SystemTime>>> {
        Box::pin(async move {
            let mut renew = self.script(&scripts::renew());
            renew.arg(name).arg(content).arg(self.life());
            Ok(time(self.ask(renew).await?))
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut delete = self.script(&scripts::delete());
            delete.arg(name);
            self.ask::<i64>(delete).await.map(drop)
        })
    }

    fn clear(&self, run: u64) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut clear = self.script(&scripts::clear());
            clear.arg(names::name(run, ""));
            self.ask::<i64>(clear).await.map(drop)
        })
    }

    fn now(&self) -> BoxFuture<'_, Result<SystemTime>> {
        Box::pin(async move {
            let (seconds, micros): (u64, u32) = self.ask(cmd("TIME")).await?;
            let now = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
            let now = now.ok_or_else(|| Trouble::lasting("it says that it is no time at all"))?;
            Ok(now + Duration::from_micros(micros.into()))
        })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.bell.rings())
    }

    fn pace(&self) -> Pace {
        let ms = Duration::from_millis;
        Pace { forming: (ms(50), ms(1000)), running: (ms(20), ms(1000)), silence: ms(50) }
    }
}

/// Runs on the service thread, where connections are opened.
async fn on_thread<T: Send + 'static>(
    work: impl Future<Output = Result<T, trouble::Trouble>> + Send + 'static,
) -> Result<T> {
    let (tell, told) = oneshot::channel();
    Service::get().spawn(async move {
        let _ = tell.send(work.await);
    });
    let done = told.await.map_err(|_| Trouble::lasting("the process ends"))?;
    done.map_err(trouble)
}

fn trouble(trouble: trouble::Trouble) -> Trouble {
    let passing = !trouble.is_lasting();
    Trouble { reason: trouble.reason, passing }
}

/// Of the digits before a content.
fn stamp(at: &[u8]) -> Option<SystemTime> {
    time(std::str::from_utf8(at).ok()?.parse().ok()?)
}

/// As the scripts say it: milliseconds, or less than 0 for "no".
fn time(millis: i64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(millis).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(stamp(b"0000000000001500"), Some(UNIX_EPOCH + Duration::from_millis(1500)));
        assert_eq!((stamp(b"-000000000000001"), stamp(b"\xff"), time(-1)), (None, None, None));
    }
}
