"""A place for copies: a folder of this machine, also one of a network, or a URL that fsspec understands."""

from __future__ import annotations

import re
from pathlib import Path

from ..spaces.errors import BadInput, did_you_mean, one_line
from .tracking_uri import holds_secret

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


def absolute_place(place: str) -> str:
    """Return the place as any process understands it, whatever its folder; empty where it is.

    Raises:
        BadInput: fsspec has no such file system or lacks a package for it, or the URL holds a secret.
    """
    if not place:
        return ""
    match = _URL.match(place)
    if match is None:
        return str(Path(place).expanduser().absolute())
    if match[1] in ("file", "local"):
        return str(Path(place[match.end() :]).absolute())
    if holds_secret(place):
        raise BadInput(
            "the storage's URL holds a user or a secret; expected none: give them as fsspec's file system does"
        )
    _check_protocol(match[1])
    return place.rstrip("/")


def join(place: str, name: str) -> str:
    """Return the place of that name inside another."""
    return f"{place.rstrip('/')}/{name}"


def _check_protocol(protocol: str) -> None:
    import fsspec

    try:
        fsspec.get_filesystem_class(protocol)
    except ImportError as error:
        raise BadInput(f"{protocol}:// needs a package that is not installed: {one_line(str(error))}") from error
    except ValueError as error:
        known = fsspec.available_protocols()
        hint = did_you_mean(protocol, known)
        raise BadInput(
            f"{protocol}:// is no file system that fsspec knows{hint}; expected a folder, s3://…, gs://…"
        ) from error
