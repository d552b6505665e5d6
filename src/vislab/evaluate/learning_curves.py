"""What was logged after each epoch of several trainings, side by side."""

from collections.abc import Sequence

from vislab.runs import figures
from vislab.runs.folder import file_name
from vislab.runs.notebook import Notebook

Curve = tuple[list[float], list[float]]  # epochs, values


def curves_of(notebook: Notebook, names: Sequence[str], metric: str) -> dict[str, Curve]:
    """Return what trainings of these names logged of a metric, such as "val/accuracy"."""
    by_file = {file_name(name): name for name in names}
    found: dict[str, Curve] = {name: ([], []) for name in names}
    for line in notebook.run.logged():
        name = by_file.get(str(line.get("fit")))
        if name is not None and line.get(metric) is not None:
            found[name][0].append(line["epoch"])
            found[name][1].append(line[metric])
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
