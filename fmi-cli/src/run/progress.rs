//! How many ranks have joined, on a terminal, until all have.

use super::{job::Job, reports::Reports};
use indicatif::{ProgressBar, ProgressStyle};
use std::{collections::BTreeSet, future::pending, io::IsTerminal, time::Duration};
use tokio::time::{interval, sleep};

/// Who joins faster than this needs no display.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(100);
/// Ranks that are named.
const NAMED: usize = 4;

/// Shows it, and never ends.
pub(super) async fn display(job: &Job, reports: &Reports) {
    if !std::io::stderr().is_terminal() {
        return pending().await;
    }
    sleep(PATIENCE).await;
    if joined(job, reports) < job.ranks {
        let style = ProgressStyle::with_template("{spinner} joined {pos}/{len} {wide_msg}");
        let bar = ProgressBar::new(job.ranks as u64);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        let mut looks = interval(LOOK);
        loop {
            looks.tick().await;
            let joined = joined(job, reports);
            bar.set_position(joined as u64);
            if joined >= job.ranks {
                break;
            }
            bar.set_message(format!("waiting for {}", missing(job, reports)));
            bar.tick();
        }
        bar.finish_and_clear();
    }
    pending().await
}

fn joined(job: &Job, reports: &Reports) -> usize {
    let heads: BTreeSet<_> = reports.heads().into_iter().collect();
    let packs = (0..job.packs).map(|pack| job.ranks_of(pack));
    packs.filter(|ranks| heads.contains(&ranks.start)).map(|ranks| ranks.len()).sum()
}

/// The first of those that are not there.
fn missing(job: &Job, reports: &Reports) -> String {
    let heads: BTreeSet<_> = reports.heads().into_iter().collect();
    let missing = (0..job.packs).map(|pack| job.ranks_of(pack));
    let missing: Vec<_> = missing.filter(|ranks| !heads.contains(&ranks.start)).collect();
    let names: Vec<_> = missing.iter().take(NAMED).map(super::contract::range_text).collect();
    let more = if missing.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", names.join(", "))
}
