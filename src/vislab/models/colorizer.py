"""Colour for grey images: convolutions over the lightness, joined with what is in the image.

After Iizuka et al. 2016 (doi:10.1145/2897824.2925974) and Baldassarre et al. 2017
(arXiv:1712.03400), which put what a pre-trained network says of the image beside every place of
the encoder's maps. The answer is either the two colour channels of CIE Lab for each place, or a
score for each of the bins that the colours a screen can show are cut into (Zhang et al. 2016,
arXiv:1603.08511).
"""

import itertools
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.models.classifiers import create
from vislab.ops.colour import lab_to_rgb, rgb_to_lab

REACH = 110.0  # a and b of what a screen shows lie within this
BIN = 10.0  # sides of a bin of ab
TEMPERATURE = 0.38  # of the annealed mean, Zhang et al., section 2.3
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@cache
def colour_bins() -> Float[Tensor, "k 2"]:
    """Return the centres of the bins of ab, `BIN` apart, that a screen's colours fall into."""
    steps = torch.linspace(0, 1, 48)
    cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"))  # (3, 48, 48, 48)
    lab = rgb_to_lab(cube.flatten(2)[None])
    bins: Tensor = torch.unique((lab[0, 1:].flatten(1).T / BIN).round(), dim=0)
    return bins * BIN


class Colorizer(nn.Module):
    """Lightness (N, 1, H, W) in [−1, 1] to colours at half the size, rounded up.

    `classes` is 2 for the colour channels themselves, in [−1, 1], or the number of `colour_bins`.
    `embedder` is a network by name whose answer to the grey image is joined at the narrowest
    place; it is not trained.
    """

    def __init__(
        self,
        *,
        classes: int = 2,
        width: int = 32,
        embedder: str | None = None,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width, 8 * width)
        self.embedder: nn.Module | None = None
        told, self.shown = 0, IMAGENET
        if embedder is not None:
            self.embedder = create(embedder, classes=None, pretrained=pretrained)
            self.embedder.requires_grad_(False)
            known = getattr(self.embedder, "preprocessing", None)
            if known is not None:
                self.shown = (known.mean, known.std)
            with torch.no_grad():
                told = self.embedder.eval()(torch.zeros(1, 3, 64, 64)).shape[1]
        self.first = convolved(1, width)
        self.down = nn.ModuleList(
            nn.Sequential(convolved(inner, outer, stride=2), convolved(outer, outer))
            for inner, outer in itertools.pairwise(widths)
        )
        self.told = nn.Sequential(nn.LayerNorm(told), nn.Linear(told, widths[-1])) if told else None
        self.fuse = nn.Conv2d((2 if told else 1) * widths[-1], widths[-1], 1)
        self.up = nn.ModuleList(
            convolved(deep + skip, skip)
            for deep, skip in zip(widths[:1:-1], widths[-2:0:-1], strict=True)
        )
        self.head = nn.Conv2d(widths[1], classes, 1)
        self.register_buffer("bins", colour_bins(), persistent=False)

    def train(self, mode: bool = True) -> "Colorizer":
        """Set training mode; the embedder stays as it is."""
        super().train(mode)
        if self.embedder is not None:
            self.embedder.eval()
        return self

    def forward(self, lightness: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n k i j"]:
        """Return colour channels, or scores of bins, at half the size."""
        maps = self.first(lightness)
        passed: list[Tensor] = []
        for convolve in self.down:
            maps = convolve(maps)
            passed.append(maps)
        if self.told is not None:
            told = self.told(self.embedding(lightness))[:, :, None, None]
            maps = torch.cat([maps, told.expand(-1, -1, *maps.shape[2:])], dim=1)
        maps = F.relu(self.fuse(maps))
        for convolve, skip in zip(self.up, reversed(passed[:-1]), strict=True):
            grown = F.interpolate(maps, size=skip.shape[2:], mode="nearest")
            maps = convolve(torch.cat([grown, skip], dim=1))
        colours: Tensor = self.head(maps)
        return colours

    @torch.no_grad()
    def embedding(self, lightness: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n e"]:
        """Return what the embedder says of the grey image: its scores."""
        assert self.embedder is not None, "asked for by `told` alone"
        nothing = lightness.new_zeros(len(lightness), 2, *lightness.shape[2:])
        grey = lab_to_rgb(torch.cat([50 * (lightness + 1), nothing], dim=1))
        mean, std = (grey.new_tensor(values)[:, None, None] for values in self.shown)
        scores: Tensor = self.embedder((grey - mean) / std)
        return scores

    def colours(self, answer: Float[Tensor, "n k i j"]) -> Float[Tensor, "n 2 i j"]:
        """Return a and b that an answer means: as they are, or the annealed mean over the bins."""
        if answer.shape[1] == 2:
            return REACH * answer
        shares = (answer / TEMPERATURE).softmax(dim=1)
        return torch.einsum("nkij,kc->ncij", shares, self.get_buffer("bins"))

    def paint(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """Return images, sRGB in [0, 1], with their lightness kept and colours of our own."""
        lightness = rgb_to_lab(pixels)[:, :1]
        found = self.colours(self(lightness / 50 - 1).float())
        wide = F.interpolate(found, size=pixels.shape[2:], mode="bilinear")
        return lab_to_rgb(torch.cat([lightness, wide], dim=1))

    def binned(self, ab: Float[Tensor, "n 2 i j"]) -> Int[Tensor, "n i j"]:
        """Return the bin that each place's colour is nearest to."""
        flat = ab.movedim(1, -1).reshape(-1, 2)
        bins = self.get_buffer("bins")
        # |x − b|² without its |x|², which is the same for all bins.
        nearest = (bins.square().sum(dim=1) - 2 * flat @ bins.T).argmin(dim=1)
        return nearest.view(ab.shape[0], *ab.shape[2:])


def convolved(inner: int, outer: int, *, stride: int = 1) -> nn.Sequential:
    """Return a 3×3 convolution with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outer),
        nn.ReLU(inplace=True),
    )
