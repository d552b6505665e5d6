"""The networks of EECS 498/598 in torch.nn's functions, for autograd to differentiate.

Each is the twin of a network in `vislab.scratch`: the same parameters under the same names and in
the same layout (a linear layer's W is (D, M)), the same rule for the running averages of batch
normalisation, the same draws for dropout. They stand here to check and to time the derivations
by hand, and to be what `vislab predict` loads.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOMENTUM, EPS = 0.9, 1e-5  # the course's: running = 0.9 running + 0.1 batch


class CourseNetwork(nn.Module):
    """Base: parameters by name, averages as buffers, a generator for dropout."""

    generator: torch.Generator | None = None

    def __getitem__(self, name: str) -> Tensor:
        """Return a parameter or an average by its name."""
        found = getattr(self, name)
        assert isinstance(found, Tensor), f"{name} is no parameter"
        return found

    def add(self, **shapes: tuple[int, ...]) -> None:
        """Add parameters of these shapes, drawn so that sums keep their size."""
        for name, shape in shapes.items():
            value = torch.zeros(shape)
            if name.startswith("W"):
                fan_in = math.prod(shape[1:]) if len(shape) == 4 else shape[0]
                value = torch.randn(shape) * math.sqrt(2 / fan_in)
            elif name.startswith("gamma"):
                value = torch.ones(shape)
            self.register_parameter(name, nn.Parameter(value))

    def add_averages(self, i: int, features: int) -> None:
        """Add the running averages of layer i."""
        self.register_buffer(f"mean{i}", torch.zeros(features))
        self.register_buffer(f"var{i}", torch.ones(features))

    def batch_norm(self, h: Tensor, i: int) -> Tensor:
        """Normalise by layer i's gamma and beta; the running variance is the biased one."""
        mean, var = self[f"mean{i}"], self[f"var{i}"]
        gamma, beta = self[f"gamma{i}"], self[f"beta{i}"]
        if not self.training:
            return F.batch_norm(h, mean, var, gamma, beta, False, 0.0, EPS)
        next_mean, next_var = mean.clone(), var.clone()  # autograd keeps what it is given
        out = F.batch_norm(h, next_mean, next_var, gamma, beta, True, 1 - MOMENTUM, EPS)
        # torch has put the unbiased variance in; the course's is (n - 1) / n of it.
        n = h.numel() // h.shape[1]
        kept = MOMENTUM * var
        mean.copy_(next_mean)
        var.copy_(kept + (next_var - kept) * ((n - 1) / n))
        return out


class LinearScores(CourseNetwork):
    """scores = [x 1] W."""

    def __init__(self, *, classes: int, features: int) -> None:
        super().__init__()
        self.add(W=(features, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Take x (N, ...), with or without the column of ones, to scores (N, K)."""
        flat = x.flatten(1)
        if flat.shape[1] == len(self["W"]) - 1:
            flat = F.pad(flat, (0, 1), value=1.0)
        return flat @ self["W"]


class FullyConnected(CourseNetwork):
    """{Linear, [normalisation], ReLU, [dropout]} × (L - 1), Linear."""

    def __init__(
        self,
        *,
        classes: int,
        features: int,
        hidden: Sequence[int],
        normalization: str | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.normalization, self.dropout = normalization, dropout
        self.layers = len(hidden) + 1
        sides = [features, *hidden, classes]
        for i in range(1, self.layers + 1):
            self.add(**{f"W{i}": (sides[i - 1], sides[i]), f"b{i}": (sides[i],)})
            if normalization and i < self.layers:
                self.add(**{f"gamma{i}": (sides[i],), f"beta{i}": (sides[i],)})
            if normalization == "batchnorm" and i < self.layers:
                self.add_averages(i, sides[i])

    def forward(self, x: Tensor) -> Tensor:
        """Take x (N, ...) to scores (N, K)."""
        h = x.flatten(1)
        for i in range(1, self.layers):
            h = F.linear(h, self[f"W{i}"].T, self[f"b{i}"])
            if self.normalization == "batchnorm":
                h = self.batch_norm(h, i)
            elif self.normalization == "layernorm":
                h = F.layer_norm(h, h.shape[1:], self[f"gamma{i}"], self[f"beta{i}"], EPS)
            h = F.relu(h)
            if self.dropout and self.training:
                drawn = torch.rand(h.shape, generator=self.generator, dtype=h.dtype)
                h = h * (drawn.to(h.device) >= self.dropout) / (1 - self.dropout)
        return F.linear(h, self[f"W{self.layers}"].T, self[f"b{self.layers}"])


class ThreeLayerConv(CourseNetwork):
    """Conv, ReLU, MaxPool, Linear, ReLU, Linear."""

    def __init__(
        self, *, classes: int, side: int, filters: int, kernel: int, hidden: int, channels: int = 3
    ) -> None:
        super().__init__()
        self.add(
            W1=(filters, channels, kernel, kernel),
            b1=(filters,),
            W2=(filters * (side // 2) ** 2, hidden),
            b2=(hidden,),
            W3=(hidden, classes),
            b3=(classes,),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Take x (N, C, S, S) to scores (N, K)."""
        pad = (self["W1"].shape[2] - 1) // 2
        h = F.max_pool2d(F.relu(F.conv2d(x, self["W1"], self["b1"], 1, pad)), 2)
        h = F.relu(F.linear(h.flatten(1), self["W2"].T, self["b2"]))
        return F.linear(h, self["W3"].T, self["b3"])


class DeepConv(CourseNetwork):
    """{Conv, [BatchNorm], ReLU, [MaxPool]} × (L - 1), Linear."""

    def __init__(
        self,
        *,
        classes: int,
        side: int,
        filters: Sequence[int],
        pools: Collection[int],
        batchnorm: bool,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.batchnorm, self.pools, self.layers = batchnorm, frozenset(pools), len(filters) + 1
        sides = [channels, *filters]
        for i in range(1, self.layers):
            self.add(**{f"W{i}": (sides[i], sides[i - 1], 3, 3), f"b{i}": (sides[i],)})
            if batchnorm:
                self.add(**{f"gamma{i}": (sides[i],), f"beta{i}": (sides[i],)})
                self.add_averages(i, sides[i])
        features = sides[-1] * (side >> len(self.pools)) ** 2
        self.add(**{f"W{self.layers}": (features, classes), f"b{self.layers}": (classes,)})

    def forward(self, x: Tensor) -> Tensor:
        """Take x (N, C, S, S) to scores (N, K)."""
        h = x
        for i in range(1, self.layers):
            h = F.conv2d(h, self[f"W{i}"], self[f"b{i}"], 1, 1)
            if self.batchnorm:
                h = self.batch_norm(h, i)
            h = F.relu(h)
            if i - 1 in self.pools:
                h = F.max_pool2d(h, 2)
        return F.linear(h.flatten(1), self[f"W{self.layers}"].T, self[f"b{self.layers}"])


class Captioner(CourseNetwork):
    """Features and words to the scores of the next words; see `vislab.scratch.CaptioningRNN`."""

    def __init__(
        self, *, classes: int, features: int, word_width: int, hidden: int, cell: str
    ) -> None:
        super().__init__()
        self.cell, h = cell, hidden
        wide = h if cell == "rnn" else 4 * h
        shapes: dict[str, tuple[int, ...]] = {
            "W_proj": (features, h),
            "b_proj": (h,),
            "W_embed": (classes, word_width),
            "Wx": (word_width, wide),
            "Wh": (h, wide),
            "b": (wide,),
            "W_vocab": (h, classes),
            "b_vocab": (classes,),
        }
        if cell == "attention":
            shapes["Wattn"] = (h, wide)
        self.add(**shapes)

    def forward(self, x: tuple[Tensor, Tensor]) -> Tensor:
        """Take (features (N, D) or (N, D, a, a), words (N, T)) to scores (N, T, V)."""
        features, words = x
        inputs = F.embedding(words, self["W_embed"])
        places = None
        if self.cell == "attention":
            kernel = self["W_proj"].T[:, :, None, None]
            places = F.conv2d(features, kernel, self["b_proj"]).flatten(2)  # (N, H, L)
            h = c = places.mean(dim=2)
        else:
            h = F.linear(features, self["W_proj"].T, self["b_proj"])
            c = torch.zeros_like(h)
        states = []
        for t in range(words.shape[1]):
            a = F.linear(inputs[:, t], self["Wx"].T, self["b"]) + h @ self["Wh"]
            if places is not None:
                scores = torch.einsum("nh,nhl->nl", h, places) / math.sqrt(h.shape[1])
                read = torch.einsum("nl,nhl->nh", F.softmax(scores, dim=1), places)
                a = a + read @ self["Wattn"]
            if self.cell == "rnn":
                h = torch.tanh(a)
            else:
                i, f, o, g = a.chunk(4, dim=1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
            states.append(h)
        return F.linear(torch.stack(states, dim=1), self["W_vocab"].T, self["b_vocab"])


NETWORKS: dict[str, Any] = {
    "linear-scores": LinearScores,
    "fully-connected": FullyConnected,
    "three-layer-conv": ThreeLayerConv,
    "deep-conv": DeepConv,
    "captioner": Captioner,
}
