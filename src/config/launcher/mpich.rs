//! Hydra: the `mpirun` of MPICH, MVAPICH and Intel MPI.
//!
//! Its environment has rank and size, but no name of the job. PMI-1 has one: who joins asks for it.

use fmi_actors::Result;

use super::{Env, Found, Id};

pub(super) fn find(env: Env<'_>) -> Result<Option<Found>> {
    // Slurm's own PMI has these two as well.
    let hydra = env.has("HYDI_CONTROL_FD") || env.has("MPI_LOCALNRANKS");
    let (true, Some(process), Some(processes)) =
        (hydra, env.number("PMI_RANK")?, env.number("PMI_SIZE")?)
    else {
        return Ok(None);
    };
    let socket = env.number("PMI_FD")?.and_then(|socket| i32::try_from(socket).ok());
    let id = socket.map_or(Id::Unknown, Id::Asked);
    Ok(Some(Found { process, processes: Some(processes), id }))
}
