//! How far off a profile is on one channel, computed anew only where something that counts there has changed.

use super::sample::{Sample, market};
use fmi_model::{Profile, channel::Channel, fit::log_error, host::Host};
use std::collections::VecDeque;

/// The measurements of a channel, and what was found about them last.
pub(super) struct ChannelLoss<'a> {
    channel: &'a str,
    samples: Vec<&'a Sample>,
    known: VecDeque<(Terms, f64)>,
}

/// All of a profile that counts on a channel.
type Terms = (Host, Channel, Channel);

/// The search changes one or two parameters and goes back: the last few are what it comes back to.
const KNOWN: usize = 8;

impl<'a> ChannelLoss<'a> {
    pub(super) fn new(channel: &'a str, samples: &'a [Sample]) -> Self {
        let samples = samples.iter().filter(|sample| sample.channel() == channel).collect();
        Self { channel, samples, known: VecDeque::new() }
    }

    /// The mean of |ln(predicted / measured)|.
    pub(super) fn of(&mut self, profile: &Profile) -> f64 {
        let (channel, shelf) = (profile.channel(self.channel), profile.shelf(self.channel));
        let terms = (profile.host, channel.clone(), shelf.clone());
        if let Some(at) = self.known.iter().position(|(known, _)| *known == terms) {
            let known = self.known.remove(at);
            return known.map_or(f64::NAN, |known| {
                let loss = known.1;
                self.known.push_front(known);
                loss
            });
        }
        let market = market(profile, self.channel);
        let pairs = self.samples.iter();
        let loss =
            log_error(pairs.map(|it| (it.predicted(&market).get(), it.time().get())));
        self.known.truncate(KNOWN - 1);
        self.known.push_front((terms, loss));
        loss
    }
}
