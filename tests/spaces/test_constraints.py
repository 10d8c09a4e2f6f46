"""Tests of `kerasweep.spaces.constraints`."""

from __future__ import annotations

from random import Random

import pytest

from kerasweep.spaces import Space, choice, integer, real, repeat
from kerasweep.spaces.bad_form import BadForm
from kerasweep.spaces.constraints import Constraints, check_where
from kerasweep.spaces.known import Known
from kerasweep.spaces.parameter import Number, identity
from kerasweep.spaces.space import Entry


def known_of(*entries: Entry) -> Known:
    """Return the parameters of a space."""
    return Known.of(Space(entries).declared)


def test_a_refusal_names_clause_and_values() -> None:
    """The line that an infeasible trial is recorded with."""
    constraints = Constraints.of(["units <= 256", "units < width"])
    assert constraints.refusal({"units": (64,), "width": (128,)}) == ""
    assert constraints.refusal({"units": (64,), "width": (32,)}) == (
        "where: 'units < width' does not hold for units 64, width 32"
    )
    assert "cannot be computed: cannot tell whether 'a' <= 256" in constraints.refusal({"units": ("a",)})


def test_every_clause_has_to_hold() -> None:
    """A list of clauses is their conjunction."""
    constraints = Constraints.of(["a > 1", "b > 1"])
    assert constraints.broken({"a": (2,), "b": (2,)}) is None
    for values in ({"a": (1,), "b": (2,)}, {"a": (2,), "b": (1,)}):
        assert constraints.broken(values) is not None


def test_constants_count_as_values() -> None:
    """An argument of `fit` that is not searched has its value in a clause; a parameter of that name goes before."""
    constraints = Constraints.of(["p['fit/batch_size'] <= units"], {"fit/batch_size": 64})
    assert constraints.broken({"units": (32,)}) is not None
    assert constraints.broken({"units": (64,)}) is None
    assert constraints.broken({"units": (32,), "fit/batch_size": (16,)}) is None


def test_a_name_in_two_forms_has_to_keep_to_the_clause_in_both() -> None:
    """Which of the two the model reads is not known before it does."""
    narrow, wide = (Number(name="x", min=0, max=high, integer=True) for high in (1, 1000))
    known = Known().learn([narrow, wide])
    named = known.named({identity(narrow): 1, identity(wide): 999})
    assert named == {"x": (1, 999)}
    assert Constraints.of(["x < 10"]).broken(named) is not None
    assert Constraints.of(["x < 1000"]).broken(named) is None


def test_a_configuration_is_found_and_pinned_values_stay() -> None:
    """What earlier rounds decided is not drawn again."""
    known = known_of(integer("a", 1, 9), integer("b", 1, 9))
    a, b = known.parameters
    constraints = Constraints.of(["a + b == 10"])
    for seed in range(20):
        assert constraints.find(known, {a: 7}, Random(seed)) == {a: 7, b: 3}
    assert Constraints.of(["a + b == 30"]).find(known, {}, Random(0)) is None


def test_mending_leaves_alone_what_no_broken_clause_mentions() -> None:
    """A sampler's proposal is kept as far as it can be."""
    known = known_of(integer("a", 1, 9), integer("b", 1, 9), real("rate", 0, 1))
    a, b, rate = known.parameters
    mended = Constraints.of(["a < b", "rate < 0.9"]).mend(known, {a: 9, b: 1, rate: 0.25}, {}, Random(0), 500)
    assert mended is not None
    assert mended[rate] == 0.25
    assert int(mended[a]) < int(mended[b])
    held = Constraints.of(["a < b"]).mend(known, {a: 9, b: 1, rate: 0.25}, {a: 9}, Random(0), 500)
    assert held is None


def test_a_branch_that_mending_opens_gets_its_values() -> None:
    """The parameters of another branch are drawn where a clause needs that branch."""
    known = known_of(choice("o", {"a": [], "b": [real("m", 0, 1)]}))
    o, m = known.parameters
    mended = Constraints.of(["o == 'b'"]).mend(known, {o: "a"}, {}, Random(0), 500)
    assert mended is not None
    assert set(mended) == {o, m}


def test_clauses_over_what_is_not_declared_are_left_to_the_trials() -> None:
    """A model may have it; literals of `fit` are known."""
    known = known_of(integer("a", 1, 9))
    check_where(Constraints.of(["late > 3", "a < late"]), known, ("where",))
    with pytest.raises(BadForm, match="none of 9 configurations"):
        check_where(Constraints.of(["a > batch"], {"batch": 64}), known, ("where",))


def test_a_rare_configuration_is_found() -> None:
    """One in a few thousand is no reason to refuse a sweep; a finite space is looked at to the last."""
    known = known_of(*(integer(name, 1, 10) for name in "abcd"))
    check_where(Constraints.of(["a == b == c == 7 and d == 1"]), known, ("where",))
    check_where(Constraints.of(["x < 0.001"]), known_of(real("x", 0, 1)), ("where",))


def test_the_path_names_the_clause_at_fault() -> None:
    """The one that nothing keeps to, or all of them where only together nothing does."""
    known = known_of(repeat(integer("n", 1, 3), [integer("u", 1, 9)]))
    with pytest.raises(BadForm) as one:
        check_where(Constraints.of(["n > 1", "u_0 > 9", "u_1 > 3"]), known, ("where",))
    assert one.value.path == ("where", 1)
    with pytest.raises(BadForm) as together:
        check_where(Constraints.of(["n > 1", "n < 2"]), known, ("where",))
    assert together.value.path == ("where",)


@pytest.mark.parametrize(
    "where", [["a == b and c == d and e == f"], ["a == b", "c == d", "e == f"], ["a == b == c == d"]]
)
def test_one_configuration_in_a_million_is_approached(where: list[str]) -> None:
    """Part by part of the clauses, a parameter at a time, where random draws find nothing; pinned values stay."""
    known = known_of(*(integer(name, 1, 100) for name in "abcdef"))
    constraints = Constraints.of(where)
    check_where(constraints, known, ("where",))
    first = next(iter(known.parameters))
    for seed in range(5):
        found = constraints.approach(known, {first: 7}, Random(seed))
        assert found is not None
        assert found[first] == 7
        assert constraints.broken(known.named(found)) is None
    assert Constraints.of([*where, "a != b"]).approach(known, {}, Random(0), 1000) is None
