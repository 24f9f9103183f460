"""Rounds in which all programs take turns, so that what disturbs the machine disturbs all of them."""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from .cases import IN_BLOCKS, START, Case, Runner, can
from .peers import spins

RAW = Runner("raw", "machine")
RAW_LENGTHS = tuple(4**k for k in range(14))  # 1 B to 64 MiB
# What a program may take to end after its last line. MPICH may take minutes, with more ranks than
# cores; it is not needed any more.
LAST = 3


class Silent(Exception):
    """A program that should say something does not."""


class Measuring:
    """A run. `report` gets each row when it is there."""

    def __init__(self, programs, groups, options, report):
        self.programs, self.groups, self.options = programs, groups, options
        self.report, self.round = report, 0
        # What has failed once would only take time again.
        self.given_up = set()

    def all(self):
        for self.round in range(1, self.options.rounds + 1):
            self.batch(
                RAW, [Case(op, 1, b) for op in ("tcp", "copy", "copies") for b in RAW_LENGTHS]
            )
            self.batch(RAW, [Case("line", 1, 64)])
            for runner, ranks, cases in self.turns():
                if self.round == 1 or not spins(runner, ranks):
                    self.batch(runner, cases)
            if any(group.kind == "start" for group in self.groups):
                self.start()
            if any(group.kind == "redis" for group in self.groups):
                self.redis()
        progress("")

    def turns(self):
        """Who measures which cases, in turn: what takes a start of each program, then the next."""
        kinds = {}
        for group in self.groups:
            for case in group.cases if group.kind in ("tcp", "memory", "packs") else ():
                for runner in (group.ours, *group.theirs):
                    if runner.program in self.programs.names and can(runner, case):
                        start = group.kind, case.ranks, case.op == "pingpong", case.op in IN_BLOCKS
                        cases = kinds.setdefault(start, {})
                        # A dictionary has each once, in order.
                        cases.setdefault(runner, {})[case] = None
        for (_, ranks, *_), turns in kinds.items():
            for runner, cases in turns.items():
                yield runner, ranks, list(cases)

    def batch(self, runner, cases):
        """Measures cases of the same number of ranks: all that can be asked for at once in one start
        of the program. One that fails is given up, and those after it get a start of their own."""
        cases = [case for case in cases if (runner, case) not in self.given_up]
        for ops, lengths, wanted in together(cases):
            self.say(runner, f"{wanted[0].ranks} ranks, {', '.join(ops)}")
            call = self.programs.call(runner, wanted[0].ranks, ops, lengths, self.options.time)
            why = self.take(runner, wanted, *call)
            if wanted:
                self.fail(runner, wanted[0], why)
                self.batch(runner, wanted[1:])

    def take(self, runner, wanted, command, environment):
        """Takes rows out of `wanted` as they come. Says why if some stay."""
        with Process(command, environment) as process:
            try:
                while wanted:
                    row = json.loads(process.line(self.options.patience))
                    case = Case(row["op"], row["ranks"], row["bytes"])
                    if case != wanted[0]:
                        return f"{case} instead of {wanted[0]}"
                    self.take_row(runner, wanted.pop(0), row["median_us"], iters=row["iters"])
            except Silent as silent:
                return str(silent)
            except (ValueError, KeyError) as error:
                return f"no line of JSON: {error}"
        return ""

    def start(self):
        """From the start of the program until the result is there. A barrier, which every sample
        has before it, is in it."""
        runner = Runner("fmi", "pack")
        self.say(runner, f"{START.ranks} ranks from the start")
        begin = time.monotonic()
        try:
            with Process(*self.programs.start(START.ranks)) as process:
                process.line(self.options.patience)
                self.take_row(runner, START, (time.monotonic() - begin) * 1e6)
        except Silent as silent:
            self.fail(runner, START, str(silent))

    def redis(self):
        """benches/redis measures fmi and the bare server, and prints a table."""
        runner = Runner("fmi", "redis")
        names = {
            "raw PUBLISH": (RAW, Case("publish", 1, 1)),
            "ping-pong 1 B, half": (runner, Case("pingpong", 2, 1)),
            "allreduce 4 B": (runner, Case("allreduce", 8, 4)),
        }
        self.say(runner, "redis-bench")
        command = [self.programs.redis, "--rounds", "1"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired:
            done = subprocess.CompletedProcess(command, 1, "", "no end after 300 s")
        for line in done.stdout.splitlines():
            for name, key in names.items():
                if line.startswith(f"| {name}"):
                    self.take_row(*key, float(line.split("|")[2]))
                    names.pop(name)
                    break
        for key in names.values():
            self.fail(*key, done.stderr.strip()[-300:] or "no such line")

    def take_row(self, runner, case, median, **more):
        self.report({**self.row(runner, case), "median_us": median, **more})

    def fail(self, runner, case, why):
        self.given_up.add((runner, case))
        print(
            f"\n{runner.program} over {runner.over}: {case.name}, {case.ranks} ranks: {why}",
            file=sys.stderr,
        )
        self.report({**self.row(runner, case), "failed": why})

    def row(self, runner, case):
        return {"round": self.round, **runner._asdict(), **case._asdict()}

    def say(self, runner, text):
        number = f"round {self.round} of {self.options.rounds}"
        progress(f"{number}: {runner.program} over {runner.over}, {text}")


def together(cases):
    """Cases of operations that are wanted with the same lengths, so that one start does for them; a
    barrier, which has none, goes with the first."""
    lengths = {}
    for case in cases:
        lengths.setdefault(case.op, []).append(case.bytes)
    bare = lengths.pop("barrier", None)
    ops = {}
    for op, wanted in lengths.items():
        ops.setdefault(tuple(wanted), []).append(op)
    if bare:
        first = next(iter(ops), (0,))
        ops[first] = ["barrier", *ops.get(first, [])]
    for wanted, names in ops.items():
        yield names, wanted, [case for op in names for case in cases if case.op == op]


class Process:
    """A program whose lines are read as they come, and which is gone at the end, with all that it
    has started."""

    def __init__(self, command, environment):
        # A file, not a pipe: nobody reads it while the program runs.
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            [str(word) for word in command],
            env=environment,
            text=True,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.errors,
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def line(self, patience):
        try:
            line = self.lines.get(timeout=patience)
        except queue.Empty:
            raise Silent(f"no line for {patience} s") from None
        if line is None:
            code = self.process.wait()
            self.errors.seek(0)
            said = " ".join(self.errors.read().split())
            raise Silent(f"exit code {code}. {said[-400:]}".strip())
        return line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for stop in (lambda: None, self.process.terminate):
            try:
                stop()
                self.process.wait(LAST)
            except subprocess.TimeoutExpired:
                pass
        # Launchers give ranks process groups of their own, but not sessions.
        for process in of_session(self.process.pid):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.errors.close()


def of_session(session):
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name in brackets: state, parent, group, session.
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            yield int(status.parent.name)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)
