//! What can be set, and what tests set otherwise.

use aws_sdk_s3::config::Credentials;
use fmi_model::polling::{CAP, LookPrices};
use std::time::Duration;

/// Bounds and patience of the channel.
#[derive(Debug, Clone)]
pub struct Options {
    /// These, instead of what the SDK's chain finds (environment, profile, role, metadata).
    pub credentials: Option<Credentials>,
    /// Looks a second and process, at most.
    pub looks: f64,
    /// What looking and waiting cost, if not what the process pays (`Meter::tariff`).
    pub prices: Option<LookPrices>,
    /// Those for whom nobody waits are looked for this often: failure notices, credit.
    pub seldom: Duration,
    /// Larger contents are written in parts and read in ranges of so many bytes. AWS wants
    /// 5 MiB at least.
    pub part: usize,
    /// Parts and ranges of one content under way at once.
    pub parallel: usize,
    /// Bytes that a content may have.
    pub largest: u64,
    /// How long a request without an answer is waited for; one that carries much gets more.
    pub answer: Duration,
    /// How long what can be retried is.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            credentials: None,
            looks: CAP.get(),
            prices: None,
            seldom: Duration::from_secs(5),
            part: 8 << 20,
            parallel: 8,
            // S3's own bound.
            largest: 5 << 40,
            answer: Duration::from_secs(10),
            patience: Duration::from_secs(30),
        }
    }
}
