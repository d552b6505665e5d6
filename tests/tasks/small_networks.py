"""A small network by hand of every kind, in float64, and batches for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from vislab.ops.seeding import generator
from vislab.scratch import (
    CaptioningRNN,
    DeepConvNet,
    FullyConnectedNet,
    LinearSVM,
    Softmax,
    ThreeLayerConvNet,
    TwoLayerNet,
)

CLASSES = 4
WORDS = {"<NULL>": 0, "cat": 1, "<START>": 2, "dog": 3, "<END>": 4}
CAPTIONS = torch.tensor(
    [[2, 1, 3, 4], [2, 3, 4, 0], [2, 4, 0, 0], [2, 1, 1, 4], [2, 3, 1, 4], [2, 1, 4, 0]]
)


@dataclass(frozen=True)
class Small:
    """How to make one, and the shape of what it reads."""

    build: Callable[..., Any]
    reads: tuple[int, ...]

    def network(self, **options):
        given = {"dtype": torch.float64, "generator": generator("small network")}
        return self.build(**(given | options))

    def batch(self, step, n=5):
        draws = generator("small batch", step)
        X = torch.randn(n, *self.reads, dtype=torch.float64, generator=draws)
        if self.build in CAPTIONERS.values():
            return X, CAPTIONS[torch.randperm(len(CAPTIONS), generator=draws)[:n]]
        return X, torch.randint(CLASSES, (n,), generator=draws)


def fully_connected(normalization, dropout):
    return lambda **o: FullyConnectedNet(
        (7, 6), 5, CLASSES, dropout, normalization, weight_scale="kaiming", **o
    )


def deep(pools, batchnorm):
    return lambda **o: DeepConvNet(
        (3, 6, 6), (4, 5), pools, batchnorm, CLASSES, weight_scale="kaiming", **o
    )


def captioner(cell):
    return lambda **o: CaptioningRNN(WORDS, 3, 4, 6, cell, **o)


CAPTIONERS = {cell: captioner(cell) for cell in ("rnn", "lstm", "attention")}
OF_IMAGES = {
    "svm": Small(lambda **o: LinearSVM(13, CLASSES, weight_scale=0.1, **o), (13,)),
    "softmax": Small(lambda **o: Softmax(13, CLASSES, weight_scale=0.1, **o), (13,)),
    "two layers": Small(lambda **o: TwoLayerNet(12, 5, CLASSES, "kaiming", **o), (3, 2, 2)),
    "fully connected": Small(fully_connected(None, 0.0), (5,)),
    "batchnorm and dropout": Small(fully_connected("batchnorm", 0.3), (5,)),
    "layernorm and dropout": Small(fully_connected("layernorm", 0.3), (5,)),
    "three layers": Small(
        lambda **o: ThreeLayerConvNet((3, 7, 7), 4, 3, 5, CLASSES, "kaiming", **o), (3, 7, 7)
    ),
    "deep": Small(deep((1, 0), batchnorm=False), (3, 6, 6)),
    "deep with batchnorm": Small(deep((0,), batchnorm=True), (3, 6, 6)),
}
OF_WORDS = {
    cell: Small(build, (3, 2, 2) if cell == "attention" else (3,))
    for cell, build in CAPTIONERS.items()
}
NETWORKS = OF_IMAGES | OF_WORDS


def stir(network, draws):
    """Draw all parameters and averages, so that no bias is zero and no gamma is one."""
    for w in network.params.values():
        w.copy_(0.7 * torch.randn(w.shape, dtype=w.dtype, generator=draws))
    for average in network.running.values():
        average.copy_(0.5 + torch.rand(average.shape, dtype=average.dtype, generator=draws))
    return network
