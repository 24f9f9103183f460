//! Whether messages get through, channel by channel.

use super::Finding;
use crate::embedded::Embedded;
use fmi::{Config, Context, Error, op};
use std::time::{Duration, Instant};

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(5);

/// Two ranks of this process add up a number each.
pub(super) fn local() -> Finding {
    const CHECK: &str = "local";
    let start = Instant::now();
    let main = async |context: Context| match context.allreduce(1_u32, op::sum()).await {
        Ok(2) => Ok(()),
        Ok(sum) => Err(format!("two ranks added up to {sum}")),
        Err(error) => Err(error.to_string()),
    };
    let config = Config::default().size(2).operation_deadline(PATIENCE);
    match fmi::run_with(config, main) {
        Ok(()) => Finding::ok(CHECK, format!("two ranks met in this process ({})", took(start))),
        Err(error) => Finding::problem(
            CHECK,
            error.to_string(),
            "it needs nothing but threads: look at `ulimit -u` and at memory",
        ),
    }
}

/// Two nodes of this process meet at a rendezvous of ours and send each other a message through memory.
pub(super) async fn shm() -> Finding {
    const CHECK: &str = "shm";
    let start = Instant::now();
    match exchange("shm", None).await {
        Ok(()) => Finding::ok(CHECK, format!("messages went through memory ({})", took(start))),
        // There are other ways.
        Err(error) => Finding::note(
            CHECK,
            format!("processes of this machine share no memory: {error}"),
            "a sandbox may forbid memfd_create or Unix sockets: allow them, or name channels without shm",
        ),
    }
}

/// Two nodes of this process meet at a rendezvous of ours and send each other a message over the
/// loopback. The first one listens where ranks would.
pub(super) async fn tcp(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "tcp";
    let start = Instant::now();
    let listen = config.listen.as_deref().unwrap_or("a free port on all addresses");
    let mut findings = vec![match exchange("tcp", config.listen.clone()).await {
        Ok(()) => Finding::ok(
            CHECK,
            format!("bound {listen} and exchanged messages over the loopback ({})", took(start)),
        ),
        Err(error @ Error::Listen { .. }) => Finding::problem(
            CHECK,
            error.to_string(),
            "set FMI_LISTEN to an address of this machine with a port that is free (0 for any); \
             `ss -ltnp` shows who has one",
        ),
        Err(error) => Finding::problem(
            CHECK,
            error.to_string(),
            "this machine does not reach itself: look at firewall rules (`nft list ruleset`), at \
             FMI_LISTEN, and with FMI_LOG=debug at what was tried",
        ),
    }];
    if let Some(advertise) = &config.advertise {
        findings.push(Finding::note(
            CHECK,
            format!("others are told to reach this process at {advertise}; that cannot be seen from here"),
            "run `fmi doctor` with the same rendezvous on another machine, then a job of two",
        ));
    }
    findings
}

async fn exchange(channel: &str, listen: Option<String>) -> fmi::Result<()> {
    let rendezvous = Embedded::start("127.0.0.1:0").await?;
    let node = |rank| -> fmi::Result<Config> {
        let node = Config::default()
            .job("doctor")
            .size(2)
            .rank(rank)
            .token(rendezvous.token())
            .join_deadline(PATIENCE)
            .operation_deadline(PATIENCE);
        node.rendezvous(&rendezvous.url())?.channels(channel)?.listen("127.0.0.1:0")
    };
    let mut first = node(0)?;
    first.listen = listen;
    let (first, second) = tokio::try_join!(first.join(), node(1)?.join())?;
    tokio::try_join!(
        async {
            let asked: u32 = first.recv(1, 0).await?;
            first.send(asked + 1, 1, 0).await
        },
        async {
            second.send(1_u32, 0, 0).await?;
            match second.recv::<u32>(0, 0).await? {
                2 => Ok(()),
                other => Err(Error::Codec {
                    what: "u32".to_owned(),
                    reason: format!("2 arrived as {other}"),
                }),
            }
        },
    )?;
    tokio::try_join!(first.close(), second.close())?;
    Ok(())
}

fn took(start: Instant) -> String {
    format!("{:.1} ms", start.elapsed().as_secs_f64() * 1000.0)
}
