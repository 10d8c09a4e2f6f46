"""The token that Ray asks of every connection: made before Ray makes it, which would let all users read it."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from ..spaces.errors import Infrastructure

MODE = {"RAY_AUTH_MODE": "token"}
"""Set for a Ray that is started here, whatever the user's environment says: without it anyone on the machine could run
code in it."""
GIVEN = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")

logger = logging.getLogger(__name__)


def ensure_token(environ: Mapping[str, str], *, create: bool = True) -> None:
    """See to it that nobody else can read the token, and that there is one unless `create` is false.

    Who joins a cluster makes none, and leaves one alone that somebody else keeps.

    Survives: a kill -9 leaves no token or a whole one.

    Raises:
        Infrastructure: it cannot be written or closed.
    """
    path = Path(environ["RAY_AUTH_TOKEN_PATH"]) if "RAY_AUTH_TOKEN_PATH" in environ else _default(environ)
    try:
        if create and not any(name in environ for name in GIVEN):
            _create(path)
        about = path.stat() if path.exists() else None
        if about is not None and about.st_mode & 0o077 and (create or about.st_uid == os.geteuid()):
            path.chmod(0o600)
            logger.warning("others could read Ray's token %s; its mode is 0600 now", path)
    except OSError as error:
        raise Infrastructure(f"Ray's token {path} cannot be kept private: {error.strerror}; mend its folder") from error


def require_token() -> None:
    """Have the Ray that this process is about to start ask for the token; Ray has read its settings when imported.

    Raises:
        Infrastructure: the token cannot be written.
    """
    ensure_token(os.environ)
    os.environ.update(MODE)
    with suppress(
        ImportError, AttributeError
    ):  # private, so a newer Ray may have other names; its own default is a token
        from ray import _raylet

        library = cast(Any, _raylet)
        library.Config.initialize("")
        library.AuthenticationTokenLoader.instance().reset_cache()


def _default(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or Path.home()) / ".ray" / "auth_token"


def _create(path: Path) -> None:
    """Write a new token, unless there is one; under another name first, so that two at once end with the same."""
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".auth_token-{secrets.token_hex(4)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
        file.flush()
        os.fsync(file.fileno())
    try:
        with suppress(FileExistsError):  # another one was quicker
            os.link(draft, path)
    finally:
        draft.unlink()
