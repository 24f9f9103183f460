//! Runs a plan on a communicator.

use crate::{
    Communicator,
    operation::Trouble,
    plan::{Action, Blocks, Side, Step, Steps},
};
use fmi_actors::{
    Error, Payload, Result,
    frame::{Datatype, Signature, Space},
    mailbox::{Failure, Filter},
    pair::Body,
};
use smallvec::SmallVec;
use std::{
    future::Future,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// Combines two payloads; the left one comes from the lower ranks.
pub(crate) type Combine = Box<dyn Fn(Payload, Payload) -> Result<Payload> + Send + Sync>;

/// One rank's part of a collective.
pub(crate) struct Part {
    pub(crate) communicator: Communicator,
    pub(crate) space: Space,
    pub(crate) signature: Signature,
    pub(crate) datatype: Datatype,
    pub(crate) steps: Steps,
    pub(crate) blocks: Vec<Option<Payload>>,
    /// Blocks that make up this rank's result.
    pub(crate) result: Range<usize>,
    pub(crate) combine: Option<Combine>,
    /// Whom it waits for, for the deadline's error.
    pub(crate) waits_for: Arc<AtomicU32>,
}

impl Part {
    /// Does all steps; the blocks hold the result then.
    pub(crate) async fn run(mut self) -> Result<Vec<Option<Payload>>, Trouble> {
        let steps: SmallVec<[Step; 16]> =
            std::mem::replace(&mut self.steps, Box::new(std::iter::empty())).collect();
        for (index, step) in steps.iter().enumerate() {
            match &step.action {
                Action::Send { to, blocks } => {
                    let payload = self.outgoing(blocks.clone(), &steps[index + 1..])?;
                    let to_world = self.communicator.world_rank(*to);
                    self.waits_for.store(*to as u32, Ordering::Relaxed);
                    let endpoint = self.communicator.endpoint();
                    let (space, datatype) = (self.space, self.datatype);
                    endpoint
                        .send_signed(space, to_world, datatype, payload, self.signature)
                        .await?;
                }
                Action::Recv { from, blocks } => {
                    let payload = self.receive(*from).await?;
                    self.incoming(blocks.clone(), payload)?;
                }
                Action::Combine { from, blocks, side } => {
                    let block = blocks.iter().next().ok_or_else(|| broken("nothing to combine"))?;
                    let received = self.receive(*from).await?;
                    let here = self.blocks[block].take().ok_or_else(|| broken("an empty block"))?;
                    let combine = self.combine.as_ref().ok_or_else(|| broken("no operation"))?;
                    let (left, right) = match side {
                        Side::Left => (received, here),
                        Side::Right => (here, received),
                    };
                    self.blocks[block] = Some(combine(left, right)?);
                }
                Action::Copy { from, to } => {
                    for (from, to) in from.iter().zip(to.iter()) {
                        let value = self.blocks[from].as_mut().map(Payload::share).transpose()?;
                        self.blocks[to] = value;
                    }
                }
                _ => return Err(broken("a shared step").into()),
            }
        }
        Ok(self.blocks)
    }

    /// The next message of this collective from a rank.
    fn receive(&self, from: usize) -> impl Future<Output = Result<Payload, Failure>> + use<> {
        self.waits_for.store(from as u32, Ordering::Relaxed);
        let filter = Filter { source: Some(self.communicator.world_rank(from)), tag: None };
        let posted = self.communicator.endpoint().recv(self.space, filter);
        async move {
            match posted.await?.body {
                Body::Here(payload) => Ok(payload),
                Body::There => unreachable!("receives end with the payload"),
            }
        }
    }

    /// The content of blocks that leave: given away if nothing needs them any more.
    fn outgoing(&mut self, blocks: Blocks, later: &[Step]) -> Result<Payload> {
        let result = self.result.clone();
        let mut parts = Vec::with_capacity(blocks.len());
        for block in blocks.iter() {
            let slot = &mut self.blocks[block];
            let needed = result.contains(&block) || later.iter().any(|step| reads(step, block));
            let part =
                if needed { slot.as_mut().map(Payload::share).transpose()? } else { slot.take() };
            parts.push(part.ok_or_else(|| broken("an empty block"))?);
        }
        Ok(match parts.len() {
            0 => Payload::empty(),
            1 => parts.remove(0),
            _ => Payload::bundle(parts),
        })
    }

    fn incoming(&mut self, blocks: Blocks, payload: Payload) -> Result<()> {
        match blocks.len() {
            0 => {}
            1 => {
                if let Some(block) = blocks.iter().next() {
                    self.blocks[block] = Some(payload);
                }
            }
            count => {
                let parts = payload.into_bundle()?;
                if parts.len() != count {
                    return Err(broken("a bundle of another size"));
                }
                for (block, part) in blocks.iter().zip(parts) {
                    self.blocks[block] = Some(part);
                }
            }
        }
        Ok(())
    }
}

fn reads(step: &Step, block: usize) -> bool {
    match &step.action {
        Action::Send { blocks, .. } | Action::Combine { blocks, .. } => blocks.contains(block),
        Action::Copy { from, .. } => from.contains(block),
        _ => false,
    }
}

/// A plan that the checker would refuse, or bytes that no rank of ours sends.
fn broken(what: &str) -> Error {
    Error::Codec { what: "collective".to_owned(), reason: format!("{what} in the plan") }
}
