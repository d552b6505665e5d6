"""What each depth of a network knows of the classes: a linear classifier on its mean features.

Alain and Bengio 2016, arXiv:1610.01644: the network itself is not trained; only what a straight
line through a layer's features can tell is measured.
"""

import warnings
from collections.abc import Sequence

import torch
from torch import nn

from vislab.data.table import Table
from vislab.evaluate.features import pooled_features
from vislab.progress import track
from vislab.runs import exact
from vislab.runs.intervals import Interval

LEARNED, ASKED = 2000, 1000  # images at most


def linear_probe(
    network: nn.Module,
    table: Table,
    layers: Sequence[str],
    *,
    device: torch.device,
    quiet: bool = False,
) -> dict[str, tuple[float, Interval]]:
    """Return for each layer the share of test images that a linear classifier gets right."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, labels = pooled_features(network, table, "train", LEARNED, layers, device)
    test, truth = pooled_features(network, table, "test", ASKED, layers, device)
    found = {}
    with track("probing", total=len(layers), unit="layers", quiet=quiet) as advance:
        for layer in layers:
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                probe.fit(train[layer], labels)
            right = int((probe.predict(test[layer]) == truth).sum())
            found[layer] = (right / len(truth), exact(right, len(truth)))
            advance(1, layer)
    return found
