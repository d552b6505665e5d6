"""Captions: true English sentences about scenes, five wordings of each.

Five as in "Microsoft COCO Captions" (Chen et al. 2015, arXiv 1504.00325). Those were written by
people; these follow from the scene, and say only what can be read off its image. At most two
things are named: the main object, and one other or a few of one kind. What is not plain to see is
left out: a colour that light or texture has changed, a texture too fine, a slanting relation.
"""

import re
from typing import NamedTuple

import numpy as np

from vislab.data.shapes.backgrounds import BACKGROUND_KINDS
from vislab.data.shapes.kinds import CLASSES, Plane
from vislab.data.shapes.palette import BACKGROUND_RGB, COLOURS, OBJECT_COLOURS, RGB
from vislab.data.shapes.scene import Facts, Numbers, Scenes
from vislab.data.shapes.stamps import Stamps, objects_as_stamps
from vislab.data.shapes.textures import TEXTURES
from vislab.data.shapes.truth import owners
from vislab.data.shapes.visibility import GRID, kinds_as_bits
from vislab.errors import OptionError

# What is plain to see. Lengths are in image sides, colours in [0, 255].
SIZE = 48  # pixels a side of the image in which what is seen of an object is counted
MOSTLY = 0.75  # of an object must be seen before it is named; the main object always is
SMALLEST = 0.08  # radius, 5 pixels of 64: the kind of anything smaller is a guess
FINEST = 0.05  # period of a texture, 3 pixels of 64
APART = 80  # between two colours that can be told apart, as `palette.far_apart` measures
SURE = 0.9  # a colour is at most so many times as far from its own name as from the next
LARGE = 0.31  # radius of an object that is large by itself
TIMES = 1.5  # as large as all the others: then it is large, and they are small
BESIDE = 0.75  # of two radii together: how far apart things are that are above or left of
SLANT = 0.6  # of that distance: how far they may be apart the other way
ASIDE, AMID = 0.1, 0.07  # from the middle: at least to be left of it, at most to be in it
LEAST_LIGHT, MOST_DARK = 175, 90  # means of a background; clay and steel are neither

PATTERNS = {"stripes": "striped", "checker": "checkered", "dots": "dotted"}
PERIOD = {"stripes": 1.0, "checker": 4 / 3, "dots": 1.0}  # times radius / texture_frequency
# How much of its second colour runs into the first where a texture is too fine to see. A gradient
# is called after its upper part; its outline, too, has the first colour.
MIX = {"stripes": 0.5, "checker": 0.5, "dots": 0.283, "gradient": 0.22}
# Wider apart, dots mostly miss what is left of a ring, cross or crescent.
LEAST_DOTS = 1.75  # texture_frequency
THIN = [CLASSES.index(kind) for kind in ("ring", "cross", "crescent")]
GROUNDS = {
    "flat": "plain",
    "slope": "shaded",
    "spot": "shaded",
    "bars": "striped",
    "clouds": "cloudy",
}
SCENERY = {"bars": "stripes", "clouds": "clouds"}
PLURALS = {kind: kind + ("es" if kind.endswith("s") else "s") for kind in CLASSES}
COUNTS = {2: "two", 3: "three"}
WAYS = {"above": (0, 1), "below": (0, -1), "left of": (1, 0), "right of": (-1, 0)}  # to the others
INVERSE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}

# One line a wording. Of the first object `full` says size and texture, `sized` and `textured` one
# of them; of the others `others_sized` says the size.
OF_TWO = (
    "{full} {relation} {others_sized} on {ground}",
    "{others_sized} {inverse} {sized} on {scenery}",
    "{ground} behind {textured} {relation} {others}",
    "{full} with {others_sized}",
    "{textured} {place} with {scenery} behind",
)
OF_ONE = (
    "{full} on {ground}",
    "on {scenery} {textured}",
    "{ground} behind {textured} {place}",
    "{scenery} with {sized}",
    "{textured} {place} with {scenery} behind",
)
OF_NONE = "nothing on {ground}"
WORDINGS = 5


def captions(scenes: Scenes, *, wording: int = 0) -> tuple[str, ...]:
    """Return one true sentence for each scene: 5 to 16 lower-case words, no punctuation.

    The wordings, 0 … 4, differ in order and in what they mention, as five people would. A sentence
    follows from its scene and the wording alone and is the same on every machine. A main object of
    which anything is seen is always named; without one, a scene is described by what is left, and
    where nothing is, all wordings are one. Raises OptionError for a wording that is not there.
    """
    if wording not in range(WORDINGS):
        raise OptionError(
            f"wording={wording} is not in 0 … {WORDINGS - 1}; "
            f"a scene has {WORDINGS} captions, counted from 0"
        )
    return tuple(sentence(view, wording) for view in views(scenes))


def vocabulary() -> tuple[str, ...]:
    """Return every word that captions can use, sorted."""
    texts = [*CLASSES, *PLURALS.values(), *list(COLOURS)[:OBJECT_COLOURS], *PATTERNS.values()]
    texts += [*GROUNDS.values(), *SCENERY.values(), *COUNTS.values(), *WAYS]
    texts += ["a an small large and light dark background"]
    texts += ["in the middle at the top bottom left right"]
    texts += [re.sub(r"{\w+}", "", template) for template in (*OF_TWO, *OF_ONE, OF_NONE)]
    return tuple(sorted(set(" ".join(texts).split())))


class Thing(NamedTuple):
    """An object whose kind can be named; words that do not fit it are empty."""

    kind: str
    colour: str
    pattern: str
    x: float  # the middle of what is seen of it
    y: float
    radius: float


class View(NamedTuple):
    """What a person would make of a scene."""

    things: list[Thing]  # the main object first, then by the pixels seen of them
    uncounted: set[str]  # kinds of which there may be one more: too little of it is seen
    tone: str  # of the background: "light", "dark" or neither
    ground: str  # a name in `BACKGROUND_KINDS`


def views(scenes: Scenes) -> list[View]:
    """Return what can be seen of each scene."""
    objects = objects_as_stamps(scenes, layer=0)  # K of them
    row, slot, kind = objects.row, objects.slot, objects.kind
    fits, patterned, distinct = looks(scenes, objects)
    seen, middle = (column[row, slot] for column in seen_pixels(scenes))
    side = objects.radius * SIZE
    clear = (seen >= MOSTLY * areas()[kind] * side * side) & (objects.radius >= SMALLEST) & distinct
    clear = np.where(slot == 0, seen > 0, clear)

    names = np.array(CLASSES)[kind].tolist()
    colours = np.where(fits, np.array(list(COLOURS))[scenes.colour[row, slot]], "").tolist()
    words = np.array([PATTERNS.get(name, "") for name in TEXTURES])[objects.texture]
    patterns = np.where(patterned, words, "").tolist()
    (x, y), radii = middle.T.tolist(), objects.radius.tolist()
    out = empty_views(scenes)
    for k in np.lexsort((-seen, slot > 0, row)).tolist():
        view = out[row[k]]
        if clear[k]:
            view.things.append(Thing(names[k], colours[k], patterns[k], x[k], y[k], radii[k]))
        elif seen[k]:
            view.uncounted.add(names[k])
    return out


def empty_views(scenes: Scenes) -> list[View]:
    """Return the scenes' backgrounds, and what on them could be taken for an object."""
    strokes = scenes.occluders
    blob = strokes.present & (strokes.half_length < 0.5 * strokes.half_width)  # like a disc
    brightness = BACKGROUND_RGB.mean(axis=(1, 2))[scenes.background] * scenes.brightness
    tone = np.where(brightness <= MOST_DARK, "dark", "")
    tone = np.where(brightness >= LEAST_LIGHT, "light", tone)
    ground = np.array(list(BACKGROUND_KINDS))[scenes.background_kind]
    rows = zip(np.any(blob, axis=1), tone.tolist(), ground.tolist(), strict=True)
    return [View([], {"disc"} if disc else set(), *words) for disc, *words in rows]


def seen_pixels(scenes: Scenes) -> tuple[Numbers, Plane]:
    """Return how many pixels of each object are seen, (N, M), and their middle, (N, M, 2) x, y.

    Where most of a crescent is, its own centre is not.
    """
    owner = owners(scenes, SIZE)
    twice = 2 * np.arange(SIZE) + 1  # the pixels' middles, in half pixels: whole numbers
    count: Numbers = np.empty(scenes.kind.shape, dtype=np.int64)
    total: Numbers = np.empty(scenes.centre.shape, dtype=np.int64)
    for slot in range(count.shape[1]):
        mine = owner == slot
        across, down = mine.sum(axis=1), mine.sum(axis=2)  # (N, SIZE)
        count[:, slot] = across.sum(axis=1)
        total[:, slot, 0] = across @ twice
        total[:, slot, 1] = down @ twice
    return count, total / (2 * SIZE * np.maximum(count, 1))[:, :, None]


def areas() -> Plane:
    """Return the area of each kind, (kinds,), in squared radii, counted on a lattice."""
    points: Numbers = np.bitwise_count(kinds_as_bits()).sum(axis=1, dtype=np.int64)
    return points * (4 / GRID**2)


def looks(scenes: Scenes, objects: Stamps) -> tuple[Facts, Facts, Facts]:
    """Return of each object, (K,) each, what can be said of its looks.

    Whether its colour, as lit, is nearest to its own name; whether its texture is a pattern that
    can be seen; whether it stands out from the background.
    """
    light = scenes.brightness[objects.row, None]
    first = np.minimum(objects.colour * light, 255)  # (K, 3)
    second = np.minimum(objects.texture_colour * light, 255)
    behind = BACKGROUND_RGB.mean(axis=1)[scenes.background[objects.row]] * light

    mix, period = (
        np.array([table.get(name, 0) for name in TEXTURES], dtype=np.float32)[objects.texture]
        for table in (MIX, PERIOD)
    )
    coarse = period * objects.radius >= FINEST * objects.texture_frequency
    pattern = coarse & (squared_distance(first, second) >= APART * APART)
    mix[pattern] = 0  # between bands or dots that can be told apart, the first colour is seen
    seen = first + (second - first) * mix[:, None]
    dots = objects.texture == list(TEXTURES).index("dots")
    sparse = dots & np.isin(objects.kind, THIN) & (objects.texture_frequency < LEAST_DOTS)

    apart = squared_distance(seen[:, None], RGB)  # (K, colours)
    own = (np.arange(len(objects)), scenes.colour[objects.row, objects.slot])
    to_own = apart[own]
    apart[own] = np.inf
    fits = to_own <= SURE * SURE * apart.min(axis=1)
    return fits, pattern & ~sparse, squared_distance(seen, behind) >= APART * APART


def squared_distance(a: Plane, b: Plane) -> Plane:
    """Return how different colours (…, 3) look, squared: 2ΔR² + 4ΔG² + 3ΔB²."""
    red, green, blue = np.moveaxis(a - b, -1, 0)
    squared: Plane = 2 * red * red + 4 * green * green + 3 * blue * blue
    return squared


def sentence(view: View, wording: int) -> str:
    """Return the caption of a scene."""
    ground = " ".join(filter(None, ["a", GROUNDS[view.ground], view.tone, "background"]))
    scenery = ground
    if view.tone and view.ground in SCENERY:
        scenery = f"{view.tone} {SCENERY[view.ground]}"
    if not view.things:
        return OF_NONE.format(ground=ground)
    firsts, others = chosen(view)
    size, others_size = sizes(firsts, others)
    relation = way(firsts[0], others) if others else ""
    text = (OF_TWO if others else OF_ONE)[wording].format(
        full=mention(firsts, size, pattern=True),
        sized=mention(firsts, size),
        textured=mention(firsts, pattern=True),
        others=mention(others),
        others_sized=mention(others, others_size),
        relation=relation or "and",
        inverse=INVERSE[relation] if relation else "and",
        place=place(firsts),
        ground=ground,
        scenery=scenery,
    )
    return " ".join(text.split())  # a place that cannot be told leaves two spaces


def chosen(view: View) -> tuple[list[Thing], list[Thing]]:
    """Return the first object, and the others to name: one, or all of a kind.

    Where others look just like the first, they join it, and nothing else is named.
    """
    first, *rest = view.things
    like = [thing for thing in view.things if thing.kind == first.kind]
    twins = [thing for thing in like if thing.colour == first.colour]
    if len(twins) in COUNTS and first.kind not in view.uncounted and all(t.colour for t in like):
        return twins, []
    groups: dict[str, list[Thing]] = {}
    for thing in rest:
        groups.setdefault(thing.kind, []).append(thing)
    for kind, group in groups.items():
        if len(group) in COUNTS and kind not in {first.kind, *view.uncounted}:
            return [first], group
    return [first], rest[:1]


def sizes(firsts: list[Thing], others: list[Thing]) -> tuple[str, str]:
    """Return the words for the sizes of the first object and the others, where they are clear."""
    if len(firsts) > 1:
        return "", ""
    radius = firsts[0].radius
    if not others:
        return ("large" if radius >= LARGE else ""), ""
    differ = radius >= TIMES * max(other.radius for other in others)
    return ("large", "small") if differ else ("", "")


def way(first: Thing, others: list[Thing]) -> str:
    """Return which way the first object lies from all the others, or nothing."""
    for name, (right, down) in WAYS.items():
        steps = [(o.x - first.x, o.y - first.y, BESIDE * (o.radius + first.radius)) for o in others]
        along = [right * x + down * y for x, y, _ in steps]
        if all(
            a >= least and abs(down * x + right * y) <= SLANT * a
            for a, (x, y, least) in zip(along, steps, strict=True)
        ):
            return name
    return ""


def place(firsts: list[Thing]) -> str:
    """Return where in the image a single object is, or nothing where that is not clear."""
    if len(firsts) > 1:
        return ""
    x, y = firsts[0].x - 0.5, firsts[0].y - 0.5
    if max(abs(x), abs(y)) <= AMID:
        return "in the middle"
    row = ("top" if y < 0 else "bottom") if abs(y) >= ASIDE else ""
    column = ("left" if x < 0 else "right") if abs(x) >= ASIDE else ""
    return f"at the {row} {column}" if row or column else ""


def mention(things: list[Thing], size: str = "", *, pattern: bool = False) -> str:
    """Return words for one object or some alike: "a small blue star", "two stars"."""
    if not things:
        return ""
    first = things[0]
    words = [
        size,
        first.pattern if pattern and len({thing.pattern for thing in things}) == 1 else "",
        first.colour if len({thing.colour for thing in things}) == 1 else "",
        first.kind if len(things) == 1 else PLURALS[first.kind],
    ]
    known = [word for word in words if word]
    article = "an" if known[0][0] in "aeiou" else "a"
    return " ".join([COUNTS.get(len(things), article), *known])
