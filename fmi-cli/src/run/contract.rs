//! The process contract: what a process is told by its environment.

use super::Job;
use crate::{embedded::Embedded, failure::Failure};
use fmi::{
    Config,
    config::{ChannelSpec, Rendezvous, Scheme},
};
use fmi_channels::handshake::Token;
use std::ops::Range;

/// The ranks of process `pack` of `packs`: contiguous, and of lengths that differ by at most one.
pub(super) fn ranks_of(pack: usize, packs: usize, ranks: usize) -> Range<usize> {
    pack * ranks / packs..(pack + 1) * ranks / packs
}

/// As `FMI_RANK` has them: `3`, or `0-15`.
pub(super) fn range_text(ranks: &Range<usize>) -> String {
    match ranks.len() {
        1 => ranks.start.to_string(),
        _ => format!("{}-{}", ranks.start, ranks.end - 1),
    }
}

/// Where the processes of a job find each other.
pub(super) enum Meeting {
    /// They need not: one has all ranks.
    Nowhere,
    /// In this program.
    Here(Embedded),
    /// Elsewhere, under a token that is ours or the environment's. Others may meet there, too, so
    /// that the job needs a name of its own.
    There { url: String, token: String, job: String },
}

const LOOPBACK: &str = "127.0.0.1:0";

impl Meeting {
    pub(super) async fn arrange(job: &Job) -> Result<Self, Failure> {
        let elsewhere = match &job.rendezvous {
            Some(rendezvous) => Some(rendezvous.clone()),
            None if meets_others(job) && job.listen.is_none() => only_store(job)?,
            None => None,
        };
        if let Some(rendezvous) = elsewhere {
            let token = match Config::from_env()?.token {
                Some(token) => token.expose().to_owned(),
                None if !is_server(&rendezvous) => Token::random()?.reveal().to_owned(),
                None => {
                    return Err(Failure::usage(format!(
                        "--rendezvous {rendezvous} wants a token: set FMI_TOKEN to that which it \
                         was started with"
                    )));
                }
            };
            let random = Token::random()?;
            let name = random.reveal().get(..8).unwrap_or_default();
            let job = format!("run-{}-{name}", std::process::id());
            return Ok(Self::There { url: rendezvous.url(), token, job });
        }
        if meets_others(job) || job.listen.is_some() {
            let listen = job.listen.as_deref().unwrap_or(LOOPBACK);
            return Ok(Self::Here(Embedded::start(listen).await?));
        }
        Ok(Self::Nowhere)
    }

    fn url(&self) -> Option<String> {
        match self {
            Self::Nowhere => None,
            Self::Here(embedded) => Some(embedded.url()),
            Self::There { url, .. } => Some(url.clone()),
        }
    }

    fn token(&self) -> Option<String> {
        match self {
            Self::Nowhere => None,
            Self::Here(embedded) => Some(embedded.token().to_owned()),
            Self::There { token, .. } => Some(token.clone()),
        }
    }

    /// `FMI_JOB`, where the environment has none.
    fn job(&self) -> String {
        match self {
            Self::There { job, .. } => job.clone(),
            _ => format!("run-{}", std::process::id()),
        }
    }
}

/// The variables for a process with these ranks. `None` takes one away that this program has.
pub(super) fn environment(
    job: &Job,
    ranks: &Range<usize>,
    meeting: &Meeting,
) -> Vec<(&'static str, Option<String>)> {
    let mut variables = vec![
        ("FMI_SIZE", Some(job.ranks.to_string())),
        // Also when it has all: a file could name a rendezvous to ask for a number.
        ("FMI_RANK", Some(range_text(ranks))),
        ("FMI_RENDEZVOUS", meeting.url()),
        ("FMI_TOKEN", meeting.token()),
    ];
    if let Some(folder) = job.bills.as_ref().and_then(|folder| folder.to_str()) {
        variables.push(("FMI_BILL", Some(folder.to_owned())));
    }
    if let Some(channel) = &job.channel {
        let text = channel.url().unwrap_or(channel.name()).to_owned();
        variables.push(("FMI_CHANNELS", Some(text)));
    }
    if std::env::var_os("FMI_JOB").is_none() {
        variables.push(("FMI_JOB", Some(meeting.job())));
    }
    // All processes are on this machine: nobody else need reach them.
    if job.listen.is_none() && std::env::var_os("FMI_LISTEN").is_none() {
        variables.push(("FMI_LISTEN", Some("127.0.0.1:0".to_owned())));
    }
    variables
}

/// Whether the processes need a rendezvous: one that has all ranks meets nobody.
fn meets_others(job: &Job) -> bool {
    job.packs > 1 && job.channel != Some(ChannelSpec::Local)
}

/// The store that is the only channel between the processes, if that is one: they meet there, as
/// they would where there is nothing else.
fn only_store(job: &Job) -> Result<Option<Rendezvous>, Failure> {
    // What is wrong with the configuration, the processes will say.
    let channels = match &job.channel {
        Some(channel) => vec![channel.clone()],
        None => {
            Config::from_env().map_or(Vec::new(), |config| config.available().cloned().collect())
        }
    };
    let mut between = channels.iter().filter(|channel| **channel != ChannelSpec::Local);
    match (between.next(), between.next()) {
        (Some(store), None) if store.is_store() => {
            Ok(store.url().map(str::parse::<Rendezvous>).transpose()?)
        }
        _ => Ok(None),
    }
}

/// Whether it is a server of ours, which has the token already.
fn is_server(rendezvous: &Rendezvous) -> bool {
    matches!(rendezvous.scheme(), Scheme::Tcp | Scheme::Tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_cover_all_ranks_in_order() {
        for ranks in 1..40 {
            for packs in 1..=ranks {
                let all: Vec<_> = (0..packs).map(|pack| ranks_of(pack, packs, ranks)).collect();
                let flat: Vec<_> = all.iter().cloned().flatten().collect();
                assert_eq!(flat, (0..ranks).collect::<Vec<_>>());
                let (least, most) = (ranks / packs, ranks.div_ceil(packs));
                assert!(all.iter().all(|pack| (least..=most).contains(&pack.len())));
            }
        }
    }

    #[test]
    fn ranges_as_the_contract_has_them() {
        assert_eq!(range_text(&(3..4)), "3");
        assert_eq!(range_text(&(0..16)), "0-15");
    }
}
