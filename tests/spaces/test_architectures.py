# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false
"""What single building blocks promise beyond what all of them keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest

from kerasweep import spaces
from kerasweep.spaces.errors import BadInput
from kerasweep.spaces.pretrained import weights_file

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # of TensorFlow's own variables
]


def new_hp(**values: Any) -> Any:
    """Return KerasTuner's own `hp`, with values for some names (`__` for `/`)."""
    import keras_tuner

    hp: Any = keras_tuner.HyperParameters()
    hp.values.update({name.replace("__", "/"): value for name, value in values.items()})
    return hp


@pytest.mark.parametrize("encoder", ["average", "recurrent", "transformer"])
@pytest.mark.parametrize("positions", ["sine", "none"])
def test_padding_changes_nothing(encoder: str, positions: str) -> None:
    """What follows the end of a text is masked all the way through."""
    import keras

    if encoder != "transformer" and positions == "none":
        pytest.skip("has no positions")
    tokens: Any = keras.Input((None,), dtype="int32")
    hp = new_hp(text__transformer__positions=positions)
    model: Any = keras.Model(tokens, spaces.text(hp, tokens, 10, encoders=[encoder]))
    short, padded = (numpy.array(model(numpy.array([row]))) for row in ([3, 4, 5], [3, 4, 5, 0, 0]))
    numpy.testing.assert_allclose(short, padded, atol=1e-5)


@pytest.mark.parametrize(("positions", "matters"), [("learned", True), ("sine", True), ("none", False)])
def test_positions_let_a_transformer_tell_orders_apart(positions: str, matters: bool) -> None:
    """Without them the order of steps makes no difference."""
    import keras

    steps: Any = keras.Input((4, 3))
    model: Any = keras.Model(steps, spaces.transformer(new_hp(transformer__positions=positions), steps))
    x = numpy.random.default_rng(0).random((1, 4, 3)).astype("float32")
    there, back = (numpy.array(model(one)) for one in (x, x[:, ::-1].copy()))
    assert bool(numpy.abs(there - back).max() > 1e-4) is matters


def test_both_towers_are_one() -> None:
    """Equal inputs are at distance 0 before normalization, whatever the weights."""
    import keras

    left, right = keras.Input((3,)), keras.Input((3,))
    x = spaces.siamese(new_hp(), left, right, spaces.mlp, distances=["l1"])  # pyright: ignore[reportArgumentType]
    model: Any = keras.Model([left, right], x)
    same = numpy.ones((2, 3), "float32")
    numpy.testing.assert_allclose(model([same, same]), 0.0, atol=1e-6)


def test_numbers_are_standardized_and_categories_looked_up() -> None:
    """By the data; an unknown category is none of the known ones."""
    import keras
    import tensorflow

    data: dict[str, Any] = {"age": [10.0, 30.0], "city": ["Oslo", "Rome"]}
    inputs = spaces.table_inputs(data)
    model: Any = keras.Model(inputs, spaces.tabular(new_hp(), inputs, data))
    rows = {"age": tensorflow.constant([[10.0], [20.0]]), "city": tensorflow.constant([["Rome"], ["Bern"]])}
    numpy.testing.assert_allclose(model(rows), [[-1, 0, 0, 1], [0, 1, 0, 0]], atol=1e-5)


def test_a_missing_number_or_column_is_told_by_name() -> None:
    """Before a trial trains on NaN."""
    inputs = spaces.table_inputs({"age": [1.0], "size": [2.0]})
    with pytest.raises(BadInput, match="'size' has values that are no finite"):
        spaces.tabular(new_hp(), inputs, {"age": [1.0, 2.0], "size": [1.0, float("nan")]})
    with pytest.raises(BadInput, match="did you mean 'sizes'"):
        spaces.tabular(new_hp(), inputs, {"age": [1.0], "sizes": [1.0]})


def test_weights_that_are_not_at_hand_are_never_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the file; a base that does not exist has its near match."""
    import keras

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    image: Any = keras.Input((32, 32, 3))
    with pytest.raises(BadInput, match="mobilenet_1_0_224_tf_no_top"):
        spaces.transfer(new_hp(), image, bases=["MobileNet"])
    with pytest.raises(BadInput, match="did you mean 'MobileNet'"):
        spaces.transfer(new_hp(), image, bases=["Mobilenet"])
    with pytest.raises(BadInput, match="no file of weights"):
        spaces.transfer(new_hp(), image, bases=["MobileNet"], weights=tmp_path / "none.h5")


def test_cached_weights_are_taken_and_frozen_unless_fine_tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is trained is the head alone, or the last share of the base without its normalization."""
    import keras

    def trainable(path: Path | str, **values: Any) -> tuple[Any, int]:
        image: Any = keras.Input((32, 32, 1))
        model: Any = keras.Model(image, spaces.transfer(new_hp(**values), image, bases=["MobileNet"], weights=path))
        return model, len(model.trainable_variables)

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    mobilenet: Any = keras.applications.MobileNet
    base = mobilenet(include_top=False, weights=None, input_shape=(32, 32, 3))
    base.save_weights(tmp_path / "own.weights.h5")
    cached = tmp_path / "models" / weights_file("MobileNet", "")
    cached.write_bytes((tmp_path / "own.weights.h5").read_bytes())
    model, none = trainable(tmp_path / "own.weights.h5")
    assert none == 0
    numpy.testing.assert_array_equal(model.get_layer("transfer_MobileNet").get_weights()[0], base.get_weights()[0])
    _, some = trainable(tmp_path / "own.weights.h5", transfer__fine_tune=True, transfer__unfrozen=0.25)
    _, most = trainable(tmp_path / "own.weights.h5", transfer__fine_tune=True, transfer__unfrozen=1.0)
    assert 0 < some < most == sum("bn" not in layer.name for layer in base.layers if layer.trainable_variables)


def test_wrong_shapes_are_told_in_one_line() -> None:
    """With what the block takes."""
    import keras

    vector: Any = keras.Input((3,))
    for block in (spaces.cnn, spaces.resnet, spaces.recurrent, spaces.convolutional_recurrent, spaces.transformer):
        with pytest.raises(BadInput, match=r"got \(3,\)"):
            block(new_hp(), vector)
    with pytest.raises(BadInput, match="without an input"):
        spaces.branches(new_hp(), {"image": spaces.cnn, "size": spaces.mlp}, {"size": vector})
    with pytest.raises(BadInput, match="no architecture"):
        spaces.classifier(new_hp(), (1, 2, 3, 4, 5), 2)
    with pytest.raises(BadInput, match="did you mean 'mlp'"):
        spaces.classifier(new_hp(), (3,), 2, blocks=["mpl"])
    with pytest.raises(BadInput, match="at least 2 classes"):
        spaces.classifier(new_hp(), (3,), 1)


@pytest.mark.parametrize(("shape", "scale"), [((64,), 1.0), ((8, 8, 1), 1.0)])
def test_the_defaults_of_a_classifier_are_a_decent_model(shape: tuple[int, ...], scale: float) -> None:
    """Over 0.95 of scikit-learn's digits after a few epochs."""
    import keras

    datasets = pytest.importorskip("sklearn.datasets")
    keras.utils.set_random_seed(0)
    x, y = datasets.load_digits(return_X_y=True)
    x = (x / 16 * scale).reshape(-1, *shape).astype("float32")
    order = numpy.random.default_rng(0).permutation(len(x))
    train, held_out = order[:1347], order[1347:]
    model: Any = spaces.classifier(new_hp(), shape, 10)
    model.fit(x[train], y[train], epochs=5, verbose=0)
    assert model.evaluate(x[held_out], y[held_out], verbose=0)[1] > 0.95
