//! One run of a plan on symbols.

use super::terms::{Term, Terms};
use super::{At, CheckError, Contract, Report, heard::Heard, log::Log, shelf::Shelf};
use crate::plan::{Action, Blocks, Collective, Packs, Side, Step, Tier};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::hash_map::Entry;

/// All ranks and what is on the way between them.
#[derive(Debug)]
pub(super) struct Simulation<'e, I> {
    contract: Contract,
    ranks: Vec<Rank<I>>,
    /// Messages on the way, by (sender, receiver); no empty ones.
    links: FxHashMap<(u32, u32), SmallVec<[Message; 1]>>,
    shelf: Shelf,
    /// How many messages a link holds before its sender waits.
    outbox: usize,
    messages: usize,
    remote: usize,
    /// If the plan is to know of packs.
    packs: Option<&'e Packs>,
    terms: Terms,
    log: Log<'e>,
}

/// Blocks on the way, and who is known to have entered when they left. Barriers only: for others
/// nothing is heard.
#[derive(Debug, Clone, Default)]
pub(super) struct Message {
    pub(super) blocks: SmallVec<[Term; 2]>,
    pub(super) heard: Heard,
    pub(super) round: usize,
    /// The step that sends it.
    pub(super) step: usize,
}

#[derive(Debug)]
struct Rank<I> {
    rank: usize,
    steps: I,
    /// The step it waits in.
    waiting: Option<Step>,
    steps_begun: usize,
    blocks: Vec<Option<Term>>,
    heard: Heard,
    /// The rounds of the last message out and the last message in.
    round_out: usize,
    round_in: usize,
    blocks_out: usize,
    blocks_in: usize,
    puts: usize,
    gets: usize,
}

/// A plan with more steps than this on one rank counts as endless.
const STEPS_MAX: usize = 1 << 20;

impl<'e, I: Iterator<Item = Step>> Simulation<'e, I> {
    /// All ranks before their first step. What they do goes to the log.
    pub(super) fn new(
        contract: Contract,
        packs: Option<&'e Packs>,
        plans: impl Iterator<Item = I>,
        log: Log<'e>,
    ) -> Self {
        let terms = Terms::new(contract.size, contract.parts());
        let rank = |(rank, steps)| {
            let mut blocks = vec![None; contract.blocks()];
            for (block, input) in contract.given(rank) {
                blocks[block] = Some(terms.input(input));
            }
            let heard = match contract.collective {
                Collective::Barrier => Heard::only(rank, contract.size),
                _ => Heard::default(),
            };
            let [steps_begun, round_out, round_in, blocks_out, blocks_in, puts, gets] = [0; 7];
            Rank {
                rank,
                steps,
                waiting: None,
                steps_begun,
                blocks,
                heard,
                round_out,
                round_in,
                blocks_out,
                blocks_in,
                puts,
                gets,
            }
        };
        let ranks = plans.enumerate().map(rank).collect();
        let (links, shelf) = Default::default();
        let [outbox, messages, remote] = [1, 0, 0];
        Self { contract, ranks, links, shelf, outbox, messages, remote, packs, terms, log }
    }

    /// Runs all ranks to their ends and looks at what they have then.
    pub(super) fn run(mut self) -> Result<Report, CheckError> {
        let mut ready: Vec<usize> = (0..self.ranks.len()).collect();
        while !ready.is_empty() {
            while let Some(rank) = ready.pop() {
                self.advance(rank, &mut ready)?;
            }
            // All have finished or wait. Those that wait to send need larger outboxes.
            ready.extend(self.ranks.iter().filter(|rank| rank.waits_to_send()).map(|r| r.rank));
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
                if let Action::Fetch { from, .. } | Action::CombineShared { from, .. } = step.action
                {
                    self.shelf.wait(from, rank);
                }
                self.ranks[rank].waiting = Some(step);
                return Ok(());
            }
            match step.action {
                Action::Publish { .. } => ready.extend(self.shelf.awoken(rank)),
                Action::Fetch { .. } | Action::CombineShared { .. } => {}
                _ => ready
                    .extend(step.peer().filter(|&peer| self.ranks[peer].waits_for_messages(rank))),
            }
        }
        Ok(())
    }

    /// Does one step, or says that the rank has to wait.
    fn execute(&mut self, rank: usize, step: &Step) -> Result<bool, CheckError> {
        match &step.action {
            Action::Send { to, blocks } => {
                let link = self.links.entry((rank as u32, *to as u32)).or_default();
                if link.len() == self.outbox {
                    return Ok(false);
                }
                let message = self.ranks[rank].outgoing(step, blocks)?;
                self.log.left(rank, message.step, step, message.round);
                link.push(message);
                self.messages += 1;
                self.remote += usize::from(!self.share_pack(rank, *to));
            }
            Action::Recv { from, blocks } => {
                let Some(message) = self.take(*from, rank) else { return Ok(false) };
                self.incoming(rank, step, blocks, &message)?;
            }
            Action::Combine { from, blocks, side } => {
                let Some(message) = self.take(*from, rank) else { return Ok(false) };
                self.combine(rank, step, blocks, *side, &message)?;
            }
            Action::Copy { from, to } => {
                let here = &mut self.ranks[rank];
                here.copy(step, from, to)?;
                self.log.copied(rank, step, here.round_in.max(here.round_out));
            }
            Action::Publish { blocks, readers } => {
                let here = &mut self.ranks[rank];
                let message = here.outgoing(step, blocks)?;
                here.puts += usize::from(*readers > 0);
                self.log.left(rank, message.step, step, message.round);
                if let Err(block) = self.shelf.put(rank, blocks, *readers, message) {
                    return Err(CheckError::PublishedTwice { at: here.at(step), block });
                }
            }
            Action::Fetch { from, blocks } => {
                let Some(message) = self.fetch(*from, rank, step, blocks)? else {
                    return Ok(false);
                };
                self.incoming(rank, step, blocks, &message)?;
            }
            Action::CombineShared { from, blocks, side } => {
                let Some(message) = self.fetch(*from, rank, step, blocks)? else {
                    return Ok(false);
                };
                self.combine(rank, step, blocks, *side, &message)?;
            }
        }
        Ok(true)
    }

    /// The next message of a link.
    fn take(&mut self, from: usize, to: usize) -> Option<Message> {
        let Entry::Occupied(mut link) = self.links.entry((from as u32, to as u32)) else {
            return None;
        };
        let message = link.get_mut().remove(0);
        if link.get().is_empty() {
            link.remove();
        }
        Some(message)
    }

    fn fetch(
        &mut self,
        from: usize,
        to: usize,
        step: &Step,
        blocks: &Blocks,
    ) -> Result<Option<Message>, CheckError> {
        let fetched = self.shelf.fetch(from, blocks).map_err(|(block, readers)| {
            CheckError::FetchedTooOften { at: self.ranks[to].at(step), block, readers }
        })?;
        if fetched.is_some() {
            self.ranks[to].gets += blocks.len().max(1);
        }
        Ok(fetched)
    }

    fn incoming(
        &mut self,
        rank: usize,
        step: &Step,
        blocks: &Blocks,
        message: &Message,
    ) -> Result<(), CheckError> {
        let receiver = &mut self.ranks[rank];
        receiver.count(step, blocks, message)?;
        self.log.arrived(rank, step, message, receiver.round_in);
        for (block, &term) in blocks.iter().zip(&message.blocks) {
            receiver.blocks[block] = Some(term);
        }
        Ok(())
    }

    fn combine(
        &mut self,
        rank: usize,
        step: &Step,
        blocks: &Blocks,
        side: Side,
        message: &Message,
    ) -> Result<(), CheckError> {
        let receiver = &mut self.ranks[rank];
        receiver.count(step, blocks, message)?;
        self.log.arrived(rank, step, message, receiver.round_in);
        for (block, &received) in blocks.iter().zip(&message.blocks) {
            let here = receiver.read(step, block)?;
            let (left, right) = match side {
                Side::Left => (received, here),
                Side::Right => (here, received),
            };
            receiver.blocks[block] = self.terms.combine(left, right);
            if receiver.blocks[block].is_none() {
                let [left, right] = [left, right].map(|term| self.terms.text(term));
                return Err(CheckError::Mixed { at: receiver.at(step), block, left, right });
            }
        }
        Ok(())
    }

    /// Fails if a step makes no sense, whatever the other ranks do.
    fn check_step(&self, rank: usize, step: &Step) -> Result<(), CheckError> {
        let here = &self.ranks[rank];
        if let Some(peer) = step.peer()
            && (peer == rank || peer >= self.ranks.len())
        {
            return Err(CheckError::BadPeer { at: here.at(step), peer });
        }
        if self.strays(rank, step) {
            return Err(CheckError::Strays { at: here.at(step) });
        }
        let available = here.blocks.len();
        let beyond = |blocks: &Blocks| {
            let last = blocks.runs().find(|run| run.end > available);
            last.map(|run| run.start.max(available))
        };
        let block = beyond(step.blocks()).or_else(|| match &step.action {
            Action::Copy { to, .. } => beyond(to),
            _ => None,
        });
        if let Some(block) = block {
            return Err(CheckError::BadBlock { at: here.at(step), block, available });
        }
        let tells = matches!(step.action, Action::Recv { .. } | Action::Fetch { .. });
        if here.steps_begun == 1 && !tells && self.contract.binds_late(rank) {
            return Err(CheckError::NotBound { at: here.at(step) });
        }
        Ok(())
    }

    /// Whether a step that is to stay in a pack does not, or is to leave it and cannot.
    fn strays(&self, rank: usize, step: &Step) -> bool {
        let inside = step.tier == Some(Tier::Pack);
        let by_message = matches!(
            step.action,
            Action::Send { .. }
                | Action::Recv { .. }
                | Action::Combine { .. }
                | Action::Copy { .. }
        );
        let apart = step.peer().is_some_and(|peer| !self.share_pack(rank, peer));
        self.packs.is_some() && (inside && apart || !inside && !by_message)
    }

    fn share_pack(&self, one: usize, other: usize) -> bool {
        self.packs.is_some_and(|packs| packs.pack(one) == packs.pack(other))
    }

    /// Fails if a rank still waits, or something is left on the way.
    fn check_ended(&self) -> Result<(), CheckError> {
        let awaited = |rank: usize| {
            let step = self.ranks[rank].waiting.as_ref()?;
            Some((step.peer()?, self.ranks[rank].at(step)))
        };
        if let Some(first) = (0..self.ranks.len()).find(|&rank| awaited(rank).is_some()) {
            // Who waits for whom leads from there to a rank that has finished, or into a cycle.
            let mut path: Vec<At> = Vec::new();
            let mut rank = first;
            while let Some((from, at)) = awaited(rank) {
                if awaited(from).is_none() {
                    return Err(CheckError::UnmatchedRecv { at, from });
                }
                path.push(*at);
                if let Some(start) = path.iter().position(|earlier| earlier.rank == from) {
                    return Err(CheckError::Deadlock { cycle: lowest_first(&path[start..]) });
                }
                rank = from;
            }
        }
        if let Some((&(from, to), left)) = self.links.iter().min_by_key(|(pair, _)| **pair) {
            let (from, to) = (from as usize, to as usize);
            let (step, messages) = (left[0].step, left.len());
            return Err(CheckError::UnmatchedSend { from, step, to, messages });
        }
        match self.shelf.left() {
            Some((rank, block, missing)) => Err(CheckError::Unfetched { rank, block, missing }),
            None => Ok(()),
        }
    }

    /// Fails if a rank has something else than the contract says.
    fn check_results(&mut self) -> Result<(), CheckError> {
        let demand = self.contract.demand();
        for Rank { rank, blocks, heard, .. } in &self.ranks {
            let rank = *rank;
            for wanted in self.contract.wanted(rank) {
                let (block, ranks, part) = (wanted.block, wanted.ranks, wanted.part);
                let term = blocks[block];
                if !term.is_some_and(|term| self.terms.is(term, &ranks, part, demand)) {
                    let found = text(&self.terms, term);
                    return Err(CheckError::WrongResult {
                        rank,
                        block,
                        ranks,
                        part,
                        demand,
                        found,
                    });
                }
            }
            match self.contract.collective {
                Collective::Barrier => {
                    if let Some(other) = heard.missing(self.contract.size) {
                        return Err(CheckError::LeavesEarly { rank, other });
                    }
                }
                Collective::Allreduce => {
                    let pairs = blocks.iter().zip(&self.ranks[0].blocks);
                    if let Some((block, (here, there))) =
                        pairs.enumerate().find(|(_, (here, there))| here != there)
                    {
                        let [found, rank_0] = [here, there].map(|term| text(&self.terms, *term));
                        return Err(CheckError::DifferentBits { rank, block, found, rank_0 });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn report(&self) -> Report {
        let most = |count: fn(&Rank<I>) -> usize| self.ranks.iter().map(count).max().unwrap_or(0);
        Report {
            rounds: most(|rank| rank.round_in),
            messages: self.messages,
            remote: self.remote,
            blocks: self.ranks.iter().map(|rank| rank.blocks_out).sum(),
            most_sent: most(|rank| rank.blocks_out),
            most_received: most(|rank| rank.blocks_in),
            puts: self.ranks.iter().map(|rank| rank.puts).sum(),
            gets: self.ranks.iter().map(|rank| rank.gets).sum(),
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
}

impl<I> Rank<I> {
    /// Where it is in its plan.
    fn at(&self, step: &Step) -> Box<At> {
        Box::new(At { rank: self.rank, index: self.steps_begun - 1, step: step.clone() })
    }

    fn waits_to_send(&self) -> bool {
        self.waiting.as_ref().is_some_and(|step| matches!(step.action, Action::Send { .. }))
    }

    /// Whether it waits to send to this rank or to receive from it.
    fn waits_for_messages(&self, rank: usize) -> bool {
        self.waiting.as_ref().is_some_and(|step| match step.action {
            Action::Send { to: peer, .. }
            | Action::Recv { from: peer, .. }
            | Action::Combine { from: peer, .. } => peer == rank,
            _ => false,
        })
    }

    fn read(&self, step: &Step, block: usize) -> Result<Term, CheckError> {
        self.blocks[block].ok_or_else(|| CheckError::EmptyBlock { at: self.at(step), block })
    }

    fn outgoing(&mut self, step: &Step, blocks: &Blocks) -> Result<Message, CheckError> {
        let blocks: SmallVec<_> =
            blocks.iter().map(|block| self.read(step, block)).collect::<Result<_, _>>()?;
        self.round_out = self.round_out.max(self.round_in) + 1;
        self.blocks_out += blocks.len();
        Ok(Message {
            blocks,
            heard: self.heard.clone(),
            round: self.round_out,
            step: self.steps_begun - 1,
        })
    }

    fn count(&mut self, step: &Step, here: &Blocks, message: &Message) -> Result<(), CheckError> {
        let (expected, found) = (here.len(), message.blocks.len());
        if expected != found {
            return Err(CheckError::Length { at: self.at(step), expected, found });
        }
        self.round_in = message.round.max(self.round_in + 1);
        self.blocks_in += found;
        self.heard.extend(&message.heard);
        Ok(())
    }

    fn copy(&mut self, step: &Step, from: &Blocks, to: &Blocks) -> Result<(), CheckError> {
        let (expected, found) = (to.len(), from.len());
        if expected != found {
            return Err(CheckError::Length { at: self.at(step), expected, found });
        }
        if let Some(block) = from.iter().find(|block| to.contains(*block)) {
            return Err(CheckError::Overlap { at: self.at(step), block });
        }
        for (from, to) in from.iter().zip(to.iter()) {
            self.blocks[to] = Some(self.read(step, from)?);
        }
        Ok(())
    }
}

fn text(terms: &Terms, term: Option<Term>) -> String {
    term.map_or_else(|| "nothing".to_owned(), |term| terms.text(term))
}

fn lowest_first(cycle: &[At]) -> Vec<At> {
    let lowest = (0..cycle.len()).min_by_key(|&i| cycle[i].rank).unwrap_or(0);
    [&cycle[lowest..], &cycle[..lowest]].concat()
}
