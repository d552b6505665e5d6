"""References: numbers of a course or a paper, each with the protocol it was measured under."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vislab.runs.intervals import Interval  # its numpy would slow `vislab list`


# Where one of these differs, the two numbers answer different questions.
KIND = ("data", "train", "test", "metric")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How a number was measured. A cell left None is not known and is not compared."""

    data: str | None = None
    train: int | None = None  # images trained on
    subset: str | None = None  # how they were chosen
    test: int | None = None  # images measured on
    pixels: str | None = None  # where the files come from
    size: int | None = None  # side in pixels, as the network sees it
    network: str | None = None
    augmentation: str | None = None
    optimiser: str | None = None
    schedule: str | None = None
    batch: int | None = None
    epochs: int | None = None
    metric: str | None = None


@dataclass(frozen=True)
class Reference:
    """One number, who reported it and how they measured."""

    metric: str
    value: float
    source: str
    kind: Literal["course", "literature"]
    protocol: Protocol

    def beside(
        self,
        metrics: Mapping[str, float],
        intervals: "Mapping[str, Interval]",
        ours: Protocol,
    ) -> dict[str, Any]:
        """Return theirs beside ours.

        `cells` has a row for each known part of the protocol with `theirs`, `ours` and `differs`.
        `verdict` is "not measured", "not comparable" (data, amount or metric differ), "higher",
        "lower", or "the same" when their number lies inside our interval.
        """
        cells = []
        for field in fields(Protocol):
            their_cell, our_cell = getattr(self.protocol, field.name), getattr(ours, field.name)
            if their_cell is None:
                continue
            differs = our_cell is None or str(their_cell).lower() != str(our_cell).lower()
            cells.append(
                {"cell": field.name, "theirs": their_cell, "ours": our_cell, "differs": differs}
            )
        value = metrics.get(self.metric)
        low, high = intervals.get(self.metric, (value, value))
        if value is None or low is None or high is None or not math.isfinite(low + value + high):
            verdict = "not measured"
        elif any(cell["differs"] and cell["cell"] in KIND for cell in cells):
            verdict = "not comparable"
        elif low <= self.value <= high:
            verdict = "the same"
        else:
            verdict = "higher" if value > self.value else "lower"
        return {
            "metric": self.metric,
            "value": self.value,
            "source": self.source,
            "kind": self.kind,
            "ours": value,
            "verdict": verdict,
            "cells": cells,
        }


def course(metric: str, value: float, source: str, *, protocol: Protocol) -> Reference:
    """Write down a number of a course."""
    return Reference(metric, value, source, "course", protocol)


def literature(metric: str, value: float, source: str, *, protocol: Protocol) -> Reference:
    """Write down a number of a paper."""
    return Reference(metric, value, source, "literature", protocol)


def as_cells(protocol: Protocol) -> dict[str, Any]:
    """Return the known cells of a protocol."""
    return {name: value for name, value in asdict(protocol).items() if value is not None}
