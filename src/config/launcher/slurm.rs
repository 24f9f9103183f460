//! Slurm: a step that `srun` has started.
//!
//! The script of a batch job and the shell of an interactive one have Slurm's variables, too, the number 0
//! among them, but are one process beside those that the job is for: their steps have numbers beyond
//! all ordinary ones, or none.

use fmi_actors::Result;

use super::{Env, Found, Id, name};

/// Steps from here on are the scheduler's own (`SLURM_MAX_NORMAL_STEP_ID`).
const SPECIAL: usize = 0xffff_fff0;

pub(super) fn find(env: Env<'_>) -> Result<Option<Found>> {
    let job = env.any_number(&["SLURM_JOB_ID", "SLURM_JOBID"])?;
    let step = env.any_number(&["SLURM_STEP_ID", "SLURM_STEPID"])?;
    let process = env.number("SLURM_PROCID")?;
    let (Some(job), Some(step), Some(process)) = (job, step, process) else { return Ok(None) };
    if step >= SPECIAL {
        return Ok(None);
    }
    let Some(processes) =
        env.any_number(&["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS"])?
    else {
        return Ok(None);
    };
    // Several clusters may share one home.
    let cluster = env.text("SLURM_CLUSTER_NAME")?.map(|cluster| format!("{cluster}-"));
    // A job that was put back into the queue keeps its numbers.
    let again = env.number("SLURM_RESTART_COUNT")?.filter(|count| *count > 0);
    let again = again.map(|count| format!(".restart{count}"));
    let (cluster, again) = (cluster.unwrap_or_default(), again.unwrap_or_default());
    let id = Id::Shared(name(&format!("slurm-{cluster}{job}.{step}{again}")));
    Ok(Some(Found { process, processes: Some(processes), id }))
}
