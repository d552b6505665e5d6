"""Residual networks for small images that normalise and rectify before each convolution.

He et al. 2016b, arXiv:1603.05027, figure 4(e): a block is y = s(x) + f(x), where f is
{normalisation, ReLU, convolution} twice (`basic`) or three times (`bottleneck`), and s is x itself
or, where the shape changes, a 1×1 convolution of x. A `plain` block is f alone. The stages are
those of He et al. 2016a, arXiv:1512.03385, section 4.2: each but the first halves the side.

Differs from the paper as EECS 498/598's assignment 4 does, whose ResNet-32 (widths 8-16-32, 118 074
parameters) this is: every convolution has a bias, the stem's output goes through ReLU, nothing
normalises the last sum before the mean over all places. A width is what a stage's blocks give out;
a bottleneck works at a quarter of it. So the paper's ResNet-164 is block="bottleneck", depth=164,
widths=(64, 128, 256), but for its stem, which is 16 wide, and not as wide as the first stage.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from vislab.errors import OptionError, pick


class Branch(nn.Sequential):
    """{Normalisation, ReLU, convolution} some times over: f, and on its own a plain block."""


class Residual(nn.Module):
    """The sum of a branch and a shortcut around it."""

    def __init__(self, branch: Branch, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """Return s(x) + f(x)."""
        total: Tensor = self.shortcut(x) + self.branch(x)
        return total


class PreActResNet(nn.Module):
    """(N, 3, H, W) to logits (N, K), any size.

    With S stages of n blocks, `depth` counts the layers with weights, without projections:
    2·S·n + 2 for basic and plain, 3·S·n + 2 for bottleneck. Any other raises OptionError.
    """

    def __init__(
        self,
        *,
        classes: int,
        block: Literal["basic", "bottleneck", "plain"] = "basic",
        depth: int = 32,
        widths: Sequence[int] = (16, 32, 64),
    ) -> None:
        super().__init__()
        build, layers = pick(BLOCKS, block, "block")
        if block == "bottleneck" and any(width % 4 for width in widths):
            raise OptionError(
                f"PreActResNet(block='bottleneck') works at a quarter of each width, got "
                f"{tuple(widths)}; take multiples of 4"
            )
        blocks = blocks_per_stage(f"PreActResNet(block={block!r})", depth, layers * len(widths), 2)
        parts: dict[str, nn.Module] = {
            "stem": nn.Sequential(nn.Conv2d(3, widths[0], 3, padding=1), nn.ReLU())
        }
        for stage, (inner, outer) in enumerate(pairwise((widths[0], *widths)), start=1):
            first = build(inner, outer, 1 if stage == 1 else 2)
            rest = [build(outer, outer, 1) for _ in range(blocks - 1)]
            parts[f"stage{stage}"] = nn.Sequential(first, *rest)
        self.features = nn.Sequential(OrderedDict(parts))
        self.head = nn.Linear(widths[-1], classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Return class scores (logits)."""
        maps = self.features(images)  # (N, C, H/4, W/4) after three stages, rounded up
        scores: Tensor = self.head(maps.mean(dim=(2, 3)))
        return scores


def blocks_per_stage(network: str, depth: int, step: int, rest: int) -> int:
    """Return the n ≥ 1 with depth = step·n + rest; OptionError names the nearest depths."""
    n, over = divmod(depth - rest, step)
    if n >= 1 and over == 0:
        return n
    near = sorted({step * max(m, 1) + rest for m in (n, n + 1)})
    raise OptionError(
        f"{network} is {step}n + {rest} layers deep, got depth={depth}; "
        f"take {' or '.join(map(str, near))}"
    )


def _plain(inner: int, outer: int, stride: int) -> Branch:
    return Branch(*_conv(inner, outer, 3, stride), *_conv(outer, outer, 3))


def _basic(inner: int, outer: int, stride: int) -> nn.Module:
    return Residual(_plain(inner, outer, stride), _shortcut(inner, outer, stride))


def _bottleneck(inner: int, outer: int, stride: int) -> nn.Module:
    narrow = outer // 4
    branch = Branch(
        *_conv(inner, narrow, 1), *_conv(narrow, narrow, 3, stride), *_conv(narrow, outer, 1)
    )
    return Residual(branch, _shortcut(inner, outer, stride))


def _shortcut(inner: int, outer: int, stride: int) -> nn.Module:
    if inner == outer and stride == 1:
        return nn.Identity()
    return nn.Conv2d(inner, outer, 1, stride=stride)


def _conv(inner: int, outer: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.BatchNorm2d(inner),
        nn.ReLU(),
        nn.Conv2d(inner, outer, kernel, stride=stride, padding=kernel // 2),
    ]


BLOCKS = {"basic": (_basic, 2), "bottleneck": (_bottleneck, 3), "plain": (_plain, 2)}
