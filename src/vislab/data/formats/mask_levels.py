"""Which class each grey, or each place of a palette, of a set's masks means."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

from vislab.data.annotations import VOID
from vislab.data.formats.mask_pixels import BRIGHT, DARK
from vislab.data.mask_reading import BINARY
from vislab.errors import DataError

FULL = (1, 255, 65535)  # the foreground as people write it: one, or all bits of eight or sixteen
CROWDED = 80  # different values in one mask: a photograph of a city has about 20 classes
CHOSEN = 8  # numbers beyond 255 that somebody may have chosen for classes
RARE = 0.005  # the share of pixels under which a grey may be left by smoothing
SHOWN = 20  # lines of a table that an error shows


@dataclass(frozen=True)
class Levels:
    """The class of each value (None: its own number), that of white, and what to say of it."""

    table: dict[int, int] | None
    white: int | None
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def levels_of(
    held: Mapping[str, Mapping[int, int]],
    names: tuple[str, ...] | None,
    *,
    black_and_white: int = 0,
) -> Levels:
    """Return what the values mean, from how many pixels of each every file holds.

    `names` begin with the background. `black_and_white` is how many files beside these hold but
    two values, whatever they are called. Raises DataError where the values do not tell.
    """
    deep = [file for file, values in held.items() if max(values) > VOID]
    bright = {value for values in held.values() for value in values} - {0}
    alone = all(len(set(values) - {0}) <= 1 for values in held.values())
    one = len(bright) == 1 or (bool(bright) and alone and bright <= set(FULL))
    if one or not bright:
        return _binary(sorted(bright), held, names, black_and_white)
    if deep and len(deep) == len(held):
        if len(bright) > CHOSEN:
            raise DataError(
                f"the masks hold {len(bright)} numbers up to {max(bright)} (first: {deep[0]}): "
                "those of objects, or depths, and not of classes; give masks of 0 to 255, a number "
                "a class"
            )
        raise _unclear(bright, "the masks hold numbers beyond 255")
    if deep:  # told as flaws of theirs
        sound = {file: values for file, values in held.items() if max(values) <= VOID}
        return levels_of(sound, names, black_and_white=black_and_white)
    if names is None or len(names) == 2:
        if _mostly_black_and_white(held):
            return _binary([VOID], held, names, black_and_white)
        if names is None:
            _require_numbers(held, bright)
    elif all(not bright_of(values) or max(bright_of(values)) >= len(names) for values in
             held.values()):  # fmt: skip
        raise _unclear(bright, f"{len(names)} classes are named and no mask holds their numbers")
    void = [file for file, values in held.items() if VOID in values]
    only = [file for file in void if not bright_of(held[file])]
    if 2 * len(only) > len(void):
        raise DataError(
            f"{len(only)} masks hold 0 and 255 alone (first: {only[0]}) and others the numbers "
            f"{_listed(bright - {VOID})}: 255 would be foreground in the first and void in the "
            "others; save them all with the numbers of classes, or, where it is void, say so in "
            "classes.csv with a line name,value for each class and void,255"
        )
    if names is None or len(names) == 2:
        _require_void(held, void)
    notes = []
    if void:
        notes.append(f"255, in {len(void)} masks, is void: neither learned from nor scored")
    if names is None:
        highest = max(bright - {VOID}, default=0)
        names = (BINARY[0], *(f"class {kind}" for kind in range(1, highest + 1)))
        notes.append("no file names the classes; they are called by their numbers")
    return Levels(None, None, names, tuple(notes))


def bright_of(values: Mapping[int, int]) -> set[int]:
    """Return the numbers of classes but the background among what a file holds."""
    return set(values) - {0, VOID}


def _binary(
    bright: list[int],
    held: Mapping[str, Mapping[int, int]],
    names: tuple[str, ...] | None,
    black_and_white: int,
) -> Levels:
    if names is not None and len(names) != 2:
        only = bright[0] if bright else 0
        if len(bright) < 2 and only < len(names) and not black_and_white:
            return Levels(None, None, names)
        raise DataError(
            f"{len(names)} classes are named and the masks hold two values alone, 0 and "
            f"{_listed(set(bright) or {VOID})}: save them with the numbers of the classes, or "
            "name two"
        )
    notes = []
    if len(bright) > 1:
        counts = Counter(value for values in held.values() for value in values if value)
        told = ", ".join(f"0 and {value} in {counts[value]}" for value in bright)
        notes.append(
            f"the masks hold {told}: all but 0 is read as {(names or BINARY)[1]} in each of them"
        )
    elif bright and bright[0] not in FULL:
        notes.append(
            f"0 and {bright[0]} are all that the masks hold: {bright[0]} is read as "
            f"{(names or BINARY)[1]}"
        )
    table = {0: 0, VOID: 1, **dict.fromkeys(bright, 1)}
    return Levels(table, bright[0] if bright else VOID, names or BINARY, tuple(notes))


def _mostly_black_and_white(held: Mapping[str, Mapping[int, int]]) -> bool:
    """Say whether, next to a few flawed files or smoothed edges, the masks are black and white."""
    counts = _together(held)
    between = {value: count for value, count in counts.items() if 0 < value < VOID}
    if not counts[VOID]:
        return False
    filled = [values for values in held.values() if set(values) - {0}]
    plain = sum(set(values) <= {0, VOID} for values in filled)
    if max(between) > 3 * len(between) + 40 and plain >= 0.8 * len(filled):
        return True
    smooth = len(between) > 20 and max(between) >= 200  # few sets have 200 classes
    return smooth and sum(between.values()) < 0.1 * sum(counts.values())


def _require_numbers(held: Mapping[str, Mapping[int, int]], bright: set[int]) -> None:
    """Raise DataError where the values are no numbers of classes: painted greys, or smoothed."""
    crowded = next((file for file, values in held.items() if len(values) > CROWDED), None)
    if crowded or sum(200 <= value < VOID for value in bright) > 20:
        first = crowded or next(iter(held))
        raise DataError(
            f"the masks hold {len(bright)} different greys (first: {first}), which are no numbers "
            "of classes: their edges are smoothed, or they are no masks; save them as PNG without "
            "smoothing (anti-aliasing)"
        )
    numbers = bright - {VOID}
    counts = _together(held)
    whole = sum(counts.values())
    ends = sum(count for value, count in counts.items() if not DARK < value < BRIGHT)
    if max(numbers) >= BRIGHT and ends >= 0.95 * whole:
        first = next(file for file, values in held.items() if set(values) - {0, VOID})
        raise DataError(
            "the masks are black and white with smeared greys between, as JPEG leaves them "
            f"(first: {first}): cut them at 128 and save them as PNG, 0 and 255 alone"
        )
    heavy = {value for value in numbers if counts[value] >= RARE * whole}
    if len(numbers) - len(heavy) >= 5 and heavy and len(heavy) <= CHOSEN and _painted(heavy):
        raise DataError(
            f"the masks hold the greys {_listed({0, *heavy})} and few pixels of "
            f"{len(numbers - heavy)} more (first: {next(iter(held))}), as smoothing and JPEG leave "
            "them: save them as PNG without smoothing, from the originals"
        )
    if _painted(numbers):
        raise _unclear(bright, "the masks hold greys that are no numbers of classes")


def _painted(numbers: set[int]) -> bool:
    """Say whether numbers lie as far apart as greys that are to be told apart by eye."""
    step = 0
    for value in numbers:
        step = gcd(step, value)
    return max(numbers) > 3 * len(numbers) + 40 or (len(numbers) > 1 and step >= 5)


def _require_void(held: Mapping[str, Mapping[int, int]], void: list[str]) -> None:
    """Raise DataError where what 255 marks is more than what all classes but 0 mark together."""
    counts = _together({file: held[file] for file in void if bright_of(held[file])})
    numbers = bright_of(counts)
    if not numbers:
        return
    nowhere = len(bright_of(_together(held))) == 1 and all(
        0 not in values for values in held.values()
    )
    if nowhere or counts[VOID] > sum(counts[number] for number in numbers):
        first = next(file for file in void if bright_of(held[file]))
        raise DataError(
            f"the masks hold {_listed(set(counts))} in one file (first: {first}) and more pixels "
            "of 255 than of classes, so that it may be void or the foreground; save them with the "
            "numbers of classes, or, where it is void, say so in classes.csv with a line "
            "name,value for each class and void,255"
        )


def _together(held: Mapping[str, Mapping[int, int]]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for values in held.values():
        counts.update(values)
    return counts


def _unclear(bright: set[int], why: str) -> DataError:
    levels = sorted(bright | {0})
    lines = [f"{BINARY[0]},0", *(f"NAME,{value}" for value in levels[1 : SHOWN + 1])]
    more = f" and so on for {len(levels) - len(lines)} more" if len(levels) > len(lines) else ""
    return DataError(
        f"{why}: {_listed(set(levels))}; say which class each is in a file classes.csv beside the "
        f"folders, with the lines name,value / {' / '.join(lines)}{more}"
    )


def _listed(values: set[int]) -> str:
    some = sorted(values)
    return ", ".join(map(str, some[:SHOWN])) + (", ..." if len(some) > SHOWN else "")
