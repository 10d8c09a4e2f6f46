"""Optuna's CMA-ES, its state computed from the trials' values each time.

Optuna keeps the state as a pickle in a trial's attributes, which would stand in the journal; no pickle there is opened.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import optuna
    from numpy.typing import ArrayLike, NDArray
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


@cache
def refolding() -> type[optuna.samplers.CmaEsSampler]:
    """Return the sampler's class; each trial says of which generation it is, and each full generation is told in turn."""
    import optuna
    from optuna._transform import _SearchSpaceTransform  # pyright: ignore[reportPrivateUsage]

    class Refolding(optuna.samplers.CmaEsSampler):
        _shown: tuple[optuna.Study, dict[str, BaseDistribution]]

        def sample_relative(
            self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
        ) -> dict[str, Any]:
            self._shown = study, search_space
            return super().sample_relative(study, trial, search_space)

        def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
            study, space = self._shown
            transform = _SearchSpaceTransform(space, transform_step=not self._with_margin, transform_0_1=True)
            optimizer: Any = self._init_optimizer(transform, study.direction)
            sign = 1.0 if study.direction.name == "MINIMIZE" else -1.0

            def point(one: FrozenTrial) -> NDArray[np.float64]:
                return _array(one.system_attrs["x_for_tell"] if self._with_margin else transform.transform(one.params))

            while True:
                told = self._get_solution_trials(completed_trials, optimizer.generation)
                told = [one for one in told if one.value is not None and len(point(one)) == optimizer.dim]
                told = told[: optimizer.population_size]
                if len(told) < optimizer.population_size:
                    return optimizer
                optimizer.tell([(point(one), sign * (one.value or 0.0)) for one in told])

    return Refolding


def _array(values: ArrayLike) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(values, dtype=float)
