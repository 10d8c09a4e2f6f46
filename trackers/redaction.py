"""Taking secrets out of text that leaves the process: log lines, tags, error messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

MASK = "***"

_USERINFO = re.compile(
    r"://(?:[^\s/@]+@)+"  # user:password@ up to the last @ of the host part
    r"|://[^\s/:@]+:(?!\d+[/?#\s]|\d+$)[^\s@]+@"  # a password with a slash in it; a port is none
)
_KEY_VALUE = re.compile(
    r"""(?ix)
    ( (?<![\w.-]) [\w.-]*                        # from a word's beginning, else long words take quadratic time
      (?: passw(?:or)?d | passwd | pwd | secret | token(?![a-z]) | api[_-]?key | access[_-]?key | private[_-]?key
              | credential ) [\w-]*
      ["']? \s* (?: => | [:=] ) \s* )             # the key and its sign
    ( "[^"]*" | '[^']*' | [^\s"',;&)}\]]+ )       # the value
    """
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_WELL_KNOWN = re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|hf_|sk-|xox[abprs]-|AKIA|dapi)[A-Za-z0-9_-]{12,}")


def redact(text: str) -> str:
    """Return `text` with passwords in URIs, values of secret-like keys and tokens of known forms masked."""
    text = _USERINFO.sub(f"://{MASK}@", text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _KEY_VALUE.sub(rf"\1{MASK}", text)
    return _WELL_KNOWN.sub(MASK, text)


_SECRET_NAME = re.compile(r"(?i)passw|pwd$|pwd_|secret|token|credential|api_?key|access_?key|private_?key|(^|[_/])key$")
_SECRET_PARAMETER = re.compile(
    r"(?i)(?:passw(?:or)?d|passwd|pwd|secret|token|credentials?|(?:api|access|private)_?key)$"
)
_SHORT = 6
"""A shorter value is likely to be a word that stands elsewhere too."""


def secrets_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values that an environment keeps under names of secrets, longest first, also as an address has them."""
    values = {value for name, value in environ.items() if _SECRET_NAME.search(name) and _is_secret(value)}
    return tuple(sorted({*values, *map(quote, values)}, key=lambda one: (-len(one), one)))


def names_secret(name: str) -> bool:
    """Say whether a parameter of this name is itself a secret; `tokenizer` and `token_file` are none."""
    return _SECRET_PARAMETER.search(name) is not None


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return the text with each of the secrets masked."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def _is_secret(value: str) -> bool:
    if len(value) < _SHORT or value.isdigit():
        return False
    try:
        return not (value.startswith("/") and Path(value).exists())  # a file that holds a secret
    except OSError:
        return True
