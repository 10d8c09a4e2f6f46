# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownLambdaType=false
"""What every building block keeps: it builds at every value of every parameter, asks for no more, learns, saves."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy
import pytest

from kerasweep import spaces

from .blocks import BLOCKS, build_at, explore, random_point, sample

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore:(currentThread|getName):DeprecationWarning"),  # of KerasTuner
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # of TensorFlow's own variables
]

PARTS = [name for name in BLOCKS if name not in ("classifier", "regressor")]


@pytest.fixture(autouse=True)
def _session() -> Any:
    """Give each test a fresh Keras session, with its own seed."""
    import keras

    keras.utils.clear_session()
    keras.utils.set_random_seed(7)
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", BLOCKS)
def test_builds_at_both_ends_of_every_parameter(name: str) -> None:
    """Each value of a choice and each end of a range gives a model of the same output, under KerasTuner's own `hp`."""
    found, points = explore(name)
    assert len(points) > len(found) / 2
    shapes = {str(shape) for _, shape in points}
    assert len(shapes) == 1


@pytest.mark.parametrize("name", BLOCKS)
def test_defaults_are_in_range(name: str) -> None:
    """A default is a value that the search can also find."""
    for one in explore(name)[0].values():
        parameter = one.parameter
        kind = type(parameter).__name__
        if kind == "Int" and parameter.sampling == "log":
            grid = [parameter.min_value * 2**index for index in range(20)]
            assert parameter.default in grid
            assert parameter.default <= parameter.max_value
        elif kind in ("Int", "Float"):
            assert parameter.min_value <= parameter.default <= parameter.max_value
        elif kind == "Choice":
            assert parameter.default in parameter.values


@pytest.mark.parametrize("name", PARTS)
def test_builds_at_random_points_through_the_sweeps_hp(name: str) -> None:
    """Late binding finds the parameters of a random point in a few rounds; the model there has the block's output."""
    _, points = explore(name)
    for seed in range(2):
        model, params = random_point(name, seed)
        assert str(model.output_shape) == str(points[0][1])
        assert {*params} <= {*explore(name)[0]} | {key for key in params if key[-1].isdigit()}


@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_asked_is_under_the_blocks_name(name: str) -> None:
    """Two blocks in one model have parameters of their own: all names start with the block's, or the optimizer's."""
    if name in ("classifier", "regressor"):
        prefixes = ("architecture", "optimizer", "cnn/", "resnet/", "recurrent/")
    else:
        prefixes = (f"{name}/",)
    assert all(key.startswith(prefixes) for key in explore(name)[0])


@pytest.mark.parametrize("name", BLOCKS)
def test_lowers_the_loss(name: str) -> None:
    """A few steps at the defaults lower the loss."""
    import keras

    noise = [key for key in explore(name)[0] if key.endswith("dropout/rate")]
    keras.utils.set_random_seed(0)
    model, _ = build_at(BLOCKS[name], dict.fromkeys(noise, 0.0))
    model.run_eagerly = True  # tracing takes longer than these steps
    model.optimizer.learning_rate = 0.001
    x, y = sample(model)
    losses = model.fit(x, y, batch_size=16, epochs=12, verbose=0).history["loss"]
    assert min(losses[-2:]) < losses[0]


@pytest.mark.parametrize("name", PARTS)
def test_same_seed_same_weights(name: str) -> None:
    """The weights that a block starts from follow from Keras's seed."""
    import keras

    def weights() -> list[Any]:
        keras.utils.clear_session()
        keras.utils.set_random_seed(3)
        return build_at(BLOCKS[name], {})[0].get_weights()

    for one, other in zip(weights(), weights(), strict=True):
        numpy.testing.assert_array_equal(one, other)


BRANCHES: dict[str, list[dict[str, Any]]] = {
    "resnet": [{"resnet/version": "v1", "resnet/squeeze_excitation": True, "resnet/blocks_0": 1}],
    "convolutional_recurrent": [{"convolutional_recurrent/kind": "conv_lstm"}],
    "transformer": [{"transformer/positions": "sine", "transformer/norm_first": False}],
    "text": [{"text/encoder": kind} for kind in ("cnn", "recurrent", "transformer")],
    "tabular": [{"tabular/numbers": "binned", "tabular/categories": "embedding"}],
    "siamese": [{"siamese/distance": "l2"}, {"siamese/distance": "cosine"}],
    "branches": [{"branches/merge": "multiply"}],
}


@pytest.mark.parametrize(
    ("name", "values"), [(name, values) for name in PARTS for values in ({}, *BRANCHES.get(name, ()))]
)
def test_saves_and_loads_without_kerasweep(name: str, values: dict[str, Any], tmp_path: Path) -> None:
    """A saved model is made of Keras's own parts, loads in safe mode, and predicts the same."""
    import keras

    model, _ = build_at(BLOCKS[name], values)
    x, _ = sample(model, 4)
    path = tmp_path / "model.keras"
    model.optimizer.build(model.trainable_variables)
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        assert b"kerasweep" not in archive.read("config.json")
    loaded: Any = keras.saving.load_model(path, safe_mode=True)
    before, after = (keras.tree.flatten(one(x, training=False)) for one in (model, loaded))
    for one, other in zip(before, after, strict=True):
        numpy.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in PARTS if name != "transfer"])
def test_half_precision_ends_in_float32(name: str) -> None:
    """Under mixed precision the outputs are float32 and finite."""
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    model, _ = build_at(BLOCKS[name], {})
    for one in keras.tree.flatten(model(sample(model, 4)[0], training=False)):
        assert keras.backend.standardize_dtype(one.dtype) == "float32"
        assert numpy.isfinite(one).all()


def test_runs_under_keras_tuner_itself(tmp_path: Path) -> None:
    """KerasTuner's random search proposes points of a whole classifier, and each builds."""
    import keras_tuner

    tuner: Any = keras_tuner.RandomSearch(
        lambda hp: spaces.classifier(hp, (4, 4, 1), 3, blocks=["cnn"]),
        objective="val_accuracy",
        max_trials=4,
        seed=1,
        directory=tmp_path,
    )
    for _ in range(4):
        trial = tuner.oracle.create_trial("tuner")
        assert tuner.hypermodel.build(trial.hyperparameters).output_shape == (None, 3)
        assert trial.hyperparameters.get("cnn/filters") in (16, 32, 64)


def test_two_uses_have_parameters_of_their_own() -> None:
    """One block under two names is searched twice."""
    import keras
    import keras_tuner

    hp: Any = keras_tuner.HyperParameters()
    hp.values["second/layers"] = 1
    inputs: Any = keras.Input((3,))
    x = spaces.mlp(hp, spaces.mlp(hp, inputs, name="first"), name="second")
    names = {one.name for one in hp.space}
    assert {"first/layers", "first/units_1", "second/layers", "second/units_0"} <= names
    assert "second/units_1" not in names
    assert tuple(x.shape) == (None, 128)


def test_only_the_chosen_branch_is_asked() -> None:
    """What a branch would need is not asked while another one is taken."""
    cases = {
        "convolutional_recurrent": ({}, "convolutional_recurrent/filters_0"),
        "tabular": ({}, "tabular/width"),
        "classifier": ({"architecture": "resnet"}, "cnn/filters"),
        "transfer": ({}, "transfer/unfrozen"),
        "heads": ({}, "heads/kind/units"),
        "recurrent": ({"recurrent/layers": 2}, "recurrent/units_2"),
    }
    for name, (values, absent) in cases.items():
        assert absent not in build_at(BLOCKS[name], values)[1]
