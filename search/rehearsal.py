"""A few made-up trials for a sampler or a pruner: a class may take arguments that it cannot work with.

It would say so after some trials, in mid-sweep. Nothing is trained, and nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

from ..spaces.errors import BadInput, one_line
from ..spaces.known import Declared, Known
from ..spaces.parameter import Number
from ..spaces.trial import Json, Outcome, OutcomeKind
from ..trackers.events import Entry, ParametersUsed, TrialAsked, TrialEnded
from .objective import Direction, Objective
from .pruner_rule import PrunerRule
from .sampler import OptunaSampler
from .stop import Ending, Rungs, Standing

TRIALS = 12
STARTUP = "n_startup_trials"
"""What samplers call the trials that they draw at random: of those no more than half are, here."""
NUMBERS = tuple(Declared(parameter=Number(name=f"number {one}", min=0.0, max=1.0, integer=False)) for one in "ab")


def rehearse_sampler(
    name: str, arguments: Mapping[str, Json], declared: Sequence[Declared], *, objectives: int = 1
) -> None:
    """Have a sampler propose; Optuna's own, unless it is told of parameters, for two numbers besides what is declared.

    Raises:
        BadInput: it cannot.
    """
    by_name = "x0" in arguments or not name.startswith("optuna.")
    if by_name and not declared:
        return
    most = arguments.get(STARTUP)
    given = {**arguments, STARTUP: min(most, TRIALS // 2)} if isinstance(most, int) else arguments
    goals = [Objective(metric=f"m{one}", direction=Direction.MAX) for one in range(objectives)]

    def propose() -> None:
        space = Known.of([*declared, *(() if by_name else NUMBERS)])
        sampler = OptunaSampler(
            sampler=name, arguments=given, seed=0, objective=goals[0], further=goals[1:], space=space
        )
        for number in range(TRIALS):
            proposal = sampler.propose(number)
            if proposal.end:
                return
            specs = tuple(space.parameters[key].to_json() for key in proposal.params)
            used = {name: value for name, (value, *_) in space.named(proposal.params).items()}
            values = () if objectives == 1 else (float(number),) * objectives
            outcome = Outcome(kind=OutcomeKind.COMPLETED, value=float(number), epoch=1, values=values)
            for event in (
                TrialAsked(trial=number, seed=0, params=proposal.params, history_seq=0, attrs=proposal.attrs),
                ParametersUsed(trial=number, attempt=1, params=used, specs=specs),
                TrialEnded(trial=number, attempt=1, outcome=outcome),
            ):
                sampler.apply(Entry(seq=0, at=0.0, event=event))

    _perform(name, propose)


def rehearse_pruner(name: str, arguments: Mapping[str, Json], max_epochs: int) -> None:
    """Have a pruner judge, trial by trial, each worse than the one before.

    Raises:
        BadInput: it cannot.
    """

    def judge() -> None:
        objective = Objective(metric="m", direction=Direction.MAX)
        rule, rungs = PrunerRule(name=name, arguments=arguments, objective=objective), Rungs()
        for number in range(TRIALS):
            curve = list(accumulate(range(1, min(max_epochs, TRIALS)), initial=-float(number)))
            for epoch, score in enumerate(curve[1:], 1):
                standing = Standing(
                    number=number,
                    max_epochs=max_epochs,
                    since=epoch - 1,
                    epoch=epoch,
                    score=score,
                    best=score,
                    best_epoch=epoch,
                    mean=score,
                )
                rungs, _ = rule.decide(rungs, standing)
            last = Ending(number=number, kind=OutcomeKind.COMPLETED, score=curve[-1], epoch=len(curve), last=curve[-1])
            rungs = rule.ended(rungs, last)

    _perform(name, judge)


def _perform(name: str, rehearsal: Callable[[], None]) -> None:
    try:
        rehearsal()
    except Exception as error:  # whatever a class says to arguments
        kind, said = name.rpartition(":")[2], one_line(str(error), 300) or type(error).__name__
        raise BadInput(f"{kind} cannot work with its arguments: {said}") from error
