//! How far off a profile is on one channel, computed anew only where something that counts there has changed.

use super::sample::{Sample, market};
use fmi_model::{Profile, channel::Channel, host::Host};
use std::collections::VecDeque;

/// The measurements of a channel, and what was found about them last.
pub(super) struct ChannelLoss<'a> {
    channel: &'a str,
    /// With what was measured.
    samples: Vec<(&'a Sample, f64)>,
    error: Error,
    known: VecDeque<(Terms, f64)>,
}

/// How far off pairs of what is predicted and what was measured are.
pub(super) type Error = fn(Vec<(f64, f64)>) -> f64;

/// All of a profile that counts on a channel.
type Terms = (Host, Channel, Channel);

/// The search changes one parameter and goes back: on all channels but one, to what was found before.
const KNOWN: usize = 8;

impl<'a> ChannelLoss<'a> {
    pub(super) fn new(channel: &'a str, samples: &'a [Sample], error: Error) -> Self {
        let of = samples.iter().filter(|sample| sample.channel() == channel);
        let samples = of.map(|sample| (sample, sample.time().get())).collect();
        Self { channel, samples, error, known: VecDeque::new() }
    }

    /// The error with a profile.
    pub(super) fn of(&mut self, profile: &Profile) -> f64 {
        let (channel, shelf) = (profile.channel(self.channel), profile.shelf(self.channel));
        let terms = (profile.host, channel.clone(), shelf.clone());
        if let Some((_, loss)) = self.known.iter().find(|(known, _)| *known == terms) {
            return *loss;
        }
        let market = market(profile, self.channel);
        let pairs = self.samples.iter();
        let pairs = pairs.map(|(sample, measured)| (sample.predicted(&market).get(), *measured));
        let loss = (self.error)(pairs.collect());
        self.known.truncate(KNOWN - 1);
        self.known.push_front((terms, loss));
        loss
    }
}
