"""One output of a dense network as class scores, so that every method can explain it.

A detector gives many boxes and a segmenter many pixels; a map explains one number. `BoxScore` is
the network that scores one of a detector's boxes, `RegionScore` the one that scores one region of
a segmenter's: they answer with class scores, as a classifier does. A region's score is that of
Vinogradova, Dibrov and Myers 2020, arXiv:2002.11434, equation 2, with the mean over its pixels in
place of their sum.

Each says by `target_layers` at which layers Grad-CAM has something to show: at the very last layer
of a dense network the map would be the answer over again.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from vislab.errors import OptionError, ShapeError
from vislab.explain.hooks import hooked
from vislab.explain.target_layers import TargetLayer


@runtime_checkable
class Detector(Protocol):
    """A network that can say again how sure it is of a box, once it knows where the box is from."""

    backbone: nn.Module
    """(N, 3, H, W) to the maps that all boxes are read from."""

    def origin_of(
        self, image: Float[Tensor, "1 3 h w"], box: Float[Tensor, " 4"], kind: int
    ) -> Tensor:
        """Return what a box (xyxy, pixels) of this class comes from: an anchor, a proposal."""

    def scores_from(self, images: Float[Tensor, "n 3 h w"], origin: Tensor) -> Float[Tensor, "n l"]:
        """Return what is there, the last for "nothing"; the softmax of a class is its score."""


class BoxScore(nn.Module):
    """(N, 3, H, W) to a detector's scores (N, K + 1) of one box, the last for "nothing".

    The softmax of the box's class is the score that the detector gives the box. The anchor or the
    proposal that the box comes from is looked up once, in `image`; it is asked again in whatever
    other images are shown, though they would have other boxes.
    """

    origin: Tensor

    def __init__(
        self,
        detector: nn.Module,
        image: Float[Tensor, "3 h w"],
        box: Float[Tensor, " 4"],
        kind: int,
    ) -> None:
        """Take a box as `detect` gave it, xyxy in pixels. Raises ShapeError for other networks."""
        super().__init__()
        if not isinstance(detector, Detector):
            raise ShapeError(
                f"{type(detector).__name__} does not tell what its boxes come from, which a map of "
                "one box needs; a network with origin_of and scores_from does"
            )
        self.detector: Any = detector
        with hooked(detector, []), torch.no_grad():
            self.register_buffer("origin", detector.origin_of(image[None], box, kind))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n l"]:
        """Return the scores of the box."""
        scores: Tensor = self.detector.scores_from(images, self.origin)
        return scores

    def target_layers(self, image: Float[Tensor, "3 h w"]) -> dict[str, TargetLayer]:
        """Return the backbone's last maps."""
        name = "detector.backbone"
        with hooked(self, [name]) as seen, torch.no_grad():
            self(image[None])
        rows, columns = seen[name].shape[2:]
        return {"last maps": TargetLayer(name, rows, columns, "nchw")}


class RegionScore(nn.Module):
    """(N, 3, H, W) to a segmenter's scores (N, K) of one region: means over the region's pixels."""

    region: Tensor

    def __init__(self, network: nn.Module, region: Bool[Tensor, "h w"]) -> None:
        super().__init__()
        if not bool(region.any()):
            raise OptionError("the region to explain has no pixels; mark at least one")
        self.network = network
        self.register_buffer("region", region)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Return the scores of the region. Raises ShapeError where it does not fit the answer."""
        scores = self.network(images)
        size = tuple(self.region.shape)
        if not isinstance(scores, Tensor) or scores.ndim != 4 or scores.shape[2:] != size:
            raise ShapeError(
                f"a region of {size[0]}×{size[1]} pixels needs a network that gives scores "
                f"(N, K, {size[0]}, {size[1]}), got {_described(scores)}"
            )
        return scores[:, :, self.region].mean(dim=2)

    def target_layers(self, image: Float[Tensor, "3 h w"]) -> dict[str, TargetLayer]:
        """Return the coarsest maps, and the last ones before the scores.

        Raises ShapeError when the network has no maps but its scores.
        """
        names = [name for name, _ in self.named_modules() if name]
        with hooked(self, names) as seen, torch.enable_grad():
            best = self(image.detach()[None].requires_grad_()).max()
            answer = seen["network"]
            outputs = {
                name: output
                for name, output in seen.items()
                if isinstance(output, Tensor)
                and output.requires_grad
                and output is not answer
                and _are_maps(output, image)
            }
            inputs = [*outputs.values()]
            slopes = torch.autograd.grad(best, inputs, allow_unused=True) if inputs else ()
        found = [
            TargetLayer(name, output.shape[2], output.shape[3], "nchw")
            for (name, output), slope in zip(outputs.items(), slopes, strict=True)
            if slope is not None and bool(slope.any())
        ]
        if not found:
            raise ShapeError("the network has no maps before its scores, so there is none to weigh")
        coarsest = min(reversed(found), key=lambda one: one.rows * one.columns)
        if coarsest == found[-1]:
            return {"last maps": coarsest}
        return {"coarsest maps": coarsest, "last maps": found[-1]}


def _are_maps(output: Tensor, image: Tensor) -> bool:
    """Return whether an output is (1, C, I, J) in the shape of the image, up to a cell."""
    if output.ndim != 4 or len(output) != 1 or min(output.shape[2:]) < 2:
        return False
    ratio = image.shape[1] / image.shape[2]
    return abs(output.shape[2] - output.shape[3] * ratio) <= max(1.0, ratio)


def _described(answer: Any) -> str:
    return str(tuple(answer.shape)) if isinstance(answer, Tensor) else type(answer).__name__
