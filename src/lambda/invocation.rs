//! What a function is invoked with, and what it answers.

use crate::{
    Config, Error, Result,
    config::{ChannelSpec, Token},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The event of an invocation: the function's part in a job.
///
/// ```json
/// {"job": "scoring-42", "size": 64, "ranks": [16, 17, 18, 19], "rendezvous": "redis://cache:6379",
///  "token": "…", "payload": {"day": "2026-11-22"}}
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Invocation {
    /// The job's name.
    pub job: String,
    /// How many ranks it has.
    pub size: usize,
    /// Those of this invocation. None: the rendezvous gives one.
    #[serde(default)]
    pub ranks: Vec<usize>,
    /// Where the processes of the job meet.
    pub rendezvous: String,
    /// The job's secret.
    pub token: String,
    /// The channels to use; none: what the function's environment says.
    #[serde(default)]
    pub channels: Vec<String>,
    /// For the handler, as it is.
    #[serde(default)]
    pub payload: Value,
}

impl Invocation {
    /// Of a job of so many ranks that meet there and share this secret.
    pub fn new(
        job: impl Into<String>,
        size: usize,
        rendezvous: impl Into<String>,
        token: impl Into<String>,
    ) -> Self {
        Self {
            job: job.into(),
            size,
            ranks: Vec::new(),
            rendezvous: rendezvous.into(),
            token: token.into(),
            channels: Vec::new(),
            payload: Value::Null,
        }
    }

    /// With these ranks.
    #[must_use]
    pub fn ranks(self, ranks: impl IntoIterator<Item = usize>) -> Self {
        Self { ranks: ranks.into_iter().collect(), ..self }
    }

    /// With these channels.
    #[must_use]
    pub fn channels<S: Into<String>>(self, channels: impl IntoIterator<Item = S>) -> Self {
        Self { channels: channels.into_iter().map(Into::into).collect(), ..self }
    }

    /// With something for the handler.
    #[must_use]
    pub fn payload(self, payload: Value) -> Self {
        Self { payload, ..self }
    }

    /// What it makes of the function's own settings.
    pub(super) fn configure(&self, base: &Config) -> Result<Config> {
        let mut config = base.clone().job(&self.job).size(self.size);
        config = config.token(Token::from(self.token.as_str())).rendezvous(&self.rendezvous)?;
        if !self.ranks.is_empty() {
            config = config.ranks(self.ranks.iter().copied());
        }
        if !self.channels.is_empty() {
            let channels = self.channels.iter().map(|channel| channel.parse::<ChannelSpec>());
            config.channels = channels.collect::<Result<_>>()?;
        }
        config.validate()?;
        Ok(config)
    }
}

/// Without the secret, and without what it may name of the user's.
impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, size, ranks, .. } = self;
        f.debug_struct("Invocation")
            .field("job", job)
            .field("size", size)
            .field("ranks", ranks)
            .finish_non_exhaustive()
    }
}

/// The answer to an invocation whose ranks have all ended well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reply {
    /// The invocation's ranks.
    pub ranks: Vec<usize>,
    /// Ranks with what their handlers returned, or what they finished with.
    pub results: Vec<(usize, Value)>,
    /// When the first and the last of them began, in µs since 1970.
    pub began_us: (u64, u64),
    /// Whether this was the first invocation of its process.
    pub cold: bool,
    /// How long the process had served when it was invoked, in ms.
    pub age_ms: u64,
}

impl Reply {
    pub(super) fn new(
        ranks: Vec<usize>,
        results: Vec<(usize, Value)>,
        began_us: (u64, u64),
        cold: bool,
        age_ms: u64,
    ) -> Self {
        Self { ranks, results, began_us, cold, age_ms }
    }
}

/// The payload of a program that takes arguments.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    #[serde(default)]
    pub(super) arguments: Vec<String>,
}

impl Arguments {
    pub(super) fn read(payload: &Value) -> Result<Self> {
        let read = Option::deserialize(payload).map_err(|error| unreadable(&error))?;
        Ok(read.unwrap_or_default())
    }
}

/// What is wrong with a payload.
pub(super) fn unreadable(error: &serde_json::Error) -> Error {
    Error::Config {
        origin: "payload".to_owned(),
        message: format!("is not what the handler takes: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_as_the_documentation_has_it_and_shows_no_secret() {
        let text = r#"{"job":"scoring-42","size":64,"ranks":[16,17],"rendezvous":"redis://cache:6379",
            "token":"hunter2","payload":{"day":1}}"#;
        let event: Invocation = serde_json::from_str(text).unwrap();
        let same = Invocation::new("scoring-42", 64, "redis://cache:6379", "hunter2")
            .ranks([16, 17])
            .payload(serde_json::json!({ "day": 1 }));
        assert_eq!(event, same);
        assert!(!format!("{event:?}").contains("hunter2"));
        let wrong = serde_json::from_str::<Invocation>(r#"{"job":"a","size":1,"rank":0}"#);
        assert!(wrong.unwrap_err().to_string().contains("unknown field `rank`"));
    }

    #[cfg(feature = "redis")]
    #[test]
    fn the_event_overrides_the_environment() {
        let base = Config::default().job("other").memory(1 << 30);
        let event = Invocation::new("job", 4, "redis://cache:6379", "secret").ranks([1, 2]);
        let config = event.channels(["redis://cache:6379"]).configure(&base).unwrap();
        assert_eq!((config.job.as_str(), config.size), ("job", Some(4)));
        assert_eq!(config.ranks, Some(vec![1, 2]));
        assert_eq!(config.channels.len(), 1);
        assert_eq!(config.money.memory, Some(1 << 30));
        let event = Invocation::new("job", 4, "redis://cache:6379", "secret").ranks([4]);
        assert!(event.configure(&base).is_err(), "a rank that the job does not have");
    }
}
