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
        "wait" => {
            say(&format!("waiting {}", process::id()));
            pending::<()>().await;
        }
        _ => panic!("unknown mode {mode:?}"),
    }
    Ok(())
}

/// In one piece, so that lines of different processes do not mix.
fn say(line: &str) {
    use std::io::Write;
    let _ = std::io::stdout().write_all(format!("\n{line}\n").as_bytes());
}
