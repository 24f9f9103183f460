"""What is measured, between whom, and what is to be reached."""

from typing import Callable, NamedTuple

KIB, MIB = 1 << 10, 1 << 20


class Runner(NamedTuple):
    """A program and what its ranks talk over: tcp, shm (processes that share memory), pack (ranks
    of one process) or packs (two processes of several ranks, over tcp)."""

    program: str
    over: str


class Case(NamedTuple):
    op: str
    ranks: int
    bytes: int

    @property
    def name(self):
        return self.op if self.op == "barrier" else f"{self.op} {size(self.bytes)}"


class Group(NamedTuple):
    """One kind of case: ours, and those who do the same."""

    name: str
    title: str
    # Groups of one kind are measured together, so that a peer's figures serve all of them.
    kind: str
    ours: Runner
    theirs: tuple
    cases: tuple


PROGRAMS = {"fmi": "fmi", "flat": "fmi, flat plans", "openmpi": "Open MPI", "mpich": "MPICH", "gloo": "Gloo"}

OVER_TCP = (Runner("openmpi", "tcp"), Runner("mpich", "tcp"), Runner("gloo", "tcp"))
IN_MEMORY = (Runner("openmpi", "shm"), Runner("mpich", "shm"))

COLLECTIVES = (
    *("barrier", "bcast", "gather", "scatter", "allgather", "alltoall"),
    *("reduce", "allreduce", "reduce_scatter", "scan", "exscan"),
)
# Their bytes are in total over a block for each rank.
IN_BLOCKS = ("alltoall", "reduce_scatter")
LENGTHS = (4, 20_000, 1_000_000, 4_000_000)


def pingpongs():
    return tuple(Case("pingpong", 2, b) for b in (1, KIB, 64 * KIB, MIB, 64 * MIB))


def collectives(*ranks):
    return tuple(case for n in ranks for op in COLLECTIVES for case in lengths(op, n))


def lengths(op, ranks):
    if op == "barrier":
        return [Case(op, ranks, 0)]
    # Less than a number a block would be nothing to do.
    least = 4 * ranks if op in IN_BLOCKS else 0
    return [Case(op, ranks, max(b, least)) for b in LENGTHS]


TCP, SHM, PACK = Runner("fmi", "tcp"), Runner("fmi", "shm"), Runner("fmi", "pack")
START = Case("start", 1000, 4)
GROUPS = (
    Group("pingpong-tcp", "Ping-pong, processes over TCP", "tcp", TCP, OVER_TCP, pingpongs()),
    Group(
        "pingpong-shm",
        "Ping-pong, processes over shared memory",
        "memory",
        SHM,
        IN_MEMORY,
        pingpongs(),
    ),
    Group("pingpong-pack", "Ping-pong, ranks of a pack", "memory", PACK, IN_MEMORY, pingpongs()),
    Group("tcp", "Collectives, processes over TCP", "tcp", TCP, OVER_TCP, collectives(2, 4, 8)),
    Group(
        "shm",
        "Collectives, processes over shared memory",
        "memory",
        SHM,
        IN_MEMORY,
        collectives(2, 4, 8),
    ),
    Group(
        "pack", "Collectives, ranks of a pack", "memory", PACK, IN_MEMORY, collectives(2, 4, 8, 64)
    ),
    Group(
        "start",
        "1,000 ranks of a pack: from the start to the first allreduce",
        "start",
        PACK,
        (),
        (START,),
    ),
    Group(
        "packs",
        "Alltoall in two packs over TCP: one message from pack to pack, or one from rank to rank",
        "packs",
        Runner("fmi", "packs"),
        (Runner("flat", "packs"),),
        (Case("alltoall", 8, 20_000), Case("alltoall", 8, 1_000_000)),
    ),
    Group(
        "redis",
        "Processes over Redis",
        "redis",
        Runner("fmi", "redis"),
        (),
        (Case("pingpong", 2, 1), Case("allreduce", 8, 4)),
    ),
)


class Goal(NamedTuple):
    """In these groups, where `most` says a number, fmi takes at most so many times what another
    program (or `limit`, the bare machine) takes; or at most so many µs, where there is no other."""

    name: str
    groups: tuple
    other: str
    most: Callable  # of a case and the number of cores; None: not there


def where(condition, most):
    return lambda case, cores: most if condition(case, cores) else None


def few(case, cores):
    return case.ranks <= cores


def many(case, cores):
    return case.ranks > cores


def always(case, cores):
    return True


GOALS = (
    Goal(
        "ping-pong over TCP to 64 KiB, ≤ 0.8 of Open MPI",
        ("pingpong-tcp",),
        "openmpi",
        where(lambda case, _: case.bytes <= 64 * KIB, 0.8),
    ),
    Goal(
        "ping-pong over TCP from 1 MiB, ≤ 1.0 of Open MPI",
        ("pingpong-tcp",),
        "openmpi",
        where(lambda case, _: case.bytes > 64 * KIB, 1.0),
    ),
    Goal(
        "ping-pong over shared memory, ≤ 1.0 of Open MPI",
        ("pingpong-shm",),
        "openmpi",
        where(always, 1.0),
    ),
    Goal(
        "collectives over TCP, n ≤ cores, ≤ 1.0 of Open MPI", ("tcp",), "openmpi", where(few, 1.0)
    ),
    Goal(
        "collectives over TCP, n > cores, ≤ 0.7 of Open MPI", ("tcp",), "openmpi", where(many, 0.7)
    ),
    Goal(
        "collectives over shared memory, ≤ 1.0 of Open MPI", ("shm",), "openmpi", where(always, 1.0)
    ),
    Goal(
        "collectives in a pack, n = 2, ≤ 1.0 of Open MPI's shared memory",
        ("pack",),
        "openmpi",
        where(lambda case, _: case.ranks == 2, 1.0),
    ),
    Goal(
        "collectives in a pack, n > 2, ≤ 0.4 of Open MPI's shared memory",
        ("pack",),
        "openmpi",
        where(lambda case, _: case.ranks > 2, 0.4),
    ),
    # Of f32, as all reductions here: as many bytes and as many instructions as of f64.
    Goal(
        "allreduce 4 MB in a pack, n ≤ 8, ≤ 1.5 of the memory's limit",
        ("pack",),
        "limit",
        where(lambda case, _: case[::2] == ("allreduce", 4_000_000) and case.ranks <= 8, 1.5),
    ),
    Goal("all over TCP, ahead of Gloo", ("pingpong-tcp", "tcp"), "gloo", where(always, 1.0)),
    Goal("all with n > cores, ahead of MPICH", ("tcp", "shm", "pack"), "mpich", where(many, 1.0)),
    Goal(
        "all in memory with n ≤ cores, ≤ 1.3 of MPICH",
        ("pingpong-shm", "shm", "pack"),
        "mpich",
        where(few, 1.3),
    ),
    Goal("alltoall in two packs, ≤ 0.5 of a flat plan", ("packs",), "flat", where(always, 0.5)),
    Goal("1,000 ranks to their first allreduce, ≤ 150 ms", ("start",), "", where(always, 150_000)),
)


def can(runner, case):
    """Whether a program has this operation, and the machine room for it."""
    if runner.program == "gloo" and case.op in ("scan", "exscan"):
        return False
    # Its ranks never give up the core they wait on: 64 of them on a few cores take minutes a case.
    if runner.program == "mpich" and case.ranks > 8:
        return False
    # Here each of the processes holds everybody's bytes; ranks of a pack share them.
    room = 8 << 30
    return not (
        runner.over != "pack" and case.op == "allgather" and case.ranks**2 * case.bytes > room
    )


def size(count):
    units = ((MIB, "MiB"), (KIB, "KiB"), (1_000_000, "MB"), (1000, "KB"))
    for unit, name in units:
        if count and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} B"


def chosen(groups, only):
    """The groups of these names (all, if none), with the cases that contain a text."""
    for group in GROUPS:
        if groups and group.name not in groups:
            continue
        cases = tuple(c for c in group.cases if only in f"{group.name}: {c.name}, {c.ranks} ranks")
        if cases:
            yield group._replace(cases=cases)
