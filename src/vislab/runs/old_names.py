"""Names that were changed: run folders made before still open, and old words lead to the new."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from vislab.errors import OptionError

T = TypeVar("T")

# By the dataclass, the file or the table, whose field or column it is.
FIELDS: dict[str, dict[str, str]] = {
    "Augment": {"turn": "rotation"},
    "Finetune": {"find_rate": "find_lr"},
    "Linear": {"rates": "learning_rates"},
    "TwoLayer": {"rates": "learning_rates"},
    "costs": {"train_pictures_per_second": "train_images_per_second"},
    "model.json": {"deviation": "std"},
    "test predictions": {"picture": "image"},
}

# By the command whose option it is.
OPTIONS: dict[str, dict[str, str]] = {
    "predict": {"--why": "--out"},
    "run": {
        "--augment.turn": "--augment.rotation",
        "--augment.no-turn": "--augment.no-rotation",
        "--find-rate": "--find-lr",
        "--rates": "--learning-rates",
    },
}
OPTIONS["sweep"] = OPTIONS["run"]


def by_new_names(of: str, values: Mapping[str, T]) -> dict[str, T]:
    """Return the values under the names that the fields of `of` have now.

    A value under a new name stands where both are given.
    """
    new = FIELDS.get(of, {})
    given = {new[name]: value for name, value in values.items() if name in new}
    return given | {name: value for name, value in values.items() if name not in new}


def refuse_old_options(command: str, words: Sequence[str]) -> None:
    """Raise OptionError, naming the new one, where an option is typed by its old name.

    An option of a recipe file of one's own may bear any name.
    """
    if any(word.endswith(".py") for word in words):
        return
    for word in words:
        old = word.split("=", 1)[0]
        new = OPTIONS.get(command, {}).get(old)
        if new is not None:
            raise OptionError(f"{old} is now called {new}")
