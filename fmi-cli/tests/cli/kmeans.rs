//! One program, the example `kmeans`, however it is started: under each launcher `kmeans --check` comes to
//! the same, to the last bit. (Functions are in `examples/lambda/tests`.)

use crate::{
    foreign::{Home, MPIRUNS, mpirun_of},
    slurm::at,
    support::{Ran, clean, finish, fmi, json_line, under},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use test_servers::slurm::Cluster;

const LIMIT: Duration = Duration::from_secs(120);

/// The program; `None`, having said so, where it is not built.
fn program() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_fmi")).with_file_name("examples/kmeans");
    if path.exists() {
        return Some(path);
    }
    let required = ["FMI_TEST_MPI", "FMI_TEST_SLURM"];
    let required = required.iter().any(|name| std::env::var(name).is_ok_and(|v| v == "required"));
    assert!(!required, "there is no {}: run scripts/test, which builds it", path.display());
    eprintln!("skipped: there is no {} (scripts/test builds it)", path.display());
    None
}

/// `fmi run -n 4 OPTIONS -- kmeans ARGUMENTS`.
fn fmi_run(program: &Path, options: &[&str], arguments: &[&str]) -> Ran {
    let mut command = fmi(&["run", "-n", "4"]);
    command.args(options).arg("--").arg(program).args(arguments);
    finish(command, LIMIT)
}

/// What rank 0 printed, but for how long it took, and what it came to:
/// `{"epochs":…,"loss":…,"fingerprint":…}`.
type Came = (String, serde_json::Value);

/// Of `fmi run --results`, which prints a line for each rank at the end.
fn by_fmi(ran: &Ran) -> Came {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let result = ran.stdout.find("{\"rank\":0,").expect("a result");
    let (said, results) = ran.stdout.split_at(result);
    let result = json_line(results.lines().next().unwrap_or_default());
    (timeless(said), result["result"].clone())
}

fn timeless(said: &str) -> String {
    let (before, rest) = said.split_once(" epochs in ").expect("an end");
    let (_, loss) = rest.split_once(", ").expect("a loss");
    format!("{before} epochs, {loss}")
}

/// Of four processes that another launcher starts.
fn by_another(program: &Path, launch: impl FnOnce(&Command) -> Option<Command>) -> Option<Came> {
    let reports = tempfile::tempdir().unwrap();
    let mut kmeans = clean(Command::new(program), &["--check"]);
    kmeans.env("FMI_REPORT", reports.path());
    let ran = finish(launch(&kmeans)?, LIMIT);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let result = fs::read_to_string(reports.path().join("0.result")).expect("a result");
    Some((timeless(&ran.stdout), json_line(&result)))
}

#[test]
fn whoever_starts_it_it_comes_to_the_same() {
    let Some(program) = program() else { return };
    let expected = by_fmi(&fmi_run(&program, &["--results"], &["--check"]));
    for line in ["1797 rows of 64 features on 4 ranks", "bit-equal across two runs on 4 ranks: ok"]
    {
        assert!(expected.0.contains(line), "{expected:?}");
    }
    assert!(expected.1["fingerprint"].as_str().is_some_and(|bits| bits.len() == 16));
    for name in MPIRUNS {
        let home = Home::new();
        let came = by_another(&program, |kmeans| mpirun_of(name, &home, 4, kmeans));
        assert_eq!(came.unwrap_or_else(|| expected.clone()), expected, "{name}");
    }
    let Some(cluster) = Cluster::start() else { return };
    let home = tempfile::tempdir().unwrap();
    let srun = |kmeans: &Command| Some(at(&cluster, &home, under(&["srun", "-n", "4"], kmeans)));
    assert_eq!(by_another(&program, srun), Some(expected), "srun");
}

#[test]
fn it_times_what_others_have_measured() {
    let Some(program) = program() else { return };
    let shape = ["--shape", "lambdaml", "--rows", "2000", "--epochs", "3"];
    let ran = fmi_run(&program, &[], &shape);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("2000 rows of 28 features on 4 ranks"), "{ran:?}");
    let times = ran.stdout.lines().skip_while(|line| !line.starts_with("epoch ")).skip(1);
    let times: Vec<_> = times.take(3).map(|line| line.split_whitespace().count()).collect();
    assert_eq!(times, [4, 4, 4], "{ran:?}");
    assert!(ran.stdout.contains("1.348 ms through FMI"), "{ran:?}");
}
