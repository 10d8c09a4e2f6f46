"""The samplers by their names, and how each is made."""

from __future__ import annotations

from collections.abc import Mapping

from ..spaces.trial import Json
from .sampler import Sampler

NAMES = ("tpe", "random", "grid", "qmc", "gp", "cmaes", "nsga2", "auto")
CLASSES: Mapping[str, str] = {
    "cmaes": "optuna.samplers:CmaEsSampler",
    "nsga2": "optuna.samplers:NSGAIISampler",
}
"""Those that are Optuna's own, and take its arguments."""


def sampler_of(name: str, arguments: Mapping[str, Json]) -> Sampler:
    """Return the sampler of this name (`auto` has been resolved), or of the class that it names.

    Raises:
        BadInput: there is none, or the arguments do not fit it.
    """
    from .grid import Grid
    from .optuna_sampler import FromOptuna, Random, Tpe
    from .quasi_random import Sobol

    match name:
        case "tpe":
            return Tpe()
        case "gp":
            from .gp import Gp  # with SciPy's optimizers, which no other sampler waits for

            return Gp()
        case "random":
            return Random()
        case "grid":
            return Grid()
        case "qmc":
            return Sobol()
        case _:
            return FromOptuna(CLASSES.get(name, name), arguments)
