//! Whether the settings fit together.

use fmi_actors::{Error, Result, channel::Rung};

use super::{ChannelSpec, Config, Id, Scheme, address, channel, ladder, ranks, told, units};

/// The longest name of a job, in bytes: it travels in the first frame to the rendezvous.
const LONGEST_NAME: usize = 255;

impl Config {
    /// Checks that the settings make sense together. Joining a job does it too.
    ///
    /// A rank beyond the size is [`Error::RankOutOfRange`], all else [`Error::Config`] with the
    /// setting as its origin.
    pub fn validate(&self) -> Result<()> {
        self.validate_each()?;
        self.validate_ranks()?;
        self.validate_channels()
    }

    /// Each setting alone. The sources check most of this, but setters and fields take anything.
    fn validate_each(&self) -> Result<()> {
        let name = &self.job;
        if name.is_empty() {
            return Err(told("job", "the job has no name: set FMI_JOB to one"));
        }
        if name.len() > LONGEST_NAME || name.contains(char::is_control) {
            return Err(told(
                "job",
                "the name is longer than 255 bytes or has control characters: choose a plain one",
            ));
        }
        if self.token.as_ref().is_some_and(|token| token.expose().is_empty()) {
            return Err(told("token", "the token is empty: set FMI_TOKEN to the job's secret"));
        }
        if let Some(size) = self.size {
            ranks::check_size(size).map_err(|wrong| told("size", wrong))?;
        }
        if let Some(listen) = &self.listen {
            address::listen(listen).map_err(|wrong| told("listen", wrong))?;
        }
        if let Some(serve) = &self.serve {
            address::listen(serve).map_err(|wrong| told("serve", wrong))?;
        }
        if let Some(advertise) = &self.advertise {
            address::advertise(advertise).map_err(|wrong| told("advertise", wrong))?;
        }
        ladder::check(&self.ladder).map_err(|wrong| told("ladder", wrong))?;
        if let Some((url, why)) =
            self.rendezvous.as_ref().and_then(|url| url.unavailable().map(|why| (url, why)))
        {
            return Err(told("rendezvous", format!("{url}: {why}")));
        }
        if let (Some(url), Some(_)) = (&self.rendezvous, &self.rendezvous_ca)
            && url.scheme() != Scheme::Tls
        {
            let wrong = format!(
                "certificates for the rendezvous are given, but {url} shows none: write \
                 tls://HOST:PORT, or take FMI_RENDEZVOUS_CA away"
            );
            return Err(told("rendezvous_ca", wrong));
        }
        for (name, deadline) in [
            ("deadlines.join", self.deadlines.join),
            ("deadlines.silent", self.deadlines.silent),
            ("deadlines.operation", self.deadlines.operation),
            ("deadlines.grace", self.deadlines.grace),
        ] {
            units::check_deadline(deadline).map_err(|wrong| told(name, wrong))?;
        }
        units::check_bytes(self.limits.outbox).map_err(|wrong| told("limits.outbox", wrong))?;
        if let Some(threads) = self.threads {
            check_threads(threads).map_err(|wrong| told("threads", wrong))?;
        }
        Ok(())
    }

    /// Ranks, size and rendezvous.
    fn validate_ranks(&self) -> Result<()> {
        if self.min_size == 0 || self.size.is_some_and(|size| self.min_size > size) {
            let size = self.size.map_or("the size".to_owned(), |size| size.to_string());
            let wrong =
                format!("the job cannot go on with {} ranks: give 1 to {size}", self.min_size);
            return Err(told("min_size", wrong));
        }
        let Some(ranks) = &self.ranks else {
            return match (&self.rendezvous, self.size) {
                (Some(_), None) => Err(told(
                    "size",
                    "a rendezvous is given without a size: set FMI_SIZE to the number of ranks \
                     of the job",
                )),
                _ => Ok(()),
            };
        };
        let Some(size) = self.size else {
            return Err(told(
                "rank",
                "a rank is given without a size: set FMI_SIZE to the number of ranks of the job",
            ));
        };
        if let Some(&rank) = ranks.iter().find(|rank| **rank >= size) {
            return Err(Error::RankOutOfRange { operation: "join", rank, size });
        }
        ranks::check(ranks).map_err(|wrong| told("rank", wrong))?;
        // A process that has all ranks needs to meet nobody.
        if ranks.len() < size && self.meeting().is_none() && !self.meets_at_home() {
            return Err(told(
                "rendezvous",
                format!(
                    "this process has {} of {size} ranks and no rendezvous to meet the others: \
                     set FMI_RENDEZVOUS=tcp://HOST:PORT (or redis://…, s3://…), or start the job \
                     with `fmi run`",
                    ranks.len()
                ),
            ));
        }
        Ok(())
    }

    /// Whether a launcher's processes, that are told no place to meet, find one below their home.
    fn meets_at_home(&self) -> bool {
        self.launcher.as_ref().is_some_and(|launcher| launcher.id != Id::Apart)
    }

    fn validate_channels(&self) -> Result<()> {
        if self.channels.is_empty() {
            return Ok(());
        }
        channel::check(&self.channels).map_err(|wrong| told("channels", wrong))?;
        if self.available().next().is_none() {
            let reasons: Vec<_> = self
                .channels
                .iter()
                .filter_map(|channel| Some(format!("{channel}: {}", channel.unavailable()?)))
                .collect();
            return Err(told(
                "channels",
                format!(
                    "no channel is left to use ({}): add local or tcp to FMI_CHANNELS",
                    reasons.join(", ")
                ),
            ));
        }
        let here = self.ranks.as_ref().map_or(1, Vec::len);
        let others = (self.meeting().is_some() || self.meets_at_home())
            && self.size.is_some_and(|size| here < size);
        if others && !self.available().any(|channel| channel.leaves_the_process()) {
            return Err(told(
                "channels",
                "local alone reaches no other process: add tcp to FMI_CHANNELS",
            ));
        }
        let alone = |kind: fn(&ChannelSpec) -> bool| {
            self.available().filter(|channel| channel.leaves_the_process()).all(kind)
        };
        let lacks = |rung| others && !self.ladder.contains(&rung);
        if lacks(Rung::Store) && alone(ChannelSpec::is_store) {
            return Err(told(
                "ladder",
                "the channels reach other processes through a store alone, and the ladder lacks \
                 that rung: add store to FMI_LADDER",
            ));
        }
        if lacks(Rung::Machine) && alone(|channel| *channel == ChannelSpec::Shm) {
            return Err(told(
                "ladder",
                "the channels reach other processes through memory alone, and the ladder lacks that \
                 rung: add machine to FMI_LADDER",
            ));
        }
        Ok(())
    }
}

/// Refuses to run ranks on no thread.
pub(super) fn check_threads(threads: usize) -> Result<(), String> {
    match threads {
        0 => Err("no rank can run on 0 threads: give at least 1, or leave it out".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn refused(config: Config, origin: &str, message: &str) {
        assert_eq!(config.validate(), Err(told(origin, message)));
    }

    fn base() -> Config {
        Config::default().size(8).rank(3).rendezvous("tcp://h:1").unwrap()
    }

    #[test]
    fn accepts_what_fits() {
        assert_eq!(base().validate(), Ok(()));
        assert_eq!(Config::default().size(4).validate(), Ok(()));
        assert_eq!(Config::default().size(1).rank(0).validate(), Ok(()));
        assert_eq!(Config::default().size(3).ranks([2, 0, 1]).validate(), Ok(()));
    }

    #[cfg(feature = "tcp")]
    #[test]
    fn accepts_channels_of_which_one_is_left() {
        assert_eq!(base().channels("redis://h:1,tcp").unwrap().validate(), Ok(()));
    }

    #[test]
    fn rank_beyond_size() {
        let wrong = Err(Error::RankOutOfRange { operation: "join", rank: 8, size: 8 });
        assert_eq!(base().rank(8).validate(), wrong);
        assert_eq!(base().ranks([7, 8]).validate(), wrong);
    }

    #[test]
    fn sizes_and_ranks() {
        refused(
            base().size(0),
            "size",
            "a job cannot have 0 ranks: give a number from 1 to 1048576",
        );
        let wrong = "the job cannot go on with 9 ranks: give 1 to 8";
        refused(base().min_size(9), "min_size", wrong);
        refused(base().ranks([1, 2, 1]), "rank", "rank 1 is named twice: name each rank once");
        refused(
            base().ranks([]),
            "rank",
            "no rank in the list: name at least one, or leave it out to be given one",
        );
        refused(
            Config::default().rank(3),
            "rank",
            "a rank is given without a size: set FMI_SIZE to the number of ranks of the job",
        );
        refused(
            Config::default().size(8).ranks([3, 4]),
            "rendezvous",
            "this process has 2 of 8 ranks and no rendezvous to meet the others: set \
             FMI_RENDEZVOUS=tcp://HOST:PORT (or redis://…, s3://…), or start the job with `fmi run`",
        );
        refused(
            Config::default().rendezvous("tcp://h:1").unwrap(),
            "size",
            "a rendezvous is given without a size: set FMI_SIZE to the number of ranks of the job",
        );
    }

    #[test]
    fn channels() {
        #[cfg(not(feature = "quic"))]
        refused(
            base().channels("quic").unwrap(),
            "channels",
            "no channel is left to use (quic: built without the feature \"quic\"): add local or tcp to \
             FMI_CHANNELS",
        );
        refused(
            base().channels("local").unwrap(),
            "channels",
            "local alone reaches no other process: add tcp to FMI_CHANNELS",
        );
    }

    #[cfg(all(feature = "shm", target_os = "linux"))]
    #[test]
    fn memory_that_the_ladder_does_not_reach() {
        let shm = || base().channels("local,shm").unwrap();
        assert_eq!(shm().validate(), Ok(()));
        refused(
            shm().ladder("direct,relay").unwrap(),
            "ladder",
            "the channels reach other processes through memory alone, and the ladder lacks that rung: add \
             machine to FMI_LADDER",
        );
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_ladder_on_which_nothing_stands() {
        let store = || base().channels("local,redis://h:1").unwrap();
        assert_eq!(store().validate(), Ok(()));
        refused(
            store().ladder("direct,relay").unwrap(),
            "ladder",
            "the channels reach other processes through a store alone, and the ladder lacks that \
             rung: add store to FMI_LADDER",
        );
    }

    #[test]
    fn each_setting_alone() {
        refused(base().job(""), "job", "the job has no name: set FMI_JOB to one");
        for name in ["a\nb".to_owned(), "x".repeat(256)] {
            refused(
                base().job(name),
                "job",
                "the name is longer than 255 bytes or has control characters: choose a plain one",
            );
        }
        refused(base().token(""), "token", "the token is empty: set FMI_TOKEN to the job's secret");
        let mut config = base();
        config.ladder.clear();
        refused(
            config,
            "ladder",
            "no rung is left, so no process reaches another: name at least one of machine, direct, punched, \
             relay and store",
        );
        refused(
            base().rendezvous_ca("ca.pem"),
            "rendezvous_ca",
            "certificates for the rendezvous are given, but tcp://h:1 shows none: write \
             tls://HOST:PORT, or take FMI_RENDEZVOUS_CA away",
        );
        refused(
            base().silent_deadline(Duration::ZERO),
            "deadlines.silent",
            "a deadline of 0 would fail every wait: write a longer one",
        );
        refused(
            base().operation_deadline(Duration::MAX),
            "deadlines.operation",
            "a deadline may be at most 365 days (8760 h)",
        );
        refused(
            base().outbox(0),
            "limits.outbox",
            "a limit of 0 bytes would let nothing through: write a larger one",
        );
        refused(
            base().threads(0),
            "threads",
            "no rank can run on 0 threads: give at least 1, or leave it out",
        );
        let mut config = base();
        config.listen = Some("here".to_owned());
        refused(config, "listen", "\"here\" has no port: add one, or :0 for any free port");
    }
}
