"""What `kerasweep init` writes: a sweep to start from, or one around a model that is there."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..spaces.errors import BadInput
from .reference import definitions, locate, parsed

SWEEP = """\
# `kerasweep plan sweep.yaml` shows what would run, `kerasweep run sweep.yaml` runs it.
# name: my-sweep               # the folder's name if absent

model: {model}
{data}
objective: {objective}   # a list gives a Pareto front: [{objective}, min params]
# constraints: ["params <= 1e6", "latency_ms <= 5"]   # on what a trial comes to: its metrics, and built-in measures
fit: {{epochs: 20, batch_size: [32, 64, 128]}}   # arguments of fit; a list or a range is searched as well

# What build(hp) names is searched as the code has it. To search another range, declare it here:
#   name: {{min: 1e-4, max: 1e-1, sampling: log}}    whole numbers make an integer, `step:` makes a grid
#   name: [relu, gelu]                             one of these
#   name: {{fixed: 0.5}}                             always this
space:
{space}

search: {{sampler: tpe, stop: asha}}   # asha stops trials early that fall behind; none trains all to the end
budget: {{trials: 20}}                 # also hours, slot_hours, epochs, no_improvement, goal: the first one reached ends it
# start: {{try: [{{fit/batch_size: 64}}], from: other-sweep}}   # points to try first, and what an earlier sweep has found
# parallel: 2                        # trials at once
# resources: {{cpu: 1, gpu: 0}}        # of one trial
# track: {{uri: "http://localhost:5000", experiment: my-experiment}}   # a file mlflow.db if absent
"""

MODEL_LINE = "{model}   # build(hp) returns a compiled model; or a keras_tuner.HyperModel"
DATA_LINE = "data: {data}   # returns ((x, y), (x_val, y_val)), two datasets, or a dict of arguments of fit"
NO_DATA_LINE = "# data: {file}:load   # a function that returns ((x, y), (x_val, y_val)), or two datasets"

START = '''\
"""A model to search, and its data."""

import keras
{imports}


def build(hp):
    model = keras.Sequential([keras.Input(({width},))])
    for index in range(hp.Int("layers", 1, 3)):
        units = hp.Int(f"units_{{index}}", 32, 256, step=32)
        model.add(keras.layers.Dense(units, activation=hp.Choice("activation", ["relu", "gelu", "swish"])))
        model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.1)))
    model.add(keras.layers.Dense(10, activation="softmax"))
    learning_rate = hp.Float("learning_rate", 1e-4, 1e-1, sampling="log", default=1e-3)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


{load}'''

DIGITS: Mapping[str, Any] = {
    "imports": "from sklearn.datasets import load_digits\nfrom sklearn.model_selection import train_test_split",
    "width": 64,
    "load": """\
def load():
    images, labels = load_digits(return_X_y=True)
    images = images.astype("float32") / 16
    x, x_val, y, y_val = train_test_split(images, labels, test_size=0.25, stratify=labels, random_state=0)
    return (x, y), (x_val, y_val)
""",
}
SYNTHETIC: Mapping[str, Any] = {
    "imports": "import numpy as np",
    "width": 16,
    "load": '''\
def load():
    """Make points in 10 clusters; put your own data here."""
    random = np.random.default_rng(0)
    centers = random.normal(size=(10, 16))
    y = random.integers(10, size=2_000)
    x = (centers[y] + random.normal(size=(2_000, 16))).astype("float32")
    return (x[:1_500], y[:1_500]), (x[1_500:], y[1_500:])
''',
}

LOADERS = ("load", "load_data", "data", "get_data", "datasets", "load_datasets")
KINDS = {
    "Int": ("min_value", "max_value", "step", "sampling", "default"),
    "Float": ("min_value", "max_value", "step", "sampling", "default"),
    "Choice": ("values",),
    "Boolean": (),
}
PLAIN = re.compile(r"[A-Za-z_][\w/.-]*", re.ASCII)
NOT_TEXT = ("true", "false", "null")


def write_start(folder: str | Path, model: str | None = None) -> list[Path]:
    """Write a sweep to start from into `folder`, which is made if need be, and return the files written.

    Args:
        folder: where `sweep.yaml` goes, and `model.py` if no model is given.
        model: an existing model, `file.py:name` in `folder` or `package.module:name`: only the sweep file is written.

    Raises:
        BadInput: a file is there already, or the model is not; nothing was written.
    """
    folder = Path(folder)
    texts = {"sweep.yaml": _sweep_around(folder, model)} if model else _start()
    try:
        for name in texts:
            if (folder / name).exists():
                raise BadInput(f"{folder / name} is there already; nothing was written, choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise BadInput(f"{folder} cannot be written to: {error.strerror}; choose another folder") from error
    return [folder / name for name in texts]


def _start() -> dict[str, str]:
    has_digits = importlib.util.find_spec("sklearn") is not None
    text = START.format(**(DIGITS if has_digits else SYNTHETIC))
    return {"sweep.yaml": _sweep("model.py:build", "model.py:load", text), "model.py": text}


def _sweep_around(folder: Path, model: str) -> str:
    try:
        path = locate(model, folder)
    except BadInput as error:
        raise BadInput(f"--model {model}: {error}") from error
    source = "" if path is None else path.read_text(encoding="utf-8-sig", errors="replace")
    defined = definitions(parsed(source)) or frozenset[str]()
    where = model.rpartition(":")[0]
    loader = next((f"{where}:{name}" for name in LOADERS if name in defined), None)
    return _sweep(model, loader, source)


def _sweep(model: str, data: str | None, source: str) -> str:
    data_line = DATA_LINE.format(data=_code(data)) if data else NO_DATA_LINE.format(file=model.rpartition(":")[0])
    found = dict(_parameters(parsed(source)))
    space = [f"  # {_flow(name)}: {form}" for name, form in found.items()]
    return SWEEP.format(
        model=MODEL_LINE.format(model=_code(model)),
        data=data_line,
        objective="max val_accuracy" if "accuracy" in source or not source else "min val_loss",
        space="\n".join(space or ["  # learning_rate: {min: 1e-4, max: 1e-1, sampling: log}"]),
    )


# Parameters in source -----------------------------------------------------------------------------------------------------


def _parameters(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield name and YAML form of each `hp.Int("name", …)` and its like, in the order of the code."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
        kind = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if kind not in KINDS:
            continue
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        named = dict(zip(("name", *KINDS[kind]), call.args, strict=False)) | given
        name = _name(named.get("name"))
        if name:
            yield name, _form(kind, {key: _literal(named[key]) for key in KINDS[kind] if key in named})


def _name(node: ast.expr | None) -> str:
    """Return the name that a string stands for; a hole of an f-string is taken as 0, the first of a loop."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_name(value) or "0" for value in values)
        case _:
            return ""


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return None


def _form(kind: str, given: Mapping[str, Any]) -> str:
    if kind == "Boolean":
        return "[true, false]"
    if kind == "Choice":
        return _flow(given.get("values"))
    form = {key.removesuffix("_value"): given.get(key) for key in KINDS[kind] if key in given}
    return "{" + ", ".join(f"{key}: {_flow(value)}" for key, value in form.items()) + "}"


def _flow(value: Any) -> str:
    """Return a literal as YAML has it; an unknown one as an ellipsis."""
    match value:
        case str():
            return value if PLAIN.fullmatch(value) and value.lower() not in NOT_TEXT else json.dumps(value)
        case bool() | int() | float():
            return json.dumps(value)
        case list() | tuple():
            return f"[{', '.join(_flow(one) for one in cast(Sequence[Any], value))}]"
        case _:
            return "…"


def _code(reference: str) -> str:
    return reference if re.fullmatch(r"[\w./-]+:\w+", reference) else json.dumps(reference)
