"""What a recipe is: one experiment, its knobs as fields, its story as `run`.

Importing this file does not import torch, so that recipes can be listed at once.
"""

import dataclasses
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from vislab.errors import OptionError
from vislab.lab.knobs import flags
from vislab.runs.claims import Claim
from vislab.runs.references import Reference

if TYPE_CHECKING:
    from vislab.lab.bench import Lab


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
