"""A sweep's results for Python: the best trial, its model, all trials as a table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from ..cluster.program import Program, snapshot
from ..cluster.training import UserCode
from ..cluster.weights import load_weights
from ..spaces.errors import BadInput, NoTrialSucceeded
from ..spaces.hp import hyperparameters_class
from ..spaces.parameter import identity, parameter_from_json
from ..spaces.trace import Trace
from ..spaces.trial import Scalar
from ..trackers.events import ParametersUsed
from ..trackers.history import TrialRecord
from ..trackers.journal import Reader
from . import sweeps
from .summary import Summary, value_of

if TYPE_CHECKING:
    import keras
    import pandas as pd


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """One trial: `value` is the objective at `epoch`; `params` are those that its model read."""

    number: int
    state: str
    value: float | None
    epoch: int | None
    params: Mapping[str, Scalar]
    _result: Result

    def model(self) -> keras.Model:
        """Return the model with the weights of the best epoch; kept for the best three trials."""
        return self._result.model(self.number)


@final
class Result:
    """What a sweep found; reads its journal, so it can be made of any sweep at any time."""

    def __init__(self, folder: Path, program: Program | None = None) -> None:
        self.folder = folder
        self.name = folder.name
        self._program = program
        self.summary = Summary.of(sweeps.read(folder))

    def __repr__(self) -> str:
        return f"Result({self.name!r}, {self.summary.counts()})"

    @property
    def best(self) -> TrialResult:
        """The best trial.

        Raises:
            NoTrialSucceeded: no trial has a value.
        """
        best = self.summary.best()
        if best is None:
            raise NoTrialSucceeded(f"no trial of {self.name} has a value: {self.summary.counts()}")
        return self._trial(best)

    @property
    def trials(self) -> pd.DataFrame:
        """All trials, a row each, by number: state, value, epoch, seconds, a column per parameter."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for trial in self.summary.history.trials.values():
            seconds = None if trial.ended_at is None or trial.started_at is None else trial.ended_at - trial.started_at
            epoch = None if trial.outcome is None else trial.outcome.epoch
            row = {"state": trial.state, "value": value_of(trial), "epoch": epoch, "seconds": seconds}
            rows.append(
                {"number": trial.number, **row, **{f"params/{name}": one for name, one in trial.params.items()}}
            )
        return pd.DataFrame(rows).set_index("number") if rows else pd.DataFrame()

    def _trial(self, record: TrialRecord) -> TrialResult:
        epoch = None if record.outcome is None else record.outcome.epoch
        return TrialResult(
            number=record.number,
            state=record.state,
            value=value_of(record),
            epoch=epoch,
            params=dict(record.params),
            _result=self,
        )

    def model(self, number: int) -> keras.Model:
        """Return the model of a trial, built anew, with the weights that were kept of it.

        Raises:
            Infrastructure: its weights were not kept, or are damaged.
            BadInput: the sweep was started from Python and its `build` is not at hand.
        """
        code = self._code()
        used = _used(self.folder, number)
        parameters = [parameter_from_json(spec) for spec in used.specs]
        specs = {identity(one): used.params[one.name] for one in parameters}
        trace = Trace(assigned=specs, declared={one.parameter.name: one for one in self.summary.spec.declared})
        model = code.model.build(hyperparameters_class()(trace))
        load_weights(model, self.folder / "checkpoints", number)
        return model

    def _code(self) -> UserCode:
        spec = self.summary.spec
        program = self._program
        if program is None and spec.model:
            sources = snapshot(self.folder / "code")
            program = Program(root=spec.folder, model=spec.model, data=None, sources=sources)
        if program is None:
            raise BadInput(f"{self.name} was started from Python; its models are made by the Result of that session")
        here = Path.cwd()
        try:
            model, _ = program.load()
        finally:
            os.chdir(here)
        return UserCode.of(model, None)


def _used(folder: Path, number: int) -> ParametersUsed:
    with Reader(folder) as reader:
        events = [one.event for one in reader.after(0) if isinstance(one.event, ParametersUsed) and one.trial == number]
    return events[-1]


def export_best(folder: Path, target: Path) -> list[Path]:
    """Write the best trial's parameters as YAML and its model as `.keras`; return the files."""
    from .reading import as_yaml

    result = Result(folder)
    best = result.best
    target.mkdir(parents=True, exist_ok=True)
    params, model = target / "params.yaml", target / "model.keras"
    params.write_text(as_yaml(result.summary, result.summary.history.trials[best.number]) + "\n")
    best.model().save(model)
    return [params, model]
