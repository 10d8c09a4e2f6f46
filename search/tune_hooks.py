"""What Ray Tune calls: a Searcher, a Scheduler and a Stopper that forward to the engine and never raise."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..cluster.actor import MESSAGES

if TYPE_CHECKING:
    from .engine import Engine


def hooks(engine: Engine) -> tuple[Any, Any, Any]:
    """Return the three; their classes derive from Tune's, so they are made where Tune may be imported."""
    from ray import tune
    from ray.tune.schedulers import FIFOScheduler
    from ray.tune.search import Searcher
    from ray.tune.stopper import NoopStopper

    class SweepSearcher(Searcher):
        """Asks the engine what a free slot does next; retries come back through here too."""

        def __init__(self) -> None:
            super().__init__(metric=None, mode=None)

        def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
            return False

        def set_max_concurrency(self, max_concurrent: int) -> bool:
            """Own the limit: `suggest` holds trials to the slots."""
            return True

        def suggest(self, trial_id: str) -> Any:
            return engine.guarded(lambda: engine.suggest(trial_id), None)

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
            engine.guarded(lambda: engine.ended(trial_id, lost=error), None)

        def save(self, checkpoint_path: str) -> None:
            """Save nothing: the journal has it all."""

        def restore(self, checkpoint_path: str) -> None:
            """Restore nothing."""

    class SweepScheduler(FIFOScheduler):
        """Hands results to the engine, which says whether a trial goes on."""

        def set_search_properties(self, metric: Any, mode: Any, **spec: Any) -> bool:
            return True

        def choose_trial_to_run(self, tune_controller: Any) -> None:
            """Leave the choice to Tune's list of pending trials: FIFO, without a scan of all trials."""
            return

        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
            """Give the slot its next trial at once where there is one, so that Tune's own goes on."""
            if not engine.guarded(lambda: engine.chunk(trial.trial_id, json.loads(result[MESSAGES])), True):
                return self.CONTINUE
            return self.CONTINUE if engine.guarded(lambda: _follow(trial), False) else self.STOP

    class SweepClock(tune.Stopper):
        """Gives the engine a turn in each round of Tune's loop; stops nothing.

        A callback would do as well, but for any callback Ray's usage statistics import MLflow into this process.
        """

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            engine.guarded(engine.tick, None)
            return False

        def __reduce__(self) -> Any:
            """Stand as nothing in the snapshots that Tune insists on."""
            return NoopStopper, ()

    def _follow(trial: Any) -> bool:
        following = engine.follow(trial.trial_id)
        if following is not None:
            trial.temporary_state.ray_actor.assign.remote(following)
        return following is not None

    return SweepSearcher(), SweepScheduler(), SweepClock()
