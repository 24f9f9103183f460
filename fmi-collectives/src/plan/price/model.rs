//! What all ranks know of where they are: it is the same on all of them, or they would not choose alike.

use crate::plan::{Algorithm, Packs, chooser::Shared};
use fmi_model::{
    Costs, DollarsPerSecond, Profile,
    correction::Correction,
    learn::{self, Drift, Lesson},
    prices::Prices,
    profile::{BadProfile, Used},
    replay::Wires,
    topology::{Distance, Topology},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// What is known of the channels and of what they cost. The same for all groups of a job: its first process tells
/// it to all others, as a text.
///
/// Ranks of one process had best share one [`Arc`] of it: then what one has found out, the others need
/// not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Text", into = "Text")]
#[non_exhaustive]
pub struct Market {
    /// How long things take, by what is known now. Whoever changes it says so before anything is
    /// [learnt](Self::learn).
    pub profile: Profile,
    /// Which channel goes how far.
    pub channels: Channels,
    /// What is paid for.
    pub costs: Costs,
    /// Whether results are to be the same bits whatever is [learnt](Self::learn): then what combines values is
    /// chosen by what was known at first.
    pub reproducible: bool,
    learnt: Option<Arc<Learnt>>,
    /// What has been chosen in it.
    pub(in crate::plan) known: Shared,
}

/// What has come of observations.
#[derive(Debug, Clone, PartialEq)]
struct Learnt {
    /// What was known at first.
    first: Profile,
    epoch: u32,
    /// How far channels are from it.
    drifts: BTreeMap<String, Drift>,
}

/// A market as it is written: what was known at first, and how far from it things are.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default = "yes")]
    reproducible: bool,
    profile: Profile,
    channels: Channels,
    costs: Costs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    learnt: Option<Drifts>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drifts {
    epoch: u32,
    channels: BTreeMap<String, Drift>,
}

fn yes() -> bool {
    true
}

/// Names of channels, as the profile calls them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// Between processes of one machine.
    pub machine: String,
    /// Between machines.
    pub network: String,
    /// What holds things for several readers in other processes.
    pub store: String,
}

/// What is known of a group: the market, and where its ranks are.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// What is known of the channels.
    pub market: Arc<Market>,
    /// Where the ranks are.
    pub topology: Arc<Topology>,
    /// Follows from where they are.
    pub(in crate::plan) packs: Packs,
}

impl Market {
    /// TCP between all processes, S3 beside it; the prices of AWS, and nothing to pay for processes.
    #[must_use]
    pub fn of(profile: Profile) -> Self {
        let costs = Costs { prices: Prices::aws(), process: DollarsPerSecond::ZERO, often: None };
        let channels = Channels::new("tcp", "tcp", "s3");
        let (learnt, known) = Default::default();
        Self { profile, channels, costs, reproducible: true, learnt, known }
    }

    /// Whether results are to be the same bits whatever is learnt; they are, if nothing is said.
    #[must_use]
    pub fn reproducible(self, reproducible: bool) -> Self {
        Self { reproducible, known: Shared::default(), ..self }
    }

    /// What was known at first.
    #[must_use]
    pub fn first(&self) -> &Profile {
        self.learnt.as_ref().map_or(&self.profile, |learnt| &learnt.first)
    }

    /// How often it has learnt.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.learnt.as_ref().map_or(0, |learnt| learnt.epoch)
    }

    /// How far a channel is from what was known at first.
    #[must_use]
    pub fn drift(&self, channel: &str) -> Drift {
        let known = self.learnt.as_ref().and_then(|learnt| learnt.drifts.get(channel));
        known.copied().unwrap_or_default()
    }

    /// What is known after lessons of channels, each of which was seen in this market: see [`Drift::learn`].
    /// `None` if they change nothing.
    #[must_use]
    pub fn learn(&self, lessons: &BTreeMap<String, Vec<Lesson>>) -> Option<Self> {
        let learnt = self.learnt.as_ref();
        let mut drifts = learnt.map_or_else(BTreeMap::new, |learnt| learnt.drifts.clone());
        let mut changed = false;
        for (channel, lessons) in lessons {
            let before = self.drift(channel);
            let after = before.learn(lessons);
            if after != before {
                changed = true;
                drifts.insert(channel.clone(), after);
            }
        }
        let epoch = self.epoch().saturating_add(1);
        let learnt = Drifts { epoch, channels: drifts };
        changed.then(|| Self::from(Text { learnt: Some(learnt), ..Text::from(self.clone()) }))
    }

    /// Over these channels.
    #[must_use]
    pub fn over(self, channels: Channels) -> Self {
        Self { channels, known: Shared::default(), ..self }
    }

    /// Without what was measured of plans on channels that are not used: to be told to all ranks.
    #[must_use]
    pub fn pruned(mut self) -> Self {
        let Channels { machine, store, .. } = &self.channels;
        let used = [Profile::LOCAL, machine, store];
        self.profile.corrections.retain(|channel, _| used.contains(&channel.as_str()));
        self
    }

    /// With these costs.
    #[must_use]
    pub fn costing(self, costs: Costs) -> Self {
        Self { costs, known: Shared::default(), ..self }
    }

    /// As a text that [`from_text`](Self::from_text) reads, the same to the last bit. It begins with the
    /// [mark](fmi_model::learn::mark) of what has learnt.
    #[must_use]
    pub fn to_text(&self) -> String {
        let text = toml::to_string(self).expect("names, texts and numbers can be written");
        match self.epoch() {
            0 => text,
            epoch => format!("{}{text}", learn::mark(epoch)),
        }
    }

    /// That of a text.
    ///
    /// # Errors
    /// [`BadProfile`], with the place in the text.
    pub fn from_text(text: &str) -> Result<Self, BadProfile> {
        let market: Self =
            toml::from_str(text).map_err(|error| BadProfile::Text(error.to_string()))?;
        market.profile.check()?;
        Ok(market)
    }

    /// The channels as they are used.
    #[must_use]
    pub fn wires(&self) -> Wires<'_> {
        self.profile.wires(&self.channels.used())
    }

    /// The same as they were known at first, if something has been learnt since.
    pub(super) fn first_wires(&self) -> Option<Wires<'_>> {
        self.learnt.as_ref().map(|learnt| learnt.first.wires(&self.channels.used()))
    }
}

impl From<Text> for Market {
    fn from(text: Text) -> Self {
        let Text { reproducible, profile: first, channels, costs, learnt } = text;
        let learnt = learnt.map(|Drifts { epoch, channels: drifts }| Learnt {
            first: first.clone(),
            epoch,
            drifts,
        });
        let profile = learnt.as_ref().map_or(first, |learnt| learnt.first.drifted(&learnt.drifts));
        let learnt = learnt.map(Arc::new);
        Self { profile, channels, costs, reproducible, learnt, known: Shared::default() }
    }
}

impl From<Market> for Text {
    fn from(market: Market) -> Self {
        let profile = market.first().clone();
        let learnt = market.learnt.map(|learnt| {
            let Learnt { epoch, drifts, .. } = &*learnt;
            Drifts { epoch: *epoch, channels: drifts.clone() }
        });
        let Market { channels, costs, reproducible, .. } = market;
        Self { reproducible, profile, channels, costs, learnt }
    }
}

impl Channels {
    /// By their names.
    #[must_use]
    pub fn new(
        machine: impl Into<String>,
        network: impl Into<String>,
        store: impl Into<String>,
    ) -> Self {
        Self { machine: machine.into(), network: network.into(), store: store.into() }
    }

    /// One channel for everything.
    #[must_use]
    pub fn only(channel: &str) -> Self {
        Self::new(channel, channel, channel)
    }

    fn used(&self) -> Used<'_> {
        Used { machine: &self.machine, network: &self.network, store: &self.store }
    }
}

impl Model {
    /// Of a group in these places.
    #[must_use]
    pub fn new(market: impl Into<Arc<Market>>, topology: impl Into<Arc<Topology>>) -> Self {
        let (market, topology) = (market.into(), topology.into());
        let packs = Packs::of(topology.places().iter().map(|place| place.process));
        Self { market, topology, packs }
    }

    /// Which of the ranks share a process.
    #[must_use]
    pub fn packs(&self) -> &Packs {
        &self.packs
    }

    /// Over which channel all messages go, if the ranks stand as [corrections](fmi_model::correction) are for: all in
    /// one process, or a process each on one machine, sharing as many cores as the profile says its machines have.
    #[must_use]
    pub fn only_channel(&self) -> Option<&str> {
        let (topology, market) = (&*self.topology, &*self.market);
        let ranks = topology.ranks();
        let channel = match topology.farthest() {
            Distance::Process => Profile::LOCAL,
            Distance::Machine if topology.processes() == ranks => &market.channels.machine,
            Distance::Machine | Distance::Network => return None,
        };
        let shared = topology.cores() == ranks.min(market.profile.host.cores);
        (ranks > 1 && shared).then_some(channel)
    }

    /// What was measured of a plan, beyond what its steps say.
    pub(super) fn correction(&self, algorithm: &Algorithm) -> Option<&Correction> {
        let corrections = &self.market.profile.corrections;
        if corrections.is_empty() {
            return None;
        }
        corrections.get(self.only_channel()?)?.of(algorithm.collective.name(), algorithm.name)
    }

    /// As it was at first, if something has been learnt since that is not to count.
    pub(in crate::plan) fn reproducible(&self) -> Option<Self> {
        let Market { channels, costs, reproducible, learnt, .. } = &*self.market;
        let learnt = learnt.as_ref().filter(|_| *reproducible)?;
        let market = Market::of(learnt.first.clone()).over(channels.clone()).costing(costs.clone());
        Some(Self::new(market, Arc::clone(&self.topology)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fmi_model::learn::{Factor, Part};

    #[test]
    fn what_is_told_is_what_is_known() {
        for name in Profile::SHIPPED {
            let market = Market::of(Profile::shipped(name).unwrap())
                .over(Channels::new("tcp", "quic", "redis"))
                .pruned();
            let text = market.to_text();
            assert!(text.len() < 40 << 10, "it goes with each registration: {}", text.len());
            assert_eq!(Market::from_text(&text).unwrap(), market);
            let often = Some(fmi_model::Rate::new(1.0 / 3.0));
            let costs = Costs { often, ..market.costs.clone() };
            let market = market.costing(costs);
            assert_eq!(Market::from_text(&market.to_text()).unwrap(), market);
        }
        let lan = Market::of(Profile::shipped("lan").unwrap()).reproducible(false);
        let lesson = Lesson { part: Part::Bytes, ratio: Factor::new(1.0 / 3.0) };
        let learnt = lan.learn(&BTreeMap::from([("tcp".to_owned(), vec![lesson])])).unwrap();
        let again = Market::from_text(&learnt.to_text()).unwrap();
        assert_eq!((&again, again.to_text()), (&learnt, learnt.to_text()));
        assert_eq!((again.epoch(), again.first()), (1, &lan.profile));
        assert_eq!(again.drift("tcp").bytes.get(), 0.5);
        assert!(!again.reproducible && again.profile != lan.profile);
        assert_eq!(again.learn(&BTreeMap::new()), None);
        for wrong in ["", "profile = 1", "[["] {
            assert!(Market::from_text(wrong).is_err());
        }
    }
}
