"""What stands after `--over`: read, written, refused."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vislab.errors import OptionError, UnknownName
from vislab.lab.recipe import Recipe
from vislab.sweep.space import Choice, Span, axes_of, axis_of, check_extremes, placed


@dataclass(frozen=True)
class Part:
    """Options of their own."""

    rate: float = 0.1
    share: float | None = None
    kind: Literal["flat", "steep"] = "flat"
    few: int | float = 2

    def __post_init__(self):
        if not 0 < self.rate < 1:
            raise OptionError(f"--part.rate {self.rate} must lie between 0 and 1")


@dataclass(frozen=True)
class Known(Recipe):
    """A recipe with an option of every kind."""

    count: int = 3
    limit: int | None = None
    size: float = 1.5
    name: str = "a"
    place: Path = Path("here")
    on: bool = False
    widths: tuple[int, ...] = (1, 2)
    low_end: int = 1
    high_end: int = 2
    part: Part = field(default_factory=Part)

    def __post_init__(self):
        if self.low_end >= self.high_end:
            raise OptionError(f"--low-end {self.low_end} must be below --high-end {self.high_end}")


def read(text):
    return axis_of(text, Known(), "known")


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("count=2..8", Span("count", 2, 8, whole=True)),
        ("count=1..1000:log", Span("count", 1, 1000, log=True, whole=True)),
        ("size=2..8", Span("size", 2.0, 8.0)),
        ("size=2..8:int", Span("size", 2, 8, whole=True)),
        ("size=-1.5..1e-3", Span("size", -1.5, 1e-3)),
        ("part.rate=1e-4..1e-2:log", Span("part.rate", 1e-4, 1e-2, log=True)),
        ("part.rate=1..64:int:log", Span("part.rate", 1, 64, log=True, whole=True)),
        ("part.few=1..4", Span("part.few", 1.0, 4.0)),
        ("count=32,64,128", Choice("count", (32, 64, 128))),
        ("size=1,2.5", Choice("size", (1.0, 2.5))),
        ("limit=none, 5", Choice("limit", (None, 5))),
        ("part.share=none,0.5", Choice("part.share", (None, 0.5))),
        ("on=true,false", Choice("on", (True, False))),
        ("name=shapes:easy,../two..three", Choice("name", ("shapes:easy", "../two..three"))),
        ("place=a,b/c", Choice("place", ("a", "b/c"))),
        ("part.kind=steep,flat", Choice("part.kind", ("steep", "flat"))),
        ("low-end=0..1", Span("low_end", 0, 1, whole=True)),
    ],
)
def test_an_option_is_read_as_its_recipe_types_it(text, axis):
    found = read(text)
    assert found == axis
    assert [type(v) for v in found.extremes] == [type(v) for v in axis.extremes]
    assert read(str(found)) == found


numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text("abcXYZ019:./_- ", min_size=1).map(str.strip).filter(bool)


@st.composite
def spans(draw):
    name, whole = draw(st.sampled_from([("count", True), ("size", True), ("size", False)]))
    ends = draw(st.lists(st.integers() if whole else numbers, min_size=2, max_size=2, unique=True))
    low, high = sorted(ends)
    log = draw(st.booleans())
    assume(low < high and (low > 0 or not log))
    return Span(name, low, high, log, whole)


choices = st.one_of(
    st.builds(Choice, st.just("limit"), st.lists(
        st.none() | st.integers(), min_size=2, unique=True).map(tuple)),
    st.builds(Choice, st.just("size"), st.lists(numbers, min_size=2, unique=True).map(tuple)),
    st.builds(Choice, st.just("name"), st.lists(words, min_size=2, unique=True).map(tuple)),
)  # fmt: skip


@given(spans() | choices)
def test_what_is_written_is_read_as_the_same(axis):
    assert read(str(axis)) == axis


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("count", "--over count says no values; write count=low..high or count=one,another"),
        ("count=0.5..3", "--over count: '0.5' is not a whole number"),
        ("count=1..b", "--over count: 'b' is not a whole number"),
        ("count=1,2,", "--over count: '' is not a whole number"),
        ("size=1..nan", "--over size: 'nan' is not a number"),
        ("size=1,inf", "--over size: 'inf' is not a number"),
        ("size=1,2:log", "--over size: '2:log' is not a number"),
        ("size=3..1", "--over size=3..1 ends before it begins; write the lower number first"),
        ("size=1..1.0", "ends before it begins"),
        ("size=0..1:log", "--over size=0..1:log: 0 has no logarithm; begin above 0 or leave out"),
        ("size=2", "leaves nothing to choose; write a range low..high or two values or more"),
        ("name=a", "--over name=a leaves nothing to choose; write two values or more"),
        ("count=1,2,1", "--over count=1,2,1 names 1 twice; write it once"),
        ("on=yes,no", "--over on: 'yes' is not true or false"),
        ("on=0..1", "--over on: '0..1' is not true or false"),
        ("limit=1,many", "--over limit: 'many' is not a whole number or none"),
        ("part.kind=flat,sleep", "--over part.kind: 'sleep' is not one of flat, steep"),
        ("widths=1,2", "--over widths: this option holds several values; search another"),
    ],
)
def test_what_an_option_cannot_hold_is_told_in_a_sentence(text, sentence):
    with pytest.raises(OptionError, match=re.escape(sentence)):
        read(text)


def test_an_unknown_option_lists_those_of_the_recipe_and_the_nearest():
    with pytest.raises(UnknownName) as said:
        read("part.rat=0..1")
    assert str(said.value).startswith(
        "no option of known is named 'part.rat'. Did you mean 'part.rate'? Known: count, high_end"
    )
    with pytest.raises(UnknownName):
        read("part=1,2")


def test_nothing_to_search_and_one_option_twice_are_refused():
    with pytest.raises(OptionError, match="nothing to search; name options of known with --over"):
        axes_of([], Known(), "known")
    with pytest.raises(OptionError, match="--over names low_end 2 times; write it once"):
        axes_of(["low-end=1..2", "count=1..2", "low_end=0..3"], Known(), "known")


def test_values_are_placed_as_the_recipe_types_them_and_the_rest_stays():
    recipe = Known(name="b", part=Part(kind="steep"))
    changed = placed(recipe, {"count": 7, "size": 2, "part.rate": 0.5, "limit": None, "on": True})
    assert changed == Known(name="b", count=7, size=2.0, on=True, part=Part(rate=0.5, kind="steep"))
    assert isinstance(changed.size, float)
    assert isinstance(placed(recipe, {"part.few": 3}).part.few, int)
    assert isinstance(placed(recipe, {"place": "there"}).place, Path)
    assert recipe == Known(name="b", part=Part(kind="steep"))


def test_an_end_that_the_recipe_refuses_is_told_before_anything_is_run():
    for text in ("part.rate=0.1..1.5", "part.rate=0.5,1.5"):
        axes = axes_of([text, "count=1..2"], Known(), "known")
        with pytest.raises(OptionError) as said:
            check_extremes(Known(), axes)
        assert str(said.value) == (
            f"--over {axes[0]} is not possible throughout: --part.rate 1.5 must lie between 0 and 1"
        )
    check_extremes(Known(), axes_of(["part.rate=0.1..0.9"], Known(), "known"))


def test_ends_that_only_fit_together_are_not_refused():
    axes = axes_of(["low_end=5..8", "high_end=9..12"], Known(), "known")
    check_extremes(Known(), axes)
    with pytest.raises(OptionError, match="--low-end 5 must be below --high-end 2"):
        check_extremes(Known(), axes[:1])
