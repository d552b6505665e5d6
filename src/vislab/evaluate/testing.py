"""A task tested on one split of a table, whatever the task: run, written down, reported."""

from collections.abc import Iterator, Mapping

import torch

from vislab.data.batches import Batch, InOrder, in_order
from vislab.data.table import Table

# Their reports are registered when they are imported.
from vislab.evaluate import classification, detection, reconstruction, segmentation  # noqa: F401
from vislab.evaluate.report import scored
from vislab.progress import track
from vislab.runs.formatting import trivial_word
from vislab.runs.intervals import FEWEST
from vislab.runs.notebook import Notebook
from vislab.tasks.layout import in_its_layout
from vislab.tasks.outcome import Outcome
from vislab.tasks.task import Measured


class WithBar:
    """Batches of a split that draw a progress bar each time they are gone through."""

    def __init__(self, batches: InOrder, what: str, *, quiet: bool) -> None:
        self.batches, self.split, self.table = batches, batches.split, batches.table
        self.what, self.quiet = what, quiet

    def __iter__(self) -> Iterator[Batch]:
        total = len(self.split)
        with track(self.what, total=total, unit="images", quiet=self.quiet) as advance:
            for batch in self.batches:
                yield batch
                advance(len(batch.images))


def run_test(
    task: Measured, table: Table, split: str, *, device: torch.device, quiet: bool = False
) -> Outcome:
    """Run a task's network over a split, in eval mode, and leave it as it was."""
    task.network.to(device)
    batches = in_order(table, split, task.images_at_once, device=device)
    shown = WithBar(batches, f"testing on {split} images", quiet=quiet)
    return in_its_layout(task.network, lambda: task.test(shown))


def write_down(
    notebook: Notebook, outcome: Outcome, trivial: Mapping[str, float], split: str, name: str
) -> None:
    """Record every score of an outcome, its interval and what the trivial answer scores.

    Of the training images the main score and the loss alone, and no interval: they are all there
    are.
    """
    prefix = f"{name}/{split}" if name else split
    if split == "train":
        for score in [one for one in (*outcome.values, *outcome.whole) if one != outcome.score]:
            if score == "loss":
                notebook.record(f"{prefix}/loss", outcome.mean("loss"))
        notebook.record(
            f"{prefix}/{outcome.score}", outcome.mean(), trivial=trivial.get(outcome.score)
        )
        return
    if 0 < len(outcome) < FEWEST and (few := too_few(outcome)):
        notebook.note(few)
    for score, (value, interval) in outcome.estimates.items():
        notebook.record(f"{prefix}/{score}", value, interval=interval, trivial=trivial.get(score))


def too_few(outcome: Outcome) -> str:
    """Say what each image scored, where there are too few to say how far their mean is right."""
    scores = outcome.values.get(outcome.score)
    if scores is None or scores.dtype.kind == "b":
        return ""  # a share has an interval at any number
    each = ", ".join(f"{score:.3g}" for score in scores)
    return (
        f"{len(outcome)} test images are too few to say how far their mean {outcome.score} can be "
        f"trusted; they scored {each}."
    )


def told(
    task: Measured, outcome: Outcome, trivial: Mapping[str, float], split: str, name: str
) -> str:
    """Say in a line what a test came to."""
    main = scored(outcome.mean(), outcome, units=task.units)
    level = trivial.get(outcome.score)
    beside = ""
    if level is not None:
        word = trivial_word(f"test/{outcome.score}", [f"test/{one}" for one in outcome.whole])
        said = scored(level, outcome, units=task.units).removeprefix(f"{outcome.score} ")
        beside = f" ({word} {said})"
    return f"{name or 'network'} on {len(outcome)} {split} images: {main}{beside}"
