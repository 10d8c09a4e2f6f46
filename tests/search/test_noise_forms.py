"""Tests of what a sweep file says of repeats, confirmation and populations; each mistake with its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kerasweep.search.api import sweep
from kerasweep.search.confirm import Confirm
from kerasweep.search.objective import At
from kerasweep.search.population import Pbt
from kerasweep.search.promise import resume_promise
from kerasweep.search.repeats import Repeats
from kerasweep.search.settings import settings_of
from kerasweep.search.spec import SweepSpec
from kerasweep.search.sweepfile import load
from kerasweep.spaces.errors import BadInput
from kerasweep.trackers.mirror import Goal

LEAST = """\
model: code.py:build
objective: max val_accuracy
fit: {epochs: 30}
budget: {trials: 4}
space: {learning_rate: {min: 1e-4, max: 1e-1, sampling: log}, kind: {choice: {a: {depth: [1, 2]}, b: {}}}}
"""
POPULATION = "pbt: {population: 4, interval: 2, mutate: [learning_rate]}\n"
TWO_GOALS = LEAST.replace("max val_accuracy", "[max val_accuracy, min params]")
BOUND = "constraints: [val_recall >= 0.9]\n"
Load = Callable[[str], SweepSpec]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Give what reads a sweep file beside its code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code.py").write_text("def build(hp):\n    return hp.Float('dropout', 0, 1)\ntrain = build\n")

    def read(text: str) -> SweepSpec:
        (tmp_path / "sweep.yaml").write_text(text)
        return load("sweep.yaml")

    return read


def test_the_keys_are_read_and_travel(loaded: Load) -> None:
    """A number of seeds or a mapping, defaults where nothing is said; the journal's form gives the same back."""
    one = loaded(LEAST + "repeats: 3\nconfirm: {}\n")
    assert (one.repeats, one.confirm, one.pbt) == (Repeats(seeds=3, level=0.05), Confirm(top=5, seeds=5), None)
    other = loaded(LEAST + "repeats: {seeds: 4, level: 0.2}\nconfirm: {top: 2, seeds: 3}\n")
    assert (other.repeats, other.confirm) == (Repeats(seeds=4, level=0.2), Confirm(top=2, seeds=3))
    third = loaded(LEAST + POPULATION.replace("[learning_rate]", "[learning_rate, dropout, learning_rate]"))
    assert third.pbt == Pbt(population=4, interval=2, mutate=("learning_rate", "dropout"))
    fourth = loaded(TWO_GOALS + POPULATION + BOUND)
    fifth = loaded(TWO_GOALS + "repeats: 2\nconfirm: {top: 2}\n" + BOUND)
    assert (fourth.pbt is not None, fifth.repeats.seeds, fifth.confirm.top) == (True, 2, 2)
    for spec in (one, other, third, fourth, fifth):
        plain: dict[str, Any] = json.loads(json.dumps(spec.to_json()))
        again = SweepSpec.from_json(plain)
        assert (again.repeats, again.confirm, again.pbt) == (spec.repeats, spec.confirm, spec.pbt)
        del plain["repeats"], plain["confirm"], plain["pbt"]  # of an older version
        old = SweepSpec.from_json(plain)
        assert (old.repeats.seeds, old.confirm.top, old.pbt) == (1, 0, None)


def test_repeats_are_the_epochs_of_the_search(loaded: Load) -> None:
    """Trials are judged between seeds, and a trial's value is the mean over all of them."""
    spec = loaded(LEAST + "repeats: 5\nsearch: {stop: asha, seed: 7}\n")
    assert (spec.max_epochs, spec.rungs(0), spec.rules().folds) == (5, (1, 3), True)
    assert (spec.rules().objective.at, spec.objective.at) == (At.LAST, At.BEST)
    assert Goal.of(spec.to_json()).last
    settings = settings_of(spec, "")
    assert (settings.repeats, settings.several_fits, settings.at_last, settings.fit["epochs"]) == (5, True, False, 30)
    assert not settings_of(loaded(LEAST), "").several_fits
    assert "after the last repeat" in resume_promise(spec, "arrays", own_fit=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LEAST + "repeats: 0\n", "6:10: 'repeats' is 0; expected a whole number from 1 to 1000"),
        (LEAST + "repeats: many\n", "6:10: 'repeats' is 'many'; expected a whole number from 1 to 1000"),
        (LEAST + "repeats: [1, 2]\n", "6:10: 'repeats' is a list; expected a number of seeds, or a mapping"),
        (LEAST + "repeats: {level: 0.1}\n", "'repeats.seeds' is missing; expected a whole number from 1"),
        (LEAST + "repeats: {seeds: 3, level: 0.9}\n", "6:28: 'repeats.level' is 0.9; expected a number above 0, below"),
        (LEAST + "repeats: {seed: 3}\n", "unknown key 'seed' in 'repeats'; expected one of seeds, level"),
        (LEAST.replace("30}", "30, folds: 3}") + "repeats: 3\n", "6:1: 'repeats' cannot stand beside 'fit.folds'"),
        (LEAST.replace("model:", "train:") + "repeats: 3\n", "6:1: 'repeats' cannot stand beside 'train'"),
        (LEAST + "repeat: 3\n", "(did you mean 'repeats'?)"),
        (LEAST + "confirm: yes\n", "6:10: 'confirm' is 'yes'; expected a mapping, such as {top: 5, seeds: 5}"),
        (LEAST + "confirm: {top: 0}\n", "6:16: 'confirm.top' is 0; expected a whole number from 1 to 1000000"),
        (LEAST + "confirm: {seeds: 1}\n", "6:18: 'confirm.seeds' is 1; expected a whole number from 2 to 1000"),
        (LEAST + "confirm: {sedes: 3}\n", "(did you mean 'seeds'?)"),
        (LEAST + "pbt: true\n", "6:6: 'pbt' is true; expected a mapping, such as {population: 8, interval: 2"),
        (LEAST + "pbt: {population: 8, interval: 2}\n", "'pbt.mutate' is missing; expected a list, not empty"),
        (LEAST + POPULATION.replace("4", "1"), "6:19: 'pbt.population' is 1; expected a whole number from 2 to 10000"),
        (LEAST + POPULATION.replace("2", "0"), "'pbt.interval' is 0; expected a whole number of epochs from 1"),
        (LEAST + POPULATION.replace("[learning_rate]", "[]"), "'pbt.mutate' is a list; expected a list, not empty, of"),
        (LEAST + POPULATION.replace("_rate]", "_rat]"), "'learning_rat' is no parameter of the space, and no code"),
        (LEAST + POPULATION.replace("_rate]", "_rat]"), "(did you mean 'learning_rate'?)"),
        (LEAST + POPULATION.replace("[learning_rate]", "[fit/batch_size]"), "'fit/batch_size' is no parameter"),
        (LEAST + POPULATION.replace("[learning_rate]", "[kind]"), "'kind' decides which parameters there are"),
        (
            LEAST + POPULATION.replace("}", ", quantile: 0.6}"),
            "'pbt.quantile' is 0.6; expected a number above 0, up to",
        ),
        (LEAST + POPULATION + "search: {stop: asha}\n", "6:1: 'pbt' cannot stand beside 'search.stop'; the population"),
        (LEAST + POPULATION + "confirm: {top: 2}\n", "6:1: 'pbt' cannot stand beside 'confirm'"),
        (LEAST + POPULATION + "repeats: 2\n", "6:1: 'pbt' cannot stand beside 'repeats'"),
        (LEAST + POPULATION + "checkpoint: false\n", "6:1: 'pbt' cannot stand beside 'checkpoint: false'"),
        (LEAST.replace("30}", "[10, 30]}") + POPULATION, "6:1: 'pbt' cannot stand beside searched 'fit.epochs'"),
        (LEAST.replace("30}", "30, folds: 3}") + POPULATION, "6:1: 'pbt' cannot stand beside 'fit.folds'"),
        (LEAST.replace("model:", "train:") + POPULATION, "6:1: 'pbt' cannot stand beside 'train'"),
    ],
)
def test_mistakes_are_told_with_their_place(loaded: Load, text: str, words: str) -> None:
    """File, line and column; what was expected, and the near match."""
    with pytest.raises(BadInput) as caught:
        loaded(text)
    assert words in str(caught.value)
    assert str(caught.value).startswith("sweep.yaml:")
    assert "\n" not in str(caught.value)


def _build(hp: object) -> None:
    """Is never called."""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"repeats": 0}, "'repeats' is 0"),
        ({"confirm": {"top": 3, "seeds": 1}}, "'confirm.seeds' is 1"),
        ({"pbt": {"population": 4}}, "'pbt.interval' is missing"),
        ({"pbt": {"population": 4, "interval": 2, "mutate": ["rate"]}, "stop": "asha"}, "beside 'search.stop'"),
        ({"repeats": 2, "fit": {"epochs": 2, "folds": 3}}, "'repeats' cannot stand beside 'fit.folds'"),
        ({"pbt": {"population": 4, "interval": 2, "mutate": ["rate"]}, "fit": {}}, "'pbt' needs 'fit.epochs'"),
    ],
)
def test_a_caller_from_python_hears_the_same(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    """In one line, before anything is made."""
    given: dict[str, Any] = {"objective": "max val_accuracy", "trials": 2, "fit": {"epochs": 2}, **arguments}
    with pytest.raises(BadInput, match=words):
        sweep(_build, directory=tmp_path, **given)
    assert list(tmp_path.iterdir()) == []
