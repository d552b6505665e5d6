"""A notebook whose figures can be looked at, and tables of a few images that are known by heart."""

import numpy as np

from vislab.data.columns import Labels
from vislab.data.table import Table
from vislab.runs.folder import RunFolder
from vislab.runs.notebook import Notebook

RED, GREEN, BLUE = np.eye(3, dtype=int)


class Kept(Notebook):
    """Keeps figures by their titles in place of painting them."""

    def __init__(self, path):
        super().__init__(RunFolder.create(path / "run", "a test", {}), quiet=True)
        self.figures, self.captions, self.folded = {}, {}, {}

    def show(self, title, figure, *, caption="", folded=False):
        self.figures[title], self.captions[title] = figure, caption
        self.folded[title] = folded

    def images(self, title):
        """Return the images of a figure, in the order in which they stand."""
        return [np.asarray(one.get_array()) for one in self.figures[title].axes[0].images]

    def texts(self, title):
        """Return what is written in a figure, empty places aside."""
        return [one.get_text() for one in self.figures[title].axes[0].texts if one.get_text()]

    def bars(self, title):
        """Return the lengths of a figure's bars by their names."""
        axes = self.figures[title].axes[0]
        names = [label.get_text() for label in axes.get_yticklabels()]
        return dict(zip(names, [bar.get_width() for bar in axes.patches], strict=True))

    def table_of(self, title):
        """Return a filed table, a dict for each row."""
        columns, rows = self.run.table(title)
        return [dict(zip(columns, row, strict=True)) for row in rows]


def table_of(pixels, labels, *, classes=("red", "green", "blue"), train=3):
    """Return images as a table, the first to train on and the others to test on."""
    count = len(pixels)
    splits = np.where(np.arange(count) < train, 0, 2).astype(np.uint8)
    return Table(
        "made", tuple(classes), pixels.shape[1], pixels, splits,
        tuple(f"{k}.png" for k in range(count)), "own files", True,
        {"label": Labels(np.array(labels, dtype=np.int64), len(classes))},
    ).normalised_by((0.0,) * 3, (1.0,) * 3)  # fmt: skip


def coloured(count=12, side=12, train=3, strength=120):
    """Return images in noise about the colour of their class, the classes in turn."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (count, side, side, 3))
    for k in range(count):
        pixels[k, ..., k % 3] += strength
    return table_of(pixels.astype(np.uint8), np.arange(count) % 3, train=train)
