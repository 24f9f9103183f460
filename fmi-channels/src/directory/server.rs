//! The rendezvous server as a directory.

use super::{Directory, Formed, Membership, Register};
use crate::{
    handshake::Token,
    outside::Outside,
    rendezvous::{Client, Event, Reach},
};
use fmi_actors::{Reason, Result, channel::Post};
use futures::future::BoxFuture;
use std::{sync::Arc, time::Duration};

/// An `fmi rendezvous`.
#[derive(Debug)]
pub struct Server {
    /// Where it is.
    pub reach: Reach,
    /// The job's token.
    pub token: Token,
}

impl Directory for Server {
    fn register<'a>(
        &'a self,
        mut registration: Register<'a>,
        deadline: Duration,
    ) -> BoxFuture<'a, Result<Arc<dyn Membership>>> {
        Box::pin(async move {
            let register = move |own: std::net::SocketAddr| registration(own.ip());
            let client = Client::connect_with(&self.reach, &self.token, register, deadline);
            Ok(Arc::new(client.await?) as Arc<dyn Membership>)
        })
    }
}

impl Membership for Client {
    fn complete(&self) -> BoxFuture<'_, Result<Formed>> {
        Box::pin(async move {
            let members = Client::complete(self).await?;
            let registered = self.registered();
            let (process, epoch) = (registered.process, registered.epoch);
            Ok(Formed { process, epoch, members, model: self.model() })
        })
    }

    fn event(&self) -> BoxFuture<'_, Option<Event>> {
        Box::pin(Client::event(self))
    }

    fn abort(&self, rank: u32, reason: Reason) {
        Client::abort(self, rank, reason);
    }

    fn leave(&self) -> BoxFuture<'_, ()> {
        Box::pin(Client::leave(self))
    }

    fn post(&self) -> Option<Arc<dyn Post>> {
        Some(Arc::new(Client::post(self)))
    }

    fn outside(&self) -> Option<Outside> {
        Some(Client::outside(self).clone())
    }
}
