"""What a file of a run folder must look like, checked before anything is done with what it says.

A folder may come from anywhere, so that JSON and YAML in it may hold anything. A shape is a type, a
set of the values there may be, a tuple of shapes of which one must fit, `[shape]` for a list, a
dict for an object: `{"*": shape}` with any names, else with these, `"name?"` where it may be
missing. Names beside those are passed over: a newer vislab may have written them.
"""

import math
from collections.abc import Mapping
from typing import Any

Shape = Any

LARGEST = 2**63  # no whole number of ours comes near
MANY = 1_000_000  # values in one file; an alias of YAML makes any number of a few
DEEP = 50

NUMBER: Shape = (float, None)


class Misfit(ValueError):
    """A value that no such file can hold; the message says where and what."""


def require_plain(content: Any, *, finite: bool = True) -> None:
    """Raise Misfit where there is more than text, numbers, lists and objects of a sane size.

    JSON that was written here holds no NaN; with `finite=False` it may be there.
    """
    left, count = [(content, 0)], 0
    while left:
        value, depth = left.pop()
        count += 1
        if count > MANY or depth > DEEP:
            raise Misfit("it holds too much")
        if isinstance(value, dict):
            if not all(isinstance(name, str) for name in value):
                raise Misfit("a name in it is no text")
            left += [(inner, depth + 1) for pair in value.items() for inner in pair]
        elif isinstance(value, list):
            left += [(inner, depth + 1) for inner in value]
        elif isinstance(value, str):
            _require_text(value)
        elif isinstance(value, float):
            if finite and not math.isfinite(value):
                raise Misfit(f"{value} is no number")
        elif isinstance(value, int):
            if abs(value) >= LARGEST:
                raise Misfit("a number in it is too large")
        elif value is not None:
            raise Misfit(f"{type(value).__name__} is no kind of value that is kept here")


def _require_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair, which no file can hold
        raise Misfit("a text in it is no Unicode") from error


def require(value: Any, shape: Shape, where: str) -> None:
    """Raise Misfit, naming the place, where a value has not the shape."""
    if isinstance(shape, dict):
        if not isinstance(value, Mapping):
            raise Misfit(f"{where} is {_said(value)}, not an object")
        _require_fields(value, shape, where)
    elif isinstance(shape, list):
        if not isinstance(value, list | tuple):
            raise Misfit(f"{where} is {_said(value)}, not a list")
        for place, inner in enumerate(value):
            require(inner, shape[0], f"{where}[{place}]")
    elif isinstance(shape, tuple):
        choices = [one for one in shape if one is not None]
        if value is not None and len(choices) == 1:  # so that it is named what is wrong inside
            require(value, choices[0], where)
        elif not any(fits(value, one) for one in shape):
            raise Misfit(f"{where} is {_said(value)}")
    elif not _is(value, shape):
        raise Misfit(f"{where} is {_said(value)}")


def _require_fields(value: Mapping[str, Any], shape: Mapping[str, Shape], where: str) -> None:
    if "*" in shape:
        for name, inner in value.items():
            require(inner, shape["*"], f"{where}.{name}")
        return
    for name, inner in shape.items():
        key = name.removesuffix("?")
        if key in value:
            require(value[key], inner, f"{where}.{key}")
        elif key == name:
            raise Misfit(f"{where} has no {key}")


def fits(value: Any, shape: Shape) -> bool:
    """Return whether a value has the shape."""
    try:
        require(value, shape, "")
    except Misfit:
        return False
    return True


def _is(value: Any, shape: Shape) -> bool:
    if shape is Any:
        return True
    if shape is None or isinstance(shape, set | frozenset):
        return value is None if shape is None else isinstance(value, str) and value in shape
    if isinstance(shape, type):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if shape is float:
            return number
        return isinstance(value, shape) and (shape is not int or number)
    return bool(shape(value))  # a question of its own


def pair(value: Any) -> bool:
    """Ask whether a value is two bounds, either of which may be missing."""
    return isinstance(value, list | tuple) and len(value) == 2 and fits(value, [NUMBER])


def at_least_zero(value: Any) -> bool:
    """Ask whether a value is a number of 0 or more."""
    return _is(value, float) and value >= 0


def _said(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
