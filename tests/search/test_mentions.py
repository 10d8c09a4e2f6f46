"""Tests of `kerasweep.search.mentions`."""

from __future__ import annotations

import pytest

from kerasweep.search.mentions import mentions

NAMED = [
    ('hp.Int("units", 1, 9)', "units"),
    ('hp.Float("beta_1", 0, 1)', "optimizer/adam/beta_1"),
    ('hp.Float("adam/beta_1", 0, 1)', "optimizer/adam/beta_1"),
    ('hp.get("optimizer/adam/beta_1")', "optimizer/adam/beta_1"),
    ('hp.Int(f"units_{i}", 1, 9)', "units_3"),
    ('hp.Int(f"{block}/units_{i}", 1, 9)', "encoder/units_3"),
    ('hp.Int(f"u{i}", 1, 9)', "u3"),
    ('hp.Int("units_%d" % i, 1, 9)', "units_3"),
    ('hp.Int("units_%(index)02d" % names, 1, 9)', "units_03"),
    ('hp.Int("units_{}".format(i), 1, 9)', "units_3"),
    ('hp.Int("units_" + str(i), 1, 9)', "units_3"),
    ('hp.Int(prefix + "_units", 1, 9)', "block_units"),
    ('hp.Int("units_" + str(i) + "_" + kind, 1, 9)', "units_3_dense"),
    ('NAMES = ["units", "rate"]', "rate"),
    ("", "fit/batch_size"),
]
UNNAMED = [
    ("", "units"),
    ('hp.Int("unit", 1, 9)', "units"),
    ('hp.Int("units", 1, 9)', "units_3"),
    ('hp.Int(f"{name}", 1, 9)', "units"),
    ('hp.Int(f"units_{i}", 1, 9)', "layers"),
    ('hp.Int("u" + name, 1, 9)', "units"),
    ('hp.Float("a_1", 0, 1)', "beta_1"),
    ('hp.Float("beta", 0, 1)', "optimizer/adam/beta_1"),
    ("# units", "units"),
    ("units = 3", "units"),
]


@pytest.mark.parametrize(("source", "name"), NAMED)
def test_a_string_that_can_be_the_name_mentions_it(source: str, name: str) -> None:
    """A literal, or a string put together around one, reads the parameter."""
    assert mentions({"model.py": source}, [name]) == []


@pytest.mark.parametrize(("source", "name"), UNNAMED)
def test_what_no_string_can_be_is_returned(source: str, name: str) -> None:
    """A declared parameter that no string names is read by nobody."""
    assert mentions({"model.py": source}, [name]) == [name]


def test_any_source_may_mention_it() -> None:
    """A name in one of several files is enough, and the order of names is kept."""
    sources = {"model.py": 'x = "b"', "blocks.py": 'y = "d"'}
    assert mentions(sources, ["e", "d", "c", "b", "a"]) == ["e", "c", "a"]


def test_nothing_is_known_of_what_is_not_python() -> None:
    """Where a file cannot be read, nobody is accused."""
    assert mentions({"model.py": "def (", "other.py": ""}, ["units"]) == []


def test_an_odd_escape_in_a_source_is_no_warning() -> None:
    r"""Python warns of a literal such as "\d"; that is its author's affair."""
    assert mentions({"model.py": r'x = "\d"; y = "units"'}, ["units"]) == []
