//! The relay of a real rendezvous, reached through a proxy that can cut what goes through it.

use crate::{met, proxy::Proxy};
use fmi_actors::{Node, Settings};
use fmi_channels::{conformance::Wire, conformance_suite};
use parking_lot::Mutex;
use std::sync::Arc;

conformance_suite!(Relayed::default());

/// Processes that nothing joins but the relay.
#[derive(Debug, Default)]
struct Relayed(Mutex<Option<Proxy>>);

impl Wire for Relayed {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        let (proxy, nodes) = met::nodes(processes, settings);
        *self.0.lock() = Some(proxy);
        nodes
    }

    fn cut(&self, _: &Arc<Node>, _: &Arc<Node>) -> bool {
        self.0.lock().as_ref().is_some_and(|proxy| proxy.cut() > 0)
    }
}
