"""A ladder of steps, each added to those below it: what every step is worth, over several rows.

gains = show_ladder(lab, ("none", "flip", "crop"), {"plain": three_outcomes, "all-cnn": three_more})
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vislab.runs import figures
from vislab.runs.intervals import paired_bootstrap
from vislab.runs.notebook import Notebook
from vislab.tasks.outcome import Estimate, Outcome

Rows = Mapping[str, Sequence[Outcome]]  # by name, one outcome a rung, all of the same images
WHOLE = "whole ladder"


def show_ladder(
    notebook: Notebook,
    rungs: Sequence[str],
    rows: Rows,
    *,
    what: str = "network",
    trivial: float | None = None,
) -> dict[str, Estimate]:
    """File the main score of each row on each rung and what each rung gained; return the gains.

    The main score, the same of all, is a share of what is right. See `gains_of`; every gain is
    recorded. `what` a row is, is written beside them.
    """
    score = next(iter(rows.values()))[0].score
    notebook.table(
        f"test {score} by {what} and rung",
        (what, *((rung, ".1%") for rung in rungs)),
        [(name, *(one.mean() for one in climb)) for name, climb in rows.items()],
    )
    series: dict[str, Any] = {
        name: [one.estimates[score] for one in climb] for name, climb in rows.items()
    }
    notebook.show(
        f"{score} by {what} and rung",
        figures.ladder(rungs, series, chance=trivial),
        caption=f"Test {score} from the lowest rung to the highest, 95 % intervals.",
    )
    gains = gains_of(rungs, rows)
    for name, (gain, interval) in gains.items():
        notebook.record(f"{name}: gain in {score}", gain, interval=interval)
    if gains:
        notebook.show(
            "gain of each rung",
            figures.bars(
                list(gains),
                [gain for gain, _ in gains.values()],
                intervals=[interval for _, interval in gains.values()],
                unit="%",
            ),
            caption=f"Points of test {score} over the rung below; with paired 95 % intervals.",
        )
    return gains


def gains_of(rungs: Sequence[str], rows: Rows) -> dict[str, Estimate]:
    """Return by rung the change of the main score from the rung below, mean over the rows.

    With a paired 95 % interval over the images. The lowest rung has none; the last entry is the
    whole ladder, from the lowest rung to the highest. A single rung has no gains at all.
    """
    if len(rungs) < 2:
        return {}
    # The score of an image on a rung: the share of the rows that have it right. (rungs, N)
    scores = np.mean([[one.values[one.score] for one in climb] for climb in rows.values()], axis=0)
    gains: dict[str, Estimate] = {
        rung: paired_bootstrap(below, here)
        for rung, below, here in zip(rungs[1:], scores, scores[1:], strict=False)
    }
    return {**gains, WHOLE: paired_bootstrap(scores[0], scores[-1])}
