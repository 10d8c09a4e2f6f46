"""Tests of `search: {deterministic: true}` where it is asked for and resumed: in a file, from Python."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kerasweep.cluster.backend import KerasSettings, environment
from kerasweep.search.amend import amended, check_kept
from kerasweep.search.api import sweep
from kerasweep.search.spec import Search, SweepSpec
from kerasweep.search.sweepfile import load
from kerasweep.spaces.errors import BadInput

from .specs import spec

LEAST = "model: code.py:build\nobjective: min val_loss\nfit: {epochs: 3}\nbudget: {trials: 5}\n"


def loaded(folder: Path, text: str) -> SweepSpec:
    """Return the sweep of a file with this text."""
    (folder / "code.py").write_text("def build(hp): ...\n")
    (folder / "sweep.yaml").write_text(text)
    return load(folder / "sweep.yaml")


def test_the_window_is_as_many_trials_as_run_at_a_time(tmp_path: Path) -> None:
    """Keras is deterministic with it, and without a seed the search has a fixed one."""
    one = loaded(tmp_path, LEAST + "search: {deterministic: true}\nparallel: 3\n")
    assert (one.search.window, one.search.seed, one.keras.deterministic, one.notes) == (3, 0, True, ())
    assert one.rules().window == 3
    assert SweepSpec.from_json(json.loads(json.dumps(one.to_json()))) == one
    off = loaded(tmp_path, LEAST + "parallel: 3\n")
    assert (off.search.window, off.keras.deterministic, off.rules().window) == (None, False, None)


def test_what_goes_by_the_clock_is_noted(tmp_path: Path) -> None:
    """It is allowed, but then the promise does not hold."""
    more = "keras: {deterministic: false}\nlimits: {trial_s: 60}\n"
    more += "constraints: [latency_ms <= 5]\nresources: {gpu: 1}\n"
    limits = "trials: 5, hours: 1, slot_hours: 1, gpu_hours: 1, epochs: 9"
    text = LEAST.replace("trials: 5", limits).replace("min val_loss", "[min val_loss, min seconds_per_epoch]")
    text += "search: {deterministic: true}\nparallel: 3\n" + more
    notes = loaded(tmp_path, text).notes
    assert [note.partition(":")[2].split()[0] for note in notes] == [
        "budget.hours",
        "budget.slot_hours",
        "budget.gpu_hours",
        "budget.epochs",
        "keras.deterministic",
        "limits.trial_s",
        "latency_ms",
        "seconds_per_epoch",
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("search: {deterministic: true}", r"5:10: 'search\.deterministic' needs 'parallel': .*expected `parallel: 2`"),
        ("search: {deterministic: yes}", r"5:25: 'search\.deterministic' is 'yes'; expected true or false"),
        ("search: {deterministc: true}", r"5:10: unknown key 'deterministc' .*did you mean 'deterministic'\?"),
    ],
)
def test_mistakes_are_one_line_with_their_place(tmp_path: Path, line: str, words: str) -> None:
    """What was expected, and the near name."""
    with pytest.raises(BadInput, match=rf"sweep\.yaml:{words}"):
        loaded(tmp_path, LEAST + line + "\n")


def test_from_python_the_same_is_asked_for(tmp_path: Path) -> None:
    """In the words of the arguments."""

    def model(hp: Any) -> Any:
        return hp

    with pytest.raises(BadInput, match=r"^'deterministic' needs 'parallel': .*expected `parallel=2`"):
        sweep(model, None, objective="min loss", trials=3, deterministic=True, directory=tmp_path)


def test_a_resumed_sweep_keeps_its_window() -> None:
    """On fewer slots or more it goes on with the trials that it would have had; off and on are other searches."""
    began = spec(search=Search(seed=1, window=2), parallel=2)
    assert amended(began, ["parallel=1"]).search.window == 2
    check_kept(began, replace(began, search=Search(seed=5, window=4), parallel=4))
    with pytest.raises(BadInput, match=r"search was .*window.* 2"):
        check_kept(began, replace(began, search=Search(seed=1)))
    with pytest.raises(BadInput, match="began otherwise"):
        check_kept(replace(began, search=Search(seed=1)), began)


def test_a_journal_of_an_older_version_has_no_window() -> None:
    """Its sweeps go on as they began."""
    body = json.loads(json.dumps(spec(search=Search(seed=1, window=2)).to_json()))
    del body["search"]["window"]
    assert SweepSpec.from_json(body).search == Search(seed=1)


def test_texts_have_the_same_hash_in_every_run() -> None:
    """A model that loops over a set of names builds the same layers in the same order."""
    assert environment(KerasSettings(deterministic=True), 1)["PYTHONHASHSEED"] == "0"
    assert "PYTHONHASHSEED" not in environment(KerasSettings(), 1)
