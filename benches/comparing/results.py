"""Figures out of the lines that programs print, and how they compare."""

import json
import statistics
from typing import NamedTuple

from . import limits
from .cases import GOALS, Case, Runner


class Figure(NamedTuple):
    """The medians of the rounds, in µs."""

    rounds: dict

    @property
    def median(self):
        return statistics.median(self.rounds.values())

    def spread(self):
        return min(self.rounds.values()), max(self.rounds.values())


class Ratio(NamedTuple):
    """Of medians, with the least and the largest of a round; `most` is the goal, if there is one."""

    value: float
    least: float
    largest: float
    most: float | None

    @property
    def missed(self):
        """By what share of the goal; 0 if it is met."""
        return max(0.0, self.value / self.most - 1) if self.most else 0.0


class Results:
    """All rows of a run: a line about the run, then what was measured or failed."""

    def __init__(self, about, rows):
        self.about = about
        self.figures, self.failures = {}, {}
        for row in rows:
            key = Runner(row["program"], row["over"]), Case(row["op"], row["ranks"], row["bytes"])
            if "failed" in row:
                self.failures[key] = row["failed"]
            else:
                self.figures.setdefault(key, Figure({})).rounds[row["round"]] = row["median_us"]
        self.limits = limits.Limits(
            {
                case[::2]: figure.median
                for (runner, case), figure in self.figures.items()
                if runner.program == "raw"
            },
            about["cores"],
        )

    @property
    def cores(self):
        return self.about["cores"]

    def figure(self, runner, case):
        """None where it failed in a round, or nobody measured."""
        key = runner, case
        return None if key in self.failures else self.figures.get(key)

    def limit(self, group, case):
        """What the bare machine would take, in µs, or None."""
        return self.limits.of(group.ours.over, case)

    def ratio(self, group, case, other):
        """Ours to another program's or to the limit; None where one of the two is not there."""
        ours = self.figure(group.ours, case)
        if other == "limit":
            limit = self.limit(group, case)
            theirs = limit and Figure({number: limit for number in ours.rounds} if ours else {})
        else:
            runner = next((r for r in group.theirs if r.program == other), None)
            theirs = runner and self.figure(runner, case)
        if not ours or not theirs:
            return None
        both = [ours.rounds[n] / theirs.rounds[n] for n in ours.rounds if n in theirs.rounds]
        value = ours.median / theirs.median
        goal = self.goal(group, case, other)
        return Ratio(value, min(both, default=value), max(both, default=value), goal)

    def goal(self, group, case, other):
        fit = (g for g in GOALS if group.name in g.groups and g.other == other)
        return next((most for g in fit if (most := g.most(case, self.cores))), None)

    def summary(self, groups):
        """Of each goal: its name, how many cells reach it, how many there are, how many have no
        figures, and the worst as (ratio, case)."""
        for goal in GOALS:
            cells = [
                (group, case)
                for group in groups
                if group.name in goal.groups
                for case in group.cases
                if goal.most(case, self.cores)
            ]
            ratios = [(self.against(goal, group, case), group, case) for group, case in cells]
            there = [(ratio, case) for ratio, _, case in ratios if ratio]
            # Who cannot do it is no opponent.
            absent = sum(
                1 for ratio, group, case in ratios if not ratio and self.expected(goal, group, case)
            )
            met = sum(1 for ratio, _ in there if not ratio.missed)
            worst = max(there, key=lambda it: it[0].value / it[0].most, default=None)
            yield goal.name, met, len(there) + absent, absent, worst

    def against(self, goal, group, case):
        if goal.other:
            return self.ratio(group, case, goal.other)
        ours = self.figure(group.ours, case)
        return ours and Ratio(ours.median, *ours.spread(), goal.most(case, self.cores))

    def expected(self, goal, group, case):
        """Whether there should be figures: the opponent has some, or failed."""
        if not goal.other or goal.other == "limit":
            return True
        runner = next((r for r in group.theirs if r.program == goal.other), None)
        return (runner, case) in self.figures or (runner, case) in self.failures


def read(lines):
    rows = [json.loads(line) for line in lines if line.strip()]
    return Results(rows[0], rows[1:])
