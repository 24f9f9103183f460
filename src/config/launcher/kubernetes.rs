//! Kubernetes: a pod of an Indexed Job. How many there are it does not say: `FMI_SIZE` has to.

use fmi_actors::Result;

use super::{Env, Found, Id};

pub(super) fn find(env: Env<'_>) -> Result<Option<Found>> {
    let process = env.number("JOB_COMPLETION_INDEX")?;
    Ok(process.map(|process| Found { process, processes: None, id: Id::Apart }))
}
