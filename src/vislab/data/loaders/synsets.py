"""Readable names for WordNet numbers such as n01440764."""

from collections import Counter
from collections.abc import Iterable, Sequence

from vislab.errors import DataError


def class_names(numbers: Sequence[str], lines: Iterable[str]) -> tuple[str, ...]:
    """Return one name for each number, all different.

    A line is a number, a blank or tab, and synonyms with commas between them; the first synonym is
    taken. Where two classes share it (ImageNet has two cranes) the number is put behind.
    """
    told = dict(line.split(maxsplit=1) for line in lines if len(line.split()) > 1)
    unknown = [number for number in numbers if number not in told]
    if unknown:
        raise DataError(f"the list of class names lacks {len(unknown)}, the first is {unknown[0]}")
    first = [told[number].split(",")[0].strip() for number in numbers]
    often = Counter(first)
    return tuple(
        name if often[name] == 1 else f"{name} ({number})"
        for name, number in zip(first, numbers, strict=True)
    )
