"""How weights are updated: the rule, its rate, and how the rate changes over a training.

A rate is a function of progress, the share of the training that is done, and of nothing else. So a
continued run needs no memory of its schedule, and a training cut to a number of minutes still runs
through the whole of it. Importing this file does not import torch.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vislab.errors import OptionError

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


@dataclass(frozen=True)
class Optim:
    """Rule, rate and schedule."""

    name: Literal["sgd", "adam", "adamw"] = "adam"
    """The update rule; sgd is with Nesterov momentum."""
    lr: float = 1e-3
    """The learning rate at its highest."""
    weight_decay: float = 0.0
    """L2 for sgd and adam, decoupled for adamw; biases and normalisation are not decayed."""
    momentum: float = 0.9
    """Of sgd."""
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"
    """cosine falls to zero; one-cycle rises from lr / 25 and falls to nearly zero."""
    warmup: float = 0.0
    """Share of the training in which lr rises linearly from zero (one-cycle: 0 means 0.3)."""
    clip: float = 0.0
    """Largest norm of the whole gradient; 0 does not clip."""
    ema: float = 0.0
    """Decay of averaged weights, tested in place of the last ones; 0 does not average."""

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise OptionError(f"--optim.lr {self.lr} must be above 0")
        for name in ("weight_decay", "clip"):
            if getattr(self, name) < 0:
                flag = name.replace("_", "-")
                raise OptionError(f"--optim.{flag} {getattr(self, name)} must not be negative")
        for name in ("momentum", "warmup", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionError(
                    f"--optim.{name} {getattr(self, name)} must be at least 0 and below 1"
                )

    def rate(self, progress: float) -> float:
        """Return the learning rate after this share of the training, in [0, 1].

        One-cycle: Smith and Topin 2019 (arXiv:1708.07120), with torch's cosine shape and its
        defaults of 25 and 10⁴ for the first and last rate.
        """
        progress = min(max(progress, 0.0), 1.0)
        if self.schedule == "one-cycle":
            peak = self.warmup or 0.3
            if progress < peak:
                return _cosine(self.lr / 25, self.lr, progress / peak)
            return _cosine(self.lr, self.lr / 25e4, (progress - peak) / (1 - peak))
        if progress < self.warmup:
            return self.lr * progress / self.warmup
        if self.schedule == "cosine":
            return _cosine(self.lr, 0.0, (progress - self.warmup) / (1 - self.warmup))
        return self.lr

    def describe(self) -> str:
        """Name rule and rate for tables and protocol cards: "adam 0.001"."""
        text = f"{self.name} {self.lr:g}"
        return f"{text}, decay {self.weight_decay:g}" if self.weight_decay else text

    def build(
        self,
        module: "nn.Module",
        *,
        scales: Mapping[str, float] | None = None,
        left_out: Collection[str] = (),
    ) -> "Optimizer":
        """Return the optimiser over the module's trainable parameters.

        `scales` multiplies the learning rate of a parameter by its name; each group keeps its own
        under "scale", for whoever sets it later. Parameters named in `left_out` are never moved.
        """
        import torch

        sorted_out: dict[tuple[float, bool], list[Any]] = {}
        for name, parameter in module.named_parameters():
            if name not in left_out and (scales is not None or parameter.requires_grad):
                key = ((scales or {}).get(name, 1.0), parameter.ndim > 1)
                sorted_out.setdefault(key, []).append(parameter)
        groups: list[dict[str, Any]] = [
            {
                "params": parameters,
                "scale": scale,
                "lr": self.lr * scale,
                "weight_decay": self.weight_decay if decayed else 0.0,
            }
            for (scale, decayed), parameters in sorted(
                sorted_out.items(), key=lambda item: (item[0][0], item[0][1]), reverse=True
            )
        ]
        if self.name == "sgd":
            return torch.optim.SGD(
                groups, lr=self.lr, momentum=self.momentum, nesterov=self.momentum > 0
            )
        rule = torch.optim.AdamW if self.name == "adamw" else torch.optim.Adam
        return rule(groups, lr=self.lr)


def _cosine(begin: float, end: float, share: float) -> float:
    return end + (begin - end) * (1 + math.cos(math.pi * share)) / 2
