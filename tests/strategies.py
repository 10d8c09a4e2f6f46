"""What Hypothesis draws: parameters, spaces, events."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from kerasweep.spaces.builders import Sampled, When, boolean, choice, fixed, integer, real, repeat
from kerasweep.spaces.known import Known
from kerasweep.spaces.parameter import Boolean, Choice, Condition, Fixed, Number, Parameter, Sampling
from kerasweep.spaces.space import Entry, Space
from kerasweep.spaces.trial import Cause, Outcome, OutcomeKind, Report, Scalar
from kerasweep.trackers.events import (
    AttemptEnded,
    AttemptStarted,
    Differed,
    Event,
    Noticed,
    ParametersUsed,
    Reported,
    RoundEnded,
    SweepClosing,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    Timed,
    TrialAsked,
    TrialEnded,
)

names = st.from_regex(r"[a-z][a-z0-9_]{0,6}(/[a-z]{1,4})?", fullmatch=True)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars: SearchStrategy[Scalar] = st.one_of(
    st.booleans(), st.integers(-(2**60), 2**60), floats, st.text(st.characters(), max_size=8)
)
conditions = st.builds(
    Condition, parent=names, values=st.lists(scalars, min_size=1, max_size=3).map(lambda values: tuple(values))
)
any_conditions = st.lists(conditions, max_size=2).map(lambda them: tuple(them))


@st.composite
def numbers(draw: DrawFn, *, stepped: bool | None = None) -> Number:
    """Draw a number whose ends have at most three decimals; `stepped`: always, never, or (None) sometimes."""
    integer, sampling = draw(st.booleans()), draw(st.sampled_from(Sampling))
    linear = sampling is Sampling.LINEAR
    unit = 1 if integer else 1000

    def scaled(thousandths: int) -> float:
        return thousandths if unit == 1 else thousandths / unit

    low = draw(st.integers(-1000 if linear else 1, 1000))
    high = low + draw(st.integers(0, 1000))
    adding = st.integers(1, 500).map(scaled)
    multiplying = st.integers(2, 10) if integer else st.sampled_from([1.5, 2.0, 3.0, 10.0])
    step = draw(adding if linear else multiplying) if stepped or (stepped is None and draw(st.booleans())) else None
    return Number(
        name=draw(names),
        conditions=draw(any_conditions),
        min=scaled(low),
        max=scaled(high),
        integer=integer,
        step=step,
        sampling=sampling,
        default=draw(st.none() | st.integers(low, high).map(scaled)),
    )


@st.composite
def choices(draw: DrawFn) -> Choice:
    """Draw a choice; its default, if any, is one of its values."""
    values = tuple(draw(st.lists(scalars, min_size=1, max_size=5)))
    return Choice(
        name=draw(names),
        conditions=draw(any_conditions),
        values=values,
        ordered=draw(st.booleans()),
        default=draw(st.none() | st.sampled_from(values)),
    )


booleans = st.builds(Boolean, name=names, conditions=any_conditions, default=st.none() | st.booleans())
fixed_ones = st.builds(Fixed, name=names, conditions=any_conditions, value=scalars)
parameters: SearchStrategy[Parameter] = st.one_of(numbers(), choices(), booleans, fixed_ones)


@st.composite
def spaces(draw: DrawFn) -> Known:
    """Draw a space of up to six parameters; each may hang on choices that come before it."""
    parents: list[Choice] = []
    known: list[Parameter] = []
    for index in range(draw(st.integers(1, 6))):
        picked = draw(st.lists(st.sampled_from(parents), max_size=2, unique=True)) if parents else []
        hangs_on = tuple(Condition(parent=one.name, values=(draw(st.sampled_from(one.values)),)) for one in picked)
        kind = draw(st.sampled_from(["choice", "number", "fixed"]))
        name = f"p{index}"
        if kind == "choice":
            parents.append(Choice(name=name, values=("a", "b", "c"), conditions=hangs_on))
            known.append(parents[-1])
        elif kind == "number":
            known.append(Number(name=name, min=0.0, max=1.0, integer=False, conditions=hangs_on))
        else:
            known.append(Fixed(name=name, value=index, conditions=hangs_on))
    return Known().learn(known)


# Declared spaces ----------------------------------------------------------------------------------------------------

texts_to_choose = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6) | st.sampled_from(
    ["no", "1e-3", "true", "null", "~", "0x1F", "", " ", "- a", "a: b", "#", "'", "\n", "1_000", ".5"]
)
"""Text as values, with what YAML takes for something else unless it is quoted."""
whole = st.integers(-(2**52), 2**52)


@st.composite
def entries(draw: DrawFn, name: str, depth: int = 2) -> Entry:
    """Draw a declared parameter, with branches and groups below it down to `depth`."""
    stated: list[Sampled | None] = [None, "linear"]
    kinds = ["integer", "real", "grid", "log", "texts", "numbers", "boolean", "fixed"]
    kind = draw(st.sampled_from([*kinds, *(["branches", "repeat"] * 2 if depth else [])]))
    match kind:
        case "integer":
            low, more = draw(whole), draw(st.integers(0, 10**6))
            default = draw(st.none() | st.integers(low, low + more))
            return integer(name, low, low + more, default=default, sampling=draw(st.sampled_from(stated)))
        case "real":
            low, high = sorted(draw(st.tuples(finite, finite)))
            return real(name, low, high, default=draw(st.none() | st.floats(low, high)))
        case "grid":
            low, step, many = draw(st.integers(-50, 50)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
            default = draw(st.none() | st.integers(0, many))
            at = None if default is None else low + default * step
            return integer(name, low, low + step * many, step=step, default=at)
        case "log":
            low, high = sorted(draw(st.tuples(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9))))
            return real(name, low, high, sampling=draw(st.sampled_from(["log", "reverse_log"])))
        case "texts":
            values = draw(st.lists(texts_to_choose, min_size=1, max_size=4, unique=True))
            return choice(name, values, default=draw(st.none() | st.sampled_from(values)))
        case "numbers":
            values = draw(st.lists(whole, min_size=1, max_size=4, unique=True))
            return choice(name, values, ordered=draw(st.none() | st.booleans()))
        case "boolean":
            return boolean(name, default=draw(st.none() | st.booleans()))
        case "fixed":
            return fixed(name, draw(texts_to_choose | whole | finite | st.booleans()))
        case "branches":
            values = draw(st.sampled_from([("adam", "sgd"), (1, 2, 3), (True, False), ("no",)]))
            return choice(name, {value: draw(groups(depth - 1, f"{name}é")) for value in values})
        case _:
            least = draw(st.integers(0, 2))
            count = draw(
                st.sampled_from(
                    [integer(name, least, least + 2), choice(name, [0, 2, 3]), fixed(name, 2), integer(name, 1, 1)]
                )
            )
            return repeat(count, draw(groups(depth - 1, f"{name} turn")))


finite = st.floats(-1e12, 1e12)


@st.composite
def groups(draw: DrawFn, depth: int = 2, stem: str = "x") -> list[Entry]:
    """Draw up to two declared parameters, whose names begin with `stem`."""
    return [draw(entries(f"{stem}{index}", depth)) for index in range(draw(st.integers(0, 2)))]


@st.composite
def declared_spaces(draw: DrawFn) -> Space:
    """Draw a space, some of whose parameters hang on others by value."""
    parents = [choice("kind", ["mlp", "cnn"]), integer("depth", 1, 3), boolean("wide")]
    whens: list[When | None] = [None, {"kind": "cnn"}, {"depth": [2, 3], "wide": True}, {"wide": [False]}]
    late = draw(st.lists(st.sampled_from(whens), max_size=3))
    hanging = [real(f"late_{index}", 0, 1, when=when) for index, when in enumerate(late)]
    mixed = draw(st.permutations([*parents, *hanging]))
    clause = 'late_0 < 0.5 or kind == "cnn" or depth <= 2'
    return Space([*mixed, *draw(groups())], where=draw(st.sampled_from([[], [clause]])))


# Events -------------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8") | st.sampled_from("\0\n\x1b\ud800"), max_size=20)
"""Any text, with what a terminal or a database dislikes: NUL, escape, half of a surrogate pair."""
trials = st.integers(0, 2**40)
counts = st.integers(0, 1000)
by_name = st.dictionaries(texts, scalars, max_size=3)
plain = st.recursive(
    st.none() | scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
plain_by_name = st.dictionaries(texts, plain, max_size=3)
specs = st.lists(parameters.map(lambda one: one.to_json()), max_size=2).map(lambda them: tuple(them))
reports = st.builds(
    Report,
    epoch=st.integers(1, 10_000),
    metrics=st.dictionaries(texts, st.floats(allow_nan=False), max_size=3),
    seconds=st.floats(0, 1e6),
)
outcomes = st.builds(
    Outcome,
    kind=st.sampled_from(OutcomeKind),
    value=st.none() | floats,
    epoch=st.none() | st.integers(1, 10_000),
    reason=texts,
    traceback=texts,
)

events: SearchStrategy[Event] = st.one_of(
    st.builds(SweepStarted, spec=plain_by_name, versions=st.dictionaries(texts, texts), origin=st.just({})),
    st.builds(SweepResumed, spec=plain_by_name, versions=st.dictionaries(texts, texts)),
    st.builds(SweepClosing, why=texts, cancel=st.booleans(), exit_code=counts),
    st.builds(SweepEnded, why=texts, exit_code=counts),
    st.builds(TrialAsked, trial=trials, seed=trials, params=by_name, history_seq=counts, attrs=plain_by_name),
    st.builds(AttemptStarted, trial=trials, attempt=counts, round=counts),
    st.builds(
        RoundEnded,
        trial=trials,
        attempt=counts,
        round=counts,
        specs=specs,
        params=by_name,
        attrs=plain_by_name,
    ),
    st.builds(ParametersUsed, trial=trials, attempt=counts, params=by_name, specs=specs, facts=plain_by_name),
    st.builds(Reported, trial=trials, attempt=counts, report=reports),
    st.builds(
        AttemptEnded,
        trial=trials,
        attempt=counts,
        cause=st.sampled_from(Cause),
        why=texts,
        traceback=texts,
    ),
    st.builds(Differed, trial=trials, epoch=counts),
    st.builds(TrialEnded, trial=trials, attempt=counts, outcome=outcomes),
    st.builds(
        Timed, trial=trials, attempt=counts, slot=texts, pid=counts, times=st.dictionaries(texts, floats, max_size=4)
    ),
    st.builds(Noticed, text=texts),
)
