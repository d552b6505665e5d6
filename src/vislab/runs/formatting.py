"""How numbers are written for people: the report, the comparison and the terminal agree."""

import math
from collections.abc import Container
from typing import Any

from vislab.runs.intervals import Interval

THIN = "\u202f"  # a narrow space that never breaks a line
MISSING = "–"
Number = int | float
DIFFERENCES = ("gain", "gains", "gained", "above", "over", "lead", "less")


def is_share(metric: str) -> bool:
    """Tell by its name whether a metric is written in percent: an accuracy, or what is right.

    Also a share of errors, and the share of the largest class, as the last part of its name.
    """
    last = metric.rpartition(": ")[2].rpartition("/")[2]
    begins = last.startswith(("accuracy", "gain in accuracy", "error, ", "majority level"))
    return begins or metric.endswith(("accuracy", " right", "/eer"))


def is_difference(metric: str) -> bool:
    """Tell by its name whether a metric is how far one value is from another, which may be below 0.

    "residual: gain in accuracy", "test/accuracy above chance".
    """
    return any(word in metric.split() for word in DIFFERENCES)


def trivial_word(metric: str, measured: Container[str] = ()) -> str:
    """Return what the level beside a metric is called.

    Where the balanced accuracy is among what was `measured` the classes are uneven, and naming the
    largest is right more often than guessing.
    """
    split, _, score = metric.rpartition("/")
    network = split.rpartition("/")[0]
    if score == "accuracy" and f"{network}/test/balanced accuracy".lstrip("/") in measured:
        return "largest class alone"
    return "chance" if is_share(metric) else "trivial answer"


def percent(share: Number | None) -> str:
    """Write a share of 1 in percent, with one decimal."""
    if share is None:
        return MISSING
    return f"{minus(f'{100 * share:.1f}')}{THIN}%" if math.isfinite(share) else "not finite"


def number(value: Number | None) -> str:
    """Write a number: whole ones in groups of three, others with four significant digits."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return "not finite"
    if abs(value) >= 1e15 or (value != int(value) and abs(value) < 1e4):
        return minus(f"{value:.4g}")
    return minus(f"{value:,.0f}".replace(",", THIN))


def measured(value: Number | None, *, share: bool) -> str:
    """Write what a metric measured, in percent where it is a share."""
    return percent(value) if share else number(value)


def span(interval: Interval | None, *, share: bool) -> str:
    """Write an interval as "44.4–46.4"; empty where there is none. Below 0, "−0.9 to 1.2"."""
    if interval is None or not all(
        bound is not None and math.isfinite(bound) for bound in interval
    ):
        return ""
    low, high = (minus(f"{100 * bound:.1f}") if share else number(bound) for bound in interval)
    return f"{low} to {high}" if interval[0] < 0 else f"{low}–{high}"


def between(interval: Interval, form: str) -> str:
    """Write an interval as "0.91 to 0.93", bounds in the given form; empty without bounds."""
    low, high = interval
    return f"{low:{form}} to {high:{form}}" if math.isfinite(low + high) else ""


def with_span(value: Number | None, interval: Interval | None, *, share: bool) -> str:
    """Write "45.4 % (44.4–46.4)"."""
    around = span(interval, share=share)
    text = measured(value, share=share)
    return f"{text} ({around})" if around and value is not None else text


def points(difference: Number) -> str:
    """Write a difference of two shares in points, without its sign."""
    text = f"{100 * abs(difference):.1f}"
    return f"{text} point" if text == "1.0" else f"{text} points"


def label(metric: str) -> str:
    """Write the name of a metric: "fixed/test/accuracy" is "fixed · test accuracy"."""
    parts = metric.replace("_", " ").split("/")
    head, tail = parts[:-2], parts[-2:]
    return " · ".join([*head, " ".join(tail)])


def edge_sentence(name: str, value: str, side: str, low: str, high: str) -> str:
    """Say that a best value is the lowest or highest that was tried."""
    return (
        f"The best {name}, {value}, lies at the {side} edge of what was tried, {low} to {high}: a "
        "better one may lie beyond. Search further there."
    )


def singular(several: str) -> str:
    """Return the word for one of several: "strategies" is "strategy"."""
    if several.endswith("ies"):
        return f"{several.removesuffix('ies')}y"
    if several.endswith("sses"):
        return several.removesuffix("es")
    return several.removesuffix("s")


def duration(seconds: Number) -> str:
    """Write a length of time with its two largest units."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    parts = []
    for size, unit in units:
        amount, whole = divmod(whole, size)
        parts.append(f"{amount} {unit}" if amount else "")
    first = next(place for place, part in enumerate(parts) if part)
    return " ".join(part for part in parts[first : first + 2] if part)


def memory(size: Number | None) -> str:
    """Write a number of bytes in the largest unit (of 1024) that leaves at least 1."""
    if size is None:
        return MISSING
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if size >= 100 or unit == "bytes" else f"{size:.1f} {unit}"


def amount(value: Number | None) -> str:
    """Write a large count with three digits: "11.2 M" for millions, "1.82 G" for thousands of M."""
    if value is None:
        return MISSING
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= size:
            return f"{value / size:.3g}{THIN}{unit}"
    return number(value)


def minus(text: str) -> str:
    """Write a minus sign, not a hyphen; no "−0"."""
    if text.startswith("-"):
        return text[1:] if not text.strip("-0.") else "−" + text[1:]
    return text


def plain(value: Any) -> str:
    """Write a value of JSON or YAML as a person would."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return number(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain(inner) for inner in value)
    return str(value)
