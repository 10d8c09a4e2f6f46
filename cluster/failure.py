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
    out_of_memory: bool = False


_MEMORY_ERRORS = ("MemoryError", "ResourceExhaustedError", "OutOfMemoryError", "XlaRuntimeError: RESOURCE_EXHAUSTED")


def describe(error: BaseException, root: str) -> Failure:
    """Return what is worth saying about `error`, which came out of code under the folder `root`."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename, root)]
    kind = type(error).__name__
    text = one_line(f"{kind}: {error}" if str(error) else kind)
    place = f" ({os.path.relpath(own[-1].filename, root)}:{own[-1].lineno} in {own[-1].name})" if own else ""
    if isinstance(error, SyntaxError) and error.filename:
        place = f" ({os.path.relpath(error.filename, root)}:{error.lineno})"
    whole = "".join(traceback.format_exception(error))
    short = "Your code:\n" + "".join(traceback.format_list(own)) + f"{text}\n\n" if own else ""
    out_of_memory = any(name in f"{kind}: {error}" for name in _MEMORY_ERRORS)
    return Failure(reason=text + place, traceback=f"{short}All of it:\n{whole}", out_of_memory=out_of_memory)


def _is_own(filename: str, root: str) -> bool:
    inside = filename.startswith(root + os.sep) or filename.startswith("<ipython") or "/ipykernel_" in filename
    return inside and "site-packages" not in filename and not filename.startswith(os.path.join(root, ".venv"))
