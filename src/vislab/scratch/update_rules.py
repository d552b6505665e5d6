"""Update rules: what to do with a weight once its gradient is known.

Each takes the weights w, their gradient dw and a config, and returns the next weights and the
config to hand in next time: a new dict, the one that was given stays as it was. What is missing in
it is filled with the default.

    sgd             w -= η dw
    sgd_momentum    v = μ v - η dw                      w += v           (Polyak 1964)
    rmsprop         s = ρ s + (1 - ρ) dw²               w -= η dw / (√s + ε)   (Hinton 2012)
    adam            t += 1, before it is used           (Kingma and Ba 2015, algorithm 1)
                    m = β1 m + (1 - β1) dw              v = β2 v + (1 - β2) dw²
                    m̂ = m / (1 - β1^t)                  v̂ = v / (1 - β2^t)
                    w -= η m̂ / (√v̂ + ε)

A running average a = β a + (1 - β) b is written torch.lerp(a, b, 1 - β): one pass, not three.

η is `learning_rate`. torch's momentum keeps v without η and multiplies when it is used: the same
path as long as η stays the same.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vislab.errors import pick
from vislab.scratch import expect

Config = dict[str, Any]
Rule = Callable[[Tensor, Tensor, Config | None], tuple[Tensor, Config]]


def sgd(w: Tensor, dw: Tensor, config: Config | None = None) -> tuple[Tensor, Config]:
    """Step against the gradient. Config: learning_rate (1e-2)."""
    config = _begun(w, dw, config, learning_rate=1e-2)
    return w - config["learning_rate"] * dw, config


def sgd_momentum(w: Tensor, dw: Tensor, config: Config | None = None) -> tuple[Tensor, Config]:
    """Step along a velocity. Config: learning_rate (1e-2), momentum (0.9), velocity."""
    config = _begun(w, dw, config, learning_rate=1e-2, momentum=0.9)
    velocity = config.get("velocity", torch.zeros_like(w))
    velocity = config["momentum"] * velocity - config["learning_rate"] * dw
    config["velocity"] = velocity
    return w + velocity, config


def rmsprop(w: Tensor, dw: Tensor, config: Config | None = None) -> tuple[Tensor, Config]:
    """Step by the gradient over its running size.

    Config: learning_rate (1e-2), decay_rate (0.99), epsilon (1e-8), cache.
    """
    config = _begun(w, dw, config, learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8)
    squares = config.get("cache", torch.zeros_like(w))
    config["cache"] = squares = torch.lerp(squares, dw * dw, 1 - config["decay_rate"])
    size = squares.sqrt().add_(config["epsilon"])
    return w - (dw / size).mul_(config["learning_rate"]), config


def adam(w: Tensor, dw: Tensor, config: Config | None = None) -> tuple[Tensor, Config]:
    """Step by the running gradient over its running size, both corrected for their zero start.

    Config: learning_rate (1e-3), beta1 (0.9), beta2 (0.999), epsilon (1e-8), m, v, t.
    """
    config = _begun(w, dw, config, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8)
    beta1, beta2 = config["beta1"], config["beta2"]
    t = config.get("t", 0) + 1
    m = torch.lerp(config.get("m", torch.zeros_like(w)), dw, 1 - beta1)
    v = torch.lerp(config.get("v", torch.zeros_like(w)), dw * dw, 1 - beta2)
    config |= {"t": t, "m": m, "v": v}
    size = (v / (1 - beta2**t)).sqrt_().add_(config["epsilon"])
    return w - (m / size).mul_(config["learning_rate"] / (1 - beta1**t)), config


RULES: dict[str, Rule] = {
    "sgd": sgd,
    "sgd_momentum": sgd_momentum,
    "rmsprop": rmsprop,
    "adam": adam,
}


def _begun(w: Tensor, dw: Tensor, config: Config | None, **defaults: float) -> Config:
    expect.shape("dw", dw, tuple(w.shape), like=w)
    known = {*defaults, "velocity", "cache", "m", "v", "t"}
    for name in config or {}:
        pick(dict.fromkeys(known), name, "config key")
    return {**defaults, **(config or {})}
