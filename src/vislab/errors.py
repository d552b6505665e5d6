"""Every error this package raises on purpose.

VislabError            what a user can mend; one or two sentences; exit code 1
├── UnknownName        a name that is not in a table (recipe, data set, network, layer); exit code 2
├── OptionError        an option, or two together, that make no sense; exit code 2
├── ShapeError         an array whose axes do not fit
├── DataError          an image, label file, archive or download that cannot be used
└── RunError           a run folder that is missing, unfinished, damaged or of a newer version
    └── NonFiniteLoss  the loss became NaN or infinite while training
"""

import difflib
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


class VislabError(Exception):
    """Base class: `except VislabError` catches what a user can fix."""

    exit_code = 1


class UnknownName(VislabError):
    """A name that no table knows."""

    exit_code = 2


class OptionError(VislabError):
    """An option whose value, or whose company, makes no sense."""

    exit_code = 2


class ShapeError(VislabError):
    """An array whose axes do not fit."""


class DataError(VislabError):
    """An image, label file, archive or download that cannot be used."""


class RunError(VislabError):
    """A run folder that is missing, unfinished, damaged or of a newer version."""


class NonFiniteLoss(RunError):
    """The loss became NaN or infinite while training."""


def pick(table: Mapping[str, T], name: str, kind: str) -> T:
    """Return `table[name]`, or say which names exist and which is nearest."""
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UnknownName(f"no {kind} is named {name!r}.{hint} Known: {', '.join(sorted(table))}")
