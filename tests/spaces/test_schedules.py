"""Tests of `kerasweep.spaces.schedules`: values against the formulas of the papers, written out here."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.schedules import COMMON, SCHEDULES, custom_objects, plateau, schedule
from tests.branches import asked, corners, names

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras's variables, NumPy 2
]

PEAK = 0.1


@pytest.fixture(scope="module")
def keras() -> Any:
    """Return Keras, and with it TensorFlow, imported here."""
    return pytest.importorskip("keras")


def made(values: dict[str, Any] | None = None, **arguments: Any) -> Any:
    """Return the schedule for these values."""
    kept: list[Any] = []
    asked(lambda hp: kept.append(schedule(hp, PEAK, **arguments)), values)
    return kept[0]


def of(name: str, steps: int = 1000, **values: Any) -> Callable[[int], float]:
    """Return the schedule `name` without warm-up, as a function of the step."""
    one = made(
        {f"schedule/{name}/{key}": value for key, value in values.items()}, names=[name], steps=steps, warmup=False
    )
    return lambda step: float(one(step))


def rate_at(one: Any, step: int) -> float:
    """Return the learning rate at a step, of a schedule or of a constant one."""
    return float(one if isinstance(one, float) else one(step))


def near(value: float) -> Any:
    """Return what equals `value` in single precision."""
    return pytest.approx(value, rel=2e-5, abs=1e-8)


# Values ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 7, 1000])
@pytest.mark.parametrize("alpha", [0.0, 0.01, 0.1])
def test_cosine(keras: Any, steps: int, alpha: float) -> None:
    """Half a cosine, from the peak to its fraction `alpha` at the end, and that beyond."""
    del keras
    rate = of("cosine", steps, final_fraction=alpha)
    for step in {0, 1, steps // 2, steps - 1, steps, steps + 1, 3 * steps}:
        done = min(step / steps, 1)
        assert rate(step) == near(PEAK * ((1 - alpha) * (1 + math.cos(math.pi * done)) / 2 + alpha))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 3.0])
def test_polynomial(keras: Any, power: float) -> None:
    """A power of what is left; power 1 is a straight line."""
    del keras
    rate = of("polynomial", power=power, final_fraction=0.1)
    for step in (0, 1, 500, 999, 1000, 5000):
        left = 1 - min(step / 1000, 1)
        assert rate(step) == near(PEAK * (0.9 * left**power + 0.1))


def test_exponential(keras: Any) -> None:
    """By the same factor at every step; the fraction is reached at the end of the training."""
    del keras
    rate = of("exponential", final_fraction=0.01)
    for step in (0, 1, 500, 1000, 1500):
        assert rate(step) == near(PEAK * 0.01 ** (step / 1000))


@pytest.mark.parametrize(("drops", "at"), [(1, [500]), (2, [500, 750]), (3, [500, 750, 875])])
def test_piecewise(keras: Any, drops: int, at: list[int]) -> None:
    """The first step after half of the training has the lower rate already, and so on."""
    del keras
    rate = of("piecewise", drops=drops, factor=0.2)
    for step in (0, *at, *(one - 1 for one in at), 999, 1000, 9000):
        assert rate(step) == near(PEAK * 0.2 ** sum(step >= one for one in at))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_piecewise_of_a_very_short_training(keras: Any, steps: int) -> None:
    """Drops that fall on one step are one; the first step has the peak."""
    del keras
    rate = of("piecewise", steps, drops=3)
    assert rate(0) == near(PEAK)
    assert rate(steps) <= PEAK


@pytest.mark.parametrize(("cycles", "growth", "firsts"), [(2, 1.0, [0, 500]), (3, 2.0, [0, 143, 429])])
def test_cosine_restarts(keras: Any, cycles: int, growth: float, firsts: list[int]) -> None:
    """Each cycle starts at its peak, falls along half a cosine, and is `t_mul` times as long as the one before."""
    del keras
    rate = of("cosine_restarts", cycles=cycles, t_mul=growth, m_mul=0.5, final_fraction=0.1)
    lengths = [firsts[1] * growth**cycle for cycle in range(cycles)]
    for cycle, (first, length) in enumerate(zip(firsts, lengths, strict=True)):
        for share in (0.01, 0.5, 0.99):
            step = first + round(share * length)
            cosine = (1 + math.cos(math.pi * (step - first) / length)) / 2
            expected = PEAK * (0.9 * 0.5**cycle * cosine + 0.1)
            assert rate(step) == pytest.approx(expected, rel=1e-3), (cycle, share)
    assert rate(0) == near(PEAK)
    assert firsts[-1] + lengths[-1] >= 1000


@pytest.mark.parametrize("steps", [10, 1000])
@pytest.mark.parametrize("rise", [0.1, 0.3, 0.5])
def test_one_cycle(keras: Any, steps: int, rise: float) -> None:
    """Cosine slopes from peak/25 to the peak and down to a ten-thousandth of the start, which stays."""
    del keras
    rate = of("one_cycle", steps, rise_fraction=rise, division=25.0)
    start, end = PEAK / 25, PEAK / 25 / 1e4

    def slope(low: float, high: float, done: float) -> float:
        return low + (high - low) * (1 - math.cos(math.pi * min(done, 1))) / 2

    assert rate(0) == near(start)
    assert rate(round(rise * steps)) == near(PEAK)
    for step in {1, round(rise * steps / 2), steps // 2, steps - 1, steps, steps + 1, 4 * steps}:
        done = step / steps
        up = done < rise
        expected = slope(start, PEAK, done / rise) if up else slope(PEAK, end, (done - rise) / (1 - rise))
        assert rate(step) == pytest.approx(expected, rel=1e-4, abs=PEAK * 1e-7)
    assert rate(steps) == rate(10 * steps) == near(end)


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "one_cycle"])
@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_warm_up_rises_from_zero_and_hands_over_at_the_peak(keras: Any, name: str, shape: str) -> None:
    """Then comes the schedule itself, over the rest of the training."""
    del keras
    values = {"schedule/warmup": shape, "schedule/warmup_fraction": 0.1}
    warm = made(values, names=[name], steps=1000)
    alone = made(names=[name], steps=900, warmup=False)
    for step in (0, 1, 50, 99):
        done = step / 100
        assert float(warm(step)) == near(PEAK * (done if shape == "linear" else (1 - math.cos(math.pi * done)) / 2))
    for step in (100, 101, 550, 999, 1000, 2000):
        assert float(warm(step)) == near(rate_at(alone, step - 100))
    assert float(warm(100)) == near(PEAK)


def test_an_optimizer_follows_the_schedule_in_a_training(keras: Any) -> None:
    """Plain gradient descent on a gradient of 1 moves by the sum of the rates of its steps."""
    one = made({"schedule/warmup": "linear"}, names=["cosine"], steps=20)
    optimizer, weight = keras.optimizers.SGD(one), keras.Variable(0.0)
    for _ in range(20):
        optimizer.apply([keras.ops.ones(())], [weight])
    assert -float(weight.numpy()) == pytest.approx(sum(float(one(step)) for step in range(20)), rel=1e-5)


# What is asked --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_holds_at_both_ends_of_every_parameter(keras: Any, name: str) -> None:
    """Never negative or above the peak, at the start, in the middle and at the end."""
    del keras
    for full, value, values in corners(lambda hp: schedule(hp, PEAK, [name], steps=40)):
        one = made(values, names=[name], steps=40)
        for step in (0, 1, 4, 20, 39, 40):
            assert 0 <= rate_at(one, step) <= PEAK * (1 + 1e-6), (full, value, step)


@pytest.mark.parametrize("name", SCHEDULES)
def test_only_the_chosen_schedules_parameters_are_asked(keras: Any, name: str) -> None:
    """Those of others are not, nor the length of a warm-up that there is not."""
    del keras
    read = names(lambda hp: schedule(hp, PEAK, list(SCHEDULES), steps=100), {"schedule": name})
    assert {one.split("/")[1] for one in read if one.count("/") > 1} <= {name}
    assert "schedule/warmup_fraction" not in read
    assert ("schedule/warmup" in read) is (name != "one_cycle")


def test_a_constant_rate_needs_no_steps(keras: Any) -> None:
    """And stays a number, which a callback can lower."""
    del keras
    assert made(names=["constant"], warmup=False) == PEAK


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "'cosine' needs the length of the training: steps=epochs * steps_per_epoch"),
        ({"names": ["constant"]}, "'warm-up' needs the length of the training"),
        ({"names": ["one_cycel"], "steps": 5}, "did you mean 'one_cycle'"),
        ({"names": ["one_cycel"]}, "did you mean 'one_cycle'"),
        ({"steps": -1}, "whole number above 0"),
        ({"steps": True}, "whole number above 0"),
        ({"steps": "10"}, "whole number above 0"),
    ],
)
def test_a_mistake_is_named(keras: Any, arguments: dict[str, Any], said: str) -> None:
    """Missing steps are found at the first build, whichever schedule is chosen."""
    del keras
    with pytest.raises(BadInput) as error:
        made(**arguments)
    assert said in str(error.value)


def test_numpys_integers_are_steps(keras: Any) -> None:
    """As `len(data) // batch_size` may give them."""
    del keras
    import numpy as np

    assert made(names=["cosine"], steps=np.int64(10), warmup=False).get_config()["decay_steps"] == 10


# Saving ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "constant"])
@pytest.mark.parametrize("shape", ["none", "linear"])
def test_a_schedule_survives_saving(keras: Any, name: str, shape: str) -> None:
    """Its configuration is plain, and what comes back has the same values."""
    one = made({"schedule/warmup": shape}, names=[name], steps=100)
    back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
    assert back.get_config() == one.get_config()
    assert [float(back(step)) for step in (0, 3, 50, 100)] == [float(one(step)) for step in (0, 3, 50, 100)]


def test_a_model_with_our_schedules_is_saved_and_loaded_safely(keras: Any, tmp_path: Path) -> None:
    """As a `.keras` file, in safe mode, compiled; `custom_objects` names what a reader must have."""
    one = made({"schedule/warmup": "cosine", "schedule": "polynomial"}, names=list(COMMON), steps=100)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(one), "mse")
    model.train_on_batch(keras.ops.ones((2, 1)), keras.ops.ones((2, 1)))
    model.save(tmp_path / "model.keras")
    back = keras.models.load_model(tmp_path / "model.keras", custom_objects=custom_objects(), safe_mode=True)
    assert back.optimizer.get_config() == model.optimizer.get_config()
    assert {keras.saving.get_registered_name(each) for each in custom_objects().values()} == set(custom_objects())


# On plateau -----------------------------------------------------------------------------------------------------------


def test_plateau_lowers_the_rate_in_a_fit(keras: Any) -> None:
    """By its factor, after its patience, when what it watches stands still."""
    import numpy as np

    kept: list[Any] = []
    values = {"plateau/factor": 0.5, "plateau/patience": 2}
    hp = asked(lambda hp: kept.append(plateau(hp, "loss")), values)
    assert {one.name for one in hp.space} == set(values)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(0.4), "mse")
    x = np.zeros((4, 1), "float32")  # no gradient, so a loss that stands still
    history = model.fit(x, x + 1, epochs=4, verbose=0, callbacks=kept)
    assert history.history["learning_rate"] == pytest.approx([0.4, 0.4, 0.4, 0.2])
