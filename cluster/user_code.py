"""The user's code in a trainer: the model or the training loop, and the data, loaded once."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, final

from ..spaces.trace import Trace
from .backend import KerasSettings
from .data import UserData
from .hypermodel import UserModel
from .loop import UserLoop
from .replicas import Replicas, graphics_processors
from .settings import Settings, sweep_arguments
from .tuner import is_tuner, loop_of


@final
class UserCode:
    """The user's model or training loop, and the data, loaded once per trainer."""

    def __init__(self, model: UserModel | UserLoop, data: UserData, keras: KerasSettings) -> None:
        self.model = model
        self.data = data
        self.keras = keras
        self.replicas = Replicas()
        self.gpus = 0.0
        """What it has of graphics processors."""
        self.notice = ""
        """What the user should know of where it trains; told with the first trial."""
        self.dtype_policy: str = keras.dtype_policy or _dtype_policy()

    @classmethod
    def of(
        cls,
        model: Any,
        data: Any,
        *,
        loop: bool = False,
        keras: KerasSettings | None = None,
        cache: Path | None = None,
    ) -> UserCode:
        """Return the code ready to use; calls the data function, unless it is one of `hp`.

        Args:
            model: `build(hp)`, or a `keras_tuner.HyperModel` class or instance; or a training loop, or a tuner.
            data: What `UserData` takes.
            loop: Whether `model` is a training loop.
            keras: The sweep's settings of Keras.
            cache: A folder in which the trainers of this program on this machine share arrays.
        """
        train = loop_of(model) if loop and is_tuner(model) else model
        made = UserLoop(train, with_data=data is not None) if loop else UserModel(model)
        return cls(made, UserData(data, cache, (model,)), keras or KerasSettings())

    def start_session(self, seed: int) -> None:
        """Set what Keras's clearing of a session takes back: dtype policy and seeds."""
        import keras

        keras.config.set_dtype_policy(self.dtype_policy)
        keras.utils.set_random_seed(seed % 2**32)
        self.replicas.start_session()

    def use_graphics(self, gpu: float) -> None:
        """Spread models over the graphics processors of a slot that has several; say so where the backend sees fewer."""
        self.gpus = gpu
        found = graphics_processors(self.keras.backend)
        self.replicas = Replicas.on(self.keras.backend, found if gpu > 1 else ())
        if len(found) < gpu:
            self.notice = (
                f"resources.gpu is {gpu:g}, {self.keras.backend} sees {len(found)} and trains on what there is"
            )

    @contextmanager
    def policy(self) -> Generator[None]:
        """Build under the sweep's dtype policy, and leave the process with its own."""
        import keras

        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.dtype_policy)
        try:
            yield
        finally:
            keras.config.set_dtype_policy(before)

    def takes(self, name: str) -> bool:
        """Say whether the user's own code takes data of that name, whatever Keras's `fit` does."""
        return isinstance(self.model, UserModel) and self.model.takes(name)

    def build(self, hp: Any) -> Any:
        """Return the compiled model for `hp`, to be trained as the sweep says.

        Raises:
            TypeError: there is a training loop instead, which makes its own.
        """
        if isinstance(self.model, UserLoop):
            raise TypeError("the sweep has a training loop, which makes its models itself; expected build(hp)")
        with self.replicas.scope():
            model = self.model.build(hp)
        if hasattr(model, "compile"):
            self.keras.apply_to(model)
        return model


def _dtype_policy() -> str:
    import keras

    return str(cast(Any, keras.config.dtype_policy()).name)


def fit_arguments_of(code: UserCode, hp: Any, trace: Trace, settings: Settings) -> dict[str, Any]:
    """Return the arguments of one trial's `fit`: the sweep file's, and the data."""
    return {**sweep_arguments(trace, settings), **code.data.arguments(hp, code.takes)}


def count_params(model: Any) -> int | None:
    """Return how many parameters the model has; None where it is not built before `fit`."""
    try:
        return int(model.count_params())
    except (AttributeError, ValueError):
        return None
