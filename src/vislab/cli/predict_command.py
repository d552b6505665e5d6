"""`vislab predict`: what a finished run's network says of new pictures."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from vislab.data.decode import EXTENSIONS
from vislab.errors import DataError
from vislab.runs.folder import RunFolder

DENSE = ("shares", "found", "mask", "over", "boxes", "coloured", "rebuilt")  # in place of a label


def main(words: Sequence[str]) -> int:
    """Predict."""
    tyro.cli(show, args=list(words), prog="vislab predict")
    return 0


def show(
    run: Annotated[Path, tyro.conf.Positional],
    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional],
    why: Path | None = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Ask the network of a finished run about new pictures.

    Each gets a label and a probability; a folder gets pictures that show where the network looked.
    A network that segments, detects or colours writes its masks, boxes or colours there.

    Args:
        run: The run folder.
        pictures: Picture files, or folders of them.
        why: Where the pictures of where it looked go; without it, `predictions` in the run folder.
        as_json: Print a list of picture, label and probability as JSON.
    """
    from vislab.inference.classes import DRAWN, predict

    # A run that may not be written to is still asked, unless drawings are asked for as well.
    folder = why or (run / "predictions" if os.access(run, os.W_OK) else None)
    found = predict(RunFolder.open(run), files(pictures), why=folder)
    if as_json:
        wanted = ("picture", "label", "probability", "why", *DENSE)
        rows = [{key: row[key] for key in wanted if key in row} for row in found]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    width = max(len(row["picture"]) for row in found)
    if "probability" not in found[0]:
        for row in found:
            print(f"{row['picture']:<{width}}  {dense(row)}")
        if folder is not None:
            print(f"pictures: {folder}")
        return
    for row in found:
        others = ", ".join(f"{o['label']} {o['probability']:.0%}" for o in row["top"][1:3])
        beside = f"   then {others}" if others else ""
        print(f"{row['picture']:<{width}}  {row['label']} {row['probability']:.1%}{beside}")
    if folder is None:
        print(f"{run} may not be written to; --why FOLDER says where pictures of why may go")
    elif "why" in found[0]:
        first = f", of the first {DRAWN}" if len(found) > DRAWN else ""
        print(f"where it looked{first}: {folder}")
    else:
        print("this network keeps no places, so there is no picture of where it looked")


def dense(row: dict[str, Any]) -> str:
    """Say in a line what masks or boxes show."""
    if "shares" in row:
        shares = [f"{label} {share:.0%}" for label, share in row["shares"].items() if share > 0.005]
        return ", ".join(shares[:5])
    if "found" in row:
        sure = [f"{one['label']} {one['score']:.0%}" for one in row["found"] if one["score"] >= 0.5]
        return ", ".join(sure) or "nothing it is sure of"
    return "done"


def files(paths: Sequence[Path]) -> list[Path]:
    """Return the pictures that the paths name, folders replaced by what they hold."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in EXTENSIONS)
            if not inside:
                raise DataError(f"{path} holds no pictures")
            found += inside
        elif not path.exists():
            raise DataError(f"there is no picture at {path}")
        else:
            found.append(path)
    if not found:
        raise DataError("name at least one picture: `vislab predict RUN PICTURE`")
    return found
