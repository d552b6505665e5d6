"""One experiment a file. The file's name, with hyphens, is the recipe's name.

Recipes of other packages come through the entry point group `vislab.recipes`.
"""

import importlib
import importlib.metadata
import pkgutil
from pathlib import Path

from vislab.errors import pick
from vislab.lab.recipe import Recipe, recipe_in, recipe_of

ENTRY_POINTS = "vislab.recipes"


def names() -> tuple[str, ...]:
    """Return the names of all recipes, those of vislab first."""
    own = [module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__)]
    others = [point.name for point in importlib.metadata.entry_points(group=ENTRY_POINTS)]
    return (*sorted(own), *sorted(set(others) - set(own)))


def find(name: str) -> type[Recipe]:
    """Return the recipe of that name, or the one in a file. Unknown names list the known ones."""
    if name.endswith(".py"):
        return recipe_in(Path(name))
    pick(dict.fromkeys(names()), name, "recipe")
    own = {module.name for module in pkgutil.iter_modules(__path__)}
    if name.replace("-", "_") in own:
        module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
        return recipe_of(module, name)
    (point,) = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
    loaded: type[Recipe] = point.load()
    return loaded
