"""An exception of the user's code, as the user wants to read it: the own frames first, the library's after."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass
from typing import final

from ..spaces.errors import one_line


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One line to show, and the whole text for those who look."""

    reason: str
    traceback: str
    kind: str = "error"
    """`error`; `oom`: out of memory; `failed`: not to be tried again; `fatal`: nor is any other trial."""


MAX_CHARACTERS = 50_000
_MEMORY_ERRORS = ("MemoryError", "ResourceExhaustedError", "OutOfMemoryError", "XlaRuntimeError: RESOURCE_EXHAUSTED")


def describe(error: BaseException, root: str) -> Failure:
    """Return what is worth saying about `error`, which came out of code under the folder `root`."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename, root)]
    kind, message = type(error).__name__, _message(error)
    text = one_line(f"{kind}: {message}" if message else kind)
    place = f" ({os.path.relpath(own[-1].filename, root)}:{own[-1].lineno} in {own[-1].name})" if own else ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f" ({os.path.relpath(error.filename, root)}:{error.lineno})"
    whole = "".join(traceback.format_exception(error))
    short = "Your code:\n" + "".join(traceback.format_list(own)) + f"{text}\n\n" if own else ""
    return Failure(reason=text + place, traceback=_cut(f"{short}All of it:\n{whole}"), kind=_kind(error, message))


def _kind(error: BaseException, message: str) -> str:
    names = {one.__name__ for one in type(error).__mro__ if one.__module__.startswith("keras_tuner.")}
    if names:
        return "fatal" if "FatalError" in names else "failed" if "FailedTrialError" in names else "error"
    out_of_memory = any(name in f"{type(error).__name__}: {message}" for name in _MEMORY_ERRORS)
    return "oom" if out_of_memory else "error"


def _cut(text: str) -> str:
    """Return both ends of a text that is too long for a message and the journal."""
    half = MAX_CHARACTERS // 2
    return text if len(text) <= MAX_CHARACTERS else f"{text[:half]}\n…\n{text[-half:]}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an exception of the user's own may have a `__str__` that fails
        return ""


def _is_own(filename: str, root: str) -> bool:
    inside = filename.startswith(root + os.sep) or filename.startswith("<ipython") or "/ipykernel_" in filename
    return inside and "site-packages" not in filename and not filename.startswith(os.path.join(root, ".venv"))
