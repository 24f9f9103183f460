//! Channel `redis`: mailboxes and a shelf in a Redis server, for processes that cannot reach each
//! other.
//!
//! | file | |
//! |---|---|
//! | `url` | where the server is, and how it is to be spoken to |
//! | `hub`, `connection`, `wire`, `watch`, `tls` | the connections of a process, and who drives them |
//! | `cluster`, `sentinel` | which server it is |
//! | `office` | what a process has there: |
//! | `mailbox`, `stamp` | what others send to it |
//! | `link` | what it sends to another |
//! | `shelf` | what it publishes |
//! | `directory` | where its processes find each other |
//! | `keys`, `coding`, `script` | names, bytes, and what the server does in one go |
//! | `trouble` | what the server's errors mean |
//! | `examine` | what `fmi doctor redis` finds out |

mod answer;
mod cluster;
mod coding;
mod connection;
pub(crate) mod directory;
mod examine;
mod hub;
mod keys;
mod link;
mod long;
mod mailbox;
mod office;
mod script;
mod sentinel;
mod shelf;
mod stamp;
mod tls;
mod trouble;
mod url;
mod wire;
mod wires;

pub use examine::{Examination, Memory, examine};

use fmi_actors::{
    Member, Node, Result,
    channel::{Channel, DialError, Rung, Way},
    meter::Purpose,
    pair::Path,
    service::Service,
    store::Store,
};
use futures::future::BoxFuture;
use hub::Hub;
use mailbox::Mailbox;
use office::Office;
use parking_lot::Mutex;
use redis::{Value, cmd};
use shelf::Shelf;
use std::{
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use trouble::{Trouble, TroubleKind};
use url::Target;

const NAME: &str = "redis";
/// What links do: as streams, but that a frame whose payload is large takes two commands.
const PATH: Path = Path::STREAM;
/// Start that direct ways get: they cost the server nothing.
const LATER: Duration = Duration::from_millis(200);
/// How long a server that starts is waited for.
const STARTING: Duration = Duration::from_secs(10);

/// The Redis channel of a process.
#[derive(Debug)]
pub struct Redis {
    hub: Arc<Hub>,
    job: String,
    shelf: Arc<Shelf>,
    office: Arc<Mutex<Option<Arc<Office>>>>,
}

/// Whether a URL says where a server is, without asking it.
///
/// # Errors
/// [`Error::Config`](fmi_actors::Error::Config) that says what would be right.
pub fn check_url(url: &str) -> Result<()> {
    Target::parse(url).map(drop)
}

/// What a process has asked of its servers so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Commands.
    pub commands: u64,
    /// Bytes of their arguments.
    pub bytes: u64,
}

impl Redis {
    /// Connects to the server that `url` names (`redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`, see
    /// docs/redis.md), and finds out whether it can do what is needed.
    ///
    /// # Errors
    /// [`Error::Config`](fmi_actors::Error::Config) when the URL is none,
    /// [`Error::Store`](fmi_actors::Error::Store) with what to do when the server cannot be used.
    pub async fn connect(url: &str, job: &str) -> Result<Arc<Self>> {
        let target = Target::parse(url)?;
        let shown = target.to_string();
        let failed = move |trouble: Trouble| trouble.error(&shown, "to connect");
        let hub = Hub::new(target).map_err(&failed)?;
        let (tell, told) = oneshot::channel();
        let (checked, name) = (Arc::clone(&hub), keys::encode(job));
        Service::get().spawn(async move {
            let _ = tell.send(check(&checked, &name).await);
        });
        let checked = told.await.unwrap_or_else(|_| Err(Trouble::cut("the process ends")));
        checked.map_err(failed)?;
        let shelf = Shelf::new(&hub);
        Ok(Arc::new(Self { hub, job: job.to_owned(), shelf, office: Arc::default() }))
    }

    /// What it has asked of the server so far.
    #[must_use]
    pub fn asked(&self) -> Asked {
        let traffic = self.hub.traffic();
        Asked {
            commands: traffic.commands.load(Ordering::Relaxed) as u64,
            bytes: traffic.bytes.load(Ordering::Relaxed) as u64,
        }
    }
}

impl Channel for Redis {
    fn name(&self) -> &'static str {
        NAME
    }

    /// Says only that this process has a mailbox: where the server is, each has been told itself.
    fn address(&self, _: IpAddr) -> Option<String> {
        Some("mailbox".to_owned())
    }

    fn start(&self, node: &Arc<Node>) {
        self.hub.traffic().account.charge(node.meter(), Purpose::Awaited);
        let office = Office::new(&self.hub, &self.job, node, &self.shelf);
        self.shelf.begin(&office, node);
        let kept = Arc::downgrade(&office);
        *self.office.lock() = Some(office);
        Service::get().spawn(Mailbox::keep(kept));
    }

    fn ways(&self, _: &Arc<Node>, to: &Member) -> Vec<Way> {
        if !to.addresses.iter().any(|(channel, _)| channel == NAME) {
            return Vec::new();
        }
        let (process, office) = (to.process, Arc::clone(&self.office));
        vec![Way {
            rung: Rung::Store,
            name: self.hub.target.to_string(),
            after: LATER,
            dial: Box::new(move |quality| {
                let office = office.lock().clone();
                Box::pin(async move {
                    let office = office.ok_or_else(|| DialError::soft("it has not started"))?;
                    office.dial(process, quality).await
                })
            }),
        }]
    }

    fn stop(&self) {
        match self.office.lock().clone() {
            Some(office) => Service::get().spawn(office.leave()),
            None => self.hub.end(),
        }
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        let office = self.office.lock().clone();
        Box::pin(async move {
            if let Some(office) = office {
                office.left().await;
            }
        })
    }

    fn store(&self) -> Option<Arc<dyn Store>> {
        Some(self.shelf.clone())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether the server can do what is needed, and lets us.
async fn check(hub: &Hub, job: &str) -> Result<(), Trouble> {
    let began = Instant::now();
    loop {
        match probe(hub, job).await {
            Err(trouble) if trouble.kind == TroubleKind::Passing && began.elapsed() < STARTING => {
                if !trouble.reason.contains("LOADING") {
                    return Err(trouble);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other,
        }
    }
}

async fn probe(hub: &Hub, job: &str) -> Result<(), Trouble> {
    let tag = format!("{job}.probe");
    let connection = hub.connection(keys::slot(&tag)).await?;
    let key = format!("fmi:{{{tag}}}:{:x}", random());
    let mut set = cmd("SET");
    set.arg(&key).arg("fmi").arg("PX").arg(1000);
    let mut get = cmd("GETDEL");
    get.arg(&key);
    let mut ring = cmd(hub.publish());
    ring.arg(format!("fmi:{{{tag}}}:bell")).arg("");
    // Of a cluster's servers each knows the others.
    let mut tell = cmd("PUBLISH");
    tell.arg(format!("fmi:{{{tag}}}:shelf")).arg("");
    let asked = [set, get, ring, tell].map(|command| connection.ask(command));
    let answers = futures::future::try_join_all(asked).await?;
    match &answers[1] {
        Value::BulkString(value) if value == b"fmi" => Ok(()),
        _ => {
            Err(Trouble::lasting("it forgets at once what is written: is it a cache that is full?"))
        }
    }
}

fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}
