"""The comparison as Markdown."""

from .cases import PROGRAMS


def document(results, groups, pictures):
    """All there is to say. `pictures` are (title, path of an SVG)."""
    parts = [head(results), summary(results, groups)]
    parts += [f"![{title}]({path})" for title, path in pictures]
    parts += [EXPLANATION, *notes(results)]
    parts += [part for group in groups for part in tables(results, group)]
    return "\n\n".join(parts) + "\n"


def head(results):
    about = results.about
    versions = ", ".join(about["versions"].values())
    text = (
        f"{about['date']}, {about['machine']}, {about['cores']} cores, {about['system']}; {versions}. "
        f"Command: `{about['command']}`. {about['rounds']} rounds, about {about['time']} s a case. "
        f"Load of the machine before: {about['load']}."
    )
    return f"{text}\n\n{about['warning']}" if about.get("warning") else text


EXPLANATION = """\
Times are µs, the median over the rounds of each round's median, ratios fmi's median to the other's,
with those of the best and the worst round in brackets: below 1 fmi is faster. A missed goal is bold,
with by how much. *limit* is what the bare machine would take for as many
bytes ([how it is counted](../benches/comparing/limits.py)). alltoall and reduce_scatter have at least 4
bytes for each rank. MPICH's ranks do not yield the core they wait on
([no flag that we found changes that](../benches/peers/README.md#flags)): being ahead of it where ranks
exceed cores says little."""


def notes(results):
    return [f"Not measured: {note}" for note in results.about.get("notes", ())]


def summary(results, groups):
    lines = ["| goal | met | worst ratio | where |", "|---|---|---|---|"]
    for name, met, count, absent, worst in results.summary(groups):
        reached = f"{met} of {count}" if count else "not measured"
        if absent:
            reached += f" ({absent} without figures)"
        ratio, where = "–", "–"
        if worst:
            of, case = worst
            value = number(of.value) if of.most < 100 else f"{number(of.value / 1000)} ms"
            ratio = f"**{value}** (+{of.missed:.0%})" if of.missed else value
            where = f"{case.name}, n = {case.ranks}"
        lines.append(f"| {name} | {reached} | {ratio} | {where} |")
    return "\n".join(lines)


def tables(results, group):
    """One for each number of ranks."""
    shown = [case for case in group.cases if is_known(results, group, case)]
    for ranks in dict.fromkeys(case.ranks for case in shown):
        cases = [case for case in shown if case.ranks == ranks]
        theirs = [
            r
            for r in group.theirs
            if any((r, case) in results.figures or (r, case) in results.failures for case in cases)
        ]
        title = group.title if group.name == "start" else f"{group.title}, n = {ranks}"
        names = " | ".join(f"{PROGRAMS[r.program]} | ratio" for r in theirs)
        head = f"| case | fmi | limit | {names} |".replace("|  |", "|")
        rule = "|---" * (3 + 2 * len(theirs)) + "|"
        rows = [row(results, group, case, theirs) for case in cases]
        body = "\n".join([head, rule, *rows])
        yield f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def is_known(results, group, case):
    return any(
        (r, case) in results.figures or (r, case) in results.failures
        for r in (group.ours, *group.theirs)
    )


def row(results, group, case, theirs):
    limit = results.limit(group, case)
    cells = [case.name, time(results, group.ours, case), us(limit) if limit else "–"]
    most = results.goal(group, case, "limit")
    if most and (ratio := results.ratio(group, case, "limit")):
        cells[2] += f": {verdict(ratio)}"
    # A goal in µs.
    most = results.goal(group, case, "")
    ours = results.figure(group.ours, case)
    if most and ours and ours.median > most:
        cells[1] = f"**{cells[1]}, goal {us(most)}: +{ours.median / most - 1:.0%}**"
    for runner in theirs:
        ratio = results.ratio(group, case, runner.program)
        cells += [time(results, runner, case, spread=False), verdict(ratio) if ratio else "–"]
    return f"| {' | '.join(cells)} |"


def time(results, runner, case, spread=True):
    if (runner, case) in results.failures:
        return "failed"
    figure = results.figure(runner, case)
    if not figure:
        return "–"
    if not spread or len(figure.rounds) == 1:
        return us(figure.median)
    least, largest = figure.spread()
    return f"{us(figure.median)} ({us(least)} to {us(largest)})"


def verdict(ratio):
    text = number(ratio.value)
    if ratio.least != ratio.largest:
        text += f" ({number(ratio.least)} to {number(ratio.largest)})"
    return f"**{text}, goal {ratio.most}: +{ratio.missed:.0%}**" if ratio.missed else text


def number(value):
    if value < 0.001:
        return "< 0.001"
    for most, form in ((0.1, ".3f"), (10, ".2f"), (100, ".1f")):
        if value < most:
            return f"{value:{form}}"
    return f"{value:,.0f}"


def us(value):
    if value < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def replaced(text, block, name="compare"):
    """A page with a new block between its marks."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"there is no {begin} … {end}")
    return f"{before}{begin}\n\n{block}\n{end}{after}"
