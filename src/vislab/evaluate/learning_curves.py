"""What was logged after each epoch of several trainings, side by side."""

from collections.abc import Mapping, Sequence

from vislab.runs import figures
from vislab.runs.folder import file_name
from vislab.runs.notebook import Notebook

Curve = tuple[list[int], list[float]]  # epochs, values
CLOSE = 0.95  # of its own best: what counts as having learned


def curves_of(notebook: Notebook, names: Sequence[str], metric: str) -> dict[str, Curve]:
    """Return what trainings of these names logged of a metric, such as "val/accuracy"."""
    by_file = {file_name(name): name for name in names}
    found: dict[str, Curve] = {name: ([], []) for name in names}
    for line in notebook.run.logged():
        name = by_file.get(str(line.get("fit")))
        if name is not None and line.get(metric) is not None:
            found[name][0].append(line["epoch"])
            found[name][1].append(float(line[metric]))
    return {name: curve for name, curve in found.items() if curve[0]}


def show_curves(
    notebook: Notebook,
    title: str,
    names: Sequence[str],
    metric: str,
    *,
    y: str,
    caption: str = "",
    share: bool = False,
) -> dict[str, Curve]:
    """File the curves of these trainings on one plot, if there are any, and return them."""
    found = curves_of(notebook, names, metric)
    if found:
        figure = figures.curves(found, x="epoch", y=y, share=share)
        notebook.show(title, figure, caption=caption)
    return found


def epochs_to(curve: Curve, share: float = CLOSE) -> int:
    """Return the first epoch after which a score was at least this share of its largest value.

    Of a score that is better where it is larger, and never below 0.
    """
    epochs, values = curve
    enough = share * max(values)
    return next(e for e, value in zip(epochs, values, strict=True) if value >= enough)


def after_first(curve: Curve) -> float:
    """Return which share of its largest value a score had when it was first logged.

    0 for a score that never left 0.
    """
    values = curve[1]
    return values[0] / max(*values, 1e-9)


def time_to_accuracy(
    notebook: Notebook, curves: Mapping[str, Curve], *, what: str = "network", share: float = CLOSE
) -> None:
    """File how soon each training had learned, in epochs and in seconds, if there are any.

    `curves` are accuracies on validation images of trainings of this run, by name. The epochs and
    the share of the best that the first epoch reached are recorded as well.
    """
    costs = {cost["name"]: cost for cost in notebook.run.result.costs}
    rows = []
    for name, curve in curves.items():
        needed, an_epoch = epochs_to(curve, share), costs[name]["seconds"] / max(curve[0])
        rows.append((name, max(curve[1]), needed, needed * an_epoch, an_epoch))
        notebook.record(f"{name}: epochs to {share:.0%} of its best", float(needed))
        notebook.record(f"{name}: share of its best after an epoch", after_first(curve))
    if rows:
        notebook.table(
            "time to accuracy",
            (
                what, ("best on validation", ".1%"), f"epochs to {share:.0%} of it",
                ("seconds to it", ".0f"), ("seconds an epoch", ".1f"),
            ),
            rows,
        )  # fmt: skip
