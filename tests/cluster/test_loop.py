"""Tests of `kerasweep.cluster.loop`: what a training loop may look like, and what it may report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from kerasweep.cluster.loop import Report, UserLoop


class FakeTrial:
    """Notes what it is told; `stopped` ends it."""

    def __init__(self) -> None:
        self.number = 0
        self.epoch = 0
        self.batches = 0
        self.stopped = False
        self.reports: list[tuple[int | None, dict[str, float]]] = []
        self.models: Mapping[str, Any] = {}

    def report(self, metrics: Mapping[str, float], seconds: float | None = None, *, epoch: int | None = None) -> None:
        """Note an epoch."""
        del seconds
        self.epoch = epoch or 0
        self.reports.append((epoch, dict(metrics)))

    def keep(self, models: Mapping[str, Any]) -> None:
        """Note the models."""
        self.models = models

    def on_batch(self) -> None:
        """Count."""
        self.batches += 1
        self.check_stop()

    def check_stop(self) -> None:
        """Raise once stopped."""
        if self.stopped:
            raise KeyboardInterrupt


class FakeModel:
    """Has weights."""

    def get_weights(self) -> list[Any]:
        """Return none."""
        return []


@pytest.fixture
def trial() -> FakeTrial:
    """Return a trial that nobody has stopped."""
    return FakeTrial()


@pytest.fixture
def report(trial: FakeTrial) -> Report:
    """Return what a loop is given."""
    return Report(trial, {"epochs": 4, "batch_size": 8})


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5), np.array([[0.5]]), True, 3])
def test_a_metric_is_a_number_or_an_array_of_one(trial: FakeTrial, report: Report, value: Any) -> None:
    """As a tensor of any backend is; it arrives as a float."""
    report(epoch=1, loss=value)
    ((epoch, metrics),) = trial.reports
    assert (epoch, metrics) == (1, {"loss": float(np.asarray(value).item())})
    assert type(metrics["loss"]) is float


@pytest.mark.parametrize("value", ["0.5", None, [0.5], np.array([1.0, 2.0]), {}, 1j])
def test_a_metric_that_is_no_number_is_refused(trial: FakeTrial, report: Report, value: Any) -> None:
    """The message names the metric; nothing was reported."""
    with pytest.raises(TypeError, match=r"report\(loss=…\) got .*expected a number"):
        report(epoch=1, loss=value)
    assert trial.reports == []


@pytest.mark.parametrize(
    ("epochs", "error", "message"),
    [
        ([0], ValueError, "counted from 1"),
        ([-1], ValueError, "counted from 1"),
        ([1, 1], ValueError, "came after epoch 1"),
        ([3, 2], ValueError, "came after epoch 3"),
        ([1.0], TypeError, "no whole number"),
        ([True], TypeError, "no whole number"),
        (["1"], TypeError, "no whole number"),
    ],
)
def test_epochs_count_up_from_one(report: Report, epochs: list[Any], error: type[Exception], message: str) -> None:
    """0, a repeated one, one that goes back, and what is no whole number are refused; gaps are not."""
    *before, last = epochs
    for epoch in before:
        report(epoch=epoch, loss=1.0)
    with pytest.raises(error, match=message):
        report(epoch=last, loss=1.0)


def test_gaps_and_numpy_integers_are_epochs(trial: FakeTrial, report: Report) -> None:
    """A loop that validates every fifth epoch reports those."""
    for epoch in (np.int64(5), 10):
        report(epoch=int(epoch), loss=1.0)
    assert [epoch for epoch, _ in trial.reports] == [5, 10]


def test_a_report_without_a_metric_is_refused(report: Report) -> None:
    """There is nothing to record."""
    with pytest.raises(TypeError, match="no metric"):
        report(epoch=1)


def test_models_are_handed_over_alone_or_by_name(trial: FakeTrial, report: Report) -> None:
    """One model is `model`; a dict names several; anything else is refused."""
    one, other = FakeModel(), FakeModel()
    report(epoch=1, model=one, loss=1.0)  # type: ignore[arg-type]
    assert trial.models == {"model": one}
    report(epoch=2, model={"generator": one, "critic": other}, loss=1.0)  # type: ignore[dict-item]
    assert trial.models == {"generator": one, "critic": other}
    for wrong in ("model", {"no name": one}, {"a/b": one}):
        with pytest.raises(TypeError, match="report\\(model=…\\)"):
            report(epoch=3, model=wrong, loss=1.0)  # type: ignore[arg-type]


def test_a_stop_takes_effect_in_a_report_and_in_a_batch(trial: FakeTrial, report: Report) -> None:
    """The report of the epoch is told first; batches are counted, so that work can be told from a hang."""
    report.batch()
    trial.stopped = True
    with pytest.raises(KeyboardInterrupt):
        report(epoch=1, loss=1.0)
    with pytest.raises(KeyboardInterrupt):
        report.batch()
    assert (len(trial.reports), trial.batches) == (1, 2)


def test_the_loop_sees_what_the_sweep_says_of_fit(report: Report) -> None:
    """`report.epochs` and `report.fit`."""
    assert (report.epochs, report.fit["batch_size"]) == (4, 8)


class Loops:
    """Training loops of several shapes; each returns what it got."""

    @staticmethod
    def two(hp: Any, report: Any) -> Any:
        """Take no data."""
        return hp, report

    @staticmethod
    def three(hp: Any, report: Any, data: Any) -> Any:
        """Need data."""
        return hp, report, data

    @staticmethod
    def either(hp: Any, report: Any, data: Any = None) -> Any:
        """Take data if there are any."""
        return (hp, report) if data is None else (hp, report, data)

    @staticmethod
    def any_number(*rest: Any) -> Any:
        """Take what comes."""
        return rest

    @staticmethod
    def one(hp: Any) -> None:
        """Have no place for the report."""

    @staticmethod
    def four(hp: Any, report: Any, data: Any, more: Any) -> None:
        """Need more than there is."""


@pytest.mark.parametrize(
    ("function", "with_data", "given"),
    [
        (Loops.two, False, 2),
        (Loops.three, True, 3),
        (Loops.either, True, 3),
        (Loops.either, False, 2),
        (Loops.any_number, True, 3),
    ],
)
def test_a_loop_gets_the_data_where_it_has_a_place(function: Callable[..., Any], with_data: bool, given: int) -> None:
    """Two arguments or three, optional or not."""
    result = UserLoop(function, with_data=with_data).run("hp", Report(FakeTrial(), {}), "data" if with_data else None)
    assert len(result) == given
    assert ("data" in result) is with_data


@pytest.mark.parametrize(
    ("function", "with_data", "message"),
    [
        (Loops.one, False, "must be a function train"),
        (Loops.four, True, "must be a function train"),
        (Loops.two, True, "takes no data"),
        (Loops.three, False, "needs data"),
        (3, False, "must be a function train"),
        (dict, False, "must be a function train"),
    ],
)
def test_a_loop_of_another_shape_is_refused(function: Any, with_data: bool, message: str) -> None:
    """Before any trial, with the shapes that there are."""
    with pytest.raises(TypeError, match=message):
        UserLoop(function, with_data=with_data)
