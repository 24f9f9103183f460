"""The comparison as SVG: times of ping-pongs, ratios of collectives. Looks like the plots of `fmi
model` (fmi-cli/src/plot): logarithmic axes, panels above each other, names at the ends of lines, and
looks that differ without colours. The same figures give the same bytes."""

import math
from html import escape
from typing import Callable, NamedTuple

from .cases import COLLECTIVES, PROGRAMS, size


class Series(NamedTuple):
    name: str
    points: list


class Panel(NamedTuple):
    title: str
    # What is written at a height.
    label: Callable
    series: list
    # Lines from side to side, where a goal is: (height, name).
    levels: tuple = ()


def pictures(results, groups):
    """Those there are figures for, as (title, name, SVG)."""
    for group in groups:
        if group.name.startswith("pingpong"):
            title, panels = group.title, [times(results, group)]
        else:
            title, panels = f"{group.title}: time to Open MPI's", ratios(results, group)
        panels = [panel for panel in panels if panel.series]
        if panels:
            yield title, group.name, svg(title, panels)


def times(results, group):
    def of(name, figure):
        known = [(case.bytes, figure(case)) for case in group.cases]
        return Series(name, [(b, us * 1e-6) for b, us in known if us])

    def median(runner):
        return lambda case: (f := results.figure(runner, case)) and f.median

    lines = [of(PROGRAMS[r.program], median(r)) for r in (group.ours, *group.theirs)]
    lines.append(of("limit", lambda case: results.limit(group, case)))
    return Panel("half a round trip", duration, [line for line in lines if line.points])


def ratios(results, group):
    for ranks in dict.fromkeys(case.ranks for case in group.cases):
        cases = [case for case in group.cases if case.ranks == ranks]
        found = {case: results.ratio(group, case, "openmpi") for case in cases}
        lines = []
        for op in COLLECTIVES:
            # A barrier stands where the shortest messages are.
            points = [
                (max(case.bytes, 4), ratio.value)
                for case, ratio in found.items()
                if case.op == op and ratio
            ]
            lines += [Series(op, points)] if points else []
        goals = sorted({ratio.most for ratio in found.values() if ratio and ratio.most})
        goals = tuple((goal, f"goal {goal}") for goal in goals)
        yield Panel(f"ratio, n = {ranks}", plain, lines, goals)


# In pixels, as in fmi-cli/src/plot.
WIDTH, HEAD, FOOT, LEFT, RIGHT, PANEL, GAP = 860, 52, 56, 92, 172, 288, 40
# From the frame to the names, between two of them, and what stands for a line.
ASIDE, LINE, SAMPLE = 14, 19, 26
INK, FAINT, GRID, FRAME = "#2d2d32", "#6e6e76", "#e4e4e8", "#a0a0a6"
COLORS = ("#005e96", "#c85200", "#008060", "#a05082", "#967000", "#3c3c42", "#2e8cbe")
DASHES = ("", "9,5", "3,4", "12,4,3,4", "18,5")
MARKERS = ("circle", "-4,-4 4,-4 4,4 -4,4", "0,-5 5,4 -5,4", "0,-5 5,0 0,5 -5,0")


class Scale:
    """A logarithmic axis from one pixel to another, that holds all values."""

    def __init__(self, values, start, end, pad, ticks):
        logs = [math.log10(value) for value in values]
        low, high = min(logs), max(logs)
        if high - low < 0.05:
            low, high = low - 0.35, high + 0.35
        pad *= high - low
        self.low, self.high, self.start, self.end = low - pad, high + pad, start, end
        self.ticks = [
            (value, name) for value, name in ticks if self.low <= math.log10(value) <= self.high
        ]

    def at(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start))


def svg(title, panels, below="bytes", name=size):
    height = HEAD + len(panels) * PANEL + (len(panels) - 1) * GAP + FOOT
    lengths = sorted({x for panel in panels for line in panel.series for x, _ in line.points})
    across = Scale(lengths, LEFT, WIDTH - RIGHT, 0.025, [(x, name(x)) for x in apart(lengths)])
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.series))
    parts = [
        f'<svg width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'xmlns="http://www.w3.org/2000/svg" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        text(LEFT, 24, title, "start", INK, ' font-weight="bold" font-size="17"'),
    ]
    for number, panel in enumerate(panels):
        top = HEAD + number * (PANEL + GAP)
        parts += draw(panel, across, top, top + PANEL, names)
    parts.append(text((LEFT + WIDTH - RIGHT) // 2, height - 16, below, "middle", INK))
    return "\n".join([*parts, "</svg>"]) + "\n"


def apart(lengths):
    """Those whose names have room side by side: an 18th of the axis each."""
    spread = math.log10(lengths[-1] / lengths[0]) or 1
    kept = []
    for length in lengths:
        if not kept or math.log10(length / kept[-1]) > spread / 18:
            kept.append(length)
    return kept


def draw(panel, across, top, bottom, names):
    values = [y for line in panel.series for _, y in line.points]
    values += [height for height, _ in panel.levels]
    up = Scale(values, bottom, top, 0.07, steps(values, panel.label))
    left, right = across.start, across.end
    for value, name in across.ticks:
        x = across.at(value)
        yield line_of([(x, top), (x, bottom)], GRID, 1)
        yield text(x, bottom + 17, name, "middle", FAINT)
    for value, name in up.ticks:
        y = up.at(value)
        yield line_of([(left, y), (right, y)], GRID, 1)
        yield text(left - 9, y + 4, name, "end", FAINT)
    yield (
        f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" '
        f'fill="none" stroke="{FRAME}"/>'
    )
    middle = (top + bottom) // 2
    yield text(22, middle, panel.title, "middle", INK, f' transform="rotate(-90 22 {middle})"')
    for height, name in panel.levels:
        y = up.at(height)
        yield line_of([(left, y), (right, y)], INK, 1)
    lines = [
        (names.index(line.name), line.name, [(across.at(x), up.at(y)) for x, y in line.points])
        for line in panel.series
    ]
    for look, _, points in lines:
        yield line_of(points, color(look), 2, DASHES[look % len(DASHES)])
    for look, _, points in lines:
        yield from (marker(*point, look) for point in points)
    for height, name in panel.levels:
        # Between the points of small and those of large messages.
        x, y, half = left + (right - left) // 3, up.at(height), 4 * len(name)
        yield (
            f'<rect x="{x - half}" y="{y - 9}" width="{2 * half}" height="18" fill="#ffffff" '
            'fill-opacity="0.85"/>'
        )
        yield text(x, y + 4, name, "middle", INK)
    lines.sort(key=lambda line: line[2][-1][1])
    ends = [points[-1] for _, _, points in lines]
    places = spread_out([y for _, y in ends], top + LINE // 2, bottom - LINE // 2)
    for (look, name, _), (end, down), y in zip(lines, ends, places):
        x = right + ASIDE
        # A line that ends before the others has to be looked for by its look.
        if end > right - 3 * ASIDE:
            yield line_of([(min(end, right) + 7, down), (x - 3, y)], FRAME, 1)
        yield line_of([(x, y), (x + SAMPLE, y)], color(look), 2, DASHES[look % len(DASHES)])
        yield marker(x + SAMPLE // 2, y, look)
        yield text(x + SAMPLE + 7, y + 4, name, "start", color(look))


def steps(values, name):
    """Heights for labels: powers of ten, and what lies between them where that is too few."""
    low, high = math.floor(math.log10(min(values))) - 1, math.ceil(math.log10(max(values))) + 1
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [factor * 10.0**power for power in range(low, high + 1) for factor in factors]
        inside = [t for t in ticks if min(values) * 0.8 <= t <= max(values) * 1.25]
        if len(inside) <= 6:
            break
    return [(tick, name(tick)) for tick in ticks]


def spread_out(wanted, top, bottom):
    """Heights near those that are wanted (in order), a line apart, within bounds if they fit."""
    places, least = [], top
    for place in wanted:
        places.append(max(place, least))
        least = places[-1] + LINE
    most = bottom
    for number in reversed(range(len(places))):
        places[number] = min(places[number], most)
        most = places[number] - LINE
    return places


def plain(value):
    return f"{value:.9f}".rstrip("0").rstrip(".")


def duration(seconds):
    for unit, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")):
        if seconds >= unit * 0.999:
            break
    return f"{seconds / unit:.3g} {name}"


def color(look):
    return COLORS[look % len(COLORS)]


def text(x, y, words, anchor, fill, more=""):
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}"{more}>{escape(words)}</text>'
    )


def line_of(points, stroke, width, dashes=""):
    dashes = f' stroke-dasharray="{dashes}"' if dashes else ""
    points = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline points="{points}" fill="none" stroke="{stroke}" stroke-width="{width}"{dashes}/>'


def marker(x, y, look):
    shape = MARKERS[look % len(MARKERS)]
    solid = look // len(MARKERS) % 2 == 0
    style = f'fill="{color(look) if solid else "#ffffff"}" stroke="{color(look)}" stroke-width="2"'
    if shape == "circle":
        return f'<circle cx="{x}" cy="{y}" r="4" {style}/>'
    corners = (corner.split(",") for corner in shape.split())
    points = " ".join(f"{x + int(dx)},{y + int(dy)}" for dx, dy in corners)
    return f'<polygon points="{points}" {style}/>'
