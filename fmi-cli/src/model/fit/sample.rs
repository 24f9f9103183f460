//! A measurement, and what the model says of it.

use crate::{
    bench::{self, Op, Row},
    model::weigh::length,
};
use fmi::{
    config::ChannelSpec,
    plan::{
        Algorithm, Collective, Packing, Packs, Question, Shape, Table,
        price::{Channels, Market, Model},
    },
};
use fmi_model::{
    Bytes, Profile, Seconds,
    fit::median,
    replay::{Act, Op as Step, Replay},
    topology::{Place, Topology, take_turns},
};
use std::sync::Arc;

/// A measurement, and all that can be said of it without a profile.
#[derive(Debug, Clone)]
pub(in crate::model) struct Sample {
    row: Row,
    what: What,
    topology: Arc<Topology>,
    /// Each time that it was measured.
    times: Vec<Seconds>,
}

#[derive(Debug, Clone)]
enum What {
    Pingpong,
    Call { algorithm: &'static Algorithm, shape: Shape, bytes: Bytes, barrier: &'static Algorithm },
}

/// What is called, by how many ranks, with how many bytes, over what.
pub(in crate::model) type Cell = (String, Op, usize, usize);

impl Sample {
    /// That of a row of `fmi bench`.
    ///
    /// # Errors
    /// Why nothing can be said of it.
    pub(in crate::model) fn new(mut row: Row) -> Result<Self, String> {
        if !(row.median_us.is_finite() && row.median_us > 0.0) {
            return Err(format!("a median of {} µs", row.median_us));
        }
        if !(1..=1 << 14).contains(&row.ranks) || row.threads == 0 {
            return Err(format!("{} ranks on {} threads", row.ranks, row.threads));
        }
        if row.cores == 0 {
            row.cores = bench::cores();
        }
        let topology = topology(&row);
        let packs = Packs::of(topology.places().iter().map(|place| place.process));
        let what = match bench::collective(row.op) {
            None => What::Pingpong,
            Some(collective) => {
                let question = question(collective, &row)?;
                let algorithm = match &row.algorithm {
                    Some(name) => bench::named(collective, name)
                        .ok_or_else(|| format!("{collective} has no algorithm {name:?}"))?,
                    None => Table::default().choose(&question).algorithm,
                };
                let barrier = self::question(Collective::Barrier, &row)?;
                What::Call {
                    algorithm,
                    shape: Shape::of(row.ranks).chunked(question.chunks()).packed(&packs),
                    bytes: Bytes::new(question.bytes.unwrap_or_default()),
                    barrier: Table::default().choose(&barrier).algorithm,
                }
            }
        };
        let times = vec![Seconds::new(row.median_us * 1e-6)];
        Ok(Self { topology: Arc::new(topology), what, times, row })
    }

    /// The channel.
    pub(in crate::model) fn channel(&self) -> &str {
        &self.row.channel
    }

    /// How many ranks there were.
    pub(in crate::model) fn ranks(&self) -> usize {
        self.row.ranks
    }

    /// On so many cores.
    pub(in crate::model) fn cores(&self) -> usize {
        self.row.cores
    }

    /// The plan that ran; none for messages. Of plans that are the same among so few ranks, whatever they are called, the
    /// first: what differs between their measurements is chance.
    pub(in crate::model) fn plan(&self) -> Option<&'static str> {
        match &self.what {
            What::Pingpong => None,
            What::Call { algorithm, shape, .. } => alike(algorithm, shape).next().map(|it| it.name),
        }
    }

    /// All plans that are the one that ran, by whatever names.
    pub(in crate::model) fn plans(&self) -> Vec<&'static Algorithm> {
        match &self.what {
            What::Pingpong => Vec::new(),
            What::Call { algorithm, shape, .. } => alike(algorithm, shape).collect(),
        }
    }

    /// What is the same for all plans that could have run.
    pub(in crate::model) fn cell(&self) -> Cell {
        (self.row.channel.clone(), self.row.op, self.row.ranks, self.row.bytes)
    }

    /// What was measured; of several times the median.
    pub(in crate::model) fn time(&self) -> Seconds {
        median(self.times.iter().map(|time| time.get())).into()
    }

    /// Each time that it was measured.
    pub(in crate::model) fn times(&self) -> &[Seconds] {
        &self.times
    }

    /// It was measured again.
    pub(in crate::model) fn again(&mut self, other: &Self) {
        self.times.extend_from_slice(&other.times);
    }

    /// What would have been measured, as the model has it.
    pub(in crate::model) fn predicted(&self, market: &Arc<Market>) -> Seconds {
        let model = self.model(market);
        match &self.what {
            What::Pingpong => pingpong(self.row.bytes, &model),
            What::Call { algorithm, shape, bytes, barrier } => {
                algorithm.repeated(shape.clone(), *bytes, barrier, &model)
            }
        }
    }

    /// By what the plan is chosen, or not.
    pub(in crate::model) fn price(&self, market: &Arc<Market>) -> Seconds {
        match &self.what {
            What::Pingpong => self.predicted(market),
            What::Call { algorithm, shape, bytes, .. } => {
                algorithm.price(shape.clone(), *bytes, &self.model(market)).time
            }
        }
    }

    /// Its ranks' places on these channels.
    pub(in crate::model) fn model(&self, market: &Arc<Market>) -> Model {
        Model::new(Arc::clone(market), Arc::clone(&self.topology))
    }
}

/// One channel everywhere.
pub(in crate::model) fn market(profile: &Profile, channel: &str) -> Arc<Market> {
    Arc::new(Market::of(profile.clone()).over(Channels::only(channel)))
}

/// The algorithms of the same collective whose ranks do the same, in order.
fn alike(algorithm: &'static Algorithm, shape: &Shape) -> impl Iterator<Item = &'static Algorithm> {
    /// With more ranks no two are alike.
    const MOST: usize = 4;
    let is_alike = move |other: &&'static Algorithm| {
        *other == algorithm
            || shape.size <= MOST
                && other.pieces(shape) == algorithm.pieces(shape)
                && (0..shape.size).all(|rank| {
                    let steps = |of: &Algorithm| (of.steps)(rank, shape.clone());
                    Iterator::eq(steps(other), steps(algorithm))
                })
    };
    algorithm.collective.algorithms().iter().copied().filter(is_alike)
}

/// What the ranks of the benchmark asked.
fn question(collective: Collective, row: &Row) -> Result<Question, String> {
    let channel: ChannelSpec = match row.channel.as_str() {
        "redis" => "redis://somewhere".parse(),
        "s3" => "s3://somewhere/".parse(),
        name => name.parse(),
    }
    .map_err(|error: fmi::Error| error.to_string())?;
    let bytes = length(collective, row.bytes as u64, row.ranks);
    let packing = match row.packs {
        Some(2..) => Packing::Contiguous,
        _ => Packing::None,
    };
    let question = bench::question(collective, row.ranks, &channel);
    let together = question.together || row.packs == Some(1);
    let crowded = match together {
        true => take_turns(row.ranks, row.threads),
        false => row.cores > 0 && row.packs.unwrap_or(row.ranks) > row.cores,
    };
    Ok(Question { bytes: Some(bytes), packing, together, crowded, ..question })
}

/// The process of a rank: each has one of its own, or they share some in contiguous ranges.
fn pack(row: &Row, rank: usize) -> usize {
    match row.packs {
        // Process k begins with rank ⌊k·n/p⌋.
        Some(packs) => ((rank + 1) * packs - 1) / row.ranks,
        None => rank,
    }
}

/// Where the ranks of a benchmark are.
fn topology(row: &Row) -> Topology {
    let local = row.channel == Profile::LOCAL;
    let place = |rank: usize| {
        // Ranks of a process are on its threads in runs.
        let core = if local { rank * row.threads / row.ranks } else { rank };
        let process = if local { 0 } else { pack(row, rank) };
        Place { process: process as u32, machine: 0, core: (core % row.cores) as u32 }
    };
    Topology::new((0..row.ranks).map(place).collect())
}

/// Half the round trip between ranks 0 and 1, when they have done it before.
fn pingpong(bytes: usize, model: &Model) -> Seconds {
    let end = |rounds: usize| {
        let steps = |rank: usize| {
            let acts = match rank {
                0 => vec![Act::Send { to: 1 }, Act::Recv { from: 1 }],
                1 => vec![Act::Recv { from: 0 }, Act::Send { to: 0 }],
                _ => Vec::new(),
            };
            let count = acts.len() * rounds;
            let step = move |act| Step::new(act, Bytes::new(bytes as u64));
            acts.into_iter().cycle().take(count).map(step)
        };
        let outcome = Replay::new(&model.topology, model.market.wires()).run(steps);
        outcome.map_or(Seconds::ZERO, |outcome| outcome.end())
    };
    (end(4) - end(2)) / 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Row {
        serde_json::from_str(text).unwrap()
    }

    const LINE: &str = r#"{"op":"allreduce","algorithm":"ring","channel":"tcp","layout":"processes","ranks":4,"threads":1,"cores":2,"bytes":1024,"iters":10,"median_us":100.0,"p99_us":120.0,"mb_per_s":1.0}"#;

    #[test]
    fn a_row_of_a_benchmark_can_be_predicted() {
        let market = market(&Profile::shipped("loopback").unwrap(), "tcp");
        let sample = Sample::new(row(LINE)).unwrap();
        assert_eq!((sample.plan(), sample.cores()), (Some("ring"), 2));
        let more = Sample::new(row(&LINE.replace("1024", "1048576"))).unwrap();
        assert!(more.predicted(&market) > sample.predicted(&market));
        assert!(more.price(&market) > sample.price(&market));
        // Nobody said which plan: the library's, where four ranks share two cores.
        let free = Sample::new(row(&LINE.replace(r#""algorithm":"ring","#, ""))).unwrap();
        assert_eq!(free.plan(), Some("star"));
        let pingpong = LINE.replace("allreduce", "pingpong");
        let pingpong = Sample::new(row(&pingpong)).unwrap();
        assert!(pingpong.plan().is_none() && pingpong.predicted(&market) > Seconds::ZERO);
        // One message from the root to the other.
        let two = LINE.replace("allreduce", "bcast").replace(r#""ranks":4"#, r#""ranks":2"#);
        let plans = ["chain", "binomial", "scatter_allgather"]
            .map(|name| Sample::new(row(&two.replace("ring", name))).unwrap().plan());
        assert_eq!(plans[0], plans[1]);
        assert_ne!(plans[0], plans[2]);
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for (from, to, why) in [
            (r#""ranks":4"#, r#""ranks":0"#, "0 ranks"),
            ("100.0", "0.0", "a median of 0 µs"),
            ("ring", "rong", "allreduce has no algorithm \"rong\""),
            ("\"tcp\"", "\"pigeon\"", "pigeon"),
        ] {
            let error = Sample::new(row(&LINE.replace(from, to))).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
