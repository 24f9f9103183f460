//! What is left when the parameters are found: kept plan by plan.

use super::sample::{Sample, market};
use fmi_model::{Profile, Seconds};
use std::collections::BTreeMap;

/// Notes in a profile, whose parameters have been found, what they say of each plan and what was measured. Plans are
/// chosen by their price: so it is that which is corrected. Returns of how many plans.
pub(super) fn noted(profile: &mut Profile, samples: &[Sample]) -> usize {
    let mut markets = BTreeMap::new();
    let mut all: BTreeMap<_, Vec<(Seconds, Seconds)>> = BTreeMap::new();
    for sample in samples {
        let name = sample.channel();
        let market = markets.entry(name).or_insert_with(|| market(profile, name));
        // Ranks that stand otherwise say nothing of those that stand like this.
        if sample.model(market).only_channel() != Some(name) {
            continue;
        }
        let times = (sample.price(market), sample.time());
        for plan in sample.plans() {
            let what = (name, plan.collective.name(), plan.name, sample.ranks());
            all.entry(what).or_default().push(times);
        }
    }
    for ((channel, collective, algorithm, ranks), times) in all {
        let of = profile.corrections.entry(channel.to_owned()).or_default();
        of.note(collective, algorithm, ranks, &times);
    }
    *profile = profile.clone().rounded();
    profile.corrections.values().map(fmi_model::correction::Corrections::plans).sum()
}
