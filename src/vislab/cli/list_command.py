"""`vislab list`: the recipes, grouped, one line each."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from vislab import recipes
from vislab.data import catalogue
from vislab.lab.recipe import Recipe
from vislab.runs.lesson import read_lesson


def main(words: Sequence[str]) -> int:
    """Print the recipes."""
    tyro.cli(show, args=list(words), prog="vislab list")
    return 0


def show(
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """List the recipes: what each does, which images it starts from and whether they are here.

    Args:
        as_json: Print a JSON list instead of text.
    """
    rows = [describe(name, recipes.find(name)) for name in recipes.names()]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    width = max(len(row["name"]) for row in rows)
    for group in dict.fromkeys(row["group"] for row in rows):
        print(f"{group}")
        for row in rows:
            if row["group"] == group:
                print(f"  {row['name']:<{width}}  {row['title']}")
                print(f"  {'':<{width}}  images: {needs(row)}")
        print()
    print("Run one with `vislab run NAME`, small and offline with `vislab run NAME --quick`.")


def describe(name: str, recipe: type[Recipe]) -> dict[str, Any]:
    """Return what the list says of a recipe."""
    fields = {field.name: field for field in dataclasses.fields(recipe)}
    data = fields["data"].default if "data" in fields else None
    return {
        "name": name,
        "group": recipe.group,
        "title": read_lesson(recipe.__doc__ or name).title,
        "data": data,
        "data_is_here": None if data is None else here(str(data)),
        "quick_data": recipe.quick.get("data"),
    }


def here(data: str) -> bool:
    """Return whether a named set needs no download."""
    name = data.partition(":")[0]
    return name in catalogue.names() and catalogue.is_here(name)


def needs(row: dict[str, Any]) -> str:
    """Say which images a recipe starts from and whether they are here."""
    if row["data"] is None:
        return "none"
    state = "here" if row["data_is_here"] else "downloaded on the first run"
    quick = f"; --quick uses {row['quick_data']}" if row["quick_data"] else ""
    return f"{row['data']} ({state}){quick}"
