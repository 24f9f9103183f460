//! Mailboxes in a bucket.

use crate::server::{Own, own_options};
use fmi_actors::{Member, Node, Place, Settings, channel::Channel, service::Service};
use fmi_channels::{conformance::Wire, conformance_suite, local::LocalLink, s3::S3};
use fmi_model::polling::Hint;
use parking_lot::Mutex;
use std::sync::{Arc, LazyLock, mpsc};

mod good {
    use super::*;
    conformance_suite!(Store::new(0));
}

mod bad {
    use super::*;
    conformance_suite!(Store::new(50));
}

/// A server with a prefix for each test; so many of a thousand requests fail.
#[derive(Debug)]
struct Store {
    urls: Mutex<Vec<String>>,
}

static SERVER: LazyLock<Own> = LazyLock::new(Own::start);

impl Store {
    fn new(failing: u32) -> Self {
        SERVER.faults.share(failing);
        Self { urls: Mutex::default() }
    }
}

impl Wire for Store {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let url = SERVER.url(&format!("conformance-{number}"));
        self.urls.lock().push(url.clone());
        let mut next = 0;
        let channels: Vec<_> = processes.iter().map(|_| connected(url.clone())).collect();
        let members: Vec<_> = (0..)
            .zip(processes)
            .zip(&channels)
            .map(|((process, ranks), channel)| {
                let first = next;
                next += *ranks as u32;
                let address = channel.address([127, 0, 0, 1].into()).unwrap();
                Member {
                    process,
                    ranks: (first..next).collect(),
                    addresses: vec![("s3".to_owned(), address)],
                    incarnation: 3,
                    ..Member::default()
                }
            })
            .collect();
        (0..)
            .zip(channels)
            .map(|(process, channel)| {
                let place = Place { process, epoch: 77, members: members.clone() };
                let node = Node::new(place, vec![channel], &[], settings.clone());
                LocalLink::attach(&node);
                node.start();
                node
            })
            .collect()
    }

    fn cut(&self, one: &Arc<Node>, other: &Arc<Node>) -> bool {
        // Each side has a link of its own.
        [(one, other), (other, one)].into_iter().fold(false, |cut, (from, to)| {
            let link = from.peer(to.process()).and_then(|peer| peer.link());
            link.inspect(|link| link.close()).is_some() || cut
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            SERVER.faults.share(0);
            self.urls.lock().iter().for_each(|url| SERVER.wait_until_empty(url));
        }
    }
}

/// On no runtime of the test's.
fn connected(url: String) -> Arc<S3> {
    let (send, receive) = mpsc::channel();
    Service::get().spawn(async move {
        let _ = send.send(S3::with(&url, "conformance", Hint::Fast, own_options()).await);
    });
    receive.recv().unwrap().unwrap()
}
