//! Environments as the launchers make them; those of Open MPI, MPICH and Slurm are copies.

use super::*;
use std::ffi::OsString;

const OPENMPI: &[(&str, &str)] = &[
    ("OMPI_COMM_WORLD_RANK", "1"),
    ("OMPI_COMM_WORLD_SIZE", "2"),
    ("OMPI_MCA_ess_base_jobid", "361299969"),
    ("OMPI_MCA_orte_hnp_uri", "361299968.0;tcp://192.0.2.2:35589;tcp6://[fd00::2]:37891"),
    ("PMIX_NAMESPACE", "361299969"),
    ("PMIX_RANK", "1"),
];
const PRRTE: &[(&str, &str)] = &[
    ("OMPI_COMM_WORLD_RANK", "0"),
    ("OMPI_COMM_WORLD_SIZE", "4"),
    ("PMIX_NAMESPACE", "prterun-node7-4711@1"),
];
const MPICH: &[(&str, &str)] = &[
    ("HYDI_CONTROL_FD", "7"),
    ("MPI_LOCALNRANKS", "2"),
    ("MPI_LOCALRANKID", "1"),
    ("PMI_FD", "8"),
    ("PMI_RANK", "1"),
    ("PMI_SIZE", "2"),
];
const SLURM: &[(&str, &str)] = &[
    ("SLURM_CLUSTER_NAME", "fir"),
    ("SLURM_JOB_ID", "123"),
    ("SLURM_STEP_ID", "0"),
    ("SLURM_PROCID", "3"),
    ("SLURM_NTASKS", "8"),
    ("SLURM_STEP_NUM_TASKS", "4"),
];

fn adopted(sets: &[&[(&str, &str)]]) -> Result<Config> {
    // As a launcher inside another: the later ones win.
    let all = sets.concat();
    let lookup = |name: &str| {
        let found = all.iter().rev().find(|(key, _)| *key == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let mut config = Config::default();
    super::super::env::apply(&mut config, &lookup)?;
    adopt(&mut config, &lookup)?;
    Ok(config)
}

/// Ranks, size and job, and the launcher.
fn seen(sets: &[&[(&str, &str)]]) -> (Option<Vec<usize>>, Option<usize>, String, Option<Launcher>) {
    let config = adopted(sets).unwrap();
    (config.ranks, config.size, config.job, config.launcher)
}

fn shared(name: &'static str, id: &str) -> Option<Launcher> {
    Some(Launcher { name, id: Id::Shared(id.to_owned()) })
}

#[test]
fn each_launcher_is_known() {
    let job = "openmpi-361299969-192.0.2.2-35589";
    let expected = (Some(vec![1]), Some(2), job.to_owned(), shared("openmpi", job));
    assert_eq!(seen(&[OPENMPI]), expected);
    let job = "openmpi-prterun-node7-4711-1-";
    let expected = (Some(vec![0]), Some(4), job.to_owned(), shared("openmpi", job));
    assert_eq!(seen(&[PRRTE]), expected);
    let asked = Some(Launcher { name: "mpich", id: Id::Asked(8) });
    assert_eq!(seen(&[MPICH]), (Some(vec![1]), Some(2), "default".to_owned(), asked));
    let job = "slurm-fir-123.0";
    let expected = (Some(vec![3]), Some(4), job.to_owned(), shared("slurm", job));
    assert_eq!(seen(&[SLURM]), expected);
}

#[test]
fn those_that_share_no_home() {
    let meet = [("FMI_RENDEZVOUS", "tcp://h:1")];
    let array = [("AWS_BATCH_JOB_ARRAY_INDEX", "5"), ("AWS_BATCH_JOB_ARRAY_SIZE", "9")];
    let apart = |name| Some(Launcher { name, id: Id::Apart });
    let expected = (Some(vec![5]), Some(9), "default".to_owned(), apart("batch"));
    assert_eq!(seen(&[&array, &meet]), expected);
    let nodes = [("AWS_BATCH_JOB_NODE_INDEX", "1"), ("AWS_BATCH_JOB_NUM_NODES", "3")];
    assert_eq!(seen(&[&nodes, &meet]).0, Some(vec![1]));
    let pod = [("JOB_COMPLETION_INDEX", "2"), ("FMI_SIZE", "4"), ("FMI_JOB", "train")];
    let expected = (Some(vec![2]), Some(4), "train".to_owned(), apart("kubernetes"));
    assert_eq!(seen(&[&pod, &meet]), expected);
    let alone = [("JOB_COMPLETION_INDEX", "2")];
    let config = adopted(&[&alone, &meet]).unwrap();
    assert_eq!(config.ranks, None, "how many there are is not known");
}

#[test]
fn those_that_are_not_told_where_to_meet_are_alone() {
    let array = [("AWS_BATCH_JOB_ARRAY_INDEX", "5"), ("AWS_BATCH_JOB_ARRAY_SIZE", "9")];
    assert_eq!(adopted(&[&array]), Ok(Config::default()));
    let pod = [("JOB_COMPLETION_INDEX", "2"), ("FMI_SIZE", "4")];
    assert_eq!(adopted(&[&pod]), Ok(Config::default().size(4)), "all four are in the pod");
    // Unless they insist.
    let config = adopted(&[&array, &[("FMI_LAUNCHER", "batch")]]).unwrap();
    let wrong = config.validate().unwrap_err().to_string();
    assert!(wrong.contains("no rendezvous to meet the others: set FMI_RENDEZVOUS"), "{wrong}");
}

#[test]
fn a_batch_script_and_a_shell_are_no_steps() {
    let script = [("SLURM_JOB_ID", "123"), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")];
    assert_eq!(adopted(&[&script]), Ok(Config::default()));
    for special in ["4294967290", "4294967291", "4294967294"] {
        let shell = [("SLURM_STEP_ID", special), ("SLURM_STEP_NUM_TASKS", "1")];
        assert_eq!(adopted(&[&script, &shell]), Ok(Config::default()));
    }
}

#[test]
fn a_job_that_was_queued_again_is_another() {
    let again = [("SLURM_RESTART_COUNT", "2")];
    assert_eq!(seen(&[SLURM, &again]).2, "slurm-fir-123.0.restart2");
    let first = [("SLURM_RESTART_COUNT", "0")];
    assert_eq!(seen(&[SLURM, &first]).2, "slurm-fir-123.0");
}

#[test]
fn the_inner_launcher_counts() {
    assert_eq!(seen(&[SLURM, OPENMPI]).3.unwrap().name, "openmpi");
    assert_eq!(seen(&[SLURM, MPICH]).3.unwrap().name, "mpich");
    // Slurm has a PMI of its own.
    let pmi = [("PMI_RANK", "3"), ("PMI_SIZE", "4"), ("PMI_FD", "9"), ("PMI_JOBID", "123.0")];
    assert_eq!(seen(&[SLURM, &pmi]).3.unwrap().name, "slurm");
    assert_eq!(seen(&[OPENMPI, SLURM, &[("FMI_LAUNCHER", "slurm")]]).3.unwrap().name, "slurm");
}

#[test]
fn what_is_ours_wins() {
    let ours = [("FMI_RANK", "0-3"), ("FMI_SIZE", "8"), ("FMI_JOB", "mine")];
    let expected = (Some(vec![0, 1, 2, 3]), Some(8), "mine".to_owned(), None);
    assert_eq!(seen(&[SLURM, &ours]), expected);
    let alone = [("FMI_SIZE", "8")];
    assert_eq!(adopted(&[SLURM, &alone]), Ok(Config::default().size(8)));
    assert_eq!(adopted(&[SLURM, &[("FMI_LAUNCHER", "none")]]), Ok(Config::default()));
    let named = [("FMI_JOB", "mine"), ("FMI_SIZE", "4")];
    let job = seen(&[SLURM, &named]);
    assert_eq!((job.0, job.2), (Some(vec![3]), "mine".to_owned()));
    assert_eq!(job.3, shared("slurm", "slurm-fir-123.0"), "but they meet where Slurm's id says");
}

#[test]
fn a_program_may_choose_another_size() {
    let config = adopted(&[SLURM]).unwrap();
    assert_eq!(config.clone().size(4), config);
    let other = config.size(8);
    assert_eq!((other.ranks, other.size, other.launcher), (None, Some(8), None));
}

#[test]
fn packs_divide_the_ranks() {
    let packs = [("FMI_SIZE", "10"), ("FMI_PACKS", "4")];
    let (ranks, size, ..) = seen(&[SLURM, &packs]);
    assert_eq!((ranks, size), (Some(vec![7, 8, 9]), Some(10)));
    let pod = [("JOB_COMPLETION_INDEX", "0"), ("FMI_RENDEZVOUS", "tcp://h:1")];
    assert_eq!(seen(&[&pod, &packs]).0, Some(vec![0, 1]));
}

#[test]
fn what_makes_no_sense_is_told() {
    for (variables, wrong) in [
        (
            &[("SLURM_PROCID", "x")][..],
            "SLURM_PROCID: \"x\" is no number: correct it, or set FMI_LAUNCHER=none",
        ),
        (
            &[("SLURM_PROCID", "4")],
            "slurm: this is its process 4, and there are 4 in all, counted from 0: set FMI_SIZE to \
             how many there are, or FMI_LAUNCHER=none",
        ),
        (
            &[("FMI_PACKS", "3"), ("FMI_SIZE", "9")],
            "FMI_PACKS: the 9 ranks are to be in 3 processes, and slurm has started 4: start as many \
             processes as FMI_PACKS says, and give each a rank at least",
        ),
        (
            &[("FMI_PACKS", "4")],
            "FMI_PACKS: is set without FMI_SIZE: set how many ranks the job has",
        ),
        (
            &[("FMI_LAUNCHER", "slrum")],
            "FMI_LAUNCHER: \"slrum\" is no launcher: did you mean \"slurm\"?",
        ),
        (
            &[("FMI_LAUNCHER", "mpich")],
            "FMI_LAUNCHER: mpich has not started this process: take FMI_LAUNCHER away",
        ),
    ] {
        assert_eq!(adopted(&[SLURM, variables]).unwrap_err().to_string(), wrong);
    }
}

#[test]
fn names_are_names_of_files() {
    assert_eq!(name("a/../b c@1"), "a-..-b-c-1");
    assert_eq!(name("../x"), "-x");
    assert_eq!(name(&"x".repeat(999)).len(), LONGEST);
}

#[test]
fn packs_cover_all_ranks_in_order() {
    for ranks in 1..40 {
        for packs in 1..=ranks {
            let all: Vec<_> = (0..packs).map(|pack| ranks_of(pack, packs, ranks)).collect();
            let flat: Vec<_> = all.iter().cloned().flatten().collect();
            assert_eq!(flat, (0..ranks).collect::<Vec<_>>());
            let (least, most) = (ranks / packs, ranks.div_ceil(packs));
            assert!(all.iter().all(|pack| (least..=most).contains(&pack.len())));
        }
    }
}
