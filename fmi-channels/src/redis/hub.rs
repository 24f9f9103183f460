//! A process's connections to its server or servers, opened when they are needed and shared by all
//! that it does there.

use super::{
    cluster::Slots,
    connection::{Connection, Ear, Opening, Traffic, login},
    script, sentinel, tls,
    trouble::{Trouble, TroubleKind},
    url::{Address, Kind, Target},
    wires::Wires,
};
use crate::engine::Engine;
use fmi_actors::{Result, service::Service};
use parking_lot::Mutex;
use redis::{Cmd, cmd};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

/// A server that says nothing for so long is dead.
const SILENT: Duration = Duration::from_secs(10);

/// The connections of a process.
pub(super) struct Hub {
    pub(super) target: Target,
    opening: Opening,
    pub(super) wires: Arc<Wires>,
    slots: Slots,
    /// For commands: to the one server, or to each of a cluster.
    lines: Mutex<HashMap<Option<Address>, Arc<Line>>>,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Line {
    live: Mutex<Option<Connection>>,
    /// Held by the one who opens it.
    opening: tokio::sync::Mutex<()>,
}

impl Hub {
    /// For a URL. Connects to nothing yet.
    pub(super) fn new(target: Target) -> Result<Arc<Self>, Trouble> {
        let engine = Arc::new(Engine::default());
        let wires = Arc::new(Wires::new(Arc::clone(&engine)));
        let opening = Opening {
            engine: Arc::clone(&engine),
            wires: Arc::clone(&wires),
            login: login(target.user.as_deref(), target.password.as_deref(), target.database),
            tls: if target.tls { Some(tls::config(&target)?) } else { None },
            silent: SILENT,
            traffic: Arc::new(Traffic::default()),
        };
        let hub = Arc::new(Self {
            target,
            opening,
            wires,
            slots: Slots::default(),
            lines: Mutex::default(),
            over: AtomicBool::new(false),
        });
        Service::get().spawn(serve(engine, Arc::downgrade(&hub)));
        Ok(hub)
    }

    /// The connection for commands about keys of a slot; opened, if there is none. On the service
    /// thread.
    pub(super) async fn connection(&self, slot: u16) -> Result<Connection, Trouble> {
        let server = self.server(slot).await?;
        let line = Arc::clone(self.lines.lock().entry(server.clone()).or_default());
        let _opening = line.opening.lock().await;
        if let Some(live) = line.live() {
            return Ok(live);
        }
        self.check_over()?;
        let connection = match self.open(server, None).await {
            Ok(connection) => connection,
            Err(trouble) => {
                self.slots.doubt();
                return Err(trouble);
            }
        };
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(script::POST.text);
        connection.ask(load).await?;
        self.check_over()?;
        *line.live.lock() = Some(connection.clone());
        Ok(connection)
    }

    /// The same, if it is there.
    pub(super) fn live(&self, slot: u16) -> Option<Connection> {
        let server = match self.target.kind {
            Kind::Cluster => Some(self.slots.known(slot)?),
            _ => None,
        };
        let line = Arc::clone(self.lines.lock().get(&server)?);
        line.live()
    }

    /// A new connection to the server of a slot, which pushes to `ear`. On the service thread.
    pub(super) async fn listen(&self, slot: u16, ear: Ear) -> Result<Connection, Trouble> {
        self.another(slot, Some(ear)).await
    }

    /// A new connection to the server of a slot, which is the caller's alone. On the service thread.
    pub(super) async fn another(&self, slot: u16, ear: Option<Ear>) -> Result<Connection, Trouble> {
        let server = self.server(slot).await?;
        self.check_over()?;
        let opened = self.open(server, ear).await;
        opened.inspect_err(|_| self.slots.doubt())
    }

    /// A command has failed over a connection: if it leads to the wrong server it is given up, so
    /// that the next one is opened to the right one.
    pub(super) fn failed(&self, connection: &Connection, trouble: &Trouble) {
        match trouble.kind {
            TroubleKind::Elsewhere => {
                self.slots.doubt();
                if self.target.kind != Kind::Cluster {
                    connection.cut();
                }
            }
            TroubleKind::Cut => connection.cut(),
            TroubleKind::Lasting | TroubleKind::Passing => {}
        }
    }

    /// Asks each server for a sign of life, and gives connections up that get none.
    pub(super) async fn check(&self) {
        let lines: Vec<_> = self.lines.lock().values().filter_map(|line| line.live()).collect();
        let checks = lines.into_iter().map(|line| async move {
            let pong = tokio::time::timeout(self.opening.silent, line.ask(cmd("PING"))).await;
            if pong.is_err() {
                line.cut();
            }
        });
        futures::future::join_all(checks).await;
    }

    /// Ends all connections.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        let lines = std::mem::take(&mut *self.lines.lock());
        for live in lines.values().filter_map(|line| line.live()) {
            live.cut();
        }
        self.wires.end();
        self.opening.engine.porter().wake();
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// What has been asked so far.
    pub(super) fn traffic(&self) -> &Traffic {
        &self.opening.traffic
    }

    /// `PUBLISH`, or what a cluster has instead, for bells of mailboxes.
    pub(super) fn publish(&self) -> &'static str {
        if self.target.kind == Kind::Cluster { "SPUBLISH" } else { "PUBLISH" }
    }

    /// `SUBSCRIBE`, or what a cluster has instead, for bells of mailboxes.
    pub(super) fn subscribe(&self) -> Cmd {
        cmd(if self.target.kind == Kind::Cluster { "SSUBSCRIBE" } else { "SUBSCRIBE" })
    }

    /// Which of a cluster's servers has a slot.
    async fn server(&self, slot: u16) -> Result<Option<Address>, Trouble> {
        match self.target.kind {
            Kind::Cluster => {
                self.slots.find(slot, &self.opening, &self.target.servers).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn open(&self, server: Option<Address>, ear: Option<Ear>) -> Result<Connection, Trouble> {
        let server = match (server, &self.target.kind) {
            (Some(server), _) => server,
            (None, Kind::Sentinel(name)) => {
                sentinel::master(name, &self.target, &self.opening).await?
            }
            (None, _) => self.target.servers[0].clone(),
        };
        self.opening.open(&server, ear).await
    }

    fn check_over(&self) -> Result<(), Trouble> {
        match self.is_over() {
            true => Err(Trouble::lasting("this process is leaving")),
            false => Ok(()),
        }
    }
}

impl Line {
    fn live(&self) -> Option<Connection> {
        self.live.lock().clone().filter(|live| !live.has_ended())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("target", &self.target).finish_non_exhaustive()
    }
}

/// Does, on the service thread, what nobody else attends to. Ends with the hub, once nothing is
/// left to do.
async fn serve(engine: Arc<Engine>, hub: std::sync::Weak<Hub>) {
    std::future::poll_fn(|context| {
        engine.porter().register(context.waker());
        engine.attend(|| ());
        // Others have their turn before what is left.
        if engine.has_work() {
            context.waker().wake_by_ref();
        }
        let over = hub.strong_count() == 0 || hub.upgrade().is_none_or(|hub| hub.is_over());
        if over && engine.is_idle() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
