"""The adapter to Ray Tune: turns Tune's callbacks into events, and the core's commands into Tune's answers.

Tune executes and never remembers: its loggers, snapshots, retries and restore are off. What it calls is `Engine`, by
way of a Searcher, a Scheduler and a Stopper that only forward; none of them ever raises, since Tune would end the
sweep for it.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, final

from ..cluster.actor import ASSIGNMENT, GIVE_UP
from ..cluster.checkpointing import place_of_trial
from ..cluster.ray_session import RayDied
from ..spaces.errors import BadInput, Infrastructure, KerasweepError
from ..spaces.parameter import parameter_from_json
from ..spaces.trial import Assignment, Cause, Outcome, OutcomeKind, Report, Scalar
from ..trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Differed,
    Event,
    GraphicsMeasured,
    Noticed,
    ParametersUsed,
    Reported,
    RoundEnded,
    SweepClosing,
    SweepEnded,
    Timed,
    TrialAsked,
    TrialEnded,
)
from .cleaning import Cleaner
from .core import step
from .decisions import Ask, Close, End, Finish, SlotFree, Start, Tick, Wait
from .inbox import answer, take
from .ledger import Ledger
from .outcomes import completed, failed_again
from .proposals import asked, extended, infeasible, legacy_of, until_of
from .requests import heard
from .settings import checkpoints_of

logger = logging.getLogger(__name__)

INBOX_S = 0.2
NOTHING = (-1, 0)
"""Trial and attempt of a slot that has none."""
CLEANING_S, HURRIED_CLEANING_S = 5.0, 1.0
"""The end of a sweep waits so long until what its trials left is removed; less when it was interrupted."""


class Places(Protocol):
    """What knows how many slots there are at the moment."""

    def room(self) -> int:
        """Return how many trials may be live."""
        ...

    def surplus(self, placed: int) -> bool:
        """Say whether a slot without a trial is to be given up, where so many trials are placed."""
        ...


@final
class _Fixed:
    """The slots of one machine: as many as at the start."""

    def __init__(self, slots: int) -> None:
        self._slots = slots

    def room(self) -> int:
        return self._slots

    def surplus(self, placed: int) -> bool:
        del placed
        return False


@final
class Engine:
    """Runs the sweep of one ledger through Tune. `suggest`, `chunk`, `follow`, `ended` and `tick` are what Tune's hooks call."""

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        slots: int,
        *,
        members: Places | None = None,
        interrupted: Callable[[], int] = lambda: 0,
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        """Get ready.

        Args:
            ledger: The sweep.
            folder: The sweep's folder.
            slots: How many trials run at a time, at most.
            members: Knows how many slots there are at the moment; always `slots` if None.
            interrupted: Returns the exit code of a signal that has come in, else 0.
            watch: Called often, to look after other processes.
        """
        self._ledger = ledger
        self._folder = folder
        self._checkpoints = checkpoints_of(ledger.spec, folder)
        self.cleaner = Cleaner(self._checkpoints)
        """Removes what ended trials leave."""
        self._slots = slots
        self._parallel = ledger.spec.parallel
        self._share = ledger.state.packing.share
        self._members = members or _Fixed(slots)
        self._interrupted = interrupted
        self._watch = watch
        self._placed: dict[str, tuple[int, int]] = {}
        self._idle: set[str] = set()
        self._slot_of: dict[tuple[int, int], str] = {}
        self._looked_at = -math.inf
        self.heard = False
        """Whether a trial has reported or ended since this process began."""
        self.error: BaseException | None = None

    # What Tune asks -------------------------------------------------------------------------------------------------

    def suggest(self, tune_id: str) -> Mapping[str, str] | str | None:
        """Return what a free slot does next: a configuration, None to wait, `FINISHED`."""
        return self._next(tune_id) or None

    def _next(self, tune_id: str) -> Mapping[str, str] | str | None:
        """Return what `suggest` does; an empty configuration where there is only nothing now."""
        self.tick()
        if self._ledger.state.finished or self.error is not None:
            return None if self._placed else "FINISHED"
        if self._members.surplus(len(self._placed)):
            return {ASSIGNMENT: GIVE_UP}
        wanted = self._ledger.spec.parallel
        parallel = self._slots if wanted is None or wanted == self._parallel else wanted  # set to less since the start
        if len(self._placed) + len(self._idle) >= min(self._slots, parallel, self._members.room()):
            return None
        while True:
            _, (command, *_) = step(self._ledger.state, SlotFree())
            match command:
                case Ask() | Start() if self.repacking:
                    return None if self._placed else "FINISHED"
                case End() | Close():
                    self._ledger.decide([command])
                case Ask():
                    events = self._ask(command)
                    if not events:
                        return {}
                    if isinstance(events[-1], AttemptStarted):
                        return self._place(tune_id, events)
                    self._ledger.record(*events)
                case Start(number=number):
                    live = self._ledger.state.live[number]
                    divisor = self._ledger.state.batch_divisor(number)
                    start = AttemptStarted(
                        trial=number, attempt=live.next_attempt, round=live.round, batch_divisor=divisor
                    )
                    return self._place(tune_id, [start])
                case Finish():
                    return self._finish(command)
                case Wait(last=last):
                    return None if last else {}
                case _:
                    return None

    @property
    def repacking(self) -> bool:
        """Whether slots are to take another share of a graphics processor: trials end, and Tune begins anew."""
        return self._ledger.state.packing.share != self._share

    def repacked(self, slots: int, members: Places | None) -> None:
        """Go on with slots that take what the journal says, at most so many."""
        self._slots, self._members = slots, members or _Fixed(slots)
        self._share = self._ledger.state.packing.share

    def chunk(self, tune_id: str, messages: Sequence[Mapping[str, Any]]) -> bool:
        """Take in what a slot sent; return True where its trial is over, or is to be."""
        number, attempt = placed = self._placed.get(tune_id, NOTHING)
        if self._ledger.state.finished:  # nothing stands behind the end: the tracker has gone by then
            return True
        if messages and "slot" in messages[-1] and placed is not NOTHING:
            self._slot_of[placed] = str(messages[-1]["slot"])
        for message in messages:
            if message["type"] == "timed":  # of the trial before, which the driver had stopped
                self._time(message["trial"], message["attempt"], message)
                continue
            live = self._ledger.state.live.get(number)
            if live is None or not live.placed or (message["trial"], message["attempt"]) != placed:
                break
            closing = self._ledger.state.closing
            if closing is not None and closing.cancel and closing.exit_code == BadInput.exit_code:
                break  # nobody is to see what it makes of that
            self._take(number, attempt, message)
        self.heard = self.heard or any(message["type"] in ("report", "ended") for message in messages)
        live = self._ledger.state.live.get(number)
        closing = self._ledger.state.closing
        if live is not None and live.placed and closing is not None and closing.cancel:
            self._end_attempt(number, attempt, Cause.INTERRUPTED, closing.why)
        self.tick()
        return not (number in self._ledger.state.live and self._ledger.state.live[number].placed)

    def follow(self, tune_id: str) -> Mapping[str, str] | None:
        """Return what a slot does next whose trial is over, or that has none: a configuration, or an empty one to wait.

        None has Tune end its stay there. What waits is asked about again and again, its trainer warm; Tune would let
        all but one of the slots go that wait at a time.
        """
        self.ended(tune_id, lost=False)
        answer = self._next(tune_id)
        if not isinstance(answer, Mapping) or answer.get(ASSIGNMENT) == GIVE_UP:
            return None
        if not answer:
            self._idle.add(tune_id)
        return answer

    def ended(self, tune_id: str, *, lost: bool) -> None:
        """Take note that Tune is done with a trial; `lost`: because its actor or node died."""
        self._idle.discard(tune_id)
        number, attempt = self._placed.pop(tune_id, NOTHING)
        live = self._ledger.state.live.get(number)
        if live is not None and live.placed and live.attempt == attempt:
            why = "its worker or machine was lost" if lost else "its worker ended without saying how"
            self._end_attempt(number, attempt, Cause.LOST, why)
        self._slot_of.pop((number, attempt), None)

    def tick(self) -> None:
        """Do what time brings: commit reports, spend the budget, hear requests and signals."""
        self._ledger.journal.tick()
        _, commands = step(self._ledger.state, Tick(at=self._ledger.journal.now()))
        self._ledger.decide(commands)
        now = time.monotonic()
        if now - self._looked_at < INBOX_S:
            return
        self._looked_at = now
        self._watch()
        for request in take(self._folder):
            if request.get("type") == "stop":
                self.cancel("stopped on request", 130)
            else:
                answer(self._folder, request, lambda request=request: heard(self._ledger, request, self._slots))
        code = self._interrupted()
        if code:
            self.cancel("interrupted", code)

    def cancel(self, why: str, code: int) -> None:
        """Interrupt what runs, and end the sweep with this exit code; it can be resumed."""
        closing = self._ledger.state.closing
        if closing is None or not closing.cancel:
            self._ledger.record(SweepClosing(why=why, cancel=True, exit_code=code))

    # Parts --------------------------------------------------------------------------------------------------------------

    def _ask(self, command: Ask) -> list[Event]:
        """Return what a proposal comes to; nothing while there is none, but trials run that may make for one."""
        events = asked(self._ledger, command)
        match events:
            case [TrialAsked() as event, TrialEnded(outcome=outcome)]:
                return [event, *self._refused(command.number, 0, outcome.reason)]
            case _:
                return events

    def _place(self, tune_id: str, events: Sequence[Event]) -> Mapping[str, str]:
        self._ledger.record(*events)
        start = events[-1]
        assert isinstance(start, AttemptStarted)  # noqa: S101
        state = self._ledger.state
        live = state.live[start.trial]
        self._placed[tune_id] = (start.trial, start.attempt)
        known = self._ledger.sampler.space.parameters
        assignment = Assignment(
            number=live.number,
            attempt=live.attempt,
            round=live.round,
            seed=live.seed,
            params=live.params,
            specs=tuple(known[key].to_json() for key in live.params if key in known),
            rungs=self._ledger.spec.rungs(live.number) if live.confirms is None else (),
            keep_above=state.keep_above(live),
            batch_divisor=start.batch_divisor,
            resume_from=place_of_trial(self._checkpoints, live.number) if live.attempt > 1 else "",
            reported=live.epoch,
            until=until_of(state, live),
            legacy=legacy_of(state, live, self._checkpoints),
        )
        return {ASSIGNMENT: json.dumps(assignment.to_json())}

    def _finish(self, command: Finish) -> str:
        self._remove_leftovers()
        closing = self._ledger.state.closing
        hurried = closing is not None and closing.cancel
        if not self.cleaner.finish(HURRIED_CLEANING_S if hurried else CLEANING_S) and not hurried:
            name = self._ledger.spec.name
            self._ledger.notice(f"what ended trials left is not all removed yet; `kerasweep gc {name}` removes it")
        self._ledger.record(SweepEnded(why=command.why, exit_code=command.exit_code))
        return "FINISHED"

    def _take(self, number: int, attempt: int, message: Mapping[str, Any]) -> None:
        match message["type"]:
            case "report":
                self._report(number, attempt, message)
            case "used":
                facts = {name: value for name, value in message["facts"].items() if value is not None}
                specs, params = tuple(message["specs"]), message["params"]
                self._ledger.record_soon(
                    ParametersUsed(trial=number, attempt=attempt, params=params, specs=specs, facts=facts)
                )
                self._check_used(number, attempt, params)
                self._check_start(self._ledger.starting.mistake([parameter_from_json(spec) for spec in specs]))
            case "needs":
                self._time(number, attempt, message)
                self._extend(number, attempt, message["specs"])
            case "notice":
                self._ledger.record_soon(Noticed(text=f"trial {number}: {message['text']}"))
            case "ended":
                self._time(number, attempt, message)
                self._end(number, attempt, message)
            case _:
                pass

    def _report(self, number: int, attempt: int, message: Mapping[str, Any]) -> None:
        report = Report(epoch=message["epoch"], metrics=message["metrics"], seconds=message["seconds"])
        if self._ledger.state.accepts(number, report):
            searched = self._ledger.state.live[number].confirms is None
            if searched and not self._ledger.state.epochs_are_left:  # what is on slots ends with the next tick
                return
            awaits = bool(message.get("awaits_result"))
            self._ledger.record_soon(Reported(trial=number, attempt=attempt, report=report, awaits_result=awaits))
            if self._ledger.history.trials[number].facts and not awaits:  # a `fit` of the user's own may read more yet
                self._check_start(self._unread(number))
            return
        if failure := failed_again(self._ledger.state, number, report):
            self._ledger.record(TrialEnded(trial=number, attempt=attempt, outcome=failure))
            return
        record = self._ledger.history.trials[number]
        stands = record.metrics.get(report.epoch)
        if stands is not None and dict(stands) != dict(report.metrics) and record.reproduced:
            self._ledger.record_soon(Differed(trial=number, epoch=report.epoch))

    def _extend(self, number: int, attempt: int, specs: Iterable[Mapping[str, Any]]) -> None:
        live = self._ledger.state.live[number]
        proposal = extended(self._ledger, live, [parameter_from_json(spec) for spec in specs])
        ended = RoundEnded(
            trial=number,
            attempt=attempt,
            round=live.round,
            specs=tuple(specs),
            params=proposal.params,
            attrs=proposal.attrs,
        )
        mistake = self._ledger.starting.mistake([parameter_from_json(spec) for spec in specs])
        if mistake:
            self._ledger.record(ended, _bad(mistake))
        elif proposal.refusal:
            self._ledger.record(ended, *self._refused(number, attempt, proposal.refusal))
        else:
            self._ledger.record(ended)

    def _check_used(self, number: int, attempt: int, params: Mapping[str, Scalar]) -> None:
        """End a trial whose model set values by itself that break a constraint; note what `where` names in vain."""
        refusal = self._ledger.sampler.refusal(params)
        if refusal and number in self._ledger.state.live:
            self._ledger.record(*self._refused(number, attempt, refusal))
        if number == 0:
            for name, hint in self._ledger.sampler.unknown().items():
                text = f"where: trial 0 has no parameter {name!r}{hint}; clauses that mention it hold until one has"
                self._ledger.record_soon(Noticed(text=text))

    def _check_start(self, mistake: str) -> None:
        """End a sweep whose file gives a starting point that the model, now known, cannot have."""
        if mistake and self._ledger.state.closing is None:
            self._ledger.record(_bad(mistake))

    def _unread(self, number: int) -> str:
        """Return what the user's starting point names and the trial, which trains, has not read."""
        record = self._ledger.history.trials[number]
        return self._ledger.starting.unread(number, list(record.params)) if record.start else ""

    def _refused(self, number: int, attempt: int, why: str) -> list[Event]:
        """Return the events by which a trial ends that must not run; one that the user gave is bad input."""
        ended = TrialEnded(trial=number, attempt=attempt, outcome=infeasible(why))
        given = self._ledger.starting.given(number)
        return [ended, _bad(f"{given} cannot be tried: {why}")] if given else [ended]

    def _time(self, number: int, attempt: int, message: Mapping[str, Any]) -> None:
        if "timing" in message:
            times = dict(message["timing"])
            pid = int(times.pop("pid"))
            self._ledger.record_soon(
                Timed(trial=number, attempt=attempt, slot=str(message["slot"]), pid=pid, times=times)
            )
        if "graphics_memory" in message and self._ledger.state.measures:
            self._ledger.record_soon(GraphicsMeasured(trial=number, attempt=attempt, **message["graphics_memory"]))

    def _end(self, number: int, attempt: int, message: Mapping[str, Any]) -> None:
        kind = message["kind"]
        if kind == "completed":
            outcome = completed(self._ledger.state, number, message.get("logged", ()), message.get("value"))
        elif kind == "infeasible":
            outcome = Outcome(kind=OutcomeKind.INFEASIBLE, reason=message["reason"])
        elif kind in ("failed", "fatal"):
            outcome = Outcome(kind=OutcomeKind.FAILED, reason=message["reason"], traceback=message.get("traceback", ""))
        elif kind == "stopped":
            self._end_attempt(number, attempt, Cause.LOST, "it stopped without being asked to")
            return
        else:
            self._end_attempt(number, attempt, Cause(kind), message["reason"], message.get("traceback", ""))
            return
        if kind == "completed":
            self._check_start(self._unread(number))
        events: list[Event] = [TrialEnded(trial=number, attempt=attempt, outcome=outcome)]
        if kind == "fatal":
            events.append(SweepClosing(why=f"trial {number}: {outcome.reason}", cancel=True, exit_code=1))
        self._ledger.record(*events)
        self._remove_leftovers()

    def _end_attempt(self, number: int, attempt: int, cause: Cause, why: str, traceback: str = "") -> None:
        slot = self._slot_of.get((number, attempt), "")
        self._ledger.record(
            AttemptEnded(trial=number, attempt=attempt, cause=cause, why=why, traceback=traceback, slot=slot)
        )

    def _remove_leftovers(self) -> None:
        """Remove what trials that have ended leave, but for the weights of the best."""
        state = self._ledger.state
        self.cleaner.clean(asked=state.asked, live={*state.live, *state.donors}, best=state.kept)

    # Tune -----------------------------------------------------------------------------------------------------------------

    def guarded(self, answer: Callable[[], Any], otherwise: Any) -> Any:
        """Return `answer()`; an exception is kept for the driver, and ends the sweep in good order."""
        try:
            return answer()
        except RayDied:
            raise
        except BaseException as error:
            if self.error is None:
                told = isinstance(error, KerasweepError)  # in one line, by whoever runs the driver
                logger.log(logging.INFO if told else logging.ERROR, "the engine ends: %s", error, exc_info=not told)
                self.error = error
            return otherwise

    def run(self, trainable: type[Any], request: Any, storage: Path) -> None:
        """Run until the sweep ends, or until slots are to be packed anew; `request` is what Tune makes a slot's placement group from.

        Raises:
            Infrastructure: Ray ended, or something in the engine failed; the journal is sound.
        """
        from ray import tune

        from .tune_hooks import hooks

        searcher, scheduler, clock = hooks(self)
        try:
            tune.run(
                trainable,
                name="tune",
                storage_path=str(storage),
                resources_per_trial=request,
                search_alg=searcher,
                scheduler=scheduler,
                stop=clock,
                num_samples=-1,
                max_concurrent_trials=self._slots,
                reuse_actors=True,
                max_failures=0,
                raise_on_failed_trial=False,
                verbose=0,
                trial_dirname_creator=lambda trial: trial.trial_id,
                trial_name_creator=lambda trial: trial.trial_id,
            )
        except Exception as error:
            raise Infrastructure(f"Ray Tune ended: {error}") from (self.error or error)
        if self.error is not None:
            raise self.error


def _bad(mistake: str) -> SweepClosing:
    return SweepClosing(why=mistake, cancel=True, exit_code=BadInput.exit_code)
