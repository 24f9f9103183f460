//! Ranks that send through the server, each in a process of its own.

use crate::{Outcome, median};
use fmi::{Buf, Config, Context, op};
use std::time::{Duration, Instant};

pub(crate) const SMALL: &str = "ping-pong 1 B, half round trip, µs";
pub(crate) const ALLREDUCE: &str = "allreduce 4 B, µs";
const LARGE: &str = "ping-pong 1 MiB, MB/s";
const STREAM: &str = "stream of 1 MiB, MB/s";
const IDLE: &str = "idle, ms of CPU a second";
const MIB: usize = 1 << 20;
const WARM: usize = 200;
const SAMPLES: usize = 3000;
const LARGE_SAMPLES: usize = 200;
const STREAMED: usize = 500;
const REDUCED: usize = 1000;
const WAIT: Duration = Duration::from_secs(2);

/// Two ranks that send to each other.
pub(crate) fn pair(url: &str, job: &str, rank: usize) -> Outcome<()> {
    Ok(fmi::run_with(config(url, job, rank, 2)?, |ctx| async move {
        pingpong(&ctx, 1_u8, WARM).await?;
        let small = pingpong(&ctx, 1_u8, SAMPLES).await?;
        let mebibyte = Buf::from(vec![1_u8; MIB]);
        pingpong(&ctx, mebibyte.clone(), 20).await?;
        let large = pingpong(&ctx, mebibyte.clone(), LARGE_SAMPLES).await?;
        let streamed = stream(&ctx, mebibyte).await?;
        let idle = idle(&ctx).await?;
        if ctx.rank() == 0 {
            println!("{SMALL} = {small}");
            println!("{LARGE} = {}", MIB as f64 / large);
            println!("{STREAM} = {streamed}");
            println!("{IDLE} = {idle}");
        }
        Ok::<_, fmi::Error>(())
    })?)
}

/// Ranks that add up.
pub(crate) fn group(url: &str, job: &str, rank: usize, size: usize) -> Outcome<()> {
    Ok(fmi::run_with(config(url, job, rank, size)?, |ctx| async move {
        let mut own = Vec::with_capacity(REDUCED);
        for number in 0..REDUCED + WARM {
            ctx.barrier().await?;
            let start = Instant::now();
            ctx.allreduce(1_f32, op::sum()).await?;
            if number >= WARM {
                own.push(micros(start));
            }
        }
        if let Some(all) = ctx.gather(own, 0).await? {
            let longest = (0..REDUCED).map(|at| all.iter().map(|own| own[at]).fold(0.0, f64::max));
            println!("{ALLREDUCE} = {}", median(&mut longest.collect::<Vec<_>>()));
        }
        Ok::<_, fmi::Error>(())
    })?)
}

fn config(url: &str, job: &str, rank: usize, size: usize) -> fmi::Result<Config> {
    let config = Config::from_env()?.job(job).size(size).rank(rank).threads(1).token("benchmark");
    config.rendezvous(url)?.channels(url)
}

/// The median of half round trips in µs.
async fn pingpong<T: fmi::Message + Clone>(
    ctx: &Context,
    value: T,
    count: usize,
) -> fmi::Result<f64> {
    let mut samples = Vec::with_capacity(count);
    ctx.barrier().await?;
    for _ in 0..count {
        let start = Instant::now();
        if ctx.rank() == 0 {
            ctx.send(value.clone(), 1, 0).await?;
            ctx.recv::<T>(1, 0).await?;
        } else {
            let value = ctx.recv::<T>(0, 0).await?;
            ctx.send(value, 0, 0).await?;
        }
        samples.push(micros(start) / 2.0);
    }
    Ok(median(&mut samples))
}

/// MB/s of many messages one way, the last of which is answered.
async fn stream(ctx: &Context, value: Buf<u8>) -> fmi::Result<f64> {
    ctx.barrier().await?;
    let start = Instant::now();
    if ctx.rank() == 0 {
        for _ in 0..STREAMED {
            ctx.send(value.clone(), 1, 1).await?;
        }
        ctx.recv::<u8>(1, 1).await?;
    } else {
        for _ in 0..STREAMED {
            ctx.recv::<Buf<u8>>(0, 1).await?;
        }
        ctx.send(1_u8, 0, 1).await?;
    }
    Ok((STREAMED * MIB) as f64 / micros(start))
}

/// CPU time of this process, rank 0, while it waits for a message.
async fn idle(ctx: &Context) -> fmi::Result<f64> {
    ctx.barrier().await?;
    let (start, before) = (Instant::now(), cpu());
    if ctx.rank() == 0 {
        ctx.recv::<u8>(1, 2).await?;
    } else {
        tokio::time::sleep(WAIT).await;
        ctx.send(1_u8, 0, 2).await?;
    }
    Ok((cpu() - before).as_secs_f64() * 1e3 / start.elapsed().as_secs_f64())
}

/// CPU time of this process so far.
fn cpu() -> Duration {
    // SAFETY: all bits zero are a value of this struct of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is ours and lives as long as the call.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn micros(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6
}
