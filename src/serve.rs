//! The rendezvous inside of a job: the process of rank 0 serves it, where nothing else can.

use std::time::Duration;

use fmi_actors::{Error, Result, service::Service};
use fmi_channels::{
    handshake,
    rendezvous::{Monitor, Options, Server},
};
use futures::channel::oneshot;
use tokio::time::{Instant, sleep};

use crate::config::Config;

/// A rendezvous that runs on the service thread, until it is [closed](Self::close) or dropped.
#[derive(Debug)]
pub(crate) struct Hall {
    monitor: Monitor,
    /// Its other end is dropped with this: then the server ends.
    _running: oneshot::Sender<()>,
}

/// How long it stays for processes that have not left when this one has.
const LAST_ORDERS: Duration = Duration::from_secs(10);
/// How often it looks whether somebody is left.
const LOOK: Duration = Duration::from_millis(10);

impl Hall {
    /// Begins to listen, if this process is to. Called on the service thread.
    pub(crate) async fn open(config: &Config) -> Result<Option<Self>> {
        let first = config.ranks.as_ref().is_some_and(|ranks| ranks.contains(&0));
        let Some(address) = config.serve.as_ref().filter(|_| first) else { return Ok(None) };
        let token = config.token.as_ref().ok_or_else(|| Error::Config {
            origin: "FMI_SERVE".to_owned(),
            message: "a rendezvous wants a token: set FMI_TOKEN, the same for all processes"
                .to_owned(),
        })?;
        let token = handshake::Token::new(token.expose());
        let server = Server::bind(address, token, Options::default()).await?;
        let monitor = server.monitor();
        let (running, ended) = oneshot::channel::<()>();
        tokio::spawn(server.run(ended));
        Ok(Some(Self { monitor, _running: running }))
    }

    /// Serves as long as this process lives.
    pub(crate) fn stay(self) {
        Service::get().spawn(async move {
            let _hall = self;
            std::future::pending::<()>().await;
        });
    }

    /// Ends when all have left.
    pub(crate) async fn close(self) {
        let end = Instant::now() + LAST_ORDERS;
        let somebody = || self.monitor.figures().is_some_and(|figures| figures.processes > 0);
        while somebody() && Instant::now() < end {
            sleep(LOOK).await;
        }
    }
}
