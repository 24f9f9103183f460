//! The programs that the tests run as ranks: this very test binary, told to run one "test".
//!
//! An example target would be nicer, but whether `cargo test` builds it as a program depends on
//! how it is called.

use fmi::{Config, Context, Result, op};
use std::{future::pending, process, time::Duration};

/// Names what a rank does. Without it [`program`] does nothing.
pub(crate) const MODE: &str = "FMI_CLI_TEST_MODE";

/// With which this binary is a rank program.
pub(crate) const ARGUMENTS: [&str; 3] = ["--exact", "ranks::program", "--nocapture"];

#[test]
fn program() {
    let Ok(mode) = std::env::var(MODE) else { return };
    let result = Config::from_env().and_then(|config| {
        fmi::run_with(config, move |context| {
            let mode = mode.clone();
            async move { rank(&mode, &context).await }
        })
    });
    if let Err(error) = &result {
        eprintln!("fmi: {error}");
    }
    process::exit(i32::from(result.is_err()));
}

async fn rank(mode: &str, context: &Context) -> Result<()> {
    let (rank, size) = (context.rank(), context.size());
    match mode {
        "hello" => {
            let met = context.allreduce(1, op::sum()).await?;
            let (process, job) = (process::id(), context.job());
            say(&format!("rank {rank} of {size} met {met} in process {process} of {job}"));
        }
        "result" => {
            // Rounded, so that another order of the sum would show.
            let third = (rank + 1) as f64 / 3.0;
            let sum = context.allreduce(third.sin(), op::sum()).await?;
            context.finish(rank * rank)?;
            if rank == 0 {
                say(&format!("result of {size}: {:016x}", sum.to_bits()));
            }
        }
        "arguments" => {
            // Behind those of this program.
            let own: Vec<_> = context.args().skip(ARGUMENTS.len()).collect();
            say(&format!("rank {rank} has {}.", own.join(" ")));
        }
        "work" => {
            work(context).await?;
            say(&format!("rank {rank} of {size} worked over {}", ways(context)));
        }
        "panic" if rank == 1 => panic!("rank one gives up"),
        "exit" | "exit, others compute" if rank == 1 => {
            // The others have their links to it.
            tokio::time::sleep(Duration::from_millis(200)).await;
            process::exit(3);
        }
        "exit, others compute" => loop {
            std::hint::spin_loop();
        },
        "killed" if rank == 1 => process::abort(),
        "panic" | "exit" | "killed" => {
            context.recv::<u8>(1, 0).await?;
        }
        "until" => {
            let left = context.remaining().map(|left| left.as_millis());
            say(&format!("rank {rank} has {} ms", left.unwrap_or_default()));
            // Never sent; ends with this rank's time.
            context.recv::<u8>((rank + 1) % size, 0).await?;
        }
        "in time" => {
            // Rank 0 says for all whether there is time for one round more.
            let has_time = || context.remaining().is_none_or(|it| it > Duration::from_millis(1500));
            while context.bcast((rank == 0).then(has_time), 0).await? {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            context.finish(rank)?;
        }
        "wait" => {
            say(&format!("waiting {}", process::id()));
            pending::<()>().await;
        }
        _ => panic!("unknown mode {mode:?}"),
    }
    Ok(())
}

/// Messages and collectives, small and large, whose results are known.
async fn work(context: &Context) -> Result<()> {
    let (rank, size) = (context.rank(), context.size());
    let (next, before) = ((rank + 1) % size, (rank + size - 1) % size);
    for round in 0..3_u32 {
        let mine = vec![rank as u8; 300_000];
        let got: Vec<u8> = context.sendrecv(mine, next, round, before, round).await?;
        assert_eq!(got, vec![before as u8; 300_000]);
        let sums = context.allreduce(vec![rank as u64; 5_000], op::sum()).await?;
        assert_eq!(sums, vec![(size * (size - 1) / 2) as u64; 5_000]);
        let text = "x".repeat(1 << 20);
        let told = context.bcast((rank == 1).then(|| text.clone()), 1).await?;
        assert_eq!(told, text);
        let letters = (0..size).map(|to| format!("{rank} to {to}")).collect();
        let got: Vec<String> = context.alltoall(letters).await?;
        assert!(got.iter().enumerate().all(|(from, text)| *text == format!("{from} to {rank}")));
        let all = context.gather(rank as u32, 0).await?;
        assert_eq!(all, (rank == 0).then(|| (0..size as u32).collect()));
        context.barrier().await?;
    }
    Ok(())
}

/// The channels of the links to others.
fn ways(context: &Context) -> String {
    let others = (0..context.size()).filter(|other| *other != context.rank());
    let peers = others.filter_map(|other| context.peer(other).ok());
    let mut ways: Vec<_> = peers.filter_map(|peer| peer.channel).collect();
    ways.sort_unstable();
    ways.dedup();
    ways.join(" and ")
}

/// In one piece, so that lines of different processes do not mix.
fn say(line: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(format!("\n{line}\n").as_bytes());
}
