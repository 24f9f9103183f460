//! Channel `s3`: a mailbox a process in a bucket, and a shelf for what many read.
//!
//! A link writes objects (`outgoing`, `link`) that their reader looks for (`reader`) and deletes,
//! which is the receipt (`receipts`). Items of the `shelf` have objects of their own (`stripes`);
//! who has read them is told in the mail (`ledger`). Everything of a job's epoch has one prefix
//! (`keys`), which the last process deletes (`farewell`); each object says whose it is and has
//! checksums (`object`). Requests run on a thread of their own (`runtime`) and are retried where
//! that makes sense (`bucket`, `error`).

mod bucket;
mod client;
mod counts;
pub(crate) mod directory;
mod download;
mod error;
mod examine;
mod farewell;
mod keys;
mod ledger;
mod link;
mod lookout;
mod mail;
mod object;
mod office;
mod options;
mod outgoing;
mod own;
mod reader;
mod receipts;
mod rules;
mod runtime;
mod schedule;
mod shelf;
mod source;
mod stripes;
mod tasks;
mod upload;
mod url;

pub use aws_sdk_s3::config::Credentials;
pub use counts::Requests;
pub use examine::{Examination, examine};
pub use options::Options;
pub use own::{Object, Part, Upload};
pub use rules::{lifecycle, policy};
pub use url::Location;

use bucket::Bucket;
use fmi_actors::{
    Member, Node, Result,
    channel::{Channel, DialError, Link, Rung, Way},
    meter::Purpose,
    store::Store,
};
use fmi_model::{
    Rate,
    polling::{Hint, Poller},
    prices::Request,
};
use futures::future::BoxFuture;
use keys::Keys;
use office::Office;
use parking_lot::Mutex;
use schedule::Planner;
use shelf::Shelf;
use std::{net::IpAddr, sync::Arc, time::Duration};

const NAME: &str = "s3";

/// The S3 channel of a process.
#[derive(Debug)]
pub struct S3 {
    bucket: Arc<Bucket>,
    job: String,
    hint: Hint,
    office: Arc<Mutex<Option<Arc<Office>>>>,
    shelf: Arc<Shelf>,
}

impl S3 {
    /// Finds credentials, and looks whether the bucket can be read.
    ///
    /// # Errors
    /// [`Config`](fmi_actors::Error::Config) if the URL is wrong,
    /// [`Store`](fmi_actors::Error::Store) with what to do if S3 refuses.
    pub async fn connect(url: &str, job: &str, hint: Hint) -> Result<Arc<Self>> {
        Self::with(url, job, hint, Options::default()).await
    }

    /// As [`connect`](Self::connect), with other bounds.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn with(url: &str, job: &str, hint: Hint, options: Options) -> Result<Arc<Self>> {
        let (location, job) = (Location::parse(url)?, job.to_owned());
        runtime::run(async move {
            let failed = |trouble: error::Trouble| trouble.error(&location, "the bucket");
            let bucket = Bucket::open(location.clone(), options).await.map_err(failed)?;
            // Missing, it says: with less than what is needed S3 calls it forbidden.
            let nothing = Keys::nothing(&location.prefix, &job);
            bucket.get(&nothing, None, 1).await.map_err(failed)?;
            let bucket = Arc::new(bucket);
            let office = Arc::default();
            let shelf = Arc::new(Shelf(Arc::clone(&office)));
            Ok(Arc::new(Self { bucket, job, hint, office, shelf }))
        })
        .await
    }

    /// What it has asked of S3 so far.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.bucket.counts.so_far()
    }

    /// What other processes know it by: the same objects, by whatever way.
    fn place(&self) -> String {
        let Location { bucket, prefix, .. } = &self.bucket.location;
        format!("s3://{bucket}/{prefix}")
    }
}

impl Channel for S3 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn address(&self, _own: IpAddr) -> Option<String> {
        Some(self.place())
    }

    fn start(&self, node: &Arc<Node>) {
        self.bucket.counts.account.charge(node.meter(), Purpose::Awaited);
        let keys = Keys::new(&self.bucket.location.prefix, &self.job, node.epoch());
        let bucket = Arc::clone(&self.bucket);
        let meter = Arc::clone(node.meter());
        let tariff = meter.tariff();
        let prices = || tariff.prices.look(Request::Get, tariff.memory);
        let prices = self.bucket.options.prices.unwrap_or_else(prices);
        let poller = Poller::new(prices, self.hint, Rate::new(self.bucket.options.looks));
        let looks = Planner { poller, meter };
        let office = Office::open(bucket, keys, self.hint, looks, node);
        if let Some(before) = self.office.lock().replace(office) {
            before.stop();
        }
    }

    fn ways(&self, node: &Arc<Node>, to: &Member) -> Vec<Way> {
        let place = self.place();
        if !to.addresses.iter().any(|(channel, address)| channel == NAME && *address == place) {
            return Vec::new();
        }
        let Some(office) = self.office.lock().clone() else { return Vec::new() };
        let (node, process) = (Arc::downgrade(node), to.process);
        vec![Way {
            rung: Rung::Store,
            name: place,
            after: Duration::ZERO,
            dial: Box::new(move |quality| {
                let (node, office) = (node.upgrade(), Arc::clone(&office));
                Box::pin(async move {
                    let node = node.ok_or_else(|| DialError::soft("the process has ended"))?;
                    let peer = node.peer(process);
                    let peer = peer.ok_or_else(|| DialError::soft("no such process"))?;
                    let link: Arc<dyn Link> = office.link(process).await?;
                    peer.attach(link, peer.next_rank(node.process(), quality));
                    Ok(())
                })
            }),
        }]
    }

    fn stop(&self) {
        let office = self.office.lock().clone();
        if let Some(office) = office {
            office.stop();
        }
    }

    fn stopped(&self) -> BoxFuture<'static, ()> {
        let office = self.office.lock().clone();
        Box::pin(async move {
            if let Some(office) = office {
                office.stopped().await;
            }
        })
    }

    fn store(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::clone(&self.shelf) as _)
    }
}
