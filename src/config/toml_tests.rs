//! Tests of `fmi.toml`.

use std::time::Duration;

use super::super::{ChannelSpec, told};
use super::*;
use fmi_actors::channel::Rung;

fn refused(text: &str, place: &str, message: &str) {
    let wrong = read("fmi.toml", text).expect_err(text);
    assert_eq!(wrong, told(format!("fmi.toml:{place}"), message), "{text}");
}

#[test]
fn reads_every_key() {
    let text = r#"
        job = "scoring-42"
        size = 16
        ranks = "0-7"
        rendezvous = "tls://10.0.0.1:10000"
        rendezvous_ca = "/etc/fmi/ca.pem"
        channels = ["local", "tcp", "redis://cache:6379/0"]
        ladder = ["direct", "relay"]
        hint = "fast"
        profile = "lan"
        reproducible = false
        learnt = "learnt.toml"

        [deadlines]
        join = "2min"
        silent = "500ms"
        operation = "1 h"

        [limits]
        outbox = "8 MiB"

        [tcp]
        listen = "0.0.0.0:7000"
        advertise = "203.0.113.9"
        encrypt = true
        checksum = true

        [run]
        threads = 2
        keep_awake = false

        [money]
        prices = "/etc/prices.toml"
        memory = "2 GiB"
        machines = ["cache.t3.micro"]
    "#;
    let mut expected = Config::default()
        .job("scoring-42")
        .size(16)
        .ranks(0..8)
        .join_deadline(Duration::from_secs(120))
        .silent_deadline(Duration::from_millis(500))
        .operation_deadline(Duration::from_secs(3600))
        .outbox(8 << 20)
        .threads(2)
        .keep_awake(false)
        .rendezvous_ca("/etc/fmi/ca.pem")
        .encrypt(true)
        .checksum(true)
        .ladder("direct,relay")
        .unwrap();
    expected = expected.prices("/etc/prices.toml").memory(2 << 30);
    expected.hint = Some(crate::config::Objective::Fast);
    expected.profile = Some("lan".to_owned());
    expected.reproducible = false;
    expected.learnt = Some("learnt.toml".into());
    expected.money.machines = vec!["cache.t3.micro".to_owned()];
    expected.rendezvous = Some("tls://10.0.0.1:10000".parse().unwrap());
    expected.channels = channel::list("local,tcp,redis://cache:6379/0").unwrap();
    expected.listen = Some("0.0.0.0:7000".to_owned());
    expected.advertise = Some("203.0.113.9".to_owned());
    assert_eq!(read("fmi.toml", text), Ok(expected));
}

#[test]
fn the_example_in_the_docs_is_read_and_has_every_key() {
    let docs = include_str!("../../docs/configuration.md");
    let example = docs.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    read("docs", example).unwrap();
    // "rank" is the other name of "ranks"; sections show as "[tcp]".
    // Of the collectives, the example has some.
    let keys = KEYS.iter().filter(|key| algorithms::collective(key).is_none());
    for key in keys.filter(|key| **key != "rank") {
        let name = key.rsplit('.').next().unwrap();
        assert!(
            example.contains(&format!("\n{name} = ")) || example.contains(&format!("[{name}]"))
        );
    }
}

#[test]
fn every_key_is_one_that_can_be_set() {
    for key in KEYS.into_iter().filter(|key| algorithms::collective(key).is_none()) {
        let value = Tree { at: 0, node: Node::Other("nothing") };
        assert!(set(&mut Config::default(), key, &value).is_some(), "{key}");
    }
}

#[test]
fn every_collective_has_a_key() {
    let keys = KEYS.iter().filter_map(|key| algorithms::collective(key));
    assert!(keys.eq(fmi_collectives::plan::Collective::ALL.iter().copied()));
}

#[test]
fn an_empty_file_sets_nothing() {
    assert_eq!(read("fmi.toml", ""), Ok(Config::default()));
    assert_eq!(read("fmi.toml", "[tcp]\n# nothing\n"), Ok(Config::default()));
}

#[test]
fn ranks_in_all_forms() {
    for (text, ranks) in
        [("rank = 3", vec![3]), ("rank = \"0,2-3\"", vec![0, 2, 3]), ("ranks = [4, 1]", vec![4, 1])]
    {
        assert_eq!(read("f", text).unwrap().ranks, Some(ranks), "{text}");
    }
    refused("rank = 1\nranks = [2]", "2:9", "ranks: rank and ranks are both given: keep one");
    refused("ranks = [1, 1]", "1:9", "ranks: rank 1 is named twice: name each rank once");
    refused("rank = -1", "1:8", "rank: must be a whole number from 0 up, not -1");
    refused(
        "rank = 1.5",
        "1:8",
        "rank: must be a rank, a list of ranks or a text as \"0-15\", not a number with a point",
    );
}

#[test]
fn channels_in_both_forms() {
    let expected = [ChannelSpec::Local, ChannelSpec::Tcp];
    for text in ["channels = [\"local\", \"tcp\"]", "channels = \"local,tcp\""] {
        assert_eq!(read("f", text).unwrap().channels, expected);
    }
    refused(
        "channels = [\"tpc\"]",
        "1:12",
        "channels: \"tpc\" is no channel: did you mean \"tcp\"?",
    );
    refused("channels = [1]", "1:12", "channels: must be a text in quotes, not a whole number");
    refused("channels = true", "1:12", "channels: must be a list, not true or false");
}

#[test]
fn ladders_in_both_forms() {
    let expected = [Rung::Relay, Rung::Direct];
    for text in ["ladder = [\"relay\", \"direct\"]", "ladder = \"relay,direct\""] {
        assert_eq!(read("f", text).unwrap().ladder, expected);
    }
    refused(
        "ladder = [\"direct\", \"punch\"]",
        "1:10",
        "ladder: \"punch\" is no rung: did you mean \"punched\"?",
    );
    refused("ladder = []", "1:10", {
        "ladder: no rung is left, so no process reaches another: name at least one of machine, direct, \
         punched, relay and store"
    });
    refused("ladder = 2", "1:10", "ladder: must be a list, not a whole number");
}

#[test]
fn unknown_keys() {
    refused("job = \"x\"\n  rnak = 3", "2:3", "unknown key \"rnak\": did you mean \"rank\"?");
    refused(
        "[deadlines]\njion = \"1 s\"",
        "2:1",
        "unknown key \"deadlines.jion\": did you mean \"deadlines.join\"?",
    );
    refused("[deadline]\n", "1:2", "unknown key \"deadline\": did you mean \"deadlines\"?");
    refused("listen = \"h:1\"", "1:1", "unknown key \"listen\": did you mean \"tcp.listen\"?");
    refused(
        "[tcp]\ncolour = 1",
        "2:1",
        "unknown key \"tcp.colour\": the keys here are listen, advertise, encrypt, checksum",
    );
    refused(
        "tcp.colour.red = 1",
        "1:5",
        "unknown key \"tcp.colour\": the keys here are listen, advertise, encrypt, checksum",
    );
}

#[test]
fn the_first_mistake_in_the_file_is_told() {
    refused("zzz = 1\naaa = 1\n", "1:1", {
        "unknown key \"zzz\": the keys here are job, size, min_size, rank, ranks, rendezvous, \
         rendezvous_ca, serve, channels, ladder, hint, profile, reproducible, learnt, deadlines, limits, tcp, run, money, algorithms"
    });
}

#[test]
fn wrong_values() {
    refused("size = 0", "1:8", "size: a job cannot have 0 ranks: give a number from 1 to 1048576");
    refused("size = \"8\"", "1:8", "size: must be a whole number, not a text");
    refused("job = 1979-05-27", "1:7", "job: must be a text in quotes, not a date");
    refused("tcp = 1", "1:7", "tcp: must be a table, not a whole number");
    refused("rendezvous = \"h:1\"", "1:14", {
        "rendezvous: \"h:1\" is no URL: write tcp://HOST:PORT"
    });
    refused("deadlines.join = 10", "1:18", {
        "deadlines.join: must be a duration in quotes, as \"10 s\", not a whole number"
    });
    refused("[deadlines]\nsilent = \"10\"", "2:10", {
        "deadlines.silent: \"10\" is no duration: write a number and us, ms, s, min or h, as in \
         \"10 s\""
    });
    refused("limits.outbox = 0", "1:17", {
        "limits.outbox: a limit of 0 bytes would let nothing through: write a larger one"
    });
    refused("limits.outbox = true", "1:17", {
        "limits.outbox: must be a size as \"4 MiB\" or a number of bytes, not true or false"
    });
    refused("[run]\nthreads = 0", "2:11", {
        "run.threads: no rank can run on 0 threads: give at least 1, or leave it out"
    });
    refused("[run]\nkeep_awake = \"no\"", "2:14", {
        "run.keep_awake: must be true or false, not a text"
    });
}

#[test]
fn a_token_in_a_file_is_refused_and_not_shown() {
    refused("token = \"hunter2\"", "1:9", {
        "token: a secret does not belong in a file: set FMI_TOKEN instead"
    });
}

#[test]
fn bad_toml() {
    refused("job = \"x\"\nsize 8\n", "2:6", "not valid TOML: key with no value, expected `=`");
    refused("job = \"x", "1:9", "not valid TOML: invalid basic string, expected `\"`");
    refused("job = 1\njob = 2", "2:1", "not valid TOML: duplicate key");
    refused("[tcp", "1:5", "not valid TOML: unclosed table, expected `]`");
}

#[test]
fn a_job_is_described() {
    let text = r#"
        size = 4
        [job]
        name = "train"
        program = "./train"
        arguments = ["--epochs", "3"]
        ranks = 16
        ranks_per_pack = 8
        memory = "2 GiB"
        env = { DATA = "/data" }
        rank_arguments = [["--seed", "1"], []]
        deadline = "10 min"
        channels = "local,tcp"
        on = "slurm"
        image = "registry.example.com/train:1"
    "#;
    let config = read("fmi.toml", text).unwrap();
    assert_eq!((config.job.as_str(), config.channels.len()), ("train", 2));
    let expected = crate::config::Launch {
        program: Some("./train".to_owned()),
        arguments: vec!["--epochs".to_owned(), "3".to_owned()],
        ranks: Some(16),
        packs: None,
        ranks_per_pack: Some(8),
        memory: Some(2 << 30),
        environment: vec![("DATA".to_owned(), "/data".to_owned())],
        rank_arguments: vec![vec!["--seed".to_owned(), "1".to_owned()], vec![]],
        deadline: Some(Duration::from_secs(600)),
        on: Some("slurm".to_owned()),
        image: Some("registry.example.com/train:1".to_owned()),
        report: None,
    };
    assert_eq!(config.launch, expected);
}

#[test]
fn what_is_wrong_with_a_job() {
    refused(
        "[job]\nranks = 0\n",
        "2:9",
        "job.ranks: a job cannot have 0 ranks: give a number from 1 to 1048576",
    );
    refused("[job]\nrnaks = 4\n", "2:1", "unknown key \"job.rnaks\": did you mean \"job.ranks\"?");
    refused("[job]\npacks = 0\n", "2:9", "job.packs: must be 1 at least");
    refused(
        "[job]\nenv = { FMI_TOKEN = \"x\" }\n",
        "2:7",
        "job.env: a secret does not belong in a file: set FMI_TOKEN where you call fmi run",
    );
    refused("job = 4\n", "1:7", "job: must be a text in quotes, not a whole number");
}
