//! The server itself, with bytes: values that one process sets and another gets, with the crate as it
//! comes.

use crate::{Outcome, raw};
use futures::{StreamExt, TryStreamExt, future::ready, stream};
use redis::cmd;
use std::time::{Duration, Instant};

const THERE: &str = "redis-bench:values";
const BACK: &str = "redis-bench:read";
/// Bytes of each figure.
const TOTAL: usize = 256 << 20;
/// Bytes that are under way.
const WINDOW: usize = 4 << 20;
const SIZES: [usize; 3] = [64 << 10, 256 << 10, 1 << 20];

/// Reads the values that it hears of, and says so when it has read all of a size.
pub(crate) fn fetch(url: &str) -> Outcome<()> {
    raw::runtime()?.block_on(async {
        let (mut publisher, heard) = raw::open(url, THERE).await?;
        let mut heard = heard.filter(|told| ready(!told.get_payload_bytes().is_empty()));
        for size in SIZES {
            let answers = heard.by_ref().take(TOTAL / size).map(|told| {
                let mut connection = publisher.clone();
                async move {
                    let mut get = cmd("GETDEL");
                    get.arg(told.get_payload_bytes());
                    get.query_async::<Vec<u8>>(&mut connection).await
                }
            });
            let read = answers
                .buffered(WINDOW / size)
                .try_fold(0, |sum, value| async move { Ok(sum + value.len()) });
            if read.await? != TOTAL {
                return Err("values are missing".into());
            }
            raw::publish(&mut publisher, BACK, b"done").await?;
        }
        Ok(())
    })
}

/// Sets the values, and prints how fast they were read.
pub(crate) fn store(url: &str) -> Outcome<()> {
    raw::runtime()?.block_on(async {
        let (mut connection, mut heard) = raw::open(url, BACK).await?;
        // The other side may not listen yet.
        let mut hello = cmd("PUBLISH");
        hello.arg(THERE).arg("");
        while hello.query_async::<usize>(&mut connection).await? == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for size in SIZES {
            let value = vec![1_u8; size];
            let start = Instant::now();
            let sent =
                stream::iter(0..TOTAL / size).map(Ok::<_, redis::RedisError>).map_ok(|number| {
                    let (mut connection, value) = (connection.clone(), &value);
                    async move {
                        let key = format!("redis-bench:{number}");
                        let mut both = redis::pipe();
                        both.cmd("SET").arg(&key).arg(value).arg("PX").arg(60_000);
                        both.cmd("PUBLISH").arg(THERE).arg(&key);
                        both.exec_async(&mut connection).await
                    }
                });
            sent.try_buffered(WINDOW / size).try_collect::<()>().await?;
            heard.next().await.ok_or("the subscription has ended")?;
            let took = start.elapsed().as_secs_f64() * 1e6;
            println!("raw SET and GETDEL of {} KiB, MB/s = {}", size >> 10, TOTAL as f64 / took);
        }
        Ok(())
    })
}
