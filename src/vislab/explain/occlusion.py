"""Occlusion: how much the class score falls when a window of the image is covered.

Zeiler and Fergus 2014, arXiv:1311.2901, section 4.3. A pixel gets the mean fall of all windows over
it, as captum's Occlusion has it.
"""

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from vislab.errors import OptionError
from vislab.explain.asking import ask, checked
from vislab.explain.batching import batch_within
from vislab.explain.folding import folded
from vislab.explain.hooks import hooked
from vislab.explain.scores import Target, chosen, of_class
from vislab.progress import track


def occlusion(
    model: nn.Module,
    images: Num[Tensor, "n c h w"],
    target: Target = None,
    *,
    window: int | None = None,
    stride: int | None = None,
    fill: float = 0.0,
    budget: int | None = None,
    quiet: bool = False,
) -> Float[Tensor, "n h w"]:
    """Return one map an image, in units of score; below 0 where covering helped the class.

    The window is a square of pixels, a seventh of the short side unless given, and moves by half of
    itself. `fill` is in normalised units: 0 is the mean colour of what the network was trained on.
    `budget` is memory in bytes. Raises OptionError for a window that does not fit.
    """
    images = checked(images)
    height, width = images.shape[2:]
    window = max(1, min(height, width) // 7) if window is None else window
    stride = max(1, window // 2) if stride is None else stride
    if not (1 <= window <= min(height, width) and stride >= 1):
        raise OptionError(
            f"a window of {window} pixels moved by {stride} does not fit an image of "
            f"{height}×{width}; the window is 1 to {min(height, width)}, the stride 1 or more"
        )
    if not len(images):
        return torch.zeros(0, height, width)
    covers = windows(height, width, window, stride).to(images.device)
    with hooked(model, []), torch.no_grad():
        ready = folded(model, images[:1])
        scores = ask(ready, images)
        wanted = chosen(scores, target)
        before = of_class(scores, wanted)
        batch = batch_within(ready, images[0], budget)
        found = []
        total = len(images) * len(covers)
        with track("occlusion", total=total, unit="windows", quiet=quiet) as advance:
            for image, label, score in zip(images, wanted.tolist(), before, strict=True):
                falls = []
                for some in torch.split(covers, batch):
                    covered = torch.where(some[:, None], fill, image)  # (B, C, H, W)
                    falls.append(score - of_class(ask(ready, covered), label))
                    advance(len(some))
                found.append(_mean_over_windows(torch.cat(falls), covers))
    return torch.stack(found).float().cpu()


def windows(height: int, width: int, window: int, stride: int) -> Bool[Tensor, "k h w"]:
    """Return where each window covers the image; the last of a row ends at the edge."""
    rows = _along(height, window, stride)  # (R, H)
    columns = _along(width, window, stride)  # (S, W)
    return (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)


def _along(length: int, window: int, stride: int) -> Bool[Tensor, "r length"]:
    count = -(-(length - window) // stride) + 1
    begin = torch.arange(count)[:, None] * stride
    pixel = torch.arange(length)
    return (begin <= pixel) & (pixel < begin + window)


def _mean_over_windows(
    falls: Float[Tensor, " k"], covers: Bool[Tensor, "k h w"]
) -> Float[Tensor, "h w"]:
    over = covers.to(falls.dtype).flatten(1)  # (K, H·W)
    mean: Tensor = (falls @ over) / over.sum(dim=0).clamp_min(1)
    return mean.view(covers.shape[1:])
