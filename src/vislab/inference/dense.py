"""Answers that are masks, boxes, colours or images, brought back to the pixels of the file.

Images are shown to the network as it was trained; boxes come back as they lie in the file, masks
and colours at the file's own size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from vislab.data.decode import fit_square, fit_whole, opened, within
from vislab.inference.answers import Answer, Kind, Question, register
from vislab.inference.classes import as_image
from vislab.inference.networks import shown
from vislab.models.colorizer import Colorizer
from vislab.ops.colour import lab_to_rgb, rgb_to_lab
from vislab.runs import figures
from vislab.runs.model_card import ModelCard

SURE = 0.5  # boxes that are drawn; all above LEAST are listed
LEAST = 0.05
LONGEST = 1600  # pixels: of an image that boxes or colours are drawn over


class OfOneImage(Kind):
    """Answers to images, one after another: each has a size of its own."""

    def answer(
        self, model: nn.Module, card: ModelCard, questions: Sequence[Question], *, drawn: bool
    ) -> list[Answer]:
        """Return an answer to each image."""
        return [self.of(model, card, opened(path)) for (path,) in questions]

    def of(self, model: nn.Module, card: ModelCard, image: Image.Image) -> Answer:
        """Return the answer to one image."""
        raise NotImplementedError


@register("masks")
class Masks(OfOneImage):
    """A class for each pixel, as an indexed PNG at the file's own size."""

    def of(self, model: nn.Module, card: ModelCard, image: Image.Image) -> Answer:
        """Say which share of the image each class takes; draw the mask over it."""
        size, classes = card.size, card.classes
        width, height = within(image.size, size)
        left, top = (size - width) // 2, (size - height) // 2
        with torch.inference_mode():
            scores = model(shown(model, card, fit_whole(image, size)[None])).float()
            part = scores[:, :, top : top + height, left : left + width]
            longest = max(image.size)
            scale = min(1.0, LONGEST / longest)  # scores of all classes at full size may not fit
            wide = F.interpolate(part, size=shrunk(image, scale)[::-1], mode="bilinear")
            mask = wide.argmax(dim=1)[0].to(torch.uint8).cpu().numpy()
        indexed = Image.fromarray(mask).resize(image.size, Image.Resampling.NEAREST)
        counts = np.bincount(mask.ravel(), minlength=len(classes)) / mask.size
        shares = {label: float(share) for label, share in zip(classes, counts, strict=True)}
        order = sorted(shares, key=lambda label: -shares[label])
        indexed.putpalette((255 * figures.class_colours(len(classes))).astype(np.uint8).tobytes())
        small = image.resize((mask.shape[1], mask.shape[0]))
        labels = mask[None].astype(np.int64)
        over = figures.coloured(np.asarray(small)[None], labels, len(classes))[0]
        said = {"label": order[0], "shares": {label: shares[label] for label in order}}
        seen = [f"{label} {shares[label]:.0%}" for label in order if shares[label] > 0.005]
        return Answer(
            ", ".join(seen[:5]), said, Image.fromarray(over), files={"-mask.png": indexed}
        )


@register("boxes")
class Boxes(OfOneImage):
    """Boxes with classes and scores, best first."""

    def of(self, model: nn.Module, card: ModelCard, image: Image.Image) -> Answer:
        """List what is found, best first; draw what scores `SURE` and more."""
        size, classes = card.size, card.classes
        width, height = within(image.size, size)
        shift = np.array([(size - width) // 2, (size - height) // 2] * 2)
        with torch.inference_mode():
            images = shown(model, card, fit_whole(image, size)[None])
            answer = model.detect(images, least=LEAST)  # type: ignore[operator]
        corners = (answer.boxes.double().cpu().numpy() - shift) * (max(image.size) / size)
        corners = corners.clip(0, np.array([*image.size, *image.size]))
        found = [
            {
                "label": classes[label],
                "score": score,
                "box": [round(float(value), 1) for value in box],
            }
            for label, score, box in zip(
                answer.labels.tolist(), answer.scores.tolist(), corners, strict=True
            )
        ]
        scale = min(1.0, LONGEST / max(image.size))
        small = image.resize(shrunk(image, scale))
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
        figure = figures.boxes_over_images(np.asarray(small)[None], [drawn])
        said = {"label": found[0]["label"] if found else None, "found": found}
        sure = [f"{one['label']} {one['score']:.0%}" for one in found if one["score"] >= SURE]
        return Answer(", ".join(sure) or "nothing it is sure of", said, as_image(figure))


@register("colours")
class Colours(OfOneImage):
    """The image in colours, at its own size."""

    told = False

    def of(self, model: nn.Module, card: ModelCard, image: Image.Image) -> Answer:
        """Paint the image at its own size: its lightness is kept."""
        assert isinstance(model, Colorizer)
        size = card.size
        device = next(model.parameters()).device
        # It may be shown any shape: the whole image, its longer side at the trained size.
        width, height = within(image.size, size)
        small = np.asarray(
            image.resize((max(16, width), max(16, height)), Image.Resampling.BICUBIC)
        )
        full = image
        if max(image.size) > 2 * LONGEST:
            full = image.copy()
            full.thumbnail((2 * LONGEST, 2 * LONGEST))
        with torch.inference_mode():
            lightness = rgb_to_lab(_unit(small, device))[:, :1]
            ab = model.colours(model(lightness / 50 - 1).float())
            whole = rgb_to_lab(_unit(np.asarray(full), device))[:, :1]
            wide = F.interpolate(ab, size=whole.shape[2:], mode="bilinear")
            painted = lab_to_rgb(torch.cat([whole, wide], dim=1))[0]
        pixels = (255 * painted).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return Answer("coloured", {}, Image.fromarray(pixels))


@register("images")
class Rebuilt(OfOneImage):
    """The middle square of the image, rebuilt."""

    told = False

    def of(self, model: nn.Module, card: ModelCard, image: Image.Image) -> Answer:
        """Rebuild the middle square of the image."""
        square = fit_square(image, card.size)
        device = next(model.parameters()).device
        mean, std = (torch.tensor(one, device=device)[:, None, None] for one in card.normalisation)
        with torch.inference_mode():
            made = (model(shown(model, card, square[None]))[0].float() * std + mean).clamp(0, 1)
        pixels = (255 * made).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return Answer("rebuilt", {}, Image.fromarray(pixels))


def shrunk(image: Image.Image, scale: float) -> tuple[int, int]:
    """Return width and height of an image made smaller, at least one pixel each."""
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _unit(pixels: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(pixels.copy()).to(device).permute(2, 0, 1)[None] / 255
