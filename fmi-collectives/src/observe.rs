//! Collectives under way: how long they take, beside what the model said before.
//!
//! Nothing is measured where there is neither a model nor a bill that tells operations apart.

use crate::{
    Communicator,
    judge::Chosen,
    plan::{Algorithm, Collective, Lesson, Question, Shelf},
};
use fmi_actors::{
    clock::Time,
    frame::Space,
    meter::{Call, Forecast, Operation, Seconds, Tier},
};
use fmi_model::{Estimate, Profile};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// One that is measured, from its first poll until it has its result.
#[derive(Debug)]
pub(crate) struct Observed {
    collective: Collective,
    /// Nanoseconds, as [`Time`]; its latest value before the first poll.
    begun: AtomicU64,
    /// What runs: a rank that learns it from the first frame does not know it at first.
    plan: OnceLock<Plan>,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    algorithm: &'static Algorithm,
    price: Option<Estimate>,
    lesson: Option<Lesson>,
}

impl Observed {
    /// Now that it is known what runs. What was foretold holds if that is what runs.
    pub(crate) fn plans(&self, algorithm: &'static Algorithm, chunks: usize, chosen: &Chosen) {
        let as_chosen = chosen.choice.algorithm == algorithm && chosen.choice.chunks == chunks;
        let (price, lesson) = if as_chosen { (chosen.price, chosen.lesson) } else { (None, None) };
        // Twice said is the same.
        let _ = self.plan.set(Plan { algorithm, price, lesson });
    }

    /// As `plans`, for who has not chosen itself.
    pub(crate) fn learns(
        &self,
        comm: &Communicator,
        algorithm: &'static Algorithm,
        chunks: usize,
        question: &Question,
    ) {
        self.plans(algorithm, chunks, &comm.choose(question));
    }

    /// It is polled.
    pub(crate) fn begin(&self, now: impl FnOnce() -> Time) {
        if self.begun.load(Ordering::Relaxed) == Time::NEVER.0 {
            self.begun.store(now().0, Ordering::Relaxed);
        }
    }

    /// It has ended well.
    pub(crate) fn end(&self, comm: &Communicator, space: Space) {
        let Some(Plan { algorithm, price, lesson }) = self.plan.get() else { return };
        let begun = Time(self.begun.load(Ordering::Relaxed));
        let endpoint = comm.endpoint();
        let time = Seconds::from(endpoint.now().since(begun));
        let tier = comm.tier_of(algorithm);
        let share = 1.0 / comm.size() as f64;
        if let (Some(judge), Some(lesson), Some(price)) = (comm.judge(), lesson, price) {
            judge.log().note(*lesson, (space, comm.size(), tier), time, price.time);
        }
        endpoint.record(&Call {
            operation: Operation::named(self.collective.name()),
            channel: comm.channel(tier),
            tier,
            time,
            forecast: price.map(|price| Forecast { time: price.time, money: price.money * share }),
        });
    }
}

impl Communicator {
    /// What measures a collective, if anybody wants to know.
    pub(crate) fn observe(&self, collective: Collective) -> Option<Arc<Observed>> {
        let wanted = self.model().is_some() || self.endpoint().meter().is_detailed();
        wanted.then(|| {
            let begun = AtomicU64::new(Time::NEVER.0);
            Arc::new(Observed { collective, begun, plan: OnceLock::new() })
        })
    }

    /// How far those members are apart who are farthest, as the roster has it.
    pub(crate) fn find_tier(&self) -> Tier {
        if self.is_together() {
            return Tier::Process;
        }
        if matches!(self.shelf(), Shelf::Alone | Shelf::Pushed) {
            return Tier::Store;
        }
        let group = self.group();
        let roster = self.node().roster();
        let mut machines = group.iter().map(|rank| {
            let member = roster.host(*rank).and_then(|process| roster.member(process));
            member.map_or("", |member| &*member.machine)
        });
        let first = machines.next().unwrap_or_default();
        // Where it is not known, each process has its own.
        match !first.is_empty() && machines.all(|machine| machine == first) {
            true => Tier::Machine,
            false => Tier::Network,
        }
    }

    /// How far what an algorithm moves goes at most.
    fn tier_of(&self, algorithm: &Algorithm) -> Tier {
        match self.tier() {
            Tier::Machine | Tier::Network if algorithm.is_shared() => Tier::Store,
            tier => tier,
        }
    }

    /// What the way there is called: by the model, else as the process has it.
    pub(crate) fn channel(&self, tier: Tier) -> &str {
        if tier == Tier::Process {
            return Profile::LOCAL;
        }
        let Some(model) = self.model() else {
            return self.node().channel_name(tier == Tier::Store);
        };
        let channels = &model.market.channels;
        match tier {
            Tier::Store => &channels.store,
            Tier::Machine => &channels.machine,
            Tier::Process | Tier::Network => &channels.network,
        }
    }
}
