"""Other ways back through a ReLU: the rules of DeconvNet and of guided back-propagation.

With R the signal that comes back and x what the ReLU was given (Springenberg et al. 2015,
arXiv:1412.6806, figure 1):

    gradient     (x > 0) · R
    DeconvNet    max(R, 0)               Zeiler and Fergus 2014, arXiv:1311.2901, section 2.1
    guided       (x > 0) · max(R, 0)

Every call of a ReLU counts, as a module, a function or a method, in place or not, used once or
over and over. ReLU6 is a ReLU that is also shut from 6 up. What comes back through max pooling is
put where the maximum was, as in DeconvNet's unpooling with switches.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from vislab.errors import ShapeError
from vislab.explain.asking import checked
from vislab.explain.eager import scripted
from vislab.explain.gradients import input_gradient
from vislab.explain.scores import Target

Rule = Literal["deconvnet", "guided"]
NAMES = {"deconvnet": "DeconvNet", "guided": "guided back-propagation"}
RELUS = frozenset({
    F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu6, F.hardtanh,
    F.hardtanh_,
})  # fmt: skip
OTHERS: dict[Callable[..., Any], str] = {
    F.gelu: "GELU", F.silu: "SiLU", F.hardswish: "hard-swish", F.elu: "ELU", F.mish: "Mish",
    F.leaky_relu: "leaky ReLU", F.selu: "SELU", F.celu: "CELU", F.softplus: "softplus",
    torch.tanh: "tanh", Tensor.tanh: "tanh",
}  # fmt: skip


class _Ruled(torch.autograd.Function):
    """max(x, 0), at most `top`, with another way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, top: float, rule: Rule) -> Tensor:
        ctx.open = (x > 0) & (x < top) if rule == "guided" else None
        return x.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, *signals: Tensor) -> Any:
        back = signals[0].clamp(min=0)
        return back if ctx.open is None else back * ctx.open, None, None


class ReluRule(TorchFunctionMode):
    """Every ReLU called in the block takes the rule's way back; counts which activations came."""

    def __init__(self, rule: Rule) -> None:
        super().__init__()
        self.rule: Rule = rule
        self.met: Counter[str] = Counter()

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> Any:
        keywords = keywords or {}
        if function in RELUS or function in OTHERS:
            arguments, keywords = _x_first(arguments, keywords)
        top = _top(function, *arguments, **keywords) if function in RELUS else None
        if top is not None:
            x = arguments[0]
            self.met["ReLU"] += x.ndim > 2  # gates of a whole image are no maps
            ruled = _Ruled.apply(x, top, self.rule)
            in_place = function.__name__.endswith("_") or True in arguments[1:]
            return x.copy_(ruled) if in_place or keywords.get("inplace") else ruled
        if function in OTHERS:
            self.met[OTHERS[function]] += arguments[0].ndim > 2
        return function(*arguments, **keywords)

    def require_relu(self) -> None:
        """Raise ShapeError unless most activations of maps or tokens were ReLUs."""
        others = Counter({name: count for name, count in self.met.items() if name != "ReLU"})
        if self.met["ReLU"] > sum(others.values()):
            return
        if not others:
            raise ShapeError(f"{NAMES[self.rule]} is a rule for ReLU, and this network calls none")
        most = others.most_common(1)[0][0]
        raise ShapeError(
            f"{NAMES[self.rule]} is a rule for ReLU, and {sum(others.values())} of the "
            f"{sum(self.met.values())} activations of this network are others, mostly {most}"
        )


def _x_first(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Return arguments with x as the first, also of a call `relu(input=x)`."""
    if arguments:
        return arguments, keywords
    rest = dict(keywords)
    return (rest.pop("input"),), rest


def _top(
    function: Callable[..., Any],
    _x: Tensor,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> float | None:
    """Return where a ReLU is shut above; None for a clamp that is no ReLU."""
    if function is F.relu6:
        return 6.0
    if function in (F.hardtanh, F.hardtanh_):
        return float(max_val) if min_val == 0 else None
    return float("inf")


def ruled_gradient(
    model: nn.Module, images: Num[Tensor, "n c h w"], target: Target, rule: Rule
) -> Float[Tensor, "n c h w"]:
    """Return what comes back from the class score to the image under a rule, on the CPU.

    Raises ShapeError where the rule has no meaning for the network.
    """
    if scripted(model):
        raise ShapeError(
            f"{NAMES[rule]} is a rule for ReLU, and the network is TorchScript, inside of which "
            "none can be seen; give the module that it was made from"
        )
    images = checked(images)
    if not len(images):
        return torch.zeros(images.shape)
    with ReluRule(rule) as mode:
        back = input_gradient(model, images, target)
    mode.require_relu()
    return back.float().cpu()
