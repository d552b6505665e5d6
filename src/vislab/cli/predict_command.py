"""`vislab predict`: what a finished run's network makes of new input."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from vislab.data.tree import Tree
from vislab.errors import DataError
from vislab.runs.folder import RunFolder


def main(words: Sequence[str]) -> int:
    """Predict."""
    return tyro.cli(show, args=list(words), prog="vislab predict")


def show(
    run: Annotated[Path, tyro.conf.Positional],
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional] = (),
    out: Path | None = None,
    recipe: Path | None = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Ask the network of a finished run about new input: one line for each answer.

    A label, boxes, masks, colours, numbers: whatever the network answers. Each answer is kept in a
    folder: NAME.json always, NAME.png where there is something to see, NAME.webp where it moves,
    and the field's own file, such as an indexed mask. An input that cannot be read is left out and
    told, the others are answered, and the exit code is 1.

    Args:
        run: The run folder.
        inputs: Image files, or folders of them; as many for each answer as the network takes.
        out: Where answers go; without it, `predictions` in the run folder.
        recipe: Your own recipe file, where it registers the network or its kind of answer. It is
            run, as any import is; a run folder alone runs nothing.
        as_json: Print a list of all answers as JSON.
    """
    from vislab.inference import predict

    if recipe is not None:
        from vislab.lab.recipe import recipe_in

        recipe_in(recipe)
    # A run that may not be written to is still asked, unless a folder is asked for as well.
    folder = out or (run / "predictions" if os.access(run, os.W_OK) else None)
    rows = predict(RunFolder.open(run), files(inputs), out=folder)
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return int(any("error" in row for row in rows))
    names = [" ".join(n) if isinstance(n := row["input"], list) else n for row in rows]
    width = max(map(len, names), default=0)
    for name, row in zip(names, rows, strict=True):
        print(f"{name:<{width}}  {row['line']}".lstrip())
    if folder is None:
        print(f"{run} may not be written to; --out FOLDER says where answers may be kept")
    else:
        kept = [row for row in rows if "files" in row]
        drawn = sum(any(not f.endswith(".json") for f in row["files"]) for row in kept)
        some = "" if drawn == len(kept) else f", drawings of {drawn or 'none'} of {len(kept)}"
        print(f"answers: {folder}{some}")
    broken = sum("error" in row for row in rows)
    if broken:
        print(f"{broken} of {len(rows)} inputs were left out: they cannot be read")
    return int(broken > 0)


def files(paths: Sequence[Path]) -> list[Path]:
    """Return the files that the paths name, folders replaced by the images in them.

    Raises DataError for a folder without images and for a path where nothing is.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            tree = Tree(path)
            if not tree.images:
                raise DataError(f"{path} holds no images")
            found += [path / member for member in tree.images]
            for member in tree.unopened:
                name = path / member
                print(f"left out: {name}: save it as PNG or JPEG to be read", file=sys.stderr)
        elif not path.exists():
            raise DataError(f"there is no image at {path}")
        else:
            found.append(path)
    return found
