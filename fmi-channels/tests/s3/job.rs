//! Processes of a job that have nothing in common but a bucket.

use fmi_actors::{Member, Node, Place, Settings, channel::Channel, service::Service};
use fmi_channels::{
    conformance::Wire,
    local::LocalLink,
    s3::{Options, S3},
};
use fmi_model::polling::Hint;
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
    mpsc,
};
use test_servers::s3::Server;

/// A job with a prefix of its own; whoever drops it sees that nothing is left there.
#[derive(Debug)]
pub(crate) struct Job {
    server: Arc<Server>,
    url: String,
    pub(crate) options: Options,
    pub(crate) hint: Hint,
    /// Of all processes; they leave when the job is dropped, if not before.
    channels: Mutex<Vec<Arc<S3>>>,
    /// Of the next processes: what those before leave behind is theirs.
    epoch: AtomicU32,
}

pub(crate) const JOB: &str = "a job";
pub(crate) const EPOCH: u32 = 77;

impl Job {
    pub(crate) fn at(server: &Arc<Server>) -> Self {
        let (url, options) = (server.url(), server.options());
        let server = Arc::clone(server);
        Self {
            server,
            url,
            options,
            hint: Hint::Fast,
            channels: Mutex::default(),
            epoch: AtomicU32::new(EPOCH),
        }
    }

    /// The keys of its objects that contain a text.
    pub(crate) fn keys(&self, text: &str) -> Vec<String> {
        let keys = self.server.keys(&self.url);
        keys.into_iter().filter(|key| key.contains(text)).collect()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn connect(&self) -> Arc<S3> {
        let (url, options, hint) = (self.url.clone(), self.options.clone(), self.hint);
        // On no runtime of the test's.
        let (send, receive) = mpsc::channel();
        Service::get().spawn(async move {
            let _ = send.send(S3::with(&url, JOB, hint, options).await);
        });
        receive.recv().unwrap().unwrap()
    }
}

impl Wire for Job {
    fn nodes(&self, processes: &[usize], settings: &Settings) -> Vec<Arc<Node>> {
        let channels: Vec<_> = processes.iter().map(|_| self.connect()).collect();
        let mut next = 0;
        let members: Vec<_> = (0..)
            .zip(processes)
            .zip(&channels)
            .map(|((process, ranks), channel)| {
                let first = next;
                next += *ranks as u32;
                let address = channel.address([127, 0, 0, 1].into()).unwrap();
                let addresses = vec![("s3".to_owned(), address)];
                Member {
                    process,
                    ranks: (first..next).collect(),
                    addresses,
                    incarnation: 3,
                    ..Member::default()
                }
            })
            .collect();
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed);
        self.channels.lock().extend(channels.iter().map(Arc::clone));
        (0..)
            .zip(channels)
            .map(|(process, channel)| {
                let place =
                    Place { process, epoch, members: members.clone(), model: Arc::default() };
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

impl Drop for Job {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.server.faults(|faults| faults.clear());
            self.channels.lock().iter().for_each(|channel| channel.stop());
            self.server.wait_until_empty(&self.url);
        }
    }
}
