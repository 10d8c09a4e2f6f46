"""The best trials so far, and what one more that ended changes about them."""

from __future__ import annotations

import math
from dataclasses import replace

from ..spaces.pareto import covers, standing_order
from ..spaces.trial import Outcome
from .budget import Account
from .state import Ranked, Rules


def ranked(best: tuple[Ranked, ...], rules: Rules, number: int, outcome: Outcome) -> tuple[Ranked, ...]:
    """Return the best trials with one more; a trial that falls out is gone, as its weights are."""
    if outcome.value is None or outcome.epoch is None or not math.isfinite(outcome.value):
        return best
    point = rules.goals.point(outcome)
    among = [*best, Ranked(value=outcome.value, number=number, epoch=outcome.epoch, point=point)]
    if not rules.goals.plain:
        order = standing_order([(one.point, one.epoch) for one in among], folds=rules.folds)
        return tuple(among[place] for place in order[: rules.keep])
    return tuple(sorted(among, key=lambda one: rules.rank(one.value, one.epoch, one.number))[: rules.keep])


def without_better(account: Account, best: tuple[Ranked, ...], rules: Rules, number: int, outcome: Outcome) -> Account:
    """Return the account with one more trial that ended: whether it was better than all before it."""
    if not outcome.counts:
        return account
    if outcome.value is None or outcome.epoch is None or not math.isfinite(outcome.value):
        return replace(account, row=(*account.row, number))
    if rules.goals.plain:
        mine = rules.rank(outcome.value, outcome.epoch, 0)
        better = not best or mine < rules.rank(best[0].value, best[0].epoch, 0)
        return replace(account, row=() if better else (*account.row, number))
    point = rules.goals.point(outcome)
    if any(covers(one, point) for one in account.front):
        return replace(account, row=(*account.row, number))
    return replace(account, row=(), front=(*(one for one in account.front if not covers(point, one)), point))
