"""What a trial begins with: a proposal of the sampler's, the parameters that it confirms, or those that it inherits."""

from __future__ import annotations

from collections.abc import Sequence

from ..cluster.checkpoint import identity_of_trial
from ..cluster.checkpointing import place_of_trial
from ..spaces.parameter import Parameter, identity
from ..spaces.trial import Legacy, Outcome, OutcomeKind, Scalar
from ..trackers.events import AttemptStarted, Event, SweepClosing, TrialAsked, TrialEnded
from .decisions import Ask
from .ledger import Ledger
from .population import heir_params
from .sampler import Proposal, derived_seed
from .state import Live, State


def asked(ledger: Ledger, command: Ask) -> list[Event]:
    """Return the events of a new trial: what it begins with, and its start, or its end where it must not run.

    None while the sampler has nothing to propose, but trials run that may make for something; then the search's end.
    """
    number, seed = command.number, derived_seed(ledger.spec.search.seed, command.number, "trial")
    if command.confirms is not None:  # all candidates are compared on the same fresh seeds
        confirming = ledger.state.confirming
        seed = derived_seed(ledger.spec.search.seed, confirming.times(command.confirms), "confirm")
        proposal = Proposal(params=confirming.params(command.confirms), attrs={})
    elif command.heir is not None:
        proposal = Proposal(params=_inherited(ledger, command), attrs={})
    else:
        proposal = ledger.sampler.propose(number)
        if proposal.end:
            over = SweepClosing(why=proposal.end, exit_code=proposal.exit_code)
            return [] if ledger.state.live else [over]
    event = TrialAsked(
        trial=number,
        seed=seed,
        params=proposal.params,
        history_seq=ledger.journal.seq,
        attrs=proposal.attrs,
        confirms=command.confirms,
        donor=command.heir,
    )
    if proposal.refusal:
        return [event, TrialEnded(trial=number, attempt=0, outcome=infeasible(proposal.refusal))]
    return [event, AttemptStarted(trial=number, attempt=1)]


def _inherited(ledger: Ledger, command: Ask) -> dict[str, Scalar]:
    plan, donor = ledger.state.rules.population, command.heir
    assert plan is not None  # noqa: S101
    assert donor is not None  # noqa: S101
    turn = ledger.state.population.turn_at(donor)
    if not donor.explores:
        return dict(turn.params)
    return dict(heir_params(turn, ledger.sampler.space, plan, command.number, ledger.spec.constraints.refusal))


def extended(ledger: Ledger, live: Live, parameters: Sequence[Parameter]) -> Proposal:
    """Return parameters for a trial whose model asked for more; one that no sampler has proposed gets their defaults."""
    if live.confirms is None and live.donor is None:
        return ledger.sampler.extend(live.number, live.round + 1, live.params, parameters)
    ledger.sampler.learn(list(parameters))
    return Proposal(params={**{identity(one): one.initial for one in parameters}, **live.params}, attrs={})


def legacy_of(state: State, live: Live, checkpoints: str) -> Legacy | None:
    """Return the checkpoint that a live trial begins with, if it goes on from a donor; `checkpoints`: the sweep's place."""
    if live.donor is None:
        return None
    turn = state.population.turn_at(live.donor)
    return Legacy(
        trial=turn.trial,
        epoch=turn.epoch,
        place=place_of_trial(checkpoints, turn.trial),
        identity=identity_of_trial(turn.trial, turn.seed, turn.params),
    )


def until_of(state: State, live: Live) -> int:
    """Return the epoch at which a live trial's turn ends; 0 outside of a population."""
    plan = state.rules.population
    if plan is None or live.confirms is not None:
        return 0
    return plan.until(0 if live.donor is None else live.donor.epoch)


def infeasible(why: str) -> Outcome:
    """Return the outcome of a trial that must not run."""
    return Outcome(kind=OutcomeKind.INFEASIBLE, reason=why)
