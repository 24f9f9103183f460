//! Tests that run on several ranks of this process.

use crate::{Config, Context, Outcome, run_with};
use fmi_actors::{Error, Reason};
use std::{future::Future, time::Duration};

/// How long an operation of a test may wait.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `main` on so many ranks of this process, as `#[fmi::test(ranks = N)]` does.
///
/// ```
/// fmi::testing::on_ranks(3, |ctx: fmi::Context| async move { ctx.barrier().await });
/// ```
///
/// # Panics
/// With the message of the rank that failed first, by a panic or an error.
#[track_caller]
pub fn on_ranks<F, Fut>(ranks: usize, main: F)
where
    F: Fn(Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: Outcome> + 'static,
{
    let config = Config::default().job("test").size(ranks).operation_deadline(PATIENCE);
    match run_with(config, main) {
        Ok(()) => {}
        Err(Error::RankLost { rank, reason: Reason::Failed(text) | Reason::Panicked(text) }) => {
            panic!("rank {rank} of {ranks}: {text}")
        }
        Err(error) => panic!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use crate as fmi;
    use crate::{Context, Result, op};

    #[fmi_macros::test(ranks = 4, crate = fmi)]
    async fn runs_on_so_many_ranks(ctx: Context) -> Result<()> {
        assert_eq!(ctx.allreduce(1, op::sum()).await?, 4);
        Ok(())
    }

    #[should_panic(expected = "rank 2 of 3: two breaks")]
    #[fmi_macros::test(ranks = 3, crate = fmi)]
    async fn a_panic_is_the_tests(ctx: Context) {
        assert!(ctx.rank() != 2, "two breaks");
        let _ = ctx.barrier().await;
    }

    #[fmi_macros::test(ranks = 2, crate = fmi)]
    #[should_panic(expected = "rank 1 of 2: out of paper")]
    async fn an_error_is_the_tests(ctx: Context) -> std::result::Result<(), String> {
        if ctx.rank() == 1 { Err("out of paper".to_owned()) } else { Ok(()) }
    }

    #[fmi_macros::test(ranks = 2, crate = fmi)]
    #[ignore = "it must not run"]
    async fn ignored_ones_do_not_run(_: Context) {
        unreachable!();
    }
}
