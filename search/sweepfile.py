"""The sweep file: text in, a specification out; every mistake is one line that says where it stands."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from ..cluster.addresses import LOCAL
from ..cluster.backend import BACKENDS, VARIABLE, KerasSettings, default_backend, missing
from ..cluster.program import snapshot
from ..spaces.bounds import checked_bounds
from ..spaces.constraints import check_where
from ..spaces.errors import BadInput, did_you_mean
from ..spaces.known import Declared, Known
from ..spaces.parameter import Interval, Parameter
from ..spaces.space import checked_where
from ..spaces.trial import Json, Scalar
from ..spaces.yaml_form import BadForm, declare, declare_all
from ..spaces.yaml_text import read
from .budget_form import budget_of
from .confirm_form import check_repeats, confirm_of, repeats_of
from .mentions import mentions
from .objectives import read_objectives
from .override import override
from .pbt_form import check_pbt, pbt_of
from .place import absolute_place
from .reference import locate
from .sampler_form import chosen, is_endless
from .spec import Checkpointing, Cluster, Keep, Limits, Resources, Retry, Search, SweepSpec, Track, max_epochs
from .start import Point
from .start_form import start_of
from .stop_form import stop_forms
from .sweepform import (
    NAME,
    BudgetForm,
    ClusterForm,
    FitForm,
    KerasForm,
    SearchForm,
    SweepForm,
    TrackForm,
    read_form,
    unknown_key,
)
from .tracking_uri import MEND, holds_secret

FROM_DATA = "data come from `data:`"
REFUSED_IN_FIT = {
    "x": FROM_DATA,
    "y": FROM_DATA,
    "sample_weight": FROM_DATA,
    "validation_data": FROM_DATA,
    "callbacks": "callbacks are code: let `data:` return them in a dict, or override `fit` of a keras_tuner.HyperModel",
    "initial_epoch": "every trial counts its epochs from the first",
}


def load(path: str | Path, overrides: Iterable[str] = (), *, home: Path | None = None) -> SweepSpec:
    """Return the sweep that a file describes.

    Args:
        path: the sweep file; messages name it as it is given here.
        overrides: `key.sub=value` each, as `--set` takes them; the value is read as YAML.
        home: the folder of the default `mlflow.db`; the current one if None.

    Raises:
        BadInput: something is wrong; the message is one line, `sweep.yaml:7:3: …`.
    """
    root = read(Path(path), str(path))
    for setting in overrides:
        root = override(root, setting)
    try:
        data = root.plain()
        return _spec(read_form(SweepForm, data), _keys(data), Path(path).resolve(), home or Path.cwd())
    except BadForm as fault:
        node = root.at(fault.path)
        raise (node.key if fault.at_key else node.place).fault(str(fault)) from fault


def _keys(data: object) -> set[object]:
    return set(cast(Mapping[object, object], data)) if isinstance(data, Mapping) else set()


def _spec(form: SweepForm, keys: set[object], path: Path, home: Path) -> SweepSpec:
    _check_trained(form, keys)
    for key, code in (("model", form.model), ("train", form.train), ("data", form.data)):
        if code is not None:
            _check_code(key, code, path.parent)
    name = form.name or _default_name(path)
    fit, searched = fit_arguments(form.fit)
    repeats = repeats_of(form.repeats)
    searched = [*searched, *searched_space(form.space)]
    check_smaller_batch(form.retry.smaller_batch, form.fit)
    objective, *further = objectives = read_objectives(form.objective)
    resources = Resources(**form.resources.model_dump())
    spec = SweepSpec(
        name=name,
        folder=str(path.parent),
        model=form.model or "",
        train=form.train or "",
        data=form.data,
        objective=objective,
        further=tuple(further),
        bounds=checked_bounds(form.constraints),
        budget=budget_of(form.budget, objective, resources.gpus, endless=is_endless(form.search.sampler)),
        keras=keras_settings(form.keras, deterministic=form.search.deterministic),
        fit=fit,
        declared=tuple(searched),
        undeclared=form.undeclared,
        where=checked_where(form.where),
        search=search_of(
            form.search,
            max_epochs(fit, repeats.seeds),
            form.budget,
            searched,
            form.parallel,
            [one.metric for one in objectives],
        ),
        parallel=form.parallel,
        resources=resources,
        cluster=cluster_of(form.cluster),
        retry=Retry(**form.retry.model_dump()),
        limits=Limits(**form.limits.model_dump()),
        checkpoint=Checkpointing(**form.checkpoint.model_dump()),
        keep=Keep(**form.keep.model_dump()),
        confirm=confirm_of(form.confirm),
        repeats=repeats,
        pbt=pbt_of(form.pbt),
        track=_track(form.track, name, home),
        storage=_storage(form.storage),
    )
    check_repeats(spec)
    check_pbt(spec, code=True)
    if spec.where:
        check_names(spec)
        check_where(spec.constraints, Known.of(spec.declared), ("where",))
    start = start_of(
        form.start,
        objective=objective,
        space=Known.of(spec.declared),
        constraints=spec.constraints,
        undeclared=form.undeclared,
        home=home,
        folder=path.parent,
    )
    check_points(spec, start.points)
    return replace(spec, start=start)


def _default_name(path: Path) -> str:
    """Return the file's name without its ending, or its folder's if it says nothing."""
    stem = path.parent.name if path.stem == "sweep" else path.stem
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem).strip("-._")[:64]
    return name if re.fullmatch(NAME, name) else "sweep"


def _check_code(key: str, value: str, folder: Path) -> None:
    try:
        locate(value, folder)
    except BadInput as error:
        raise BadForm(str(error), (key,)) from error


def _check_trained(form: SweepForm, keys: set[object]) -> None:
    """Refuse a sweep with no code to train, or two; `keys` are those of the file, empty ones too."""
    if form.model is None and form.train is None:
        expected = "expected `file.py:name` or `package.module:name`, or a training loop as 'train'"
        for key in ("model", "train"):
            if key in keys:
                raise BadForm(f"{key!r} is empty; {expected}", (key,))
        raise BadForm(f"'model' is missing; {expected}", ())
    if form.train is None:
        return
    if form.model is not None:
        mend = "expected `model:` (build(hp) returns a model) or `train:` (train(hp, report) trains one)"
        raise BadForm(f"'model' and 'train' are both there; {mend}", ("train",), at_key=True)
    check_loop(form.keras, form.fit)


def check_loop(keras: KerasForm, fit: Mapping[Any, Any]) -> None:
    """Refuse settings of `compile` and `fit` that a training loop would not see.

    Raises:
        BadForm: there is one.
    """
    for name in ("jit_compile", "steps_per_execution"):
        if getattr(keras, name) not in (None, "auto"):
            mend = "a training loop compiles its models itself; say it there"
            raise BadForm(f"'keras.{name}' cannot stand beside 'train'; {mend}", ("keras", name), at_key=True)
    if fit.get("folds") is not None:
        raise BadForm(
            "'fit.folds' cannot stand beside 'train'; split the data in the loop", ("fit", "folds"), at_key=True
        )


def check_smaller_batch(wanted: bool, fit: Mapping[Any, Any]) -> None:
    """Refuse to halve a batch size that `fit` is not given: that of a dataset is its own.

    Raises:
        BadForm: it is not.
    """
    if wanted and "batch_size" not in fit:
        mend = "give it, as `fit: {batch_size: 32}`, or leave 'smaller_batch' out: the trial is then repeated alone"
        raise BadForm(f"'retry.smaller_batch' needs 'fit.batch_size'; {mend}", ("retry", "smaller_batch"), at_key=True)


def keras_settings(form: KerasForm, *, deterministic: bool) -> KerasSettings:
    """Return how Keras trains; the backend is what Keras would choose where the file does not say.

    Args:
        form: What the file says.
        deterministic: Whether it trains deterministically where the file does not say, as the search is to be so.

    Raises:
        BadForm: the backend is not installed, or not one that can be used.
    """
    path = ("keras", "backend")
    backend = form.backend or default_backend()
    if backend not in BACKENDS:
        valid = ", ".join(BACKENDS)
        raise BadForm(f"the backend of Keras is {backend!r} ({VARIABLE} or keras.json); expected one of {valid}", path)
    lack = missing(backend)
    if lack:
        raise BadForm(f"'keras.backend': {lack}", path)
    return KerasSettings(
        backend=backend,
        dtype_policy=form.dtype_policy,
        jit_compile=None if form.jit_compile == "auto" else form.jit_compile,
        steps_per_execution=form.steps_per_execution,
        deterministic=deterministic if form.deterministic is None else form.deterministic,
    )


def cluster_of(form: ClusterForm) -> Cluster:
    """Return where the sweep runs; `local` is this machine alone, as where nothing is said."""
    return Cluster(address=None if form.address == LOCAL else form.address, insecure=form.insecure)


def window_of(deterministic: bool, parallel: int | None) -> int | None:
    """Return the window of a deterministic search: as many trials as run at a time.

    Raises:
        BadForm: nobody says how many.
    """
    if deterministic and parallel is None:
        mend = "its trials depend on how many run at a time; expected `parallel: 2` or another number"
        raise BadForm(f"'search.deterministic' needs 'parallel': {mend}", ("search", "deterministic"), at_key=True)
    return parallel if deterministic else None


def search_of(
    form: SearchForm,
    epochs: int,
    budget: BudgetForm,
    declared: Iterable[Declared],
    parallel: int | None,
    metrics: Sequence[str],
) -> Search:
    """Return how it is searched; a seed that is not given is drawn.

    Raises:
        BadForm: a sampler or a stop rule is none, or has numbers that are not its own.
    """
    given = 0 if form.seed is None and form.deterministic else form.seed
    seed = random.SystemRandom().randrange(2**32) if given is None else given
    stop = stop_forms(form.stop, max_epochs=epochs, trials=budget.trials, metrics=metrics)
    sampler = chosen(
        form.sampler,
        declared,
        trials=budget.trials,
        stops=bool(stop),
        duplicates=form.duplicates,
        objectives=len(metrics),
    )
    return Search(**sampler, stop=stop, seed=seed, window=window_of(form.deterministic, parallel))


# Parameters ---------------------------------------------------------------------------------------------------------------


def searched_space(forms: Mapping[Any, Any]) -> list[Declared]:
    """Return the parameters of the section `space`.

    Raises:
        BadForm: one cannot be understood, or is an argument of `fit`.
    """
    for name in forms:
        if str(name).startswith("fit/"):
            raise BadForm(f"{name!r} is an argument of `fit`; expected it under `fit:`", ("space", name), at_key=True)
    return declare_all(forms, ("space",))


def check_names(spec: SweepSpec) -> None:
    """Refuse a name in `where` that is nearly one of a declared parameter, and that no code beside the file mentions.

    Raises:
        BadForm: there is one.
    """
    constraints = spec.constraints
    known = [*constraints.constants, *(one.parameter.name for one in spec.declared)]
    for index, clause in enumerate(constraints.clauses):
        hints = {name: hint for name, hint in clause.unknown(known).items() if hint}
        for name in mentions(snapshot(Path(spec.folder)), hints) if hints else []:
            message = f"where: {name!r} is no parameter of the space, and no code names it{hints[name]}"
            raise BadForm(message, ("where", index))


def check_points(spec: SweepSpec, points: Iterable[Point]) -> None:
    """Refuse a starting point's name that is nearly one of a declared parameter, and that no code mentions.

    Raises:
        BadForm: there is one.
    """
    known = [one.parameter.name for one in spec.declared]
    for index, point in enumerate(points):
        hints = {name: did_you_mean(name, known) for name in point if name not in known}
        for name in mentions(snapshot(Path(spec.folder)), [name for name, hint in hints.items() if hint]):
            message = f"{name!r} is no parameter of the space, and no code names it{hints[name]}"
            raise BadForm(message, ("start", "try", index, name), at_key=True)


def fit_arguments(values: Mapping[Any, Any]) -> tuple[dict[str, Json], list[Declared]]:
    """Return the arguments of `fit` and those searched; searched epochs are in both, there with the most of them.

    Raises:
        BadForm: one is none of `fit`'s, or its value does not fit it.
    """
    literals: dict[str, object] = {}
    declared: list[Declared] = []
    for key, value in values.items():
        if key in REFUSED_IN_FIT:
            raise BadForm(f"{key!r} cannot stand in 'fit'; {REFUSED_IN_FIT[key]}", ("fit", key), at_key=True)
        if key not in FitForm.model_fields:
            raise unknown_key(key, ("fit",), list(FitForm.model_fields))
        if isinstance(value, list | dict) and key not in ("class_weight", "folds"):
            declared.append(_searched(key, value))
        else:
            literals[key] = value
    fit: dict[str, Any] = read_form(FitForm, literals, ("fit",)).model_dump(exclude_unset=True)
    if "class_weight" in fit:  # JSON has no other keys
        fit["class_weight"] = {str(key): weight for key, weight in fit["class_weight"].items()}
    for one in declared:
        key = one.parameter.name.removeprefix("fit/")
        if key in ("epochs", "validation_freq"):
            fit[key] = max(_extremes(one.parameter))
    if "folds" in fit and "validation_split" in values:
        raise BadForm(
            "'fit.validation_split' cannot stand beside 'folds'; each fold is validated with in turn",
            ("fit", "validation_split"),
            at_key=True,
        )
    if "epochs" not in fit:
        raise BadForm(
            "'fit.epochs' is missing; expected the most epochs a trial may take, as `fit: {epochs: 20}`", ("fit",)
        )
    return fit, declared


def _searched(key: str, form: Any) -> Declared:
    """Return the parameter of one argument, all of whose values `fit` takes."""
    path = ("fit", key)
    first, *branches = declare(f"fit/{key}", form, path)
    if branches:
        raise BadForm(f"{key!r} cannot have branches; expected a range or a list of values", path)
    for value in _extremes(first.parameter):
        try:
            read_form(FitForm, {key: value}, ("fit",))
        except BadForm as fault:
            raise BadForm(str(fault), path) from fault
    return first


def _extremes(parameter: Parameter) -> tuple[Scalar, ...]:
    domain = parameter.domain
    if not isinstance(domain, Interval):
        return domain.values
    return (int(domain.low), int(domain.high)) if domain.integer else (float(domain.low), float(domain.high))


# The tracker --------------------------------------------------------------------------------------------------------------


def _track(form: TrackForm, name: str, home: Path) -> Track:
    uri = f"sqlite:///{home.absolute() / 'mlflow.db'}" if form.uri is None else _absolute(form.uri)
    return Track(uri=uri, experiment=form.experiment or name)


def _storage(place: str | None) -> str:
    try:
        return absolute_place(place or "")
    except BadInput as error:
        raise BadForm(str(error), ("storage",)) from error


def _absolute(uri: str) -> str:
    """Return the URI as any process understands it, whatever its folder."""
    path = ("track", "uri")
    if holds_secret(uri):
        raise BadForm(f"'track.uri' holds a user or a password; expected none: {MEND}", path)
    scheme, slashes, rest = uri.partition(":///")
    if scheme == "sqlite" and slashes and rest and not rest.startswith(":"):
        return f"sqlite:///{Path.cwd() / rest}"
    if uri.startswith("sqlite:"):
        raise BadForm(f"'track.uri' is {uri!r}; expected a file, as in 'sqlite:///mlflow.db', three slashes", path)
    if re.match(r"[a-z0-9+-]+:|databricks", uri):
        return uri
    return str(Path.cwd() / uri)
