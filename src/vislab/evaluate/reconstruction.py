"""Networks that answer with images, tested: sheets to look at, and the colours of a data set."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vislab.data.batches import in_order
from vislab.data.table import Table
from vislab.evaluate.report import report
from vislab.explain.hooks import hooked
from vislab.models.colorizer import Colorizer
from vislab.ops import processes
from vislab.ops.colour import rgb_to_lab
from vislab.runs import figures
from vislab.runs.notebook import Notebook
from vislab.tasks.colorize import Colorize
from vislab.tasks.reconstruct import Reconstruct, Repainted
from vislab.tasks.task import Measured

SHOWN = 5  # images on a sheet


@report.register
def report_repainted(
    outcome: Repainted,
    notebook: Notebook,
    task: Measured,
    table: Table,
    name: str,
    *,
    examine: bool,
) -> None:
    """File a sheet: what the network is given, what it makes of it, and the images themselves."""
    assert isinstance(task, Reconstruct | Colorize), "nothing else repaints"
    if not examine:
        return
    total = len(outcome)
    places = np.unique(np.linspace(0, total - 1, min(SHOWN, total)).round().astype(np.int64))
    given, made, true = sheet(task, table, places)
    first = "in grey" if isinstance(task, Colorize) else "with noise" if task.noise else "given"
    rows = {first: given, "made": made}
    if first != "given":
        rows["true"] = true
    notebook.show(
        f"{name} sheet" if name else "sheet",
        figures.image_grid(
            np.concatenate(list(rows.values())),
            titles=[label for label, row in rows.items() for _ in row],
            columns=len(places),
        ),
        caption="Test images, evenly chosen.",
    )


def sheet(
    task: Reconstruct | Colorize, table: Table, places: np.ndarray
) -> tuple[UInt8[np.ndarray, "m s s 3"], ...]:
    """Return what the network is given, makes and should make, at places of the test split."""
    parts = []
    with hooked(task.network, []), torch.inference_mode():
        for batch in in_order(table, "test", task.images_at_once, device=processes.device()):
            mine = np.flatnonzero(np.isin(batch.rows.numpy(), places))
            if len(mine):
                parts.append([as_bytes(one[mine]) for one in task.repainted(batch)])
    given, made, true = (np.concatenate(column) for column in zip(*parts, strict=True))
    return given, made, true


def as_bytes(pixels: Float[Tensor, "n 3 h w"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Return images in [0, 1] as bytes."""
    found: np.ndarray = (255 * pixels).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return found


def colour_shares(network: Colorizer, table: Table) -> Float[Tensor, " k"]:
    """Return how often each bin of colour occurs in the training images, of some 500."""
    split = table.split("train")
    places = np.linspace(0, len(split) - 1, min(len(split), 500)).round().astype(np.int64)
    counts = torch.zeros(len(network.get_buffer("bins")))
    for start in range(0, len(places), 50):
        pixels = torch.from_numpy(split.take(places[start : start + 50])).permute(0, 3, 1, 2) / 255
        bins = network.binned(rgb_to_lab(pixels)[:, 1:, ::2, ::2])
        counts += torch.bincount(bins.flatten(), minlength=len(counts))
    return counts / counts.sum()
