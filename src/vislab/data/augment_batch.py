"""Augmentation of whole batches: every image its own draw, no loop over images.

Shares of the side, not pixels, say how far: the same augmentation fits 32 and 224 pixels. All
draws come from one generator, on the CPU and for the whole batch, so that a batch looks the same on
every device and however many processes share it.

Sources: random crop and flip, He et al. 2016 (arXiv:1512.03385, section 4.2); resized crop, Szegedy
et al. 2015 (arXiv:1409.4842, section 6); cutout, DeVries and Taylor 2017 (arXiv:1708.04552); mixup,
Zhang et al. 2018 (arXiv:1710.09412, equation 1); CutMix, Yun et al. 2019 (arXiv:1905.04899,
equations 1 and 2); RandAugment, Cubuk et al. 2020 (arXiv:1909.13719).
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Generator, Tensor
from torch.nn import functional as F

from vislab.data.augment import Augment
from vislab.data.randaugment import GREY, randaugment


@dataclass(frozen=True, eq=False)
class Mix:
    """How a batch of N is mixed: image i keeps `mask` of itself, the rest is of `partner[i]`."""

    partner: Int[Tensor, " n"]
    share: float  # of the label that stays
    box: tuple[int, int, int, int] | None  # CutMix: top, left, bottom, right; mixup: None


def draw_mix(augment: Augment, count: int, side: int, generator: Generator) -> Mix | None:
    """Draw with whom each of the batch is mixed; None when nothing is."""
    if not augment.mixes:
        return None
    partner = torch.randperm(count, generator=generator)
    use_mixup = augment.mixup > 0
    if use_mixup and augment.cutmix > 0:
        use_mixup = bool(torch.rand((), generator=generator) < 0.5)
    alpha = augment.mixup if use_mixup else augment.cutmix
    # NumPy draws Beta from a generator of its own; torch has none that takes a generator.
    key = int(torch.randint(2**31, (), generator=generator))
    rng = np.random.default_rng(key)
    share = float(rng.beta(alpha, alpha))
    if use_mixup:
        return Mix(partner, share, None)
    half = (1 - share) ** 0.5 * side / 2
    y, x = rng.integers(0, side, size=2)
    top, bottom = max(0, round(y - half)), min(side, round(y + half))
    left, right = max(0, round(x - half)), min(side, round(x + half))
    covered = max(0, bottom - top) * max(0, right - left)
    return Mix(partner, 1 - covered / side**2, (top, left, bottom, right))


def mirror(pixels: UInt8[Tensor, "n s s 3"], which: Bool[Tensor, " n"]) -> UInt8[Tensor, "n s s 3"]:
    """Mirror the chosen images left to right, in place."""
    if which.any():
        values, chosen = pixels.numpy(), which.numpy()
        before = values[chosen]
        after = np.empty_like(before)
        for channel in range(3):  # bytes are copied in runs this way: four times as fast
            after[..., channel] = before[:, :, ::-1, channel]
        values[chosen] = after
    return pixels


def rotated(
    pixels: UInt8[Tensor, "n s s c"], rotations: Int[Tensor, " n"]
) -> UInt8[Tensor, "n s s c"]:
    """Turn each image counter-clockwise by so many quarters of a circle."""
    if not rotations.any():
        return pixels
    out = pixels.clone()
    for quarters in (1, 2, 3):
        which = rotations == quarters
        out[which] = torch.rot90(pixels[which], quarters, (1, 2))
    return out


def cut_windows(
    pixels: UInt8[Tensor, "n s s 3"], offsets: Int[Tensor, "n 2"], pad: int, mode: str
) -> UInt8[Tensor, "n s s 3"]:
    """Pad by `pad` pixels and cut from each image the S×S window at its (top, left) offset."""
    n, side = pixels.shape[:2]
    padded = np.pad(
        pixels.numpy(),
        ((0, 0), (pad, pad), (pad, pad), (0, 0)),
        mode=mode,  # type: ignore[call-overload]
    )
    # A row of a window is contiguous: one index a row, and each copies a whole run of bytes.
    stride = padded.shape[2] * 3
    flat = torch.from_numpy(padded).view(-1)
    start = offsets[:, 1, None] * 3 + (offsets[:, 0, None] + torch.arange(side)) * stride
    start += torch.arange(n)[:, None] * (padded.shape[1] * stride)  # (N, S): where each row begins
    windows = flat.as_strided((flat.numel() - side * 3 + 1, side * 3), (1, 1))
    return windows.index_select(0, start.view(-1)).view(n, side, side, 3)


def crop_boxes(smallest: float, count: int, side: int, generator: Generator) -> Int[Tensor, "n 4"]:
    """Draw windows (top, left, height, width): area uniform, aspect log-uniform in [3/4, 4/3]."""
    draws = torch.rand(count, 4, generator=generator)
    area = (smallest + (1 - smallest) * draws[:, 0]) * side**2
    aspect = torch.exp((2 * draws[:, 1] - 1) * float(np.log(4 / 3)))
    height = (area / aspect).sqrt().round().clamp(1, side)
    width = (area * aspect).sqrt().round().clamp(1, side)
    top = (draws[:, 2] * (side - height + 1)).floor()
    left = (draws[:, 3] * (side - width + 1)).floor()
    return torch.stack([top, left, height, width], dim=1).long()


def resize_boxes(
    source: UInt8[np.ndarray, "all s s c"],
    places: Int[np.ndarray, " n"],
    boxes: Int[Tensor, "n 4"],
    mirrored: Bool[Tensor, " n"],
    side: int,
    *,
    nearest: bool = False,
) -> UInt8[Tensor, "n {side} {side} c"]:
    """Make a window (top, left, height, width) of each image `side` pixels wide and high.

    Bilinear, or with `nearest` each the nearest pixel. Windows of different sizes have no batched
    kernel on bytes; torch's image-sized one is called from a few threads, which is several times
    faster than sampling the batch as floats.
    """
    out = np.empty((len(places), side, side, source.shape[3]), dtype=np.uint8)
    way: dict[str, Any] = (
        {"mode": "nearest-exact"} if nearest else {"mode": "bilinear", "align_corners": False}
    )
    corners, rotated = boxes.tolist(), mirrored.tolist()

    def work(part: range) -> None:
        for number in part:
            top, left, height, width = corners[number]
            # A copy: the source may be read-only, and only the window is read from the disk.
            window = source[places[number], top : top + height, left : left + width].copy()
            # (1, 3, H, W), channels-last: the kernel for bytes knows no other fast path.
            image = torch.from_numpy(window).permute(2, 0, 1)[None]
            if rotated[number]:
                image = image.flip(3)
            big = F.interpolate(image, (side, side), **way)
            out[number] = big[0].permute(1, 2, 0).numpy()

    _in_threads(work, len(places))
    return torch.from_numpy(out)


def _in_threads(work: Callable[[range], None], count: int) -> None:
    threads = os.cpu_count() or 1
    step = max(1, -(-count // threads))
    parts = [range(start, min(start + step, count)) for start in range(0, count, step)]
    list(_pool().map(work, parts))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count())


def normalise(
    pixels: UInt8[Tensor, "n s s 3"], mean: tuple[float, ...], std: tuple[float, ...]
) -> Float[Tensor, "n 3 s s"]:
    """Return (pixels / 255 − mean) / std, channels-last in memory."""
    n, side = pixels.shape[:2]
    scale = torch.tensor([1 / (255 * d) for d in std], device=pixels.device).repeat(side)
    offset = torch.tensor([-m / d for m, d in zip(mean, std, strict=True)])
    # A row of pixels at a time: with three values at a time no vector instruction applies.
    values = pixels.reshape(n * side, side * 3).to(torch.float32)
    torch.addcmul(offset.to(pixels.device).repeat(side), values, scale, out=values)
    return values.view(n, side, side, 3).permute(0, 3, 1, 2)


def colours(
    augment: Augment,
    pixels: UInt8[Tensor, "n s s 3"],
    rows: Int[Tensor, " n"],
    count: int,
    generator: Generator,
) -> UInt8[Tensor, "n s s 3"]:
    """Change brightness, contrast and saturation of each image, then RandAugment."""
    if augment.colour > 0:
        strength = augment.colour
        factors = 1 + strength * (2 * torch.rand(count, 3, generator=generator) - 1)
        pixels = recoloured(pixels, *factors[rows].to(pixels.device).unbind(1))
    if augment.randaugment > 0:
        pixels = randaugment(
            pixels,
            rows,
            count,
            generator,
            operations=augment.randaugment,
            magnitude=augment.magnitude,
        )
    return pixels


def recoloured(
    pixels: UInt8[Tensor, "n s s 3"],
    bright: Float[Tensor, " n"],
    contrast: Float[Tensor, " n"],
    saturation: Float[Tensor, " n"],
) -> UInt8[Tensor, "n s s 3"]:
    """Return images of other brightness, saturation and contrast, in this order.

    Brightness multiplies by b, saturation s mixes with the grey value w·x of the pixel, contrast c
    with the mean grey value m of the image. Together they are one sum, so that an image is read
    and written once: x → b·c·s·x + b·c·(1 − s)·w·x + b·(1 − c)·m.
    """
    values = pixels.flatten(1, 2).to(torch.float32)  # (N, S², 3)
    grey = values @ torch.tensor(GREY, device=pixels.device)  # (N, S²)
    both, mean = bright * contrast, grey.mean(dim=1)
    shift = (both * (1 - saturation))[:, None] * grey + (bright * (1 - contrast) * mean)[:, None]
    values = torch.addcmul(shift[..., None], values, (both * saturation)[:, None, None])
    return values.round_().clamp_(0, 255).to(torch.uint8).view_as(pixels)


def cover(
    augment: Augment,
    images: Float[Tensor, "n 3 s s"],
    rows: Int[Tensor, " n"],
    count: int,
    generator: Generator,
) -> Float[Tensor, "n 3 s s"]:
    """Cutout: set a square to 0, the mean of normalised images. It may reach over the border."""
    if augment.cutout <= 0:
        return images
    side = images.shape[2]
    length = max(1, round(augment.cutout * side))
    centre = torch.randint(0, side, (count, 2), generator=generator)[rows].to(images.device)
    first = centre - length // 2  # (N, 2)
    place = torch.arange(side, device=images.device)
    inside: Bool[Tensor, "n 2 s"] = (place >= first[:, :, None]) & (
        place < first[:, :, None] + length
    )
    hole = inside[:, 0, :, None] & inside[:, 1, None, :]  # (N, S, S)
    return images.masked_fill_(hole[:, None], 0.0)
