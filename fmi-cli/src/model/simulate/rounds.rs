//! Rounds of one call, and what they take and cost.

use super::calls::Call;
use crate::failure::Failure;
use fmi::{
    meter::{Bytes, Dollars, Seconds, Tariff},
    sim::{Report, Requests, Sim, now},
};
use fmi_model::{Profile, channel::Channel};
use serde::Serialize;
use std::time::Duration;

/// What all calls have in common.
pub(super) struct Setting<'a> {
    pub(super) profile: &'a Profile,
    pub(super) channel: &'a str,
    pub(super) tariff: &'a Tariff,
    /// Ranks a process.
    pub(super) pack: usize,
    pub(super) seed: u64,
    /// As asked for.
    pub(super) rounds: Option<usize>,
}

/// What a call takes and costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) op: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) algorithm: Option<String>,
    pub(super) profile: String,
    pub(super) channel: String,
    pub(super) ranks: usize,
    pub(super) pack: usize,
    pub(super) bytes: usize,
    pub(super) rounds: usize,
    pub(super) seed: u64,
    pub(super) median_us: f64,
    pub(super) p95_us: f64,
    /// The longest chain of messages.
    pub(super) hops: u32,
    /// Between processes, and the users' bytes in them.
    pub(super) messages: u64,
    pub(super) message_bytes: u64,
    #[serde(flatten)]
    pub(super) bill: Bill,
}

/// What is paid for it. Times and amounts are of the round with the median time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(super) struct Bill {
    pub(super) memory: Bytes,
    /// Of all processes, each until its last rank has its result.
    pub(super) gib_seconds: f64,
    pub(super) function_dollars: Dollars,
    pub(super) puts: u64,
    pub(super) gets: u64,
    /// Reads in vain.
    pub(super) looks: u64,
    pub(super) request_dollars: Dollars,
    /// The machine of a store, or of the rendezvous, while it lasts.
    pub(super) machine_dollars: Dollars,
    pub(super) dollars: Dollars,
}

/// One of them.
struct Round {
    time: Duration,
    /// Of all processes together.
    busy: Duration,
    hops: u32,
    messages: u64,
    payload: u64,
    requests: Requests,
}

impl Setting<'_> {
    /// How many rounds a call has on so many ranks.
    pub(super) fn rounds_of(&self, ranks: usize) -> usize {
        // As many as take about as long as one of very many ranks.
        let enough = if self.is_sure() { 1 } else { (16_384 / ranks).clamp(1, 20) };
        self.rounds.unwrap_or(enough)
    }

    /// Runs a call as often as it has to; `done` is called after each round.
    pub(super) fn simulate(
        &self,
        call: &Call,
        ranks: usize,
        done: impl Fn(),
    ) -> Result<Row, Failure> {
        let count = self.rounds_of(ranks);
        let mut rounds = Vec::with_capacity(count);
        for number in 0..count as u64 {
            rounds.push(self.round(call, ranks, self.seed.wrapping_add(number))?);
            done();
        }
        rounds.sort_by_key(|round| round.time);
        let slow = &rounds[(count * 19).div_ceil(20) - 1];
        let middle = &rounds[(count - 1) / 2];
        let micros = |time: Duration| (time.as_secs_f64() * 1e9).round() / 1e3;
        Ok(Row {
            op: call.collective.name(),
            algorithm: call.algorithm.map(|algorithm| algorithm.name.to_owned()),
            profile: self.profile.name.clone(),
            channel: self.channel.to_owned(),
            ranks,
            pack: self.pack,
            bytes: call.bytes,
            rounds: count,
            seed: self.seed,
            median_us: micros(middle.time),
            p95_us: micros(slow.time),
            hops: middle.hops,
            messages: middle.messages,
            message_bytes: middle.payload,
            bill: self.bill(middle),
        })
    }

    fn round(&self, call: &Call, ranks: usize, seed: u64) -> Result<Round, Failure> {
        let sim = Sim::new(ranks).pack(self.pack).seed(seed);
        let sim = sim.profile(self.profile, self.channel);
        let Report { ends, time, rounds: hops, messages, payload, requests, .. } =
            sim.run(|comm| {
                let run = call.run(comm);
                async move { run.await.map(|()| now()) }
            });
        let mut times = Vec::with_capacity(ranks);
        for (rank, end) in ends.into_iter().enumerate() {
            let end = end.done().ok_or_else(|| {
                Failure::new(format!("{} does not end on rank {rank} of {ranks}", call.collective))
            })?;
            times.push(end?);
        }
        let processes = times.chunks(self.pack);
        let busy = processes.filter_map(|ranks| ranks.iter().max()).sum();
        Ok(Round { time, busy, hops, messages, payload, requests })
    }

    fn bill(&self, round: &Round) -> Bill {
        let Tariff { prices, memory, .. } = self.tariff;
        let busy = Seconds::from(round.busy);
        let function_dollars = prices.function_second(*memory) * busy;
        let Requests { puts, gets, looks } = round.requests;
        let paid = self.channels().iter().find_map(|channel| channel.requests);
        let request_dollars = paid.map_or(Dollars::ZERO, |paid| {
            prices.request(paid.send) * puts + prices.request(paid.receive) * (gets + looks)
        });
        let mut machines: Vec<_> =
            self.channels().iter().filter_map(|channel| channel.machine.as_deref()).collect();
        machines.dedup();
        let seconds = machines.iter().filter_map(|machine| prices.machine_second(machine));
        let machine_dollars = seconds.map(|second| second * Seconds::from(round.time)).sum();
        Bill {
            memory: *memory,
            gib_seconds: memory.per(Bytes::gib(1)) * busy.get(),
            function_dollars,
            puts,
            gets,
            looks,
            request_dollars,
            machine_dollars,
            dollars: function_dollars + request_dollars + machine_dollars,
        }
    }

    /// What messages take, and what is published.
    fn channels(&self) -> [&Channel; 2] {
        [self.profile.channel(self.channel), self.profile.shelf(self.channel)]
    }

    /// Whether nothing is left to chance.
    fn is_sure(&self) -> bool {
        self.channels().iter().all(|channel| {
            let looks = channel.requests.is_some_and(|requests| requests.look > Seconds::ZERO);
            channel.tail.is_none() && !looks
        })
    }
}
