"""One verb: what the network of a finished run makes of new input, whatever it answers."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image
from torch import nn

from vislab.errors import DataError, OptionError, RunError

# The kinds of answers are registered when they are imported.
from vislab.inference import classes, dense, numbers  # noqa: F401
from vislab.inference.answers import Answer, Kind, Question, kind_of
from vislab.inference.networks import network_of
from vislab.runs.folder import RunFolder, file_name
from vislab.runs.model_card import ModelCard
from vislab.runs.own_files import JSON_KEY, OURS, free_stem, marked
from vislab.runs.writing import replacing, saying_why, write_bytes, write_json

LONGEST = 200  # bytes of an answer's name
DRAWN = 50  # answers whose drawing tells why, not what: more than one looks at


def predict(
    run: RunFolder, inputs: Sequence[Path], *, out: Path | None = None
) -> list[dict[str, Any]]:
    """Return what the run's network makes of each question, as JSON, with "line" for people.

    `inputs` are as many as the network takes for each question, one question after another. With
    `out`, a folder, each answer is written there: NAME.json always, NAME.png where there is
    something to see (of classes for the first `DRAWN`), NAME.webp where it moves, and the field's
    own file. Nothing is written over an input or a file that vislab did not write. An input that
    cannot be read is left out: its row has "error" in place of an answer, and the others go on.

    Raises OptionError for a wrong number of inputs, DataError where none at all can be read,
    RunError without a folder where the answer is an image alone.
    """
    model, card = network_of(run)
    kind = kind_of(card)
    asked = questions(run.path, card, inputs)
    if out is None and not kind.told:
        raise RunError("the answers are images: say where they go with --out FOLDER")
    taken = {path.resolve() for path in inputs}
    rows: list[dict[str, Any]] = []
    for start in range(0, len(asked), kind.at_once):
        some = asked[start : start + kind.at_once]
        drawn = out is not None and (kind.at_once == 1 or len(rows) < DRAWN)
        for question, answer in zip(some, answered(kind, model, card, some, drawn), strict=True):
            if isinstance(answer, DataError):
                told = f"left out: {answer}"
                rows.append({"input": names_of(question), "error": str(answer), "line": told})
                continue
            row = {"input": names_of(question), **answer.json, "line": answer.line}
            if kind.at_once > 1 and len(rows) >= DRAWN:
                answer = replace(answer, drawn=None)
            if out is not None:
                row["files"] = keep(answer, row, question, out, taken)
            rows.append(row)
    if rows and all("error" in row for row in rows):
        raise DataError(rows[0]["error"])
    return rows


def answered(
    kind: Kind, model: nn.Module, card: ModelCard, some: Sequence[Question], drawn: bool
) -> Sequence[Answer | DataError]:
    """Return an answer to each question, or what is wrong with its input."""
    try:
        return kind.answer(model, card, some, drawn=drawn)
    except DataError as error:
        if len(some) == 1:
            return [error]
        return [one for each in some for one in answered(kind, model, card, [each], drawn)]


def questions(run: Path, card: ModelCard, inputs: Sequence[Path]) -> list[Question]:
    """Cut the inputs into questions. Raises OptionError, with the right call, for a wrong count."""
    each = len(card.takes)
    call = f"vislab predict {run} {' '.join(name_in_call(one) for one in card.takes)}".rstrip()
    if not each:
        if inputs:
            raise OptionError(f"this network takes no input, got {len(inputs)}: `{call}`")
        return [()]
    if not inputs or len(inputs) % each:
        wanted = " and ".join(card.takes)
        raise OptionError(
            f"this network takes {wanted} for each answer, got {len(inputs)} "
            f"file{'' if len(inputs) == 1 else 's'}: `{call}`"
        )
    return [tuple(inputs[k : k + each]) for k in range(0, len(inputs), each)]


def name_in_call(taken: str) -> str:
    """Return what stands for an input in a call: IMAGE for "an image"."""
    return taken.split()[-1].upper()


def names_of(question: Question) -> str | list[str]:
    """Return the inputs of a question as they were named."""
    names = [str(path) for path in question]
    return names[0] if len(names) == 1 else names


def keep(
    answer: Answer, row: dict[str, Any], question: Question, out: Path, taken: set[Path]
) -> list[str]:
    """Write one answer into the folder and return its files."""
    with saying_why(out):
        out.mkdir(parents=True, exist_ok=True)
    contents: dict[str, bytes | Image.Image] = dict(answer.files)
    if answer.drawn is not None:
        contents[".png"] = answer.drawn
    if answer.moving:
        contents[".webp"] = as_webp(answer.moving)
    wanted = short(file_name(question[0].stem)) if question else "answer"
    stem = free_stem(out, wanted, [".json", *contents], taken)
    files = {ending: out / f"{stem}{ending}" for ending in contents}
    # First of all what lists the others: after a kill they are known as ours.
    about = {**row, "files": [path.name for path in files.values()], JSON_KEY: OURS}
    write_json(out / f"{stem}.json", about)
    for ending, content in contents.items():
        if isinstance(content, bytes):
            write_bytes(files[ending], content)
        else:
            with replacing(files[ending]) as file:
                content.save(file, format="PNG", pnginfo=marked())
    written = [out / f"{stem}.json", *files.values()]
    taken.update(path.resolve() for path in written)
    return [str(path) for path in written]


def short(name: str) -> str:
    """Return a name that leaves room for endings: a file's may have 255 bytes."""
    content = name.encode()
    if len(content) <= LONGEST:
        return name
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{content[: LONGEST - 9].decode(errors='ignore')}-{digest}"


def as_webp(frames: Sequence[Image.Image]) -> bytes:
    """Return images as one that moves, ten a second, for ever."""
    held = io.BytesIO()
    first, *rest = frames
    first.save(held, format="WEBP", save_all=True, append_images=rest, duration=100, loop=0)
    return held.getvalue()
