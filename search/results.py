"""A sweep's results for Python: the best trial, its model, all trials as a table."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from ..cluster.backend import VARIABLE
from ..cluster.program import Program, snapshot
from ..cluster.user_code import UserCode
from ..cluster.weights import load_models, load_weights
from ..cluster.weights_place import fetch_weights
from ..spaces.errors import BadInput, Infrastructure, NoTrialSucceeded
from ..spaces.hp import hyperparameters_class
from ..spaces.parameter import identity, parameter_from_json
from ..spaces.trace import Trace
from ..spaces.trial import Scalar
from ..trackers.confirmed import Confirmed
from ..trackers.events import ParametersUsed
from ..trackers.history import TrialRecord
from ..trackers.journal import Reader
from ..trackers.mirror import run_name
from . import sweeps
from .lineage import Stretch, lineage
from .settings import checkpoints_of, code_of
from .summary import Summary, value_of

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from keras_tuner import HyperParameters

    from .replay import Replay


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """One trial: `value` is the objective at `epoch`, as searched; `params` are those that its model read.

    `values` has all objectives by name; `feasible` says whether it keeps to the constraints on outcomes.
    `confirmed`: how it did on fresh seeds, where it was trained again: `mean`, `interval`, `flattered`, `values`.
    """

    number: int
    state: str
    value: float | None
    epoch: int | None
    params: Mapping[str, Scalar]
    values: Mapping[str, float]
    feasible: bool
    _result: Result
    confirmed: Confirmed | None = None

    @property
    def hyperparameters(self) -> HyperParameters:
        """The parameters as `hp`, to build and train with them anew: `build(result.best.hyperparameters)`."""
        hp = hyperparameters_class()()
        hp.values.update(self.params)
        return hp

    def model(self) -> keras.Model:
        """Return the model with the weights of the best epoch; kept for the best three trials.

        Of a trial that was confirmed, that of its best run there.
        """
        return self._result.model(self._kept)

    def models(self) -> Mapping[str, keras.Model]:
        """Return, by name, the models that a training loop handed over, with the weights of the best epoch."""
        return self._result.models(self._kept)

    @property
    def lineage(self) -> Sequence[Stretch]:
        """The stretches of training that led here, in a population: of which trial, to which epoch, with what."""
        return lineage(self._result.summary.history, self.number)

    @property
    def _kept(self) -> int:
        return self.number if self.confirmed is None else self.confirmed.best_run


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
        """The best trial: of those that keep to the constraints the one that is best by the first objective.

        Raises:
            NoTrialSucceeded: no trial has a value.
        """
        best = self.summary.best()
        if best is None:
            raise NoTrialSucceeded(f"no trial of {self.name} has a value: {self.summary.counts()}")
        return self._trial(best)

    @property
    def front(self) -> list[TrialResult]:
        """The Pareto front, best by the first objective first: the trials that no other is as good as in every respect.

        One trial with one objective. Where none keeps to the constraints, it is those that break them least.
        """
        return [self._trial(record) for record in self.summary.front()]

    def top(self, count: int) -> list[TrialResult]:
        """Return the `count` best trials, best first; fewer where fewer have a value."""
        return [self._trial(record) for record in self.summary.ranked()[:count]]

    def trial(self, number: int) -> TrialResult:
        """Return a trial by its number.

        Raises:
            BadInput: there is none of that number.
        """
        trials = self.summary.history.trials
        if number not in trials:
            raise BadInput(f"{self.name} has no trial {number}; it has {len(trials)}, numbered from 0")
        return self._trial(trials[number])

    @property
    def trials(self) -> pd.DataFrame:
        """All trials, a row each, by number: state, value, epoch, seconds, a column per parameter.

        Besides, `values/NAME` for each of several objectives, `feasible` where there are constraints, and
        `measured/NAME` for what was measured of the model.
        """
        import pandas as pd

        rows: list[dict[str, Any]] = []
        for trial in self.summary.history.trials.values():
            seconds = None if trial.ended_at is None or trial.started_at is None else trial.ended_at - trial.started_at
            epoch = None if trial.outcome is None else trial.outcome.epoch
            row: dict[str, Any] = {"state": trial.state, "value": value_of(trial), "epoch": epoch, "seconds": seconds}
            if trial.confirms is not None:
                row["confirms"] = trial.confirms
            if trial.donor is not None:
                row["donor"] = trial.donor.trial
            if self.summary.spec.further:
                row |= {f"values/{name}": one for name, one in self._values(trial).items()}
            if self.summary.spec.bounds:
                row["feasible"] = value_of(trial) is not None and trial.outcome is not None and trial.outcome.feasible
            row |= {f"measured/{name}": one for name, one in trial.measured.items()}
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
            values=self._values(record),
            feasible=record.outcome is None or record.outcome.feasible,
            _result=self,
            confirmed=next((one for one in self.summary.confirmed() if one.number == record.number), None),
        )

    def _values(self, record: TrialRecord) -> dict[str, float]:
        outcome, metrics = record.outcome, self.summary.metrics
        if outcome is None or outcome.value is None:
            return {}
        return dict(zip(metrics, outcome.values or (outcome.value,), strict=False))

    def model(self, number: int) -> keras.Model:
        """Return the model of a trial, built anew, with the weights that were kept of it.

        Raises:
            Infrastructure: its weights were not kept, or are damaged.
            BadInput: the sweep was started from Python and its `build` is not at hand.
        """
        if self._loop:
            models = self.models(number)
            if len(models) == 1:
                return next(iter(models.values()))
            raise BadInput(f"trial {number} has {len(models)} models ({', '.join(models)}); take models() instead")
        code = self._code()
        used = _used(self.folder, number)
        parameters = [parameter_from_json(spec) for spec in used.specs]
        specs = {identity(one): used.params[one.name] for one in parameters}
        trace = Trace(assigned=specs, declared={one.parameter.name: one for one in self.summary.spec.declared})
        with code.policy():
            model = code.build(hyperparameters_class()(trace))
        load_weights(model, self._weights(number), number)
        return model

    def models(self, number: int) -> Mapping[str, keras.Model]:
        """Return the models that the training loop of a trial handed over, by name.

        Raises:
            Infrastructure: none were kept, or they are damaged.
            BadInput: the sweep has a `build`, not a training loop; or Keras cannot save a model of this class whole.
        """
        if not self._loop:
            return {"model": self.model(number)}
        self._load()  # a model may be of a class that the user's code defines
        return load_models(self._weights(number), number)

    def replay(self, number: int) -> Replay:
        """Train a trial again, alone in a process of its own, and compare every epoch's metrics with the journaled ones.

        Raises:
            BadInput: it was neither completed nor stopped; or the sweep was started from Python, in another session.
            Infrastructure: the process that imports Keras died.
        """
        from .recorded import Recorded
        from .replay import replayed

        sweeps.check_own(self.folder)
        with Reader(self.folder) as reader:
            recorded = Recorded.of(reader.after(0), self.summary.spec, number)
        return replayed(self._whole_program("its trials are replayed"), self.summary.spec, recorded)

    def _weights(self, number: int) -> Path:
        """Return the folder that has the weights of a trial, fetched from where they are kept."""
        place = checkpoints_of(self.summary.spec, self.folder)
        try:
            return fetch_weights(place, number, self.folder / "checkpoints")
        except OSError as error:
            raise Infrastructure(f"the weights of trial {number} cannot be fetched from {place}: {error}") from error

    @property
    def _loop(self) -> bool:
        return bool(self.summary.spec.train) or (self._program is not None and self._program.loop)

    def _code(self) -> UserCode:
        model, _ = self._load()
        return UserCode.of(model, None, keras=self.summary.spec.keras)

    def _load(self) -> tuple[Any, Any]:
        """Import the user's code."""
        sweeps.check_own(self.folder)
        spec = self.summary.spec
        program = self._whole_program("its models are made")
        if self._program is None:
            program = replace(program, data=None)
        if "keras" not in sys.modules:
            os.environ[VARIABLE] = spec.keras.backend
        here = Path.cwd()
        try:
            return program.load()
        finally:
            os.chdir(here)

    def _whole_program(self, made: str) -> Program:
        spec = self.summary.spec
        if self._program is not None:
            return self._program
        if spec.model or spec.train:
            return code_of(spec, snapshot(self.folder / "code"))
        raise BadInput(f"{self.name} was started from Python; {made} by the Result of that session")


def _used(folder: Path, number: int) -> ParametersUsed:
    with Reader(folder) as reader:
        events = [one.event for one in reader.after(0) if isinstance(one.event, ParametersUsed) and one.trial == number]
    return events[-1]


def export(folder: Path, target: Path, number: int | None = None) -> tuple[list[Path], list[str]]:
    """Write trials' parameters as YAML and their models as `.keras`; return the files, and what could not be written.

    Args:
        folder: The sweep's.
        target: Gets the files of the one trial; of several trials of a front each its own, in a folder `t0003`.
        number: The trial; the best, or the whole front where there are several objectives, if None.

    Raises:
        Infrastructure: the weights of the one trial are not kept.
    """
    result = Result(folder)
    if number is None and result.summary.spec.further:
        files, lacking = list[Path](), list[str]()
        for one in result.front:
            place = target / run_name(one.number)
            files.append(_write_params(result, one, place))
            try:
                files.extend(_write_models(one, place))
            except Infrastructure as error:
                lacking.append(f"trial {one.number}: {error}; `keep: {{best: …}}` says how many are")
        return files, lacking
    chosen = result.best if number is None else result.trial(number)
    return [_write_params(result, chosen, target), *_write_models(chosen, target)], []


def _write_params(result: Result, trial: TrialResult, target: Path) -> Path:
    from .reading import as_yaml

    target.mkdir(parents=True, exist_ok=True)
    params = target / "params.yaml"
    params.write_text(as_yaml(result.summary, result.summary.history.trials[trial.number]) + "\n")
    return params


def _write_models(trial: TrialResult, target: Path) -> list[Path]:
    files: list[Path] = []
    for name, model in trial.models().items():
        files.append(target / f"{name}.keras")
        model.save(files[-1])
    return files
