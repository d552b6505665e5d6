"""A data set as a table: pixels with splits and names, and columns of what is known of each row."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int, UInt8

from vislab.data.columns import Boxes, Column, Labels, Masks, Names, Placement
from vislab.data.decode import Fit
from vislab.data.listing import SPLITS
from vislab.data.normalisation import Normalisation, measured
from vislab.errors import DataError, OptionError

UNUSED = 255  # in `splits`: of no split
C = TypeVar("C", bound=Column)


@dataclass(frozen=True, eq=False)
class Table:
    """N images of one size, and columns of N entries each.

    `pixels` are (N, S, S, 3), or (N, T, S, S, 3) for clips; a memory map, read on demand. `splits`
    holds indices into `SPLITS`, or UNUSED. `origin` says where the pixels come from, for the
    protocol card: "official files", "generated" or "own files". `subset` says how the training
    images were chosen. Where there are masks, `classes` begins with the background.
    """

    name: str
    classes: tuple[str, ...]
    size: int
    pixels: UInt8[np.ndarray, "n *_ 3"]
    splits: UInt8[np.ndarray, " n"]
    names: tuple[str, ...]
    origin: str
    official: bool
    columns: Mapping[str, Column] = field(default_factory=dict)
    subset: str = "all"
    notes: tuple[str, ...] = ()
    scaled: bool = True  # whether normalisation divides by the standard deviation as well
    fit: Fit = "crop"  # what became of images that were not square
    depth: int | None = None  # bits of the greys in 16-bit files
    as_before: Normalisation | None = None  # of the images a network was trained on before

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if len(column) != len(self.splits):
                raise DataError(
                    f"the column {name!r} of {self.name} has {len(column)} entries for "
                    f"{len(self.splits)} images"
                )

    def __len__(self) -> int:
        return len(self.splits)

    def split(self, name: str) -> "Split":
        """Return one split: train, val or test. A split may be empty."""
        return Split(name, self, np.flatnonzero(self.splits == SPLITS.index(name)))

    def take(self, rows: Int[np.ndarray, " m"]) -> "Table":
        """Return the table of these rows alone, in this order."""
        return replace(
            self,
            pixels=self.pixels[rows],
            splits=self.splits[rows],
            names=tuple(self.names[row] for row in rows),
            columns={name: column.take(rows) for name, column in self.columns.items()},
        )

    def column(self, name: str, kind: type[C]) -> C:
        """Return a column. Raises DataError where the table has none of this name and kind."""
        found = self.columns.get(name)
        if not isinstance(found, kind):
            known = ", ".join(self.columns) or "none"
            raise DataError(f"{self.name} has no {name}; what is known of its images: {known}")
        return found

    def with_columns(self, **columns: Column) -> "Table":
        """Return the same images with further columns, or others in place of these."""
        return replace(self, columns={**self.columns, **columns})

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """The class of each image."""
        return self.column("label", Labels).values

    @property
    def groups(self) -> tuple[str, ...] | None:
        """Who or what each image shows, a person or a patient; None where nobody said."""
        found = self.columns.get("group")
        return found.values if isinstance(found, Names) else None

    @property
    def boxes(self) -> Boxes:
        """The objects in the images."""
        return self.column("boxes", Boxes)

    @property
    def masks(self) -> Masks:
        """The class of each pixel."""
        return self.column("masks", Masks)

    @property
    def placement(self) -> Placement:
        """Where the pixels of the files lie."""
        return self.column("placement", Placement)

    @cached_property
    def normalisation(self) -> Normalisation:
        """Mean and standard deviation of each channel in [0, 1], over the training images.

        See `normalisation.measured`; or what a pre-trained network was shown.
        """
        if self.as_before is not None:
            return self.as_before
        return measured(self.pixels, self.split("train").rows, scaled=self.scaled)

    def centred(self) -> "Table":
        """Return the same images, normalised by taking the mean away and no more."""
        return replace(self, scaled=False)

    def normalised_by(self, mean: tuple[float, ...], std: tuple[float, ...]) -> "Table":
        """Return the same images, normalised as a pre-trained network expects them."""
        return replace(self, as_before=(mean, std))

    def shown_to(self, network: Any) -> "Table":
        """Return the same images, normalised as the network's weights expect, if they do."""
        shown = getattr(network, "preprocessing", None)
        return self if shown is None else self.normalised_by(shown.mean, shown.std)

    def merged(self) -> "Table":
        """Return the same images with all objects of the masks as one class."""
        return replace(
            self,
            classes=("background", "objects"),
            columns={**self.columns, "masks": self.masks.merged()},
        )

    def tested_on_validation(self) -> "Table":
        """Return the same images with the validation split to test on, and the test split unused.

        As courses do it that keep the test split for the end. Raises OptionError without one.
        """
        test, val = SPLITS.index("test"), SPLITS.index("val")
        if not (self.splits == val).any():
            raise OptionError(f"{self.name} came without a val split to test on")
        splits = np.where(self.splits == test, UNUSED, self.splits)
        return replace(self, splits=np.where(splits == val, test, splits).astype(np.uint8))

    def majority(self, split: str = "test") -> float:
        """Return the share of the largest class: what always guessing it would score."""
        return self.column("label", Labels).majority(self.split(split).rows)

    def about(self) -> dict[str, Any]:
        """Return what a report says of the data."""
        splits = {split: self.split(split).rows for split in SPLITS}
        drawn = "drawn, stratified, seed 0" if "label" in self.columns else "drawn, seed 0"
        found: dict[str, Any] = {
            "name": self.name,
            "classes": list(self.classes),
            "size": self.size,
            **({} if self.fit == "crop" else {"fit": self.fit}),
            "counts": {split: len(rows) for split, rows in splits.items()},
        }
        for column in self.columns.values():
            found |= column.about(splits)
        return {
            **found,
            "origin": self.origin,
            "subset": self.subset,
            "split": "came with the images" if self.official else drawn,
            "notes": list(self.notes),
        }

    def drawn(self, rows: Int[np.ndarray, " m"]) -> tuple[UInt8[np.ndarray, "m s s 3"], list[str]]:
        """Return images with all that is known of them drawn in, and words for each."""
        images, texts = [], []
        for row in rows.tolist():
            pixels, words = np.array(self.pixels[row]), []
            for column in self.columns.values():
                pixels, text = column.drawn(pixels, row, self.classes)
                words += [text] if text else []
            images.append(pixels)
            texts.append(", ".join(words))
        shape = (0, self.size, self.size, 3)
        return (np.stack(images) if images else np.zeros(shape, dtype=np.uint8)), texts


@dataclass(frozen=True, eq=False)
class Split:
    """One split of a table: N images by their rows."""

    name: str
    table: Table
    rows: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def pixels(self) -> UInt8[np.ndarray, "all *_ 3"]:
        """The pixels of all splits."""
        return self.table.pixels

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """The class of each image of this split."""
        found: np.ndarray = self.table.labels[self.rows]
        return found

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each image of this split is called."""
        return tuple(self.table.names[row] for row in self.rows)

    def take(self, places: Int[np.ndarray, " m"] | slice) -> UInt8[np.ndarray, "m *_ 3"]:
        """Return a copy of the images at these places of this split."""
        return np.ascontiguousarray(self.pixels[self.rows[places]])
