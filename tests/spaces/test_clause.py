"""Tests of `kerasweep.spaces.clause`: what the language says, what it refuses, that it is bounded."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasweep.spaces.clause import LONG_TEXT, BadClause, Clause
from kerasweep.spaces.parameter import Choice, Number
from kerasweep.spaces.trial import Scalar

VALUES: dict[str, Scalar] = {
    "units": 64,
    "rate": 0.25,
    "activation": "relu",
    "bias": True,
    "kernel": 3,
    "optimizer/sgd/momentum": 0.9,
    "p": 2,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("units <= 256", True),
        ("units > 64", False),
        ("32 < units <= 64", True),
        ("32 < units < 64", False),
        ("units != 64", False),
        ("units <= 32 or activation == 'relu'", True),
        ('units <= 32 and activation == "relu"', False),
        ("not units <= 32", True),
        ("bias", True),
        ("not bias", False),
        ("bias == true and bias == True", True),
        ("bias == false", False),
        ("kernel in (3, 5)", True),
        ("kernel not in [3, 5]", False),
        ("'el' in activation", True),
        ("activation in ['gelu', 'relu']", True),
        ("len(activation) == 4", True),
        ("len([units, kernel]) == 2", True),
        ("units * rate == 16", True),
        ("-units + 64 == 0", True),
        ("units // 10 == 6 and units % 10 == 4", True),
        ("kernel ** 2 == 9", True),
        ("units / kernel > 21", True),
        ("max(units, kernel) == 64 and min([units, kernel]) == 3 and abs(-kernel) == 3", True),
        ('p["optimizer/sgd/momentum"] > rate', True),
        ("p['units'] == units", True),
        ("p == 2", True),
        ("  units <= 256\n", True),
    ],
)
def test_a_clause_says_what_it_says_in_python(text: str, holds: bool) -> None:
    """Comparison, arithmetic, and/or/not, membership and the few functions."""
    assert Clause(text).holds(VALUES) is holds


@pytest.mark.parametrize("text", ["momentum < 0.5", "units > 64 and momentum < 0.5", 'units > 64 or p["a/b"] == 1'])
def test_a_clause_that_mentions_what_a_trial_does_not_have_holds(text: str) -> None:
    """Wherever in the clause it is mentioned."""
    assert Clause(text).holds(VALUES)


@pytest.mark.parametrize("text", ["1 / (units - 64) > 0", "units % (units - 64) == 0", "(kernel - 5) ** 0.5 < 9"])
def test_what_has_no_value_does_not_hold(text: str) -> None:
    """A division by zero and a root of a negative number are nothing to train with."""
    assert not Clause(text).holds(VALUES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a clause is ''"),
        (" ", "a clause is ' '"),
        (3, "a clause is 3"),
        (None, "a clause is empty"),
        ("units <=", "is not understood"),
        ("units = 3", "is not understood"),
        ("units; 3", "is not understood"),
        ("units", None),
        ("units + 1", "neither true nor false"),
        ("units > 1 and 3", "neither true nor false"),
        ("'text'", "neither true nor false"),
        ("__import__('os').system('true') == 0", "not in the language"),
        ("open('/etc/passwd') == 1", "it has abs, len, max, min"),
        ("lne(units) == 1", "(did you mean 'len'?)"),
        ("len(units, 3) == 1", "len takes one value, got 2"),
        ("len() == 1", "not in the language"),
        ("units.real == 1", "'units.real' is not in the language"),
        ("(lambda: 1)() == 1", "not in the language"),
        ("[x for x in (1, 2)] == [1]", "not in the language"),
        ("{1: 2} == 3", "not in the language"),
        ("f'{units}' == '1'", "not in the language"),
        ("units[0] == 1", "not in the language"),
        ("p[0] == 1", "not in the language"),
        ("units is 3", "not in the language"),
        ("units & 1 == 1", "not in the language"),
        ("~units == 1", "not in the language"),
        ("(units := 3) == 3", "not in the language"),
        ("units == 3 if bias else bias", "not in the language"),
        ("max(*kernel) == 3", "not in the language"),
        ("units == 1j", "not in the language"),
        ("units == None", "not in the language"),
        ("units == ...", "not in the language"),
        ("units == b'x'", "not in the language"),
        (f"units == {10**30}", "not in the language"),
        ("units == " + "1 + " * 300 + "1", "too long"),
        ("units == 1 " + "or units == 1 " * 60, "too long"),
        ("(" * 400 + "units" + ")" * 400, "is not understood"),
        ("units > 1\0", "is not understood"),
    ],
)
def test_what_is_no_clause_is_refused(text: Any, words: str | None) -> None:
    """In one line that shows the piece; nothing is ever run."""
    if words is None:
        assert Clause(text).names == ("units",)
        return
    with pytest.raises(BadClause) as caught:
        Clause(text)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("units < 'a'", "cannot tell whether 64 < 'a'"),
        ("activation == 3", "expected two values of one kind"),
        ("units in 3", "cannot tell whether 64 in 3"),
        ("activation + 1 == 2", "'activation' is 'relu'; expected a number"),
        ("units or bias", "'units' is 64, neither true nor false"),
        ("len(units) == 2", "64 has no length"),
        ("max([]) == 1", "has nothing to choose from"),
    ],
)
def test_what_cannot_be_compared_is_told(text: str, words: str) -> None:
    """Text is not less than a number, a number is not true."""
    with pytest.raises(BadClause) as caught:
        Clause(text).holds(VALUES)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["9**9**9 > 1", "units ** 60 ** 60 > 1", "9 ** -9 ** 9 > 1", "units" + " * 10 ** 18" * 20 + " > 1"],
)
def test_large_numbers_cost_nothing(text: str) -> None:
    """A clause never computes for long, whatever it says."""
    began = time.process_time()
    Clause(text).holds(VALUES)
    assert time.process_time() - began < 0.1


def test_the_longest_text_is_read() -> None:
    """The limit is on the length, not below it."""
    assert Clause("units == 1".ljust(LONG_TEXT)).names == ("units",)
    with pytest.raises(BadClause, match="too long"):
        Clause("units == 1".ljust(LONG_TEXT + 1))


def test_names_are_listed_once_and_in_order() -> None:
    """Functions, words and literals are no names."""
    clause = Clause('max(b, a) > 1 and b < p["x/y"] and true and "c" in ("d", e)')
    assert clause.names == ("b", "a", "x/y", "e")


def test_unknown_names_come_with_the_nearest() -> None:
    """A misspelt name, and a full name that was written as a division."""
    known = ["units", "optimizer", "optimizer/sgd/momentum"]
    assert Clause("untis > 3 and units > 3").unknown(known) == {"untis": " (did you mean 'units'?)"}
    hint = ' (did you mean p["optimizer/sgd/momentum"]?)'
    assert Clause("optimizer/sgd/momentum > 3").unknown(known) == {"sgd": hint, "momentum": hint}
    assert Clause("batch > 3").unknown(known) == {"batch": ""}


@pytest.mark.parametrize("text", ["a == 'gleu'", "'gleu' != a", "a in ('relu', 'gleu')", "not a == 'gleu'"])
def test_a_value_that_a_choice_does_not_have_is_told(text: str) -> None:
    """With the nearest one that it has."""
    known = {"a": Choice(name="a", values=("relu", "gelu")), "n": Number(name="n", min=0, max=1, integer=True)}
    with pytest.raises(BadClause, match=r"'a' is never 'gleu'; it is one of 'relu', 'gelu' \(did you mean 'gelu'"):
        Clause(text).check(known)
    Clause("a == 'gelu' and n == 'x'").check(known)


def test_clauses_that_differ_in_writing_alone_have_one_canonical_form() -> None:
    """Quotes, spaces and brackets say nothing."""
    assert Clause('(a  == "x")').canonical == Clause("a == 'x'").canonical
    assert Clause("a < b < c").canonical != Clause("(a < b) and b < c").canonical


expressions = st.recursive(
    st.sampled_from(["units", "rate", "kernel", "activation", "bias", "1", "0", "2.5", "'relu'", 'p["p"]', "(1, 2)"]),
    lambda inner: st.one_of(
        st.tuples(
            inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "<", "<=", "==", "!=", "in", "and", "or"]), inner
        ).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda one: f"not {one}"),
        st.sampled_from(["len({})", "abs({})", "max({}, 1)", "min(2, {})"]).flatmap(lambda one: inner.map(one.format)),
    ),
    max_leaves=8,
)


@given(expressions)
def test_what_is_computed_is_what_python_computes(text: str) -> None:
    """Any clause is refused, or has no value, or has Python's."""
    try:
        ours = Clause(text).holds(VALUES)
    except BadClause:
        return
    names = {**VALUES, "len": len, "abs": abs, "max": max, "min": min, "p": VALUES, "__builtins__": {}}
    try:
        theirs = eval(text, names)  # noqa: S307
    except ArithmeticError:
        theirs = False
    assert ours is theirs


@given(st.text(max_size=40))
def test_any_text_is_a_clause_or_refused(text: str) -> None:
    """Nothing else happens."""
    with suppress(BadClause):
        Clause(text).holds(VALUES)
