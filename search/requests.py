"""What users ask of a sweep that has begun: that settings change, that trials run again. Decided here, journaled by others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..spaces.errors import BadInput, did_you_mean
from ..spaces.trial import OutcomeKind
from ..trackers.events import SweepAmended, TrialRetried
from .amend import AMENDABLE, amended
from .spec import SweepSpec
from .state import State

if TYPE_CHECKING:
    from .ledger import Ledger

LIVE = tuple(key for key in AMENDABLE if key.startswith(("budget.", "retry.")) or key in ("parallel", "keep.best"))
"""What may change while trials run; what else may change once a sweep has begun is given to its slots at their start."""
BY_DEFAULT = (OutcomeKind.FAILED, OutcomeKind.LOST)
"""The trials that run again where none is named; those that were interrupted do so when they are."""
SHOWN = 12


def heard(ledger: Ledger, request: Mapping[str, Any], slots: int) -> str:
    """Journal what a request to a running sweep asks for, and return it in words.

    Args:
        ledger: The sweep.
        request: As it was read: `{"type": "set", "settings": […]}` or `{"type": "retry", "trials": […]}`.
        slots: How many trials its driver can have at a time.

    Raises:
        BadInput: it cannot be done; nothing has changed.
    """
    name = ledger.spec.name
    if ledger.state.finished:
        raise BadInput(f"{name} has ended at this moment; do it once more")
    match request:
        case {"type": "set", "settings": [*settings]}:
            event = changed(ledger.spec, [str(one) for one in settings], slots=slots)
            said = in_words(ledger.spec, event)
            ledger.record(event)
            return f"{name}: {said}"
        case {"type": "retry", "trials": [*numbers]} if all(isinstance(one, int) for one in numbers):
            if ledger.state.closing is not None:
                raise BadInput(f"{name} is ending ({ledger.state.closing.why}); retry its trials once it has ended")
            events = again(ledger.state, numbers)
            ledger.record(*events)
            return f"{name}: {retried_in_words(events)}"
        case _:
            raise BadInput(f"{name} does not know this request; its driver is of another version")


def changed(spec: SweepSpec, settings: Sequence[str], *, slots: int | None = None) -> SweepAmended:
    """Return the event by which settings change.

    Args:
        spec: What holds now.
        settings: `key=value` each.
        slots: How many trials the running driver can have at a time; None where none runs, which allows more keys.

    Raises:
        BadInput: a key may not change, or not now, or a value does not fit it.
    """
    if not settings:
        raise BadInput(f"nothing to set; expected `kerasweep set {spec.name} budget.trials=100`")
    keys = [setting.partition("=")[0].strip() for setting in settings]
    for key, setting in zip(keys, settings, strict=True):
        if "=" not in setting:
            raise BadInput(f"set {key}: not understood; expected `key=value`, as `budget.trials=100`")
        if slots is not None and key in AMENDABLE and key not in LIVE:
            raise BadInput(
                f"set {key}: the slots of a running sweep have it from their start; "
                f"`kerasweep stop {spec.name}`, then `kerasweep resume {spec.name} --set {setting}`"
            )
        if key not in AMENDABLE:
            may = AMENDABLE if slots is None else LIVE
            raise BadInput(
                f"set {key}: a sweep that has begun keeps it, or its trials could not be compared"
                f"{did_you_mean(key, may)}; these may change: {', '.join(may)}"
            )
    after = amended(
        spec, [f"{key}={setting.partition('=')[2]}" for key, setting in zip(keys, settings, strict=True)], "set"
    )
    if slots is not None and "parallel" in keys and (after.parallel or slots) > slots:
        raise BadInput(
            f"set parallel: the driver of {spec.name} has places for {slots}; "
            f"`kerasweep stop {spec.name}`, then `kerasweep resume {spec.name} --set parallel={after.parallel}`"
        )
    return SweepAmended(settings={key: _value(after, key) for key in keys}, spec=after.to_json())


def in_words(before: SweepSpec, event: SweepAmended) -> str:
    """Return `budget.trials is 100, was 50`."""
    pairs = ((key, _said(value), _said(_value(before, key))) for key, value in event.settings.items())
    return "; ".join(f"{key} is {now}, was {was}" for key, now, was in pairs)


def again(state: State, numbers: Sequence[int] = ()) -> list[TrialRetried]:
    """Return the events by which trials run again: those of `numbers`, else all that failed or were lost.

    Raises:
        BadInput: there is no such trial, or it has not ended so that it could be otherwise another time.
    """
    if state.rules.window is not None:
        raise BadInput(
            "a deterministic search keeps its failures: later trials were proposed from them; begin a new sweep"
        )
    if state.rules.population is not None:
        raise BadInput("a population goes on without the trials that failed; others have taken their places")
    for number in numbers:
        if number not in state.retryable:
            raise BadInput(_why_not(state, number))
    by_default = (number for number, one in state.retryable.items() if one.outcome.kind in BY_DEFAULT)
    chosen = sorted(set(numbers or by_default))
    if not chosen:
        interrupted = ", ".join(map(str, sorted(state.retryable)[:SHOWN]))
        named = f"; name those that were interrupted: {interrupted}" if interrupted else ""
        raise BadInput(f"no trial has failed or was lost{named}")
    return [TrialRetried(trial=number, params=state.retryable[number].live.params) for number in chosen]


def _why_not(state: State, number: int) -> str:
    if not 0 <= number < state.asked:
        return f"there is no trial {number}; there are {state.asked}, numbered from 0"
    if number in state.live:
        return f"trial {number} {'runs' if state.live[number].placed else 'waits for a slot'}; nothing is to be repeated yet"
    if number in state.confirming.asked:
        return f"trial {number} confirms trial {state.confirming.asked[number]}; only trials of the search run again"
    return f"trial {number} has a result; only trials that failed, were lost or interrupted run again"


def retried_in_words(events: Iterable[TrialRetried]) -> str:
    """Return `trials 3 and 5 run again`."""
    numbers = [str(one.trial) for one in events]
    if len(numbers) == 1:
        return f"trial {numbers[0]} runs again"
    if len(numbers) > SHOWN:
        return f"{len(numbers)} trials run again"
    return f"trials {', '.join(numbers[:-1])} and {numbers[-1]} run again"


def _value(spec: SweepSpec, key: str) -> Any:
    section, _, name = key.rpartition(".")
    return getattr(getattr(spec, section) if section else spec, name)


def _said(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
