//! Where a job writes what its model has learnt.

use super::{Config, written};
use fmi_actors::Node;
use fmi_collectives::plan::price::Market;
use std::sync::Arc;

impl Config {
    /// What the job's first process does when it leaves, if it is to: all have learnt the same, so one is enough.
    pub(crate) fn keep_learnt(&self, node: &Arc<Node>) -> Option<impl FnOnce() + Send + 'static> {
        let file = self.learnt.clone().filter(|_| node.process() == 0)?;
        // Of channels that this job does not use, none of its ranks was told.
        let known = self.market().ok().flatten();
        let corrections = known.map(|market| market.profile.corrections).unwrap_or_default();
        let node = Arc::downgrade(node);
        Some(move || {
            let learnt = node.upgrade().and_then(|node| node.learnt());
            let Some(market) = learnt.and_then(|text| Market::from_text(&text).ok()) else {
                return;
            };
            let mut profile = market.profile;
            for (channel, of) in corrections {
                profile.corrections.entry(channel).or_insert(of);
            }
            if let Err(error) = written(&file, profile.to_toml().as_bytes()) {
                tracing::warn!("what was learnt cannot be written to {}: {error}", file.display());
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fmi_actors::{Member, Place, Settings};
    use fmi_model::{
        Profile,
        learn::{Factor, Lesson, Part},
    };
    use std::collections::BTreeMap;

    fn node(process: u32) -> Arc<Node> {
        let members = vec![Member { process, ranks: vec![0], ..Member::default() }];
        let place = Place { process, epoch: 1, members, model: "".into() };
        Node::new(place, Vec::new(), &[], Settings::default())
    }

    #[test]
    fn the_first_process_writes_what_the_next_job_begins_with() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("learnt.toml");
        let config = Config::default().learnt(&file);
        assert!(Config::default().keep_learnt(&node(0)).is_none());
        assert!(config.keep_learnt(&node(1)).is_none());
        let first = node(0);
        config.keep_learnt(&first).unwrap()();
        assert!(!file.exists(), "nothing was learnt");
        let market = Market::of(Profile::shipped("aws-lambda").unwrap());
        let lesson = Lesson { part: Part::Fixed, ratio: Factor::new(1.5) };
        let learnt = market.learn(&BTreeMap::from([("tcp".to_owned(), vec![lesson])])).unwrap();
        first.set_learnt(learnt.to_text().into());
        config.keep_learnt(&first).unwrap()();
        // Of a function with little memory, what it was slower by is in it already.
        for memory in [4 << 30, 1 << 30] {
            let next = Config::default().profile(file.to_str().unwrap()).memory(memory);
            let next = next.market().unwrap().unwrap();
            assert_eq!(
                next.profile,
                learnt.profile.clone().in_memory(fmi_model::Bytes::new(memory))
            );
            assert_eq!((next.epoch(), next.first()), (0, &next.profile));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no drafts are left");
    }
}
