//! Open MPI's `mpirun`, versions 1 to 5.
//!
//! Its job id is a hash of host and process with few bits, and may come again. The address of `mpirun`
//! itself is the same on all machines and no other's while it lives; version 5 has host and
//! process in the namespace instead.

use fmi_actors::Result;

use super::{Env, Found, Id, name};

pub(super) fn find(env: Env<'_>) -> Result<Option<Found>> {
    let (Some(process), Some(processes)) =
        (env.number("OMPI_COMM_WORLD_RANK")?, env.number("OMPI_COMM_WORLD_SIZE")?)
    else {
        return Ok(None);
    };
    let job = match env.text("PMIX_NAMESPACE")? {
        Some(namespace) => Some(namespace),
        None => env.text("OMPI_MCA_ess_base_jobid")?,
    };
    let root = env.text("OMPI_MCA_orte_hnp_uri")?.map(|uri| root(&uri).to_owned());
    let id = match job {
        Some(job) => Id::Shared(name(&format!("openmpi-{job}-{}", root.unwrap_or_default()))),
        None => Id::Unknown,
    };
    Ok(Some(Found { process, processes: Some(processes), id }))
}

/// Of `361299968.0;tcp://192.0.2.2:35589;tcp6://…` the first address.
fn root(uri: &str) -> &str {
    let address = uri.split(';').nth(1).unwrap_or_default();
    address.split_once("://").map_or(address, |(_, rest)| rest)
}
