# pyright: basic, reportArgumentType=false
"""Parcels: a picture, a note and a table row each; two questions: how to handle it, and what it costs to send."""

from functools import cache

import keras
import numpy as np
from sklearn.datasets import load_digits

from kerasweep import spaces

HANDLING = {
    "as usual": ["books", "shoes", "a jacket", "winter clothes", "pencils", "board games"],
    "fragile": ["wine glasses", "a mirror", "a vase", "porcelain cups", "light bulbs", "an old radio"],
    "keep cool": ["cheese", "fresh fish", "flowers", "chocolate", "medicine", "yoghurt"],
}
OPENINGS = ["hello", "dear post", "to whom it may concern", "hi there", "good morning", ""]
CLOSINGS = ["thank you", "please be quick", "many thanks", "see you soon", "greetings", ""]


def build(hp):
    (parcels, _), _ = load()
    columns = {name: parcels[name] for name in ("weight", "size", "service")}
    words = spaces.vocabulary(parcels["note"])

    picture = keras.Input((8, 8, 1), name="picture")
    note = keras.Input((1,), dtype="string", name="note")
    table = spaces.table_inputs(columns)
    x = spaces.branches(
        hp,
        {
            "picture": lambda hp, x: spaces.cnn(hp, x, blocks=(1, 3), filters=(8, 32), kernel_sizes=3),
            "note": lambda hp, x: spaces.text(hp, x, words, length=16, encoders=["average"]),
            "table": lambda hp, x: spaces.tabular(hp, x, columns, numbers=["standardized"]),
        },
        {"picture": picture, "note": note, "table": table},
    )
    x = spaces.mlp(hp, x, layers=(1, 2), units=(32, 256))
    heads = spaces.heads(hp, x, classes={"handling": 3}, values={"price": 1})

    model = keras.Model({"picture": picture, "note": note, **table}, heads.outputs)
    model.compile(spaces.optimizer(hp, ["adam"], clipping=False), loss=heads.loss, metrics=heads.metrics)
    return model


def load():
    train, validation, _ = split()
    return train, validation


def held_out():
    return split()[2]


@cache
def split():
    parcels, answers = make_parcels()

    def part(first, last):
        return tuple({name: values[first:last] for name, values in table.items()} for table in (parcels, answers))

    return part(0, 1100), part(1100, 1400), part(1400, None)


def make_parcels():
    """The picture shows the zone, the note tells what is inside; the price depends on all that there is."""
    random = np.random.default_rng(0)
    images, zone = load_digits(return_X_y=True)
    count = len(zone)
    handling = random.integers(3, size=count)
    things = [random.choice(HANDLING[list(HANDLING)[kind]]) for kind in handling]
    notes = [f"{random.choice(OPENINGS)} inside: {thing}. {random.choice(CLOSINGS)}" for thing in things]
    weight = random.gamma(2.0, 2.0, size=count)
    size = random.uniform(0.1, 1.0, size=count)
    service = random.choice(["normal", "express", "registered"], size=count)

    factor = np.select([service == "express", service == "registered"], [1.6, 1.3], 1.0)
    surcharge = np.array([0.0, 4.0, 6.0])[handling]
    euros = (3 + 0.8 * zone + 0.5 * weight * (1 + zone / 9) + 4 * size) * factor + surcharge
    parcels = {
        "picture": images.reshape(-1, 8, 8, 1).astype("float32") / 16,
        "note": np.array(notes, dtype=object),  # the form in which Keras takes texts
        "weight": weight.astype("float32"),
        "size": size.astype("float32"),
        "service": service.astype(object),
    }
    return parcels, {"handling": handling, "price": (euros / 10).astype("float32")}
