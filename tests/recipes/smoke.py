"""A recipe in its smallest size, without the drawing."""

from pathlib import Path

import pytest

from tests.lab.undrawn import draw_nothing
from vislab import recipes
from vislab.lab.running import execute
from vislab.runs.folder import RunFolder

SIZE = 8  # pixels: the smallest images there are


def smoked(name: str, folder: Path, **changed: object) -> RunFolder:
    """Run a recipe in its smoke size, with some options changed; draw nothing."""
    kind = recipes.find(name)
    with pytest.MonkeyPatch.context() as patched:
        draw_nothing(patched)
        recipe = kind(**{**kind.smoke, "size": SIZE, **changed})
        return execute(recipe, name, folder, quiet=True)


def close(ours: dict[str, float], theirs: dict[str, float], **allowed: float) -> None:
    """Ask for nearly the same metrics; `allowed` is how far accuracies and losses may be apart."""
    assert ours.keys() == theirs.keys()
    assert ours
    for name, value in ours.items():
        kind = "loss" if "loss" in name else "accuracy"
        assert value == pytest.approx(theirs[name], rel=1e-3, abs=allowed[kind]), name
