"""`kerasweep.sweep`: a sweep from Python, in a script, a notebook or a test."""

from __future__ import annotations

import math
import os
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..cluster.addresses import LOCAL
from ..cluster.backend import KerasSettings
from ..cluster.program import pickled_program
from ..cluster.tuner import asked_of, is_tuner
from ..spaces.bounds import checked_bounds
from ..spaces.constraints import check_where
from ..spaces.errors import BadInput, did_you_mean
from ..spaces.hp import declared_by
from ..spaces.known import Declared, Known
from ..spaces.space import Space, checked_where
from ..spaces.trace import Undeclared
from ..spaces.trial import Json
from ..spaces.yaml_form import BadForm, shown
from . import sweeps
from .amend import check_kept
from .budget import Budget
from .budget_form import budget_of
from .commands import check_machine, check_tracker, placed
from .confirm import Confirm
from .confirm_form import check_repeats, confirm_of, repeats_of
from .driver import Driver
from .job import Job
from .launcher import wait_for_delivery
from .objective import Objective
from .objectives import objectives_of
from .origin import origin_of
from .pbt_form import check_pbt, pbt_of
from .place import absolute_place
from .population import Pbt
from .repeats import Repeats
from .results import Result
from .sampler_form import chosen, is_endless
from .spec import Checkpointing, Cluster, Keep, Limits, Resources, Retry, Search, SweepSpec, Track, max_epochs
from .start import Start
from .start_form import start_of
from .stop_form import stop_forms
from .sweepfile import check_loop, check_smaller_batch, fit_arguments, keras_settings, searched_space, window_of
from .sweepform import (
    NAME,
    AnyForm,
    BudgetForm,
    CheckpointForm,
    KeepForm,
    KerasForm,
    LimitsForm,
    ParallelForm,
    ResourcesForm,
    RetryForm,
    read_form,
)
from .terminal import Terminal
from .watcher import watching

if TYPE_CHECKING:
    import keras_tuner


def sweep(
    model: Any = None,
    data: Any = None,
    *,
    train: Any = None,
    objective: str | keras_tuner.Objective | Sequence[str | keras_tuner.Objective] | None = None,
    trials: int | None = None,
    hours: float | None = None,
    budget: Mapping[str, float] | None = None,
    start: Mapping[str, Any] | None = None,
    name: str | None = None,
    resume: bool = False,
    fit: Mapping[str, Any] | None = None,
    space: Space | Mapping[str, Any] | None = None,
    where: Sequence[str] = (),
    constraints: Sequence[str] = (),
    hyperparameters: keras_tuner.HyperParameters | None = None,
    undeclared: str | None = None,
    keras: Mapping[str, Any] | None = None,
    sampler: str | Mapping[str, Any] = "auto",
    duplicates: bool = False,
    stop: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] = "none",
    seed: int | None = None,
    deterministic: bool = False,
    parallel: int | None = None,
    resources: Mapping[str, Any] | None = None,
    address: str | None = None,
    insecure_cluster: bool = False,
    retry: Mapping[str, int] | None = None,
    limits: Mapping[str, float] | None = None,
    checkpoint: bool | Mapping[str, float] = True,
    keep: Mapping[str, int] | None = None,
    confirm: Mapping[str, int] | None = None,
    repeats: int | Mapping[str, float] = 1,
    pbt: Mapping[str, Any] | None = None,
    track: str | None = None,
    experiment: str | None = None,
    storage: str | Path | None = None,
    directory: str | Path | None = None,
    progress: bool = True,
    force: bool = False,
) -> Result:
    """Search the hyperparameters of a Keras model.

    The driver runs in this process: when its Ray dies, so does the process, and calling `sweep` again with the same
    name and `resume=True` goes on. Trials run in processes of their own, so `model` and `data` travel there.

    Args:
        model: `build(hp)` returning a compiled model, or a `keras_tuner.HyperModel` class or instance. Or an instance
            of `keras_tuner.Tuner`, with a `run_trial` of its own or not, in the place of its `search`: what it was
            made with stands where nothing else is said here.
        data: A function without arguments or of `hp`, or what it returns: `((x, y), (x_val, y_val))`, `(x, y)`, two
            datasets, or a dict of `fit` arguments.
        train: Instead of `model`, a training loop: `train(hp, report)` or `train(hp, report, data)`.
        objective: `max val_accuracy`; a name alone where Keras's own tells the direction; or a
            `keras_tuner.Objective`. Without one, the number that the `fit` of a `HyperModel` returns is minimised.
            Several in a list give a Pareto front, `Result.front`: `["max val_accuracy", "min params"]`. Besides metrics
            `params`, `flops`, `model_mb`, `latency_ms` and `seconds_per_epoch` can be named.
        trials: Budget of trials.
        hours: Budget of hours; the first limit that is reached ends the sweep.
        budget: Further limits: `{"slot_hours": …, "gpu_hours": …, "epochs": …, "no_improvement": …, "goal": …}`;
            `trials` and `hours` may stand here, too.
        start: `{"try": [{"units": 64}, …], "from": "earlier"}`: points to try first, the rest of their parameters
            sampled; and sweeps, by name or folder, whose best trials are tried again and whose others are learned from.
        name: The sweep's name; its folder is `sweeps/<name>`.
        resume: Go on with the sweep of that name where there is one.
        fit: Arguments of `fit`; any value may be a search spec as in the sweep file. `{"folds": 5}` cross-validates.
        space: A `kerasweep.spaces.Space`, or parameters as in the sweep file; they narrow or add to those that
            `model` names.
        where: Clauses that every trial keeps to, as in the sweep file: `["units <= 256 or activation == 'relu'"]`.
        constraints: Clauses on what trials come to, as in the sweep file: `["params <= 1e6", "val_recall >= 0.9"]`.
        hyperparameters: Parameters in KerasTuner's form; they stand in the place of those that `model` names.
        undeclared: What becomes of parameters that `model` names and neither of the two: `search`, `default` (KerasTuner's
            `tune_new_entries=False`) or `refuse` (its `allow_new_entries=False`); `search` if None.
        keras: `{"backend": "jax", "dtype_policy": "mixed_float16", "jit_compile": True, "steps_per_execution": 8,
            "deterministic": True}`, for every trial alike.
        sampler: `auto`, `gp`, `tpe`, `random`, `grid`, `qmc`, `cmaes`, `nsga2`, a sampler for Optuna as `module:Class`, or
            a mapping with its arguments: `{"name": "optuna.samplers:TPESampler", "n_startup_trials": 20}`.
        duplicates: Try a configuration again that has been tried; else a sweep ends that has tried them all.
        stop: When trials end early: `none`, `auto`, `asha`, `hyperband`, `median`, `patience`, `threshold`,
            `divergence`, a mapping such as `{"rule": "asha", "min_epochs": 2, "factor": 3}`, or a list of these.
        seed: Seed of the search and, by trial, of Keras; a random one if None (0 if `deterministic`).
        deterministic: The same trials in every run with the same seed and `parallel`, which must be given, and on CPU
            the same metrics: `keras={"deterministic": True}` goes with it.
        parallel: Trials at a time; as many as fit if None.
        resources: `{"cpu": 1, "gpu": 0}` for each trial (`"gpu": "auto"` packs them); also `memory_gb`, `custom`, `labels`.
        address: The Ray cluster to run on, of which this machine is a node: HOST:PORT or `auto`; this machine alone if
            None.
        insecure_cluster: Join a cluster over the network without a token all the same.
        retry: `{"lost": 5, "crash": 2, "oom": 1, "hang": 0, "error": 0, "smaller_batch": False}`.
        limits: `{"trial_s": …, "silence_s": 1800, "memory_gb": …}`.
        checkpoint: `{"every_s": 10, "share": 0.02}`: seconds between two checkpoints of a running trial, and the most of
            its time that they may cost; False for none.
        keep: `{"best": 3}`: the weights of so many best trials stay on the disk.
        confirm: `{"top": 5, "seeds": 5}`: after the search so many best trials are trained again on so many fresh seeds,
            and the champion is chosen there.
        repeats: So many seeds for every trial, or `{"seeds": 3, "level": 0.05}`; a trial's value is their mean.
        pbt: Population-based training: `{"population": 8, "interval": 2, "mutate": ["learning_rate"]}`.
        track: MLflow tracking URI; `mlflow.db` in `directory` if None.
        experiment: MLflow experiment; the sweep's name if None.
        storage: A folder or an fsspec URL, off this machine, that gets copies of the journal and of checkpoints.
        directory: The folder that holds `sweeps/`; KERASWEEP_DIR or the current one if None.
        progress: Show the live view.
        force: Run it whatever a look at the model and the data finds wrong.

    Raises:
        BadInput: something asked for cannot be done as it stands.
        Infrastructure: Ray or the tracker failed; nothing that was journaled is lost.
    """
    if train is None and is_tuner(model):
        model, train = None, model
    if is_tuner(train):
        asked = asked_of(train)
        objective = asked.objective if objective is None else objective
        trials = asked.trials if trials is None and hours is None and not budget else trials
        hyperparameters = asked.hyperparameters if hyperparameters is None else hyperparameters
        undeclared = undeclared or asked.undeclared
        retry = {"error": asked.retries} if retry is None else retry
    if (model is None) == (train is None):
        raise BadInput(
            "a sweep needs either model=build or train=loop, got " + ("neither" if model is None else "both")
        )
    first, *further = objectives = objectives_of(objective)
    settings = _keras(keras or {}, fit or {}, loop=train is not None, deterministic=deterministic)
    slots = _section(ParallelForm, "parallel", {"parallel": parallel}).parallel
    if seed is None:
        seed = 0 if deterministic else random.randrange(2**31)
    home = sweeps.home_folder(None if directory is None else Path(directory))
    plain, declared = _fit(fit or {})
    confirmed, repeated, population = _noise(confirm, repeats, pbt)
    searched = (
        *declared,
        *_declared(space),
        *(() if hyperparameters is None else declared_by(hyperparameters)),
    )
    given = Resources(**_section(ResourcesForm, "resources", resources).model_dump())
    limits_of = {**(budget or {}), **_given(trials=trials, hours=hours)}
    spent = _budget(limits_of, first, given.gpus, endless=is_endless(sampler))
    epochs = max_epochs(plain, repeated.seeds)
    rules = _stop(stop, epochs, spent.trials, [one.metric for one in objectives])
    title = _checked_name(name or f"sweep-{len(sweeps.names(home)) + 1}")
    spec = SweepSpec(
        name=title,
        folder=str(Path.cwd()),
        model="",
        data=None,
        objective=first,
        further=tuple(further),
        bounds=_bounds(constraints),
        budget=spent,
        keras=settings,
        fit=plain,
        declared=searched,
        undeclared=_one_of("undeclared", undeclared or "search", tuple(Undeclared)),
        where=_where(space, where),
        search=Search(
            **_sampler(
                sampler,
                searched,
                spent.trials,
                stops=bool(rules),
                duplicates=duplicates,
                objectives=len(objectives),
            ),
            stop=rules,
            seed=seed,
            window=_window(deterministic, slots),
        ),
        parallel=slots,
        resources=given,
        cluster=Cluster(address=None if address == LOCAL else address, insecure=insecure_cluster),
        retry=_retry(retry, fit or {}),
        limits=Limits(**_section(LimitsForm, "limits", limits).model_dump()),
        checkpoint=Checkpointing(**_section(CheckpointForm, "checkpoint", _switched(checkpoint)).model_dump()),
        keep=Keep(**_section(KeepForm, "keep", keep).model_dump()),
        confirm=confirmed,
        repeats=repeated,
        pbt=population,
        track=Track(uri=track or f"sqlite:///{home / 'mlflow.db'}", experiment=experiment or title),
        storage=absolute_place(str(storage or "")),
    )
    check_where(spec.constraints, Known.of(spec.declared), ("where",))
    _check_noise(spec, loop=train is not None)
    again = resume and (home / "sweeps" / title).exists()
    spec = replace(spec, start=_start(start, spec, home, reading=not again))
    spec = placed(spec, home)
    check_machine(spec)
    if (away := check_tracker(spec.track.uri, home)) and progress:
        Terminal(stderr=True).print(away, soft_wrap=True)
    program = pickled_program(model if train is None else train, data, loop=train is not None, keras=settings)
    return _run(spec, home, program, resume=resume, progress=progress, force=force)


def _run(spec: SweepSpec, home: Path, program: Any, *, resume: bool, progress: bool, force: bool) -> Result:
    existing = home / "sweeps" / spec.name
    staging, folder = ("", existing) if resume and existing.exists() else map(str, sweeps.stage(home, spec.name))
    if not staging:
        spec = _as_before(spec, Path(folder))
    source = sys.argv[0] or "python"
    job = Job(
        spec=spec.to_json(),
        program=program.to_json(),
        folder=str(folder),
        staging=str(staging),
        scratch=tempfile.mkdtemp(prefix="ks-"),
        origin=origin_of(source, Path.cwd()),
        force=force,
    )
    try:
        with _private_files(), watching(Path(folder), Terminal(stderr=True), shown=progress):
            code = Driver(job).run()
    finally:
        shutil.rmtree(job.scratch, ignore_errors=True)
        if staging:
            sweeps.unstage(Path(staging))
    behind = wait_for_delivery(Path(folder), 60.0)
    if behind and progress:
        Terminal(stderr=True).print(behind, soft_wrap=True)
    result = Result(Path(folder), program)
    if code == BadInput.exit_code and result.summary.history.ended is not None:
        raise BadInput(result.summary.history.ended.why)
    return result


def _as_before(spec: SweepSpec, folder: Path) -> SweepSpec:
    """Return the specification with what must stay as the sweep began: its seed, and of a deterministic one its window."""
    before = SweepSpec.from_json(sweeps.read(folder).spec)
    check_kept(before, spec)
    taken = {name: getattr(before.search, name) for name in ("seed", "taken", "reason", "window")}
    return replace(spec, search=replace(spec.search, **taken))


@contextmanager
def _private_files() -> Generator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _start(given: Mapping[str, Any] | None, spec: SweepSpec, home: Path, *, reading: bool) -> Start:
    try:
        return start_of(
            given,
            objective=spec.objective,
            space=Known.of(spec.declared),
            constraints=spec.constraints,
            undeclared=spec.undeclared,
            home=home,
            folder=Path.cwd(),
            reading=reading,
        )
    except BadForm as fault:
        raise BadInput(str(fault)) from None


def _given(**limits: float | None) -> dict[str, float]:
    return {name: value for name, value in limits.items() if value is not None}


def _budget(limits: Mapping[str, float], objective: Objective, gpus: float, *, endless: bool) -> Budget:
    if endless and not limits:
        raise BadInput("a sweep needs trials=… or hours=… to end, or another limit in budget={…}")
    for word, value in limits.items():
        if word in ("trials", "hours") and not (isinstance(value, Real) and 0 < value < math.inf):
            raise BadInput(f"{word} must be a number above 0, got {value!r}")
    try:
        return budget_of(_section(BudgetForm, "budget", limits), objective, gpus, endless=endless)
    except BadForm as fault:
        raise BadInput(str(fault)) from None


def _section(form: type[AnyForm], word: str, given: Mapping[str, Any] | None) -> AnyForm:
    """Return a section of the specification; whole numbers may come as floats, and as NumPy's."""
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in (given or {}).items()}
    whole = {name: int(value) for name, value in plain.items() if isinstance(value, float) and value.is_integer()}
    try:
        return read_form(form, {**plain, **whole}, (word,))
    except BadForm as fault:
        raise BadInput(str(fault)) from None


def _noise(confirm: object, repeats: object, pbt: object) -> tuple[Confirm, Repeats, Pbt | None]:
    """Return what is done about noise, and the population, as `sweep` was told."""
    try:
        return confirm_of(confirm), repeats_of(repeats), pbt_of(pbt)
    except BadForm as fault:
        raise BadInput(str(fault)) from None


def _check_noise(spec: SweepSpec, *, loop: bool) -> None:
    told = replace(spec, train="train") if loop else spec
    try:
        check_repeats(told)
        check_pbt(told)
    except BadForm as fault:
        raise BadInput(str(fault)) from None


def _switched(checkpoint: bool | Mapping[str, float]) -> Mapping[str, Any]:
    return {"enabled": checkpoint} if isinstance(checkpoint, bool) else checkpoint


def _retry(given: Mapping[str, int] | None, fit: Mapping[str, Any]) -> Retry:
    form = _section(RetryForm, "retry", given)
    try:
        check_smaller_batch(form.smaller_batch, fit)
    except BadForm as fault:
        raise BadInput(str(fault)) from None
    return Retry(**form.model_dump())


def _window(deterministic: bool, parallel: int | None) -> int | None:
    try:
        return window_of(deterministic, parallel)
    except BadForm as fault:
        raise BadInput(str(fault).replace("search.deterministic", "deterministic").replace(": 2`", "=2`")) from None


def _keras(
    values: Mapping[str, Any], fit: Mapping[str, Any], *, loop: bool, deterministic: bool = False
) -> KerasSettings:
    try:
        form = read_form(KerasForm, dict(values), ("keras",))
        if loop:
            check_loop(form, fit)
        return keras_settings(form, deterministic=deterministic)
    except BadForm as fault:
        raise BadInput(str(fault)) from None


def _fit(values: Mapping[str, Any]) -> tuple[dict[str, Json], list[Declared]]:
    """Return the arguments of `fit`; epochs that nobody gave are Keras's affair, or that of the user's own `fit`."""
    try:
        plain, declared = fit_arguments({"epochs": 1, **values})
    except BadForm as fault:
        raise BadInput(f"fit: {fault}") from None
    return plain if "epochs" in values else {name: one for name, one in plain.items() if name != "epochs"}, declared


def _stop(rules: object, epochs: int, trials: int | None, metrics: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
    given = list(cast(Sequence[object], rules)) if isinstance(rules, tuple) else rules
    try:
        return stop_forms(given, max_epochs=epochs, trials=trials, metrics=metrics)
    except BadForm as fault:
        raise BadInput(str(fault).replace("search.stop", "stop")) from None


def _sampler(
    given: str | Mapping[str, Any],
    declared: Sequence[Declared],
    trials: int | None,
    *,
    stops: bool,
    duplicates: bool,
    objectives: int,
) -> dict[str, Any]:
    try:
        return chosen(given, declared, trials=trials, stops=stops, duplicates=duplicates, objectives=objectives)
    except BadForm as fault:
        raise BadInput(str(fault).replace("search.", "")) from None


def _declared(space: Space | Mapping[str, Any] | None) -> Sequence[Declared]:
    given = cast(object, space or {})
    if isinstance(given, Space):
        given = {one.name: one.form for one in given.entries}
    if not isinstance(given, Mapping):
        raise BadInput(
            f"space is {shown(given)}; expected a kerasweep.spaces.Space, or a mapping of parameters by name"
        )
    try:
        return searched_space(cast(Mapping[Any, Any], given))
    except BadForm as fault:
        raise BadInput(f"space: {fault}") from None


def _where(space: Space | Mapping[str, Any] | None, where: Sequence[str]) -> tuple[str, ...]:
    return (*(space.where if isinstance(space, Space) else ()), *checked_where(where))


def _bounds(constraints: Sequence[str]) -> tuple[str, ...]:
    try:
        return checked_bounds(constraints)
    except BadForm as fault:
        raise BadInput(str(fault)) from None


def _one_of(word: str, value: str, valid: Sequence[str]) -> str:
    if value not in valid:
        raise BadInput(f"{word} is {value!r}; expected {' or '.join(valid)}{did_you_mean(value, valid)}")
    return value


def _checked_name(name: str) -> str:
    if not re.fullmatch(NAME, name):
        raise BadInput(
            f"the name {name!r} cannot be a folder's; expected up to 64 letters, digits, '.', '_' and '-', a letter or digit first"
        )
    return name
