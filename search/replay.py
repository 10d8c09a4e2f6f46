"""Train one trial of a sweep again, alone in a trainer of its own, and compare its metrics with the journaled ones."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

from ..cluster.forkserver import ForkServer
from ..cluster.program import Program, snapshot
from ..cluster.slot import Slot, SlotSetup
from ..spaces.errors import BadInput, one_line
from ..trackers.history import History
from ..trackers.journal import Reader
from . import sweeps
from .commands import check_machine
from .comparison import Comparison, Difference
from .origin import installed_versions
from .recorded import Recorded
from .relocation import relocated
from .settings import code_of, settings_of
from .spec import Cluster, SweepSpec
from .terminal import Terminal, echo, echo_json

PARTED = 1


def replay_command(name: str, number: int, home: Path | None, *, as_json: bool) -> int:
    """Replay a trial and say what came out; return the exit code: 0 equal, 1 parted."""
    place = sweeps.home_folder(home)
    folder = sweeps.find(place, name)
    sweeps.check_own(folder)
    with Reader(folder) as reader:
        entries = list(reader.after(0))
    begun = History.of(entries).spec
    if not begun:
        raise BadInput(f"{name} has not begun: there is no trial to replay")
    spec = relocated(SweepSpec.from_json(begun), folder, place)
    recorded = Recorded.of(entries, spec, number)
    if not (spec.model or spec.train):
        there = f"replay({number}) of the Result of that session does it"
        raise BadInput(f"{name} was started from Python, and its code is not in its folder; {there}")
    check_machine(replace(spec, parallel=1, cluster=Cluster()))
    if not as_json:
        what = f"training trial {number} of {name} again: {_epochs(len(recorded.trial.metrics))}"
        Terminal(stderr=True).print(what, soft_wrap=True)
    found = replayed(code_of(spec, snapshot(folder / "code")), spec, recorded)
    if as_json:
        echo_json({"sweep": name, "trial": number, **found.to_json()})
    else:
        for line in found.lines(f"trial {number} of {name}"):
            echo(line)
    return 0 if found.equal else PARTED


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How a trial that was trained again compares.

    `ended` is how it ended where that was before its last journaled epoch; `changed` has, by package, the version then
    and the one now; `expected` says why equality is not to be expected.
    """

    comparison: Comparison
    ended: str = ""
    changed: Mapping[str, tuple[str, str]]
    expected: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether every metric of every journaled epoch came out as it was."""
        return self.comparison.equal

    def lines(self, what: str) -> list[str]:
        """Return what there is to say of it."""
        first, largest = self.comparison.first, self.comparison.largest
        epochs = _epochs(self.comparison.epochs)
        if first is None or largest is None:
            lines = [f"{what}: equal, every metric of {epochs}"]
        else:
            lines = [f"{what}: parted at epoch {first.epoch}: {_in_words(first)}"]
            if self.ended:
                lines.append(f"this time it ended before: {self.ended}")
            elif math.isfinite(largest.relative):
                where = f"{one_line(largest.metric)} at epoch {largest.epoch}"
                lines.append(f"the largest relative difference is {largest.relative:.2g} ({where})")
        lines += [f"{name} was {then}, is {now}" for name, (then, now) in self.changed.items()]
        if first is not None and not self.changed:
            lines.append("no journaled package version has changed")
        return [*lines, *(f"note: {text}" for text in self.expected)]

    def to_json(self) -> dict[str, Any]:
        """Return the plain form; what is not finite is text, which JSON has no numbers for."""
        first, largest = self.comparison.first, self.comparison.largest
        return {
            "equal": self.equal,
            "epochs": self.comparison.epochs,
            "parted": None if first is None else {name: _plain(one) for name, one in asdict(first).items()},
            "largest_relative_difference": 0.0 if largest is None else _plain(largest.relative),
            "ended": self.ended,
            "versions": {name: {"journaled": then, "installed": now} for name, (then, now) in self.changed.items()},
            "notes": list(self.expected),
        }


def replayed(program: Program, spec: SweepSpec, recorded: Recorded) -> Replay:
    """Train the trial again up to its last journaled epoch; nothing is written but to a folder that is removed.

    Raises:
        BadInput: its code cannot be used any more.
        Infrastructure: the process that imports Keras died.
    """
    metrics, ended = _train(program, spec, recorded)
    now = installed_versions()
    then = recorded.versions
    names = [*then, *(name for name in now if name not in then)] if then else []
    pairs = {name: (then.get(name, "not installed"), now.get(name, "not installed")) for name in names}
    return Replay(
        comparison=Comparison.of(recorded.trial.metrics, metrics),
        ended=ended,
        changed={name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
        expected=tuple(_expected(spec, recorded)),
    )


def _train(program: Program, spec: SweepSpec, recorded: Recorded) -> tuple[dict[int, Mapping[str, float]], str]:
    """Return the metrics by epoch, and how the trial ended where that was too early."""
    scratch = Path(tempfile.mkdtemp(prefix="ks-"))
    resources = spec.resources
    server = ForkServer(scratch, program, warm=1, cpu=resources.cpu, gpu=resources.gpus, log=scratch / "log")
    settings = replace(settings_of(spec, str(scratch / "checkpoints")), weights="")
    slot = Slot(
        SlotSetup(
            program=program.to_json(),
            settings=settings.to_json(),
            socket=str(server.socket),
            logs=str(scratch),
            cpu=resources.cpu,
            gpu=resources.gpus,
            silence_s=spec.limits.silence_s,
        )
    )
    try:
        verdict = server.checked()
        if verdict["type"] == "refused":
            raise BadInput(f"the model's code cannot be used: {verdict['reason']}")
        slot.assign(recorded.assignment)
        metrics: dict[int, Mapping[str, float]] = {}
        while True:
            messages, over = slot.step()
            for message in messages:
                if message["type"] == "report":
                    metrics.setdefault(int(message["epoch"]), message["metrics"])
            if recorded.last_epoch in metrics:
                return metrics, ""
            if over:
                return metrics, _how(messages[-1])
    finally:
        server.close()
        slot.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _how(message: Mapping[str, Any]) -> str:
    """Return how a trial ended, in words."""
    if message["type"] == "needs":
        names = ", ".join(str(spec["name"]) for spec in message["specs"])
        return f"its model asks for parameters that it did not have: {one_line(names)}"
    return one_line(f"{message['kind']} {message.get('reason', '')}".strip())


def _expected(spec: SweepSpec, recorded: Recorded) -> list[str]:
    """Return what the user should know of how far equality was to be expected."""
    trial = recorded.trial
    found: list[str] = []
    if not spec.keras.deterministic:
        found.append(
            "the sweep did not train deterministically (search: {deterministic: true} or keras: {deterministic: true}): "
            "the same operations may differ in the last digits, and what follows from them by more"
        )
    if spec.resources.gpus:
        found.append("it was trained on a gpu: another model of gpu, or another driver, may compute otherwise")
    if trial.batch_divisor > 1:
        found.append(
            f"memory ran out: its batch was divided by {trial.batch_divisor}, as here, but epochs journaled before that "
            "were trained with more of it"
        )
    if trial.attempt > 1:
        found.append(
            f"it took {trial.attempt} attempts: one that went on from a checkpoint trains as one that was never "
            "interrupted only with arrays from `data:` on TensorFlow"
        )
    if not trial.reproduced:
        found.append("already in the sweep, an epoch of it was trained twice and differed")
    return found


def _in_words(one: Difference) -> str:
    if one.replayed is None:
        return f"it has no {one_line(one.metric) or 'metrics'} there, where {_number(one.journaled)} is journaled"
    if one.journaled is None:
        return f"it has {one_line(one.metric)} {_number(one.replayed)} there, which is not journaled"
    relative = f", by {one.relative:.2g} of it" if math.isfinite(one.relative) else ""
    return f"{one_line(one.metric)} was {_number(one.journaled)}, is {_number(one.replayed)}{relative}"


def _number(value: float | None) -> str:
    return "-" if value is None else repr(float(value))


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' if count > 1 else ''}"


def _plain(value: Any) -> Any:
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)
