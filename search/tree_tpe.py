"""TPE over a tree of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .parzen import Array, Axis, Parzen, log_sum
from .tpe_history import History, Rows

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial


class Knobs:
    startup = 10
    branch_startup = 1
    cap = 250
    share = 0.1
    least = 1
    candidates = 24
    temper = 1.0
    union = True
    ei = False
    tries = 1


class Model:
    def __init__(self, seed: int | None, knobs=None, history=None):
        self.random = np.random.default_rng(seed)
        self.k = knobs or Knobs()
        self.history = history or History()

    def propose(self, name, distribution, decided, current):
        """Internal values for name and companions."""
        h, k = self.history, self.k
        block = [one for one in h.companions(name) if one not in decided and one != name
                 and not h.distributions[one].single()]
        block = [name, *block]
        dist = {one: h.distributions[one] for one in block if one != name} | {name: distribution}
        before = [one for one in decided if one in h.distributions and not h.distributions[one].single()]
        names = [*before, *block]
        axes = [Axis.of(dist[one] if one in dist else h.distributions[one]) for one in names]
        order = h.best_first()
        has = np.isfinite(h.column(name, order))
        rows = order[has]
        if len(order) < k.startup or len(rows) < k.branch_startup:
            return self.startup(block, axes[len(before):])
        quota = min(math.ceil(0.1 * len(order)), 25)
        inbest = int(has[:quota].sum()) if k.union else 0
        n_good = max(inbest, min(max(math.ceil(k.share * len(rows)), k.least), 25))
        n_good = min(n_good, len(rows))
        good, bad = h.by_number(rows[:n_good]), h.by_number(rows[n_good:])
        bad, w = thinned(bad, k.cap)
        x = np.array([decided[one] for one in before]) if before else np.zeros(0)
        anc = np.array([[float(a.unit(np.array([v]))[0]) for a, v in zip(axes, x)]])
        def points(rows, running=()):
            p = np.column_stack([a.unit(h.column(n, rows)) for a, n in zip(axes, names)]) if len(rows) else np.zeros((0, len(names)))
            if running:
                q = np.array([[t.distributions[n].to_internal_repr(t.params[n]) if n in t.params else np.nan for n in names] for t in running], dtype=float)
                q = np.column_stack([a.unit(q[:, i]) for i, a in enumerate(axes)])
                p = np.vstack([p, q])
            return p
        running = [t for t in h.running if t.number != current and name in t.params]
        gw = np.ones(len(good))
        low = Parzen(axes, points(good), gw)
        high = Parzen(axes, points(bad, running), np.append(w, np.ones(len(running))))
        nb = len(before)
        cond = []
        for est in (low, high):
            lw = est.log_weights
            if nb:
                lk = est.log_kernels(anc, range(nb))[0]
                lw = lw + k.temper * lk
                lw = lw - log_sum(lw[None])[0]
            cond.append(lw)
        cols = range(nb, len(names))
        cum = np.cumsum(np.exp(cond[0]))
        kern = np.minimum(np.searchsorted(cum / cum[-1], self.random.random(k.candidates)), len(cum) - 1)
        s = low.sample(kern, cols, self.random)
        score = log_sum(low.log_kernels(s, cols) + cond[0]) - log_sum(high.log_kernels(s, cols) + cond[1])
        best = s[int(np.argmax(score))]
        return {n: float(a.value(best[i:i + 1])[0]) for i, (n, a) in enumerate(zip(block, axes[nb:]))}

    def startup(self, block, axes):
        return {n: self.uniform(a) for n, a in zip(block, axes)}

    def uniform(self, axis):
        u = self.random.random(1)
        if axis.categorical:
            u = np.floor(u * axis.values)
        return float(axis.value(u)[0])


def thinned(rows, cap):
    n = len(rows)
    w = np.ones(n) if n < 25 else np.concatenate([np.linspace(1.0 / n, 1.0, n - 25), np.ones(25)])
    if n <= cap:
        return rows, w
    cum = np.cumsum(w)
    at = (np.arange(cap) + 0.5) / cap * cum[-1]
    return rows[np.searchsorted(cum, at)], np.ones(cap)


def tree_tpe(seed=None, knobs=None, history=None):
    import optuna

    class TreeTpe(optuna.samplers.BaseSampler):
        def __init__(self):
            self.model = Model(seed, knobs, history)
            self.drawn = {}
            self.number = -1
        def infer_relative_search_space(self, study, trial): return {}
        def sample_relative(self, study, trial, search_space): return {}
        def sample_independent(self, study, trial, param_name, param_distribution):
            if trial.number != self.number:
                self.number, self.drawn = trial.number, {}
                self.model.history.read(study)
            if param_name not in self.drawn:
                decided = {n: trial.distributions[n].to_internal_repr(v) for n, v in trial.params.items()}
                self.drawn.update(self.model.propose(param_name, param_distribution, decided, trial.number))
            return param_distribution.to_external_repr(self.drawn[param_name])
    return TreeTpe()
