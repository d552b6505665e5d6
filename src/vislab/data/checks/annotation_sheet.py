"""A page of annotated images with their boxes and masks drawn on them, to look at first.

Colours: Okabe and Ito 2008, "Color Universal Design", told apart with every kind of colour vision.
After seven classes they come again; each box also has its name, where there is room for it.
"""

import math

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageColor, ImageDraw, ImageFont

from vislab.data.annotations import VOID, Annotated
from vislab.data.decode import decode
from vislab.data.mask_rendering import mask_of
from vislab.errors import DataError
from vislab.runs.figures.style import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION

COLOURS = (VERMILLION, SKY, ORANGE, BLUE, PURPLE, GREEN, "#f0e442")
WIDTH, HEIGHT, GAP, MARGIN, TOP = 320, 240, 10, 18, 52
COLUMNS = 4
PAPER, SHADE = "#ffffff", "#eceff2"
NAMED = 300  # boxes of an image for whose names room is looked for, the largest
VEIL = 0.45  # how much of a mask's colour lies over its pixels

Place = tuple[float, float, float, float]


def annotation_sheet(annotated: Annotated, *, most: int = 20) -> Image.Image:
    """Draw up to `most` images, chosen so that as many classes as possible are shown.

    A crowd or a difficult object has a dashed box. An image or mask that cannot be read is a
    crossed box. A box of a flawed annotation is not drawn: it was not read.
    """
    rows = _chosen(annotated, most)
    columns = min(COLUMNS, max(len(rows), 2))
    lines = math.ceil(len(rows) / columns)
    legend = _legend(annotated, columns * (WIDTH + GAP) - GAP)
    size = (
        2 * MARGIN + columns * (WIDTH + GAP) - GAP,
        TOP + lines * (HEIGHT + GAP) + legend.height + MARGIN,
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    title, small = ImageFont.load_default(17), ImageFont.load_default(12)
    name = _printable(annotated.name)[:40]
    draw.text((MARGIN, 32), name, INK, title, anchor="ls")
    about = f"{len(rows)} of {len(annotated)} images, as their annotations have them"
    draw.text((MARGIN + title.getlength(name) + 14, 32), about, FAINT, small, anchor="ls")
    for place, row in enumerate(rows):
        x = MARGIN + place % columns * (WIDTH + GAP)
        y = TOP + place // columns * (HEIGHT + GAP)
        draw.rectangle((x, y, x + WIDTH - 1, y + HEIGHT - 1), fill=SHADE)
        shown = _annotated_image(annotated, row)
        if shown is None:
            draw.line((x, y, x + WIDTH - 1, y + HEIGHT - 1), fill=FAINT)
            draw.line((x, y + HEIGHT - 1, x + WIDTH - 1, y), fill=FAINT)
        else:
            sheet.paste(shown, (x + (WIDTH - shown.width) // 2, y + (HEIGHT - shown.height) // 2))
    sheet.paste(legend, (MARGIN, TOP + lines * (HEIGHT + GAP)))
    return sheet


def _chosen(annotated: Annotated, most: int) -> list[int]:
    """Return rows, ascending: each next one shows the most classes not shown yet."""
    instances = annotated.instances
    if not len(instances):
        spaced = np.linspace(0, len(annotated) - 1, min(most, len(annotated)))
        return [round(place) for place in spaced.tolist()]
    labels: dict[int, set[int]] = {}
    for row, label in zip(instances.image.tolist(), instances.label.tolist(), strict=True):
        labels.setdefault(row, set()).add(label)
    chosen: list[int] = []
    unseen: set[int] = set()
    while labels and len(chosen) < most:
        unseen = unseen or set(instances.label.tolist())
        best = max(labels, key=lambda row: (len(labels[row] & unseen), -row))
        unseen -= labels.pop(best)
        chosen.append(best)
    return sorted(chosen)


def _annotated_image(annotated: Annotated, row: int) -> Image.Image | None:
    """Return the image at the size of a cell with what is annotated, or None."""
    member = annotated.members[row]
    try:
        content = (annotated.root / member).read_bytes()
        image = decode(content, member)
        scale = min(WIDTH / image.width, HEIGHT / image.height)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
        if annotated.masks is not None:
            return _with_mask(annotated, row, image)
    except (DataError, OSError, ValueError):
        return None  # drawn as a crossed box; the check names it
    _draw_boxes(annotated, row, image)
    return image


def _with_mask(annotated: Annotated, row: int, image: Image.Image) -> Image.Image | None:
    if annotated.masks is not None and annotated.masks[row] is None:
        return None
    mask = Image.fromarray(mask_of(annotated, row)).resize(image.size, Image.Resampling.NEAREST)
    values = np.asarray(mask)
    pixels = np.asarray(image).astype(np.float64)
    edge = np.zeros(values.shape, dtype=bool)
    edge[:, 1:] |= values[:, 1:] != values[:, :-1]
    edge[1:] |= values[1:] != values[:-1]
    for value in np.unique(values[values > 0]).tolist():
        colour = np.array(_colour(annotated, value))
        inside = values == value
        pixels[inside] = (1 - VEIL) * pixels[inside] + VEIL * colour
        pixels[inside & edge] = colour
    veiled = Image.fromarray(pixels.round().astype(np.uint8))
    if len(annotated.classes) > 1 + len(COLOURS):
        _name_regions(annotated, values, veiled)
    return veiled


def _name_regions(
    annotated: Annotated, values: UInt8[np.ndarray, "h w"], image: Image.Image
) -> None:
    """Write the name of each class at the middle pixel of its region, the largest first."""
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    counts = np.bincount(values.reshape(-1), minlength=256)
    taken: list[Place] = []
    for value in np.argsort(-counts, kind="stable").tolist():
        if not counts[value] or not 0 < value < len(annotated.classes):
            continue
        y, x = (np.median(axis) for axis in np.nonzero(values == value))
        name = _printable(annotated.classes[value])[:18]
        wide = font.getlength(name) + 6
        spot = _room([x - wide / 2, y, x, y], wide, image.size, taken)
        if spot is not None:
            taken.append(spot)
            _write(draw, spot, name, _colour(annotated, value), font)


def _write(
    draw: ImageDraw.ImageDraw,
    spot: Place,
    name: str,
    colour: tuple[int, ...],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    draw.rectangle(spot, fill=colour)
    ink = "#000000" if _light(colour) else "#ffffff"
    draw.text((spot[0] + 3, spot[1] + 12), name, ink, font, anchor="ls")


def _colour(annotated: Annotated, value: int) -> tuple[int, ...]:
    """Return the colour of a class; where there are masks the background counts as one."""
    if value == VOID and annotated.masks is not None:
        return (255, 255, 255)
    return ImageColor.getrgb(COLOURS[(value - (annotated.masks is not None)) % len(COLOURS)])


def _draw_boxes(annotated: Annotated, row: int, image: Image.Image) -> None:
    instances = annotated.instances
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(12)
    scale = np.array([image.width, image.height] * 2) / np.tile(annotated.sizes[row], 2)
    first, last = np.searchsorted(instances.image, [row, row + 1]).tolist()
    boxes = instances.boxes[first:last] * scale
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    order = np.argsort(-area, kind="stable")
    for place in order.tolist():
        instance = first + place
        colour = _colour(annotated, int(instances.label[instance]))
        dashed = bool(instances.crowd[instance] or instances.difficult[instance])
        _box(draw, boxes[place].round().astype(int).tolist(), colour, dashed)
    taken: list[Place] = []
    for place in order[:NAMED].tolist():
        label = int(instances.label[first + place])
        name = _printable(annotated.classes[label])[:18]
        wide = font.getlength(name) + 6
        found = _room(boxes[place].tolist(), wide, image.size, taken)
        if found is None:
            continue
        taken.append(found)
        _write(draw, found, name, _colour(annotated, label), font)


def _room(box: list[float], wide: float, size: tuple[int, int], taken: list[Place]) -> Place | None:
    """Return where a name fits above, in or below its box without hiding another, or None."""
    for top in (box[1] - 15, box[1], box[3] - 15, box[3]):
        left = min(max(box[0], 0), size[0] - wide)
        spot = (left, top, left + wide, top + 15)
        clear = all(
            spot[2] <= other[0] or other[2] <= spot[0] or spot[3] <= other[1] or other[3] <= spot[1]
            for other in taken
        )
        if clear and left >= 0 and top >= 0 and top + 15 <= size[1]:
            return spot
    return None


def _box(draw: ImageDraw.ImageDraw, box: list[int], colour: tuple[int, ...], dashed: bool) -> None:
    """Draw a frame two pixels wide with a dark and a light line that any image shows."""
    left, top, right, bottom = box[0], box[1], max(box[2] - 1, box[0]), max(box[3] - 1, box[1])
    if dashed:
        for start in range(left, right + 1, 8):
            end = min(start + 4, right)
            for y in (top, bottom):
                draw.line((start, y, end, y), fill=colour, width=2)
        for start in range(top, bottom + 1, 8):
            end = min(start + 4, bottom)
            for x in (left, right):
                draw.line((x, start, x, end), fill=colour, width=2)
        return
    draw.rectangle((left, top, right, bottom), outline="#000000", width=1)
    inner = (left + 1, top + 1, max(right - 1, left + 1), max(bottom - 1, top + 1))
    draw.rectangle(inner, outline=colour, width=2)


def _legend(annotated: Annotated, width: int) -> Image.Image:
    """Draw the names of classes in masks; boxes, and regions of many classes, bear their own."""
    if annotated.masks is None or len(annotated.classes) > 1 + len(COLOURS):
        return Image.new("RGB", (width, 1), PAPER)
    font = ImageFont.load_default(13)
    names = [(value, _printable(name)[:24]) for value, name in enumerate(annotated.classes)][1:]
    spots, x, y = [], 0.0, 4
    for value, name in names:
        wide = 18 + font.getlength(name) + 18
        if x + wide > width and x:
            x, y = 0.0, y + 20
        spots.append((x, y, value, name))
        x += wide
    legend = Image.new("RGB", (width, y + 22), PAPER)
    draw = ImageDraw.Draw(legend)
    for left, top, value, name in spots:
        draw.rectangle((left, top, left + 12, top + 12), fill=_colour(annotated, value))
        draw.text((left + 18, top + 11), name, INK, font, anchor="ls")
    return legend


def _light(colour: tuple[int, ...]) -> bool:
    red, green, blue = colour[:3]
    return 0.299 * red + 0.587 * green + 0.114 * blue > 140


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
