"""Does a map mark the object? Measured where the object's pixels are known."""

from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from vislab.errors import ShapeError


def points_at(maps: Float[Tensor, "n i j"], masks: Bool[Tensor, "_n h w"]) -> Bool[Tensor, " n"]:
    """Return whether each map's largest value lies on the object: the pointing game.

    Zhang et al. 2018, doi:10.1007/s11263-017-1059-x, section 4.1, without their tolerance of 15
    pixels. A map without a largest value, the same everywhere, does not point.
    """
    wide = _widened(maps, masks)
    top = wide.amax(dim=1, keepdim=True)
    hit = (masks.flatten(1) & (wide == top)).sum(dim=1) / (wide == top).sum(dim=1)
    return (hit > 0.5) & (wide.amin(dim=1) < top[:, 0])


def iou_with_mask(
    maps: Float[Tensor, "n i j"], masks: Bool[Tensor, "_n h w"]
) -> Float[Tensor, " n"]:
    """Return the IoU of the object with as many of the map's largest pixels as it has itself.

    No threshold is chosen; chance is about the object's share of the image. NaN where no pixel
    of the object is seen.
    """
    wide, inside = _widened(maps, masks), masks.flatten(1)
    size = inside.sum(dim=1)
    place = wide.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    marked = place < size[:, None]
    return (marked & inside).sum(dim=1) / (marked | inside).sum(dim=1)


def _widened(maps: Tensor, masks: Tensor) -> Float[Tensor, "n pixels"]:
    if len(maps) != len(masks):
        raise ShapeError(f"{len(maps)} maps do not fit {len(masks)} masks: one each")
    size = masks.shape[1:]
    if maps.shape[1:] == size:
        return maps.flatten(1)
    wide = F.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)
    return wide.flatten(1)
