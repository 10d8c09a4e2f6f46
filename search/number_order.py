"""What a sampler is told in a window of trials: all of trials 0 … n - w, by number, before it proposes trial n.

A sampler that is told things one after the other depends on their order: of ties, of names, of what was learned first.
So everything about a trial but that it was asked for is held back until its turn, and then told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import final

from ..spaces.known import Known
from ..spaces.parameter import Parameter, parameter_from_json
from ..spaces.trial import Scalar
from ..trackers.events import Entry, ParametersUsed, RoundEnded, StartingPoints, TrialAsked, TrialEnded
from .sampler import OptunaSampler, Proposal


@final
class NumberOrder:
    """A sampler that goes by the trials' numbers; the same trials give the same proposals, in whatever order they end."""

    def __init__(self, make: Callable[[], OptunaSampler], window: int) -> None:
        """Get ready.

        Args:
            make: Returns a new sampler that has been told nothing.
            window: Trial n is proposed from trials 0 … n - window.
        """
        self._make = make
        self._window = window
        self._sampler = make()
        self.space: Known = self._sampler.space
        """All that any model was found to read by now, which tells what a trial's parameters are, and proposes nothing."""
        self._told: list[Entry] = []
        self._told_before: dict[int, int] = {}
        self._held: dict[int, list[Entry]] = {}
        self._horizon = -1

    def know(self, specs: Sequence[Parameter]) -> None:
        """Know of parameters from the beginning, as if they were declared; before anything is told."""
        made = self._make

        def make() -> OptunaSampler:
            sampler = made()
            sampler.learn(list(specs))
            return sampler

        self._make, self._sampler = make, make()
        self.space = self._sampler.space

    def propose(self, number: int) -> Proposal:
        """Return parameters for a new trial; all that it depends on has ended.

        Where nothing seems to be left, those that ended since may have shown otherwise: once all have, that is proposed
        which is left after them.
        """
        self._tell_until(number - self._window)
        proposal = self._sampler.propose(number)
        asked = (one for one in range(self._horizon + 1, number) if one in self._told_before)  # others confirm some
        held = [self._held.get(one, []) for one in asked]
        if not proposal.end or not all(any(isinstance(one.event, TrialEnded) for one in own) for own in held):
            return proposal
        sampler = self._make()
        for entry in (*self._told, *(entry for own in held for entry in own)):
            sampler.apply(entry)
        return sampler.propose(number)

    def extend(
        self, number: int, round: int, pinned: Mapping[str, Scalar], specs: Sequence[Parameter] = ()
    ) -> Proposal:
        """Return parameters for a trial whose model asked for more: from what it was proposed from.

        That takes a sampler of its own, which costs as much as resuming a sweep at that trial; but models that ask for
        more are those of a search's beginning. Rounds are counted over all attempts: a lost one must not change a draw.
        """
        del round
        sampler, own = self._make(), self._held.get(number, [])
        for entry in (*self._told[: self._told_before[number]], *own):
            sampler.apply(entry)
        rounds = sum(isinstance(entry.event, RoundEnded) for entry in own)
        return sampler.extend(number, rounds + 1, pinned, specs)

    def learn(self, specs: list[Parameter]) -> None:
        """Know of parameters that a model was found to read; none is proposed before its trial's turn."""
        self.space = self.space.learn(specs)

    def apply(self, entry: Entry) -> None:
        """Take in one journaled event, live or in a replay."""
        match entry.event:
            case TrialAsked(trial=number):
                self._tell_until(number - self._window)
                self._tell(entry)
                self._told_before[number] = len(self._told)
            case RoundEnded(specs=specs) | ParametersUsed(specs=specs):
                self.learn([parameter_from_json(spec) for spec in specs])
                self._hold(entry)
            case StartingPoints():  # what is given before the first trial is no outcome
                self._tell(entry)
            case _:
                self._hold(entry)

    def refusal(self, values: Mapping[str, Scalar]) -> str:
        """Return why a trial that uses these values, by name, must not run; empty if it may."""
        return self._sampler.refusal(values)

    def unknown(self) -> dict[str, str]:
        """Return the names in `where` that no parameter known so far has, each with a hint at what may be meant."""
        sampler = self._make()
        sampler.learn(list(self.space.parameters.values()))
        return sampler.unknown()

    def _hold(self, entry: Entry) -> None:
        if entry.trial is not None:
            self._held.setdefault(entry.trial, []).append(entry)

    def _tell_until(self, number: int) -> None:
        while self._horizon < number:
            self._horizon += 1
            for entry in self._held.pop(self._horizon, ()):
                self._tell(entry)
            self._told_before.pop(self._horizon, None)

    def _tell(self, entry: Entry) -> None:
        self._sampler.apply(entry)
        self._told.append(entry)
