"""Tests of `kerasweep.search.tried`: which configurations count as tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kerasweep.search.objective import Direction, Objective
from kerasweep.search.sampler import OptunaSampler
from kerasweep.search.tried import Tried
from kerasweep.spaces.known import Known
from kerasweep.spaces.parameter import Boolean, Choice, Fixed, Number, Parameter, identity
from kerasweep.spaces.trial import OutcomeKind, Scalar
from kerasweep.trackers.events import Entry, ParametersUsed, Reported, RoundEnded, TrialAsked

from .specs import ended, reported

B = Boolean(name="b")
D = Choice(name="d", values=(1, 1.0, True))
X = Number(name="x", min=0.0, max=1.0, integer=False)


def by_identity(values: Mapping[Parameter, Scalar]) -> dict[str, Scalar]:
    """Return the values as proposals have them."""
    return {identity(one): value for one, value in values.items()}


def tried(*asked: Mapping[Parameter, Scalar], parameters: Sequence[Parameter] = (B, D, X)) -> Tried:
    """Return what is known once these have been asked for."""
    found = Tried()
    found.learn({identity(one): one for one in parameters})
    for number, values in enumerate(asked):
        event = TrialAsked(trial=number, seed=0, params=by_identity(values), history_seq=0)
        found.apply(Entry(seq=number + 1, at=0.0, event=event))
    return found


def test_values_of_other_types_are_other_values() -> None:
    """A choice may hold 1, 1.0 and true."""
    found = tried({D: 1}, {D: True})
    assert found.holder(by_identity({D: 1})) == 0
    assert found.holder(by_identity({D: True})) == 1
    assert found.holder(by_identity({D: 1.0})) is None


def test_a_continuous_value_is_repeated_where_it_is_the_same() -> None:
    """As at a bound, where samplers clip, and where one goes back to the best."""
    assert tried({X: 1.0, B: True}).holder(by_identity({X: 1.0, B: True})) == 0
    assert tried({X: 1.0, B: True}).holder(by_identity({X: 1.0 - 1e-16, B: True})) is None


def test_what_can_take_one_value_only_is_not_searched() -> None:
    """A sweep of such parameters alone has nothing to repeat."""
    only = (Fixed(name="f", value=3), Choice(name="c", values=("relu",)))
    found = tried({only[0]: 3, only[1]: "relu"}, parameters=only)
    assert found.holder(by_identity({only[0]: 3, only[1]: "relu"})) is None


def test_a_trial_is_no_repetition_of_itself() -> None:
    """As in a round, where its values are proposed again with more."""
    found = tried({B: True}, {B: False})
    assert found.holder(by_identity({B: True, D: 1}), besides=0) is None
    assert found.holder(by_identity({B: True, D: 1}), besides=1) == 0


def test_a_failure_stands_for_itself_alone() -> None:
    """What it had read when it failed may be the beginning of others; what is infeasible is so whatever would follow."""
    for kind, held in ((OutcomeKind.FAILED, False), (OutcomeKind.LOST, False), (OutcomeKind.INFEASIBLE, True)):
        found = tried({B: True, D: 1})
        read = ParametersUsed(trial=0, attempt=1, params={"b": True}, specs=(B.to_json(),))
        found.apply(Entry(seq=2, at=0.0, event=read))
        found.apply(Entry(seq=3, at=0.0, event=ended(0, kind)))
        assert found.holder(by_identity({B: True, D: 1})) == 0
        assert (found.holder(by_identity({B: True, D: 1.0})) is not None) == held


def test_a_trial_that_has_read_little_so_far_leaves_the_rest_to_others() -> None:
    """Where it failed, for good; while it runs, to those that have to have these values."""
    found = tried({B: True})
    assert found.holder(by_identity({B: True, D: 1})) == 0
    assert found.holder(by_identity({B: True, D: 1}), surely=True) is None
    assert found.holder(by_identity({B: True}), surely=True) == 0
    found.apply(Entry(seq=2, at=0.0, event=ended(0, OutcomeKind.FAILED)))
    assert found.holder(by_identity({B: True, D: 1})) is None
    assert found.holder(by_identity({B: True})) == 0


def test_once_a_trial_has_reported_it_counts_with_what_its_model_has_read() -> None:
    """Before, its `fit` may read more."""
    found = tried({B: True, D: 1})
    found.apply(
        Entry(seq=2, at=0.0, event=ParametersUsed(trial=0, attempt=1, params={"b": True}, specs=(B.to_json(),)))
    )
    other = by_identity({B: True, D: 1.0})
    assert found.holder(other) is None
    (event,) = reported(0, 0.5)
    assert isinstance(event, Reported)
    found.apply(Entry(seq=3, at=0.0, event=event))
    assert found.holder(other) == 0


def test_a_grid_comes_back_to_a_branch_once_the_trial_that_held_it_has_shown_more() -> None:
    """Trial 0 is slow to build, and holds all that begins with its value until it does."""
    first, late = Choice(name="first", values=("p", "q")), Choice(name="late", values=("x", "y"))
    objective = Objective(metric="acc", direction=Direction.MAX)
    sampler = OptunaSampler(sampler="grid", seed=0, objective=objective, space=Known().learn([first]))
    specs = (first.to_json(), late.to_json())

    def asked(number: int) -> Mapping[str, Scalar]:
        proposal = sampler.propose(number)
        if not proposal.end:
            event = TrialAsked(trial=number, seed=0, params=proposal.params, history_seq=0)
            sampler.apply(Entry(seq=1, at=0.0, event=event))
        return proposal.params

    def shown(number: int, params: Mapping[str, Scalar]) -> list[Scalar]:
        whole = sampler.extend(number, 1, params, [late]).params
        event = RoundEnded(trial=number, attempt=1, round=0, specs=specs, params=whole, attrs={})
        sampler.apply(Entry(seq=1, at=0.0, event=event))
        return list(whole.values())

    slow, quick = asked(0), asked(1)
    found = [shown(1, quick), list(asked(2).values()), shown(0, slow), list(asked(3).values())]
    assert sorted(map(str, found)) == sorted(str([one, other]) for one in ("p", "q") for other in ("x", "y"))
    assert asked(4) == {}
