"""What a layer is given, or gives, for every image of a split."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vislab.data.batches import in_order
from vislab.data.table import Table
from vislab.explain.embedding import pooled
from vislab.explain.hooks import hooked
from vislab.progress import track


def features(
    network: nn.Module,
    head: nn.Module,
    table: Table,
    split: str,
    device: torch.device,
    *,
    mirrored: bool = False,
    quiet: bool = False,
) -> Float[Tensor, "n d"]:
    """Return what the head is given for each image of a split, in the split's order."""
    network.to(device)
    seen: list[Tensor] = []

    def keep(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        seen.append(arguments[0])

    total = len(table.split(split))
    what = f"features of {split} images" + (", mirrored" if mirrored else "")
    hook = head.register_forward_pre_hook(keep)
    try:
        with (
            hooked(network, []),
            torch.inference_mode(),
            track(what, total=total, unit="images", quiet=quiet) as advance,
        ):
            for batch in in_order(table, split, 64, device=device):
                network(batch.images.flip(-1) if mirrored else batch.images)
                advance(len(batch.labels))
    finally:
        hook.remove()
    if not seen:
        return torch.zeros(0, int(getattr(head, "in_features", 0)), device=device)
    return torch.cat(seen).float()  # out of inference mode: numbers that can be learned from


def pooled_features(
    network: nn.Module,
    table: Table,
    split: str,
    most: int,
    layers: Sequence[str],
    device: torch.device,
) -> tuple[dict[str, Float[np.ndarray, "n _"]], Int[np.ndarray, " n"]]:
    """Return the mean features by layer of images spread evenly over a split, and labels."""
    subset = table.split(split)
    every = max(1, -(-len(subset) // most))
    network = network.to(device)
    found: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    labels, begin = [], 0
    with hooked(network, layers) as seen, torch.no_grad():
        for batch in in_order(table, split, batch=256, device=device):
            taken = torch.arange(-begin % every, len(batch.images), every)
            begin += len(batch.images)
            if not len(taken):
                continue
            some = batch.images[taken]
            network(some)
            labels.append(batch.labels[taken].cpu().numpy())
            for layer in layers:
                found[layer].append(pooled(seen[layer], some).float().cpu().numpy())
    return {name: np.concatenate(rows) for name, rows in found.items()}, np.concatenate(labels)
