//! The rendezvous inside of a process: of a service whose replicas form groups, or of rank 0, where
//! nothing else can serve it.

use std::{net::SocketAddr, time::Duration};

use fmi_actors::{Error, Result, service::Service};
use fmi_channels::{
    handshake,
    rendezvous::{Monitor, Options, Server},
};
use futures::channel::oneshot;
use tokio::time::{Instant, sleep};

use crate::config::{Config, Token};

/// A rendezvous that this process serves, beside whatever else it does, until it is
/// [closed](Self::close) or dropped. It is what `fmi rendezvous` serves, for jobs of any number,
/// one after the other or at once.
///
/// It runs on the library's own thread; nothing here needs a runtime of yours.
///
/// ```
/// # fn main() -> fmi::Result<()> {
/// # futures::executor::block_on(async {
/// let rendezvous = fmi::RendezvousServer::bind("127.0.0.1:0", "a secret".into()).await?;
/// let config = fmi::Config::default().size(2).token("a secret");
/// let config = config.rendezvous(&format!("tcp://{}", rendezvous.local_addr()))?;
/// let job = |name: &str| config.clone().job(name);
/// let (one, other) =
///     futures::try_join!(job("scoring-42").rank(0).join(), job("scoring-42").rank(1).join())?;
/// futures::try_join!(one.close(), other.close())?;
/// rendezvous.close().await;
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct RendezvousServer {
    address: SocketAddr,
    monitor: Monitor,
    /// Its other end is dropped with this: then the server ends.
    _running: oneshot::Sender<()>,
}

/// How long it stays for processes that have not left when this one has.
const LAST_ORDERS: Duration = Duration::from_secs(10);
/// How often it looks whether somebody is left.
const LOOK: Duration = Duration::from_millis(10);

impl RendezvousServer {
    /// Listens on `HOST:PORT`, for processes that have the token; port 0 takes a free one.
    ///
    /// # Errors
    /// [`Error::Listen`] when the address is taken, not ours or no address.
    pub fn bind(address: &str, token: Token) -> impl Future<Output = Result<Self>> + Send + use<> {
        let address = address.to_owned();
        let (send, receive) = oneshot::channel();
        Service::get().spawn(async move {
            let _ = send.send(Self::open(&address, &token).await);
        });
        async { receive.await.map_err(|_| Error::Closed { operation: "bind" })? }
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How many processes are registered, of all jobs.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.monitor.figures().map_or(0, |figures| figures.processes as usize)
    }

    /// Ends when all processes have left, or 10 s later.
    pub fn close(self) -> impl Future<Output = ()> + Send {
        let (send, receive) = oneshot::channel::<()>();
        Service::get().spawn(async move {
            self.empty().await;
            drop(send);
        });
        async { receive.await.unwrap_or_default() }
    }

    /// The one of the job, if this process is to serve it. Called on the service thread.
    pub(crate) async fn of(config: &Config) -> Result<Option<Self>> {
        let first = config.ranks.as_ref().is_some_and(|ranks| ranks.contains(&0));
        let Some(address) = config.serve.as_ref().filter(|_| first) else { return Ok(None) };
        let token = config.token.as_ref().ok_or_else(|| Error::Config {
            origin: "FMI_SERVE".to_owned(),
            message: "a rendezvous wants a token: set FMI_TOKEN, the same for all processes"
                .to_owned(),
        })?;
        Self::open(address, token).await.map(Some)
    }

    /// Serves as long as this process lives.
    pub(crate) fn stay(self) {
        Service::get().spawn(async move {
            let _served = self;
            std::future::pending::<()>().await;
        });
    }

    /// Ends when all have left. On the service thread.
    pub(crate) async fn empty(self) {
        let end = Instant::now() + LAST_ORDERS;
        while self.processes() > 0 && Instant::now() < end {
            sleep(LOOK).await;
        }
    }

    async fn open(address: &str, token: &Token) -> Result<Self> {
        let token = handshake::Token::new(token.expose());
        let server = Server::bind(address, token, Options::default()).await?;
        let (address, monitor) = (server.local_addr(), server.monitor());
        let (running, ended) = oneshot::channel::<()>();
        tokio::spawn(server.run(ended));
        Ok(Self { address, monitor, _running: running })
    }
}
