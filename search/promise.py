"""What a trial that loses its process goes on with, in words for `plan`: how much of it is trained again, how exactly."""

from __future__ import annotations

from collections.abc import Sequence

from .spec import SweepSpec

_ANEW = "a trial that loses its process begins anew"


def resume_promise(spec: SweepSpec, kind: str, *, own_fit: bool, unsaved: Sequence[str] = ()) -> str:
    """Return the promise.

    Args:
        spec: The sweep.
        kind: How its training data come, as `cluster.facts.Kind` has it; empty where nobody has looked.
        own_fit: Whether a `fit` of the user's own trains.
        unsaved: What callbacks hold, and no checkpoint would.
    """
    if not spec.checkpoint.enabled:
        return f"{_ANEW}, since checkpoint is false"
    if spec.train:
        return f"{_ANEW}: what a training loop holds is known to the loop alone"
    if spec.several_fits:
        part = "fold" if spec.fit.get("folds") else "repeat"
        return f"a trial that loses its process goes on after the last {part} that was done and saved"
    saved = f"from the last epoch saved, {spec.checkpoint.every_s:g} s apart or more"
    goes_on = f"a trial that loses its process goes on {saved}"
    if unsaved:
        lost = ", ".join(unsaved)
        return f"{goes_on}, but without {lost}: of callbacks, what JSON or NumPy can hold is saved"
    if kind == "arrays" and not own_fit and spec.keras.backend == "tensorflow":
        exactly = "bit by bit" if spec.keras.deterministic else "bit by bit with keras: {deterministic: true}, on CPU"
        return f"{goes_on}, as if nothing had happened: {exactly}"
    whose = "the arrays in your own fit" if own_fit else "these batches" if kind == "arrays" else "your dataset"
    unless = f"unless the order of {whose} follows from the epoch alone"
    anew = "; for a deterministic search say checkpoint: false: it then begins anew" if spec.search.window else ""
    return f"{goes_on}; without the promise of the same curve, {unless}{anew}"
