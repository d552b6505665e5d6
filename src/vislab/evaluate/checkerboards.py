"""How much of a checkerboard each way of growing maps leaves behind."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from vislab.data.batches import in_order
from vislab.data.table import Table
from vislab.explain.hooks import hooked
from vislab.metrics.checkerboard import checkerboard_score
from vislab.models.segnet import first_growth
from vislab.ops import processes
from vislab.runs import figures
from vislab.runs.intervals import bootstrap
from vislab.runs.notebook import Notebook

SIDE = 16  # of the smooth map that is grown
IMAGES = 64  # whose answers are scored


def show_checkerboards(notebook: Notebook, networks: Mapping[str, Any], table: Table) -> None:
    """File a smooth map grown once by each trained SegNet, and the scores of their answers."""
    batch = next(iter(in_order(table, "test", IMAGES, device=processes.device())))
    rows, grown = [], []
    for name, network in networks.items():
        with hooked(network, []), torch.inference_mode():
            channels = network.up[0][0].in_channels
            grown.append(_grown(network, channels, processes.device()))
            answers = network(batch.images).float()  # (N, K, S, S)
        scores = checkerboard_score(answers.flatten(0, 1)).view(answers.shape[:2]).mean(dim=1)
        mean, interval = bootstrap(scores.cpu().numpy())
        notebook.record(f"{name}/checkerboard", mean, interval=interval)
        once = float(checkerboard_score(torch.from_numpy(grown[-1])[None])[0])
        rows.append((name, once, (mean, interval)))
    notebook.table(
        "checkerboards",
        ("way", ("a smooth map, grown once", ".3f"), ("trained answers", ".3f")),
        rows,
        caption="0: no pattern of single pixels; 1: nothing else. Of answers, the mean over "
        f"{len(batch.images)} test images, with its 95 % interval.",
    )
    notebook.show(
        "a smooth map, grown once",
        figures.map_grid(np.stack(grown), titles=list(networks), columns=3),
        caption="A hill of 16×16 numbers, grown to 32×32 by the last step of each trained decoder, "
        "before any convolution that follows.",
    )


def _grown(network: Any, channels: int, device: torch.device) -> np.ndarray:
    """Return a smooth hill after the decoder's last growth, mean over channels, in [0, 1]."""
    line = torch.linspace(-1.5, 1.5, SIDE, device=device)
    hill = torch.exp(-(line[:, None] ** 2) - line**2)
    out = first_growth(network)(hill.expand(1, channels, SIDE, SIDE).contiguous())
    mean: np.ndarray = out[0].float().mean(dim=0).cpu().numpy()
    span = float(mean.max() - mean.min())
    shown: np.ndarray = (mean - mean.min()) / (span or 1.0)
    return shown
