"""Two engines for the networks of `vislab.scratch`: gradients by hand, or by autograd.

Both have `params`, `running`, `generator` and `loss(X, y)`, so that the same `Solver` trains either
from the same weights on the same batches.
"""

import copy
from collections.abc import Iterator, MutableMapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vislab import models
from vislab.data.batches import Batch
from vislab.data.table import Table
from vislab.errors import pick
from vislab.models.course_networks import CourseNetwork
from vislab.scratch import (
    CaptioningRNN,
    DeepConvNet,
    FullyConnectedNet,
    LinearSVM,
    Softmax,
    ThreeLayerConvNet,
    TwoLayerNet,
)
from vislab.scratch.captioning_rnn import NULL
from vislab.scratch.linear_classifier import LinearClassifier, with_ones
from vislab.scratch.network import Network
from vislab.scratch.penalty import FACTORS
from vislab.tasks.classify import Classified, measured, trivial_accuracy
from vislab.tasks.task import Measured

ENGINES = ("scratch", "autograd")


def engine(network: Network, name: str) -> Any:
    """Return the network itself for "scratch", its twin for "autograd"."""
    chosen = pick({known: known for known in ENGINES}, name, "engine")
    return network if chosen == "scratch" else AutogradEngine(network)


def twin_module(network: Network) -> CourseNetwork:
    """Return the same network as a torch module, holding copies of its weights."""
    p = network.params
    name: str
    options: dict[str, Any]
    if isinstance(network, LinearClassifier):
        features, classes = p["W"].shape
        name, options = "linear-scores", {"features": features}
    elif isinstance(network, TwoLayerNet):
        classes = len(p["b2"])
        name, options = "fully-connected", {"features": len(p["W1"]), "hidden": [len(p["b1"])]}
    elif isinstance(network, FullyConnectedNet):
        last = network.num_layers
        classes = len(p[f"b{last}"])
        name = "fully-connected"
        options = {
            "features": len(p["W1"]),
            "hidden": [len(p[f"b{i}"]) for i in range(1, last)],
            "normalization": network.normalization,
            "dropout": network.dropout,
        }
    elif isinstance(network, ThreeLayerConvNet):
        filters, channels, kernel, _ = p["W1"].shape
        classes = len(p["b3"])
        side = 2 * round((len(p["W2"]) / filters) ** 0.5)
        name = "three-layer-conv"
        options = {"side": side, "filters": filters, "kernel": kernel,
                   "hidden": len(p["b2"]), "channels": channels}  # fmt: skip
    elif isinstance(network, DeepConvNet):
        last = network.num_layers
        classes = len(p[f"b{last}"])
        widths = [len(p[f"b{i}"]) for i in range(1, last)]
        left = round((len(p[f"W{last}"]) / widths[-1]) ** 0.5)
        name = "deep-conv"
        options = {"side": left << len(network.max_pools), "filters": widths,
                   "pools": sorted(network.max_pools), "batchnorm": network.batchnorm,
                   "channels": p["W1"].shape[1]}  # fmt: skip
    else:
        assert isinstance(network, CaptioningRNN), f"{type(network).__name__} has no twin"
        classes, word_width = p["W_embed"].shape
        features, hidden = p["W_proj"].shape
        name = "captioner"
        options = {"features": features, "word_width": word_width, "hidden": hidden,
                   "cell": network.cell_type}  # fmt: skip
    module = models.create(name, classes=classes, **options)
    assert isinstance(module, CourseNetwork), "the table names course networks"
    module.to(dtype=network.dtype, device=network.device)
    module.load_state_dict({**p, **network.running})
    return module


class AutogradEngine:
    """The twin of a network by hand: forward in torch.nn's functions, backward by autograd."""

    def __init__(self, network: Network) -> None:
        self.by_hand = network
        self.module = twin_module(network)
        self.params = InPlace(self.module)
        self.running = dict(self.module.named_buffers())
        self.generator: torch.Generator | None = None
        if network.generator is not None:
            self.generator = torch.Generator()
            self.generator.set_state(network.generator.get_state())
            self.module.generator = self.generator

    def loss(self, X: Tensor, y: Tensor | None = None) -> Any:
        """Return scores, or (loss, gradients by name), as the network by hand does."""
        X = self.by_hand.expected(X)
        if y is None and isinstance(self.by_hand, CaptioningRNN):
            writer = copy.copy(self.by_hand)
            writer.params = dict(self.params)
            return writer.sample(X)
        if y is None:
            self.module.eval()
            with torch.inference_mode():
                return self.module(X)
        self.module.train()
        loss = self._loss(X, y.to(self.by_hand.device))
        for name, W in self.module.named_parameters():
            if name.startswith("W") and self.by_hand.reg:
                factor = FACTORS[self.by_hand.l2_convention]
                loss = loss + factor * self.by_hand.reg * (W**2).sum()
        weights = dict(self.module.named_parameters())
        found = torch.autograd.grad(loss, list(weights.values()))
        return float(loss.detach()), dict(zip(weights, found, strict=True))

    def right(self, X: Tensor, y: Tensor) -> Tensor:
        """Return what is right, as the network by hand does."""
        if not isinstance(self.by_hand, CaptioningRNN):
            scores: Tensor = self.loss(X)
            return scores.argmax(dim=1) == y.to(self.by_hand.device)
        self.module.eval()
        with torch.inference_mode():
            said: Tensor = self.module((self.by_hand.expected(X), y[:, :-1])).argmax(dim=2)
        wanted = y[:, 1:]
        return (said == wanted)[wanted != self.by_hand.word_to_idx[NULL]]

    def _loss(self, X: Tensor, y: Tensor) -> Any:
        if isinstance(self.by_hand, CaptioningRNN):
            scores = self.module((X, y[:, :-1]))
            null = self.by_hand.word_to_idx[NULL]
            return F.cross_entropy(
                scores.flatten(0, 1), y[:, 1:].flatten(), ignore_index=null, reduction="sum"
            ) / len(X)
        scores = self.module(X)
        if isinstance(self.by_hand, LinearSVM):  # torch divides by the classes as well
            return F.multi_margin_loss(scores, y) * scores.shape[1]
        if type(self.by_hand).score_loss in (Network.score_loss, Softmax.score_loss):
            return F.cross_entropy(scores, y)
        # A loss that torch does not know by name: its value and gradient are taken as they are.
        loss, dscores = self.by_hand.score_loss(scores.detach(), y)
        linear = (scores * dscores).sum()
        return loss + linear - linear.detach()


class InPlace(MutableMapping[str, Tensor]):
    """A module's parameters as a dict of tensors; setting one copies into the module's own."""

    def __init__(self, module: nn.Module) -> None:
        self._parameters = dict(module.named_parameters())

    def __getitem__(self, name: str) -> Tensor:
        return self._parameters[name].data

    def __setitem__(self, name: str, value: Tensor) -> None:
        self._parameters[name].data.copy_(value)

    def __delitem__(self, name: str) -> None:
        raise TypeError("a network keeps its parameters")

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)


class Scorer(nn.Module):
    """Either engine as a module that takes images to scores, for testing and keeping."""

    def __init__(self, engine: Any) -> None:
        super().__init__()
        self.engine = engine

    def forward(self, images: Tensor) -> Tensor:
        """Take normalised images (N, 3, S, S) to scores (N, K)."""
        scores: Tensor = self.engine.loss(as_input(self.engine, images))
        return scores

    def state_dict(self, *_args: Any, **_kwargs: Any) -> Any:
        """Return the engine's weights by the names that its twin knows."""
        return {**self.engine.params, **self.engine.running}


class ByHand(Measured):
    """What the bench trains and tests: an engine, as a network and as the twin that is kept."""

    outcome = Classified

    def __init__(self, network: Network, engine_name: str = "scratch") -> None:
        self.engine = engine(network, engine_name)
        self.engine_name = engine_name
        self.scorer = Scorer(self.engine)

    @property
    def network(self) -> nn.Module:
        """The engine as a module that gives scores."""
        return self.scorer

    def measure(self, batch: Batch) -> dict[str, Tensor]:
        """Return what is measured of a classifier."""
        return measured(self.network(batch.images), batch)

    def chance(self, data: Table) -> dict[str, float]:
        """Return what always naming one class gets right; see `trivial_accuracy`."""
        return trivial_accuracy(data)

    @property
    def model(self) -> CourseNetwork:
        """The network as a torch module that holds the weights as they are now."""
        if isinstance(self.engine, AutogradEngine):
            return self.engine.module
        return twin_module(self.engine)


def as_input(engine: Any, images: Tensor) -> Tensor:
    """Return images as the engine's network reads them."""
    network = engine.by_hand if isinstance(engine, AutogradEngine) else engine
    return with_ones(images) if isinstance(network, LinearClassifier) else images
