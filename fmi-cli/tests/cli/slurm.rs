//! Slurm itself: a cluster of one node, on which jobs are started by plain `srun`, by `mpirun` inside of an
//! allocation, and by `fmi run --on slurm`, all with the same result.

use crate::support::{Ran, Running, finish, fmi, fmi_run, json_line, rank_program, under};
use std::{fs, process::Command, time::Duration};
use tempfile::TempDir;
use test_servers::slurm::Cluster;

const LIMIT: Duration = Duration::from_secs(90);

/// The cluster's commands need its configuration, and a home of their own.
pub(crate) fn at(cluster: &Cluster, home: &TempDir, mut command: Command) -> Command {
    command.env("SLURM_CONF", cluster.conf()).env("HOME", home.path());
    command
}

/// What the ranks came to, as rank 0 says.
fn result(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said = ran.stdout.lines().find_map(|line| line.split_once("result of 4: "));
    said.unwrap_or_else(|| panic!("{ran:?}")).1.to_owned()
}

fn left(home: &TempDir) -> Vec<String> {
    let all = fs::read_dir(home.path().join(".fmi/jobs")).into_iter().flatten().flatten();
    let names = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name != ".lock").collect()
}

#[test]
fn whoever_starts_them_they_come_to_the_same() {
    let Some(cluster) = Cluster::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let program = rank_program("result");
    let expected = result(&finish(fmi_run(&["-n", "4"], "result"), LIMIT));
    let srun = at(&cluster, &home, under(&["srun", "-n", "4"], &program));
    assert_eq!(result(&finish(srun, LIMIT)), expected);
    // In an allocation Slurm's variables are those of the shell, or of mpirun's daemons.
    for mpirun in [
        &[
            "salloc",
            "-n",
            "4",
            "mpirun.openmpi",
            "--allow-run-as-root",
            "--oversubscribe",
            "-n",
            "4",
        ][..],
        &["salloc", "-n", "4", "mpirun.mpich", "-launcher", "fork", "-n", "4"],
        &["salloc", "-n", "4", env!("CARGO_BIN_EXE_fmi"), "run", "-n", "4", "--"],
        &[
            "salloc",
            "-n",
            "4",
            env!("CARGO_BIN_EXE_fmi"),
            "run",
            "--on",
            "slurm",
            "-n",
            "4",
            "--packs",
            "2",
            "--",
        ],
    ] {
        let there = Command::new(mpirun[3]).arg("--version").output().is_ok();
        if !there {
            eprintln!("skipped: there is no {}", mpirun[3]);
            continue;
        }
        let command = at(&cluster, &home, under(mpirun, &program));
        assert_eq!(result(&finish(command, LIMIT)), expected, "{mpirun:?}");
    }
    // The script of a batch job is no rank, but what it starts by srun is.
    let batch = at(&cluster, &home, fmi_run(&["--on", "slurm", "-n", "4", "--results"], "result"));
    let ran = finish(batch, LIMIT);
    assert_eq!(result(&ran), expected);
    assert!(ran.stdout.contains("{\"rank\":3,\"result\":9}"), "{ran:?}");
    assert!(left(&home).is_empty(), "{:?}", left(&home));
}

#[test]
fn failures_and_ends() {
    let Some(cluster) = Cluster::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let script = "[ $SLURM_PROCID = 1 ] && exit 3; sleep 600";
    let fmi = env!("CARGO_BIN_EXE_fmi");
    let run = |options: &[&str], script: &str| {
        let mut all = vec!["run", "--on", "slurm", "-n", "2"];
        all.extend(options);
        all.extend(["--", "sh", "-c", script]);
        at(&cluster, &home, crate::support::fmi(&all))
    };
    let inside = |command: &Command| {
        let mut launcher = vec!["salloc", "-n", "2", fmi];
        launcher.extend(command.get_args().filter_map(|word| word.to_str()));
        let mut outer = Command::new(launcher[0]);
        outer.args(&launcher[1..]);
        at(&cluster, &home, outer)
    };
    let ran = finish(inside(&run(&[], script)), LIMIT);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let ran = finish(run(&["--output", "json"], script), LIMIT);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stdout.contains("task 1: Exited with exit code 3"), "{ran:?}");
    let ran = finish(run(&["--deadline", "1 s", "--json"], "sleep 600"), LIMIT);
    assert_eq!(ran.code, Some(124), "{ran:?}");
    assert_eq!(json_line(&ran.stdout)["exit_code"], 124);
    // Ctrl-C cancels what is in the queue or runs.
    let mut job = Running::start(run(&["--output", "prefixed"], "echo waiting $$; sleep 600"));
    for _ in 0..2 {
        job.line("waiting ");
    }
    job.signal(libc::SIGINT);
    let (code, took) = job.end(LIMIT);
    assert_eq!(code, Some(130));
    assert!(took < Duration::from_secs(15), "{took:?}");
    let end = std::time::Instant::now() + LIMIT;
    while cluster.jobs() > 0 {
        assert!(std::time::Instant::now() < end, "the job goes on");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_script_is_printed() {
    let options = ["run", "--on", "slurm", "-n", "8", "--packs", "2", "--dry-run", "--", "./prog"];
    let mut command = fmi(&options);
    command.env_remove("SLURM_JOB_ID");
    let ran = finish(command, LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.starts_with("#!/bin/sh\n#SBATCH --job-name=fmi-prog\n"), "{ran:?}");
    assert!(ran.stdout.contains("export FMI_SIZE=8\nexport FMI_PACKS=2\n"), "{ran:?}");
    let mut inside = fmi(&options);
    inside.env("SLURM_JOB_ID", "7");
    let ran = finish(inside, LIMIT);
    assert!(ran.stdout.starts_with("FMI_SIZE=8 FMI_PACKS=2 srun --ntasks=2 "), "{ran:?}");
}
