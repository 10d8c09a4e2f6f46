"""What may stand under `search.sampler`: a name, `module:Class`, or a mapping of either with its arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from ..spaces.bad_form import BadForm, Path, shown
from ..spaces.errors import BadInput, did_you_mean
from ..spaces.known import Declared
from ..spaces.parameter import Number, Parameter
from ..spaces.prior import members
from ..spaces.trial import Json
from .grid import MANY_MEMBERS, cannot_enumerate
from .named_class import check_arguments, is_installed, needs
from .rehearsal import rehearse_sampler
from .sampler_choice import CLASSES, NAMES

PATH = ("search", "sampler")
BASE = "optuna.samplers:BaseSampler"
LIBRARIES: Mapping[str, Sequence[str]] = {
    "optuna.samplers:GPSampler": ("torch",),
    "optuna.samplers:CmaEsSampler": ("cmaes",),
}
"""What a sampler needs besides Optuna; the extra of that name installs it."""
KEEP_A_PLACE: Mapping[str, str] = {
    "optuna.samplers:GridSampler": "grid",
    "optuna.samplers:BruteForceSampler": "grid",
    "optuna.samplers:QMCSampler": "qmc",
}
"""Samplers that count in the study's store, which a resumed sweep has not, and ours that do the same."""
OPTUNA = tuple(f"optuna.samplers:{name}Sampler" for name in ("TPE", "GP", "CmaEs", "NSGAII", "NSGAIII", "Random"))
"""Optuna's own, for who has left out the module."""
Installed = Callable[[str], bool]
GP_TRIALS, CMAES_TRIALS, NSGA2_TRIALS = 500, 1_000, 1_000


def sampler_form(value: object, path: Path = PATH) -> tuple[str, dict[str, Json]]:
    """Return the sampler's name and arguments.

    Raises:
        BadForm: there is no such sampler, an argument does not fit it, or a library is not installed.
    """
    form = {"name": value} if isinstance(value, str) else value
    if not isinstance(form, Mapping):
        raise BadForm(f"{_subject(path)} is {shown(value)}; {_expected()}", path)
    named = cast(Mapping[Any, Any], form)
    if "name" not in named:
        raise BadForm(f"'name' is missing in {_subject(path)}; {_expected()}", path)
    name: object = named["name"]
    at = path if isinstance(value, str) else (*path, "name")
    if not isinstance(name, str) or (name not in NAMES and ":" not in name):
        near = did_you_mean(name, [*NAMES, *OPTUNA]) if isinstance(name, str) else ""
        raise BadForm(f"{_subject(at)} is {shown(name)}; {_expected()}{near}", at)
    arguments = {str(key): one for key, one in named.items() if key != "name"}
    _check_libraries(name, at)
    _check(name, arguments, path, at)
    return name, arguments


def chosen(
    value: object,
    declared: Iterable[Declared],
    *,
    trials: int | None,
    stops: bool,
    duplicates: bool,
    objectives: int = 1,
) -> dict[str, Any]:
    """Return the fields of a specification's `search` that are the sampler's.

    Args:
        value: What stands under `search.sampler`.
        declared: The parameters that are.
        trials: The budget of trials; None where there is none.
        stops: Whether trials are stopped early.
        duplicates: Whether a configuration may be tried twice.
        objectives: How many there are.

    Raises:
        BadForm: there is no such sampler, or it cannot search this.
    """
    declared = list(declared)
    name, arguments = sampler_form(value)
    fields: dict[str, Any] = {"sampler": name, "arguments": arguments, "duplicates": duplicates}
    if name == "auto":
        taken, reason = automatic(declared, trials=trials, stops=stops, objectives=objectives)
        return {**fields, "taken": taken, "reason": reason}
    if objectives > 1 and CLASSES.get(name, name) == CLASSES["cmaes"]:
        raise BadForm(
            f"'search.sampler' is {name!r}, which has one objective, not {objectives}; expected tpe or nsga2", PATH
        )
    if name == "grid":
        _check_grid(declared, duplicates=duplicates)
    reference = CLASSES.get(name, name)
    if arguments and reference != "optuna.samplers:GPSampler":  # which takes seconds to be imported
        try:
            rehearse_sampler(reference, arguments, declared, objectives=objectives)
        except BadInput as error:
            raise BadForm(f"{_subject(PATH)}: {error}", PATH) from None
    return fields


def is_endless(value: object) -> bool:
    """Say whether a sweep needs a budget to end: a grid ends by itself."""
    return value != "grid" and not (isinstance(value, Mapping) and cast(Mapping[Any, Any], value).get("name") == "grid")


def _check_grid(declared: Iterable[Declared], *, duplicates: bool) -> None:
    for one in declared:
        if members(one.parameter, MANY_MEMBERS) is None:
            raise BadForm(f"'search.sampler': {cannot_enumerate(one.parameter.name)}", PATH)
    if duplicates:
        raise BadForm(
            "'search.duplicates' cannot stand beside a grid, which has each configuration once; leave one of the two out",
            ("search", "duplicates"),
            at_key=True,
        )


def automatic(
    declared: Iterable[Declared],
    *,
    trials: int | None,
    stops: bool,
    objectives: int = 1,
    installed: Installed = is_installed,
) -> tuple[str, str]:
    """Return the sampler that suits a sweep, and why, in words.

    Where trials are stopped early, tpe, which models stopped trials as such. Else gp, up to 500 trials or where their
    number is open, and tpe beyond; but from 1000 trials on nsga2 for several objectives, and cmaes for one on a space
    of numbers alone, all of them always active, if its library is there.
    """
    many = trials is not None and trials > GP_TRIALS
    count = "an open number of trials" if trials is None else f"{trials} trials"
    if objectives > 1:
        if trials is not None and trials >= NSGA2_TRIALS:
            return "nsga2", f"{count} for several objectives"
        if stops:
            return "tpe", "trials are stopped early"
        return ("tpe" if many else "gp"), f"{count} for several objectives"
    parameters = [one.parameter for one in declared]
    numbers = len(parameters) > 1 and all(map(_is_plain_number, parameters))
    if trials is not None and trials >= CMAES_TRIALS and numbers and all(map(installed, LIBRARIES[CLASSES["cmaes"]])):
        return "cmaes", f"{count} over numbers alone"
    if stops:
        return "tpe", "trials are stopped early"
    return ("tpe" if many else "gp"), f"{count}, none stopped early"


def _is_plain_number(parameter: Parameter) -> bool:
    return isinstance(parameter, Number) and not parameter.conditions


def _check_libraries(name: str, at: Path) -> None:
    missing = [one for one in LIBRARIES.get(CLASSES.get(name, name), ()) if not is_installed(one)]
    if missing:
        raise BadForm(f'{_subject(at)}: {needs(name, missing)} (or `pip install "kerasweep[{missing[0]}]"`)', at)


def _check(name: str, arguments: Mapping[str, Json], path: Path, at: Path) -> None:
    if name in NAMES and name not in CLASSES:
        if arguments:
            first = next(iter(arguments))
            other = f"; 'optuna.samplers:{name.upper()}Sampler' does" if name in ("tpe", "gp") else ""
            raise BadForm(
                f"{first!r} cannot stand in {_subject(path)}: {name} takes no arguments{other}",
                (*path, first),
                at_key=True,
            )
        return
    reference = CLASSES.get(name, name)
    if reference in KEEP_A_PLACE:
        raise BadForm(
            f"{_subject(at)} is {name!r}, which cannot be resumed: it counts in a store that ends with the process; "
            f"expected {KEEP_A_PLACE[reference]!r}, which does the same",
            at,
        )
    try:
        check_arguments(reference, BASE, arguments)
    except BadInput as error:
        first = next((key for key in arguments if str(error).startswith(repr(key))), None)
        raise BadForm(
            f"{_subject(at)}: {error}", at if first is None else (*path, first), at_key=first is not None
        ) from None
    if reference == CLASSES["cmaes"]:
        _check_cma_es(arguments, path)


def _check_cma_es(arguments: Mapping[str, Json], path: Path) -> None:
    """Refuse what Optuna takes with a warning or in silence, and then has no use for."""
    step = arguments.get("sigma0")
    if isinstance(step, int | float) and not step > 0:
        raise BadForm(f"{_subject((*path, 'sigma0'))} is {shown(step)}; expected a number above 0", (*path, "sigma0"))
    if arguments.get("restart_strategy") is not None:
        at = (*path, "restart_strategy")
        raise BadForm(f"{_subject(at)} has no effect: Optuna's CMA-ES does not restart; leave it out", at, at_key=True)


def _subject(path: Path) -> str:
    return repr(".".join(map(str, path)))


def _expected() -> str:
    return f'expected one of {", ".join(NAMES)}, or `module:Class` as "optuna.samplers:TPESampler"'
