"""Tests of `kerasweep.search.start` and its form: points to try first, and what an earlier sweep is worth here."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.search.objective import Direction, Objective
from kerasweep.search.sampler import OptunaSampler
from kerasweep.search.spec import SweepSpec
from kerasweep.search.start import MOST_PRIOR, Source, Start, Starting, at_quantile, fitted, in_words, resolve
from kerasweep.search.start_form import start_of
from kerasweep.spaces.bad_form import BadForm
from kerasweep.spaces.constraints import Constraints
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.known import Known
from kerasweep.spaces.parameter import Boolean, Choice, Fixed, Number, Parameter, identity
from kerasweep.spaces.trial import Outcome, OutcomeKind, Scalar
from kerasweep.spaces.yaml_form import declare_all
from kerasweep.trackers.events import (
    Entry,
    ParametersUsed,
    RoundEnded,
    StartingPoints,
    SweepStarted,
    TrialAsked,
    TrialEnded,
    TrialRetried,
    decode,
    encode,
)
from kerasweep.trackers.journal import Journal

from .specs import completed, spec

ACCURACY = Objective(metric="acc", direction=Direction.MAX)
FORMS: dict[str, Any] = {
    "rate": {"min": 1e-4, "max": 1e-1, "sampling": "log"},
    "units": {"min": 32, "max": 256, "step": 32},
    "optimizer": {
        "choice": {"adam": {"beta": {"min": 0.8, "max": 0.99}}, "sgd": {"momentum": {"min": 0.0, "max": 0.9}}}
    },
}
SPACE = Known.of(declare_all(FORMS))


def earlier(home: Path, name: str = "earlier", count: int = 8, **changes: Any) -> Path:
    """Make a sweep with so many trials, each better than the one before."""
    folder = home / "sweeps" / name
    folder.mkdir(parents=True)
    with Journal(folder) as journal:
        journal.append(SweepStarted(spec=spec(name=name, **changes).to_json()))
        for number in range(count):
            params = {"rate": 10 ** (-1 - number / 4), "units": 64 + 32 * number, "gone": number, "optimizer": "adam"}
            journal.append(*completed(number, number / 10, params=params))
    return folder


def started(home: Path, value: object, **changes: Any) -> Start:
    """Read `start`."""
    given: dict[str, Any] = {
        "objective": ACCURACY,
        "space": SPACE,
        "constraints": Constraints(),
        "undeclared": "search",
        "home": home,
        "folder": home,
        **changes,
    }
    return start_of(value, **given)


# Values ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value", "fit"),
    [
        (Number(name="n", min=1, max=9, integer=True), 4, 4),
        (Number(name="n", min=1, max=9, integer=True), 4.0, 4),
        (Number(name="n", min=1, max=9, integer=True), 4.5, None),
        (Number(name="n", min=1, max=9, integer=True), 10, None),
        (Number(name="n", min=1, max=9, integer=True), True, None),
        (Number(name="n", min=1, max=9, integer=True), "4", None),
        (Number(name="n", min=0.0, max=1.0, integer=False), 1, 1.0),
        (Number(name="n", min=0.0, max=1.0, integer=False), math.nan, None),
        (Number(name="n", min=32, max=96, step=32, integer=True), 64, 64),
        (Number(name="n", min=32, max=96, step=32, integer=True), 65, None),
        (Choice(name="n", values=("a", "b")), "b", "b"),
        (Choice(name="n", values=("a", "b")), "c", None),
        (Choice(name="n", values=("1", 1)), 1, 1),
        (Boolean(name="n"), True, True),
        (Fixed(name="n", value=3), 3, 3),
        (Fixed(name="n", value=3), 4, None),
    ],
)
def test_a_value_fits_or_it_does_not(parameter: Parameter, value: Any, fit: Any) -> None:
    """Nothing is rounded, nothing is taken for another kind."""
    found = fitted(parameter, value)
    assert found == fit
    assert type(found) is type(fit)


# The form -------------------------------------------------------------------------------------------------------------


def test_points_and_sweeps_are_read(tmp_path: Path) -> None:
    """By name, by folder, several, with how many are tried again."""
    one, two = earlier(tmp_path, "one"), earlier(tmp_path, "two")
    assert started(tmp_path, None) == Start()
    assert started(tmp_path, {"try": [{"rate": 1e-3}], "from": "one"}) == Start(
        points=({"rate": 1e-3},), sources=(Source(folder=str(one)),)
    )
    both = started(tmp_path, {"from": [{"sweep": "one", "top": 0}, "./sweeps/two", two]})
    assert both.sources == (Source(folder=str(one), top=0), Source(folder=str(two)), Source(folder=str(two)))
    assert in_words(started(tmp_path, {"try": [{"rate": 1e-3}], "from": "one"})) == "1 point, the top 5 of one"
    whole = spec(start=both)
    assert SweepSpec.from_json(whole.to_json()).start == both


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "'start' is 3; expected a mapping"),
        ({"tyr": []}, "unknown key 'tyr' in 'start'; expected one of try, from .did you mean 'try'"),
        ({"try": {"rate": 1e-3}}, "'start.try' is a mapping; expected a list of points"),
        ({"try": [3]}, "'start.try.0' is 3; expected a mapping of values"),
        ({"try": [dict[str, Any]()]}, "'start.try.0' is a mapping; expected a mapping of values"),
        ({"try": [{"rate": [1]}]}, "'start.try.0.rate' is a list; expected one value"),
        ({"try": [{"rate": 1e-3}, {"rate": 1.0}]}, r"'start.try.1.rate' is 1.0; expected a number from 0.0001 to 0.1"),
        ({"try": [{"units": 48}]}, "'start.try.0.units' is 48; expected one of 32, 64"),
        ({"try": [{"units": "64"}]}, "'start.try.0.units' is '64'; expected one of 32, 64"),
        ({"try": [{"optimizer": "adma"}]}, "'start.try.0.optimizer' is 'adma'; expected one of adam, sgd"),
        (
            {"try": [{"optimizer": "sgd", "optimizer/adam/beta": 0.9}]},
            "'optimizer/adam/beta' is not read where 'optimizer' is 'sgd'; leave one of them out",
        ),
        ({"try": [{"units": 256, "rate": 1e-2}]}, "'start.try.0' cannot be tried: where: 'units < 200 or rate < 1e-3'"),
        ({"try": [{"units": 128, "optimizer": "sgd"}]}, "nothing found beside it keeps to 'where'"),
        ({"from": "eralier"}, "no sweep 'eralier' in .* .did you mean 'earlier'"),
        ({"from": "./nowhere"}, "there is no sweep in .*nowhere"),
        ({"from": ""}, "'start.from' is ''; expected a sweep's name or folder"),
        ({"from": {"sweep": "earlier", "tpo": 3}}, "unknown key 'tpo'"),
        ({"from": {"sweep": "earlier", "top": -1}}, "'start.from.top' is -1; expected a whole number from 0"),
        ({"from": {"top": 3}}, "'start.from' is empty; expected a sweep's name or folder"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, value: object, message: str) -> None:
    """What is wrong, and what was expected."""
    earlier(tmp_path)
    where = ["units < 200 or rate < 1e-3", "rate < 1e-3 or units != 128", "rate > 1e-3 or units != 128"]
    with pytest.raises(BadForm, match=message) as caught:
        started(tmp_path, value, constraints=Constraints.of(where))
    assert "\n" not in str(caught.value)


def test_a_name_that_only_the_model_knows_is_left_to_it(tmp_path: Path) -> None:
    """Unless the sweep takes no such parameters."""
    point = {"try": [{"layers": 3}]}
    assert started(tmp_path, point).points == ({"layers": 3},)
    with pytest.raises(BadForm, match="there is no parameter 'layers'; declared are rate, units"):
        started(tmp_path, point, undeclared="refuse")


@pytest.mark.parametrize(
    ("objective", "count", "message"),
    [
        (Objective(metric="acc", direction=Direction.MIN), 8, "looks for max acc, this one for min acc"),
        (ACCURACY, 0, "no trial of the sweep earlier has a value"),
    ],
)
def test_a_sweep_that_tells_nothing_here_is_refused(
    tmp_path: Path, objective: Objective, count: int, message: str
) -> None:
    """The opposite direction of the same metric; no result at all. Another metric has its own direction."""
    earlier(tmp_path, count=count)
    with pytest.raises(BadForm, match=message):
        started(tmp_path, {"from": "earlier"}, objective=objective)
    if count:
        other = Objective(metric="val_loss", direction=Direction.MIN)
        assert started(tmp_path, {"from": "earlier"}, objective=other).sources


# What is taken --------------------------------------------------------------------------------------------------------


def test_the_best_are_tried_and_the_rest_is_history(tmp_path: Path) -> None:
    """In the order of their values; what does not fit the new space is left out of a trial, not the trial."""
    folder = earlier(tmp_path)
    start = Start(points=({"units": 64},), sources=(Source(folder=str(folder), top=2),))
    event = resolve(start, ACCURACY, SPACE, Constraints())
    assert [one["of"] for one in event.points] == ["start.try.0", "earlier, trial 7", "earlier, trial 6"]
    assert event.points[0]["values"] == {"units": 64}
    assert event.points[1]["values"] == {"rate": 10 ** (-1 - 7 / 4), "gone": 7, "optimizer": "adam"}
    assert event.points[2]["values"] == {**event.points[1]["values"], "rate": 10**-2.5, "units": 256, "gone": 6}
    assert [one["of"] for one in event.prior] == [f"earlier, trial {number}" for number in range(5, -1, -1)]
    worse = [one["worse"] for one in event.prior]
    assert worse == sorted(worse, reverse=True)
    assert decode(*encode(event)) == event


def test_what_breaks_where_is_not_taken(tmp_path: Path) -> None:
    """Neither tried nor learned from."""
    folder = earlier(tmp_path)
    event = resolve(Start(sources=(Source(folder=str(folder)),)), ACCURACY, SPACE, Constraints.of(["units <= 128"]))
    assert len(event.points) + len(event.prior) == 4  # trial 7 says nothing of units


def test_of_a_long_sweep_a_part_is_taken(tmp_path: Path) -> None:
    """The better half as it stands, the rest thinned."""
    folder = earlier(tmp_path, count=500)
    prior = resolve(Start(sources=(Source(folder=str(folder)),)), ACCURACY, SPACE, Constraints()).prior
    assert len(prior) == MOST_PRIOR
    numbers = [int(one["of"].rpartition(" ")[2]) for one in prior]
    assert numbers[:100] == list(range(494, 394, -1))
    assert numbers[-1] < 5


def test_the_earlier_sweep_may_be_gone_afterwards(tmp_path: Path) -> None:
    """All that was taken is in the journal."""
    folder = earlier(tmp_path)
    start = Start(sources=(Source(folder=str(folder)),))
    event = resolve(start, ACCURACY, SPACE, Constraints())
    shutil.rmtree(folder)
    assert Starting.of(event).pins(0, SPACE)
    with pytest.raises(BadInput, match="no sweep in"):
        resolve(start, ACCURACY, SPACE, Constraints())


def test_a_branch_that_is_not_named_is_taken_with_what_stands_in_it() -> None:
    """`optimizer/sgd/momentum` means `optimizer: sgd`."""
    event = resolve(Start(points=({"optimizer/sgd/momentum": 0.5},)), ACCURACY, SPACE, Constraints())
    assert event.points[0]["values"] == {"optimizer/sgd/momentum": 0.5, "optimizer": "sgd"}


# Ranks ----------------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-100, 100), max_size=20), st.lists(st.floats(0, 1), min_size=2, max_size=9, unique=True))
def test_ranks_keep_their_order_on_the_scale_of_this_sweep(scores: list[float], ranks: list[float]) -> None:
    """Whatever the values are; none is far from those that there are."""
    ascending = sorted(scores)
    found = [at_quantile(ascending, rank) for rank in sorted(ranks)]
    assert all(low <= high + 1e-9 for low, high in pairwise(found))
    if scores:
        slack = 1e-4 * ((ascending[-1] - ascending[0]) or abs(ascending[0]) or 1.0)
        assert ascending[0] - slack <= found[0]
        assert found[-1] <= ascending[-1] + slack


def test_the_middle_rank_is_the_median() -> None:
    """And the best is the best."""
    scores = [0.1, 0.2, 0.3, 0.4, 0.9]
    assert at_quantile(scores, 0.5) == pytest.approx(0.3)
    assert at_quantile(scores, 0.9) == pytest.approx(0.9, abs=1e-3)
    assert at_quantile([0.5], 0.9) > at_quantile([0.5], 0.1)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5), st.floats(0, 1))
def test_the_largest_scores_have_finite_scores_between(scores: list[float], rank: float) -> None:
    """Their difference may be none."""
    assert math.isfinite(at_quantile(sorted(scores), rank))
    assert math.isfinite(at_quantile([-1.7e308, 1.7e308], rank))


# The sampler ----------------------------------------------------------------------------------------------------------


class Life:
    """A sampler with a journal."""

    def __init__(self, past: list[Entry] | None = None, kind: str = "tpe") -> None:
        self.sampler = OptunaSampler(sampler=kind, seed=1, objective=ACCURACY, space=SPACE)
        self.entries: list[Entry] = []
        for entry in past or []:
            self.apply(entry.event)

    def apply(self, event: Any) -> None:
        """Journal an event."""
        self.entries.append(Entry(seq=len(self.entries) + 1, at=0.0, event=decode(*encode(event))))
        self.sampler.apply(self.entries[-1])

    def ask(self, number: int) -> dict[str, Any]:
        """Ask for a trial; return its parameters by name."""
        proposal = self.sampler.propose(number)
        self.apply(TrialAsked(trial=number, seed=0, params=proposal.params, history_seq=0, attrs=proposal.attrs))
        return {SPACE.parameters[key].name: value for key, value in proposal.params.items()}

    def run(self, number: int, kind: OutcomeKind = OutcomeKind.COMPLETED, value: float | None = 0.5) -> dict[str, Any]:
        """Run a trial to its end."""
        params = self.ask(number)
        specs = tuple(one.to_json() for one in SPACE.parameters.values() if one.name in params)
        self.apply(ParametersUsed(trial=number, attempt=1, params=params, specs=specs))
        outcome = Outcome(kind=kind, value=value, epoch=None if value is None else 1)
        self.apply(TrialEnded(trial=number, attempt=1, outcome=outcome))
        return params


def test_a_point_is_tried_although_a_model_that_is_not_built_yet_has_one_of_its_values() -> None:
    """Before any model was built, and once others have shown what there is besides."""
    width, depth = Choice(name="width", values=(32, 64)), Number(name="depth", min=1, max=3, integer=True)
    points = tuple({"values": {"width": 64, "depth": count}, "of": f"earlier, trial {count}"} for count in (3, 2, 1))
    sampler = OptunaSampler(sampler="tpe", seed=1, objective=ACCURACY, space=Known().learn([width]))
    events: list[Any] = [StartingPoints(points=points)]

    def happened(*more: Any) -> None:
        for event in more or events:
            sampler.apply(Entry(seq=1, at=0.0, event=decode(*encode(event))))

    def asked(number: int) -> list[Scalar]:
        proposal = sampler.propose(number)
        happened(TrialAsked(trial=number, seed=0, params=proposal.params, history_seq=0, attrs=proposal.attrs))
        return list(proposal.params.values())

    happened()
    assert asked(0) == asked(1) == [64]
    whole = sampler.extend(0, 1, {identity(width): 64}, [depth]).params
    assert list(whole.values()) == [64, 3]
    happened(RoundEnded(trial=0, attempt=1, round=0, specs=(width.to_json(), depth.to_json()), params=whole, attrs={}))
    assert asked(2) == [64, 1], "trial 1 has 64 and no depth so far"
    assert list(sampler.extend(1, 1, {identity(width): 64}, [depth]).params.values()) == [64, 2]
    assert asked(3)[0] == 32, "what is not given keeps away from a trial whose model has not been built"


def params_of(entry: Entry) -> Mapping[str, Scalar]:
    """Return the parameters with which a trial was asked for."""
    assert isinstance(entry.event, TrialAsked)
    return entry.event.params


def test_points_are_proposed_first_and_the_rest_is_sampled() -> None:
    """Each by the trial of its number."""
    life = Life()
    points = ({"units": 64, "rate": 1e-3}, {"optimizer": "sgd"})
    life.apply(resolve(Start(points=points), ACCURACY, SPACE, Constraints()))
    first, second, third = (life.run(number) for number in range(3))
    assert (first["units"], first["rate"]) == (64, 1e-3)
    assert first["optimizer"] in ("adam", "sgd")
    assert second["optimizer"] == "sgd"
    assert "optimizer/sgd/momentum" in second
    assert third["rate"] != 1e-3


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_a_resumed_search_proposes_what_it_would_have(tmp_path: Path, kind: str) -> None:
    """With history of an earlier sweep, and trials taken back: the journal alone decides."""
    folder = earlier(tmp_path, count=30)
    event = resolve(Start(sources=(Source(folder=str(folder), top=1),)), ACCURACY, SPACE, Constraints())
    life = Life(kind=kind)
    life.apply(event)
    for number in range(7):
        life.run(number, value=0.1 * (number % 4))
    life.run(7, OutcomeKind.FAILED, None)
    life.apply(TrialRetried(trial=7, params=params_of(life.entries[-3])))
    again = Life(life.entries, kind=kind)
    for number in range(8, 12):
        assert again.run(number, value=0.3) == life.run(number, value=0.3)


def test_history_is_learned_from(tmp_path: Path) -> None:
    """The first trials of its own are near the best of the earlier sweep, where they would be anywhere."""
    folder = earlier(tmp_path, count=13)

    def rates(event: Any) -> list[float]:
        life = Life()
        if event is not None:
            life.apply(event)
        return [math.log10(life.run(number)["rate"]) for number in range(12)]

    event = resolve(Start(sources=(Source(folder=str(folder), top=0),)), ACCURACY, SPACE, Constraints())
    informed = sorted(rates(event))
    assert informed[len(informed) // 2] < -2.6, "the best of the earlier one have small rates"
    assert max(rates(None)) > -2.0


def test_a_failure_that_is_taken_back_is_none() -> None:
    """The search proposes as if the trial still ran."""
    failed, running = Life(), Life()
    for life in (failed, running):
        for number in range(12):
            life.run(number, value=0.1 * (number % 5))
        life.ask(12)
    params = params_of(failed.entries[-1])
    failed.apply(TrialEnded(trial=12, attempt=1, outcome=Outcome(kind=OutcomeKind.FAILED, reason="boom")))
    failed.apply(TrialRetried(trial=12, params=params))
    states = [
        [one.state.name for one in life.sampler.study.get_trials() if one.state.name != "FAIL"]
        for life in (failed, running)
    ]
    assert sorted(states[0]) == sorted(states[1])
    for life in (failed, running):
        life.apply(TrialEnded(trial=12, attempt=1, outcome=Outcome(kind=OutcomeKind.COMPLETED, value=0.9, epoch=1)))
    assert failed.run(13) == running.run(13)


@pytest.mark.parametrize("value", [{"units_1": 64}, {"units_1": 64, "units_2": 32}, {"decay": 1e-4}])
def test_a_value_of_several_branches_gets_one_that_has_it(value: dict[str, Scalar]) -> None:
    """Whichever the sampler would have taken."""
    repeated = {"min": 1, "max": 3, "repeat": {"units": {"min": 32, "max": 256, "step": 32}}}
    decay = {"min": 1e-6, "max": 1e-2, "sampling": "log", "when": {"optimizer": ["adam", "sgd"]}}
    forms: dict[str, Any] = {"layers": repeated, "optimizer": ["adam", "sgd", "rmsprop"], "decay": decay}
    space = Known.of(declare_all(forms))
    event = resolve(Start(points=(value,)), ACCURACY, space, Constraints())
    for seed in range(8):
        sampler = OptunaSampler(sampler="random", seed=seed, objective=ACCURACY, space=space)
        sampler.apply(Entry(seq=1, at=0.0, event=event))
        named = {name: found[0] for name, found in space.named(sampler.propose(0).params).items()}
        assert value.items() <= named.items()
