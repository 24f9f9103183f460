//! What predictions have in common: the profile, where ranks are, what is paid and what is wanted.

use super::{
    call::Call,
    exchange, source,
    way::Way,
    weigh::{Weighed, is_known, length},
};
use crate::{explain::OpKind, failure::Failure, units};
use fmi::{
    Config,
    meter::Tariff,
    plan::{
        Packing, Question,
        price::{Market, Model},
    },
};
use fmi_model::{
    Bytes, Costs, Dollars, DollarsPerSecond, Estimate, Objective, Profile, Rate,
    prices::Prices,
    topology::{Distance, Topology},
};

/// What is assumed of channels, and who pays.
#[derive(Debug, clap::Args)]
pub(super) struct Assumed {
    /// A profile that comes with this program, or a file.
    #[arg(long, value_name = "NAME|FILE", default_value = "aws-lambda")]
    profile: String,

    /// Memory of each process. [default: that of FMI_MEMORY or AWS Lambda, else 1 GiB]
    #[arg(long, value_name = "B", value_parser = units::bytes)]
    memory: Option<usize>,
}

/// Where ranks are, and what is wanted.
#[derive(Debug, clap::Args)]
pub(super) struct Wanted {
    #[command(flatten)]
    assumed: Assumed,

    /// Ranks a process; inside one they reach each other at once.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pack: u32,

    /// All ranks are on one machine with so many cores. [default: as the profile says, else a machine for
    /// each process]
    #[arg(long, value_name = "CORES", value_parser = clap::value_parser!(u32).range(1..))]
    machine: Option<u32>,

    /// What is wanted: fast, cheap, "fast within $0.001", "cheap within 20 ms".
    #[arg(long, value_name = "WHAT", default_value = "fast")]
    objective: Objective,

    /// How often an hour it happens: machines that run all the time are shared by all of these. [default: they
    /// are paid while it lasts]
    #[arg(long, value_name = "PER_HOUR", value_parser = often)]
    often: Option<Rate>,

    /// What the reduce operation allows.
    #[arg(long, value_enum, value_name = "KIND", default_value = "commutative")]
    op_kind: OpKind,

    /// Values are serialised, and so cannot be cut. [default: vectors of numbers]
    #[arg(long)]
    opaque: bool,

    /// The root, of bcast, gather, scatter and reduce.
    #[arg(long, value_name = "RANK", default_value_t = 0)]
    root: u32,
}

/// As it was asked for.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) profile: Profile,
    pub(super) tariff: Tariff,
    pub(super) objective: Objective,
    pub(super) pack: usize,
    often: Option<Rate>,
    machine: Option<usize>,
    op_kind: OpKind,
    opaque: bool,
    root: usize,
}

/// A way to do it, and what that takes and costs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    /// The channels, and the plan.
    pub(super) way: String,
    pub(super) plan: String,
    pub(super) price: Estimate,
    how: How,
}

/// All ways to do it over some channels.
#[derive(Debug, Clone)]
pub(super) struct Candidates {
    /// The best first.
    pub(super) all: Vec<Candidate>,
    /// What the library takes.
    pub(super) chosen: usize,
    /// What cannot run, and why.
    pub(super) refused: Vec<(&'static str, String)>,
}

/// What is paid for what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Split {
    pub(super) functions: Dollars,
    pub(super) requests: Dollars,
    pub(super) machines: Dollars,
}

#[derive(Debug, Clone, PartialEq)]
enum How {
    Plan(super::weigh::Plan),
    /// To so many others, over the channel of this name.
    Exchange {
        channel: String,
        readers: usize,
    },
}

impl Assumed {
    /// What is paid.
    pub(super) fn tariff(&self) -> Result<Tariff, Failure> {
        let mut tariff = Config::from_env()?.money.tariff()?;
        if let Some(memory) = self.memory {
            if memory == 0 {
                return Err(Failure::usage("--memory 0: nothing runs without any"));
            }
            tariff.memory = Bytes::new(memory as u64);
        }
        Ok(tariff)
    }

    /// The profile, as it is with the memory that is paid.
    pub(super) fn profile(&self, tariff: &Tariff) -> Result<Profile, Failure> {
        Ok(source::profile(&self.profile)?.in_memory(tariff.memory))
    }
}

impl Wanted {
    pub(super) fn setting(&self) -> Result<Setting, Failure> {
        let tariff = self.assumed.tariff()?;
        let profile = self.assumed.profile(&tariff)?;
        let cores = self.machine.map(|cores| cores as usize);
        Ok(Setting {
            machine: cores.or((profile.host.cores > 0).then_some(profile.host.cores)),
            profile,
            tariff,
            objective: self.objective,
            pack: self.pack as usize,
            often: self.often,
            op_kind: self.op_kind,
            opaque: self.opaque,
            root: self.root as usize,
        })
    }
}

impl Setting {
    /// Refuses what makes no sense on so many ranks.
    pub(super) fn check(&self, call: Call, ranks: usize) -> Result<(), Failure> {
        let (pack, root) = (self.pack, self.root);
        if pack > ranks {
            return Err(Failure::usage(format!(
                "--pack {pack}: a process cannot have {pack} of {ranks} ranks"
            )));
        }
        match call {
            Call::PingPong if ranks != 2 => {
                return Err(Failure::usage(format!("pingpong is of 2 ranks, not of {ranks}")));
            }
            Call::FanOut if ranks < 2 => {
                return Err(Failure::usage(
                    "fanout: there is nobody to send to: give -n 2 or more",
                ));
            }
            Call::Collective(collective) if root > 0 && !collective.is_rooted() => {
                return Err(Failure::usage(format!("--root {root}: {collective} has no root")));
            }
            _ if root >= ranks => {
                return Err(Failure::usage(format!(
                    "--root {root} is not one of the {ranks} ranks: give 0 to {}",
                    ranks - 1
                )));
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the ranks are.
    pub(super) fn topology(&self, ranks: usize) -> Topology {
        match self.machine {
            Some(cores) => Topology::machine(ranks, self.pack, cores),
            None => Topology::packs(ranks, self.pack),
        }
    }

    /// The ways that there are, where none was asked for.
    pub(super) fn ways(&self, ranks: usize) -> Vec<Way> {
        match self.is_together(ranks) {
            true => vec![Way::local()],
            false => Way::all(&self.profile, self.machine.is_some()),
        }
    }

    /// Whether all ranks live in one process.
    pub(super) fn is_together(&self, ranks: usize) -> bool {
        ranks <= self.pack
    }

    /// How several processes stand that have several ranks.
    fn packing(&self, ranks: usize) -> Packing {
        match self.pack > 1 && !self.is_together(ranks) {
            true => Packing::Contiguous,
            false => Packing::None,
        }
    }

    /// All that could be done there.
    pub(super) fn candidates(&self, call: Call, ranks: usize, bytes: u64, way: &Way) -> Candidates {
        match call {
            Call::Collective(collective) => {
                let length = length(collective, bytes, ranks);
                let known = !self.opaque && is_known(collective);
                let question = Question {
                    collective,
                    demand: self.op_kind.into(),
                    size: ranks,
                    bytes: known.then_some(length),
                    cuttable: !self.opaque && call.has_bytes(),
                    together: self.is_together(ranks),
                    crowded: self.topology(ranks).is_crowded(),
                    packing: self.packing(ranks),
                    store: way.shelf(),
                };
                let model = self.model(ranks, way, self.costs());
                let weighed = Weighed::new(question, (self.root, length), &model, self.objective);
                let Weighed { plans, chosen, refused } = weighed;
                let candidate = |plan: super::weigh::Plan| Candidate {
                    way: way.name(),
                    plan: plan.name(),
                    price: plan.price,
                    how: How::Plan(plan),
                };
                let refused =
                    refused.into_iter().map(|(algorithm, why)| (algorithm.name, why.to_string()));
                Candidates {
                    all: plans.into_iter().map(candidate).collect(),
                    chosen,
                    refused: refused.collect(),
                }
            }
            Call::PingPong | Call::FanOut => {
                let channels = way.channels();
                let topology = self.topology(ranks);
                let local = topology.farthest() == Distance::Process;
                let mut names = vec![if local { Profile::LOCAL } else { &channels.network }];
                if call == Call::FanOut && channels.store != channels.network {
                    names.push(&channels.store);
                }
                let mut all: Vec<_> = names
                    .into_iter()
                    .map(|name| {
                        let how = How::Exchange { channel: name.to_owned(), readers: ranks - 1 };
                        let price = self.price(&how, bytes, ranks, way, self.costs());
                        let plan = match self.profile.channel(name).is_link() {
                            true if call == Call::FanOut => "one by one",
                            true => "message",
                            false => "stored",
                        };
                        Candidate { way: way.name(), plan: plan.to_owned(), price, how }
                    })
                    .collect();
                all.sort_by(|one, other| self.objective.compare(&one.price, &other.price));
                Candidates { all, chosen: 0, refused: Vec::new() }
            }
        }
    }

    /// What is paid for what.
    pub(super) fn split(
        &self,
        (call, ranks, bytes): (Call, usize, u64),
        way: &Way,
        candidate: &Candidate,
    ) -> Split {
        let bytes = match call {
            Call::Collective(collective) => length(collective, bytes, ranks),
            _ => bytes,
        };
        // The sum is linear in all prices: each part is the sum where the others cost nothing.
        let Costs { prices, process, often } = self.costs();
        let no_store = |prices: Prices| Prices { store: free(&prices), ..prices };
        let no_machines = |prices: Prices| Prices { hourly: Default::default(), ..prices };
        let part = |prices, process| {
            self.price(&candidate.how, bytes, ranks, way, Costs { prices, process, often }).money
        };
        Split {
            functions: part(no_machines(no_store(prices.clone())), process),
            requests: part(no_machines(prices.clone()), DollarsPerSecond::ZERO),
            machines: part(no_store(prices), DollarsPerSecond::ZERO),
        }
    }

    /// `64 ranks`, `64 ranks, 16 a process`, `8 ranks on one machine of 2 cores`, and who pays.
    pub(super) fn head(&self) -> String {
        let mut text = format!("profile {}", self.profile.name);
        match self.pack {
            1 => text += ", a process each",
            pack => text += &format!(", {pack} ranks a process"),
        }
        text += &format!(" of {}", self.tariff.memory);
        if let Some(cores) = self.machine {
            text += &format!(", on one machine of {}", units::count(cores, "core"));
        }
        if let Some(often) = self.often {
            text += &format!(", {} an hour", round(often.get() * 3600.0));
        }
        let Prices { provider, region, date, .. } = &self.tariff.prices;
        text + &format!(" ({provider}, {region}, {date})")
    }

    fn costs(&self) -> Costs {
        let Tariff { prices, memory, .. } = &self.tariff;
        let process = prices.function_second(*memory);
        Costs { prices: prices.clone(), process, often: self.often }
    }

    fn model(&self, ranks: usize, way: &Way, costs: Costs) -> Model {
        let market = Market::of(self.profile.clone()).over(way.channels()).costing(costs);
        Model::new(market, self.topology(ranks))
    }

    fn price(&self, how: &How, bytes: u64, ranks: usize, way: &Way, costs: Costs) -> Estimate {
        let bytes = Bytes::new(bytes);
        match how {
            How::Plan(plan) => {
                plan.algorithm.price(plan.shape.clone(), bytes, &self.model(ranks, way, costs))
            }
            How::Exchange { channel, readers } => {
                exchange::price(self.profile.channel(channel), bytes, *readers, &costs)
            }
        }
    }
}

impl Candidate {
    /// The plan without the length of its chunks.
    pub(super) fn kind(&self) -> &str {
        self.algorithm().unwrap_or(&self.plan)
    }

    /// The algorithm, if it is a collective's.
    pub(super) fn algorithm(&self) -> Option<&'static str> {
        match &self.how {
            How::Plan(plan) => Some(plan.algorithm.name),
            How::Exchange { .. } => None,
        }
    }
}

fn free(prices: &Prices) -> fmi_model::prices::Store {
    let none = Dollars::ZERO;
    fmi_model::prices::Store {
        put: none,
        get: none,
        list: none,
        delete: none,
        gib_moved: none,
        ..prices.store.clone()
    }
}

fn often(text: &str) -> Result<Rate, String> {
    let number = text.trim().parse().ok().filter(|often: &f64| often.is_finite() && *often > 0.0);
    let number =
        number.ok_or_else(|| format!("{text:?} is not how often: write a number above 0"))?;
    Ok(Rate::new(number / 3600.0))
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
