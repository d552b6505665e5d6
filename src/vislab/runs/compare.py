"""Two runs or more, compared on the same test images.

The first run is the baseline. Differences in accuracy are paired by image (see
`intervals.paired_bootstrap`), because two networks that see the same images fail on many of the
same ones; the difference is then known far better than either accuracy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vislab.errors import RunError
from vislab.runs.folder import RunFolder
from vislab.runs.formatting import MISSING, minus, number, plain, points, with_span
from vislab.runs.intervals import Interval, exact, paired_bootstrap
from vislab.runs.old_names import by_new_names
from vislab.runs.page import page
from vislab.runs.report import COSTS, flat
from vislab.runs.writing import write_text

PREDICTIONS = "test predictions"


@dataclass(frozen=True)
class Contender:
    """One trained network of one run, and what it was measured to do and to cost."""

    name: str
    run: str
    fit: str  # empty where the run trained one network
    images: int
    accuracy: float
    interval: Interval
    weights_sha256: str | None  # of the whole run
    costs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """A contender beside the baseline's. `difference` is in accuracy, second minus first."""

    first: str
    second: str
    difference: float
    interval: Interval | None  # None where the images cannot be paired
    same_predictions: bool
    same_weights: bool
    verdict: str


@dataclass(frozen=True)
class OptionDifference:
    """An option that the runs do not share, with its value in each; None where it is not known."""

    option: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What compare found, in the order of the runs."""

    runs: tuple[str, ...]
    warnings: tuple[str, ...]
    contenders: tuple[Contender, ...]
    pairs: tuple[Pair, ...]
    options: tuple[OptionDifference, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Predictions:
    """What a network said of each test image, by image."""

    label: dict[tuple[str, int], str]
    predicted: dict[tuple[str, int], str]

    def correct(self) -> dict[tuple[str, int], bool]:
        """Tell for each image whether it was right."""
        return {key: self.predicted[key] == label for key, label in self.label.items()}


def compare(runs: Sequence[RunFolder]) -> Comparison:
    """Compare runs with the first of them, network by network.

    Networks are matched by name where runs trained several; a run that trained one is compared
    with every network of another. Raises RunError for fewer than two runs, for a run without
    test predictions, and where no names match.
    """
    if len(runs) < 2:
        raise RunError(
            f"comparing needs two runs or more, got {len(runs)}; name another run folder"
        )
    names = distinct_names([run.path for run in runs])
    warnings = []
    contenders: list[list[Contender]] = []
    said: dict[str, Predictions] = {}
    for name, run in zip(names, runs, strict=True):
        if run.result.status != "finished":
            warnings.append(
                f"{name} is not finished (it is {run.result.status}); "
                "what it had predicted so far is compared"
            )
        fits = predictions_of(run)
        row = [contender(name, fit, table, run, alone=len(fits) == 1) for fit, table in fits]
        contenders.append(row)
        said |= {one.name: table for one, (_, table) in zip(row, fits, strict=True)}
    baseline, *others = contenders
    matched = [pair for other in others for pair in matches(baseline, other)]
    taking_part = {one.name for pair in matched for one in pair}
    return Comparison(
        runs=tuple(names),
        warnings=tuple(warnings),
        contenders=tuple(one for row in contenders for one in row if one.name in taking_part),
        pairs=tuple(
            beside(first, second, said[first.name], said[second.name]) for first, second in matched
        ),
        options=differing_options(names, runs),
    )


def predictions_of(run: RunFolder) -> list[tuple[str, Predictions]]:
    """Return each fit of a run with its test predictions; the only fit may be named ""."""
    titles = [entry["title"] for entry in run.result.tables]
    mine = [title for title in titles if title == PREDICTIONS or title.endswith(f" {PREDICTIONS}")]
    if not mine:
        raise RunError(
            f"{run.path} holds no test predictions, so it cannot be compared; "
            "compare runs that test a classifier and ran to the end"
        )
    return [
        (title.removesuffix(PREDICTIONS).strip(), read_predictions(run, title)) for title in mine
    ]


def read_predictions(run: RunFolder, title: str) -> Predictions:
    """Read a table of predictions. An image that stands there twice is told apart by its turn."""
    names, rows = run.table(title)
    columns = list(by_new_names(PREDICTIONS, dict.fromkeys(names)))
    try:
        places = [columns.index(name) for name in ("image", "label", "predicted")]
        cells = [tuple(row[place] for place in places) for row in rows]
    except (ValueError, IndexError) as error:
        raise RunError(
            f"the table {title!r} of {run.path} is damaged: "
            "it needs the columns image, label and predicted"
        ) from error
    if not cells:
        raise RunError(f"the table {title!r} of {run.path} is empty; there is nothing to compare")
    seen: dict[str, int] = {}
    label, predicted = {}, {}
    for image, truth, answer in cells:
        seen[image] = seen.get(image, -1) + 1
        key = (image, seen[image])
        label[key], predicted[key] = truth, answer
    return Predictions(label, predicted)


def contender(name: str, fit: str, table: Predictions, run: RunFolder, *, alone: bool) -> Contender:
    """Gather what is known of one network."""
    result = run.result
    right, total = sum(table.correct().values()), len(table.label)
    costs = [cost for cost in result.costs if cost.get("name") == fit]
    if alone and len(result.costs) == 1:
        costs = result.costs
    known = dict(costs[0]) if costs else {}
    if alone and known.get("peak_memory_bytes") is None and result.peak_memory_bytes:
        known["peak_memory_bytes"] = result.peak_memory_bytes
    return Contender(
        name=name if alone else f"{name} · {fit or 'unnamed'}",
        run=name,
        fit="" if alone else fit,
        images=total,
        accuracy=right / total,
        interval=exact(right, total),
        weights_sha256=result.weights_sha256,
        costs=known,
    )


def matches(
    baseline: Sequence[Contender], other: Sequence[Contender]
) -> list[tuple[Contender, Contender]]:
    """Pair the networks of two runs by name; one alone goes with all of the other run."""
    if len(baseline) == 1 or len(other) == 1:
        return [(first, second) for first in baseline for second in other]
    pairs = [(first, second) for first in baseline for second in other if first.fit == second.fit]
    if not pairs:
        ours, theirs = (", ".join(one.fit for one in row) for row in (baseline, other))
        raise RunError(
            f"{baseline[0].run} and {other[0].run} trained no network of the same name: "
            f"{ours}; and {theirs}"
        )
    return pairs


def beside(first: Contender, second: Contender, ours: Predictions, theirs: Predictions) -> Pair:
    """Compare two networks image by image, and say what came out."""
    difference = second.accuracy - first.accuracy
    same_weights = (
        first.weights_sha256 is not None and first.weights_sha256 == second.weights_sha256
    )
    interval = None
    same = False
    if ours.label.keys() != theirs.label.keys():
        verdict = "not paired: the runs were tested on different images"
    elif ours.label != theirs.label:
        verdict = "not paired: the same images bear different labels in the two runs"
    else:
        before, after = ours.correct(), theirs.correct()
        _, found = paired_bootstrap(
            np.array([before[key] for key in before]), np.array([after[key] for key in before])
        )
        same = ours.predicted == theirs.predicted
        verdict = verdict_sentence(first, second, difference, found, same, same_weights)
        interval = found if len(before) > 1 else None
    return Pair(first.name, second.name, difference, interval, same, same_weights, verdict)


def verdict_sentence(
    first: Contender,
    second: Contender,
    difference: float,
    interval: Interval,
    same_predictions: bool,
    same_weights: bool,
) -> str:
    """Say in one sentence what a paired difference shows."""
    low, high = interval
    if same_predictions and same_weights:
        return (
            "the two runs are identical: same predictions and same weights "
            f"(SHA-256 {first.weights_sha256})"
        )
    if same_predictions:
        known = first.weights_sha256 and second.weights_sha256
        weights = ", though the weights differ" if known else "; their weights cannot be compared"
        return f"same predictions on all {number(first.images)} images{weights}"
    if first.images == 1:
        return "one test image says nothing of others"
    if low > 0:
        return f"{second.name} is better by {points(difference)} ({around(low, high)})"
    if high < 0:
        return f"{second.name} is worse by {points(difference)} ({around(-high, -low)})"
    return (
        "no difference that this test set could show "
        f"({signed(difference)} points, {around(low, high)})"
    )


def around(low: float, high: float) -> str:
    """Write an interval of a difference in points: "0.8 to 3.4"."""
    return f"{minus(f'{100 * low:.1f}')} to {minus(f'{100 * high:.1f}')}"


def signed(difference: float) -> str:
    """Write a difference in points with its sign."""
    text = minus(f"{100 * difference:.1f}")
    return text if text.startswith("−") or text == "0.0" else f"+{text}"


def differing_options(
    names: Sequence[str], runs: Sequence[RunFolder]
) -> tuple[OptionDifference, ...]:
    """Return what the runs were asked differently, the recipe itself included."""
    asked = []
    for run in runs:
        content = run.recipe()
        asked.append({"recipe": content["recipe"], **flat(content["options"])})
    keys = dict.fromkeys(key for options in asked for key in options)
    found = []
    for key in keys:
        values = [options.get(key) for options in asked]
        if any(value != values[0] for value in values):
            found.append(OptionDifference(key, dict(zip(names, values, strict=True))))
    return tuple(found)


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return the ends of the paths, as long as it takes to tell them apart."""
    whole = [path.resolve() for path in paths]
    for length in range(1, max(len(path.parts) for path in whole) + 1):
        names = [str(Path(*path.parts[-length:])) for path in whole]
        if len(set(names)) == len(set(whole)):
            break
    turns: dict[str, int] = {}
    found = []
    for name in names:  # the same folder may be named twice
        turns[name] = turns.get(name, 0) + 1
        found.append(name if turns[name] == 1 else f"{name} ({turns[name]})")
    return found


def measures(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Return the rows of the table: a measure and its value for each contender."""
    rows = [
        ("test images", [number(one.images) for one in comparison.contenders]),
        (
            "accuracy",
            [with_span(one.accuracy, one.interval, share=True) for one in comparison.contenders],
        ),
    ]
    for name, write in COSTS.items():
        cells = [write(one.costs) for one in comparison.contenders]
        if any(cell != MISSING for cell in cells):
            rows.append((name, cells))
    return rows


def comparison_lines(comparison: Comparison) -> str:
    """Return the comparison as text for a terminal."""
    lines = [f"warning: {warning}" for warning in comparison.warnings]
    lines += [
        "",
        *aligned(["", *(one.name for one in comparison.contenders)], measures(comparison)),
    ]
    lines.append("")
    lines += [f"{pair.second} beside {pair.first}: {pair.verdict}" for pair in comparison.pairs]
    lines.append("")
    if comparison.options:
        rows = [
            (option.option, [plain(value) for value in option.values.values()])
            for option in comparison.options
        ]
        lines += aligned(["different options", *comparison.runs], rows)
    else:
        lines.append("Every option is the same.")
    return "\n".join(lines).strip("\n") + "\n"


def aligned(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Return a table as lines, its columns as wide as they must be."""
    table = [list(head), *([name, *cells] for name, cells in rows)]
    widths = [max(len(row[place]) for row in table) for place in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write the comparison as one self-contained page."""
    reach = max(
        (
            abs(bound)
            for pair in comparison.pairs
            for bound in (*(pair.interval or ()), pair.difference)
        ),
        default=0.0,
    )
    content = page(
        "comparison.html.j2",
        title=f"{' and '.join(comparison.runs)}"
        if len(comparison.runs) == 2
        else f"{len(comparison.runs)} runs",
        warnings=comparison.warnings,
        names=[one.name for one in comparison.contenders],
        rows=measures(comparison),
        pairs=[pair_card(pair, reach) for pair in comparison.pairs],
        runs=comparison.runs,
        options=[
            (option.option, [plain(value) for value in option.values.values()])
            for option in comparison.options
        ],
    )
    write_text(path, content)


def pair_card(pair: Pair, reach: float) -> Mapping[str, Any]:
    """Return a pair with its difference on a line from −`reach` to `reach`."""

    def place(value: float) -> float:
        return 50 + 46 * value / reach

    scale = None
    if pair.interval is not None and reach > 0:
        scale = {
            "low": place(pair.interval[0]),
            "high": place(pair.interval[1]),
            "value": place(pair.difference),
        }
    return {
        "first": pair.first,
        "second": pair.second,
        "verdict": pair.verdict,
        "difference": signed(pair.difference),
        "interval": None if pair.interval is None else around(*pair.interval),
        "scale": scale,
    }
