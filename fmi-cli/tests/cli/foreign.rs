//! Programs that somebody else starts: `mpirun` itself where it is installed, and Slurm, AWS Batch and
//! Kubernetes by their environments. (Slurm itself is in `slurm.rs`.)

use crate::support::{Ran, Running, finish, is_gone, rank_program, under};
use std::{
    fs,
    net::TcpListener,
    process::Command,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// A home in which deaths are noticed soon, for processes that have nothing else to go by.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("soon.toml"), "[deadlines]\nsilent = \"1 s\"\n").unwrap();
        Self(home)
    }

    /// One of so many processes that Slurm would have started.
    fn process(&self, rank: usize, size: usize, mode: &str) -> Command {
        let mut command = rank_program(mode);
        self.dress(&mut command);
        for (name, value) in [
            ("SLURM_JOB_ID", "77".to_owned()),
            ("SLURM_STEP_ID", "3".to_owned()),
            ("SLURM_PROCID", rank.to_string()),
            ("SLURM_STEP_NUM_TASKS", size.to_string()),
        ] {
            command.env(name, value);
        }
        command
    }

    fn dress(&self, command: &mut Command) {
        command.env("HOME", self.0.path()).env("FMI_CONFIG", self.0.path().join("soon.toml"));
    }

    fn jobs(&self) -> std::path::PathBuf {
        self.0.path().join(".fmi/jobs")
    }

    /// Folders of jobs that are there.
    fn left(&self) -> Vec<String> {
        let all = fs::read_dir(self.jobs()).unwrap().flatten();
        let names = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name != ".lock").collect()
    }
}

/// All at once, to their end.
fn together(commands: Vec<Command>) -> Vec<Ran> {
    let running: Vec<_> =
        commands.into_iter().map(|command| thread::spawn(|| finish(command, LIMIT))).collect();
    running.into_iter().map(|ran| ran.join().unwrap()).collect()
}

fn all_met(ran: &[Ran]) {
    for (rank, ran_alone) in ran.iter().enumerate() {
        assert_eq!(ran_alone.code, Some(0), "{ran:?}");
        let met = format!("rank {rank} of {0} met {0}", ran.len());
        assert!(ran_alone.stdout.contains(&met), "{ran:?}");
    }
}

#[test]
fn the_processes_of_a_step_meet_below_their_home() {
    let home = Home::new();
    let ran = together((0..4).map(|rank| home.process(rank, 4, "hello")).collect());
    all_met(&ran);
    assert!(ran[0].stdout.contains("of slurm-77.3"), "{ran:?}");
    assert!(home.left().is_empty(), "{:?}", home.left());
}

#[test]
fn a_step_may_run_several_programs_one_after_the_other() {
    let home = Home::new();
    let ranks = (0..3).map(|rank| {
        let programs: Vec<_> = (0..6).map(|_| home.process(rank, 3, "hello")).collect();
        // Each goes on at its own pace.
        thread::spawn(|| programs.into_iter().map(|program| finish(program, LIMIT)).collect())
    });
    for rank in ranks.collect::<Vec<_>>() {
        let ran: Vec<Ran> = rank.join().unwrap();
        assert!(ran.iter().all(|ran| ran.code == Some(0)), "{ran:?}");
    }
    assert!(home.left().is_empty(), "{:?}", home.left());
}

#[test]
fn what_a_killed_job_has_left_confuses_nobody() {
    let home = Home::new();
    let mut killed: Vec<_> =
        (0..2).map(|rank| Running::start(home.process(rank, 2, "wait"))).collect();
    for process in &mut killed {
        process.line("waiting ");
    }
    let token = fs::read(home.jobs().join("slurm-77.3/token")).unwrap();
    for process in &mut killed {
        process.signal(libc::SIGKILL);
        process.end(LIMIT);
    }
    assert_eq!(fs::read(home.jobs().join("slurm-77.3/token")).unwrap(), token);
    // More of them than before, under the same number.
    all_met(&together((0..3).map(|rank| home.process(rank, 3, "hello")).collect()));
    assert!(home.left().is_empty(), "{:?}", home.left());
}

#[test]
fn a_rank_that_is_killed_ends_the_others() {
    let home = Home::new();
    let ran = together((0..2).map(|rank| home.process(rank, 2, "killed")).collect());
    assert_eq!((ran[0].code, ran[1].code), (Some(1), None), "{ran:?}");
    assert!(ran[0].stderr.contains("rank 1 is lost"), "{ran:?}");
    assert!(home.left().is_empty(), "{:?}", home.left());
}

#[test]
fn a_folder_that_others_may_read_is_refused() {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let home = Home::new();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(home.jobs()).unwrap();
    fs::set_permissions(home.jobs(), fs::Permissions::from_mode(0o777)).unwrap();
    let ran = finish(home.process(0, 2, "hello"), LIMIT);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("others have rights there (mode 777): chmod 700"), "{ran:?}");
    assert!(ran.took < Duration::from_secs(10), "{ran:?}");
}

#[test]
fn what_is_ours_wins() {
    let home = Home::new();
    let mut alone = home.process(2, 4, "hello");
    alone.env("FMI_SIZE", "3");
    let ran = finish(alone, LIMIT);
    assert!(ran.stdout.contains("rank 2 of 3 met 3"), "all in one process: {ran:?}");
    let mut none = home.process(2, 4, "hello");
    none.env("FMI_LAUNCHER", "none").env("FMI_SIZE", "1");
    assert!(finish(none, LIMIT).stdout.contains("rank 0 of 1 met 1"));
    assert!(!home.jobs().exists(), "nobody has met");
}

#[test]
fn rank_0_serves_the_rendezvous() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let pod = |index: usize, mode: &str| {
        let mut command = rank_program(mode);
        command
            .env("JOB_COMPLETION_INDEX", index.to_string())
            .env("FMI_SIZE", "5")
            .env("FMI_PACKS", "2")
            .env("FMI_TOKEN", "a secret")
            .env("FMI_JOB", "train")
            .env("FMI_SERVE", format!("127.0.0.1:{port}"))
            .env("FMI_RENDEZVOUS", format!("tcp://127.0.0.1:{port}"));
        command
    };
    let ran = together(vec![pod(0, "hello"), pod(1, "hello")]);
    assert!(ran.iter().all(|ran| ran.code == Some(0)), "{ran:?}");
    assert!(ran.iter().all(|ran| !ran.stderr.contains("rendezvous is gone")), "{ran:?}");
    assert!(ran[0].stdout.contains("rank 1 of 5 met 5"), "{ran:?}");
    assert!(ran[1].stdout.contains("rank 4 of 5 met 5"), "{ran:?}");
    let mut lacking = pod(0, "hello");
    lacking.env_remove("FMI_TOKEN");
    let ran = finish(lacking, LIMIT);
    assert!(ran.stderr.contains("set FMI_TOKEN"), "{ran:?}");
}

/// Whether there is such an `mpirun`; says so if not.
fn is_installed(name: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&paths).any(|path| path.join(name).exists());
    if !there {
        let wanted = std::env::var("FMI_TEST_MPI").is_ok_and(|value| value == "required");
        assert!(!wanted, "there is no {name}, and FMI_TEST_MPI=required");
        eprintln!("skipped: there is no {name} (apt-get install openmpi-bin mpich)");
    }
    there
}

/// `mpirun -n N` of the rank program.
fn mpirun(name: &str, home: &Home, size: usize, mode: &str) -> Option<Command> {
    mpirun_of(name, home, size, &rank_program(mode))
}

/// `mpirun -n N` of any.
pub(crate) fn mpirun_of(
    name: &str,
    home: &Home,
    size: usize,
    program: &Command,
) -> Option<Command> {
    let size = size.to_string();
    let root = ["--allow-run-as-root", "--oversubscribe"];
    let options = if name.ends_with("openmpi") { &root[..] } else { &[] };
    let launcher = [&[name], options, &["-n", &size]].concat();
    let mut command = is_installed(name).then(|| under(&launcher, program))?;
    home.dress(&mut command);
    Some(command)
}

pub(crate) const MPIRUNS: [&str; 2] = ["mpirun.openmpi", "mpirun.mpich"];

#[test]
fn mpirun_starts_a_job() {
    for name in MPIRUNS {
        let home = Home::new();
        for _ in 0..3 {
            let Some(command) = mpirun(name, &home, 4, "work") else { continue };
            let ran = finish(command, LIMIT);
            assert_eq!(ran.code, Some(0), "{ran:?}");
            assert_eq!(ran.stdout.matches("of 4 worked over").count(), 4, "{ran:?}");
            assert!(home.left().is_empty(), "{:?}", home.left());
        }
    }
}

#[test]
fn jobs_of_mpirun_at_the_same_time_do_not_meet() {
    for name in MPIRUNS {
        let home = Home::new();
        let commands: Option<Vec<_>> =
            [2, 3].into_iter().map(|size| mpirun(name, &home, size, "hello")).collect();
        let Some(commands) = commands else { continue };
        for (size, ran) in [2, 3].into_iter().zip(together(commands)) {
            assert_eq!(ran.code, Some(0), "{ran:?}");
            assert_eq!(ran.stdout.matches(&format!("of {size} met {size}")).count(), size);
        }
        assert!(home.left().is_empty(), "{:?}", home.left());
    }
}

#[test]
fn mpirun_ends_a_job_of_which_a_rank_fails() {
    for name in MPIRUNS {
        let home = Home::new();
        let Some(command) = mpirun(name, &home, 3, "exit") else { continue };
        let start = Instant::now();
        let ran = finish(command, LIMIT);
        assert_ne!(ran.code, Some(0), "{ran:?}");
        assert!(start.elapsed() < Duration::from_secs(20), "{ran:?}");
    }
}

#[test]
fn no_process_outlives_mpirun() {
    for name in MPIRUNS {
        let home = Home::new();
        let Some(command) = mpirun(name, &home, 2, "wait") else { continue };
        let mut job = Running::start(command);
        let processes: Vec<_> = (0..2).map(|_| job.line("waiting ")).collect();
        job.signal(libc::SIGINT);
        job.end(LIMIT);
        assert!(processes.iter().all(|id| is_gone(id, LIMIT)), "{processes:?}");
    }
}
