"""The programs: what they need, how they are built and called."""

import glob
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "benches" / "peers"
CORES = len(os.sched_getaffinity(0))

# What each needs, programs and files, and the Debian packages that have it.
NEEDS = {
    "fmi": (("cargo", "cc"), ""),
    "openmpi": (
        ("mpicc.openmpi", "mpirun.openmpi", "/usr/lib/*/openmpi/include/mpi.h"),
        "openmpi-bin libopenmpi-dev",
    ),
    "mpich": (
        ("mpicc.mpich", "mpiexec.mpich", "/usr/include/*/mpich/mpi.h"),
        "mpich libmpich-dev",
    ),
    "gloo": (("g++", "/usr/include/gloo/config.h"), "g++ libgloo-dev"),
    "redis": (("redis-server",), "redis-server"),
}

# Without the yield flag Open MPI is a thousand times slower where ranks exceed cores, and winning
# against that is no win. Its TCP is told to use the loopback device, as fmi does here.
OPENMPI = "--oversubscribe --mca mpi_yield_when_idle 1 --mca pml ob1".split()
OPENMPI_OVER = {
    "tcp": "--mca btl tcp,self --mca btl_tcp_if_include lo".split(),
    "shm": "--mca btl vader,self".split(),
}
# MPICH shares memory between processes of a machine if it is not told that each is on another. It
# has no flag like Open MPI's to yield that we found.
MPICH_OVER = {
    "tcp": {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self", "UCX_NET_DEVICES": "lo"},
    "shm": {},
}
# Where its ranks spin on cores that others need, a case takes seconds whatever the aim: then a few
# iterations do, and those in one round only.
SPINNING_LEAST = 3
FMI_OVER = {
    "tcp": "--channel tcp --layout processes".split(),
    "shm": "--channel shm --layout processes".split(),
    "pack": "--channel local --layout threads".split(),
    "packs": "--channel tcp --layout processes --packs 2".split(),
}
# Of fmi's plans those that are compared with each other.
ALGORITHMS = {("fmi", "packs"): "packed", ("flat", "packs"): "pairwise"}


# What fmi exits with if it is asked for what it does not have.
USAGE = 2


def spins(runner, ranks):
    return runner.program == "mpich" and ranks > CORES


def missing(programs):
    """What is not there, as (program, names, packages)."""
    for program in programs:
        names, packages = NEEDS[program]
        lacking = [name for name in names if not (shutil.which(name) or glob.glob(name))]
        if lacking:
            yield program, lacking, packages


def install(packages):
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        sys.exit(f"only root can install: sudo {' '.join(command)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-q"], command):
        if subprocess.run(command, env=environment).returncode != 0:
            sys.exit(f"failed: {' '.join(command)}")


class Programs:
    """Those that are built, ready to be called."""

    def __init__(self, names):
        metadata = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
        target = Path(json.loads(subprocess.check_output(metadata, cwd=ROOT))["target_directory"])
        self.fmi = target / "release" / "fmi"
        self.redis = target / "release" / "redis-bench"
        self.peers = target / "peers"
        self.names = names
        # For where a peer cannot be told by an argument.
        self.known = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("FMI_", "OMPI_", "MPIR_", "UCX_"))
        }

    def build(self):
        run("cargo build --release -p fmi-cli")
        if "redis" in self.names:
            run("cargo build --release -p redis-bench")
        self.peers.mkdir(exist_ok=True)
        c = "-O2 -Wall -Wextra"
        run(f"cc {c} -o {self.peers}/raw {SOURCES}/raw.c -lpthread")
        for mpi in {"openmpi", "mpich"} & set(self.names):
            run(f"mpicc.{mpi} {c} -o {self.peers}/{mpi} {SOURCES}/mpi.c")
        if "gloo" in self.names:
            run(f"g++ {c} -o {self.peers}/gloo {SOURCES}/gloo.cc -lgloo -lpthread")

    def call(self, runner, ranks, ops, lengths, seconds):
        """The command line and the environment that measure all these operations with all these
        lengths."""
        what = [
            "--op",
            ",".join(ops),
            "--bytes",
            ",".join(map(str, lengths)),
            "--time",
            str(seconds),
        ]
        program, over = runner
        environment = {**self.known, "PEER_OVER": over}
        if program in ("fmi", "flat"):
            if (program, over) in ALGORITHMS:
                what += ["--algorithm", ALGORITHMS[program, over]]
            bench = [self.fmi, "bench", *FMI_OVER[over], "--ranks", str(ranks), *what, "--json"]
            return bench, environment
        least = SPINNING_LEAST if spins(runner, ranks) else 10
        peer = [self.peers / program, *what, "--least", str(least)]
        if program == "openmpi":
            # It refuses to run as root without, and containers have nobody else.
            root = ["--allow-run-as-root"] if os.geteuid() == 0 else []
            flags = [*root, *OPENMPI, *OPENMPI_OVER[over]]
            return ["mpirun.openmpi", *flags, "-n", str(ranks), *peer], environment
        if program == "mpich":
            return ["mpiexec.mpich", "-n", str(ranks), *peer], {**environment, **MPICH_OVER[over]}
        return peer, {**environment, "RANKS": str(ranks)}

    def start(self, ranks):
        """One allreduce of so many ranks of a pack, and no more."""
        what = f"--op allreduce --bytes 4 --ranks {ranks} --iters 1 --warmup 0 --json"
        return [self.fmi, "bench", *FMI_OVER["pack"], *what.split()], self.known

    def no_shm(self):
        """Why fmi does not share memory between processes, or None. That it tries and fails is no
        reason to leave it out."""
        what = "--ranks 2 --op barrier --iters 1 --json".split()
        command = [self.fmi, "bench", *FMI_OVER["shm"], *what]
        done = subprocess.run(command, capture_output=True, text=True, env=self.known, timeout=60)
        return done.stderr.strip() if done.returncode == USAGE else None

    def versions(self):
        commit = output(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"]).strip()
        said = {"fmi": " ".join([*output([self.fmi, "--version"]).split(), commit])}
        if "openmpi" in self.names:
            first, *_ = output(["mpirun.openmpi", "--version"]).splitlines()
            said["openmpi"] = f"Open MPI {first.split()[-1]}"
        if "mpich" in self.names:
            words = dict(
                line.split(":", 1) for line in output(["mpichversion"]).splitlines() if ":" in line
            )
            version, device = words["MPICH Version"].strip(), words["MPICH Device"].strip()
            said["mpich"] = f"MPICH {version} ({device})"
        if "gloo" in self.names:
            package = output(["dpkg-query", "-W", "-f", "${Version}", "libgloo-dev"])
            said["gloo"] = f"Gloo {package}".strip()
        if "redis" in self.names:
            said["redis"] = " ".join(output(["redis-server", "--version"]).split()[:3])
        return said


def machine():
    """Its processor, by name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def run(command):
    if subprocess.run(command.split(), cwd=ROOT).returncode != 0:
        sys.exit(f"failed: {command}")


def output(command):
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout
    except FileNotFoundError:
        return ""
