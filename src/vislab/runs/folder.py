"""One run, one folder: the only place numbers, figures and weights of a run are kept.

    recipe.yaml        every resolved option
    environment.json   versions, hardware, seed, commit
    metrics.jsonl      one line a logged step
    result.json        what was found; `status` is finished, interrupted or failed
    checkpoints/       what a killed run continues from
    model.safetensors  the final weights; model.json says which network they fit
    figures/           PNG for eyes, SVG for slides where the figure is a drawing
    tables/            CSV
    report.html        all of it on one page

A folder can be moved, zipped and read elsewhere.
"""

import csv
import io
import itertools
import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import yaml

from vislab.errors import RunError
from vislab.runs.old_names import by_new_names
from vislab.runs.shape import (
    NUMBER,
    Misfit,
    Shape,
    at_least_zero,
    fits,
    pair,
    require,
    require_plain,
)
from vislab.runs.tables import Head, as_text, flat_rows, formats_of, from_text, is_format
from vislab.runs.writing import (
    finite,
    saying_why,
    write_bytes,
    write_json,
    write_new,
    write_text,
)

FORMAT = 2  # raised when an older vislab could misread a folder

Status = Literal["finished", "interrupted", "failed"]

FILED: Shape = {"title": str, "file": str, "caption?": str, "folded?": bool}


def _is_count(value: Any) -> bool:
    return fits(value, int) and value >= 0


def _is_reference(value: Any) -> bool:
    """Ask whether a reference that says how the two numbers compare has both."""
    known = ("not measured", "not comparable")
    return value["verdict"] in known or None not in (value["value"], value["ours"])


REFERENCE: Shape = {
    "metric": str, "value": NUMBER, "source": str, "kind": str, "ours": NUMBER, "verdict": str,
    "cells": [{"cell": str, "theirs": Any, "ours": Any, "differs": bool}],
}  # fmt: skip
CLAIM: Shape = {
    "claim": str, "metric": str, "verdict": str, "at_least?": NUMBER, "at_most?": NUMBER,
    "value?": NUMBER, "interval?": (None, pair),
}  # fmt: skip
COST: Shape = {
    "name?": str, "parameters?": NUMBER, "macs?": NUMBER, "train_images_per_second?": NUMBER,
    "peak_memory_bytes?": NUMBER, "seconds?": NUMBER, "epochs?": NUMBER,
    "latency_ms?": (None, {"*": (None, {"*": NUMBER})}),
}  # fmt: skip
LESSON: Shape = {
    "title?": str, "story?": [str], "source?": str, "question?": str, "look_at?": [str],
    "exercises?": [{"task": str, "answer": str}],
}  # fmt: skip
RESULT: Shape = {
    "status?": {"finished", "interrupted", "failed"}, "title?": str, "seed?": int,
    "command?": str, "metrics?": {"*": NUMBER}, "intervals?": {"*": pair},
    "trivial?": {"*": NUMBER}, "references?": [REFERENCE], "claims?": [CLAIM],
    "protocol?": {"*": Any}, "figures?": [FILED],
    "tables?": [{**FILED, "shown?": bool, "formats?": {"*": is_format}, "spans?": [str]}],
    "costs?": [COST], "lesson?": LESSON, "data?": [{"*": Any}], "notes?": [str],
    "error?": (str, None), "seconds?": at_least_zero, "peak_memory_bytes?": _is_count,
    "weights_sha256?": (str, None), "format?": int,
}  # fmt: skip
RECIPE: Shape = {"recipe": str, "format": int, "options": {"*": Any}}


@dataclass
class Result:
    """What `result.json` holds. Lists and dicts are plain JSON."""

    recipe: str
    status: Status = "interrupted"  # until it is over: a killed process cannot say so later
    title: str = ""
    seed: int = 0
    command: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    trivial: dict[str, float] = field(default_factory=dict)  # what the trivial answer scores
    references: list[dict[str, Any]] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)
    protocol: dict[str, Any] = field(default_factory=dict)
    figures: list[dict[str, Any]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    costs: list[dict[str, Any]] = field(default_factory=list)
    lesson: dict[str, Any] = field(default_factory=dict)
    data: list[dict[str, Any]] = field(default_factory=list)  # every set that was opened
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    weights_sha256: str | None = None
    format: int = FORMAT


class RunFolder:
    """A run folder that is open.

    With `silent=True` it reads but writes nothing: the processes of a distributed run other than
    the first use it so.
    """

    def __init__(self, path: Path, *, silent: bool = False) -> None:
        self.path = path
        self.silent = silent
        self.result = Result(recipe="")

    @classmethod
    def create(
        cls, path: Path, recipe: str, options: dict[str, Any], *, silent: bool = False
    ) -> "RunFolder":
        """Begin a run. Raises RunError when the folder already holds a run or other files."""
        run = cls(path, silent=silent)
        run.result = Result(recipe=recipe)
        if silent:
            return run
        if path.exists() and not path.is_dir():
            raise RunError(f"{path} is a file; name a folder for the run")
        with saying_why(path):
            path.mkdir(parents=True, exist_ok=True)
            foreign = any(not file.name.startswith(".") for file in path.iterdir())
        if foreign and not (path / "recipe.yaml").exists():
            raise RunError(f"{path} is not empty and holds no run; name another folder")
        # First of all: what a kill leaves behind from here on is a run that can be continued. Of
        # two processes that begin a run here at the same moment, one writes this file.
        content = {"recipe": recipe, "format": FORMAT, "options": options}
        text = yaml.safe_dump(content, sort_keys=False)
        if not write_new(path / "recipe.yaml", text.encode()):
            raise RunError(
                f"{path} already holds a run; continue it with `vislab run --resume {path}` "
                "or name another folder"
            )
        run.tidy()
        run.save()
        return run

    def tidy(self) -> None:
        """Make the folders inside, and remove what a kill left half written."""
        if self.silent:
            return
        with saying_why(self.path):
            for inner in ("checkpoints", "figures", "tables"):
                (self.path / inner).mkdir(exist_ok=True)
            for unfinished in self.path.rglob(".*.part"):
                unfinished.unlink(missing_ok=True)  # of one that begins a run here and comes late

    @classmethod
    def open(cls, path: Path, *, silent: bool = False) -> "RunFolder":
        """Open a run that exists, to read or to continue it.

        Raises RunError when there is none, when it is damaged, or when a newer vislab wrote it.
        """
        run = cls(path, silent=silent)
        recipe = run.recipe()
        file = path / "result.json"
        content = read_json(file) if file.exists() else {}  # killed before its first line
        if "chance" in content:  # as format 1 called it, which knew one set alone
            content.setdefault("trivial", content["chance"])
        if isinstance(content.get("data"), dict):
            content["data"] = [content["data"]] if content["data"] else []
        known = Result.__dataclass_fields__
        content = {key: value for key, value in content.items() if key in known}
        content["recipe"] = recipe["recipe"]
        try:
            require(content, RESULT, "it")
            if not all(map(_is_reference, content.get("references", []))):
                raise Misfit("a reference is compared with nothing")
        except Misfit as misfit:
            _refuse(file, misfit)
        # JSON has no NaN: null was written for what is not finite.
        content["metrics"] = {
            key: math.nan if value is None else float(value)
            for key, value in content.get("metrics", {}).items()
        }
        content["intervals"] = {
            key: (float(bounds[0]), float(bounds[1]))
            for key, bounds in content.get("intervals", {}).items()
            if None not in bounds
        }
        content["trivial"] = {
            key: float(value)
            for key, value in content.get("trivial", {}).items()
            if value is not None
        }
        content["seconds"] = float(content.get("seconds", 0.0))
        content["costs"] = [by_new_names("costs", cost) for cost in content.get("costs", [])]
        run.result = Result(**content)
        return run

    def recipe(self) -> dict[str, Any]:
        """Return what `recipe.yaml` holds: `recipe`, `format`, `options`."""
        path = self.path / "recipe.yaml"
        if not path.exists():
            raise RunError(f"{self.path} is no run folder: it holds no recipe.yaml")
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            require_plain(content, finite=False)
            written_by = content.get("format") if isinstance(content, dict) else None
            if isinstance(written_by, int) and written_by > FORMAT:
                raise RunError(
                    f"{self.path} was written by a newer vislab (folder format {written_by}, "
                    f"this one reads up to {FORMAT}); update with `pip install -U vislab`"
                )
            require(content, RECIPE, "it")
        except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
            _refuse(path, error)
        return dict(content)

    def save(self) -> None:
        """Write result.json, whole or not at all."""
        if not self.silent:
            write_json(self.path / "result.json", self.result.__dict__)

    def log(self, line: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl; NaN and infinities become null, as JSON has none.

        A line that a kill cut short is ended first, so that the new one does not join it.
        """
        if not self.silent:
            path = self.path / "metrics.jsonl"
            with saying_why(path), path.open("a+b") as file:
                if file.tell() > 0:
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":
                        file.write(b"\n")
                file.write((json.dumps(finite(line)) + "\n").encode())

    def logged(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl; those that are damaged are left out."""
        return self._lines()[0]

    def damaged_lines(self) -> int:
        """Return how many lines of metrics.jsonl are damaged: cut short by a kill, or no object."""
        return self._lines()[1]

    def _lines(self) -> tuple[list[dict[str, Any]], int]:
        path = self.path / "metrics.jsonl"
        if not path.exists():
            return [], 0
        try:
            texts = path.read_bytes().split(b"\n")
        except OSError as error:
            _refuse(path, error)
        found = [line for text in texts if text.strip() and (line := _line(text)) is not None]
        return found, sum(bool(text.strip()) for text in texts) - len(found)

    def forget_after(self, fit: str, step: int) -> None:
        """Drop what a killed run logged of `fit` after the step it continues from."""
        if not self.silent and (self.path / "metrics.jsonl").exists():
            lines, damaged = self._lines()
            kept = [line for line in lines if line.get("fit") != fit or line.get("step", 0) <= step]
            text = "".join(json.dumps(line) + "\n" for line in kept)
            if damaged:
                self.result.notes.append(damaged_sentence(damaged))
            write_text(self.path / "metrics.jsonl", text)

    def add_figure(
        self,
        title: str,
        png: bytes,
        *,
        caption: str = "",
        folded: bool = False,
        svg: bytes | None = None,
    ) -> None:
        """File an image under its title; one of the same title is replaced."""
        name = free_name(title, self.result.figures)
        if not self.silent:
            write_bytes(self.path / "figures" / f"{name}.png", png)
            if svg is not None:
                write_bytes(self.path / "figures" / f"{name}.svg", svg)
        entry = {
            "title": title,
            "file": f"figures/{name}.png",
            "caption": caption,
            "folded": folded,
        }
        put(self.result.figures, entry)

    def add_table(
        self,
        title: str,
        columns: Sequence[Head],
        rows: Iterable[Sequence[Any]],
        *,
        caption: str = "",
        folded: bool = False,
        shown: bool = True,
    ) -> Path:
        """File a table as CSV under its title; `shown=False` keeps it out of the report.

        See `runs.tables` for columns and cells.
        """
        names, lines, spans = flat_rows(columns, rows)
        name = free_name(title, self.result.tables)
        path = self.path / "tables" / f"{name}.csv"
        if not self.silent:
            text = csv_text([as_text(cell) for cell in line] for line in (names, *lines))
            write_text(path, text)
        entry = {
            "title": title,
            "file": f"tables/{name}.csv",
            "caption": caption,
            "folded": folded,
            "shown": shown,
            "formats": formats_of(columns),
            "spans": spans,
        }
        put(self.result.tables, entry)
        return path

    def table(self, title: str) -> tuple[list[str], list[list[str]]]:
        """Read a table back: its columns and its rows, as text."""
        path = self.path / "tables" / f"{free_name(title, self.result.tables)}.csv"
        try:
            with path.open(newline="", encoding="utf-8") as file:
                columns, *rows = ([from_text(cell) for cell in line] for line in csv.reader(file))
        except FileNotFoundError as error:
            raise RunError(f"{self.path} holds no table {title!r} ({path} is missing)") from error
        except (OSError, ValueError, csv.Error) as error:
            raise RunError(f"{path} is damaged; the table {title!r} cannot be read") from error
        return columns, rows


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV, lines ended by \\n alone.

    The writer quotes what its own line ends are made of: given \\n alone, a cell with \\r would end
    its row.
    """
    lines = []
    for row in rows:
        held = io.StringIO(newline="")
        csv.writer(held).writerow(row)
        lines.append(held.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def read_json(path: Path) -> dict[str, Any]:
    """Read an object from a JSON file. Raises RunError when it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        require_plain(content)
        require(content, {"*": Any}, "it")
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing; the run ended before it was written") from error
    except (OSError, ValueError, RecursionError) as error:
        _refuse(path, error)
    return dict(content)


def _refuse(path: Path, error: Exception) -> NoReturn:
    why = f" ({error})" if isinstance(error, Misfit) else ""
    raise RunError(f"{path} is damaged{why}; this run cannot be read") from error


def _line(text: bytes) -> dict[str, Any] | None:
    """Return a line of metrics.jsonl; None where it is damaged."""
    try:
        line = json.loads(text)
        require_plain(line)
        require(line, {"fit?": str, "epoch?": NUMBER, "step?": float}, "it")
    except (ValueError, RecursionError):
        return None
    return dict(line)


def damaged_sentence(count: int) -> str:
    """Say how many lines of metrics.jsonl were left out."""
    lines, were = ("1 damaged line", "was") if count == 1 else (f"{count} damaged lines", "were")
    return f"{lines} of metrics.jsonl, cut short or no object, {were} left out."


def file_name(title: str) -> str:
    """Return a title as a file name: lower case, hyphens for everything unusual."""
    return re.sub(r"[^\w.]+", "-", title.lower()).strip("-.") or "untitled"


def free_name(title: str, entries: list[dict[str, Any]]) -> str:
    """Return the file name of a title, numbered where another title already has that name."""
    name = file_name(title)[:100]
    others = {Path(entry["file"]).stem: entry["title"] for entry in entries}
    mine = [stem for stem, other in others.items() if other == title]
    if mine:
        return mine[0]
    turns = (f"{name}-{turn}" if turn > 1 else name for turn in itertools.count(1))
    return next(free for free in turns if free not in others)


def put(entries: list[dict[str, Any]], entry: dict[str, Any]) -> None:
    """Add `entry`, or put it where one of the same title stands."""
    for place, other in enumerate(entries):
        if other["title"] == entry["title"]:
            entries[place] = entry
            return
    entries.append(entry)
