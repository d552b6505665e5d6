"""What a finished run's network makes of new pictures where the answer is masks, boxes or colours.

Pictures are shown to the network as it was trained, and the answer is brought back to the pixels of
the file: boxes as they lie there, masks and colours at the file's own size.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.data.augment_batch import normalise
from vislab.data.decode import fit_square, fit_whole, opened, within
from vislab.errors import RunError
from vislab.models.colorizer import Colorizer
from vislab.ops.colour import lab_to_rgb, rgb_to_lab
from vislab.runs import figures
from vislab.runs.folder import file_name
from vislab.runs.own_pngs import free_stem, marked
from vislab.runs.writing import replacing, saying_why

SURE = 0.5  # boxes that are drawn; all above LEAST are listed
LEAST = 0.05
LONGEST = 1600  # pixels: of a picture that boxes or colours are drawn over

Answer = tuple[dict[str, Any], dict[str, Image.Image]]  # what is said; what is drawn, by its suffix


def predict_dense(
    model: nn.Module, about: dict[str, Any], paths: Sequence[Path], folder: Path | None
) -> list[dict[str, Any]]:
    """Return for each picture what is in it, and write masks, boxes or colours into `folder`.

    Raises DataError naming the first picture that cannot be read, RunError without a folder where
    the answer is a picture.
    """
    kind = str(about["answers"])
    if folder is None and kind != "boxes":
        raise RunError("the answers are pictures: say where they go with --why FOLDER")
    taken = {path.resolve() for path in paths}
    found = []
    for path in paths:
        said, drawn = ANSWERS[kind](model, about, opened(path))
        row: dict[str, Any] = {"picture": str(path), **said}
        if folder is not None:
            with saying_why(folder):
                folder.mkdir(parents=True, exist_ok=True)
            stem = free_stem(folder, file_name(path.stem), list(drawn), taken)
            for suffix, picture in drawn.items():
                target = folder / f"{stem}{suffix}.png"
                taken.add(target.resolve())
                with replacing(target) as file:
                    picture.save(file, format="PNG", pnginfo=marked())
                row[suffix.strip("-") or "drawn"] = str(target)
        found.append(row)
    return found


def _shown(model: nn.Module, about: dict[str, Any], square: UInt8[np.ndarray, "s s 3"]) -> Tensor:
    device = next(model.parameters()).device
    pixels = torch.from_numpy(square[None].copy()).to(device)
    return normalise(pixels, tuple(about["mean"]), tuple(about["deviation"]))


def _masks(model: nn.Module, about: dict[str, Any], picture: Image.Image) -> Answer:
    """Say which share of the picture each class takes; draw the mask and the picture under it."""
    size, classes = int(about["size"]), about["classes"]
    width, height = within(picture.size, size)
    left, top = (size - width) // 2, (size - height) // 2
    with torch.inference_mode():
        scores = model(_shown(model, about, fit_whole(picture, size))).float()
        part = scores[:, :, top : top + height, left : left + width]
        longest = max(picture.size)
        scale = min(1.0, LONGEST / longest)  # scores of all classes at full size may not fit
        wide = F.interpolate(part, size=shrunk(picture, scale)[::-1], mode="bilinear")
        mask = wide.argmax(dim=1)[0].to(torch.uint8).cpu().numpy()
    image = Image.fromarray(mask).resize(picture.size, Image.Resampling.NEAREST)
    counts = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
    shares = {label: float(share) for label, share in zip(classes, counts, strict=True)}
    order = sorted(shares, key=lambda label: -shares[label])
    image.putpalette((255 * figures.class_colours(len(classes))).astype(np.uint8).tobytes())
    small = picture.resize((mask.shape[1], mask.shape[0]))
    over = figures.coloured(np.asarray(small)[None], mask[None].astype(np.int64), len(classes))[0]
    said = {"label": order[0], "shares": {label: shares[label] for label in order}}
    return said, {"-mask": image, "-over": Image.fromarray(over)}


def _boxes(model: nn.Module, about: dict[str, Any], picture: Image.Image) -> Answer:
    """List what is found, best first; draw what scores `SURE` and more."""
    size, classes = int(about["size"]), about["classes"]
    width, height = within(picture.size, size)
    shift = np.array([(size - width) // 2, (size - height) // 2] * 2)
    with torch.inference_mode():
        images = _shown(model, about, fit_whole(picture, size))
        answer = model.detect(images, least=LEAST)  # type: ignore[operator]
    corners = (answer.boxes.double().cpu().numpy() - shift) * (max(picture.size) / size)
    corners = corners.clip(0, np.array([*picture.size, *picture.size]))
    found = [
        {
            "label": classes[kind],
            "score": score,
            "box": [round(float(value), 1) for value in box],
        }
        for kind, score, box in zip(
            answer.kinds.tolist(), answer.scores.tolist(), corners, strict=True
        )
    ]
    scale = min(1.0, LONGEST / max(picture.size))
    small = picture.resize(shrunk(picture, scale))
    colours = list(figures.PALETTE[:-1])
    drawn = [
        figures.Drawn(
            tuple(value * scale for value in one["box"]),
            f"{one['label']} {100 * one['score']:.0f}",
            colours[classes.index(one["label"]) % len(colours)],
        )
        for one in found
        if one["score"] >= SURE
    ]
    figure = figures.boxes_over_pictures(np.asarray(small)[None], [drawn])
    said = {"label": found[0]["label"] if found else None, "found": found}
    return said, {"-boxes": _as_image(figure)}


def shrunk(picture: Image.Image, scale: float) -> tuple[int, int]:
    """Return width and height of a picture made smaller, at least one pixel each."""
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


def _as_image(figure: Any) -> Image.Image:
    import io

    return Image.open(io.BytesIO(figures.to_png(figure)))


def _colours(model: nn.Module, about: dict[str, Any], picture: Image.Image) -> Answer:
    """Paint the picture at its own size: its lightness is kept, the colours are the network's."""
    assert isinstance(model, Colorizer)
    size = int(about["size"])
    device = next(model.parameters()).device
    # The network may be shown any shape: the whole picture, its longer side at the trained size.
    width, height = within(picture.size, size)
    small = np.asarray(picture.resize((max(16, width), max(16, height)), Image.Resampling.BICUBIC))
    full = picture
    if max(picture.size) > 2 * LONGEST:
        full = picture.copy()
        full.thumbnail((2 * LONGEST, 2 * LONGEST))
    with torch.inference_mode():
        lightness = rgb_to_lab(_unit(small, device))[:, :1]
        ab = model.colours(model(lightness / 50 - 1).float())
        whole = rgb_to_lab(_unit(np.asarray(full), device))[:, :1]
        wide = F.interpolate(ab, size=whole.shape[2:], mode="bilinear")
        painted = lab_to_rgb(torch.cat([whole, wide], dim=1))[0]
    pixels = (255 * painted).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return {"label": None}, {"-coloured": Image.fromarray(pixels)}


def _unit(pixels: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(pixels.copy()).to(device).permute(2, 0, 1)[None] / 255


def _pictures(model: nn.Module, about: dict[str, Any], picture: Image.Image) -> Answer:
    """Rebuild the middle square of the picture."""
    square = fit_square(picture, int(about["size"]))
    device = next(model.parameters()).device
    mean, deviation = (
        torch.tensor(about[key], device=device)[:, None, None] for key in ("mean", "deviation")
    )
    with torch.inference_mode():
        made = (model(_shown(model, about, square))[0].float() * deviation + mean).clamp(0, 1)
    pixels = (255 * made).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return {"label": None}, {"-rebuilt": Image.fromarray(pixels)}


ANSWERS: dict[str, Callable[[nn.Module, dict[str, Any], Image.Image], Answer]] = {
    "masks": _masks,
    "boxes": _boxes,
    "colours": _colours,
    "pictures": _pictures,
}
