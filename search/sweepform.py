"""What may stand in a sweep file: its keys, their types and bounds; a field's description is what a message expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..spaces.errors import did_you_mean
from ..spaces.yaml_form import BadForm, Path, shown

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"

OneOrMore = Annotated[int, Field(ge=1)]
ZeroOrMore = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]

_WHOLE = "a whole number, 1 or more"
_TIMES = "a whole number, 0 or more"
_ABOVE_0 = "a number above 0"
_CODE = "`file.py:name` or `package.module:name`"
_OBJECTIVE = "`max val_accuracy`, `min val_loss` or `{maximize: val_accuracy, at: last}`"


class _Form(BaseModel):
    """A mapping of the sweep file; a key without a value is as good as absent."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        items = cast(Mapping[Any, Any], data).items()
        return {key: value for key, value in items if value is not None or key not in cls.model_fields}


class StopForm(_Form):
    """When trials stop early."""

    rule: Literal["asha", "none"] = Field(description="asha or none")
    min_epochs: OneOrMore = Field(1, description=_WHOLE)
    factor: Annotated[int, Field(ge=2)] = Field(3, description="a whole number, 2 or more")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, data: object) -> object:
        return {"rule": data} if isinstance(data, str) else data


class SearchForm(_Form):
    """How it is searched."""

    sampler: Literal["tpe", "random"] = Field("tpe", description="tpe or random")
    stop: StopForm = Field(StopForm(rule="none"), description="asha, none or `{rule: asha, min_epochs: 1, factor: 3}`")
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = Field(None, description="a whole number from 0 to 4294967295")


class BudgetForm(_Form):
    """When the sweep ends."""

    trials: OneOrMore | None = Field(None, description=_WHOLE)
    hours: Positive | None = Field(None, description=_ABOVE_0)


class ResourcesForm(_Form):
    """What a trial gets."""

    cpu: OneOrMore = Field(1, description=_WHOLE)
    gpu: Annotated[float, Field(ge=0)] = Field(0.0, description="a number, 0 or more")


class RetryForm(_Form):
    """How often an attempt is repeated, by cause."""

    lost: ZeroOrMore = Field(5, description=_TIMES)
    crash: ZeroOrMore = Field(2, description=_TIMES)
    oom: ZeroOrMore = Field(1, description=_TIMES)
    hang: ZeroOrMore = Field(0, description=_TIMES)
    error: ZeroOrMore = Field(0, description=_TIMES)


class LimitsForm(_Form):
    """Bounds on one trial."""

    trial_s: Positive | None = Field(None, description=f"{_ABOVE_0}, in seconds")
    silence_s: Positive = Field(1800.0, description=f"{_ABOVE_0}, in seconds")
    memory_gb: Positive | None = Field(None, description=f"{_ABOVE_0}, in GB")


class TrackForm(_Form):
    """Where it is recorded."""

    uri: str | None = Field(None, description="an MLflow tracking URI, such as sqlite:///mlflow.db")
    experiment: Annotated[str, Field(min_length=1, max_length=250)] | None = Field(None, description="a name")


class ObjectiveForm(_Form):
    """The long form of the objective."""

    maximize: Annotated[str, Field(min_length=1)] | None = Field(None, description="a metric, such as val_accuracy")
    minimize: Annotated[str, Field(min_length=1)] | None = Field(None, description="a metric, such as val_loss")
    at: Literal["best", "last"] = Field("best", description="best or last")


class FitForm(_Form):
    """The arguments of Keras's `fit` that a sweep file may give."""

    epochs: OneOrMore | None = Field(None, description=_WHOLE)
    batch_size: OneOrMore | None = Field(None, description=_WHOLE)
    validation_split: Annotated[float, Field(ge=0, lt=1)] | None = Field(None, description="a number from 0 to below 1")
    validation_freq: OneOrMore | None = Field(None, description=_WHOLE)
    validation_batch_size: OneOrMore | None = Field(None, description=_WHOLE)
    validation_steps: OneOrMore | None = Field(None, description=_WHOLE)
    steps_per_epoch: OneOrMore | None = Field(None, description=_WHOLE)
    shuffle: bool | None = Field(None, description="true or false")
    class_weight: dict[int, Positive] | None = Field(None, description="a weight above 0 for each class, by its number")
    verbose: Literal["auto", 0, 1, 2] | None = Field(None, description="0, 1, 2 or auto")


class SweepForm(_Form):
    """The whole file; what is `object` here is read further by whoever knows its forms."""

    name: Annotated[str, Field(pattern=f"^{NAME}$")] | None = Field(
        None, description="up to 64 letters, digits, '.', '_' and '-', a letter or digit first"
    )
    model: str = Field(description=_CODE)
    data: str | None = Field(None, description=_CODE)
    objective: Any = Field(description=_OBJECTIVE)
    fit: dict[Any, Any] = Field({}, description="a mapping of `fit` arguments, such as {epochs: 20}")
    space: dict[Any, Any] = Field({}, description="a mapping of parameters, by name")
    search: SearchForm = Field(SearchForm(), description="a mapping, such as {sampler: tpe, stop: asha}")
    budget: BudgetForm = Field(BudgetForm(), description="a mapping, such as {trials: 50} or {hours: 2}")
    parallel: OneOrMore | None = Field(None, description=_WHOLE)
    resources: ResourcesForm = Field(ResourcesForm(), description="a mapping, such as {cpu: 1, gpu: 0}")
    retry: RetryForm = Field(RetryForm(), description="a mapping, such as {lost: 5, crash: 2}")
    limits: LimitsForm = Field(LimitsForm(), description="a mapping, such as {trial_s: 600}")
    track: TrackForm = Field(TrackForm(), description="a mapping, such as {uri: 'sqlite:///mlflow.db'}")


# Reading and its faults ---------------------------------------------------------------------------------------------------

Form = TypeVar("Form", bound=_Form)


def read_form(form: type[Form], data: object, path: Path = ()) -> Form | list[BadForm]:
    """Return the data as `form`, or all that is wrong with it, what is missing last."""
    try:
        return form.model_validate(data)
    except ValidationError as error:
        details = sorted(error.errors(include_url=False), key=lambda one: one["type"] == "missing")
        return [_fault(form, data, cast(Mapping[str, Any], one), path) for one in details]


def unknown_key(key: object, label: str, valid: Sequence[str], path: Path) -> BadForm:
    """Return the fault of a key that has no meaning in the mapping `label`."""
    where = f" in {label!r}" if label else ""
    hint = did_you_mean(str(key), valid)
    return BadForm(f"unknown key {shown(key)}{where}; expected one of {', '.join(valid)}{hint}", path, at_key=True)


def dotted(path: Path) -> str:
    """Return a path as `--set` and messages write it."""
    return ".".join(str(key) for key in path)


def _fault(form: type[_Form], data: object, detail: Mapping[str, Any], path: Path) -> BadForm:
    loc = tuple(_existing(data, detail["loc"])) if detail["type"] != "missing" else tuple(detail["loc"])
    at = (*path, *loc)
    if detail["type"] == "extra_forbidden":
        return unknown_key(loc[-1], dotted(at[:-1]), list(_form_at(form, loc[:-1]).model_fields), at)
    expected, choices = _expected(form, loc)
    if detail["type"] == "missing":
        return BadForm(f"{dotted(at)!r} is missing; expected {expected}", at[:-1])
    value = _value_at(data, loc)
    hint = did_you_mean(value, choices) if isinstance(value, str) else ""
    quotes = "; put it in quotes" if detail["type"] == "string_type" and isinstance(value, bool | int | float) else ""
    return BadForm(f"{dotted(at)!r} is {shown(value)}; expected {expected}{quotes}{hint}", at)


def _existing(data: object, loc: Sequence[Any]) -> Iterator[Any]:
    """Yield the keys of `loc` as far as the data has them; pydantic adds some of its own."""
    for key in loc:
        if not isinstance(data, Mapping) or key not in data:
            return
        yield key
        data = cast(Mapping[Any, Any], data)[key]


def _value_at(data: Any, loc: Sequence[Any]) -> object:
    for key in loc:
        data = data[key]
    return data


def _form_at(form: type[_Form], loc: Sequence[Any]) -> type[_Form]:
    for key in loc:
        form = cast(type[_Form], form.model_fields[key].annotation)
    return form


def _expected(form: type[_Form], loc: Sequence[Any]) -> tuple[str, list[str]]:
    """Return what the field at `loc` expects, in words, and the names that are valid there, if they are few."""
    if not loc:
        return "a mapping", []
    for depth, key in enumerate(loc):
        field = form.model_fields[key]
        if depth + 1 < len(loc) and isinstance(field.annotation, type) and issubclass(field.annotation, _Form):
            form = field.annotation
            continue
        names = ("asha", "none") if field.annotation is StopForm else getattr(field.annotation, "__args__", ())
        return field.description or "", [one for one in names if isinstance(one, str)]
    raise KeyError(loc)
