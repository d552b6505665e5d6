"""Networks that answer with pictures, tested: how near they come, and sheets to look at."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vislab.data.batches import in_order
from vislab.data.pictures import Pictures
from vislab.explain.taps import tap
from vislab.metrics.colour import colourfulness
from vislab.metrics.colour import psnr as psnr_of
from vislab.models.colorizer import Colorizer
from vislab.ops import processes
from vislab.ops.colour import lab_to_rgb, rgb_to_lab
from vislab.ops.seeding import generator
from vislab.progress import track
from vislab.runs import figures
from vislab.runs.intervals import bootstrap, paired_bootstrap
from vislab.runs.notebook import Notebook
from vislab.runs.phrasing import between
from vislab.tasks.colorize import Colorize
from vislab.tasks.reconstruct import Reconstruct

SHOWN = 5  # pictures on a sheet
ALIKE = 100.0  # decibels: of pictures that do not differ


@dataclass(frozen=True, eq=False)
class Repainted:
    """What a network makes of N pictures of a split: scores, and some to look at."""

    psnr: Float[np.ndarray, " n"]  # decibels
    psnr_before: Float[np.ndarray, " n"]  # of what the network was given
    colourfulness: Float[np.ndarray, " n"]  # of what it made
    colourfulness_true: Float[np.ndarray, " n"]
    given: UInt8[np.ndarray, "m s s 3"]
    made: UInt8[np.ndarray, "m s s 3"]
    true: UInt8[np.ndarray, "m s s 3"]


def repainted(
    task: Reconstruct | Colorize,
    pictures: Pictures,
    split: str,
    *,
    device: torch.device,
    quiet: bool = False,
) -> Repainted:
    """Run a network over a split, in eval mode, and leave it as it was."""
    total = len(pictures.split(split))
    shown = set(np.linspace(0, total - 1, min(SHOWN, total)).round().astype(int).tolist())
    columns: dict[str, list[np.ndarray]] = {name: [] for name in Repainted.__dataclass_fields__}
    mean, deviation = (
        torch.tensor(v, device=device)[:, None, None] for v in pictures.normalisation
    )
    what = f"painting {split} pictures"
    with (
        tap(task.network, []),
        torch.inference_mode(),
        track(what, total=total, unit="pictures", quiet=quiet) as advance,
    ):
        for number, batch in enumerate(in_order(pictures, split, 64, device=device)):
            true = (batch.images.float() * deviation + mean).clamp(0, 1)
            if isinstance(task, Reconstruct):
                noisy = task.noisy(batch.images, generator("noise", number))
                given = (noisy.float() * deviation + mean).clamp(0, 1)
                made = (task.network(noisy).float() * deviation + mean).clamp(0, 1)
            else:
                network = task.network
                assert isinstance(network, Colorizer)
                given, made = greyed(true), network.paint(true)
            columns["psnr"].append(psnr_of(made, true).clamp(max=ALIKE).cpu().numpy())
            columns["psnr_before"].append(psnr_of(given, true).clamp(max=ALIKE).cpu().numpy())
            columns["colourfulness"].append(colourfulness(made).cpu().numpy())
            columns["colourfulness_true"].append(colourfulness(true).cpu().numpy())
            mine = [k for k, row in enumerate(batch.rows.tolist()) if row in shown]
            for name, values in (("given", given), ("made", made), ("true", true)):
                columns[name].append(as_bytes(values[mine]))
            advance(len(batch.labels))
    return Repainted(**{name: np.concatenate(parts) for name, parts in columns.items()})


def greyed(pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return pictures with their lightness alone."""
    lightness = rgb_to_lab(pixels)[:, :1]
    return lab_to_rgb(torch.cat([lightness, torch.zeros_like(lightness).repeat(1, 2, 1, 1)], dim=1))


def as_bytes(pixels: Float[Tensor, "n 3 h w"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Return pictures in [0, 1] as bytes."""
    found: np.ndarray = (255 * pixels).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return found


def judge_repainting(
    notebook: Notebook, task: Reconstruct | Colorize, pictures: Pictures, *, name: str = ""
) -> Repainted:
    """Test on the test pictures, record the scores and file a sheet."""
    found = repainted(task, pictures, "test", device=processes.device(), quiet=notebook.muted)
    prefix = f"{name}/test" if name else "test"
    mean, interval = bootstrap(found.psnr)
    notebook.record(f"{prefix}/psnr", mean, interval=interval)
    notebook.say(f"{name or 'network'} on {len(found.psnr)} test pictures: {mean:.2f} dB")
    given = "in grey" if isinstance(task, Colorize) else "with noise" if task.noise else "given"
    if isinstance(task, Colorize):
        colour, interval = bootstrap(found.colourfulness)
        notebook.record(f"{prefix}/colourfulness", colour, interval=interval)
    rows = {given: list(found.given), "made": list(found.made)}
    if given != "given":
        rows["true"] = list(found.true)
    notebook.show(
        f"{name} sheet" if name else "sheet",
        figures.picture_grid(
            np.concatenate([np.stack(row) for row in rows.values()]),
            titles=[label for label, row in rows.items() for _ in row],
            columns=len(found.given),
        ),
        caption="Test pictures, evenly chosen.",
    )
    notebook.run.save()
    return found


def compare_repainted(notebook: Notebook, found: Mapping[str, Repainted]) -> None:
    """File a table of networks tested on the same pictures."""
    best = max(found, key=lambda name: float(found[name].psnr.mean()))
    rows = []
    for name, one in found.items():
        mean, around = bootstrap(one.psnr)
        behind, gap = paired_bootstrap(one.psnr, found[best].psnr)
        rows.append(
            (
                name, f"{mean:.2f}", between(around, ".2f"),
                "" if name == best else f"{behind:.2f}",
                "" if name == best else between(gap, ".2f"),
                f"{one.colourfulness.mean():.1f}",
            )
        )  # fmt: skip
    first = next(iter(found.values()))
    notebook.show(
        "networks compared",
        figures.bars(
            list(found),
            [float(one.psnr.mean()) for one in found.values()],
            intervals=[bootstrap(one.psnr)[1] for one in found.values()],
            unit="dB",
        ),
        caption="Peak signal-to-noise ratio of test pictures, with 95 % intervals.",
    )
    notebook.table(
        "networks compared",
        ("network", "PSNR, dB", "95 % interval", "behind", "95 % interval of that",
         "colourfulness"),
        rows,
        caption=f"Means over the same {len(first.psnr)} test pictures, whose own colourfulness is "
        f"{first.colourfulness_true.mean():.1f}.",
    )  # fmt: skip


def colour_shares(network: Colorizer, pictures: Pictures) -> Float[Tensor, " k"]:
    """Return how often each bin of colour occurs in the training pictures, of some 500."""
    side = pictures.split("train")
    places = np.linspace(0, len(side) - 1, min(len(side), 500)).round().astype(np.int64)
    counts = torch.zeros(len(network.get_buffer("bins")))
    for start in range(0, len(places), 50):
        pixels = torch.from_numpy(side.take(places[start : start + 50])).permute(0, 3, 1, 2) / 255
        bins = network.binned(rgb_to_lab(pixels)[:, 1:, ::2, ::2])
        counts += torch.bincount(bins.flatten(), minlength=len(counts))
    return counts / counts.sum()
