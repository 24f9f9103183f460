//! The server itself: a `PUBLISH` until a subscriber has it, with the crate as it comes.

use crate::{Outcome, median};
use futures::StreamExt;
use redis::{Client, aio::MultiplexedConnection};
use std::time::{Duration, Instant};

pub(crate) const DELIVERY: &str = "raw PUBLISH to a subscriber, µs";
const THERE: &str = "redis-bench:there";
const BACK: &str = "redis-bench:back";
const WARM: usize = 200;
const CALLS: usize = 3000;

/// Publishes back what it hears, until it is killed.
pub(crate) fn echo(url: &str) -> Outcome<()> {
    runtime()?.block_on(async {
        let (mut publisher, mut heard) = open(url, THERE).await?;
        while let Some(message) = heard.next().await {
            publish(&mut publisher, BACK, message.get_payload_bytes()).await?;
        }
        Ok(())
    })
}

/// Publishes, and prints half of the time until the echo is there.
pub(crate) fn call(url: &str) -> Outcome<()> {
    runtime()?.block_on(async {
        let (mut publisher, mut heard) = open(url, BACK).await?;
        // The other side may not listen yet.
        loop {
            publish(&mut publisher, THERE, b"x").await?;
            let echo = tokio::time::timeout(Duration::from_millis(100), heard.next()).await;
            if echo.is_ok() {
                break;
            }
        }
        let mut samples = Vec::with_capacity(CALLS);
        for number in 0..WARM + CALLS {
            let start = Instant::now();
            publish(&mut publisher, THERE, b"x").await?;
            heard.next().await.ok_or("the subscription has ended")?;
            if number >= WARM {
                samples.push(start.elapsed().as_secs_f64() * 1e6 / 2.0);
            }
        }
        println!("{DELIVERY} = {}", median(&mut samples));
        Ok(())
    })
}

pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

pub(crate) async fn open(
    url: &str,
    channel: &str,
) -> Outcome<(MultiplexedConnection, impl futures::Stream<Item = redis::Msg> + Unpin)> {
    let client = Client::open(url)?;
    let publisher = client.get_multiplexed_async_connection().await?;
    let mut subscriber = client.get_async_pubsub().await?;
    subscriber.subscribe(channel).await?;
    Ok((publisher, subscriber.into_on_message().boxed_local()))
}

pub(crate) async fn publish(
    to: &mut MultiplexedConnection,
    channel: &str,
    message: &[u8],
) -> Outcome<()> {
    Ok(redis::cmd("PUBLISH").arg(channel).arg(message).exec_async(to).await?)
}
