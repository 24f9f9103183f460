//! Profiles: what is known of all channels in one place.
//!
//! [`Profile::SHIPPED`] come with this crate; `fmi model fit` writes others. A profile is a text (TOML), times in
//! seconds, so it can be read, changed and told to others.
//!
//! ```
//! use fmi_model::{Bytes, profile::Profile};
//! let lambda = Profile::shipped("aws-lambda").unwrap();
//! let tcp = lambda.channel("tcp").transfer(Bytes::new(1));
//! let s3 = lambda.channel("s3").transfer(Bytes::new(1));
//! assert!(s3 > tcp * 20.0);
//! assert_eq!(Profile::from_toml(&lambda.to_toml())?, lambda);
//! # Ok::<(), fmi_model::profile::BadProfile>(())
//! ```

use crate::{
    Bytes,
    channel::Channel,
    correction::Corrections,
    host::Host,
    replay::{Route, Wires},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::LazyLock};

/// What is known of all channels in one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What it is called.
    pub name: String,
    /// What it was measured on, or read from.
    pub source: String,
    /// When, year-month-day.
    pub date: String,
    /// What ranks and cores do themselves.
    #[serde(default)]
    pub host: Host,
    /// The channels, by name. What is published, instead of sent, has `-shelf` after it where that differs.
    pub channels: BTreeMap<String, Channel>,
    /// By channel: what was measured of plans beyond that, where the ranks share the [host's](Self::host) cores.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub corrections: BTreeMap<String, Corrections>,
}

impl Default for Profile {
    /// `lan`: what is assumed where nothing was measured.
    fn default() -> Self {
        lan().clone()
    }
}

/// Which channel goes how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used<'a> {
    /// Between processes of one machine.
    pub machine: &'a str,
    /// Between machines.
    pub network: &'a str,
    /// What holds things for several readers in other processes.
    pub store: &'a str,
}

impl<'a> Used<'a> {
    /// One channel between all processes.
    #[must_use]
    pub const fn only(channel: &'a str) -> Self {
        Self { machine: channel, network: channel, store: channel }
    }
}

/// Why a text is no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadProfile {
    /// No TOML, a name that means nothing, or a value of another type.
    #[error("not a profile: {0}")]
    Text(String),
    /// A number that no channel can have.
    #[error("not a profile: channels.{channel}: {reason}")]
    Number {
        /// Whose.
        channel: String,
        /// Which, and why.
        reason: String,
    },
}

/// After a channel's name.
const SHELF: &str = "-shelf";

const TEXTS: [&str; 3] = [
    include_str!("../profiles/aws-lambda.toml"),
    include_str!("../profiles/lan.toml"),
    include_str!("../profiles/loopback.toml"),
];

impl Profile {
    /// The names of those that come with this crate.
    pub const SHIPPED: [&'static str; 3] = ["aws-lambda", "lan", "loopback"];
    /// The channel inside a process.
    pub const LOCAL: &'static str = "local";

    /// One that comes with this crate.
    #[must_use]
    pub fn shipped(name: &str) -> Option<Self> {
        static PARSED: LazyLock<[Profile; TEXTS.len()]> = LazyLock::new(|| {
            TEXTS.map(|text| Profile::from_toml(text).expect("the file is part of this program"))
        });
        PARSED.iter().find(|profile| profile.name == name).cloned()
    }

    /// The text of one that comes with this crate, with its comments.
    #[must_use]
    pub fn shipped_text(name: &str) -> Option<&'static str> {
        Self::SHIPPED.iter().zip(TEXTS).find(|(own, _)| **own == name).map(|(_, text)| text)
    }

    /// That of a text in TOML.
    ///
    /// # Errors
    /// [`BadProfile`], with the place in the text.
    pub fn from_toml(text: &str) -> Result<Self, BadProfile> {
        let profile: Self =
            toml::from_str(text).map_err(|error| BadProfile::Text(error.to_string()))?;
        profile.check()?;
        Ok(profile)
    }

    /// As a text that [`from_toml`](Self::from_toml) reads.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("names, texts and numbers can be written")
    }

    /// A channel by its name. What is not known here is as in the profile `lan`; what is not known
    /// there either, as TCP is.
    #[must_use]
    pub fn channel(&self, name: &str) -> &Channel {
        static NONE: LazyLock<Channel> = LazyLock::new(Channel::default);
        let known = |name: &str| self.channels.get(name).or_else(|| lan().channels.get(name));
        known(name).or_else(|| known("tcp")).unwrap_or(&NONE)
    }

    /// By what name it is known what is published on a channel, if it differs.
    #[must_use]
    pub fn shelf_name(channel: &str) -> String {
        format!("{channel}{SHELF}")
    }

    /// Whether that is such a name.
    #[must_use]
    pub fn is_shelf(name: &str) -> bool {
        name.ends_with(SHELF)
    }

    /// What is published on a channel.
    #[must_use]
    pub fn shelf(&self, name: &str) -> &Channel {
        match self.channels.get(&Self::shelf_name(name)) {
            Some(shelf) => shelf,
            None => self.channel(name),
        }
    }

    /// As it is in functions with so much memory: see [`Channel::in_memory`].
    #[must_use]
    pub fn in_memory(mut self, memory: Bytes) -> Self {
        let channels = self.channels.into_iter();
        self.channels = channels.map(|(name, channel)| (name, channel.in_memory(memory))).collect();
        self
    }

    /// With three significant digits: more is not known.
    #[must_use]
    pub fn rounded(mut self) -> Self {
        self.host = self.host.rounded();
        let channels = self.channels.into_iter();
        self.channels = channels.map(|(name, channel)| (name, channel.rounded())).collect();
        let corrections = self.corrections.into_iter();
        self.corrections = corrections.map(|(name, of)| (name, of.rounded())).collect();
        self
    }

    /// The channels of all routes.
    #[must_use]
    pub fn wires(&self, used: &Used<'_>) -> Wires<'_> {
        let mut wires = Wires::all(self.channel(Self::LOCAL))
            .with(Route::Board, self.shelf(Self::LOCAL))
            .with(Route::Machine, self.channel(used.machine))
            .with(Route::Network, self.channel(used.network))
            .with(Route::Store, self.shelf(used.store));
        wires.host = self.host;
        wires
    }

    /// Whether all numbers can be.
    ///
    /// # Errors
    /// [`BadProfile::Number`] or [`BadProfile::Text`], with the first that cannot.
    pub fn check(&self) -> Result<(), BadProfile> {
        self.host.check().map_err(|reason| BadProfile::Text(format!("host.{reason}")))?;
        for (name, channel) in &self.channels {
            let bad = |reason| BadProfile::Number { channel: name.clone(), reason };
            channel.check().map_err(bad)?;
        }
        Ok(())
    }
}

/// What is assumed where nothing was measured.
fn lan() -> &'static Profile {
    static LAN: LazyLock<Profile> =
        LazyLock::new(|| Profile::shipped("lan").expect("it is one of them"));
    &LAN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_shipped_can_be_read() {
        for name in Profile::SHIPPED {
            let profile = Profile::shipped(name).unwrap();
            assert_eq!(profile.name, name);
            let text = Profile::shipped_text(name).unwrap();
            assert_eq!(Profile::from_toml(text), Ok(profile.clone()));
            for channel in ["local", "tcp"] {
                assert!(profile.channel(channel).transfer(Bytes::new(1)) > crate::Seconds::ZERO);
            }
        }
        assert_eq!(Profile::shipped("mars"), None);
    }

    #[test]
    fn what_is_no_profile_is_refused() {
        let text = Profile::shipped("lan").unwrap().to_toml();
        let negative = text.replacen("latency = ", "latency = -", 1);
        let error = Profile::from_toml(&negative).unwrap_err().to_string();
        assert!(error.contains("latency is -"), "{error}");
        for wrong in ["", "name = 1", &text.replacen("latency", "latenzy", 1), "[["] {
            assert!(matches!(Profile::from_toml(wrong), Err(BadProfile::Text(_))), "{wrong}");
        }
    }

    #[test]
    fn unknown_channels_are_as_in_a_network() {
        let mut profile = Profile::shipped("aws-lambda").unwrap();
        profile.channels.clear();
        let lan = Profile::shipped("lan").unwrap();
        assert_eq!(profile.channel("redis"), lan.channel("redis"));
        assert_eq!(profile.channel("carrier-pigeon"), lan.channel("tcp"));
    }
}
