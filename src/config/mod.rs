//! Where a job gets its settings from: environment, `fmi.toml`, FMI's `fmi.json`, or code.
//!
//! [`Config::from_env`] reads a file, if there is one, and then the environment; setters come
//! last. [`Config::validate`] checks that the settings fit together. `docs/configuration.md` has
//! the tables.

mod address;
mod algorithms;
mod channel;
mod check;
mod env;
mod json;
mod json_tree;
mod ladder;
mod launch;
mod launcher;
mod learnt;
mod limits;
mod load;
mod model;
mod money;
mod ranks;
mod suggest;
mod token;
mod toml;
mod tree;
mod units;

pub use address::{Rendezvous, Scheme};
pub use channel::{ChannelSpec, Unavailable};
pub use fmi_model::Objective;
pub use launch::{Launch, duration};
pub(crate) use launcher::Id;
pub use launcher::{Launcher, ranks_of};
pub use limits::{Deadlines, Limits};
pub use money::Money;
pub(crate) use money::written;
pub use token::Token;

use std::path::PathBuf;
#[cfg(any(feature = "tcp", feature = "redis", feature = "s3"))]
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fmi_actors::{Error, Result, channel::Rung};
use fmi_collectives::plan::Rule;

/// Everything that a process is told about its job.
///
/// Fields are public, and each has a setter of the same name that can be chained:
///
/// ```
/// use fmi::config::Config;
///
/// let config = Config::default()
///     .job("scoring-42")
///     .size(8)
///     .rank(3)
///     .rendezvous("tcp://10.0.0.1:10000")?;
/// config.validate()?;
/// # Ok::<(), fmi_actors::Error>(())
/// ```
///
/// Setters that read text return a `Result`, as the text may be wrong. What only makes sense
/// together (a rank and the size) is checked by [`Config::validate`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Name of the job: processes that give the same name meet. `default` if not set.
    pub job: String,
    /// How many ranks the job has.
    pub size: Option<usize>,
    /// After a loss, with how many ranks the job may go on. 1 if not set.
    pub min_size: usize,
    /// The ranks of this process. `None`: all of them without a rendezvous, else the rendezvous
    /// gives a number.
    pub ranks: Option<Vec<usize>>,
    /// The secret that all processes of the job share.
    pub token: Option<Token>,
    /// Where the processes of the job find each other. `None`: all ranks are in this process.
    pub rendezvous: Option<Rendezvous>,
    /// A file with the certificates (PEM) that a `tls://` rendezvous may be signed by. `None`:
    /// those that this machine trusts.
    pub rendezvous_ca: Option<PathBuf>,
    /// The channels to use, also those that this build lacks; see [`Config::available`]. Empty:
    /// the library chooses.
    pub channels: Vec<ChannelSpec>,
    /// The rungs that links to other processes may have, the best first. All of them,
    /// [`Rung::LADDER`], if not set.
    pub ladder: Vec<Rung>,
    /// Where the tcp channel listens, `HOST:PORT`; port 0 is any free one. `None`: a free port
    /// on all addresses.
    pub listen: Option<String>,
    /// Where other processes reach this one, `HOST` or `HOST:PORT`, if that is not where it
    /// listens (address translation, mapped container ports).
    pub advertise: Option<String>,
    /// Whether tcp links are encrypted (TLS 1.3, each process pins the other's certificate).
    /// `false` if not set: they are authenticated alone. It takes both ends.
    pub encrypt: bool,
    /// Whether tcp links check what arrives beyond TCP's own 16 bits. `false` if not set; of no
    /// use on encrypted links. It takes both ends.
    pub checksum: bool,
    /// How long to wait for what.
    pub deadlines: Deadlines,
    /// When this process will be ended, if somebody will: its ranks are given up in time, and
    /// [`Context::remaining`](crate::Context::remaining) says how long they have.
    pub until: Option<SystemTime>,
    /// Bounds on memory.
    pub limits: Limits,
    /// Whether a runtime stays awake for about 1 ms after the last message, which saves the
    /// 40–120 µs of waking it. `true` if not set.
    pub keep_awake: bool,
    /// How many threads (arbiters) run the ranks of this process. `None`: one a core.
    pub threads: Option<usize>,
    /// Which algorithms run the collectives, before the library's own [table](Self::table). All
    /// processes of a job must have the same.
    pub algorithms: Vec<Rule>,
    /// What the program wants where time and money can be had for each other: to know soon, to pay
    /// little, or one within a bound of the other. If not set, algorithms are chosen for time, and stores are looked
    /// into for money.
    pub hint: Option<Objective>,
    /// By what algorithms and channels are chosen: the name of a profile that is shipped, or a file. `None`: by the
    /// library's own [table](Self::table). In a job that of the first process that has one counts for all.
    pub profile: Option<String>,
    /// Whether reductions give the same bits on every run, whatever the job has [learnt](crate::Communicator::calibrate):
    /// then they are chosen by what it was told at first. `true` if not set. That of the process whose model counts
    /// counts for all.
    pub reproducible: bool,
    /// A file to which the job's first process writes the profile as it has [learnt](crate::Communicator::calibrate)
    /// it, when it leaves: the next job's [profile](Self#structfield.profile). Nothing is written if nothing was learnt.
    pub learnt: Option<PathBuf>,
    /// What this process pays.
    pub money: Money,
    /// The `model` of an `fmi.json`, as it was read: it counts where no [profile](Self#structfield.profile) is set.
    pub model: Option<serde_json::Value>,
    /// The address where the process of rank 0 serves the rendezvous itself, `HOST:PORT`. `None`: it
    /// does not.
    pub serve: Option<String>,
    /// The launcher that rank and size were taken from, as they were not set. `None`: they were, or
    /// there is none.
    pub launcher: Option<Launcher>,
    /// What `fmi run` starts, and what it tells the processes of it.
    pub launch: Launch,
    /// Where such processes meet, once they do.
    #[cfg(any(feature = "tcp", feature = "redis", feature = "s3"))]
    pub(crate) folder: Option<Arc<crate::adopt::JobFolder>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            job: "default".to_owned(),
            size: None,
            min_size: 1,
            ranks: None,
            token: None,
            rendezvous: None,
            rendezvous_ca: None,
            channels: Vec::new(),
            ladder: Rung::LADDER.to_vec(),
            listen: None,
            advertise: None,
            encrypt: false,
            checksum: false,
            deadlines: Deadlines::default(),
            until: None,
            limits: Limits::default(),
            keep_awake: true,
            threads: None,
            algorithms: Vec::new(),
            hint: None,
            profile: None,
            reproducible: true,
            learnt: None,
            money: Money::default(),
            model: None,
            serve: None,
            launcher: None,
            launch: Launch::default(),
            #[cfg(any(feature = "tcp", feature = "redis", feature = "s3"))]
            folder: None,
        }
    }
}

impl Config {
    /// Names the job.
    pub fn job(mut self, name: impl Into<String>) -> Self {
        self.job = name.into();
        self
    }

    /// Sets how many ranks the job has. If that is another number than a launcher's, what was adopted
    /// from it is forgotten.
    pub fn size(mut self, size: usize) -> Self {
        if self.size != Some(size) && self.launcher.take().is_some() {
            self.ranks = None;
        }
        self.size = Some(size);
        self
    }

    /// Sets with how many ranks at least the job may go on after a loss.
    pub fn min_size(mut self, ranks: usize) -> Self {
        self.min_size = ranks;
        self
    }

    /// Gives this process one rank.
    pub fn rank(self, rank: usize) -> Self {
        self.ranks([rank])
    }

    /// Gives this process several ranks, a pack.
    pub fn ranks(mut self, ranks: impl IntoIterator<Item = usize>) -> Self {
        self.ranks = Some(ranks.into_iter().collect());
        self
    }

    /// Sets the secret of the job.
    pub fn token(mut self, token: impl Into<Token>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets where the processes find each other: `tcp://HOST:PORT`, `tls://HOST:PORT`,
    /// `file:///FOLDER`, or the URL of a store.
    pub fn rendezvous(mut self, url: &str) -> Result<Self> {
        self.rendezvous = Some(Rendezvous::read(url).map_err(|wrong| told("rendezvous", wrong))?);
        Ok(self)
    }

    /// Sets by which certificates (a PEM file) a `tls://` rendezvous may be signed.
    pub fn rendezvous_ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.rendezvous_ca = Some(path.into());
        self
    }

    /// Sets the channels: names or URLs with commas between them, as `FMI_CHANNELS` has them.
    pub fn channels(mut self, list: &str) -> Result<Self> {
        self.channels = channel::list(list).map_err(|wrong| told("channels", wrong))?;
        Ok(self)
    }

    /// Sets which rungs links may have, the best first: names with commas between them, as
    /// `FMI_LADDER` has them, `direct,relay`.
    pub fn ladder(mut self, list: &str) -> Result<Self> {
        self.ladder = ladder::list(list).map_err(|wrong| told("ladder", wrong))?;
        Ok(self)
    }

    /// Sets where the tcp channel listens: `HOST:PORT`, port 0 for any free one.
    pub fn listen(mut self, address: &str) -> Result<Self> {
        self.listen = Some(address::listen(address).map_err(|wrong| told("listen", wrong))?);
        Ok(self)
    }

    /// Sets where other processes reach this one: `HOST` or `HOST:PORT`.
    pub fn advertise(mut self, address: &str) -> Result<Self> {
        let address = address::advertise(address).map_err(|wrong| told("advertise", wrong))?;
        self.advertise = Some(address);
        Ok(self)
    }

    /// Makes the process of rank 0 serve the rendezvous there: `HOST:PORT`.
    pub fn serve(mut self, address: &str) -> Result<Self> {
        self.serve = Some(address::listen(address).map_err(|wrong| told("serve", wrong))?);
        Ok(self)
    }

    /// Says whether tcp links are encrypted. All processes of a job must say the same.
    pub fn encrypt(mut self, on: bool) -> Self {
        self.encrypt = on;
        self
    }

    /// Says whether tcp links carry checksums. All processes of a job must say the same.
    pub fn checksum(mut self, on: bool) -> Self {
        self.checksum = on;
        self
    }

    /// Sets how long to wait until all ranks have joined.
    pub fn join_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines.join = deadline;
        self
    }

    /// Sets how long a peer may be silent before it counts as lost.
    pub fn silent_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines.silent = deadline;
        self
    }

    /// Sets how long one operation may wait for peers that are alive.
    pub fn operation_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines.operation = deadline;
        self
    }

    /// Sets how long ranks that rejoin wait for replacements of those that are gone.
    pub fn grace_deadline(mut self, deadline: Duration) -> Self {
        self.deadlines.grace = deadline;
        self
    }

    /// Says when this process will be ended.
    pub fn until(mut self, end: SystemTime) -> Self {
        self.until = Some(end);
        self
    }

    /// Sets how many bytes may wait to be sent to one peer.
    pub fn outbox(mut self, bytes: usize) -> Self {
        self.limits.outbox = bytes;
        self
    }

    /// Says whether a runtime stays awake for about 1 ms after the last message.
    pub fn keep_awake(mut self, on: bool) -> Self {
        self.keep_awake = on;
        self
    }

    /// Sets how many threads run the ranks of this process.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Sets what the program wants where time and money can be had for each other.
    pub fn hint(mut self, hint: Objective) -> Self {
        self.hint = Some(hint);
        self
    }

    /// Sets by which profile algorithms and channels are chosen: a name, or a file.
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.profile = Some(name.into());
        self
    }

    /// Says whether reductions give the same bits on every run, whatever the job has learnt.
    pub fn reproducible(mut self, on: bool) -> Self {
        self.reproducible = on;
        self
    }

    /// Sets the file to which the job's first process writes the profile as it has learnt it.
    pub fn learnt(mut self, path: impl Into<PathBuf>) -> Self {
        self.learnt = Some(path.into());
        self
    }

    /// Sets the file with the prices that this process pays.
    pub fn prices(mut self, path: impl Into<PathBuf>) -> Self {
        self.money.prices = Some(path.into());
        self
    }

    /// Sets how much memory this function has, in bytes: it is paid by that.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.money.memory = Some(bytes);
        self
    }

    /// Where the processes meet: at the [rendezvous](Self#structfield.rendezvous); without one,
    /// and if there is a size, in the store among the channels, should there be one alone.
    pub fn meeting(&self) -> Option<Rendezvous> {
        if self.rendezvous.is_some() || self.size.is_none() {
            return self.rendezvous.clone();
        }
        let mut stores = self.available().filter(|channel| channel.is_store());
        match (stores.next(), stores.next()) {
            (Some(store), None) => Rendezvous::read(store.url()?).ok(),
            _ => None,
        }
    }

    /// Sets which algorithms run the collectives wherever they can: full names with commas between
    /// them, as `FMI_ALGORITHMS` has them, `allreduce/ring,bcast/chain`. Rules with conditions, or
    /// with an algorithm of your own, go to [`algorithms`](Self#structfield.algorithms).
    pub fn algorithms(mut self, list: &str) -> Result<Self> {
        self.algorithms = algorithms::list(list).map_err(|wrong| told("algorithms", wrong))?;
        Ok(self)
    }
}

/// As a name of a file: what could be anything else becomes a dash.
#[cfg(any(feature = "tcp", feature = "redis", feature = "s3"))]
pub(crate) fn file_name(text: &str) -> String {
    launcher::name(text)
}

/// The error for a setting, with the place where it was made.
fn told(origin: impl Into<String>, message: impl Into<String>) -> Error {
    Error::Config { origin: origin.into(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_has_nothing_set() {
        let config = Config::default();
        assert_eq!(config.job, "default");
        assert_eq!((config.size, &config.ranks, &config.rendezvous), (None, &None, &None));
        assert!(config.channels.is_empty() && config.token.is_none());
        assert_eq!(config.deadlines.join, Duration::from_secs(60));
        assert_eq!(config.deadlines.silent, Duration::from_secs(10));
        assert_eq!(config.deadlines.operation, Duration::from_secs(900));
        assert_eq!((config.deadlines.grace, config.min_size), (Duration::from_secs(5), 1));
        assert_eq!(config.limits.outbox, 4 << 20);
        assert!(config.keep_awake && config.reproducible && config.learnt.is_none());
        assert_eq!(config.ladder, Rung::LADDER);
        assert_eq!((config.encrypt, config.checksum, &config.rendezvous_ca), (false, false, &None));
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn setters_chain() {
        let config = Config::default()
            .job("x")
            .size(8)
            .rank(3)
            .token("secret")
            .rendezvous("tls://h:1")
            .and_then(|config| config.channels("local,tcp"))
            .and_then(|config| config.ladder("relay,direct"))
            .and_then(|config| config.listen("0.0.0.0:0"))
            .and_then(|config| config.advertise("h"))
            .unwrap()
            .rendezvous_ca("ca.pem")
            .encrypt(true)
            .checksum(true)
            .join_deadline(Duration::from_secs(1))
            .silent_deadline(Duration::from_secs(2))
            .operation_deadline(Duration::from_secs(3))
            .grace_deadline(Duration::from_secs(4))
            .min_size(2)
            .outbox(4)
            .keep_awake(false)
            .reproducible(false)
            .learnt("learnt.toml")
            .threads(6);
        assert_eq!((config.job.as_str(), config.size, config.threads), ("x", Some(8), Some(6)));
        assert_eq!(config.ranks, Some(vec![3]));
        assert_eq!(config.channels, [ChannelSpec::Local, ChannelSpec::Tcp]);
        assert_eq!(config.listen.as_deref(), Some("0.0.0.0:0"));
        assert_eq!(config.advertise.as_deref(), Some("h"));
        assert_eq!(config.deadlines.operation, Duration::from_secs(3));
        assert_eq!((config.deadlines.grace, config.min_size), (Duration::from_secs(4), 2));
        assert_eq!(config.limits.outbox, 4);
        assert!(!config.keep_awake && !config.reproducible);
        assert_eq!(config.learnt, Some(PathBuf::from("learnt.toml")));
        assert_eq!(config.ladder, [Rung::Relay, Rung::Direct]);
        assert!(config.encrypt && config.checksum);
        assert_eq!(config.rendezvous_ca, Some(PathBuf::from("ca.pem")));
        assert_eq!(config.validate(), Ok(()));
    }

    #[cfg(feature = "redis")]
    #[test]
    fn the_only_store_is_the_rendezvous_too() {
        let with = |channels| Config::default().channels(channels).unwrap();
        let one = with("tcp,redis://:hunter2@h:1");
        assert_eq!(one.meeting(), None, "a size is needed");
        let one = one.size(2);
        assert_eq!(one.meeting().unwrap().url(), "redis://:hunter2@h:1");
        assert_eq!(one.clone().rank(0).validate(), Ok(()));
        let elsewhere = one.rendezvous("tcp://h:1").unwrap();
        assert_eq!(elsewhere.meeting(), elsewhere.rendezvous);
        assert_eq!(with("redis://h:1,redis://h:2").size(2).meeting(), None);
        assert_eq!(with("tcp").size(2).meeting(), None);
    }

    #[test]
    fn setters_name_what_they_refuse() {
        let wrong = Config::default().listen("0.0.0.0").unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "listen: \"0.0.0.0\" has no port: add one, or :0 for any free port"
        );
    }

    #[test]
    fn no_secret_in_debug() {
        let config = Config::default()
            .token("hunter2")
            .channels("redis://user:hunter2@cache:6379/0")
            .unwrap();
        for text in [format!("{config:?}"), format!("{config:#?}")] {
            assert!(!text.contains("hunter2"), "{text}");
            assert!(text.contains("Token(hidden)"), "{text}");
        }
    }
}
