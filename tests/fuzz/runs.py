"""Run folders that were damaged, or made by somebody else: one more kind of trial."""

import json
import random
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import yaml

from vislab import models, tasks
from vislab.errors import VislabError
from vislab.inference.networks import network_of
from vislab.lab.knobs import restore
from vislab.lab.recipe import Recipe
from vislab.lab.running import execute, read_conditions
from vislab.runs.compare import compare, comparison_lines, write_comparison
from vislab.runs.folder import RunFolder
from vislab.runs.report import write_report


@dataclass(frozen=True)
class Little(Recipe):
    """Train a very small network once."""

    data: str = "shapes:easy"
    size: int = 16
    rates: tuple[float, ...] = (1e-3,)

    def run(self, lab):
        images = lab.images(self.data, per_class=2, size=self.size)
        task = tasks.Classify(models.create("convnet", classes=len(images.classes), widths=(4,)))
        found = lab.once("chosen", lambda: {"batch": 8, "tried": [["a", 1.5], ["b", None]]})
        lab.fit(task, images, epochs=1, batch=found["batch"])
        lab.test(task, images, examine=False)


def finished(folder):
    """Make a finished run of few small files and return its folder."""
    execute(Little(), "little", folder, quiet=True)
    return folder


def files(folder):
    kept = (
        "*.json", "*.yaml", "*.jsonl", "*.safetensors", "tables/*.csv", "checkpoints/*.json",
        "checkpoints/*/*.ckpt",
    )  # fmt: skip
    return sorted(path for kind in kept for path in folder.glob(kind))


STRANGE = [
    None, True, -1, 0, 1.5, 10**400, 2**62, 1e308, float("nan"), float("inf"), "", "x" * 5000,
    "\x1b[31m", "\ud800", "../../etc/passwd", [], [[]], {}, {"a": None}, [1, "a"], "1e999",
]  # fmt: skip


def places(content, before=()):
    """Return the place of every value in nested lists and dicts, as keys."""
    found = [before] if before else []
    inner = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in inner:
        if isinstance(value, dict | list):
            found += places(value, (*before, key))
        else:
            found.append((*before, key))
    return found


def mutate_content(content, chance):
    """Change, drop or add one value somewhere."""
    *way, last = chance.choice(places(content) or [("new",)])
    at = content
    for key in way:
        at = at[key]
    turn = chance.random()
    if turn < 0.2:
        del at[last]
    elif turn < 0.3 and isinstance(at, dict):
        at[str(chance.choice(STRANGE))] = chance.choice(STRANGE)
    else:
        at[last] = chance.choice(STRANGE)


def mutate(path, chance):
    """Harm one file in one of many ways."""
    content = path.read_bytes()
    turn = chance.random()
    if path.suffix in (".json", ".yaml") and turn < 0.8:
        held = yaml.safe_load(content)
        mutate_content(held, chance)
        text = json.dumps(held)  # is YAML as well
        path.write_text(text)
    elif path.suffix == ".ckpt" and turn < 0.6:
        state = torch.load(path, weights_only=True)
        mutate_content(state, chance)
        torch.save(state, path)
    elif turn < 0.85:
        place = chance.randrange(len(content))
        junk = bytes(chance.randrange(256) for _ in range(chance.choice([1, 4, 64])))
        path.write_bytes(content[:place] + junk + content[place + len(junk) :])
    elif turn < 0.9:
        path.write_bytes(content[: chance.randrange(len(content))])
    elif turn < 0.95:
        path.write_bytes(b"")
    else:
        path.unlink()
        if chance.random() < 0.5:
            path.mkdir()


def resumed(folder):
    """Continue a run as `vislab run --resume` does; options that were changed are not tried out."""
    values, conditions = read_conditions(RunFolder(folder).recipe())
    if restore(Little, values) == Little() and conditions.seeds == 1:
        execute(Little(), "little", folder, conditions, resume=True, quiet=True)


def compared(folder, whole):
    found = compare([RunFolder.open(whole), RunFolder.open(folder)])
    comparison_lines(found)
    write_comparison(found, folder / "comparison.html")


def tampered(seed, made, folder):
    """Harm a copy of a run, ask all that opens one, and return how often it was refused."""
    chance, refused = random.Random(seed), 0
    shutil.copytree(made, folder)
    for path in chance.sample(files(folder), chance.choice([1, 1, 2])):
        mutate(path, chance)
    openers = [
        lambda folder: network_of(RunFolder.open(folder)),
        lambda folder: compared(folder, made),
        lambda folder: write_report(RunFolder.open(folder)),
    ]
    if seed % 5 == 0:
        openers.append(resumed)
    for opener in openers:
        try:
            opener(folder)
        except VislabError as error:
            refused += len(str(error)) > 30
    return refused


@cache
def _made():
    return finished(Path(tempfile.mkdtemp()) / "run")


def a_run_folder(seed: int, folder: Path) -> None:
    """Open a changed run folder in every way there is."""
    tampered(seed, _made(), folder / "run")
