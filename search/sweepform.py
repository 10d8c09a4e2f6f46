"""What may stand in a sweep file: its keys, their types and bounds; a field's description is what a message expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar, cast, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from ..spaces.errors import did_you_mean
from ..spaces.yaml_form import BadForm, Path, shown

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"

MANY = 1_000_000
"""Of epochs, trials, rows of a batch and the like nobody can mean more."""
MANY_EPOCHS = 1_000_000_000
"""Over all trials."""
MOST_AT_ONCE = 10_000
MOST_TIMES = 1_000
MOST_HOURS = 100_000

OneOrMore = Annotated[int, Field(ge=1, le=MANY)]
AtOnce = Annotated[int, Field(ge=1, le=MOST_AT_ONCE)]
ZeroOrMore = Annotated[int, Field(ge=0, le=MOST_TIMES)]
Positive = Annotated[float, Field(gt=0)]
Hours = Annotated[float, Field(gt=0, le=MOST_HOURS)]
Seconds = Annotated[float, Field(gt=0, le=MOST_HOURS * 3600)]

_WHOLE = f"a whole number from 1 to {MANY}"
_AT_ONCE = f"a whole number from 1 to {MOST_AT_ONCE}"
_TIMES = f"a whole number from 0 to {MOST_TIMES}"
_ABOVE_0 = "a number above 0"
_HOURS = f"{_ABOVE_0} and at most {MOST_HOURS}"
_SECONDS = f"{_ABOVE_0} and at most {MOST_HOURS * 3600}, in seconds"
_CODE = "`file.py:name` or `package.module:name`"
_OBJECTIVE = "`max val_accuracy`, `{maximize: val_accuracy, at: last}`, or a list, as `[max val_accuracy, min params]`"


def _no_own_key(value: dict[str, float]) -> dict[str, float]:
    """Refuse resources that Ray knows by itself: they have keys of their own."""
    if value.keys() & {"", "CPU", "GPU", "memory", "object_store_memory"}:
        raise ValueError(value)
    return value


def _whole_above_1(value: float) -> float:
    """Refuse shares of several graphics processors: Ray gives a fraction of one, or whole ones."""
    if value > 1 and value != int(value):
        raise ValueError(value)
    return value


class Form(BaseModel):
    """A mapping of the sweep file; a key without a value is as good as absent."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)
    expected: ClassVar[str] = "a mapping of keys such as model, objective and budget"

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        items = cast(Mapping[Any, Any], data).items()
        return {key: value for key, value in items if value is not None or key not in cls.model_fields}


class SearchForm(Form):
    """How it is searched."""

    sampler: Any = Field(default="auto", description="the name of a sampler")
    duplicates: bool = Field(default=False, description="true or false")
    stop: Any = Field(default="none", description="the name of a stop rule, or a list of several")
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = Field(
        default=None, description="a whole number from 0 to 4294967295"
    )
    deterministic: bool = Field(default=False, description="true or false")


class BudgetForm(Form):
    """When the sweep ends."""

    trials: OneOrMore | None = Field(default=None, description=_WHOLE)
    hours: Hours | None = Field(default=None, description=_HOURS)
    slot_hours: Hours | None = Field(default=None, description=_HOURS)
    gpu_hours: Hours | None = Field(default=None, description=_HOURS)
    epochs: Annotated[int, Field(ge=1, le=MANY_EPOCHS)] | None = Field(
        default=None, description=f"a whole number from 1 to {MANY_EPOCHS}, over all trials"
    )
    no_improvement: OneOrMore | None = Field(default=None, description=f"{_WHOLE}, of trials")
    goal: float | None = Field(default=None, description="a number, in the objective's units")


class ResourcesForm(Form):
    """What a trial gets."""

    cpu: AtOnce = Field(default=1, description=_AT_ONCE)
    gpu: Annotated[float, Field(ge=0, le=MOST_TIMES), AfterValidator(_whole_above_1)] | Literal["auto"] = Field(
        default=0.0, description=f"a fraction of one, a whole number up to {MOST_TIMES}, or auto"
    )
    memory_gb: Annotated[float, Field(ge=0)] = Field(default=0.0, description="a number, 0 or more, in GB")
    custom: Annotated[dict[str, Positive], AfterValidator(_no_own_key)] = Field(
        default={}, description="a number above 0 for each resource that nodes were given by name, such as {license: 1}"
    )
    labels: dict[Annotated[str, Field(min_length=1)], str] = Field(
        default={}, description="a value for each label of the nodes, such as {ray.io/accelerator-type: A100}"
    )


class ClusterForm(Form):
    """Where it runs."""

    address: str | None = Field(default=None, description="HOST:PORT of the cluster's head, auto or local")
    insecure: bool = Field(default=False, description="true or false")


class RetryForm(Form):
    """How often an attempt is repeated, by cause."""

    lost: ZeroOrMore = Field(default=5, description=_TIMES)
    crash: ZeroOrMore = Field(default=2, description=_TIMES)
    oom: ZeroOrMore = Field(default=1, description=_TIMES)
    hang: ZeroOrMore = Field(default=0, description=_TIMES)
    error: ZeroOrMore = Field(default=0, description=_TIMES)
    smaller_batch: bool = Field(default=False, description="true or false")


class ParallelForm(Form):
    """How many trials run at a time."""

    parallel: AtOnce | None = Field(default=None, description=_AT_ONCE)


class LimitsForm(Form):
    """Bounds on one trial."""

    trial_s: Seconds | None = Field(default=None, description=_SECONDS)
    silence_s: Seconds = Field(default=1800.0, description=_SECONDS)
    memory_gb: Positive | None = Field(default=None, description=f"{_ABOVE_0}, in GB")


class TrackForm(Form):
    """Where it is recorded."""

    uri: str | None = Field(default=None, description="an MLflow tracking URI, such as sqlite:///mlflow.db")
    experiment: Annotated[str, Field(min_length=1, max_length=250)] | None = Field(default=None, description="a name")


class CheckpointForm(Form):
    """When running trials are saved, so that a lost process costs seconds."""

    enabled: bool = Field(default=True, description="true or false")
    every_s: Positive = Field(default=10.0, description=f"{_ABOVE_0}, in seconds")
    share: Annotated[float, Field(gt=0, le=1)] = Field(default=0.02, description="a number above 0, up to 1")

    @model_validator(mode="before")
    @classmethod
    def _from_switch(cls, data: object) -> object:
        return {"enabled": data} if isinstance(data, bool) else data


class KeepForm(Form):
    """What stays on the disk of trials that have ended."""

    best: OneOrMore = Field(default=3, description=_WHOLE)


class ObjectiveForm(Form):
    """The long form of the objective."""

    expected: ClassVar[str] = _OBJECTIVE
    maximize: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="a metric, such as val_accuracy"
    )
    minimize: Annotated[str, Field(min_length=1)] | None = Field(default=None, description="a metric, such as val_loss")
    at: Literal["best", "last"] = Field(default="best", description="best or last")


class FitForm(Form):
    """The arguments of Keras's `fit` that a sweep file may give, and the folds that it is called for."""

    epochs: OneOrMore | None = Field(default=None, description=_WHOLE)
    folds: Annotated[int, Field(ge=2, le=MOST_TIMES)] | None = Field(
        default=None, description=f"a whole number from 2 to {MOST_TIMES}"
    )
    batch_size: OneOrMore | None = Field(default=None, description=_WHOLE)
    validation_split: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="a number from 0 to below 1"
    )
    validation_freq: OneOrMore | None = Field(default=None, description=_WHOLE)
    validation_batch_size: OneOrMore | None = Field(default=None, description=_WHOLE)
    validation_steps: OneOrMore | None = Field(default=None, description=_WHOLE)
    steps_per_epoch: OneOrMore | None = Field(default=None, description=_WHOLE)
    shuffle: bool | None = Field(default=None, description="true or false")
    class_weight: dict[int, Positive] | None = Field(
        default=None, description="a weight above 0 for each class, by its number"
    )
    verbose: Literal["auto", 0, 1, 2] | None = Field(default=None, description="0, 1, 2 or auto")


class KerasForm(Form):
    """How Keras trains, for every trial alike."""

    backend: Literal["tensorflow", "jax", "torch"] | None = Field(default=None, description="tensorflow, jax or torch")
    dtype_policy: Literal["float32", "float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"] | None = (
        Field(default=None, description="float32, mixed_float16, mixed_bfloat16, float16, bfloat16 or float64")
    )
    jit_compile: bool | Literal["auto"] = Field(default="auto", description="true, false or auto")
    steps_per_execution: OneOrMore | None = Field(default=None, description=_WHOLE)
    deterministic: bool | None = Field(default=None, description="true or false")


class SweepForm(Form):
    """The whole file; what is `object` here is read further by whoever knows its forms."""

    name: Annotated[str, Field(pattern=f"^{NAME}$")] | None = Field(
        default=None, description="up to 64 letters, digits, '.', '_' and '-', a letter or digit first"
    )
    model: str | None = Field(default=None, description=_CODE)
    train: str | None = Field(default=None, description=_CODE)
    data: str | None = Field(default=None, description=_CODE)
    objective: Any = Field(description=_OBJECTIVE)
    keras: KerasForm = Field(default=KerasForm(), description="a mapping, such as {backend: jax}")
    fit: dict[Any, Any] = Field(default={}, description="a mapping of `fit` arguments, such as {epochs: 20}")
    space: dict[Any, Any] = Field(default={}, description="a mapping of parameters, by name")
    undeclared: Literal["search", "default", "refuse"] = Field(
        default="search", description="search, default or refuse"
    )
    where: Any = Field(default=None, description='a list of clauses, such as ["units <= 256"]')
    constraints: Any = Field(default=None, description='a list of clauses, such as ["params <= 1e6"]')
    search: SearchForm = Field(default=SearchForm(), description="a mapping, such as {sampler: tpe, stop: asha}")
    start: Any = Field(default=None, description="a mapping, such as {try: [{units: 64}], from: NAME}")
    budget: BudgetForm = Field(default=BudgetForm(), description="a mapping, such as {trials: 50} or {hours: 2}")
    parallel: AtOnce | None = Field(default=None, description=_AT_ONCE)
    resources: ResourcesForm = Field(default=ResourcesForm(), description="a mapping, such as {cpu: 1, gpu: 0}")
    cluster: ClusterForm = Field(default=ClusterForm(), description="a mapping, such as {address: auto}")
    retry: RetryForm = Field(default=RetryForm(), description="a mapping, such as {lost: 5, crash: 2}")
    limits: LimitsForm = Field(default=LimitsForm(), description="a mapping, such as {trial_s: 600}")
    checkpoint: CheckpointForm = Field(
        default=CheckpointForm(), description="a mapping, such as {every_s: 10}, or false for none"
    )
    keep: KeepForm = Field(default=KeepForm(), description="a mapping, such as {best: 3}")
    confirm: Any = Field(default=None, description="a mapping, such as {top: 5, seeds: 5}")
    repeats: Any = Field(default=None, description="a number of seeds, or a mapping such as {seeds: 3, level: 0.05}")
    pbt: Any = Field(
        default=None, description="a mapping, such as {population: 8, interval: 2, mutate: [learning_rate]}"
    )
    track: TrackForm = Field(default=TrackForm(), description="a mapping, such as {uri: 'sqlite:///mlflow.db'}")
    storage: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="a folder or a URL, such as /mnt/sweeps or s3://bucket/sweeps"
    )


AnyForm = TypeVar("AnyForm", bound=Form)

# Reading and its faults ---------------------------------------------------------------------------------------------------


def read_form(form: type[AnyForm], data: object, path: Path = ()) -> AnyForm:
    """Return the data as `form`; `path` is where it stands.

    Raises:
        BadForm: it is not; where several things are wrong, one that is there goes before one that is missing.
    """
    try:
        return form.model_validate(data)
    except ValidationError as error:
        details = sorted(error.errors(include_url=False), key=lambda one: one["type"] == "missing")
        raise _fault(form, data, tuple(details[0]["loc"]), path) from None


def unknown_key(key: object, path: Path, valid: Sequence[str]) -> BadForm:
    """Return the fault of a key that has no meaning in the mapping at `path`."""
    where = f" in {dotted(path)!r}" if path else ""
    names, hint = ", ".join(valid), did_you_mean(str(key), valid)
    return BadForm(f"unknown key {shown(key)}{where}; expected one of {names}{hint}", (*path, key), at_key=True)


def dotted(path: Path) -> str:
    """Return a path as `--set` and messages write it."""
    return ".".join(str(key) for key in path)


def _fault(form: type[Form], data: object, loc: Path, path: Path) -> BadForm:
    """Return what is wrong at `loc`, found by walking there: pydantic adds steps of its own, which are left out."""
    at, value, inner, field = path, cast(Any, data), form, None
    for key in loc:
        if not isinstance(value, Mapping):
            break
        if inner is not None:
            if key not in inner.model_fields:
                return unknown_key(key, at, list(inner.model_fields))
            field = inner.model_fields[key]
            inner = _form_of(field)
        if key not in value:
            if field is not None and field.is_required():
                return BadForm(f"{dotted((*at, key))!r} is missing; expected {field.description}", at)
            break
        at, value = (*at, key), cast(Mapping[Any, Any], value)[key]
    return _mismatch(
        cast(object, value), field, at, field.description if field and field.description else form.expected
    )


def _mismatch(value: object, field: FieldInfo | None, path: Path, expected: str) -> BadForm:
    subject = repr(dotted(path)) if path else "the file"
    hint = did_you_mean(value, _names(field)) if isinstance(value, str) else ""
    if field is not None and _is_text(field) and isinstance(value, bool | int | float):
        hint = "; text that looks like something else needs quotes"
    return BadForm(f"{subject} is {shown(value)}; expected {expected}{hint}", path)


def _form_of(field: FieldInfo) -> type[Form] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Form) else None


def _is_text(field: FieldInfo) -> bool:
    return any(str in (kind, *get_args(kind)) for kind in (field.annotation, *get_args(field.annotation)))


def _names(field: FieldInfo | None) -> list[str]:
    """Return the names that the field allows, if it allows only some."""
    if field is None:
        return []
    kinds = (field.annotation, *get_args(field.annotation))
    return [one for kind in kinds for one in get_args(kind) if isinstance(one, str)]
