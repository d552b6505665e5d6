"""What each depth of a network knows of the classes: a linear classifier on its mean features.

Alain and Bengio 2016, arXiv:1610.01644: the network itself is not trained; only what a straight
line through a layer's features can tell is measured.
"""

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from vislab.data.batches import in_order
from vislab.data.pictures import Pictures
from vislab.explain.embedding import pooled
from vislab.explain.taps import tap
from vislab.progress import track
from vislab.runs import wilson
from vislab.runs.intervals import Interval

LEARNED, ASKED = 2000, 1000  # pictures at most


def linear_probe(
    network: nn.Module,
    pictures: Pictures,
    layers: Sequence[str],
    *,
    device: torch.device,
    quiet: bool = False,
) -> dict[str, tuple[float, Interval]]:
    """Return for each layer the share of test pictures that a linear classifier gets right."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, labels = _features(network, pictures, "train", LEARNED, layers, device)
    test, truth = _features(network, pictures, "test", ASKED, layers, device)
    found = {}
    with track("probing", total=len(layers), unit="layers", quiet=quiet) as advance:
        for layer in layers:
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                probe.fit(train[layer], labels)
            right = int((probe.predict(test[layer]) == truth).sum())
            found[layer] = (right / len(truth), wilson(right, len(truth)))
            advance(1, layer)
    return found


def _features(
    network: nn.Module,
    pictures: Pictures,
    split: str,
    most: int,
    layers: Sequence[str],
    device: torch.device,
) -> tuple[dict[str, Float[np.ndarray, "n _"]], Int[np.ndarray, " n"]]:
    """Return the mean features by layer of pictures spread evenly over a split, and labels."""
    side = pictures.split(split)
    every = max(1, -(-len(side) // most))
    network = network.to(device)
    found: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    labels, begin = [], 0
    with tap(network, layers) as seen, torch.no_grad():
        for batch in in_order(pictures, split, batch=256, device=device):
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
