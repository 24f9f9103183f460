//! Two connections to a server: one for commands, one that word comes over.

use crate::{
    directory::names::{Result, Trouble},
    hidden::hidden,
};
use futures::StreamExt;
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, ScriptInvocation,
    aio::MultiplexedConnection,
};
use std::time::Duration;
use tokio::{sync::watch, task::JoinHandle};

/// How long connecting and each command may take.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(5);
/// Between attempts to hear again.
const AGAIN: Duration = Duration::from_millis(250);

/// Commands; made anew when it breaks.
pub(super) struct Connection {
    client: Client,
    address: String,
    now: tokio::sync::Mutex<MultiplexedConnection>,
}

impl Connection {
    pub(super) async fn open(url: &str) -> Result<Self> {
        let (client, address) = (client(url)?, hidden(url));
        let now = connect(&client).await.map_err(|error| trouble(&error, false))?;
        Ok(Self { client, address, now: tokio::sync::Mutex::new(now) })
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        let mut connection = self.now.lock().await.clone();
        let answer = command.query_async(&mut connection).await;
        self.judge(answer).await
    }

    pub(super) async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T> {
        let mut connection = self.now.lock().await.clone();
        let answer = script.invoke_async(&mut connection).await;
        self.judge(answer).await
    }

    async fn judge<T>(&self, answer: Result<T, RedisError>) -> Result<T> {
        let error = match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if is_broken(&error) {
            let mut now = self.now.lock().await;
            match connect(&self.client).await {
                Ok(anew) => *now = anew,
                Err(error) => return Err(trouble(&error, true)),
            }
        }
        Err(trouble(&error, true))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection({})", self.address)
    }
}

/// Hears that something has changed.
#[derive(Debug)]
pub(super) struct Bell {
    rung: watch::Receiver<u64>,
    /// What was rung when it was looked last.
    heard: parking_lot::Mutex<u64>,
    task: JoinHandle<()>,
}

impl Bell {
    pub(super) async fn listen(url: &str, channel: &str) -> Result<Self> {
        let (client, channel) = (client(url)?, channel.to_owned());
        let mut ear = Some(subscribe(&client, &channel).await?);
        let (ring, rung) = watch::channel(0);
        let task = tokio::spawn(async move {
            loop {
                let mut messages = match ear.take() {
                    Some(ear) => ear.into_on_message(),
                    None => match subscribe(&client, &channel).await {
                        // Word may have been missed.
                        Ok(anew) => {
                            ring.send_modify(|rung| *rung += 1);
                            anew.into_on_message()
                        }
                        Err(error) => {
                            tracing::debug!("no word from the directory: {error}");
                            tokio::time::sleep(AGAIN).await;
                            continue;
                        }
                    },
                };
                while messages.next().await.is_some() {
                    ring.send_modify(|rung| *rung += 1);
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
        Ok(Self { rung, heard: parking_lot::Mutex::new(0), task })
    }

    /// It is looked now: what was rung before counts no more.
    pub(super) fn heard(&self) {
        *self.heard.lock() = *self.rung.borrow();
    }

    /// Waits until it has rung since it was looked last.
    pub(super) async fn rings(&self) {
        let heard = *self.heard.lock();
        let mut rung = self.rung.clone();
        if rung.wait_for(|rung| *rung != heard).await.is_err() {
            futures::future::pending::<()>().await;
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn client(url: &str) -> Result<Client> {
    // The error may repeat the URL.
    Client::open(url).map_err(|_| {
        Trouble::lasting("is no URL of a Redis server: write redis://USER:PASSWORD@HOST:PORT/DB")
    })
}

async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT))
        .set_response_timeout(Some(ANSWER));
    client.get_multiplexed_async_connection_with_config(&config).await
}

async fn subscribe(client: &Client, channel: &str) -> Result<redis::aio::PubSub> {
    let subscribed = async {
        let mut ear = client.get_async_pubsub().await?;
        ear.subscribe(channel).await?;
        Ok(ear)
    };
    match tokio::time::timeout(ANSWER, subscribed).await {
        Ok(ear) => ear.map_err(|error| trouble(&error, false)),
        Err(_) => Err(Trouble::passing(format!("it does not answer within {ANSWER:?}"))),
    }
}

fn is_broken(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.is_io_error() || error.is_unrecoverable_error()
}

/// What happened, and what to do. Errors of the connection pass, once there was one.
fn trouble(error: &RedisError, connected: bool) -> Trouble {
    let lasting = |advice: &str| Trouble::lasting(format!("{error}: {advice}"));
    match error.code() {
        Some("WRONGPASS") | Some("NOAUTH") => {
            lasting("correct user and password in the URL, redis://USER:PASSWORD@HOST:PORT")
        }
        Some("NOPERM") => lasting(
            "let this user run EVALSHA, EVAL, HGET, TIME and SUBSCRIBE on keys and channels fmi:*",
        ),
        Some("READONLY") => lasting("this is a replica: name the server that takes writes"),
        Some("OOM") => lasting("give the server more memory (maxmemory), or another one"),
        _ if error.kind() == redis::ErrorKind::AuthenticationFailed => {
            lasting("correct user and password in the URL, redis://USER:PASSWORD@HOST:PORT")
        }
        _ if connected && (is_broken(error) || error.is_timeout()) => Trouble::passing(error),
        _ if error.is_timeout() || error.is_io_error() => {
            lasting("start it, or correct host and port; look at the firewall on the way")
        }
        _ if error.is_connection_dropped() => lasting("is this a Redis server?"),
        // LOADING, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, BUSY
        Some("LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "BUSY") => {
            Trouble::passing(error)
        }
        _ => Trouble::lasting(error),
    }
}
