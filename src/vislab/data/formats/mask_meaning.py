"""What the pixels of a set's masks mean, which all of its files say together.

The same number may be another class in the next file: a palette is a file's own, a 1 of one
person is a 255 of the next. So nothing is said of one file before all have been seen.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vislab.data.annotations import VOID
from vislab.data.formats.mask_class_lists import MaskClassList
from vislab.data.formats.mask_files import SHIFTS, written
from vislab.data.formats.mask_levels import SHOWN, levels_of
from vislab.data.formats.mask_survey import Seen, colours_in
from vislab.data.mask_reading import BINARY, MaskReading
from vislab.errors import DataError

FEW = 64  # colours that somebody may have chosen; smoothed edges have more
LISTED = 0.99  # the share of pixels whose colour is listed, where a list is of colours


@dataclass(frozen=True)
class Meaning:
    """How the masks are read, what the classes are called, and what to say of it."""

    reading: MaskReading
    classes: tuple[str, ...]
    notes: tuple[str, ...]
    known: int  # numbers from here on are no class


def meaning_of(
    seen: dict[str, Seen], listed: MaskClassList | None, parts: dict[str, tuple[str, ...]]
) -> Meaning:
    """Return what the masks mean. Raises DataError, naming files, where they do not tell."""
    assert seen
    smeared = {file: one for file, one in seen.items() if one.pixels.kind == "smeared"}
    exact = {file: one for file, one in seen.items() if file not in smeared}
    flawed = [file for file, one in smeared.items() if one.pixels.flaw]
    if smeared and not exact and 2 * len(flawed) > len(smeared):
        raise DataError(f"{flawed[0]}: {seen[flawed[0]].pixels.flaw} ({len(flawed)} such)")
    hides, by_alpha, notes = _transparency(exact)
    if by_alpha:
        reading = MaskReading(by="alpha", table=((0, 0), (1, 1)))
        meaning = _named(reading, BINARY, listed, notes)
    elif listed is not None and (listed.colours or listed.values):
        meaning = _by_list(exact or smeared, listed, hides)
    else:
        names = None if listed is None else listed.classes
        meaning = _by_content(exact, len(smeared), names, hides)
    binary = meaning.reading.table is not None and len(meaning.classes) == 2
    if smeared and binary and not by_alpha:
        meaning = _with_smeared(meaning, len(smeared))
    elif smeared and not exact:
        raise DataError(
            f"the masks are saved as JPEG, which smears their colours (first: {min(smeared)}); "
            "save them as PNG, from the originals"
        )
    if parts:
        meaning = _with_parts(meaning, seen, parts)
    told = [note for note in notes if note not in meaning.notes]
    return replace(meaning, notes=(*told, *meaning.notes))


def _with_smeared(meaning: Meaning, count: int) -> Meaning:
    table = dict(meaning.reading.table or {0: 0, 1: 1})
    white = VOID if meaning.reading.by == "number" else 0xFFFFFF
    if table.setdefault(white, 1) != 1:
        raise DataError(
            f"{count} masks are saved as JPEG, and white is background in the others; save all as "
            "PNG, alike"
        )
    reading = replace(meaning.reading, table=tuple(sorted(table.items())), smeared=True)
    note = (
        f"{count} masks are saved as JPEG or alike, which smears edges: they are cut in the "
        "middle between black and white"
    )
    return replace(meaning, reading=reading, notes=(*meaning.notes, note))


def _with_parts(
    meaning: Meaning, seen: dict[str, Seen], parts: dict[str, tuple[str, ...]]
) -> Meaning:
    first = min(parts)
    several = f"{len(parts)} images have several masks each (first: {first}, {parts[first][0]})"
    if len(meaning.classes) != 2:
        raise DataError(
            f"{several}, a file for each object, and they hold more than background and "
            "foreground; write one mask for each image"
        )
    whole = [
        file
        for file, others in parts.items()
        for one in (file, *others)
        if one in seen and 0 not in _classes_or_none(seen[one], meaning.reading)
    ]
    if whole:
        raise DataError(f"{several}, and some of them are all foreground: {whole[0]}; look at them")
    note = f"{several}: they are put together, so that objects of one image are one region"
    reading = replace(meaning.reading, parts=parts)
    return replace(meaning, reading=reading, notes=(*meaning.notes, note))


def _classes_or_none(seen: Seen, reading: MaskReading) -> set[int]:
    try:
        return set(seen.classes(reading).tolist())
    except DataError:
        return {0}


def _transparency(exact: dict[str, Seen]) -> tuple[bool, bool, list[str]]:
    """Say whether transparent pixels are background, or transparency alone is the mask."""
    layered = {file: one for file, one in exact.items() if one.layered}
    if not layered:
        return False, False, []
    opaque = [file for file, one in exact.items() if not one.hidden.any()]
    if max(len(colours_in(one)) for one in layered.values()) > FEW:
        _require_layers(layered, opaque)
        return False, True, ["the opaque parts of coloured images are read as the foreground"]
    odd = [file for file, one in layered.items() if np.count_nonzero(one.hidden) > 1]
    if odd:
        raise DataError(
            f"{odd[0]} holds several colours under transparent pixels, so that it may be meant "
            "with or without them; save the masks without transparency"
        )
    visible = {
        colour
        for one in exact.values()
        for colour, count in colours_in(one, without_hidden=True).items()
        if count
    }
    if visible <= {0}:
        _require_layers(layered, opaque)
        return False, True, ["the masks hold one colour: what is opaque is the foreground"]
    return True, False, [f"{len(layered)} masks are transparent in part: that is the background"]


def _require_layers(layered: dict[str, Seen], opaque: list[str]) -> None:
    if opaque:
        raise DataError(
            f"some masks are what is not transparent ({next(iter(layered))}) and others have no "
            f"transparent pixel ({opaque[0]}); save them all alike"
        )


def _named(
    reading: MaskReading,
    classes: tuple[str, ...],
    listed: MaskClassList | None,
    notes: Sequence[str],
) -> Meaning:
    if listed is not None:
        if len(listed.classes) != len(classes):
            raise DataError(
                f"{listed.file} names {len(listed.classes)} classes and the masks hold "
                f"{len(classes)}; name those"
            )
        classes = listed.classes
    return Meaning(reading, classes, tuple(notes), len(classes))


def _by_list(seen: dict[str, Seen], listed: MaskClassList, hides: bool) -> Meaning:
    """Read by the colours or numbers of a list, or by its lines where the masks hold those."""
    table, classes = listed.table()
    note = f"the classes are those of {listed.file}"
    if listed.values:
        return Meaning(_by_values(seen, table, hides), classes, (note,), len(classes))
    total = listed_too = 0
    for one in seen.values():
        for colour, count in colours_in(one).items():
            total += count
            listed_too += count if colour in table else 0
    numbers = all(one.pixels.kind in ("grey", "index") for one in seen.values()) and all(
        value < len(listed.names) or value == VOID
        for one in seen.values()
        for value in one.pixels.values.tolist()
    )
    if listed_too < LISTED * total and numbers:
        note += ", which the masks hold the numbers of, in the order of its lines"
        return Meaning(MaskReading(hides=hides), listed.names, (note,), len(listed.names))
    if 2 * listed_too < total:
        most = Counter[int]()
        for one in seen.values():
            most.update(colours_in(one))
        some = "; ".join(written(colour) for colour, _ in most.most_common(5))
        raise DataError(
            f"{listed.file} lists few of the colours that the masks hold, which are {some}; mend it"
        )
    reading = MaskReading(by="colour", table=tuple(sorted(table.items())), hides=hides)
    return Meaning(reading, classes, (note,), len(classes))


def _by_values(seen: dict[str, Seen], table: dict[int, int], hides: bool) -> MaskReading:
    """Read by listed numbers: those of the places in palettes, or the greys that these show."""
    white = 1 if 1 in table else VOID
    plain = MaskReading(table=tuple(sorted(table.items())), white=white, hides=hides)
    indexed = [one for one in seen.values() if one.pixels.kind == "index"]
    places = {value for one in indexed for value in one.pixels.values.tolist()}
    if not indexed or (_alike(indexed, ()) and places <= set(table)):
        return plain
    greys = tuple(
        sorted((value * 0x010101, kind) for value, kind in table.items() if value <= VOID)
    )
    return MaskReading(by="colour", table=greys, hides=hides)


def _by_content(
    exact: dict[str, Seen], smeared: int, names: tuple[str, ...] | None, hides: bool
) -> Meaning:
    indexed = [one for one in exact.values() if one.pixels.kind == "index"]
    coloured = [one for one in exact.values() if one.pixels.kind == "colour"]
    grey = [one for one in exact.values() if one.pixels.kind == "grey" and one.pixels.values.max()]
    own = bool(indexed) and not _alike(indexed, names)
    if own or len(coloured) > len(grey) + (0 if own else len(indexed)):
        return _by_colour(exact, smeared, names, hides, own)
    if indexed and grey and not _grey_palettes(indexed):
        highest = max(one.pixels.values.max() for one in indexed)
        if any(v > highest and v != VOID for one in grey for v in one.pixels.values.tolist()):
            file = next(f for f, one in exact.items() if one in grey)
            raise DataError(
                f"some masks have a palette of colours and others greys ({file}): the numbers may "
                "not mean the same; save them all alike"
            )
    elif indexed and grey and _shown_otherwise(indexed):
        return _by_colour(exact, smeared, names, hides, own=True)
    held, bits = {}, 0
    reading = MaskReading(hides=hides)
    for file, one in exact.items():
        if one.pixels.kind == "bits":
            bits += 1
        elif one.pixels.kind != "colour":
            codes, counts = one.codes(reading)
            held[file] = dict(zip(codes.tolist(), counts.tolist(), strict=True))
    levels = levels_of(held, names, black_and_white=bits + smeared)
    table = None if levels.table is None else tuple(sorted(levels.table.items()))
    white = levels.white
    if levels.table is None and len(levels.classes) == 2:
        white = 1
    reading = MaskReading(table=table, white=white, hides=hides)
    return Meaning(reading, levels.classes, levels.notes, len(levels.classes))


def _alike(indexed: list[Seen], names: tuple[str, ...] | None) -> bool:
    """Say whether the palettes give every place that is in use one colour, in all files."""
    colours: dict[int, set[int]] = {}
    hidden = set()
    for one in indexed:
        assert one.pixels.palette is not None
        for value, unseen in zip(one.pixels.values.tolist(), one.hidden.tolist(), strict=True):
            colours.setdefault(value, set()).add(int(one.pixels.palette[value]))
            if unseen:
                hidden.add(value)
    if any(len(shown) > 1 for shown in colours.values()):
        return False
    if names is not None:
        return True
    # What an editor sorts by colour may have the background anywhere; it is black or transparent.
    shown_once = [min(shown) for shown in colours.values()]
    if set(shown_once) == {0, 0xFFFFFF}:
        return False
    black = {value for value, shown in colours.items() if shown == {0}} - {VOID}
    elsewhere = 0 in colours and black and 0 not in black and len(set(shown_once)) == len(colours)
    return not elsewhere and (not hidden or 0 in hidden)


def _grey_palettes(indexed: list[Seen]) -> bool:
    return all(
        (colour >> 16) == (colour & 255) == (colour >> 8 & 255)
        for one in indexed
        for colour in colours_in(one)
    )


def _shown_otherwise(indexed: list[Seen]) -> bool:
    """Say whether a palette of greys shows another grey than the number of its place."""
    return any(
        (one.pixels.palette[one.pixels.values] != one.pixels.values * 0x010101).any()
        for one in indexed
        if one.pixels.palette is not None
    )


def _by_colour(
    exact: dict[str, Seen],
    smeared: int,
    names: tuple[str, ...] | None,
    hides: bool,
    own: bool,
) -> Meaning:
    reading = MaskReading(by="colour", hides=hides)
    held: dict[str, dict[int, int]] = {}
    everything: Counter[int] = Counter()
    for file, one in exact.items():
        try:
            codes, counts = one.codes(reading)
        except DataError:
            continue  # told as a flaw of the file
        held[file] = dict(zip(codes.tolist(), counts.tolist(), strict=True))
        everything.update(held[file])
    colours = sorted(everything)
    why = "the palettes of the masks differ, so that their colours count" if own else (
        "the masks hold colours")  # fmt: skip
    if all(c >> 16 == c & 255 == c >> 8 & 255 for c in colours):
        greys = {file: {c & 255: n for c, n in one.items()} for file, one in held.items()}
        levels = levels_of(greys, names, black_and_white=smeared)
        table = levels.table or {value: value for value in range(len(levels.classes))}
        table.setdefault(VOID, VOID)
        packed = tuple(sorted((value * 0x010101, kind) for value, kind in table.items()
                              if value <= VOID))  # fmt: skip
        found = MaskReading(by="colour", table=packed, hides=hides)
        notes = (f"{why}, not the places in them", *levels.notes) if own else levels.notes
        return Meaning(found, levels.classes, notes, len(levels.classes))
    if not own and (meaning := _by_channel(held, colours, smeared, names, hides)) is not None:
        return meaning
    if len(colours) > FEW:
        first = max(held, key=lambda file: len(held[file]))
        raise DataError(
            f"the masks hold {len(colours):,} different colours (most: {first}), which are no "
            "classes: their edges are smoothed, or they are no masks; save them as PNG without "
            "smoothing (anti-aliasing)"
        )
    if len(colours) == 2 and 0 in colours and (names is None or len(names) == 2):
        note = f"black is read as the background and {written(colours[1])} as the foreground"
        found = MaskReading(by="colour", table=((0, 0), (colours[1], 1)), hides=hides)
        return Meaning(found, names or BINARY, (note,), 2)
    if own and 0 in colours and names is None:
        found = MaskReading(
            by="colour", table=tuple((c, kind) for kind, c in enumerate(colours)), hides=hides
        )
        classes = (BINARY[0], *(f"colour {written(c)}" for c in colours[1:]))
        return Meaning(found, classes, (f"{why} and name the classes",), len(classes))
    raise DataError(f"{why}{_lines_to_write(everything)}")


def _by_channel(
    held: dict[str, dict[int, int]],
    colours: list[int],
    smeared: int,
    names: tuple[str, ...] | None,
    hides: bool,
) -> Meaning | None:
    """Read the only channel that changes, where it holds numbers of classes; else None."""
    changing = [by for by, shift in SHIFTS.items() if len({c >> shift & 255 for c in colours}) > 1]
    if len(changing) != 1 or -1 in colours or smeared:
        return None
    (by,) = changing
    numbers = {
        file: {colour >> SHIFTS[by] & 255: count for colour, count in one.items()}
        for file, one in held.items()
    }
    try:
        levels = levels_of(numbers, names)
    except DataError:
        return None
    table = None if levels.table is None else tuple(sorted(levels.table.items()))
    reading = MaskReading(by=by, table=table, hides=hides)  # type: ignore[arg-type]
    note = f"the classes are read from the {by} channel of the masks; the others do not change"
    return Meaning(reading, levels.classes, (note, *levels.notes), len(levels.classes))


def _lines_to_write(counts: Counter[int]) -> str:
    """Return the rest of a sentence: which lines give these colours their classes."""
    most = [colour for colour, _ in counts.most_common(SHOWN)]
    lines = [f"{'background' if c == 0 else 'NAME'},{written(c)}" for c in sorted(most)]
    more = len(counts) - len(lines)
    rest = f" and so on for {more} more" if more else ""
    return (
        " and no file says which class each is: write classes.csv beside the folders, with the "
        f"lines name,r,g,b / {' / '.join(lines)}{rest}"
    )
