//! One run of a plan on symbols.

use super::terms::{Term, Terms};
use super::{CheckError, Contract, Report, heard::Heard};
use crate::plan::{Side, Step};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::ops::Range;

/// All ranks and what is on the way between them.
#[derive(Debug)]
pub(super) struct Simulation<I> {
    contract: Contract,
    ranks: Vec<Rank<I>>,
    /// Messages on the way, by (sender, receiver).
    links: FxHashMap<(usize, usize), VecDeque<Message>>,
    /// How many messages a link holds before its sender waits.
    outbox: usize,
    messages: usize,
    terms: Terms,
}

#[derive(Debug)]
struct Rank<I> {
    rank: usize,
    steps: I,
    /// The step it waits in.
    waiting: Option<Step>,
    steps_begun: usize,
    blocks: FxHashMap<usize, Term>,
    heard: Heard,
    /// The rounds of the last message out and the last message in.
    round_out: usize,
    round_in: usize,
    blocks_out: usize,
    blocks_in: usize,
}

#[derive(Debug)]
struct Message {
    blocks: Vec<Term>,
    heard: Heard,
    round: usize,
}

/// A plan with more steps than this on one rank counts as endless.
const STEPS_MAX: usize = 1 << 20;

impl<I: Iterator<Item = Step>> Simulation<I> {
    /// All ranks before their first step.
    pub(super) fn new(contract: Contract, plans: impl ExactSizeIterator<Item = I>) -> Self {
        let size = plans.len();
        let terms = Terms::new(size);
        let given = |rank| contract.given(rank, size).into_iter();
        let rank = |(rank, steps)| Rank {
            rank,
            steps,
            waiting: None,
            steps_begun: 0,
            blocks: given(rank).map(|(block, input)| (block, terms.input(input))).collect(),
            heard: Heard::only(rank, size),
            round_out: 0,
            round_in: 0,
            blocks_out: 0,
            blocks_in: 0,
        };
        let ranks = plans.enumerate().map(rank).collect();
        Self { contract, ranks, links: FxHashMap::default(), outbox: 1, messages: 0, terms }
    }

    /// Runs all ranks to their ends and looks at what they have then.
    pub(super) fn run(mut self) -> Result<Report, CheckError> {
        let mut ready: Vec<usize> = (0..self.ranks.len()).collect();
        while !ready.is_empty() {
            while let Some(rank) = ready.pop() {
                self.advance(rank, &mut ready)?;
            }
            // All have finished or wait. Those that wait to send need larger outboxes.
            let sends = |rank: &&Rank<I>| matches!(rank.waiting, Some(Step::Send { .. }));
            ready.extend(self.ranks.iter().filter(sends).map(|rank| rank.rank));
            self.outbox += usize::from(!ready.is_empty());
        }
        self.check_ended()?;
        self.check_results()?;
        Ok(self.report())
    }

    /// Runs one rank until it finishes or waits. Adds to `ready` whom it frees from waiting.
    fn advance(&mut self, rank: usize, ready: &mut Vec<usize>) -> Result<(), CheckError> {
        while let Some(step) = self.ranks[rank].next_step()? {
            self.check_step(rank, &step)?;
            if !self.execute(rank, &step)? {
                self.ranks[rank].waiting = Some(step);
                return Ok(());
            }
            let peer = peer(&step);
            if self.ranks[peer].waiting.as_ref().is_some_and(|step| self::peer(step) == rank) {
                ready.push(peer);
            }
        }
        Ok(())
    }

    /// Does one step, or says that the rank has to wait.
    fn execute(&mut self, rank: usize, step: &Step) -> Result<bool, CheckError> {
        match *step {
            Step::Send { to, ref blocks } => self.send(rank, to, blocks.clone()),
            Step::Recv { from, ref blocks } => {
                let Some(received) = self.receive(from, rank, blocks.len())? else {
                    return Ok(false);
                };
                self.ranks[rank].blocks.extend(blocks.clone().zip(received));
                Ok(true)
            }
            Step::Combine { from, block, side } => {
                let Some(received) = self.receive(from, rank, 1)? else { return Ok(false) };
                let here = self.ranks[rank].read(block)?;
                let result = match side {
                    Side::Left => self.terms.combine(received[0], here),
                    Side::Right => self.terms.combine(here, received[0]),
                };
                self.ranks[rank].blocks.insert(block, result);
                Ok(true)
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, blocks: Range<usize>) -> Result<bool, CheckError> {
        let link = self.links.entry((from, to)).or_default();
        if link.len() == self.outbox {
            return Ok(false);
        }
        let sender = &mut self.ranks[from];
        let blocks: Vec<Term> = blocks.map(|block| sender.read(block)).collect::<Result<_, _>>()?;
        sender.round_out = sender.round_out.max(sender.round_in) + 1;
        sender.blocks_out += blocks.len();
        link.push_back(Message { blocks, heard: sender.heard.clone(), round: sender.round_out });
        self.messages += 1;
        Ok(true)
    }

    fn receive(
        &mut self,
        from: usize,
        to: usize,
        expected: usize,
    ) -> Result<Option<Vec<Term>>, CheckError> {
        let link = self.links.get_mut(&(from, to));
        let Some(message) = link.and_then(VecDeque::pop_front) else { return Ok(None) };
        let sent = message.blocks.len();
        if sent != expected {
            return Err(CheckError::Length { from, to, sent, expected });
        }
        let receiver = &mut self.ranks[to];
        receiver.round_in = message.round.max(receiver.round_in + 1);
        receiver.blocks_in += sent;
        receiver.heard.extend(&message.heard);
        Ok(Some(message.blocks))
    }

    /// Fails if a step makes no sense, whatever the other ranks do.
    fn check_step(&self, rank: usize, step: &Step) -> Result<(), CheckError> {
        let peer = peer(step);
        if peer == rank || peer >= self.ranks.len() {
            return Err(CheckError::BadPeer { rank, peer });
        }
        let blocks = match *step {
            Step::Send { ref blocks, .. } | Step::Recv { ref blocks, .. } => blocks.clone(),
            Step::Combine { block, .. } => block..block.saturating_add(1),
        };
        let available = self.contract.blocks(self.ranks.len());
        if blocks.start > blocks.end || blocks.end > available {
            return Err(CheckError::BadBlocks { rank, blocks, available });
        }
        Ok(())
    }

    /// Fails if a rank still waits, or a message is still on the way.
    fn check_ended(&self) -> Result<(), CheckError> {
        let awaited = |rank: usize| self.ranks[rank].waiting.as_ref().map(peer);
        if let Some(first) = (0..self.ranks.len()).find(|&rank| awaited(rank).is_some()) {
            // Who waits for whom leads from there to a rank that has finished, or into a cycle.
            let mut path = vec![first];
            let mut rank = first;
            while let Some(from) = awaited(rank) {
                if awaited(from).is_none() {
                    return Err(CheckError::UnmatchedRecv { rank, from });
                }
                if let Some(start) = path.iter().position(|&earlier| earlier == from) {
                    return Err(CheckError::Deadlock { cycle: lowest_first(&path[start..]) });
                }
                path.push(from);
                rank = from;
            }
        }
        let left = self.links.iter().filter(|(_, messages)| !messages.is_empty());
        match left.min_by_key(|(pair, _)| **pair) {
            Some((&(from, to), messages)) => {
                Err(CheckError::UnmatchedSend { from, to, messages: messages.len() })
            }
            None => Ok(()),
        }
    }

    /// Fails if a rank has something else than the contract says.
    fn check_results(&self) -> Result<(), CheckError> {
        let (size, demand) = (self.ranks.len(), self.contract.demand());
        for Rank { rank, blocks, heard, .. } in &self.ranks {
            let rank = *rank;
            for (block, inputs) in self.contract.wanted(rank, size) {
                let term = blocks.get(&block);
                if !term.is_some_and(|term| self.terms.is(*term, &inputs, demand)) {
                    let found = self.text(term);
                    return Err(CheckError::WrongResult { rank, block, inputs, demand, found });
                }
            }
            if let (Contract::Barrier, Some(other)) = (self.contract, heard.missing(size)) {
                return Err(CheckError::LeavesEarly { rank, other });
            }
            let first = &self.ranks[0].blocks;
            if matches!(self.contract, Contract::Allreduce { .. }) && blocks != first {
                return Err(CheckError::DifferentBits {
                    rank,
                    found: self.text(blocks.get(&0)),
                    rank_0: self.text(first.get(&0)),
                });
            }
        }
        Ok(())
    }

    fn text(&self, term: Option<&Term>) -> String {
        term.map_or_else(|| "nothing".to_owned(), |term| self.terms.text(*term))
    }

    fn report(&self) -> Report {
        let most = |count: fn(&Rank<I>) -> usize| self.ranks.iter().map(count).max().unwrap_or(0);
        Report {
            rounds: most(|rank| rank.round_in),
            messages: self.messages,
            blocks: self.ranks.iter().map(|rank| rank.blocks_out).sum(),
            most_sent: most(|rank| rank.blocks_out),
            most_received: most(|rank| rank.blocks_in),
            outbox: self.outbox,
        }
    }
}

impl<I: Iterator<Item = Step>> Rank<I> {
    /// The step it waits in, or else the next one of its plan.
    fn next_step(&mut self) -> Result<Option<Step>, CheckError> {
        if let Some(step) = self.waiting.take() {
            return Ok(Some(step));
        }
        if self.steps_begun == STEPS_MAX {
            return Err(CheckError::Endless { rank: self.rank, steps: STEPS_MAX });
        }
        self.steps_begun += 1;
        Ok(self.steps.next())
    }

    fn read(&self, block: usize) -> Result<Term, CheckError> {
        let value = self.blocks.get(&block).copied();
        value.ok_or(CheckError::EmptyBlock { rank: self.rank, block })
    }
}

fn peer(step: &Step) -> usize {
    match *step {
        Step::Send { to, .. } => to,
        Step::Recv { from, .. } | Step::Combine { from, .. } => from,
    }
}

fn lowest_first(cycle: &[usize]) -> Vec<usize> {
    let lowest = (0..cycle.len()).min_by_key(|&i| cycle[i]).unwrap_or(0);
    [&cycle[lowest..], &cycle[..lowest]].concat()
}
