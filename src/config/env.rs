//! The environment: the variables of the process contract.

use std::ffi::{OsStr, OsString};

use fmi_actors::Result;

use super::{
    Config, Rendezvous, Token, address, algorithms, channel, ladder, launch, money, ranks, told,
    units,
};

/// Looks a variable up. A closure, so that tests need not change the process's environment.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Overrides `config` with what the environment says.
pub(super) fn apply(config: &mut Config, lookup: Lookup<'_>) -> Result<()> {
    if let Some(job) = text(lookup, "FMI_JOB")? {
        config.job = job;
    }
    if let Some(size) = read(lookup, "FMI_SIZE", ranks::size)? {
        config.size = Some(size);
    }
    if let Some(ranks) = read(lookup, "FMI_RANK", ranks::read)? {
        config.ranks = Some(ranks);
    }
    if let Some(token) = text(lookup, "FMI_TOKEN")? {
        config.token = Some(Token::from(token));
    }
    if let Some(rendezvous) = read(lookup, "FMI_RENDEZVOUS", Rendezvous::read)? {
        config.rendezvous = Some(rendezvous);
    }
    if let Some(path) = raw(lookup, "FMI_RENDEZVOUS_CA") {
        config.rendezvous_ca = Some(path.into());
    }
    if let Some(channels) = read(lookup, "FMI_CHANNELS", channel::list)? {
        config.channels = channels;
    }
    if let Some(ladder) = read(lookup, "FMI_LADDER", ladder::list)? {
        config.ladder = ladder;
    }
    if let Some(listen) = read(lookup, "FMI_LISTEN", address::listen)? {
        config.listen = Some(listen);
    }
    if let Some(advertise) = read(lookup, "FMI_ADVERTISE", address::advertise)? {
        config.advertise = Some(advertise);
    }
    if let Some(join) = read(lookup, "FMI_JOIN", units::deadline)? {
        config.deadlines.join = join;
    }
    if let Some(serve) = read(lookup, "FMI_SERVE", address::listen)? {
        config.serve = Some(serve);
    }
    if let Some(encrypt) = read(lookup, "FMI_ENCRYPT", units::flag)? {
        config.encrypt = encrypt;
    }
    if let Some(checksum) = read(lookup, "FMI_CHECKSUM", units::flag)? {
        config.checksum = checksum;
    }
    if let Some(hint) = read(lookup, "FMI_HINT", units::hint)? {
        config.hint = Some(hint);
    }
    if let Some(profile) = text(lookup, "FMI_PROFILE")? {
        config.profile = Some(profile);
    }
    if let Some(on) = read(lookup, "FMI_REPRODUCIBLE", units::flag)? {
        config.reproducible = on;
    }
    if let Some(path) = raw(lookup, "FMI_LEARNT") {
        config.learnt = Some(path.into());
    }
    if let Some(path) = raw(lookup, "FMI_PRICES") {
        config.money.prices = Some(path.into());
    }
    if let Some(memory) = read(lookup, "FMI_MEMORY", money::memory)? {
        config.money.memory = Some(memory);
    }
    if let Some(machines) = read(lookup, "FMI_MACHINES", money::machines)? {
        config.money.machines = machines;
    }
    if let Some(folder) = raw(lookup, "FMI_BILL") {
        config.money.bill = Some(folder.into());
    }
    if let Some(until) = read(lookup, "FMI_UNTIL", units::point_in_time)? {
        config.until = Some(until);
    }
    if let Some(folder) = raw(lookup, "FMI_REPORT") {
        config.launch.report = Some(folder.into());
    }
    if let Some(arguments) = read(lookup, "FMI_ARGS", launch::arguments)? {
        config.launch.rank_arguments = arguments;
    }
    if let Some(algorithms) = read(lookup, "FMI_ALGORITHMS", algorithms::list)? {
        config.algorithms = algorithms;
    }
    Ok(())
}

/// A variable. An empty one counts as not set: launchers often cannot take one away.
pub(super) fn raw(lookup: Lookup<'_>, name: &str) -> Option<OsString> {
    lookup(name).filter(|value| value != OsStr::new(""))
}

/// A variable as text. The error does not show the value: it may be the token.
fn text(lookup: Lookup<'_>, name: &str) -> Result<Option<String>> {
    raw(lookup, name)
        .map(|value| value.into_string().map_err(|_| told(name, "is not valid UTF-8")))
        .transpose()
}

fn read<T>(
    lookup: Lookup<'_>,
    name: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>> {
    text(lookup, name)?
        .map(|value| parse(value.trim()).map_err(|wrong| told(name, wrong)))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ChannelSpec;
    use fmi_actors::channel::Rung;
    use std::time::{Duration, UNIX_EPOCH};

    fn with(variables: &[(&str, &str)]) -> Result<Config> {
        let lookup = |name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        let mut config = Config::default();
        apply(&mut config, &lookup).map(|()| config)
    }

    #[test]
    fn reads_every_variable() {
        let config = with(&[
            ("FMI_JOB", "scoring-42"),
            ("FMI_SIZE", "16"),
            ("FMI_RANK", "0,4,8-9"),
            ("FMI_TOKEN", " spaces count "),
            ("FMI_RENDEZVOUS", "tls://10.0.0.1:10000"),
            ("FMI_RENDEZVOUS_CA", "/etc/fmi/ca.pem"),
            ("FMI_CHANNELS", "local,tcp"),
            ("FMI_LADDER", "direct, relay"),
            ("FMI_ENCRYPT", "on"),
            ("FMI_CHECKSUM", "1"),
            ("FMI_HINT", "fast"),
            ("FMI_PROFILE", "lan"),
            ("FMI_REPRODUCIBLE", "off"),
            ("FMI_LEARNT", "/tmp/learnt.toml"),
            ("FMI_PRICES", "/etc/prices.toml"),
            ("FMI_MEMORY", "512 MiB"),
            ("FMI_MACHINES", "cache.t3.micro, t3.nano"),
            ("FMI_BILL", "/tmp/bills"),
            ("FMI_UNTIL", "1700000000.5"),
            ("FMI_LISTEN", "0.0.0.0:7000"),
            ("FMI_SERVE", "0.0.0.0:10000"),
            ("FMI_JOIN", "10 min"),
            ("FMI_ADVERTISE", "203.0.113.9:7000"),
            ("FMI_ALGORITHMS", "allreduce/ring, bcast/chain"),
        ])
        .unwrap();
        assert_eq!(config.job, "scoring-42");
        assert_eq!(config.size, Some(16));
        assert_eq!(config.ranks, Some(vec![0, 4, 8, 9]));
        assert_eq!(config.token, Some(Token::from(" spaces count ")));
        assert_eq!(config.rendezvous.unwrap().to_string(), "tls://10.0.0.1:10000");
        assert_eq!(config.rendezvous_ca, Some("/etc/fmi/ca.pem".into()));
        assert_eq!(config.ladder, [Rung::Direct, Rung::Relay]);
        assert!(config.encrypt && config.checksum);
        assert_eq!(config.hint, Some(crate::config::Objective::Fast));
        assert_eq!(config.profile.as_deref(), Some("lan"));
        assert!(!config.reproducible);
        assert_eq!(config.learnt, Some("/tmp/learnt.toml".into()));
        assert_eq!(config.money.prices, Some("/etc/prices.toml".into()));
        assert_eq!(config.money.memory, Some(512 << 20));
        assert_eq!(config.money.machines, ["cache.t3.micro", "t3.nano"]);
        assert_eq!(config.money.bill, Some("/tmp/bills".into()));
        assert_eq!(config.until, Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_500)));
        assert_eq!(config.channels, [ChannelSpec::Local, ChannelSpec::Tcp]);
        assert_eq!(config.listen.as_deref(), Some("0.0.0.0:7000"));
        assert_eq!(config.deadlines.join, std::time::Duration::from_secs(600));
        assert_eq!(config.serve.as_deref(), Some("0.0.0.0:10000"));
        assert_eq!(config.advertise.as_deref(), Some("203.0.113.9:7000"));
        let names = config.algorithms.iter().map(|rule| rule.algorithm.to_string());
        assert!(names.eq(["allreduce/ring", "bcast/chain"]));
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let config = with(&[("FMI_RANK", ""), ("FMI_TOKEN", ""), ("FMI_SIZE", " 4 ")]).unwrap();
        assert_eq!(config, Config::default().size(4));
    }

    #[test]
    fn names_the_variable() {
        for (name, value, wrong) in [
            (
                "FMI_SIZE",
                "0",
                "FMI_SIZE: a job cannot have 0 ranks: give a number from 1 to 1048576",
            ),
            ("FMI_RANK", "1,2,1", "FMI_RANK: rank 1 is named twice: name each rank once"),
            ("FMI_RENDEZVOUS", "h:1", "FMI_RENDEZVOUS: \"h:1\" is no URL: write tcp://HOST:PORT"),
            ("FMI_CHANNELS", "tpc", "FMI_CHANNELS: \"tpc\" is no channel: did you mean \"tcp\"?"),
            ("FMI_LADDER", "releay", "FMI_LADDER: \"releay\" is no rung: did you mean \"relay\"?"),
            (
                "FMI_ENCRYPT",
                "please",
                "FMI_ENCRYPT: \"please\" is neither true nor false: write one of them",
            ),
            (
                "FMI_HINT",
                "quick",
                "FMI_HINT: \"quick\" is no objective: write fast, cheap, \"fast within $0.001\" or \
                 \"cheap within 20 ms\"",
            ),
            (
                "FMI_MACHINES",
                "a,,b",
                "FMI_MACHINES: \"a,,b\" has an empty name: write names with commas between them",
            ),
            ("FMI_LISTEN", "h", "FMI_LISTEN: \"h\" has no port: add one, or :0 for any free port"),
            (
                "FMI_ADVERTISE",
                "h:0",
                "FMI_ADVERTISE: \"h:0\" has port 0: write the port that others can reach",
            ),
            (
                "FMI_ALGORITHMS",
                "allreduce/rnig",
                "FMI_ALGORITHMS: \"rnig\" is no algorithm for allreduce: did you mean \"ring\"?",
            ),
            (
                "FMI_ALGORITHMS",
                "bcast/chain,alreduce/ring",
                "FMI_ALGORITHMS: \"alreduce/ring\" is no algorithm: did you mean \"allreduce/ring\"?",
            ),
            (
                "FMI_ALGORITHMS",
                "ring",
                "FMI_ALGORITHMS: \"ring\" is no algorithm: write COLLECTIVE/NAME, as in \
                 \"allreduce/ring\"",
            ),
        ] {
            assert_eq!(with(&[(name, value)]).unwrap_err().to_string(), wrong);
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_not_shown() {
        use std::os::unix::ffi::OsStringExt;
        let lookup =
            |name: &str| (name == "FMI_TOKEN").then(|| OsString::from_vec(b"hunter2\xff".to_vec()));
        let wrong = apply(&mut Config::default(), &lookup).unwrap_err();
        assert_eq!(wrong, told("FMI_TOKEN", "is not valid UTF-8"));
    }
}
