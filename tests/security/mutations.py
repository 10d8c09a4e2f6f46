"""Sweep files gone wrong in every way that a seed draws: bytes, tokens, YAML's structure, numbers, text, nesting."""

from __future__ import annotations

import json
import random
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast, final

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
MODEL = "raise SystemExit('user code ran')\n\ndef build(hp): ...\ndef load(): ...\ndef train(hp, report): ...\n"
SOUND = (
    "model: model.py:build\nobjective: min val_loss\nfit: {epochs: 3}\nbudget: {trials: 5}\n",
    """\
name: digits-mlp
model: model.py:build             # build(hp)
data: model.py:load
objective: {maximize: val_accuracy, at: last}
fit: {epochs: 20, batch_size: [32, 64, 128], class_weight: {0: 1.0, 1: 2}}
space:
  learning_rate: {min: 1e-5, max: 1e-1, sampling: log, default: 1e-3}
  units: {min: 32, max: 512, step: 32}
  activation: [relu, gelu, swish]
  layers: {min: 1, max: 3, repeat: {width: {min: 8, max: 64, step: 8}, rate: {min: 0.0, max: 0.5}}}
  optimizer:
    choice:
      adam: {beta_1: {min: 0.8, max: 0.99}}
      sgd: {momentum: {min: 0.0, max: 0.99}, nesterov: [true, false]}
  decay: {min: 0.0, max: 0.1, when: {optimizer: [adam]}}
where: ["units <= 256 or activation == 'relu'", 'p["optimizer/sgd/momentum"] < 0.9']
search: {sampler: tpe, stop: {rule: asha, min_epochs: 1, factor: 3}, seed: 7}
budget: {trials: 200, hours: 4}
parallel: 2
resources: {cpu: 1, gpu: 0.5}
retry: {lost: 3, error: 1}
limits: {trial_s: 600, memory_gb: 4}
keras: {backend: tensorflow, dtype_policy: mixed_float16}
track: {uri: "http://localhost:5000", experiment: digits}
""",
    """\
train: model.py:train
objective: max val_accuracy
fit: &fit
  epochs: 4
  batch_size: &sizes [16, 32]
space:
  a: *sizes
  "b c": {choice: *sizes, default: 16}
  long: >-
    {min: 1}
budget: {hours: 0.5}
where: |
  a < 3
""",
)
SPELLS = (
    *("!!python/object/apply:os.system ['touch pwned']", "!!binary aGk=", "!!set {a}", "!x", "! ", "!<tag:x>"),
    *(
        "&a",
        "*a",
        "*nobody",
        "<<: *a",
        "<<",
        "? ",
        ": ",
        "- ",
        "---",
        "...",
        "%YAML 1.1\n---",
        "%TAG ! x:\n---",
        "|",
        ">-",
    ),
    *(
        "{",
        "}",
        "[",
        "]",
        "{{{{",
        "]]]]",
        "'",
        '"',
        '"\\x00"',
        '"\\ud800"',
        '"\\U0010ffff"',
        '"\\UFFFFFFFF"',
        "#",
        "\\",
        "`",
        "@",
    ),
    *(
        "1e999",
        "-1e999",
        "1e-999",
        ".inf",
        "-.INF",
        ".nan",
        "9" * 18,
        "9" * 19,
        "9" * 400,
        "-0",
        "0x" + "f" * 40,
        "0o777",
    ),
    *(
        "1_000",
        "010",
        "1:30",
        "0b1",
        "1e9",
        "1000000000",
        "2000000",
        "3.0",
        "-1",
        "0",
        "0.0",
        "5e-324",
        "1.7976931348623157e308",
    ),
    *(
        "null",
        "~",
        "yes",
        "no",
        "True",
        "2026-11-22",
        "''",
        "[]",
        "{}",
        "[[]]",
        "{a: {}}",
        "{min: 1, max: 0}",
        "{fixed: 1}",
    ),
    *(
        "../../etc/passwd",
        "/etc/passwd:build",
        "model.py:os.system",
        "os:system",
        "con",
        "nul.py:x",
        "~/model.py:build",
        "$(id)",
    ),
    *(
        "\x00",
        "\x1b[31m",
        "\x1b]0;x\x07",
        "\x07",
        "\x85",
        "\u2028",
        "\u202e",
        "\u200f",
        "\u2066",
        "\ufeff",
        "\ufffe",
        "\u0301",
        "🎲",
    ),
    *(
        "[red]",
        "[/]",
        "[link=x]y[/link]",
        "=cmd()",
        "<script>",
        "%s%n",
        "{0.__class__}",
        "__import__('os')",
        "lambda: 0",
    ),
    *(
        "http://u:hunter2@h",
        "http://[::1",
        "http://h:99999999",
        "sqlite://",
        "sqlite:////",
        "file:///",
        "postgresql://u:hunter2@h/d",
    ),
    *(
        "min",
        "max",
        "step",
        "repeat",
        "when",
        "choice",
        "default",
        "sampling",
        "space",
        "where",
        "fit",
        "folds",
        "p['x']",
    ),
)
MANY_PIECES = 20_000
WORD = re.compile(r"[\w./-]+|[^\w\s]|\s+")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One file, and what is set beside it by `--set`."""

    seed: int
    data: bytes
    settings: tuple[str, ...] = ()


def cases(count: int, seed: int, first: int = 0) -> Iterator[Case]:
    """Yield so many files, numbered from `first`, each a function of the seed and its number alone."""
    sound = [*SOUND, *(path.read_text() for path in sorted((ROOT / "examples").glob("*/sweep.yaml")))]
    for number in range(first, first + count):
        draw = random.Random(f"{seed}/{number}")
        text = draw.choice(sound)
        data: str | bytes = text
        for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
            data = draw.choice(MUTATIONS)(draw, data if isinstance(data, str) else data.decode(errors="replace"))
        if isinstance(data, str):
            data = data.encode(errors="surrogatepass")
        settings = tuple(_setting(draw) for _ in range(draw.choice((0, 0, 0, 0, 1, 2))))
        yield Case(seed=number, data=data, settings=settings)


def _setting(draw: random.Random) -> str:
    """Return what a hurried or hostile hand gives `--set`."""
    key = draw.choice(
        ("name", "fit.epochs", "budget.trials", "space.units", "where", "track.uri", "a..b", "", "x", "fit.epochs.z")
    )
    value = draw.choice((draw.choice(SPELLS), _nested(draw), json.dumps(_value(draw), ensure_ascii=False)))
    text = f"{key}{draw.choice(('=', '=', '=', ''))}{value}".replace("\0", "")  # which no argument can hold
    return text.encode(errors="replace").decode()


# Ways to go wrong --------------------------------------------------------------------------------------------------------


def _bytes(draw: random.Random, text: str) -> bytes:
    data = bytearray(text.encode(errors="surrogatepass"))
    for _ in range(draw.choice((1, 1, 2, 5, 20))):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(4):
            case 0:
                data[at:at] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 5)))
            case 1:
                del data[at : at + draw.randrange(1, 20)]
            case 2:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case _:
                data[at:at] = data[at : at + draw.randrange(1, 200)]
    return bytes(data)


def _tokens(draw: random.Random, text: str) -> str:
    words = WORD.findall(text)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(words) + 1)
        words[at : at + draw.randrange(2)] = [draw.choice((draw.choice(SPELLS), draw.choice(words or ["x"])))]
    return "".join(words)


def _lines(draw: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True) or [""]
    at, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    match draw.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines[at] = draw.choice(("  ", "\t", " ", "\xa0")) + lines[at]
        case 4:
            lines[at] = lines[at].lstrip()
        case _:
            return text[: draw.randrange(len(text) + 1)]
    return "".join(lines)


def _structure(draw: random.Random, text: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = YAML(typ="safe", pure=True).load(text)
    except Exception:
        return _tokens(draw, text)
    for _ in range(draw.choice((1, 1, 2, 4))):
        tree = _changed(draw, tree)
    encoder = json.JSONEncoder(ensure_ascii=False, default=str, indent=draw.choice((None, 1)))
    return "".join(islice(encoder.iterencode(tree), MANY_PIECES))  # cut: aliases may stand for billions


def _changed(draw: random.Random, tree: Any) -> Any:
    """Return the tree with one place in it changed."""
    if draw.random() < 0.15 or not isinstance(tree, dict | list) or not tree:
        return draw.choice((_value(draw), [tree], {"x": tree}))
    if isinstance(tree, list):
        items = list(cast("list[Any]", tree))
        at = draw.randrange(len(items))
        items[at] = _changed(draw, items[at])
        return items
    entries = dict(cast("dict[Any, Any]", tree))
    key = draw.choice(list(entries))
    value = entries.pop(key)
    match draw.randrange(5):
        case 0:
            return entries
        case 1:
            return {**entries, draw.choice((draw.choice(SPELLS), f"{key}s", str(key).upper(), "")): value}
        case _:
            return {**entries, key: _changed(draw, value)}


def _value(draw: random.Random) -> Any:
    plain: tuple[Any, ...] = (
        *(None, True, False, 0, -1, 1, 10**9, 10**17, 10**30, 1e308, -1e-308, "", " ", "x" * 10_000, [], {}),
        *([[1, 2], [3]], [1, "1", True], ["a", "a"], list(range(300)), {"min": 0, "max": 10**12, "step": 1}),
        *(
            {"min": 1, "max": 100, "repeat": {"a": {"min": 1, "max": 100, "repeat": {"b": [1, 2]}}}},
            {"choice": {"a": {"b": None}}},
        ),
        *(
            {"min": 1e-300, "max": 1e300, "sampling": "log"},
            {"min": 0, "max": 1, "sampling": "log"},
            {"fixed": {"a": 1}},
        ),
        *(
            {"min": 1, "max": 9, "when": {"units": [1]}},
            {"choice": [1, 2], "when": {"space": 1}},
            ["1 < 2"] * 50,
            ["1 +" * 500],
        ),
        *(
            ["(" * 300 + "1" + ")" * 300],
            ["not " * 400 + "1"],
            ["9 ** 9 ** 9 ** 9 > units"],
            ["units * 'a' > 1"],
            ["units.__class__ == 1"],
        ),
    )
    return draw.choice((*plain, draw.choice(SPELLS)))


def _text(draw: random.Random, text: str) -> bytes:
    """Return the same in another encoding, with other ends of lines, or with a mark that belongs nowhere."""
    ends = draw.choice(("\r\n", "\r", "\n", "\x85", "\u2028", "\n\r"))
    text = text.replace("\n", ends)
    encoding = draw.choice(("utf-8-sig", "utf-8", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp500"))
    return text.encode(encoding, errors="replace")


def _insert(draw: random.Random, text: str) -> str:
    at = draw.randrange(len(text) + 1)
    return text[:at] + draw.choice(SPELLS) + text[at:]


def _nested(draw: random.Random) -> str:
    """Return what is deep, long, or grows when its aliases are followed."""
    depth = draw.choice((10, 49, 51, 500, 5_000))
    start, end = draw.choice((("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", ""), ("{choice: {a: ", "}}"), ("[", "")))
    match draw.randrange(4):
        case 0:
            return start * depth + "1" + end * depth
        case 1:
            levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, draw.choice((5, 12))))
            return f"l0: &l0 [x]\n{levels}"
        case 2:
            return "{" + ", ".join(f"k{n}: {n}" for n in range(draw.choice((100, 9_000, 12_000)))) + "}"
        case _:
            return draw.choice(("x", "9", "-", "'", "&a ", "a: ", "\n", "\t", "#")) * draw.choice(
                (1_000, 100_000, 1_100_000)
            )


def _deep(draw: random.Random, text: str) -> str:
    lead = draw.choice(("", "space: ", "where: ", "name: ", "objective: ", "fit: {epochs: ", "? "))
    return f"{text}\n{lead}{_nested(draw)}\n"


MUTATIONS: tuple[Callable[[random.Random, str], str | bytes], ...] = (
    *(_bytes, _tokens, _tokens, _lines, _structure, _structure, _structure, _text, _insert, _deep),
)
