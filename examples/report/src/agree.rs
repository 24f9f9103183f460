//! One mistake is one message, however many ranks make it.

use clap::Parser;
use fmi::{Context, op};
use std::{env, process, time::Duration};

/// The program's arguments. If they are wrong, the process that hosts rank 0 says so, and all of them
/// end with clap's exit code.
#[must_use]
pub fn parse<A: Parser>() -> A {
    A::try_parse().unwrap_or_else(|error| {
        let first = |ranks: &str| ranks.split([',', '-']).next().map(str::trim) == Some("0");
        if env::var("FMI_RANK").is_ok_and(|ranks| !first(&ranks)) {
            process::exit(error.exit_code());
        }
        error.exit()
    })
}

/// Goes on only if the attempt succeeded on all ranks. Else the lowest rank where it failed gets the
/// error, and the others `None`, to leave without a word.
///
/// # Errors
/// The attempt's, on that rank; and those of an allreduce.
pub async fn agree<T, E: From<fmi::Error>>(
    ctx: &Context,
    attempt: Result<T, E>,
) -> Result<Option<T>, E> {
    let me = ctx.rank() as u64;
    let vote = if attempt.is_ok() { u64::MAX } else { me };
    let speaker = ctx.allreduce(vote, op::min()).await?;
    if speaker == u64::MAX {
        return attempt.map(Some);
    }
    if speaker != me {
        return Ok(None);
    }
    // Who leaves while a word of it is on its way to a rank that fails has something to complain of, too. So
    // that one fails when the other processes have left: what it waits for here never comes.
    let here = ctx.peer(ctx.rank())?.process;
    for rank in 0..ctx.size() {
        if ctx.peer(rank)?.process != here {
            let _ = ctx.recv::<()>(rank, 0).deadline(PATIENCE).await;
        }
    }
    attempt.map(Some)
}

/// Far longer than leaving takes.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[fmi::test(ranks = 3)]
    async fn the_lowest_rank_that_failed_speaks(ctx: Context) -> fmi::Result<()> {
        assert!(matches!(agree::<_, fmi::Error>(&ctx, Ok(1)).await, Ok(Some(1))));
        let attempt = match ctx.rank() {
            0 => Ok(()),
            _ => Err(fmi::Error::Closed { operation: "a test" }),
        };
        let agreed = agree(&ctx, attempt).await;
        match ctx.rank() {
            1 => assert!(matches!(agreed, Err(fmi::Error::Closed { .. }))),
            _ => assert!(matches!(agreed, Ok(None))),
        }
        Ok(())
    }
}
