//! Learning while a job runs: how far what was observed has moved a profile, and how far it may.
//!
//! A channel's parameters are moved by two factors, one for what each message takes and one for what its
//! bytes take. They follow what most observations say, in steps, and stay within bounds of what the
//! profile said at first.
//!
//! ```
//! use fmi_model::{Bytes, Profile, learn::{Drift, Factor, Lesson, Part}};
//!
//! // All messages take four times as long as the profile says.
//! let slow = Lesson { part: Part::Fixed, ratio: Factor::new(4.0) };
//! let once = Drift::default().learn(&[slow]);
//! assert_eq!(once.fixed.get(), 2.0);
//! let lan = Profile::shipped("lan").unwrap();
//! let (before, after) = (lan.channel("tcp").clone(), lan.channel("tcp").drifted(once));
//! assert_eq!(after.latency, before.latency * 2.0);
//! ```

use crate::{Seconds, channel::Channel, profile::Profile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many times more something takes: from a sixteenth to sixteen times. What is further off is rather
/// another place, or a mistake, than a profile that is a bit wrong.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Factor(f64);

/// Factors of all that a channel takes.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Of what each message takes: overheads, latency, requests, stragglers.
    #[serde(default)]
    pub fixed: Factor,
    /// Of what bytes take: rates and ramps.
    #[serde(default)]
    pub bytes: Factor,
}

/// What most of a collective's time is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Messages, however short.
    Fixed,
    /// Their bytes.
    Bytes,
}

/// What calls of one kind have shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lesson {
    /// Which part shows in it.
    pub part: Part,
    /// How many times longer than foretold they took.
    pub ratio: Factor,
}

/// How far one step goes.
const STEP: f64 = 2.0;
/// What is nearer than this is right: a plan is not worth another choice for it, and there is always noise.
const NEAR: f64 = 1.05;

impl Factor {
    /// As it was.
    pub const NONE: Self = Self(1.0);
    /// The most.
    pub const MOST: f64 = 16.0;

    /// So many times, within the bounds; what is no number changes nothing.
    #[must_use]
    pub const fn new(times: f64) -> Self {
        match times.is_nan() {
            true => Self::NONE,
            false => Self(times.clamp(1.0 / Self::MOST, Self::MOST)),
        }
    }

    /// How many times.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The middle one; of two in the middle what lies between them. `None` of none.
    #[must_use]
    pub fn median(all: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut all: Vec<f64> = all.into_iter().map(Self::get).collect();
        all.sort_by(f64::total_cmp);
        let upper = *all.get(all.len() / 2)?;
        let lower = all[(all.len() - 1) / 2];
        Some(Self::new(libm::sqrt(lower * upper)))
    }

    /// A step of it towards what was observed.
    fn towards(self, ratio: Self) -> Self {
        if (1.0 / NEAR..=NEAR).contains(&ratio.0) {
            return self;
        }
        Self::new(self.0 * ratio.0.clamp(1.0 / STEP, STEP))
    }
}

impl Default for Factor {
    fn default() -> Self {
        Self::NONE
    }
}

impl From<f64> for Factor {
    fn from(times: f64) -> Self {
        Self::new(times)
    }
}

impl From<Factor> for f64 {
    fn from(factor: Factor) -> Self {
        factor.0
    }
}

/// How the text of a model that has learnt so often begins: a comment, which who passes it on can read.
#[must_use]
pub fn mark(epoch: u32) -> String {
    format!("{MARK}{epoch}\n")
}

/// How often the model of a text has learnt.
#[must_use]
pub fn marked(text: &str) -> u32 {
    let rest = text.strip_prefix(MARK).and_then(|rest| rest.lines().next());
    rest.and_then(|number| number.parse().ok()).unwrap_or(0)
}

const MARK: &str = "# learnt ";

impl Drift {
    /// After these lessons, which were all seen with this one: a step to the median of each part, at most
    /// twice or half as much. What is said within 5 % changes nothing.
    #[must_use]
    pub fn learn(self, lessons: &[Lesson]) -> Self {
        let median = |part| {
            let of = lessons.iter().filter(|lesson| lesson.part == part);
            Factor::median(of.map(|lesson| lesson.ratio)).unwrap_or_default()
        };
        Self {
            fixed: self.fixed.towards(median(Part::Fixed)),
            bytes: self.bytes.towards(median(Part::Bytes)),
        }
    }
}

impl Channel {
    /// As it is if all takes so many times longer. How often somebody looks is a setting, and stays.
    #[must_use]
    pub fn drifted(&self, drift: Drift) -> Self {
        let (fixed, bytes) = (drift.fixed.get(), drift.bytes.get());
        let mut all = self.clone();
        let scale = |time: &mut Seconds, factor: f64| *time = *time * factor;
        for leg in [&mut all.send, &mut all.receive] {
            scale(&mut leg.fixed, fixed);
            scale(&mut leg.lag, bytes);
            scale(&mut leg.per_byte, bytes);
        }
        scale(&mut all.latency, fixed);
        scale(&mut all.tail.scale, fixed);
        if let Some(server) = &mut all.server {
            scale(&mut server.request, fixed);
            scale(&mut server.per_byte, bytes);
        }
        if let Some(bucket) = &mut all.bucket {
            scale(&mut bucket.per_byte, bytes);
        }
        all
    }
}

impl Profile {
    /// With these channels drifted, by name, and with each what is published on it.
    #[must_use]
    pub fn drifted(&self, drifts: &BTreeMap<String, Drift>) -> Self {
        let mut all = self.clone();
        for (name, drift) in drifts {
            // A channel that is as another one, or as in `lan`, is its own from now on.
            let shelf = Self::shelf_name(name);
            if let Some(own) = self.channels.get(&shelf) {
                all.channels.insert(shelf, own.drifted(*drift));
            }
            all.channels.insert(name.clone(), self.channel(name).drifted(*drift));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;
    use proptest::prelude::*;

    fn lessons(part: Part, ratios: &[f64]) -> Vec<Lesson> {
        ratios.iter().map(|ratio| Lesson { part, ratio: Factor::new(*ratio) }).collect()
    }

    #[test]
    fn what_most_say_counts() {
        let drift = Drift::default().learn(&lessons(Part::Bytes, &[1.5, 1e300, 1.5, 0.0, 1.5]));
        assert_eq!((drift.fixed.get(), drift.bytes.get()), (1.0, 1.5));
        let near = Drift::default().learn(&lessons(Part::Fixed, &[1.04, 0.97]));
        assert_eq!(near, Drift::default());
        assert_eq!(Factor::median([]), None);
        assert_eq!(Factor::median([0.5, 2.0].map(Factor::new)), Some(Factor::NONE));
        assert_eq!(Factor::new(f64::NAN), Factor::NONE);
    }

    #[test]
    fn marks_are_read_again() {
        for epoch in [1, 7, u32::MAX] {
            assert_eq!(marked(&format!("{}name = 1", mark(epoch))), epoch);
        }
        for other in ["", "name = 1", "# learnt", "# learnt x\n", "# learnt -1\n"] {
            assert_eq!(marked(other), 0, "{other}");
        }
    }

    #[test]
    fn shelves_drift_with_their_channel() {
        let lambda = Profile::shipped("aws-lambda").unwrap();
        for name in ["tcp", "redis", "s3", "carrier-pigeon"] {
            let drift = Drift { fixed: Factor::new(2.0), bytes: Factor::new(2.0) };
            let drifts = BTreeMap::from([(name.to_owned(), drift)]);
            let slow = lambda.drifted(&drifts);
            for bytes in [1, 1 << 20].map(Bytes::new) {
                let looks = lambda.channel(name).look_late();
                let sent = |profile: &Profile| profile.channel(name).transfer(bytes) - looks;
                assert!((sent(&slow) / sent(&lambda) - 2.0).abs() < 1e-9, "{name}");
                let put = |profile: &Profile| profile.shelf(name).send.time(bytes);
                assert!((put(&slow) - put(&lambda) * 2.0).get().abs() < 1e-12, "{name}");
            }
        }
    }

    proptest! {
        /// Whatever is observed, for however long: the profile is one, within bounds of what it was.
        #[test]
        fn whatever_is_observed_a_profile_stays_one(
            epochs in prop::collection::vec(
                prop::collection::vec((any::<bool>(), any::<f64>()), 0..20), 0..12),
        ) {
            let lan = Profile::shipped("lan").unwrap();
            let mut drift = Drift::default();
            for epoch in epochs {
                let lessons: Vec<_> = epoch.into_iter().map(|(bytes, ratio)| Lesson {
                    part: if bytes { Part::Bytes } else { Part::Fixed },
                    ratio: Factor::new(ratio),
                }).collect();
                let next = drift.learn(&lessons);
                for (before, after) in [(drift.fixed, next.fixed), (drift.bytes, next.bytes)] {
                    let step = after.get() / before.get();
                    prop_assert!((0.5 - 1e-9..=2.0 + 1e-9).contains(&step), "{}", step);
                    prop_assert!((1.0 / 16.0..=16.0).contains(&after.get()));
                }
                drift = next;
                let learnt = lan.drifted(&BTreeMap::from([("tcp".to_owned(), drift)]));
                prop_assert_eq!(learnt.check(), Ok(()));
                prop_assert_eq!(Profile::from_toml(&learnt.to_toml()), Ok(learnt));
            }
        }
    }
}
