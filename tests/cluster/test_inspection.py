"""The checks by facts alone, the arrays they come from, and the places they name; no Keras is imported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kerasweep.cluster.array_facts import array_facts, equal_feature, row_hashes
from kerasweep.cluster.call_sites import Site, keyword_site, site_of_function
from kerasweep.cluster.data_facts import data_facts
from kerasweep.cluster.facts import (
    ArrayFacts,
    DataFacts,
    FitFacts,
    InputFacts,
    Kind,
    LossFacts,
    LossKind,
    ModelFacts,
    OutputFacts,
    PartFacts,
    Use,
)
from kerasweep.cluster.finding import Finding, Severity, error, in_order, note, warning
from kerasweep.cluster.fit_checks import check_logged
from kerasweep.cluster.input_checks import takes
from kerasweep.cluster.inspection import inspect, inspect_data
from kerasweep.cluster.memory import size_in_words

LOSS = LossFacts(name="sparse_categorical_crossentropy", kind=LossKind.SPARSE, where="model.py:9")
OUTPUT = OutputFacts(name="last", shape=(3,), activation="softmax", loss=LOSS, where="model.py:7")
MODEL = ModelFacts(inputs=(InputFacts(name="x", shape=(4,), use=Use.RAW),), outputs=(OUTPUT,), trainable=4)
X = ArrayFacts(name="x", shape=(4,), dtype="float32", rows=9, total=9, low=-1.0, high=1.0)
Y = ArrayFacts(name="y", shape=(), dtype="int64", rows=9, total=9, low=0, high=2, whole=True, counts={0: 3, 1: 3, 2: 3})
PART = PartFacts(kind=Kind.ARRAYS, x=(X,), y=(Y,), length=9)
DATA = DataFacts(train=PART, validation=PART, where="model.py:20")
FIT = FitFacts(metric="val_accuracy")


def codes(findings: list[Finding]) -> dict[str, Severity]:
    """Return what was found, by code."""
    return {one.code: one.severity for one in findings}


def test_sound_facts_raise_nothing() -> None:
    """The pair that the other tests break."""
    assert inspect(MODEL, DATA, FIT) == []


def test_a_label_out_of_range_is_placed_at_the_layer() -> None:
    """With the numbers, and what to do."""
    labels = replace(Y, high=4, counts={0: 3, 4: 6})
    data = replace(DATA, train=replace(PART, y=(labels,)))
    one = inspect(MODEL, data, FIT)[0]
    assert (one.code, one.severity, one.where) == ("labels-out-of-range", Severity.ERROR, "model.py:7")
    assert "from 0 to 4" in one.message
    assert "5 units" in one.message


def test_a_training_step_of_the_users_own_is_left_alone() -> None:
    """Its labels and outputs may mean anything; the values of its inputs are still looked at."""
    model = replace(MODEL, own_step=True, outputs=(replace(OUTPUT, activation="linear"),))
    broken = replace(DATA, train=replace(PART, x=(replace(X, nan=2),)))
    assert inspect(model, DATA, FIT) == []
    assert codes(inspect(model, broken, FIT)) == {"inputs-not-finite": Severity.ERROR}
    assert codes(inspect_data(broken, FIT)) == {"inputs-not-finite": Severity.WARNING}


def test_a_training_loop_may_hold_back_what_it_validates_on() -> None:
    """As with `validation_split` in a `fit` of its own."""
    alone = replace(DATA, validation=PartFacts(kind=Kind.NONE))
    assert "no-validation-data" in codes(inspect(MODEL, alone, FIT))
    assert "no-validation-data" not in codes(inspect_data(alone, FIT))


def test_folds_are_validation() -> None:
    """No validation data is missed where a trial is a mean over folds."""
    data = replace(DATA, validation=PartFacts())
    assert codes(inspect(MODEL, data, FIT)) == {"no-validation-data": Severity.ERROR}
    assert inspect(MODEL, data, replace(FIT, folds=5)) == []


@pytest.mark.parametrize(
    ("metric", "maximize", "found"),
    [
        ("val_loss", True, True),
        ("val_mean_squared_error", True, True),
        ("val_auc", False, True),
        ("val_kind_accuracy", False, True),
        ("val_loss", False, False),
        ("val_accuracy", True, False),
        ("val_score", False, False),
    ],
)
def test_the_direction_of_an_objective(metric: str, maximize: bool, found: bool) -> None:
    """Losses and errors fall, accuracies rise; of other names nothing is said."""
    assert (
        "objective-direction" in codes(inspect(MODEL, DATA, replace(FIT, metric=metric, maximize=maximize)))
    ) == found


def test_an_objective_that_is_not_logged_has_its_near_match() -> None:
    """And what is logged; nothing is said where nothing was."""
    (one,) = check_logged(replace(FIT, metric="val_acc"), ["loss", "val_accuracy", "val_loss"])
    assert "did you mean 'val_accuracy'?" in one.message
    assert not [*check_logged(FIT, [])]


def test_every_name_that_goals_mention_is_looked_for() -> None:
    """In further objectives and constraints; what is measured need not be logged, but may be meant."""
    fit = replace(FIT, names=("val_accuracy", "params", "parms", "latency_ms"))
    (one,) = check_logged(fit, ["loss", "val_accuracy"])
    assert "'parms'" in one.message
    assert "did you mean 'params'?" in one.message


def test_the_direction_of_every_objective() -> None:
    """Of what is measured less is better."""
    fit = replace(FIT, goals=(("val_accuracy", True), ("params", True), ("val_loss", True)))
    found = [one.message for one in inspect(MODEL, DATA, fit) if one.code == "objective-direction"]
    assert ["write min params" in found[0], "write min val_loss" in found[1]] == [True, True]


def test_any_objective_may_need_validation_data() -> None:
    """Also one that is not the first, and a constraint."""
    data = replace(DATA, validation=PartFacts())
    (one,) = [
        one.message
        for one in inspect(MODEL, data, replace(FIT, metric="params", names=("params", "val_recall")))
        if one.code == "no-validation-data"
    ]
    assert one.startswith("a constraint is on val_recall")


@pytest.mark.parametrize(
    ("wanted", "given", "fits"),
    [
        ((28, 28, 1), (28, 28), True),
        ((28, 28), (28, 28, 1), True),
        ((28, 28, 3), (28, 28), False),
        ((None, 4), (7, 4), True),
        ((4,), (5,), False),
        ((1,), (), True),
    ],
)
def test_what_keras_takes(wanted: tuple[int | None, ...], given: tuple[int, ...], fits: bool) -> None:
    """It adds or drops a last axis of one."""
    assert takes(wanted, given) == fits


def test_findings_are_in_order_and_travel() -> None:
    """Worst first, each once, the same after a trip as JSON."""
    mixed = [note("a", "", "x"), error("b", "m.py:1", "y"), warning("c", "", "z"), note("a", "", "x")]
    assert [one.code for one in in_order(mixed)] == ["b", "c", "a"]
    assert Finding.from_json(mixed[1].to_json()) == mixed[1]
    assert mixed[1].line == "m.py:1: y"


# Arrays ---------------------------------------------------------------------------------------------------------------


def test_what_is_known_of_an_array() -> None:
    """Range, whole numbers, classes, what is no number, rows that are one-hot."""
    labels = array_facts(np.array([0, 2, 2, 1]), "y", labels=True)
    assert (labels.low, labels.high, labels.whole, labels.counts) == (0, 2, True, {0: 1, 1: 1, 2: 2})
    holes = array_facts(np.array([[1.0, np.nan], [np.inf, 2.5]]), "x")
    assert (holes.nan, holes.infinite, holes.low, holes.high, holes.whole) == (1, 1, 1.0, 2.5, False)
    assert array_facts(np.eye(3)[[0, 1, 1]], "y", labels=True).one_hot
    assert array_facts(np.array(["a", "b"]), "y", labels=True).text
    assert array_facts(np.array([None, 1], dtype=object), "x").dtype == "object"


def test_pixels_that_are_always_nought_are_not_remarked_on() -> None:
    """Where zeros are common, constant features are natural; elsewhere they are not."""
    pixels = np.zeros((50, 8))
    pixels[:, 3:] = np.random.default_rng(0).integers(0, 9, (50, 5))
    assert array_facts(pixels, "x").constant == ()
    table = np.random.default_rng(0).normal(size=(50, 4))
    table[:, 1] = 7
    assert array_facts(table, "x").constant == (1,)


def test_equal_rows_hash_alike() -> None:
    """Of one array or of several that make one sample."""
    x = np.arange(12).reshape(4, 3)
    hashes = row_hashes([np.concatenate([x, x[:1]])])
    assert hashes[0] == hashes[-1]
    assert len(set(hashes)) == 4
    assert len(set(row_hashes([np.zeros((4, 1)), x]))) == 4


def test_a_feature_that_is_the_label() -> None:
    """Found by its index; twenty rows are needed."""
    x = np.random.default_rng(0).normal(size=(30, 3))
    assert equal_feature(x, x[:, 2]) == 2
    assert equal_feature(x, x[:, 2] + 1) is None
    assert equal_feature(x[:10], x[:10, 2]) is None


def test_a_generator_is_put_together_again() -> None:
    """Its first batch is looked at, and still comes first in `fit`."""
    batches = [(np.full((2, 3), index), np.zeros(2)) for index in range(3)]
    arguments = {"x": (one for one in batches)}
    facts, _ = data_facts(arguments, "load")
    assert (facts.train.kind, facts.train.batch) == (Kind.GENERATOR, 2)
    assert [int(x[0, 0]) for x, _ in arguments["x"]] == [0, 1, 2]


# Places ---------------------------------------------------------------------------------------------------------------


def test_a_keyword_has_its_own_line(tmp_path: Path) -> None:
    """In a call of several lines that of the keyword, else that of the call."""
    file = tmp_path / "model.py"
    file.write_text("model.compile(\n    optimizer='adam',\n    loss='mse',\n)\nmodel.compile('adam', 'mse')\n")
    assert keyword_site(Site(str(file), 1), "loss").line == 3
    assert keyword_site(Site(str(file), 5), "loss").line == 5


def test_a_function_has_its_line() -> None:
    """Relative to the sweep's folder; one from elsewhere has its name only."""
    here = Path(__file__)
    line = test_a_function_has_its_line.__code__.co_firstlineno
    assert site_of_function(test_a_function_has_its_line, str(here.parent)) == f"test_inspection.py:{line}"
    assert site_of_function(test_a_function_has_its_line, "/nowhere") == "test_a_function_has_its_line"


class Wrapped:
    """What KerasTuner does to a `HyperModel`: an instance's `build` is a method of the library's."""

    def __init__(self) -> None:
        vars(self)["build"] = site_of_function

    def build(self, hp: object) -> None:
        """Build nothing."""


def test_a_hypermodel_has_the_line_of_its_own_build() -> None:
    """As a class or an instance; one from elsewhere has its name only."""
    here = str(Path(__file__).parent)
    line = Wrapped.build.__code__.co_firstlineno
    assert site_of_function(Wrapped(), here) == site_of_function(Wrapped, here) == f"test_inspection.py:{line}"
    assert site_of_function(Wrapped(), "/nowhere") == "Wrapped"


def test_sizes_in_words() -> None:
    """Three digits and a unit."""
    assert [size_in_words(one) for one in (12, 56_224, 2_618_000, 7_500_000_000)] == [
        "12 B",
        "56.2 kB",
        "2.62 MB",
        "7.5 GB",
    ]
