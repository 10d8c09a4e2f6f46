"""Tests of `kerasweep.spaces.augmentation`."""

from __future__ import annotations

from typing import Any, cast

import pytest

from kerasweep.spaces.augmentation import image_augmentation, mixing, noise
from kerasweep.spaces.errors import BadInput
from tests.branches import Block, asked, corners, names

pytestmark = pytest.mark.real

AMOUNTS = {"rotation": 0.1, "translation": 0.2, "zoom": 0.2, "contrast": 0.4, "brightness": 0.4}


@pytest.fixture(scope="module")
def keras() -> Any:
    """Return Keras, and with it TensorFlow, imported here."""
    return pytest.importorskip("keras")


def made(block: Block, values: dict[str, Any] | None = None) -> Any:
    """Return what the block makes for these values."""
    kept: list[Any] = []
    asked(lambda hp: kept.append(block(hp)), values)
    return kept[0]


def in_unit_range(hp: Any) -> Any:
    """Return the augmentation of images between 0 and 1."""
    return image_augmentation(hp, value_range=(0.0, 1.0))


def images(seed: int = 0, count: int = 6) -> Any:
    """Return images in colour, between 0.1 and 0.9."""
    import numpy as np

    return np.random.default_rng(seed).uniform(0.1, 0.9, (count, 8, 8, 3)).astype("float32")


def amounts(**given: Any) -> dict[str, Any]:
    """Return values for `basic` with every amount at 0 but the given."""
    none = {f"augmentation/{name}": 0.0 for name in AMOUNTS}
    return {"augmentation": "basic", **none, **{f"augmentation/{name}": value for name, value in given.items()}}


@pytest.mark.parametrize(("name", "value"), AMOUNTS.items())
def test_each_change_alone_is_made_in_training_only(keras: Any, name: str, value: float) -> None:
    """Images stay within their range; at inference they are what they were."""
    import numpy as np

    keras.utils.set_random_seed(1)
    layer = made(in_unit_range, amounts(**{name: value}))
    x = images()
    trained = np.asarray(layer(x, training=True))
    assert trained.shape == x.shape
    assert np.abs(trained - x).max() > 0.01
    assert trained.min() >= 0.0
    assert trained.max() <= 1.0
    assert np.array_equal(np.asarray(layer(x, training=False)), x)


def test_augmentation_is_part_of_a_model_that_is_saved_and_loaded(keras: Any) -> None:
    """Fit sees changed images, predict does not, and the configuration comes back."""
    import numpy as np

    layer = made(in_unit_range, amounts(rotation=0.1, brightness=0.4))
    model = keras.Sequential([keras.Input((8, 8, 3)), layer, keras.layers.GlobalAveragePooling2D()])
    x = images()
    assert model.predict(x, verbose=0) == pytest.approx(x.mean((1, 2)), rel=1e-5)
    assert np.abs(np.asarray(model(x, training=True)) - x.mean((1, 2))).max() > 0.01
    back = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert [type(one) for one in back.layers] == [type(one) for one in layer.layers]


def test_images_are_mirrored_only_where_that_is_allowed(keras: Any) -> None:
    """Never by default: digits have a right way round."""
    import numpy as np

    assert not any("flip" in name for name in names(image_augmentation, amounts()))
    assert type(made(image_augmentation, amounts())).__name__ == "Identity"
    keras.utils.set_random_seed(1)
    layer = made(lambda hp: image_augmentation(hp, flip="horizontal"), amounts(flip=True))
    x = images(count=16)
    flipped = np.asarray(layer(x, training=True))
    as_it_was = (flipped == x).all((1, 2, 3))
    mirrored = (flipped == x[:, :, ::-1]).all((1, 2, 3))
    assert (as_it_was ^ mirrored).all()
    assert as_it_was.any()
    assert mirrored.any()
    assert type(made(lambda hp: image_augmentation(hp, flip="vertical"), amounts(flip=False))).__name__ == "Identity"


def test_rand_augment_is_asked_for_its_two_parameters(keras: Any) -> None:
    """It changes training images, in their range, and no others."""
    import numpy as np

    keras.utils.set_random_seed(1)
    chosen = {"augmentation": "rand_augment"}
    assert names(in_unit_range, chosen) == {"augmentation", "augmentation/num_ops", "augmentation/factor"}
    layer = made(in_unit_range, {**chosen, "augmentation/num_ops": 2, "augmentation/factor": 0.3})
    x = images()
    trained = np.asarray(layer(x, training=True))
    assert np.abs(trained - x).max() > 0.01
    assert (trained.min(), trained.max()) >= (0.0, 0.0)
    assert trained.max() <= 1.0
    assert np.array_equal(np.asarray(layer(x, training=False)), x)


def test_noise_is_added_in_training_only(keras: Any) -> None:
    """Of the standard deviation asked."""
    import numpy as np

    x = np.zeros((50, 40), "float32")
    for _, value, values in corners(lambda hp: noise(hp, 0.6)):
        keras.utils.set_random_seed(1)
        layer = made(lambda hp: noise(hp, 0.6), values)
        assert float(np.asarray(layer(x, training=True)).std()) == pytest.approx(value, rel=0.1)
        assert not np.asarray(layer(x, training=False)).any()


@pytest.mark.parametrize("kind", ["none", "mixup", "cutmix"])
def test_mixing_mixes_labels_as_it_mixes_images(keras: Any, kind: str) -> None:
    """In a `tf.data` pipeline: plain images of the value of their class show how much of each is in the mixture."""
    import numpy as np
    import tensorflow as tf

    keras.utils.set_random_seed(3)
    classes = np.arange(32) % 2
    x = np.broadcast_to(classes[:, None, None, None].astype("float32"), (32, 32, 32, 1)).copy()
    mix = made(mixing, {"mixing": kind, "mixing/alpha": 1.0, "mixing/factor": 1.0})
    data: Any = tf.data.Dataset.from_tensor_slices((x, np.eye(2, dtype="float32")[classes])).batch(32).map(mix)
    ((mixed, labels),) = data.as_numpy_iterator()
    assert mixed.shape == x.shape
    assert labels.sum(1) == pytest.approx(1.0, abs=1e-5)
    tolerance = 1e-4 if kind == "mixup" else 0.1  # a patch of whole pixels
    assert mixed.mean((1, 2, 3)) == pytest.approx(labels[:, 1], abs=tolerance)
    assert bool(((labels > 0.01) & (labels < 0.99)).any()) is (kind != "none")


def test_a_mixing_asks_for_its_own_strength(keras: Any) -> None:
    """Alpha for mixup, a factor for cutmix."""
    del keras
    asked_by = {kind: names(mixing, {"mixing": kind}) - {"mixing"} for kind in ("none", "mixup", "cutmix")}
    assert asked_by == {"none": set(), "mixup": {"mixing/alpha"}, "cutmix": {"mixing/factor"}}


def test_labels_that_are_no_vectors_are_refused(keras: Any) -> None:
    """Class numbers cannot be mixed."""
    import numpy as np

    del keras
    with pytest.raises(BadInput, match=r"mixup mixes one-hot labels \(batch, classes\), got shape \(6,\)"):
        made(mixing, {"mixing": "mixup"})(images(), np.arange(6))


MISTAKES: list[tuple[Block, str]] = [
    (lambda hp: image_augmentation(hp, ["randaugment"]), "did you mean 'rand_augment'"),
    (lambda hp: image_augmentation(hp, flip=cast(Any, "horizontl")), "did you mean 'horizontal'"),
    (lambda hp: image_augmentation(hp, value_range=(1.0, 0.0)), "value_range must be (lowest, highest)"),
    (lambda hp: noise(hp, 0.0), "max_stddev must be above 0"),
    (lambda hp: mixing(hp, ["mix_up"]), "did you mean 'mixup'"),
]


@pytest.mark.parametrize(("block", "said"), MISTAKES)
def test_a_mistake_is_named(keras: Any, block: Block, said: str) -> None:
    """With what was expected."""
    del keras
    with pytest.raises(BadInput) as error:
        made(block)
    assert said in str(error.value)
