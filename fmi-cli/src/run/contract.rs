//! The process contract: what a process is told by its environment.

use super::job::Job;
use crate::{embedded::Embedded, failure::Failure};
use fmi::{
    Config,
    config::{ChannelSpec, Rendezvous, Scheme},
};
use fmi_channels::handshake::Token;
use std::ops::Range;

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

    /// For processes on other machines: URL, token, and the job's name.
    #[cfg(feature = "lambda")]
    pub(super) fn elsewhere(&self) -> Option<(&str, &str, String)> {
        let Self::There { url, token, job } = self else { return None };
        Some((url, token, std::env::var("FMI_JOB").unwrap_or_else(|_| job.clone())))
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

/// The variables for a process of this machine with these ranks. `None` takes one away that this
/// program has.
pub(super) fn environment(
    job: &Job,
    ranks: &Range<usize>,
    meeting: &Meeting,
) -> Vec<(String, Option<String>)> {
    let mut variables = common(job);
    let mut set = |name: &str, value: Option<String>| variables.push((name.to_owned(), value));
    // Also when it has all: a file could name a rendezvous to ask for a number.
    set("FMI_RANK", Some(range_text(ranks)));
    set("FMI_RENDEZVOUS", meeting.url());
    set("FMI_TOKEN", meeting.token());
    set("FMI_SERVE", None);
    if let Some(until) = job.until() {
        set("FMI_UNTIL", Some(until));
    }
    if job.name.is_none() {
        set("FMI_JOB", Some(meeting.job()));
    }
    // All processes are on this machine: nobody else need reach them.
    if job.listen.is_none() && std::env::var_os("FMI_LISTEN").is_none() {
        set("FMI_LISTEN", Some("127.0.0.1:0".to_owned()));
    }
    variables
}

/// The variables that all processes of a job have alike, wherever they run.
pub(super) fn common(job: &Job) -> Vec<(String, Option<String>)> {
    let own = job.launch.environment.iter();
    let mut variables: Vec<_> =
        own.map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
    let mut set = |name: &str, value: String| variables.push((name.to_owned(), Some(value)));
    set("FMI_SIZE", job.ranks.to_string());
    if let Some(name) = &job.name {
        set("FMI_JOB", name.clone());
    }
    if let Some(folder) = job.folder.as_ref().and_then(|folder| folder.to_str()) {
        set("FMI_BILL", folder.to_owned());
        set("FMI_REPORT", folder.to_owned());
    }
    if let Some(channel) = &job.channel {
        set("FMI_CHANNELS", channel.url().unwrap_or(channel.name()).to_owned());
    }
    if let Some(bytes) = job.launch.memory {
        set("FMI_MEMORY", format!("{bytes} B"));
    }
    if !job.launch.rank_arguments.is_empty()
        && let Ok(text) = serde_json::to_string(&job.launch.rank_arguments)
    {
        set("FMI_ARGS", text);
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
    fn ranges_as_the_contract_has_them() {
        assert_eq!(range_text(&(3..4)), "3");
        assert_eq!(range_text(&(0..16)), "0-15");
    }
}
