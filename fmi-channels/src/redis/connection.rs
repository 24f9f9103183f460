//! A connection: the crate's, on a [`Wire`] of ours, driven by the [`Engine`].

use super::{
    tls,
    trouble::Trouble,
    url::Address,
    wire::{Wire, WireIo},
    wires::Wires,
};
use crate::{account::Account, engine::Engine};
use fmi_actors::{meter::Request, service::Service};
use futures::future::BoxFuture;
use redis::{
    AsyncConnectionConfig, Cmd, ProtocolVersion, PushInfo, RedisConnectionInfo, Value,
    aio::{AsyncPushSender, MultiplexedConnection, SendError},
};
use rustls::ClientConfig;
use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpStream, lookup_host},
    sync::{oneshot, watch},
};

/// Commands that the crate's queue takes before their sender waits.
const QUEUE: usize = 4096;

/// A live connection, or one that has been. Clones share it.
#[derive(Clone)]
pub(super) struct Connection {
    inner: MultiplexedConnection,
    engine: Arc<Engine>,
    wire: Arc<Wire>,
    over: watch::Receiver<bool>,
    traffic: Arc<Traffic>,
}

/// What a process has asked of its servers.
#[derive(Debug)]
pub(super) struct Traffic {
    pub(super) commands: AtomicUsize,
    pub(super) bytes: AtomicUsize,
    pub(super) account: Account,
}

impl Default for Traffic {
    fn default() -> Self {
        let account = Account::new(super::NAME);
        Self { commands: AtomicUsize::new(0), bytes: AtomicUsize::new(0), account }
    }
}

/// How to open connections.
#[derive(Clone)]
pub(super) struct Opening {
    pub(super) engine: Arc<Engine>,
    pub(super) wires: Arc<Wires>,
    pub(super) login: RedisConnectionInfo,
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// A server that is silent for so long is dead.
    pub(super) silent: Duration,
    pub(super) traffic: Arc<Traffic>,
}

/// Takes what the server pushes. Called by whoever reads.
pub(super) type Ear = Box<dyn Fn(PushInfo) + Send + Sync>;

struct Hears(Ear);

impl AsyncPushSender for Hears {
    fn send(&self, info: PushInfo) -> Result<(), SendError> {
        (self.0)(info);
        Ok(())
    }
}

/// What every connection logs in with.
pub(super) fn login(
    user: Option<&str>,
    password: Option<&str>,
    database: i64,
) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("fmi", env!("CARGO_PKG_VERSION"))
        .set_db(database);
    if let Some(user) = user {
        login = login.set_username(user);
    }
    if let Some(password) = password {
        login = login.set_password(password);
    }
    login
}

impl Opening {
    /// Connects and logs in, on the service thread.
    pub(super) async fn open(&self, to: &Address, ear: Option<Ear>) -> Result<Connection, Trouble> {
        let opened = tokio::time::timeout(self.silent, self.begin(to, ear)).await;
        opened.unwrap_or_else(|_| Err(Trouble::cut(format!("{to} does not answer"))))
    }

    async fn begin(&self, to: &Address, ear: Option<Ear>) -> Result<Connection, Trouble> {
        let cut = |error: io::Error| Trouble::cut(format!("cannot connect to {to}: {error}"));
        let stream = connect(to).await.map_err(cut)?;
        let stream = stream.into_std().map_err(cut)?;
        let wire = Wire::new(stream, self.silent).map_err(cut)?;
        self.wires.add(&wire);
        // Whatever becomes of it, and also if nobody waits for it any more.
        let watched = Watched { wires: Arc::clone(&self.wires), wire: Arc::clone(&wire) };
        let mut config = AsyncConnectionConfig::new()
            .set_response_timeout(None)
            .set_connection_timeout(None)
            .set_pipeline_buffer_size(QUEUE);
        if let Some(ear) = ear {
            config = config.set_push_sender(Hears(ear));
        }
        let io = WireIo(Arc::clone(&wire));
        let (inner, driver): (_, BoxFuture<'static, ()>) = match &self.tls {
            None => {
                let (inner, driver) =
                    MultiplexedConnection::new_with_config(&self.login, io, config).await?;
                (inner, Box::pin(driver))
            }
            Some(tls) => {
                let io = tls::open(io, to, tls).await?;
                let (inner, driver) =
                    MultiplexedConnection::new_with_config(&self.login, io, config).await?;
                (inner, Box::pin(driver))
            }
        };
        let (ended, over) = watch::channel(false);
        let drive = async move {
            driver.await;
            drop(watched);
            let _ = ended.send(true);
        };
        self.engine.attend(|| self.engine.spawn(Box::pin(drive)));
        Ok(Connection {
            inner,
            engine: Arc::clone(&self.engine),
            wire,
            over,
            traffic: Arc::clone(&self.traffic),
        })
    }
}

impl Connection {
    /// Sends a command now and calls `then` with the answer, on whichever thread it is read by.
    pub(super) fn send(
        &self,
        command: Cmd,
        then: impl FnOnce(Result<Value, Trouble>) + Send + 'static,
    ) {
        let mut inner = self.inner.clone();
        self.count(&command);
        let sending = async move {
            let answer = inner.send_packed_command(&command).await;
            // Its memory is not needed while others look at the answer.
            drop(command);
            then(flat(answer));
        };
        self.engine.attend(|| self.engine.spawn(Box::pin(sending)));
    }

    /// Sends two commands now, the second right behind the first, and calls `then` with the answers.
    /// Of two [sends](Self::send) the second may overtake the first: several threads drive the
    /// connection.
    pub(super) fn send_two(
        &self,
        commands: [Cmd; 2],
        then: impl FnOnce([Result<Value, Trouble>; 2]) + Send + 'static,
    ) {
        let mut inner = self.inner.clone();
        let mut both = redis::pipe();
        for command in commands {
            self.count(&command);
            both.add_command(command);
        }
        let sending = async move {
            let answers = inner.send_packed_commands(&both, 0, 2).await;
            // As in `send`.
            drop(both);
            let none = || Err(Trouble::cut("the connection has ended"));
            then(match answers {
                Ok(answers) => {
                    let mut answers = answers.into_iter().map(|answer| flat(Ok(answer)));
                    [(); 2].map(|()| answers.next().unwrap_or_else(none))
                }
                Err(error) => {
                    let trouble = Trouble::from(error);
                    [Err(trouble.clone()), Err(trouble)]
                }
            });
        };
        self.engine.attend(|| self.engine.spawn(Box::pin(sending)));
    }

    /// Sends a command now; its answer.
    pub(super) fn ask(
        &self,
        command: Cmd,
    ) -> impl Future<Output = Result<Value, Trouble>> + Send + use<> {
        let (tell, told) = oneshot::channel();
        self.send(command, move |answer| drop(tell.send(answer)));
        async move { told.await.unwrap_or_else(|_| Err(Trouble::cut("the connection has ended"))) }
    }

    /// Waits until it is dead, without keeping it alive.
    pub(super) fn over(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut over = self.over.clone();
        async move { drop(over.wait_for(|over| *over).await.map(|_| ())) }
    }

    /// Whether it is dead.
    pub(super) fn has_ended(&self) -> bool {
        *self.over.borrow()
    }

    /// Ends it at once.
    pub(super) fn cut(&self) {
        self.wire.cut();
    }

    fn count(&self, command: &Cmd) {
        let bytes: usize = command
            .args_iter()
            .map(|arg| match arg {
                redis::Arg::Simple(bytes) => bytes.len(),
                _ => 0,
            })
            .sum();
        self.traffic.commands.fetch_add(1, Ordering::Relaxed);
        self.traffic.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.traffic.account.count(Request::Command, 1, bytes as u64);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("over", &self.has_ended()).finish_non_exhaustive()
    }
}

/// A wire that is watched as long as this lives.
struct Watched {
    wires: Arc<Wires>,
    wire: Arc<Wire>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.wire.cut();
        let (wires, wire) = (Arc::clone(&self.wires), Arc::clone(&self.wire));
        // Later: it may be nudging this one.
        Service::get().spawn(async move { wires.remove(&wire) });
    }
}

/// Tries all addresses of a name.
async fn connect(to: &Address) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in lookup_host((to.host.as_str(), to.port)).await? {
        match TcpStream::connect(candidate).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Errors that the server says are values to the crate.
fn flat(answer: redis::RedisResult<Value>) -> Result<Value, Trouble> {
    Ok(answer?.extract_error()?)
}
