"""A budget as it is written, checked against what it is for: limits that could never be reached are refused."""

from __future__ import annotations

from ..spaces.bad_form import BadForm
from .budget import Budget, unreachable
from .objective import Objective
from .sweepform import BudgetForm

PATH = ("budget",)


def budget_of(form: BudgetForm, objective: Objective, gpus: float, *, endless: bool = True) -> Budget:
    """Return the budget of a form.

    Args:
        form: The limits.
        objective: What the goal is a value of.
        gpus: How many graphics processors a trial has.
        endless: Whether the sampler would propose for ever.

    Raises:
        BadForm: there is no limit, or one that cannot be reached.
    """
    budget = Budget(**form.model_dump())
    check_budget(budget, objective, gpus, endless=endless)
    return budget


def check_budget(budget: Budget, objective: Objective, gpus: float, *, endless: bool = True) -> None:
    """Refuse a budget without any limit, or with one that cannot be reached.

    Raises:
        BadForm: it is such a one.
    """
    if endless and budget.endless:
        have = "trials, hours, slot_hours, gpu_hours, epochs, no_improvement, goal"
        raise BadForm(f"the sweep has no end; expected `budget: {{trials: 50}}`, or another limit: {have}", PATH)
    if budget.gpu_hours is not None and not gpus:
        mend = "set `resources.gpu`, or take `slot_hours`"
        raise BadForm(f"'budget.gpu_hours' is never used up by trials without a gpu; {mend}", (*PATH, "gpu_hours"))
    if budget.goal is None:
        return
    why = unreachable(budget.goal, objective)
    if why:
        percent = f", as {budget.goal / 100:g} for {budget.goal:g} %" if 1 < budget.goal <= 100 else ""
        mend = f"expected one that `{objective}` can reach{percent}"
        raise BadForm(f"'budget.goal' is {budget.goal:g}, but {why}; {mend}", (*PATH, "goal"))
