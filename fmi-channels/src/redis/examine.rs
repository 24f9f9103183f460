//! What can be found out about a server by asking it: how fast it is, what it lets us do, and what
//! of its configuration will hurt.

use super::{
    connection::Connection,
    hub::Hub,
    keys, random, script,
    trouble::{Trouble, TroubleKind},
    url::Target,
};
use fmi_actors::{Result, service::Service};
use redis::{Cmd, FromRedisValue, Value, cmd};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// What a server is like.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Examination {
    /// Its URL, without user and password.
    pub server: String,
    /// As it says itself, with its name: `redis 7.0.15`.
    pub version: Option<String>,
    /// From a command to its answer: the median of some.
    pub round_trip: Duration,
    /// Bytes a second towards the server.
    pub up: f64,
    /// Bytes a second from it.
    pub down: f64,
    /// What it says of its memory; `None` if this user may not ask.
    pub memory: Option<Memory>,
    /// How many bytes a subscriber may lag behind before it is cut off, at once and for so many
    /// seconds; 0 is without bound. `None` if this user may not ask.
    pub lag: Option<[u64; 3]>,
    /// How many connections it takes. `None` if this user may not ask.
    pub clients: Option<u64>,
    /// Commands that this user may not use and that are needed.
    pub denied: Vec<&'static str>,
}

/// A server's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Bytes in use.
    pub used: u64,
    /// Bytes that it may use; 0 is without bound.
    pub most: u64,
    /// What it does when they are used up: `noeviction` is an error, all else takes keys away.
    pub policy: String,
}

impl Memory {
    /// Whether it takes keys away when it is full: those of a job that runs, too.
    #[must_use]
    pub fn evicts(&self) -> bool {
        self.policy != "noeviction"
    }
}

/// Commands that are measured.
const PINGS: usize = 31;
/// Bytes that go there and come back.
const BLOCK: usize = 1 << 20;
const BLOCKS: u32 = 4;
/// How long a whole examination may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the server that `url` names. Leaves nothing there.
///
/// # Errors
/// [`Error::Config`](fmi_actors::Error::Config) when the URL is none,
/// [`Error::Store`](fmi_actors::Error::Store) with what to do when the server does not answer, or
/// lets us in not at all.
pub async fn examine(url: &str) -> Result<Examination> {
    let target = Target::parse(url)?;
    let server = target.to_string();
    let failed = |trouble: Trouble| trouble.error(&server, "to connect");
    let hub = Hub::new(target).map_err(failed)?;
    let (tell, told) = oneshot::channel();
    let asked = Arc::clone(&hub);
    Service::get().spawn(async move {
        let looked = tokio::time::timeout(PATIENCE, look(&asked)).await;
        let _ = tell.send(looked.unwrap_or_else(|_| Err(Trouble::cut("it takes too long"))));
        asked.end();
    });
    told.await.unwrap_or_else(|_| Err(Trouble::cut("the process ends"))).map_err(failed)
}

async fn look(hub: &Hub) -> Result<Examination, Trouble> {
    // A name that no job has.
    let tag = format!("doctor.{:016x}", random());
    let connection = hub.connection(keys::slot(&tag)).await?;
    let key = |what: &str| format!("fmi:{{{tag}}}:{what}");
    let mut round_trips = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let start = Instant::now();
        connection.ask(cmd("PING")).await?;
        round_trips.push(start.elapsed());
    }
    round_trips.sort_unstable();
    let denied = denied(hub, &connection, &tag).await?;
    let able = !denied.contains(&"set") && !denied.contains(&"get");
    let (up, down) = match able {
        true => speed(&connection, &key("block")).await?,
        false => (0.0, 0.0),
    };
    let server: Option<String> = info(&connection, "server").await;
    let version = server.as_deref().and_then(|info| {
        let valkey = field(info, "valkey_version").map(|version| format!("valkey {version}"));
        valkey.or_else(|| field(info, "redis_version").map(|version| format!("redis {version}")))
    });
    let memory = info(&connection, "memory").await.and_then(|info: String| {
        Some(Memory {
            used: field(&info, "used_memory")?.parse().ok()?,
            most: field(&info, "maxmemory")?.parse().ok()?,
            policy: field(&info, "maxmemory_policy")?.to_owned(),
        })
    });
    let lag = config(&connection, "client-output-buffer-limit").await;
    let clients = config(&connection, "maxclients").await;
    Ok(Examination {
        server: hub.target.to_string(),
        version,
        round_trip: round_trips[PINGS / 2],
        up,
        down,
        memory,
        lag: lag.as_deref().and_then(of_subscribers),
        clients: clients.and_then(|clients| clients.parse().ok()),
        denied,
    })
}

/// Tries every command that is needed, those in scripts too.
async fn denied(
    hub: &Hub,
    connection: &Connection,
    tag: &str,
) -> Result<Vec<&'static str>, Trouble> {
    let key = |what: &str| format!("fmi:{{{tag}}}:{what}");
    let (plain, stream, set, hash) = (key("plain"), key("stream"), key("set"), key("hash"));
    let (moved, bell) = (key("moved"), key("bell"));
    let publish = if hub.publish() == "SPUBLISH" { "spublish" } else { "publish" };
    let hash_of_script = script::POST.hash();
    let tried: [(&'static str, &[&str]); 32] = [
        ("set", &["SET", &plain, "fmi", "PX", "60000"]),
        ("get", &["GET", &plain]),
        ("getrange", &["GETRANGE", &plain, "0", "1"]),
        ("exists", &["EXISTS", &plain]),
        ("rename", &["RENAME", &plain, &moved]),
        ("getdel", &["GETDEL", &moved]),
        ("xadd", &["XADD", &stream, "*", "l", "fmi"]),
        ("pexpire", &["PEXPIRE", &stream, "60000"]),
        ("xrange", &["XRANGE", &stream, "-", "+"]),
        ("xtrim", &["XTRIM", &stream, "MAXLEN", "1"]),
        ("xinfo|stream", &["XINFO", "STREAM", &stream]),
        ("sadd", &["SADD", &set, "1"]),
        ("scard", &["SCARD", &set]),
        ("hset", &["HSET", &hash, "a", "1"]),
        ("hsetnx", &["HSETNX", &hash, "b", "1"]),
        ("hexists", &["HEXISTS", &hash, "a"]),
        ("hget", &["HGET", &hash, "a"]),
        ("hgetall", &["HGETALL", &hash]),
        ("hkeys", &["HKEYS", &hash]),
        ("hdel", &["HDEL", &hash, "a"]),
        ("time", &["TIME"]),
        ("ping", &["PING"]),
        ("eval", &["EVAL", "return 1", "1", &plain]),
        ("script|load", &["SCRIPT", "LOAD", "return 1"]),
        // No such mailbox: it rings in vain.
        ("evalsha", &["EVALSHA", hash_of_script, "1", &key("none"), "", &bell, publish]),
        (publish, &[publish, &bell, ""]),
        ("publish", &["PUBLISH", &bell, ""]),
        ("del", &["DEL", &plain]),
        ("del", &["DEL", &stream]),
        ("del", &["DEL", &set]),
        ("del", &["DEL", &hash]),
        ("del", &["DEL", &moved]),
    ];
    let mut denied = Vec::new();
    for (name, words) in tried {
        match connection.ask(command(words)).await {
            Ok(_) => {}
            Err(trouble) if trouble.kind == TroubleKind::Lasting => denied.push(name),
            Err(trouble) => return Err(trouble),
        }
    }
    // It goes over the connection for pushes, which nobody else uses.
    let pushes = hub.listen(keys::slot(tag), Box::new(|_| {})).await?;
    let mut subscribe = hub.subscribe();
    subscribe.arg(&bell);
    match pushes.ask(subscribe).await {
        Ok(_) => {}
        Err(trouble) if trouble.kind == TroubleKind::Lasting => denied.push("subscribe"),
        Err(trouble) => return Err(trouble),
    }
    pushes.cut();
    denied.dedup();
    Ok(denied)
}

/// Bytes a second, there and back.
async fn speed(connection: &Connection, key: &str) -> Result<(f64, f64), Trouble> {
    let block = vec![0x5a_u8; BLOCK];
    let (mut up, mut down) = (Duration::MAX, Duration::MAX);
    for _ in 0..BLOCKS {
        let mut set = cmd("SET");
        set.arg(key).arg(&block).arg("PX").arg(60_000);
        let start = Instant::now();
        connection.ask(set).await?;
        up = up.min(start.elapsed());
        let start = Instant::now();
        connection.ask(command(&["GET", key])).await?;
        down = down.min(start.elapsed());
    }
    connection.ask(command(&["DEL", key])).await?;
    let rate = |took: Duration| BLOCK as f64 / took.as_secs_f64().max(1e-9);
    Ok((rate(up), rate(down)))
}

async fn info(connection: &Connection, section: &str) -> Option<String> {
    let answer = connection.ask(command(&["INFO", section])).await.ok()?;
    text(answer)
}

/// A setting, if this user may ask for it.
async fn config(connection: &Connection, name: &str) -> Option<String> {
    let answer = connection.ask(command(&["CONFIG", "GET", name])).await.ok()?;
    let pairs: Vec<(String, String)> = redis::from_redis_value(answer).ok()?;
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn command(words: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    for word in words {
        command.arg(word);
    }
    command
}

fn text(answer: Value) -> Option<String> {
    String::from_redis_value(answer).ok()
}

/// A line `name:value`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
}

/// Of `normal 0 0 0 slave … pubsub 33554432 8388608 60`.
fn of_subscribers(limits: &str) -> Option<[u64; 3]> {
    let mut words = limits.split_whitespace().skip_while(|word| *word != "pubsub").skip(1);
    let mut next = || words.next()?.parse().ok();
    Some([next()?, next()?, next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_server_says_of_itself() {
        let said = "# Memory\r\nused_memory:1024\r\nused_memory_rss:2\r\nmaxmemory:0\r\n";
        assert_eq!(field(said, "used_memory"), Some("1024"));
        assert_eq!(field(said, "maxmemory"), Some("0"));
        assert_eq!(field(said, "memory"), None);
        let limits = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
        assert_eq!(of_subscribers(limits), Some([33_554_432, 8_388_608, 60]));
        assert_eq!(of_subscribers("normal 0 0 0"), None);
        let memory = |policy: &str| Memory { used: 0, most: 0, policy: policy.to_owned() };
        assert!(!memory("noeviction").evicts() && memory("volatile-lru").evicts());
    }
}
