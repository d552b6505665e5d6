"""What a recipe is: one experiment, its knobs as fields, its story as `run`.

Importing this file does not import torch, so that recipes can be listed at once.
"""

import dataclasses
import importlib.util
import sys
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from vislab.errors import OptionError, RunError
from vislab.runs.claims import Claim
from vislab.runs.references import Reference

if TYPE_CHECKING:
    from vislab.lab.bench import Lab

T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """Base of all recipes. A subclass is a frozen dataclass: its fields are its knobs.

    `quick` and `course_protocol` are other sets of defaults: small and offline, or the course's own
    protocol. `smoke` is a few seconds for the tests.
    """

    group: ClassVar[str] = "Your own"
    verb: ClassVar[str] = "run"  # the command that runs it
    references: ClassVar[tuple[Reference, ...]] = ()
    claims: ClassVar[tuple[Claim, ...]] = ()
    quick: ClassVar[Mapping[str, Any]] = {}
    course_protocol: ClassVar[Mapping[str, Any]] = {}
    smoke: ClassVar[Mapping[str, Any]] = {}

    def words(self) -> list[str]:
        """Return its options as typed after its name on a command line."""
        return flags(self)

    def run(self, lab: "Lab") -> None:
        """Tell the experiment, using the bench."""
        raise NotImplementedError(f"{type(self).__name__} has no run(self, lab)")


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
    """Return a dataclass from what `plain` gave. Raises RunError when a field is unknown."""
    hints = typing.get_type_hints(kind)
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = set(values) - names
    if unknown:
        raise RunError(
            f"{kind.__name__} has no option {min(unknown)!r}: the run was made by another version "
            "of this recipe and cannot be continued"
        )
    return kind(**{name: _restored(hints[name], value) for name, value in values.items()})


def _restored(hint: Any, value: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, UnionType):
        if value is None:
            return None
        hint = next(inner for inner in typing.get_args(hint) if inner is not NoneType)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return restore(hint, value)  # type: ignore[arg-type]
    if hint is Path:
        return Path(value)
    return tuple(value) if isinstance(value, list) else value


def flags(recipe: Recipe, beside: Recipe | None = None) -> list[str]:
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


def recipe_in(path: Path) -> type[Recipe]:
    """Return the recipe that a user's own file defines. The file is run, as any import is."""
    if not path.is_file():
        raise OptionError(f"there is no recipe file at {path}")
    name = f"vislab_recipe_in_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, f"{path} is not a Python file"
    assert spec.loader is not None, f"{path} has no loader"
    module = importlib.util.module_from_spec(spec)
    # Where the file's own names are looked up: by dataclasses, and for the options' help.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return recipe_of(module, str(path))


def recipe_of(module: Any, where: str) -> type[Recipe]:
    """Return the one recipe that a module defines itself."""
    found = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, Recipe)
        and thing.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise OptionError(f"{where} defines {len(found)} recipes; one subclass of Recipe is needed")
    if not dataclasses.is_dataclass(found[0]) or not found[0].__doc__:
        raise OptionError(
            f"{found[0].__name__} in {where} needs @dataclass(frozen=True) and a docstring"
        )
    return found[0]
