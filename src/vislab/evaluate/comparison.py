"""Networks tested on the same images, side by side, and how far the winner can be believed."""

from collections.abc import Mapping
from typing import Any

from vislab.evaluate.report import form_of
from vislab.runs import figures
from vislab.runs.formatting import singular, trivial_word
from vislab.runs.intervals import likely
from vislab.runs.notebook import Notebook
from vislab.tasks.outcome import Outcome

SURE = 0.05  # a difference less likely than this by chance is called one


def compare(
    notebook: Notebook,
    outcomes: Mapping[str, Outcome],
    *,
    what: str = "networks",
    trivial: float | None = None,
    unit: str = "",
) -> str:
    """File a table and a figure of the main score and a note on the winner; return its name.

    Every other one is compared with the winner on the same images: the paired difference with its
    interval and a test (`intervals.likely`). Where several are compared, p values are multiplied by
    their number (Bonferroni).
    """
    ranked = sorted(outcomes, key=lambda name: -outcomes[name].mean())
    best, others = ranked[0], ranked[1:]
    winner = outcomes[best]
    score, form = winner.score, form_of(winner)
    right_or_wrong = form == ".1%"
    paired = score in winner.values
    test = "McNemar" if right_or_wrong else "sign flips"
    besides = [one for one in winner.estimates if one not in (score, "loss")]
    rows: list[list[Any]] = []
    rivals = []
    for name in ranked:
        one = outcomes[name]
        row: list[Any] = [name, one.estimates[score]]
        if name == best:
            row += [None] * (2 if paired else 1)
        else:
            row.append(winner.gain_over(one))
            if paired:
                chance = likely(one.values[score], winner.values[score]) * len(others)
                row.append(min(1.0, chance))
                if chance >= SURE:
                    rivals.append(name)
        rows.append([*row, *(one.mean(other) for other in besides)])
    behind = ("points behind" if right_or_wrong else "behind", form)
    notebook.table(
        f"{what} compared",
        (
            singular(what), (f"test {score}", form), behind,
            *([(f"p ({test})", ".2g")] if paired else []),
            *((other, form_of(winner, other)) for other in besides),
        ),
        rows,
        caption=f"On the same {len(winner)} images, with 95 % intervals."
        + (f" p is corrected for {len(others)} comparisons." if paired and others[1:] else ""),
    )  # fmt: skip
    notebook.show(
        f"{what} compared",
        figures.bars(
            ranked,
            [outcomes[name].mean() for name in ranked],
            intervals=[outcomes[name].interval() for name in ranked],
            chance=trivial,
            level=trivial_word(score),
            unit="%" if right_or_wrong else unit or score,
        ),
        caption=f"Test {score} with 95 % intervals.",
    )
    if others and paired:
        notebook.note(verdict(best, rivals, len(winner), test=test))
    return best


def verdict(best: str, rivals: list[str], images: int, *, test: str = "McNemar") -> str:
    """Say in a sentence or two whether the winner could have been another."""
    if rivals:
        named = " or ".join(rivals)
        text = (
            f"{best} came out best, but {named} could be as good: on {images} images the "
            f"difference is within chance ({test})."
        )
    else:
        text = f"{best} came out best, by more than {images} test images explain by chance."
    return (
        text + " This is one training of each: another seed moves every score, and with a small "
        "difference the winner could be another; --seeds 3 shows by how much."
    )
