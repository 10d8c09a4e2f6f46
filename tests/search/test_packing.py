"""Tests of `kerasweep.search.packing`, and of how core and engine go by it: trials that share graphics processors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.cluster.placement import Node, Shape
from kerasweep.search import engine as engines
from kerasweep.search.budget import Budget
from kerasweep.search.core import replay
from kerasweep.search.packing import CONTEXT_BYTES, FIRST, MARGIN, MOST, Packing, measured, parts_of, ran_out, share_of
from kerasweep.search.spec import Resources, Retry, SweepSpec
from kerasweep.spaces.trial import Cause
from kerasweep.trackers.events import GraphicsMeasured, SlotsPacked

from .specs import spec
from .test_engine import ENDED, Tune, report, used

GB = 10**9
CARD = 16 * GB


def measure(peak: float, total: float = CARD) -> GraphicsMeasured:
    """Return what a trial's end says."""
    return GraphicsMeasured(trial=0, attempt=1, peak_bytes=int(peak), total_bytes=int(total))


def decided(*peaks: float, total: float = CARD) -> SlotsPacked | None:
    """Return what follows from first trials with these peaks."""
    packing, packed = Packing(), None
    for peak in peaks:
        assert packed is None
        packing, packed = measured(packing, measure(peak, total))
    return packed


# The arithmetic ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", range(1, MOST + 1))
def test_a_share_is_one_that_ray_can_add_up(parts: int) -> None:
    """So many slots fit on one processor and on each of several, by Ray's grains of a ten-thousandth, and no more."""
    share = share_of(parts)
    assert parts_of(share) == parts
    assert round(share * 10_000) * parts <= 10_000
    assert Node(id="a", total={"CPU": 64, "GPU": 1}).fits(Shape(gpu=share)) == parts
    assert Node(id="a", total={"CPU": 64, "GPU": 3}).fits(Shape(gpu=share)) == 3 * parts


@given(st.lists(st.floats(1e6, 40e9), min_size=FIRST, max_size=FIRST), st.floats(2e9, 80e9))
def test_what_the_largest_of_the_first_trials_takes_fits_into_the_share(peaks: list[float], total: float) -> None:
    """With a margin and the context; where it does not fit in half a processor each trial keeps a whole one."""
    packed = decided(*peaks, total=total)
    assert packed is not None
    need = (max(peaks) * MARGIN + CONTEXT_BYTES) / total
    parts = parts_of(packed.share)
    assert parts == 1 or need <= 1 / parts * (1 + 1e-6)
    assert parts == MOST or need > 1 / (parts + 1) * (1 - 1e-6)


@pytest.mark.parametrize(
    ("peak", "share", "says"),
    [
        (0.5 * GB, 0.125, "8 trials share one"),
        (2.0 * GB, 0.25, "need up to 22% of a gpu; 4 trials share one"),
        (6.0 * GB, 1.0, "each trial keeps a whole one"),
    ],
)
def test_the_first_trials_decide(peak: float, share: float, says: str) -> None:
    """By the largest of them; before the last of them nothing is decided."""
    assert decided(*[peak] * (FIRST - 1)) is None
    packed = decided(peak, *[0.1 * GB] * (FIRST - 1))
    assert packed is not None
    assert packed.share == share
    assert says in packed.why


def test_what_cannot_be_measured_leaves_whole_ones() -> None:
    """The first trial that says so decides; later ones are not asked."""
    for one in (measure(0), measure(GB, 0)):
        packing, packed = measured(Packing(), one)
        assert packed == SlotsPacked(share=1.0, why=packed.why if packed else "")
        assert "cannot be measured here" in (packed.why if packed else "")
        assert packing.needs == ()
    assert measured(Packing(decided=True), measure(GB)) == (Packing(decided=True), None)


def test_a_trial_that_runs_out_raises_the_share_step_by_step() -> None:
    """Up to a whole one; what ran in a slot of an earlier share says nothing about the present one."""
    shares = [0.25]
    while (packed := ran_out(Packing(share=shares[-1], decided=True), shares[-1])) is not None:
        shares.append(packed.share)
    assert shares == [0.25, 0.3333, 0.5, 1.0]
    assert ran_out(Packing(share=0.5, decided=True), 0.25) is None
    assert ran_out(Packing(), 1.0) is None


# Core and engine --------------------------------------------------------------------------------------------------------

Make = Callable[..., Tune]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return a maker of engines on one sweep's folder."""
    monkeypatch.setattr(engines, "INBOX_S", 0.0)
    made: list[Tune] = []

    def make(slots: int = 2, **changes: Any) -> Tune:
        for one in made:
            one.close()
        what: SweepSpec = spec(**{"resources": Resources(gpu="auto"), "budget": Budget(trials=30), **changes})
        made.append(Tune(tmp_path, what, slots=slots))
        return made[-1]

    yield make
    for one in made:
        one.close()


def ended(peak: float, total: float = CARD) -> Mapping[str, Any]:
    """Return the message of a completed trial that took so much."""
    timing = {"pid": 7, "start": 1.0, "fit_start": 2.0, "fit_end": 3.0, "end": 4.0}
    return {**ENDED, "timing": timing, "graphics_memory": {"peak_bytes": int(peak), "total_bytes": int(total)}}


def train(tune: Tune, peak: float, total: float = CARD) -> None:
    """Run one trial to its end."""
    one = tune.place()
    tune.chunk(one, used(one), report(1, 0.5), ended(peak, total))
    tune.done(one)


def test_slots_are_packed_once_the_first_trials_have_ended(make: Make) -> None:
    """Those that run go on to their end, nothing is begun beside them, then Tune ends and begins with other slots."""
    tune = make()
    for _ in range(FIRST - 1):
        train(tune, 2 * GB)
    last, other = tune.place(), tune.place()
    tune.chunk(last, used(last), report(1, 0.5), ended(2 * GB))
    tune.done(last)
    assert tune.engine.repacking
    assert tune.ledger.state.packing.share == 0.25
    assert tune.suggest() is None
    tune.complete(other, 0.4)
    assert tune.suggest() == "FINISHED"
    assert not tune.ledger.state.finished
    tune.engine.repacked(8, None)
    assert not tune.engine.repacking
    assert len({tune.place().number for _ in range(8)}) == 8
    assert tune.suggest() is None
    assert [one for one in tune.history().notices if "4 trials share one" in one]


def test_a_resumed_sweep_has_the_shares_of_the_live_one(make: Make) -> None:
    """By the journal alone: measures, the decision, the share that each attempt has."""
    tune = make()
    for _ in range(FIRST - 1):
        train(tune, 2 * GB)
    half = replay(tune.ledger.spec.rules(), tune.entries()).packing
    assert (len(half.needs), half.decided) == (FIRST - 1, False)
    again = make()
    assert again.ledger.state.packing == half
    train(again, 2 * GB)
    again.engine.repacked(8, None)
    running = again.place()
    state = again.ledger.state
    resumed = make()
    assert resumed.ledger.state.packing == state.packing
    assert resumed.ledger.state.live[running.number].share == 0.25
    assert not resumed.engine.repacking


def test_one_that_runs_out_is_tried_again_alone_in_larger_slots(make: Make) -> None:
    """Two that run out in slots of one size raise the share once; memory of the machine is none of the processor's."""
    tune = make(retry=Retry(oom=2))
    for _ in range(FIRST):
        train(tune, 2 * GB)
    tune.engine.repacked(4, None)
    first, second, third = (tune.place() for _ in range(3))
    oom = {"type": "ended", "kind": "oom", "reason": "CUDA_ERROR_OUT_OF_MEMORY", "traceback": "model.py:3"}
    tune.chunk(first, used(first), oom)
    assert tune.ledger.state.packing.share == 0.3333
    tune.chunk(second, used(second), oom)
    assert tune.ledger.state.packing.share == 0.3333
    tune.chunk(third, used(third), {**oom, "traceback": ""})
    for one in (first, second, third):
        tune.done(one)
    assert tune.suggest() == "FINISHED"
    tune.engine.repacked(3, None)
    again = tune.place()
    assert (again.number, again.attempt) == (first.number, 2)
    assert tune.suggest() is None
    assert tune.ledger.state.live[again.number].spent == {Cause.OOM: 1}


def test_what_cannot_be_measured_is_said_once(make: Make) -> None:
    """And the sweep goes on as it began, to its end."""
    tune = make(budget=Budget(trials=6))
    for _ in range(6):
        train(tune, 0, 0)
    assert tune.suggest() == "FINISHED"
    assert tune.ledger.state.finished
    assert [one for one in tune.history().notices if "gpu" in one] == [
        "resources.gpu: auto: the memory that trials take cannot be measured here, so each keeps a whole gpu"
    ]
    kinds = [type(entry.event) for entry in tune.entries()]
    assert (kinds.count(GraphicsMeasured), kinds.count(SlotsPacked)) == (1, 1)


def test_a_sweep_that_is_over_is_not_packed_any_more(make: Make) -> None:
    """The last of the first trials is the last of all: Tune ends once."""
    tune = make(budget=Budget(trials=FIRST))
    for _ in range(FIRST):
        train(tune, 2 * GB)
    assert tune.suggest() == "FINISHED"
    assert tune.ledger.state.finished


def test_other_sweeps_take_no_notice_of_what_trials_take(make: Make) -> None:
    """A share that the sweep file gives stays."""
    tune = make(resources=Resources(gpu=0.5), budget=Budget(trials=FIRST + 1))
    for _ in range(FIRST):
        train(tune, 2 * GB)
    assert not tune.engine.repacking
    assert not [entry for entry in tune.entries() if isinstance(entry.event, GraphicsMeasured)]


def test_a_share_makes_the_shape_of_a_slot() -> None:
    """A whole one as long as nothing is known; a share that was given is not touched."""
    auto, half = Resources(gpu="auto", cpu=2), Resources(gpu=0.5)
    assert (auto.shape.gpu, auto.shape_at(0.25).gpu, auto.shape_at(0.25).cpu) == (1.0, 0.25, 2)
    assert (half.shape.gpu, half.shape_at(0.25).gpu) == (0.5, 0.5)
    assert SweepSpec.from_json(spec(resources=auto).to_json()).resources == auto
