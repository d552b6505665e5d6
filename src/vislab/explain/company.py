"""Networks whose answer about an image depends on what other images are shown with it.

Batch normalisation without running averages is the commonest. A map of one image is to be that of
the image alone, so such a network is shown one image at a time.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from vislab.errors import ShapeError
from vislab.explain.asking import answer, raw_scores, said_by
from vislab.explain.hooks import hooked, output_of
from vislab.explain.scores import chances, sides

# Of the largest score: what rounding may change, more where kernels differ with the batch.
ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4}  # else 3e-2
ELSEWHERE = 10  # times as much where not on a CPU


class OneByOne(nn.Module):
    """A network that is shown one image at a time, whatever it is given."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.reading = said_by(network)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return class scores."""
        return torch.cat([raw_scores(self.network, image[None]) for image in images])


class Answered(NamedTuple):
    """What a network says of each image alone, and the network to go on with."""

    network: nn.Module
    raw: Float[Tensor, "n k"]  # scores as the network gives them

    @property
    def scores(self) -> Float[Tensor, "n k"]:
        """Return class scores as `ask` does."""
        return sides(self.raw, said_by(self.network))

    @property
    def probabilities(self) -> Float[Tensor, "n k"]:
        """Return the probability of each class."""
        return chances(self.raw, said_by(self.network))


def answered(model: nn.Module, images: Num[Tensor, "n c h w"], *, many: bool = False) -> Answered:
    """Ask a network about one or more images.

    It is shown one at a time, now and later, if company changes what it says or is more than it
    takes. With `many`, more images than these are to be shown it at once. Finding out costs a pass
    of two or three images, none for a single image that stays alone.
    """
    alone = OneByOne(model)
    try:
        raw = raw_scores(model, images)
    except ShapeError:
        if len(images) == 1:
            raise
        return Answered(alone, raw_scores(alone, images))
    if not (many or len(images) > 1) or not sways(model, images, raw):
        return Answered(model, raw)
    return Answered(alone, raw if len(images) == 1 else raw_scores(alone, images))


def sways(model: nn.Module, images: Tensor, raw: Tensor) -> bool:
    """Say whether the first image has other scores in other company than it has among these.

    `raw` are the scores of all of them; finding out costs a pass of two or three images.
    """
    first = images[:1].detach()
    # Other company by size and by what it shows: what is swayed by one may be blind to the other.
    strangers = [_stranger(first)] * (2 if len(images) == 2 else 1)
    with torch.no_grad():
        try:
            found = raw_scores(model, torch.cat([first, *strangers]))
        except ShapeError:  # it takes one image alone, or gives (K,) for any number
            return True
        if alike(found[:1], raw[:1]):
            return False
        # What is drawn at random each time is so alone, too.
        return alike(raw_scores(model, images), raw)


def layer_sways(model: nn.Module, images: Num[Tensor, "n c h w"], layer: str) -> bool:
    """Say whether a layer gives other values for an image in company than for the image alone."""
    given: list[Tensor] = []
    with hooked(model, [layer]) as seen, torch.no_grad():
        for some in (images[:1], torch.cat([images[:1], _stranger(images[:1])])):
            try:
                answer(model, some)
            except ShapeError:
                if given:  # it takes one image alone
                    return True
                raise
            given.append(output_of(seen, layer)[:1])
    return not alike(*given)


def alike(one: Tensor, other: Tensor) -> bool:
    """Say whether scores are the same but for rounding."""
    if one.shape != other.shape:
        return False
    one, other = one.detach(), other.detach()
    slack = ROUNDING.get(one.dtype, 3e-2) * (1 if one.device.type == "cpu" else ELSEWHERE)
    largest = float(one.double().where(one.isfinite(), 0.0).abs().max())
    return bool(torch.isclose(one, other, rtol=0.0, atol=slack * max(largest, 1e-30)).all())


def _stranger(image: Tensor) -> Tensor:
    """Return an image unlike this one: a ramp, to values beyond all of its own."""
    floats = image if image.is_floating_point() else image.float()
    ramp = torch.linspace(-1, 1, image.numel(), device=image.device, dtype=floats.dtype)
    return ((1 + 2 * floats.abs().max()) * ramp.view_as(image)).to(image.dtype)
