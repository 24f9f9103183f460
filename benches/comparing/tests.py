"""`cd benches && python3 -m unittest comparing.tests`: nothing is measured."""

import contextlib
import io
import json
import types
import unittest
import xml.etree.ElementTree

from . import limits, peers, plots, results, running, tables
from .cases import GOALS, GROUPS, START, Case, Group, Runner, can, chosen, size

ABOUT = {
    "date": "2026-01-02",
    "machine": "a machine",
    "cores": 2,
    "load": 0.1,
    "system": "Linux",
    "rounds": 3,
    "time": 0.1,
    "versions": {"fmi": "fmi 0"},
    "command": "benches/compare",
    "groups": ["tcp"],
    "notes": ["shm. Not built"],
}
FMI, OPENMPI = Runner("fmi", "tcp"), Runner("openmpi", "tcp")


def row(runner, case, number, **more):
    return {"round": number, **runner._asdict(), **case._asdict(), **more}


def group(name):
    return next(group for group in GROUPS if group.name == name)


def some():
    """Allreduces of 4 bytes among 2 (ahead) and 4 (behind the goal), and a failed one."""
    rows = []
    for number in (1, 2, 3):
        for ranks, factor in ((2, 0.5), (4, 0.9)):
            case = Case("allreduce", ranks, 4)
            rows.append(row(OPENMPI, case, number, median_us=100.0 + number))
            rows.append(row(FMI, case, number, median_us=factor * (100.0 + number)))
        rows += [row(running.RAW, Case("tcp", 1, b), number, median_us=4.0) for b in (1, 1024)]
    failed = Case("allreduce", 8, 4)
    rows += [row(FMI, failed, 1, failed="exit code 1"), row(OPENMPI, failed, 1, median_us=1.0)]
    return results.read(json.dumps(line) for line in (ABOUT, *rows))


class Cases(unittest.TestCase):
    def test_every_cell_of_the_goals_is_there(self):
        for name in ("pingpong-tcp", "pingpong-shm", "tcp", "shm", "pack"):
            for case in group(name).cases:
                goals = [
                    g
                    for g in GOALS
                    if name in g.groups and g.other == "openmpi" and g.most(case, 2)
                ]
                self.assertEqual(len(goals), 1, (name, case))
        self.assertEqual(len(group("tcp").cases), 3 * 41)
        self.assertEqual({case.ranks for case in group("pack").cases}, {2, 4, 8, 64})

    def test_blocks_are_not_empty(self):
        self.assertIn(Case("alltoall", 8, 32), group("tcp").cases)
        self.assertNotIn(Case("alltoall", 8, 4), group("tcp").cases)

    def test_names_and_choice(self):
        self.assertEqual(
            [size(b) for b in (0, 4, 1024, 20_000, 64 << 20, 4_000_000)],
            ["0 B", "4 B", "1 KiB", "20 KB", "64 MiB", "4 MB"],
        )
        (one,) = chosen(["tcp"], "allreduce 4 B, 8 ranks")
        self.assertEqual(one.cases, (Case("allreduce", 8, 4),))
        self.assertEqual(len(list(chosen([], ""))), len(GROUPS))

    def test_what_a_program_cannot_do(self):
        self.assertFalse(can(Runner("gloo", "tcp"), Case("scan", 2, 4)))
        large = Case("allgather", 64, 4_000_000)
        self.assertFalse(can(Runner("openmpi", "shm"), large))
        self.assertTrue(can(Runner("fmi", "pack"), large))


class Figures(unittest.TestCase):
    def test_ratios_are_of_medians_and_know_their_goal(self):
        found, tcp = some(), group("tcp")
        ratio = found.ratio(tcp, Case("allreduce", 2, 4), "openmpi")
        self.assertAlmostEqual(ratio.value, 0.5)
        self.assertEqual((ratio.most, ratio.missed), (1.0, 0.0))
        ratio = found.ratio(tcp, Case("allreduce", 4, 4), "openmpi")
        self.assertAlmostEqual(ratio.missed, 0.9 / 0.7 - 1)
        self.assertIsNone(found.ratio(tcp, Case("allreduce", 8, 4), "openmpi"))
        self.assertIsNone(found.ratio(tcp, Case("allreduce", 2, 4), "gloo"))

    def test_a_summary_counts_what_failed(self):
        lines = {name: rest for name, *rest in some().summary([group("tcp")])}
        met, count, absent, worst = lines["collectives over TCP, n > cores, ≤ 0.7 of Open MPI"]
        self.assertEqual((met, count), (0, 2))
        self.assertEqual((absent, worst[1].ranks), (1, 4))


class Limits(unittest.TestCase):
    def test_between_and_beyond_what_is_measured(self):
        found = limits.Limits({("tcp", 1): 4.0, ("tcp", 100): 40.0, ("line", 64): 0.1}, 2)
        self.assertAlmostEqual(found.at("tcp", 10), 4 * 10**0.5)
        self.assertAlmostEqual(found.at("tcp", 200), 80)
        self.assertEqual(found.at("tcp", 0), 4)
        self.assertEqual(found.of("tcp", Case("barrier", 8, 0)), 4)
        self.assertEqual(found.of("tcp", Case("bcast", 3, 100)), 80)
        self.assertEqual(found.of("pack", Case("bcast", 8, 1000)), 0.1)
        self.assertIsNone(found.of("pack", Case("allreduce", 8, 1000)))
        self.assertIsNone(found.of("pack", START))

    def test_bytes(self):
        self.assertEqual(limits.crossing(Case("allreduce", 2, 10)), (20, 10))
        self.assertEqual(limits.crossing(Case("allgather", 4, 10)), (120, 30))
        self.assertEqual(limits.touched(Case("allreduce", 8, 2)), 46)
        self.assertEqual(limits.touched(Case("bcast", 8, 2)), 0)


class Texts(unittest.TestCase):
    def test_tables(self):
        text = tables.document(some(), [group("tcp")], [("title", "pictures/tcp.svg")])
        self.assertIn("| allreduce 4 B | 51.0 (50.5 to 51.5) | 4.00 | 102 | 0.50 |", text)
        self.assertIn("| **0.90, goal 0.7: +29%** |", text)
        self.assertIn("| allreduce 4 B | failed | 4.00 | 1.00 | – |", text)
        self.assertIn("![title](pictures/tcp.svg)", text)
        self.assertIn("Not measured: shm. Not built", text)
        self.assertIn(
            "| 0 of 2 (1 without figures) | **0.90** (+29%) | allreduce 4 B, n = 4 |", text
        )

    def test_numbers(self):
        self.assertEqual(
            [tables.us(t) for t in (0.123, 12.34, 123.4, 12345.6)],
            ["0.12", "12.3", "123", "12,346"],
        )
        self.assertEqual(
            [tables.number(r) for r in (0.0001, 0.0123, 1.234, 12.34, 1234)],
            ["< 0.001", "0.012", "1.23", "12.3", "1,234"],
        )

    def test_a_page_keeps_the_rest(self):
        page = "a\n<!-- compare: begin -->old<!-- compare: end -->\nb\n"
        new = "a\n<!-- compare: begin -->\n\nnew\n\n<!-- compare: end -->\nb\n"
        self.assertEqual(tables.replaced(page, "new\n"), new)
        self.assertEqual(tables.replaced(new, "new\n"), new)
        with self.assertRaises(ValueError):
            tables.replaced("no marks", "new")

    def test_pictures(self):
        ((title, name, svg),) = plots.pictures(some(), [group("tcp")])
        self.assertEqual(
            (title, name), ("Collectives, processes over TCP: time to Open MPI's", "tcp")
        )
        self.assertEqual([(title, name, svg)], list(plots.pictures(some(), [group("tcp")])))
        words = "".join(xml.etree.ElementTree.fromstring(svg).itertext())
        for word in ("ratio, n = 2", "ratio, n = 4", "allreduce", "goal 0.7", "4 B"):
            self.assertIn(word, words)
        self.assertNotIn("n = 8", words)
        self.assertEqual(plots.spread_out([10, 11, 90], 0, 100), [10, 29, 90])
        self.assertEqual(
            [plots.duration(t) for t in (1e-6, 2e-4, 0.05, 1)], ["1 µs", "200 µs", "50 ms", "1 s"]
        )


class Pretended:
    """Programs that are shells: each answers with lines, then does something else."""

    names = ("fmi", "openmpi")

    def __init__(self, then):
        self.then = then

    def call(self, runner, ranks, ops, lengths, seconds):
        lines = [
            {"op": op, "ranks": ranks, "bytes": b, "iters": 1, "median_us": 1.5}
            for op in ops
            for b in lengths
        ]
        bad = next((n for n, line in enumerate(lines) if line["op"] == "scan"), len(lines))
        said = "\n".join(json.dumps(line) for line in lines[:bad])
        then = self.then if bad < len(lines) else "exit 0"
        return ["sh", "-c", f"echo '{said}'; {then}" if said else then], {}


class Running(unittest.TestCase):
    def measured(self, then, cases, patience=5):
        runs = Group("tcp", "", "tcp", FMI, (), cases)
        rows, errors, running.LAST = [], io.StringIO(), 0.1
        options = types.SimpleNamespace(rounds=2, time=0.1, patience=patience)
        with contextlib.redirect_stderr(errors):
            measuring = running.Measuring(Pretended(then), [runs], options, rows.append)
            measuring.all()
        return [row for row in rows if row["program"] == "fmi"], errors.getvalue()

    def test_a_failed_case_is_given_up_and_the_others_are_not(self):
        cases = (Case("reduce", 2, 4), Case("scan", 2, 4), Case("exscan", 2, 4))
        rows, errors = self.measured("echo no luck >&2; exit 3", cases)
        self.assertIn("scan 4 B, 2 ranks: exit code 3. no luck", errors)
        self.assertEqual(
            [(row["round"], row["op"], "failed" in row) for row in rows],
            [
                (1, "reduce", False),
                (1, "scan", True),
                (1, "exscan", False),
                (2, "reduce", False),
                (2, "exscan", False),
            ],
        )

    def test_who_says_nothing_has_failed(self):
        rows, _ = self.measured("sleep 60 & sleep 60", (Case("scan", 2, 4),), patience=0.2)
        self.assertEqual([row["failed"] for row in rows], ["no line for 0.2 s"])

    def test_one_start_for_the_same_lengths(self):
        cases = [
            Case("barrier", 2, 0),
            Case("scan", 2, 4),
            Case("alltoall", 2, 8),
            Case("reduce", 2, 4),
        ]
        starts = [(ops, lengths) for ops, lengths, _ in running.together(cases)]
        self.assertEqual(starts, [(["barrier", "scan", "reduce"], (4,)), (["alltoall"], (8,))])
        self.assertEqual([s[:2] for s in running.together(cases[:1])], [(["barrier"], (0,))])

    def test_all_take_turns(self):
        groups = [g._replace(cases=g.cases[-1:]) for g in (group("shm"), group("pack"))]
        groups[1] = groups[1]._replace(cases=groups[0].cases)
        measuring = running.Measuring(Pretended(""), groups, None, None)
        turns = [runner for runner, _, _ in measuring.turns()]
        self.assertEqual(
            turns, [Runner("fmi", "shm"), Runner("openmpi", "shm"), Runner("fmi", "pack")]
        )

    def test_peers_are_called_with_their_flags(self):
        programs = peers.Programs.__new__(peers.Programs)
        programs.peers, programs.known = peers.Path("/peers"), {}
        command, _ = programs.call(OPENMPI, 8, ["scan"], (4, 8), 0.1)
        words = " ".join(map(str, command))
        self.assertIn("--mca mpi_yield_when_idle 1", words)
        self.assertIn("-n 8 /peers/openmpi --op scan --bytes 4,8 --time 0.1", words)
        _, environment = programs.call(Runner("mpich", "tcp"), 8, ["scan"], (4,), 0.1)
        self.assertEqual(environment["MPIR_CVAR_NOLOCAL"], "1")


if __name__ == "__main__":
    unittest.main()
