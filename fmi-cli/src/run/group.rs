//! The life of processes that belong together: watch them, end what is left.

use super::{
    children::{Child, Order},
    job::Job,
    output::{Format, News},
    verdict::Verdict,
};
use crate::failure::Failure;
use futures::{StreamExt, stream::FuturesUnordered};
use std::{future::pending, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc::Sender, watch},
    time::{Instant, sleep_until},
};

/// After the first failure, how long the other processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(2);
/// After SIGTERM, how long processes of this machine may take.
pub(super) const TERM: Duration = Duration::from_millis(500);
/// How long news may wait to be shown.
const PATIENCE: Duration = Duration::from_millis(100);
/// The exit code of a job that did not end in time, as `timeout` has it.
const LATE: u8 = 124;

/// How processes have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    /// The exit code of the first that failed, or 0.
    pub(super) code: u8,
    /// A signal to this program, or the deadline, was first.
    pub(super) by_us: bool,
}

/// Watches processes to their end. Those without a name say themselves how they failed.
pub(super) async fn watch(
    job: &Job,
    children: Vec<(String, Child)>,
    signals: &mut Signals,
    news: Sender<News>,
    term: Duration,
) -> Result<Ended, Failure> {
    let (orders, order) = watch::channel(Order::Run);
    let mut running: FuturesUnordered<_> = children
        .into_iter()
        .map(|(ranks, child)| {
            let order = order.clone();
            async move { (ranks, child.watch(order).await) }
        })
        .collect();
    let mut verdict = Verdict::default();
    let mut by_us = false;
    let mut end_by = None;
    let mut deadline = job.deadline();
    while !running.is_empty() {
        tokio::select! {
            Some((ranks, status)) = running.next() => {
                let status = status?;
                if status.success() {
                    continue;
                }
                // Ranks know the deadline, too, and give up then: that is no cause of its own.
                if deadline.take_if(|deadline| *deadline <= Instant::now()).is_some() {
                    by_us |= over(job, &mut verdict, &orders, &news).await;
                    end_by = Some(Instant::now() + term);
                } else if verdict.failed(ranks, status) && !job.keep_going {
                    end_by = Some(Instant::now() + GRACE);
                }
            }
            number = signals.next() => {
                by_us |= verdict.code() == 0;
                let again = *orders.borrow() != Order::Run;
                tell(job, verdict.interrupted(number), &news).await;
                orders.send_replace(if again { Order::Kill } else { Order::Terminate });
                end_by = Some(Instant::now() + term);
            }
            () = at(deadline) => {
                deadline = None;
                by_us |= over(job, &mut verdict, &orders, &news).await;
                end_by = Some(Instant::now() + term);
            }
            () = at(verdict.due()) => tell(job, verdict.close(), &news).await,
            () = at(end_by) => {
                orders.send_replace(Order::Kill);
                end_by = None;
            }
        }
    }
    tell(job, verdict.close(), &news).await;
    Ok(Ended { code: verdict.code(), by_us })
}

/// The deadline has passed. Whether that ends the job.
async fn over(
    job: &Job,
    verdict: &mut Verdict,
    orders: &watch::Sender<Order>,
    news: &Sender<News>,
) -> bool {
    let by_us = verdict.code() == 0;
    tell(job, verdict.close(), news).await;
    verdict.set(LATE);
    let after = job.launch.deadline.unwrap_or_default();
    let message = format!("the job has not ended within {after:?}, and is ended");
    tell(job, Some((String::new(), message)), news).await;
    orders.send_replace(Order::Terminate);
    by_us
}

/// Says who failed, where the other news goes.
pub(super) async fn tell(job: &Job, failure: Option<(String, String)>, news: &Sender<News>) {
    let Some((ranks, message)) = failure else { return };
    let text = format!("fmi run: {message}");
    if job.output == Format::Raw {
        eprintln!("{text}");
        return;
    }
    // Nobody may read what is shown: that must not keep us from ending the job.
    if news.send_timeout(News::Failed { ranks, message }, PATIENCE).await.is_err() {
        eprintln!("{text}");
    }
}

/// Ends then, or never.
pub(super) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// The signals that end a job.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one's number. Cancel-safe.
    pub(super) async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => libc::SIGINT,
            _ = self.terminate.recv() => libc::SIGTERM,
            _ = self.hangup.recv() => libc::SIGHUP,
        }
    }
}
