"""What the bare machine would take for the bytes of a case, measured by peers/raw.c in the same
rounds.

tcp    As many bytes as have to cross between processes in all, by raw TCP. A link keeps two cores
       busy, one at each end, so `cores / 2` of them carry at a time.
shm    The same bytes, copied once by two threads; a cache line from core to core at least.
pack   What is handed over takes a cache line. Only reductions have to touch their bytes: as many are
       read and written as need be if ranks write their own memory only, at the speed of a copy by
       two threads (a copied byte is read once and written once).
packs  The bytes that cross between two packs, by raw TCP.
redis  A `PUBLISH` until its subscriber has it (benches/redis).

They are bounds but for caches: what many ranks read may be in one already.
"""

import math


class Limits:
    def __init__(self, raw, cores):
        """`raw` has µs by (operation of raw.c, bytes)."""
        self.raw, self.cores = raw, cores

    def of(self, over, case):
        """In µs; None where it was not measured, or nothing is counted."""
        bounds = {
            "tcp": self.tcp,
            "shm": self.shm,
            "pack": self.pack,
            "packs": self.packs,
            "redis": self.redis,
        }
        try:
            return bounds[over](case)
        except LookupError:
            return None

    def tcp(self, case):
        in_all, busiest = crossing(case)
        return self.at("tcp", max(1, busiest, in_all * 2 / self.cores))

    def shm(self, case):
        in_all, _ = crossing(case)
        # Of a ping-pong only one side is at work.
        copy = "copy" if case.op == "pingpong" else "copies"
        return max(self.raw["line", 64], self.at(copy, in_all) if in_all else 0)

    def pack(self, case):
        if case.op == "start":
            raise LookupError
        moved = touched(case) / 2
        return max(self.raw["line", 64], self.at("copies", moved) if moved else 0)

    def packs(self, case):
        """Two of them, and alltoall alone: half of all bytes cross."""
        return self.at("tcp", case.ranks * case.bytes / self.cores)

    def redis(self, case):
        return self.raw["publish", 1]

    def at(self, op, length):
        """Between two measured lengths on a straight line, both axes logarithmic; beyond the last
        in proportion."""
        points = sorted((b, us) for (name, b), us in self.raw.items() if name == op)
        if not points:
            raise LookupError
        if length <= points[0][0]:
            return points[0][1]
        for (b1, t1), (b2, t2) in zip(points, points[1:]):
            if length <= b2:
                share = math.log(length / b1) / math.log(b2 / b1)
                return t1 * (t2 / t1) ** share
        b1, t1 = points[-1]
        return t1 * length / b1


def crossing(case):
    """The least bytes that cross between ranks in all, and to or from the busiest rank."""
    op, n, b = case
    return {
        "pingpong": (b, b),
        "barrier": (0, 0),
        "bcast": ((n - 1) * b, b),
        "gather": ((n - 1) * b, (n - 1) * b),
        "scatter": ((n - 1) * b, (n - 1) * b),
        "allgather": (n * (n - 1) * b, (n - 1) * b),
        "alltoall": ((n - 1) * b, (n - 1) * b / n),
        "reduce": ((n - 1) * b, b),
        "allreduce": (2 * (n - 1) * b, 2 * (n - 1) * b / n),
        "reduce_scatter": ((n - 1) * b, (n - 1) * b / n),
        "scan": ((n - 1) * b, b),
        "exscan": ((n - 1) * b, b),
    }[op]


def touched(case):
    """The least bytes that are read and written in a pack: each input is read; of an allreduce each
    rank adds up its share and reads the others', of a scan it reads what those before it have."""
    op, n, b = case
    if op in ("allreduce", "scan", "exscan"):
        return (n + n - 1) * b + n * b
    if op in ("reduce", "reduce_scatter"):
        return n * b + b
    return 0
