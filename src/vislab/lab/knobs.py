"""A recipe's options as plain values: to keep in YAML, to type on a command line, to search."""

import dataclasses
import math
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar

from vislab.errors import RunError
from vislab.runs.old_names import by_new_names

T = TypeVar("T")


def plain(value: Any) -> Any:
    """Return a recipe, or any value of its fields, as what YAML and JSON can hold."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    return value


def restore(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return a dataclass from what `plain` gave, also by a version with other names.

    Raises RunError when a field is unknown, or its value not of the field's type.
    """
    values = by_new_names(kind.__name__, values)
    hints = typing.get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = set(values) - names
    if unknown:
        raise RunError(
            f"{kind.__name__} has no option {min(unknown)!r}: the run was made by another version "
            "of this recipe and cannot be continued"
        )
    try:
        return kind(**{name: _restored(hints[name], values[name], name) for name in values})
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise RunError(
            f"the options of {kind.__name__} in recipe.yaml are damaged ({error}); begin a new run"
        ) from error


def _restored(hint: Any, value: Any, name: str) -> Any:
    if not _may_be(hint, value):
        raise RunError(f"recipe.yaml is damaged: the option {name} is {value!r}; begin a new run")
    if typing.get_origin(hint) in (typing.Union, UnionType):
        if value is None:
            return None
        hint = next(inner for inner in typing.get_args(hint) if inner is not NoneType)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return restore(hint, value)  # type: ignore[arg-type]
    if hint is Path:
        return Path(value)
    return tuple(value) if isinstance(value, list) else value


def _may_be(hint: Any, value: Any) -> bool:
    """Return whether a value of YAML may stand for one of the type; of other types any may."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, UnionType):
        return any(_may_be(inner, value) for inner in arguments)
    if origin is Literal:
        return value in arguments
    if origin is Annotated:
        return _may_be(arguments[0], value)
    if origin in (tuple, list, Sequence):
        each = [one for one in arguments if one is not ...]
        if not isinstance(value, list):
            return False
        if origin is tuple and ... not in arguments:
            return len(each) == len(value) and all(map(_may_be, each, value))
        return all(_may_be(each[0], inner) for inner in value) if each else True
    if dataclasses.is_dataclass(hint):
        return isinstance(value, Mapping)
    if hint in (str, Path):
        return isinstance(value, str)
    if hint in (int, float):
        number = isinstance(value, int if hint is int else int | float)
        return number and not isinstance(value, bool) and math.isfinite(value)
    return not isinstance(hint, type) or hint is Any or isinstance(value, hint)


def flags(recipe: Any, beside: Any = None) -> list[str]:
    """Return the options that turn a recipe's defaults into it, as typed on a command line.

    With `beside`, those that turn that one into it.
    """
    return _flags(plain(recipe), plain(beside or type(recipe)()), "")


def _flags(values: dict[str, Any], defaults: dict[str, Any], prefix: str) -> list[str]:
    words: list[str] = []
    for name, value in values.items():
        default, flag = defaults.get(name), f"{prefix}{name.replace('_', '-')}"
        if value == default:
            continue
        if isinstance(value, dict) and isinstance(default, dict):
            words += _flags(value, default, f"{flag}.")
        elif isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--{prefix}no-{name.replace('_', '-')}")
        elif isinstance(value, list):
            words += [f"--{flag}", *map(str, value)]
        else:
            words += [f"--{flag}", str(value)]
    return words


def options_of(recipe: Any) -> dict[str, Any]:
    """Return the type of every option under its dotted name, as `optim.lr`."""
    return dict(_options(recipe, ""))


def _options(part: Any, before: str) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(type(part))
    for field in dataclasses.fields(part):
        value, name = getattr(part, field.name), f"{before}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from _options(value, f"{name}.")
        else:
            yield name, hints[field.name]


def kinds(hint: Any) -> list[Any]:
    """Return the plain types that an option may have; Literal stands for its own values."""
    if typing.get_origin(hint) in (typing.Union, UnionType):
        return [kind for inner in typing.get_args(hint) for kind in kinds(inner)]
    known = (bool, int, float, str, Path, NoneType)
    return [hint] if hint in known or typing.get_origin(hint) is Literal else []
