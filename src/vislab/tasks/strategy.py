"""What of a pre-trained network is trained: a strategy, the same for every network.

    none             nothing: the network as it came, with a head of random weights
    head             the head alone; everything else stays as it was pre-trained
    last-blocks:N    the last N blocks and the head
    all              everything, at one rate
    layer-decay:D    everything; each block's rate is D times that of the block after it
                     (Clark et al. 2020, arXiv:2003.10555, section 3.3; usual for transformers)
    gradual          the head first, then block after block from the last to the first, all by the
                     middle of the training (Howard and Ruder 2018, arXiv:1801.06146, section 3.3)

Which blocks there are is found by watching the network work (`models.parameter_groups`).
Importing this file does not import torch.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vislab.errors import OptionError, pick

if TYPE_CHECKING:
    from torch import nn

    from vislab.models.parameter_groups import ParameterGroups

RATES = {  # of Adam, where pre-trained weights are moved; from scratch takes more
    "none": 1e-3, "head": 3e-3, "last-blocks": 3e-4, "all": 3e-4, "layer-decay": 1e-3,
    "gradual": 3e-4,
}  # fmt: skip
UNFROZEN_BY = 0.5  # of a training, `gradual` trains everything from here on
WITHOUT_NUMBER = ("none", "head", "all", "gradual")


@dataclass(frozen=True)
class Strategy:
    """One of the above; `number` is N or D."""

    kind: str
    number: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Strategy":
        """Read `last-blocks:4`. Raises UnknownName or OptionError."""
        kind, _, number = text.partition(":")
        pick(RATES, kind, "strategy")
        if kind in WITHOUT_NUMBER:
            if number:
                raise OptionError(f"strategy {kind!r} takes no number, got {number!r}")
            return cls(kind)
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if kind == "last-blocks" and not (value >= 1 and value.is_integer()):
            raise OptionError(
                f"{text!r} does not say how many blocks to train; write last-blocks:4"
            )
        if kind == "layer-decay" and not 0 < value <= 1:
            raise OptionError(f"{text!r} needs a factor above 0 and at most 1: layer-decay:0.75")
        return cls(kind, value)

    def __str__(self) -> str:
        """Return it as it is typed."""
        return self.kind if self.kind in WITHOUT_NUMBER else f"{self.kind}:{self.number:g}"

    @property
    def rate(self) -> float:
        """A learning rate of Adam that suits it."""
        return RATES[self.kind]

    def frozen(self, groups: "ParameterGroups", progress: float = 0.0) -> set[str]:
        """Return the names of the parameters that stand still at this share of a training."""
        blocks = groups.blocks
        still = {
            "none": len(blocks), "head": len(blocks), "all": 0, "layer-decay": 0,
            "last-blocks": max(0, len(blocks) - int(self.number)),
            "gradual": math.ceil(len(blocks) * max(0.0, 1 - progress / UNFROZEN_BY)),
        }[self.kind]  # fmt: skip
        names = {name for block in blocks[:still] for name in block.parameters}
        return names | set(groups.head.parameters) if self.kind == "none" else names

    def scales(self, groups: "ParameterGroups") -> dict[str, float]:
        """Return the factor of each parameter's learning rate."""
        decay = self.number if self.kind == "layer-decay" else 1.0
        depth = len(groups.blocks)
        found = dict.fromkeys(groups.head.parameters, 1.0)
        for place, block in enumerate(groups.blocks):
            found |= dict.fromkeys(block.parameters, decay ** (depth - place))
        return found


def freeze(model: "nn.Module", frozen: set[str]) -> None:
    """Freeze these parameters, and no others, and put what is wholly frozen in eval mode.

    In eval mode nothing is dropped. Batch normalisation keeps its averages everywhere, also where
    its scale is trained: a short training on small batches makes worse ones. No graph is recorded
    below the first parameter that is trained.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
        if name in frozen:
            parameter.grad = None
    for module in model.modules():
        weights = list(module.parameters())
        still = bool(weights) and not any(p.requires_grad for p in weights)
        if still or isinstance(module, _BatchNorm):
            module.eval()
