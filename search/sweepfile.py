"""The sweep file: text in, a specification out; every mistake is one line that says where it stands."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from ..spaces.errors import BadInput
from ..spaces.parameter import Interval, Parameter
from ..spaces.space import Declared
from ..spaces.trial import Json, Scalar
from ..spaces.yaml_form import BadForm, declare
from . import reference, spec, sweepform, yaml_text
from .objective import At, Direction, Objective
from .sweepform import FitForm, SweepForm, read_form, unknown_key

FROM_DATA = "data come from `data:`"
REFUSED_IN_FIT = {
    "x": FROM_DATA,
    "y": FROM_DATA,
    "sample_weight": FROM_DATA,
    "validation_data": FROM_DATA,
    "callbacks": "callbacks are code: return them from `data:`, or override `fit` of a keras_tuner.HyperModel",
    "initial_epoch": "a sweep counts epochs from the first",
}
Form = TypeVar("Form", bound=sweepform.BaseModel)


def load(path: str | Path, overrides: Iterable[str] = (), *, home: Path | None = None) -> spec.SweepSpec:
    """Return the sweep that a file describes.

    Args:
        path: the sweep file; messages name it as it is given here.
        overrides: `key.sub=value` each, as `--set` takes them; the value is read as YAML.
        home: the folder of the default `mlflow.db`; the current one if None.

    Raises:
        BadInput: something is wrong; the message is one line, `sweep.yaml:7:3: …`.
    """
    root = yaml_text.read(Path(path), str(path))
    for setting in overrides:
        root = yaml_text.override(root, setting)
    try:
        return _spec(root, Path(path).resolve(), home or Path.cwd())
    except BadForm as fault:
        raise _placed(root, fault) from fault


def _placed(root: yaml_text.Node, fault: BadForm) -> BadInput:
    return _place(root, fault).fault(str(fault))


def _place(root: yaml_text.Node, fault: BadForm) -> yaml_text.Place:
    node = root.at(fault.path)
    return node.key if fault.at_key else node.place


def _spec(root: yaml_text.Node, path: Path, home: Path) -> spec.SweepSpec:
    form = _read(SweepForm, root)
    ...
