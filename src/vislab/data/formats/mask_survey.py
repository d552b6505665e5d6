"""All masks of a set looked at once: what each holds."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from vislab.data.formats.mask_files import classes_of, codes_of_values, colours_of
from vislab.data.formats.mask_pixels import Pixels, pixels_of
from vislab.data.mask_reading import MaskReading
from vislab.data.tree import Tree
from vislab.errors import DataError
from vislab.progress import track

KEPT = 4096  # different colours of one file that are remembered


@dataclass(frozen=True, eq=False)
class Seen:
    """What one mask holds: each value once, of how many pixels, and under what is transparent."""

    size: tuple[int, int]  # width, height
    pixels: Pixels  # its values are those that occur, once each
    counts: Int[np.ndarray, " v"]
    hidden: Int[np.ndarray, " v"]  # how many of them are transparent

    @property
    def layered(self) -> bool:
        """Whether some of its pixels are transparent and some are not."""
        return 0 < int(self.hidden.sum()) < int(self.counts.sum())

    def codes(self, reading: MaskReading) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
        """Return what tells the classes in this file, and of how many pixels."""
        if reading.by == "alpha":
            covered = np.array([self.hidden.sum(), (self.counts - self.hidden).sum()])
            return np.flatnonzero(covered), covered[covered > 0]
        codes = codes_of_values(self.pixels, self.pixels.values, reading)
        if not reading.hides or not self.hidden.sum():
            return codes, self.counts
        left = self.counts - self.hidden
        codes = np.append(codes[left > 0], 0)
        return codes, np.append(left[left > 0], self.hidden.sum())

    def classes(self, reading: MaskReading) -> Int[np.ndarray, " k"]:
        """Return the classes in this file, ascending. Raises DataError as `read_mask` does."""
        codes, counts = self.codes(reading)
        kinds, place = np.unique(codes, return_inverse=True)
        together = np.bincount(place.reshape(-1), weights=counts).astype(np.int64)
        return np.unique(classes_of(kinds, together, reading)).astype(np.int64)


def survey(tree: Tree, files: Sequence[str], name: str) -> dict[str, Seen | str]:
    """Look at every mask once; of one that cannot be read, return why."""

    def look(file: str) -> Seen | str:
        try:
            return _seen(pixels_of(tree.root / file))
        except DataError as error:
            return str(error)

    with (
        track(f"reading {name}", total=len(files), unit="masks") as advance,
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
    ):
        found = {}
        for file, seen in zip(files, pool.map(look, files), strict=True):
            advance(1)
            found[file] = seen
    return found


def _seen(pixels: Pixels) -> Seen:
    flat = pixels.values.reshape(-1)
    if pixels.kind == "colour":
        values, place = np.unique(flat, return_inverse=True)
        counts = np.bincount(place)
        hidden = np.zeros_like(counts)
        if pixels.hidden is not None:
            hidden = np.bincount(place, weights=pixels.hidden.reshape(-1)).astype(np.int64)
        if len(values) > KEPT:  # nobody's classes: the rest stands for one colour of no class
            order = np.argsort(-counts, kind="stable")
            most, rest = order[:KEPT], order[KEPT:]
            values = np.append(values[most], -1)
            counts = np.append(counts[most], counts[rest].sum())
            hidden = np.append(hidden[most], hidden[rest].sum())
    else:
        all_counts = np.bincount(flat)
        values = np.flatnonzero(all_counts)
        counts = all_counts[values]
        hidden = np.zeros_like(counts)
        if pixels.hidden is not None:
            behind = flat[pixels.hidden.reshape(-1)]
            hidden = np.bincount(behind, minlength=len(all_counts))[values]
    height, width = pixels.values.shape
    kept = replace(pixels, values=values.astype(np.int32), hidden=None)
    return Seen((width, height), kept, counts.astype(np.int64), hidden.astype(np.int64))


def colours_in(one: Seen, *, without_hidden: bool = False) -> Counter[int]:
    """Return of how many pixels each colour is in a mask, as 0xRRGGBB; greys of 16 bits as such."""
    held: Counter[int] = Counter()
    try:
        colours = colours_of(one.pixels, one.pixels.values)
    except DataError:  # of 16 bits
        colours = one.pixels.values
    counts = one.counts - one.hidden if without_hidden else one.counts
    for colour, count in zip(colours.tolist(), counts.tolist(), strict=True):
        held[colour] += count
    return held
