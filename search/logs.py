"""`logs`: what the processes of a sweep have written, and what its trainers wrote while they were at one trial."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.text import Text

from ..cluster.trial_log import of_trial
from ..spaces.errors import BadInput
from . import sweeps
from .terminal import Terminal, echo_json

LINES = 50
"""So many last lines of each log are shown, unless all are asked for."""
ORDER = ("driver.log", "tracker.log", "trainers.log")


def logs_command(name: str, trial: int | None, home: Path | None, *, whole: bool, as_json: bool) -> None:
    """Print the logs of a sweep, or the lines of one trial."""
    folder = sweeps.find(sweeps.home_folder(home), name)
    found = _of_trial(folder, trial) if trial is not None else _last_lines(folder, None if whole else LINES)
    if as_json:
        echo_json(found)
        return
    console = Terminal()
    for log, lines in found.items():
        console.print(Text(f"{log}", style="bold"))
        for line in lines:
            console.print(Text(line), soft_wrap=True)
        console.print()
    console.print(Text(f"all of it: {folder / 'logs'}", style="dim"), soft_wrap=True)


def _last_lines(folder: Path, most: int | None) -> dict[str, list[str]]:
    found = {path.name: list(deque(_lines(path), maxlen=most)) for path in _logs(folder)}
    return {name: lines for name, lines in found.items() if lines}


def _of_trial(folder: Path, trial: int) -> dict[str, list[str]]:
    trials = sweeps.read(folder).trials
    if trial not in trials:
        raise BadInput(f"{folder.name} has no trial {trial}; it has {len(trials)}, numbered from 0")
    found = {path.name: list(of_trial(_lines(path), trial)) for path in _logs(folder) if path.name not in ORDER}
    found = {name: lines for name, lines in found.items() if lines}
    if not found:
        raise BadInput(f"no trainer has written about trial {trial}; `kerasweep logs {folder.name}` shows all logs")
    return found


def _logs(folder: Path) -> list[Path]:
    paths: Iterable[Path] = (path for path in (folder / "logs").glob("*.log") if not path.is_symlink())
    return sorted(paths, key=lambda path: (ORDER.index(path.name) if path.name in ORDER else len(ORDER), path.name))


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            parts = [part for part in line.rstrip("\n").split("\r") if part]
            yield parts[-1] if parts else ""  # of a progress bar what it came to
