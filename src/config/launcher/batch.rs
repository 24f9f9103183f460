//! AWS Batch: the children of an array job, or the nodes of a multi-node one.
//!
//! They share no home. `FMI_RENDEZVOUS` and `FMI_TOKEN` belong into the job definition.

use fmi_actors::Result;

use super::{Env, Found, Id};

pub(super) fn find(env: Env<'_>) -> Result<Option<Found>> {
    for (index, size) in [
        ("AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE"),
        ("AWS_BATCH_JOB_NODE_INDEX", "AWS_BATCH_JOB_NUM_NODES"),
    ] {
        if let Some(process) = env.number(index)? {
            return Ok(Some(Found { process, processes: env.number(size)?, id: Id::Apart }));
        }
    }
    Ok(None)
}
