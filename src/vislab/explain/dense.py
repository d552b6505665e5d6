"""One output of a dense network as class scores, so that every method can explain it.

A detector gives many boxes, a segmenter many pixels; a map explains one number. `BoxScore` makes
of a detector the network that scores one of its boxes, `RegionScore` of a segmenter the one that
scores one region: their answers are (N, K), as a classifier's. For regions: Vinogradova, Dibrov and
Myers 2020, arXiv:2002.11434, equation 2, whose sum over the region is a mean here.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.explain.taps import tap


@runtime_checkable
class Detector(Protocol):
    """A network that can say again how sure it is of a box, once it knows where the box is from."""

    backbone: nn.Module

    def origin_of(
        self, image: Float[Tensor, "1 3 h w"], box: Float[Tensor, " 4"], kind: int
    ) -> Tensor:
        """Return what in the network a box comes from: a cell's anchor, a proposal."""

    def scores_from(
        self, images: Float[Tensor, "n 3 h w"], origin: Tensor
    ) -> Float[Tensor, "n l"]:
        """Return what it is there, the last for "nothing"; its softmax are the boxes' scores."""


class BoxScore(nn.Module):
    """(N, 3, H, W) to a detector's scores (N, K + 1) of one box, the last for "nothing".

    The box stays the one it is in `image`, whatever pictures are shown: the anchor or the proposal
    that it comes from is looked up once. The softmax of class k is the box's score.
    """

    def __init__(
        self,
        detector: nn.Module,
        image: Float[Tensor, "3 h w"],
        box: Float[Tensor, " 4"],
        kind: int,
    ) -> None:
        super().__init__()
        self.detector: Any = detector
        with tap(detector, []), torch.no_grad():
            self.register_buffer("origin", self.detector.origin_of(image[None], box, kind))

    def forward(self, images):
        return self.detector.scores_from(images, self.origin)


class RegionScore(nn.Module):
    def __init__(self, network, region):
        super().__init__()
        self.network = network
        self.register_buffer("region", region)

    def forward(self, images):
        scores = self.network(images)
        return scores.flatten(2)[:, :, self.region.flatten()].mean(dim=2)
