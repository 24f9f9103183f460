//! What the model of time and money says of all plans, and why one is the best.

use super::{Args, StoreIs};
use crate::{
    failure::Failure,
    model::{
        source,
        way::Way,
        weigh::{Plan, Weighed},
    },
};
use fmi::{
    Config,
    plan::{
        Algorithm, Question, TYPICAL,
        price::{Market, Model},
    },
};
use fmi_model::{Bytes, Costs, Objective, Profile, topology::Topology};

/// What the model says of a call.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) profile: String,
    pub(super) channel: String,
    pub(super) objective: Objective,
    pub(super) weighed: Weighed,
    /// Of one value.
    length: u64,
}

/// The profile and the channels that were asked for.
#[derive(Debug)]
pub(super) struct Place {
    profile: Profile,
    way: Way,
}

/// Less is no reason.
const NOTABLE: f64 = 1.2;

impl Place {
    /// If a profile was asked for.
    pub(super) fn new(args: &Args) -> Result<Option<Self>, Failure> {
        let Some(name) = &args.profile else { return Ok(None) };
        let profile = source::profile(name)?;
        // What is meant where no channel is named.
        let known = |name| source::check_channel(&profile, "--channel", name).map(|()| name);
        let way = match (&args.channel, args.store) {
            _ if args.together => Way::local(),
            (Some(channel), _) => Way::read(&profile, "--channel", channel)?,
            (None, StoreIs::None) => Way::over(known("tcp")?),
            (None, StoreIs::Beside) => Way::over(known("tcp")?).beside(&profile, known("s3")?),
            (None, StoreIs::Alone) => Way::through(&profile, known("s3")?),
            (None, StoreIs::Pushed) => Way::through(&profile, known("redis")?),
        };
        Ok(Some(Self { profile, way }))
    }

    /// What the store is to the ranks there.
    pub(super) fn shelf(&self) -> fmi::plan::Shelf {
        self.way.shelf()
    }

    /// Cores of the machine, if the profile is of one.
    pub(super) fn cores(&self) -> usize {
        self.profile.host.cores
    }

    /// Weighs all plans.
    pub(super) fn verdict(
        self,
        question: Question,
        (root, length): (usize, u64),
        topology: Topology,
        objective: Objective,
    ) -> Result<Verdict, Failure> {
        let tariff = Config::from_env()?.money.tariff()?;
        let Self { profile, way } = self;
        let profile = profile.in_memory(tariff.memory);
        let process = tariff.prices.function_second(tariff.memory);
        let costs = Costs { prices: tariff.prices, process, often: None };
        let (name, channel) = (profile.name.clone(), way.name());
        let market = Market::of(profile).over(way.channels()).costing(costs);
        let model = Model::new(market, topology);
        let weighed = Weighed::new(question, (root, length), &model, objective);
        Ok(Verdict { profile: name, channel, objective, weighed, length })
    }
}

impl Verdict {
    /// The library's choice.
    pub(super) fn chosen(&self) -> Option<&Plan> {
        self.weighed.plans.get(self.weighed.chosen)
    }

    /// A plan by its algorithm, if it can run.
    pub(super) fn plan(&self, algorithm: &Algorithm) -> Option<&Plan> {
        self.weighed.plans.iter().find(|plan| plan.algorithm == algorithm)
    }

    /// Why this one: how much better it is than the next, and what the others do more.
    pub(super) fn because(&self, algorithm: &Algorithm) -> String {
        let Some(own) = self.plan(algorithm) else {
            return format!("{} has no price there", algorithm.name);
        };
        let others = || self.weighed.plans.iter().filter(|plan| plan.algorithm != algorithm);
        let name = own.algorithm.name;
        let Some(next) = others().next() else {
            return format!("{name}: {}, and nothing else can run there", self.value(own));
        };
        let best = &self.weighed.plans[0];
        if best.algorithm != algorithm {
            let more = format!("{}, {}", self.value(own), self.than(own, best));
            let by_length = if self.weighed.plans[self.weighed.chosen].algorithm == algorithm {
                let typical = Bytes::new(TYPICAL);
                format!("; not all ranks know the length, and of {typical} it is the best")
            } else {
                String::new()
            };
            return format!("{name}: {more}{by_length}");
        }
        // What is nearly as good does hardly anything more.
        let worse = others().filter(|other| self.number(other) > 1.05 * self.number(own));
        let mut reasons = worse.filter_map(|other| self.reason(own, other));
        let reason = reasons.next().unwrap_or_default();
        format!("{name}: {}, {}{reason}", self.value(own), self.than(own, next))
    }

    /// `12 % less than ring`, or where that is not what is wanted first, what the other one has.
    fn than(&self, one: &Plan, other: &Plan) -> String {
        let (own, theirs) = (self.number(one), self.number(other));
        let name = other.algorithm.name;
        let worse = own > theirs;
        if worse && self.objective.compare(&one.price, &other.price).is_lt() {
            return format!(
                "{}, where {name} takes {} and {}",
                self.objective, other.price.time, other.price.money
            );
        }
        if own == theirs {
            return format!("as {name}");
        }
        let share = (own - theirs).abs() / theirs.max(f64::MIN_POSITIVE);
        let word = if worse { "more" } else { "less" };
        match share {
            share if share > 1.0 => {
                format!("{:.1} times as much as {name}", own / theirs.max(f64::MIN_POSITIVE))
            }
            share if share < 0.01 => format!("hardly {word} than {name}"),
            share => format!("{:.0} % {word} than {name}", share * 100.0),
        }
    }

    /// What another does notably more.
    fn reason(&self, own: &Plan, other: &Plan) -> Option<String> {
        // Messages and what is published are not the same.
        if own.algorithm.is_shared() != other.algorithm.is_shared() {
            return None;
        }
        let rounds = |plan: &Plan| (plan.algorithm.rounds)(plan.shape.clone());
        let sent = |plan: &Plan| {
            let pieces = plan.algorithm.pieces(&plan.shape).max(1) as f64;
            (plan.algorithm.sent)(plan.shape.clone()) as f64 * self.length as f64 / pieces
        };
        let ratio = |own: f64, other: f64| if own > 0.0 { other / own } else { 1.0 };
        // Those of a pipeline are as short as its chunks.
        let pipeline = own.chunk.is_some() || other.chunk.is_some();
        let longer = ratio(rounds(own) as f64, rounds(other) as f64);
        let longer = if pipeline { 1.0 } else { longer };
        let more = ratio(sent(own), sent(other));
        let (name, own_name) = (other.algorithm.name, own.algorithm.name);
        if longer.max(more) < NOTABLE {
            None
        } else if more >= longer {
            let [sent, own_sent] = [other, own].map(|plan| Bytes::new(sent(plan) as u64));
            Some(format!("; {name} sends up to {sent} a rank where {own_name} sends {own_sent}"))
        } else {
            let [rounds, own_rounds] = [other, own].map(rounds);
            Some(format!("; {name} takes {rounds} rounds where {own_name} takes {own_rounds}"))
        }
    }

    /// What is wanted to be little.
    fn number(&self, plan: &Plan) -> f64 {
        match self.is_money() {
            true => plan.price.money.get(),
            false => plan.price.time.get(),
        }
    }

    fn value(&self, plan: &Plan) -> String {
        match self.is_money() {
            true => plan.price.money.to_string(),
            false => plan.price.time.to_string(),
        }
    }

    fn is_money(&self) -> bool {
        matches!(self.objective, Objective::Cheap | Objective::CheapWithin(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use fmi::plan::{Collective, Demand, Packing};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn verdict(options: &str, collective: Collective, bytes: u64) -> Verdict {
        let words = ["explain"].into_iter().chain(options.split_whitespace());
        let args = Line::try_parse_from(words).unwrap().args;
        let place = Place::new(&args).unwrap().unwrap();
        let question = Question {
            collective,
            demand: Demand::Commutative,
            size: 8,
            bytes: (collective != Collective::Scatter).then_some(bytes),
            cuttable: true,
            together: false,
            crowded: false,
            packing: Packing::None,
            store: place.shelf(),
        };
        let topology = crate::explain::traffic::Stand::new(&args, place.cores()).unwrap();
        place.verdict(question, (0, bytes), topology.topology().clone(), args.objective).unwrap()
    }

    fn because(options: &str, collective: Collective, bytes: u64) -> String {
        let verdict = verdict(options, collective, bytes);
        verdict.because(verdict.chosen().unwrap().algorithm)
    }

    #[test]
    fn the_best_says_what_others_do_more() {
        let small = because("allreduce -n 8 --profile lan", Collective::Allreduce, 8);
        assert!(small.starts_with("recursive_doubling: "), "{small}");
        assert!(small.contains(" less than ") && small.contains(" rounds where "), "{small}");
        let large = because("allreduce -n 8 --profile lan", Collective::Allreduce, 64 << 20);
        assert!(large.contains("recursive_doubling sends up to 192 MiB a rank where "), "{large}");
        let cheap = "allreduce -n 8 --profile lan --objective cheap";
        assert!(because(cheap, Collective::Allreduce, 8).contains(": $"));
    }

    #[test]
    fn what_is_not_the_best_says_so() {
        let verdict = verdict("allreduce -n 8 --profile lan", Collective::Allreduce, 64 << 20);
        let doubling = &fmi::plan::allreduce::recursive_doubling::ALGORITHM;
        let text = verdict.because(doubling);
        let best = verdict.weighed.plans[0].algorithm.name;
        assert!(text.contains(best) && text.contains(" more than "), "{text}");
        let shared = &fmi::plan::allreduce::shared::ALGORITHM;
        assert!(verdict.because(shared).contains("no price"));
    }
}
