"""What a sweep searches: options of a recipe, each over a range or over choices.

    optim.lr=1e-4..1e-2:log    any number between, evenly in its logarithm
    augment.crop=0..0.3        any number between
    epochs=5..20               a whole number, as the option holds those
    optim.clip=1..5:int        only whole numbers of an option that could hold others
    batch=32,64,128            one of these
    augment.flip=true,false

Importing this file imports neither torch nor Optuna.
"""

import math
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, TypeVar

from vislab.errors import OptionError, VislabError, pick
from vislab.lab.knobs import kinds, options_of, plain, restore
from vislab.lab.recipe import Recipe

Value = int | float | str | bool | None
R = TypeVar("R", bound=Recipe)

WORDS = {"true": True, "false": False}
RANGE = re.compile(r"(?P<low>.*?)\.\.(?P<high>.*?)(?P<marks>(:log|:int)*)")


@dataclass(frozen=True)
class Span:
    """An option and the numbers between which it lies; `whole` keeps to whole ones."""

    name: str
    low: int | float
    high: int | float
    log: bool = False
    whole: bool = False

    def __str__(self) -> str:
        marks = (":log" if self.log else "") + (":int" if self.whole else "")
        return f"{self.name}={self.low!r}..{self.high!r}{marks}"

    @property
    def extremes(self) -> tuple[Value, ...]:
        """Its ends."""
        return self.low, self.high


@dataclass(frozen=True)
class Choice:
    """An option and the values it may have."""

    name: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{self.name}={','.join(map(written, self.values))}"

    @property
    def extremes(self) -> tuple[Value, ...]:
        """All of them: nothing lies between."""
        return self.values


Axis = Span | Choice


def written(value: Value) -> str:
    """Write a value as it is typed after `--over`."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def axes_of(texts: Sequence[str], recipe: Recipe, name: str) -> tuple[Axis, ...]:
    """Read what stands after each `--over` as options of the recipe called `name`.

    Raises UnknownName for an option that the recipe does not have, OptionError for a range or a
    value that it cannot hold.
    """
    if not texts:
        raise OptionError(
            f"nothing to search; name options of {name} with --over, as --over epochs=5..20"
        )
    axes = [axis_of(text, recipe, name) for text in texts]
    names = [axis.name for axis in axes]
    for again in names:
        if names.count(again) > 1:
            raise OptionError(f"--over names {again} {names.count(again)} times; write it once")
    return tuple(axes)


def axis_of(text: str, recipe: Recipe, recipe_name: str) -> Axis:
    """Read one range or one list of choices."""
    name, equals, rest = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals:
        raise OptionError(
            f"--over {text} says no values; write {text}=low..high or {text}=one,another"
        )
    held = kinds(pick(options_of(recipe), name, f"option of {recipe_name}"))
    if not held:
        raise OptionError(f"--over {name}: this option holds several values; search another")
    found = RANGE.fullmatch(rest.strip())
    if found and {int, float} & set(held):
        return _span(text, name, found, only_whole=float not in held)
    words = [word.strip() for word in rest.split(",")]
    values = tuple(_read(word, held, name) for word in words)
    for value in values:
        if values.count(value) > 1:
            raise OptionError(f"--over {text} names {written(value)} twice; write it once")
    if len(values) == 1:
        ways = "a range low..high or two values" if {int, float} & set(held) else "two values"
        raise OptionError(f"--over {text} leaves nothing to choose; write {ways} or more")
    return Choice(name, values)


def _span(text: str, name: str, found: re.Match[str], *, only_whole: bool) -> Span:
    log, whole = ":log" in found["marks"], only_whole or ":int" in found["marks"]
    kind = int if whole else float
    ends = [_read(found[end].strip(), [kind], name) for end in ("low", "high")]
    low, high = (end for end in ends if isinstance(end, int | float))
    if not low < high:
        raise OptionError(f"--over {text} ends before it begins; write the lower number first")
    if log and low <= 0:
        raise OptionError(
            f"--over {text}: {low:g} has no logarithm; begin above 0 or leave out :log"
        )
    return Span(name, low, high, log, whole)


def _read(word: str, held: Sequence[Any], name: str) -> Value:
    """Read one word as the first of these types that it fits."""
    for kind in sorted(held, key=lambda kind: kind is str):  # anything is a str: ask that last
        if kind is NoneType and word == "none":
            return None
        if kind is bool and word in WORDS:
            return WORDS[word]
        if typing.get_origin(kind) is Literal:
            for value in typing.get_args(kind):
                if word == str(value):
                    return typing.cast(Value, value)
        if kind in (int, float):
            try:
                number: int | float = kind(word)
            except ValueError:
                continue
            if math.isfinite(number):
                return number
        if kind in (str, Path) and word:
            return word
    wanted = " or ".join(_said(kind) for kind in held)
    raise OptionError(f"--over {name}: {word!r} is not {wanted}")


def _said(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(kind)))
    names: dict[Any, str] = {
        bool: "true or false", int: "a whole number", float: "a number", str: "a word",
        Path: "a path", NoneType: "none",
    }  # fmt: skip
    return names[kind]


def placed(recipe: R, values: Mapping[str, Value]) -> R:
    """Return the recipe with these options, made anew so that it checks them itself."""
    types = options_of(recipe)
    options = plain(recipe)
    for name, value in values.items():
        *groups, last = name.split(".")
        part = options
        for group in groups:
            part = part[group]
        # Whole numbers of an option that holds any are drawn as int.
        held = kinds(types[name])
        fits_float = isinstance(value, int) and not isinstance(value, bool) and int not in held
        part[last] = float(value) if fits_float and float in held else value  # type: ignore[arg-type]
    return restore(type(recipe), options)


def check_extremes(recipe: Recipe, axes: Sequence[Axis]) -> None:
    """Try the ends of every range and all choices, so that what is refused is told at once.

    What one option may be can depend on the others: an end is refused only when the recipe refuses
    it beside its own options, beside the first values of the other axes, and beside the last.
    """
    first = {axis.name: axis.extremes[0] for axis in axes}
    last = {axis.name: axis.extremes[-1] for axis in axes}
    for axis in axes:
        for value in axis.extremes:
            refusals = []
            for others in ({}, first, last):
                try:
                    placed(recipe, {**others, axis.name: value})
                except VislabError as error:
                    refusals.append(str(error))
            if len(refusals) == 3:
                raise OptionError(f"--over {axis} is not possible throughout: {refusals[0]}")
