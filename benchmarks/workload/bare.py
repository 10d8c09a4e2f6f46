"""The reference: a plain Keras script that trains random configurations one after another and records nothing.

python bare.py --trials 24 --seed 0
"""

from __future__ import annotations

import argparse
import math
import random
import time

import space


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--slots", type=int, default=1, help="ignored: it is one loop")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    import digits
    import keras

    choose = random.Random(options.seed)
    low, high, step = space.UNITS
    data, validation = digits.load()
    for _ in range(options.trials):
        started = time.time()
        keras.backend.clear_session()  # as Keras's documentation asks of loops that make many models
        model = digits.network(
            units=choose.randrange(low, high + 1, step),
            learning_rate=math.exp(choose.uniform(*map(math.log, space.LEARNING_RATE))),
            dropout=choose.uniform(*space.DROPOUT),
            started=started,
        )
        model.fit(*data, validation_data=validation, epochs=space.EPOCHS, batch_size=space.BATCH_SIZE, verbose=0)


if __name__ == "__main__":
    main()
