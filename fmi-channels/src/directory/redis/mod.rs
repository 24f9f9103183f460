//! Names in a Redis server.
//!
//! ```text
//! fmi:{JOB}:directory   a hash: RUN/WHAT → time (16 digits, ms) and content
//! fmi:{JOB}:bell        pub/sub: something has changed
//! ```
//!
//! JOB is the job's name, percent-encoded. All of a job is one key, so one time to live holds for
//! all of it, which each sign of life renews; the last to leave takes the key away. What reads and
//! writes is a script, which nothing comes between; times are the server's.

mod connection;
mod scripts;

use super::names::{Found, Names, Pace, Result, Trouble};
use connection::{Bell, Connection};
use futures::future::BoxFuture;
use scripts::Scripts;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A job's part of a server.
#[derive(Debug)]
pub(super) struct Redis {
    connection: Connection,
    bell: Bell,
    scripts: Scripts,
    key: String,
    channel: String,
    /// Without a sign of life.
    life: Duration,
}

/// A death is to be seen as an entry that has grown old, not as one that is gone.
const LIVES: u32 = 8;
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
/// Digits of a time.
const STAMP: usize = 16;

impl Redis {
    /// Checks the server and the password at once.
    pub(super) async fn open(url: &str, job: &str, silent: Duration) -> Result<Self> {
        let connection = Connection::open(url).await?;
        let job = encoded(job);
        let (key, channel) = (format!("fmi:{{{job}}}:directory"), format!("fmi:{{{job}}}:bell"));
        let bell = Bell::listen(url, &channel).await?;
        let life = (silent * LIVES).max(SHORTEST_LIFE);
        Ok(Self { connection, bell, scripts: Scripts::new(), key, channel, life })
    }

    fn life(&self) -> u64 {
        self.life.as_millis() as u64
    }
}

impl Names for Redis {
    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>>> {
        Box::pin(async move {
            self.bell.heard();
            let list = self.scripts.list.key(&self.key);
            let all: Vec<(Vec<u8>, Vec<u8>)> = self.connection.run(&list).await?;
            let found = |(name, at): (Vec<u8>, Vec<u8>)| {
                Found::new(&String::from_utf8(name).ok()?, stamp(&at)?)
            };
            Ok(all.into_iter().filter_map(found).collect())
        })
    }

    fn read<'a>(&'a self, name: &'a str, most: usize) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        Box::pin(async move {
            let mut get = redis::cmd("HGET");
            get.arg(&self.key).arg(name);
            let content: Option<Vec<u8>> = self.connection.ask(&get).await?;
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
            let mut create = self.scripts.create.key(&self.key);
            create.arg(name).arg(content).arg(self.life()).arg(&self.channel);
            Ok(time(self.connection.run(&create).await?))
        })
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        content: Vec<u8>,
    ) -> BoxFuture<'a, Result<Option<SystemTime>>> {
        Box::pin(async move {
            let mut renew = self.scripts.renew.key(&self.key);
            renew.arg(name).arg(content).arg(self.life());
            Ok(time(self.connection.run(&renew).await?))
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut delete = self.scripts.delete.key(&self.key);
            delete.arg(name).arg(&self.channel);
            self.connection.run::<i64>(&delete).await.map(drop)
        })
    }

    fn clear(&self, run: u64) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let mut clear = self.scripts.clear.key(&self.key);
            clear.arg(super::names::name(run, "")).arg(&self.channel);
            self.connection.run::<i64>(&clear).await.map(drop)
        })
    }

    fn now(&self) -> BoxFuture<'_, Result<SystemTime>> {
        Box::pin(async move {
            let (seconds, micros): (u64, u32) = self.connection.ask(&redis::cmd("TIME")).await?;
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

/// Of the digits before a content.
fn stamp(at: &[u8]) -> Option<SystemTime> {
    time(std::str::from_utf8(at).ok()?.parse().ok()?)
}

/// As the scripts say it: milliseconds, or less than 0 for "no".
fn time(millis: i64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(millis).ok()?))
}

/// A job's name, percent-encoded.
fn encoded(job: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    job.bytes()
        .map(|byte| match plain(&byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_names() {
        assert_eq!(encoded("a job/{1}"), "a%20job%2F%7B1%7D");
        assert_eq!(stamp(b"0000000000001500"), Some(UNIX_EPOCH + Duration::from_millis(1500)));
        assert_eq!((stamp(b"-000000000000001"), stamp(b"\xff"), time(-1)), (None, None, None));
        assert_eq!(
            time(i64::MAX).is_some(),
            UNIX_EPOCH.checked_add(Duration::from_millis(i64::MAX as u64)).is_some()
        );
    }
}
