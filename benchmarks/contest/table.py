"""The table: ranks, regrets, the time to what random search came to, each with an interval, and tests against rivals.

Intervals are percentiles of a bootstrap over tasks, and over seeds within each. The test is Wilcoxon's signed-rank, two
sided: over tasks, of the share of seeds that were won less that lost; where there are fewer than six tasks, which no
such test can tell apart, over all pairs of a task and a seed, of the logarithms of the regrets.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .rivals import ALIKE_WITHOUT_CURVES
from .tasks import PAIRS

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
FEWEST_TASKS = 6
"""Of five differences, all of one sign, the two-sided p is 0.06."""
LEAST_REGRET = 1e-4
BOOTSTRAPS = 400
OURS = "kerasweep"
SLOW = "kerastuner"

Curve = Sequence[float]
Cells = Mapping[str, Mapping[str, Mapping[int, Curve]]]
"""Regret by task, search and seed."""


def shown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the tables as text."""
    lines: list[str] = []
    for workers in sorted({row["workers"] for row in rows}):
        mine = _cells([row for row in rows if row["workers"] == workers])
        fast = {task: {name: by[name] for name in by if not name.startswith(SLOW)} for task, by in mine.items()}
        lines += _section(f"{workers} workers", fast)
        theirs = {name for by in mine.values() for name in by if name.startswith(SLOW)}
        slow = {task: by for task, by in mine.items() if theirs and theirs <= by.keys()}
        lines += _section(f"{workers} workers, with KerasTuner", slow)
        two = {
            task: {name: by[name] for name in by if name not in ALIKE_WITHOUT_CURVES}
            for task, by in fast.items()
            if task.startswith(PAIRS)
        }
        lines += _section(f"{workers} workers, two objectives", two)
    return "\n".join(lines)


def _cells(rows: Sequence[Mapping[str, Any]]) -> Cells:
    """Return the regrets; rivals that are one where there are no curves are each given the one's."""
    found: dict[str, dict[str, dict[int, Curve]]] = {}
    for row in rows:
        found.setdefault(row["task"], {}).setdefault(row["search"], {})[row["seed"]] = row["regret"]
    for by in found.values():
        for name, like in ALIKE_WITHOUT_CURVES.items():
            if name not in by and like in by:
                by[name] = by[like]
    return found


def _common(cells: Cells) -> list[str]:
    names = [set(by) for by in cells.values()]
    return sorted(names[0].intersection(*names[1:])) if names else []


def _paired(cells: Cells, searches: Sequence[str]) -> dict[str, list[int]]:
    """Return, by task, the seeds that every search has played."""
    found: dict[str, list[int]] = {}
    for task, by in cells.items():
        first, *others = (set(by[name]) for name in searches)
        found[task] = sorted(first.intersection(*others))
    return {task: seeds for task, seeds in found.items() if seeds}


def _section(head: str, cells: Cells) -> list[str]:
    """Return the tables of all searches that have played all of these tasks; nothing where no seed is common to them."""
    searches = _common(cells)
    seeds = _paired(cells, searches) if searches else {}
    if not seeds:
        return []
    counts = [len(one) for one in seeds.values()]
    lines = ["", f"### {head}: {len(seeds)} tasks, {min(counts)} to {max(counts)} seeds", ""]
    lines += ["Mean rank (1 is best) at shares of the time:", ""]
    lines += _grid(
        searches,
        lambda name, share: _interval(seeds, lambda task, seed: _rank(cells[task], searches, name, seed, share)),
    )
    lines += ["", "Normalized regret (0: the best there is, 1: the median configuration), geometric mean:", ""]
    lines += _grid(searches, lambda name, share: _regret(cells, seeds, name, share))
    lines += [
        "",
        "Share of the time to what random search has found by its end, mean over seeds, median over tasks:",
        "",
    ]
    for name in searches:
        lines.append(f"- {name}: {_time(cells, seeds, name)}")
    if OURS in searches:
        lines += ["", "Kerasweep against each: the share of seeds that were won less that lost, and the test's p:", ""]
        rivals = [name for name in searches if name != OURS]
        lines += _grid(rivals, lambda name, share: _test(cells, seeds, name, share))
    return lines


def _grid(searches: Sequence[str], cell: Callable[[str, float], str]) -> list[str]:
    head = "| search | " + " | ".join(f"{share:.0%}" for share in SHARES) + " |"
    rows = [f"| {name} | " + " | ".join(cell(name, share) for share in SHARES) + " |" for name in searches]
    return [head, "| --- |" + " --- |" * len(SHARES), *rows]


def _at(curve: Curve, share: float) -> float:
    return curve[max(0, round(share * len(curve)) - 1)]


def _rank(by: Mapping[str, Mapping[int, Curve]], searches: Sequence[str], name: str, seed: int, share: float) -> float:
    """Return the place of a search among all, that of equals being shared."""
    mine = _at(by[name][seed], share)
    others = [_at(by[one][seed], share) for one in searches if one != name]
    return 1 + sum(one < mine for one in others) + sum(one == mine for one in others) / 2


def _interval(
    seeds: Mapping[str, list[int]],
    value: Callable[[str, int], float],
    whole: Callable[[Sequence[float]], float] = statistics.fmean,
    text: Callable[[float], str] = lambda one: f"{one:.2f}",
) -> str:
    """Return the mean over tasks of the mean over seeds, with its 95 % interval."""
    table = {task: [value(task, seed) for seed in of] for task, of in seeds.items()}
    point = whole([statistics.fmean(one) for one in table.values()])
    draw = random.Random(0)
    rows = list(table.values())
    draws: list[float] = []
    for _ in range(BOOTSTRAPS):
        picked = draw.choices(rows, k=len(rows))
        draws.append(whole([statistics.fmean(draw.choices(row, k=len(row))) for row in picked]))
    draws.sort()
    low, high = draws[round(0.025 * BOOTSTRAPS)], draws[round(0.975 * BOOTSTRAPS) - 1]
    return f"{text(point)} ({text(low)} to {text(high)})"


def _regret(cells: Cells, seeds: Mapping[str, list[int]], name: str, share: float) -> str:
    return _interval(
        seeds,
        lambda task, seed: _log(_at(cells[task][name][seed], share)),
        text=lambda one: f"{math.exp(one):.3g}",
    )


def _time(cells: Cells, seeds: Mapping[str, list[int]], name: str) -> str:
    """Return when a search is first as good as random search at its end is in the median; 1 where it never is."""

    def when(task: str, seed: int) -> float:
        goal = statistics.median(cells[task]["random"][one][-1] for one in seeds[task])
        curve = cells[task][name][seed]
        return next((place / len(curve) for place, one in enumerate(curve, 1) if one <= goal), 1.0)

    if any("random" not in by for by in cells.values()):
        return "-"
    return _interval(seeds, when, whole=statistics.median)


def _test(cells: Cells, seeds: Mapping[str, list[int]], rival: str, share: float) -> str:
    import scipy.stats

    net: list[float] = []
    ratios: list[float] = []
    for task, of in seeds.items():
        pairs = [(_at(cells[task][OURS][seed], share), _at(cells[task][rival][seed], share)) for seed in of]
        net.append(statistics.fmean((mine < theirs) - (mine > theirs) for mine, theirs in pairs))
        ratios += [_log(mine) - _log(theirs) for mine, theirs in pairs]
    differences = net if len(net) >= FEWEST_TASKS else ratios
    if not any(differences):
        return "no difference"
    stats: Any = scipy.stats
    return f"{statistics.fmean(net):+.2f}, p = {float(stats.wilcoxon(differences).pvalue):.2g}"


def _log(regret: float) -> float:
    return math.log(max(LEAST_REGRET, regret))
