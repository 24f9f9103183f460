//! A real Slurm of one node for tests: munged, slurmctld and slurmd in a directory of their own, on free
//! ports, ended when it is dropped.
//!
//! Without the programs, or where this is not root, the tests say so and are skipped, unless
//! `FMI_TEST_SLURM=required`.

use std::{
    fmt, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long it may take to start.
const START: Duration = Duration::from_secs(60);
/// How long its jobs may take to end.
const END: Duration = Duration::from_secs(15);
/// Tasks that the node takes at once, however many cores the machine has.
const CPUS: u32 = 16;

/// A cluster that runs.
pub struct Cluster {
    directory: PathBuf,
    daemons: Vec<Child>,
}

impl Cluster {
    /// Starts one; `None`, having said why, if that is not possible here.
    ///
    /// # Panics
    /// When it does not start, or is required and not there.
    pub fn start() -> Option<Self> {
        if let Some(why) = lacking() {
            let required = std::env::var("FMI_TEST_SLURM").is_ok_and(|value| value == "required");
            assert!(!required, "FMI_TEST_SLURM=required, but {why}");
            eprintln!("skipped: {why}");
            return None;
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("fmi-slurm-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        for part in ["state", "spool"] {
            fs::create_dir_all(directory.join(part)).expect("a directory for Slurm");
        }
        let mut cluster = Self { directory, daemons: Vec::new() };
        cluster.launch();
        Some(cluster)
    }

    /// A program that uses this cluster.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("SLURM_CONF", self.file("slurm.conf"));
        command
    }

    /// `SLURM_CONF`, for programs that are started otherwise.
    pub fn conf(&self) -> PathBuf {
        self.file("slurm.conf")
    }

    /// Jobs that are in the queue, run, or are about to end.
    pub fn jobs(&self) -> usize {
        let listed = self.command("squeue").args(["--noheader", "--states=PD,R,CG"]).output();
        String::from_utf8_lossy(&listed.expect("squeue runs").stdout).lines().count()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn launch(&mut self) {
        let (key, socket) = (self.file("munge.key"), self.file("munge.sock"));
        // It guards a test on a machine of its own.
        fs::write(&key, format!("{:0128}", std::process::id())).expect("a key is written");
        private(&key);
        let mut munged = Command::new(program("munged").expect("it was there"));
        munged.arg("--foreground").arg("--force").arg(argument("--socket", &socket));
        for (option, name) in [
            ("--key-file", "munge.key"),
            ("--pid-file", "munged.pid"),
            ("--log-file", "munged.log"),
            ("--seed-file", "munge.seed"),
        ] {
            munged.arg(argument(option, &self.file(name)));
        }
        self.daemon(munged);
        self.wait("munged", || socket.exists());
        fs::write(self.conf(), self.configuration()).expect("the configuration is written");
        for name in ["slurmctld", "slurmd"] {
            let mut daemon = self.command(&program(name).expect("it was there"));
            daemon.arg("-D").arg("-f").arg(self.conf());
            self.daemon(daemon);
        }
        self.wait("Slurm", || {
            let info = self.command("sinfo").args(["--noheader", "-o", "%T"]).output();
            info.is_ok_and(|info| info.stdout.starts_with(b"idle"))
        });
    }

    fn daemon(&mut self, mut command: Command) {
        let log = fs::File::options().create(true).append(true).open(self.file("log"));
        let log = log.expect("a log");
        let again = log.try_clone().expect("a second handle of the log");
        let started = command.stdin(Stdio::null()).stdout(log).stderr(again).spawn();
        self.daemons.push(started.expect("a daemon starts"));
    }

    fn wait(&self, what: &str, ready: impl Fn() -> bool) {
        let end = Instant::now() + START;
        while !ready() {
            if Instant::now() > end {
                let log = fs::read_to_string(self.file("log")).unwrap_or_default();
                panic!("{what} does not start:\n{log}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn configuration(&self) -> String {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = host.trim().split('.').next().unwrap_or("localhost").to_owned();
        let [control, node] = free_ports();
        let directory = self.directory.display();
        format!(
            "ClusterName=fmi\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\n\
             AuthType=auth/munge\nAuthInfo=socket={directory}/munge.sock\nCredType=cred/munge\n\
             SlurmctldPort={control}\nSlurmdPort={node}\nStateSaveLocation={directory}/state\n\
             SlurmdSpoolDir={directory}/spool\nSlurmctldPidFile={directory}/slurmctld.pid\n\
             SlurmdPidFile={directory}/slurmd.pid\nProctrackType=proctrack/linuxproc\n\
             TaskPlugin=task/none\nMpiDefault=none\nSelectType=select/cons_tres\n\
             SelectTypeParameters=CR_Core\nJobAcctGatherType=jobacct_gather/none\n\
             AccountingStorageType=accounting_storage/none\nSwitchType=switch/none\n\
             ReturnToService=2\nMailProg=/bin/true\nKillWait=3\nSlurmdParameters=config_overrides\n\
             SchedulerParameters=sched_min_interval=1,batch_sched_delay=0\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs={CPUS} State=UNKNOWN\n\
             PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP\n"
        )
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What a test has left behind goes first: the daemons of its steps would outlive the others.
        let end = Instant::now() + END;
        while self.daemons.len() > 1 && self.jobs() > 0 && Instant::now() < end {
            let all = ["--signal=KILL", "--full", "--quiet", "--user=root"];
            let _ = self.command("scancel").args(all).status();
            thread::sleep(Duration::from_millis(100));
        }
        for daemon in self.daemons.iter_mut().rev() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// What is not there.
fn lacking() -> Option<String> {
    let programs = ["munged", "slurmctld", "slurmd", "srun", "sbatch"];
    if let Some(missing) = programs.into_iter().find(|name| program(name).is_none()) {
        return Some(format!("there is no {missing} (apt-get install slurm-wlm munge)"));
    }
    use std::os::unix::fs::MetadataExt;
    let root = fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0);
    (!root).then(|| "only root can start Slurm's node".to_owned())
}

/// Daemons are not in everybody's PATH.
fn program(name: &str) -> Option<String> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&paths).chain(more).map(|path| path.join(name));
    found.into_iter().find(|path| path.is_file())?.to_str().map(str::to_owned)
}

fn argument(option: &str, path: &Path) -> String {
    format!("{option}={}", path.display())
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("rights are set");
}

/// Ports that are free now.
fn free_ports() -> [u16; 2] {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("it has one").port())
}
