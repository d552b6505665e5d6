"""Networks tested on the same pictures, side by side, and how far the winner can be believed."""

from collections.abc import Mapping

from vislab.evaluate.classification import Outcome
from vislab.runs import figures
from vislab.runs.intervals import mcnemar, paired_bootstrap, wilson
from vislab.runs.notebook import Notebook
from vislab.runs.phrasing import between

SURE = 0.05  # a difference less likely than this by chance is called one


def compare(notebook: Notebook, outcomes: Mapping[str, Outcome], *, what: str = "networks") -> str:
    """File a table and a figure of accuracies and a note on the winner; return the winner's name.

    Every other one is compared with the winner on the same pictures: the paired difference with
    its interval, and McNemar's test. Where several are compared, p values are multiplied by their
    number (Bonferroni).
    """
    ranked = sorted(outcomes, key=lambda name: -outcomes[name].accuracy)
    best, others = ranked[0], ranked[1:]
    rows, rivals = [], []
    for name in ranked:
        outcome = outcomes[name]
        low, high = wilson(int(outcome.correct.sum()), len(outcome.labels))
        cells = [name, f"{outcome.accuracy:.1%}", f"{low:.1%} to {high:.1%}"]
        if name == best:
            rows.append((*cells, "", "", ""))
            continue
        gain, gap = paired_bootstrap(outcome.correct, outcomes[best].correct)
        chance = min(1.0, mcnemar(outcome.correct, outcomes[best].correct) * len(others))
        rows.append(
            (*cells, f"{100 * gain:+.1f}", between((100 * gap[0], 100 * gap[1]), "+.1f"),
             f"{chance:.2g}")
        )  # fmt: skip
        if chance >= SURE:
            rivals.append(name)
    notebook.table(
        f"{what} compared",
        (
            what, "test accuracy", "95 % interval", "points behind", "95 % interval of that",
            "p (McNemar)",
        ),
        rows,
        caption=f"On the same {len(outcomes[best].labels)} pictures; p is corrected for "
        f"{len(others)} comparisons.",
    )  # fmt: skip
    notebook.show(
        f"{what} compared",
        figures.bars(
            ranked,
            [outcomes[name].accuracy for name in ranked],
            intervals=[
                wilson(int(outcomes[name].correct.sum()), len(outcomes[name].labels))
                for name in ranked
            ],
            chance=1 / outcomes[best].probabilities.shape[1],
            unit="%",
        ),
        caption="Test accuracy with 95 % intervals.",
    )
    if others:
        notebook.note(verdict(best, rivals, len(outcomes[best].labels)))
    return best


def verdict(best: str, rivals: list[str], pictures: int) -> str:
    """Say in a sentence or two whether the winner could have been another."""
    if rivals:
        named = " or ".join(rivals)
        text = (
            f"{best} came out best, but {named} could be as good: on {pictures} pictures the "
            "difference is within chance (McNemar)."
        )
    else:
        text = f"{best} came out best, by more than {pictures} test pictures explain by chance."
    return (
        text + " This is one training of each: another seed moves every accuracy, and with a small "
        "difference the winner could be another; --seeds 3 shows by how much."
    )
