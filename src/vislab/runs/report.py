"""The report of a run: everything its folder holds, as one page that opens anywhere.

Nothing is measured here. What the folder lacks is left out or said to be missing, so a run that
was killed at its first step has a report too.
"""

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from vislab.errors import RunError
from vislab.runs import figures
from vislab.runs.folder import Result, RunFolder, damaged_sentence, read_json
from vislab.runs.formatting import (
    MISSING,
    THIN,
    Number,
    amount,
    duration,
    is_share,
    label,
    measured,
    memory,
    minus,
    number,
    plain,
    points,
    span,
    trivial_word,
    with_span,
)
from vislab.runs.page import data_uri, page
from vislab.runs.references import KIND
from vislab.runs.tables import BOUNDS, from_text, owner, with_bounds, written
from vislab.runs.writing import write_text

LARGE = 6  # metrics shown as large numbers; the others stand in a folded table
ROWS = 50  # rows of a table shown on the page
CELLS = {
    "data": "data",
    "train": "training images",
    "subset": "chosen",
    "test": "test images",
    "pixels": "files",
    "size": "side in pixels",
    "network": "network",
    "augmentation": "augmentation",
    "optimiser": "optimiser",
    "schedule": "schedule",
    "batch": "batch",
    "epochs": "epochs",
    "metric": "metric",
}


def write_report(run: RunFolder) -> Path:
    """Write `report.html` into the run folder and return its path.

    A folder opened silently is left as it is.
    """
    path = run.path / "report.html"
    if not run.silent:
        write_text(path, report(run))
    return path


def report(run: RunFolder) -> str:
    """Return the page."""
    result = run.result
    options = flat(run.recipe()["options"])
    lesson = result.lesson
    images = [filed_figure(run, entry) for entry in result.figures]
    tables = [filed_table(run, entry) for entry in result.tables if entry.get("shown", True)]
    main = main_metrics(result)
    damaged = run.damaged_lines()
    notes = [*result.notes, *([damaged_sentence(damaged)] if damaged else [])]
    return page(
        "report.html.j2",
        title=(lesson.get("title") or result.title or result.recipe).removesuffix("."),
        recipe=result.recipe,
        status=result.status,
        sentence=status_sentence(run),
        story=lesson.get("story") or [],
        source=lesson.get("source") or "",
        question=lesson.get("question") or "",
        look_at=lesson.get("look_at") or [],
        exercises=lesson.get("exercises") or [],
        asked=asked(result, options),
        numbers=[large_number(name, result) for name in main],
        all_numbers=[
            (name, measured(value, share=is_share(name)), interval_of(name, result))
            for name, value in result.metrics.items()
        ]
        if len(result.metrics) > len(main)
        else [],
        claims=[claim_card(claim, result) for claim in result.claims],
        references=reference_cards(result),
        shown_figures=[entry for entry in images if not entry["folded"]],
        folded_figures=[entry for entry in images if entry["folded"]],
        shown_tables=[entry for entry in tables if not entry["folded"]],
        folded_tables=[entry for entry in tables if entry["folded"]],
        curves=list(curve_figures(run.logged())),
        costs=cost_table(result.costs),
        environment=environment_rows(run),
        data=data_rows(result.data),
        options=[(key, plain(value)) for key, value in options.items()],
        notes=notes,
        command=result.command,
        folder=run.path.name,
        weights=result.weights_sha256,
    )


def status_sentence(run: RunFolder) -> str:
    """Say in one sentence how the run ended."""
    result = run.result
    after = f" after {duration(result.seconds)}" if result.seconds else ""
    resume = f"`vislab run --resume {run.path.name}` continues it."
    if result.recipe == "sweep":
        resume = "Its command, typed again with its --folder, goes on."
    if result.status == "finished":
        took = f" in {duration(result.seconds)}" if result.seconds else ""
        peak = f", using at most {memory(result.peak_memory_bytes)} of memory"
        return f"Finished{took}{peak if result.peak_memory_bytes else ''}; seed {result.seed}."
    if result.status == "interrupted":
        return f"Interrupted{after}; what is here was measured before. {resume}"
    return f"Failed{after}: {result.error or 'the reason was not recorded'}"


def asked(result: Result, options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was asked: the protocol, or the options where no protocol was written."""
    cells = [
        (CELLS.get(name, name), plain(value))
        for name, value in result.protocol.items()
        if value is not None
    ]
    return cells or [(name, plain(value)) for name, value in islice(options.items(), 12)]


def main_metrics(result: Result) -> list[str]:
    """Return the metrics to print large: those that something stands beside."""
    compared = {entry["metric"] for entry in (*result.references, *result.claims)}
    compared |= set(result.trivial)

    def rank(name: str) -> tuple[bool, bool, bool]:
        return (name not in compared, "test/" not in name, not is_share(name))

    ranked = sorted(result.metrics, key=rank)  # stable: else as the run measured them
    first = [name for name in ranked if name in compared or name in result.intervals]
    return (first or ranked)[:LARGE]


def interval_of(name: str, result: Result) -> str:
    """Write the interval of a metric, or nothing."""
    return span(result.intervals.get(name), share=is_share(name))


def large_number(name: str, result: Result) -> dict[str, Any]:
    """Return one measured number with what stands beside it."""
    share = is_share(name)
    value, trivial = result.metrics[name], result.trivial.get(name)
    beside = []
    if trivial is not None:
        beside.append(
            (trivial_word(name, result.metrics), measured(trivial, share=share), "trivial")
        )
    theirs = []
    for entry in result.references:
        if entry["metric"] == name:
            warning = ", not comparable" if entry["verdict"] == "not comparable" else ""
            text = measured(entry["value"], share=share)
            beside.append((f"{entry['source']}{warning}", text, "theirs"))
            theirs.append(entry["value"])
    low, high = result.intervals.get(name, (None, None))
    if low is not None and not math.isfinite(low):
        low = high = None
    scale = None
    if share and value is not None and 0 <= value <= 1:
        scale = {
            "value": 100 * value,
            "low": 100 * (value if low is None else low),
            "high": 100 * (value if high is None else high),
            "trivial": None if trivial is None else 100 * trivial,
            "theirs": [100 * their for their in theirs if their is not None],
        }
    return {
        "name": label(name),
        "value": measured(value, share=share),
        "interval": interval_of(name, result),
        "beside": beside,
        "scale": scale,
    }


def claim_card(claim: Mapping[str, Any], result: Result) -> dict[str, Any]:
    """Return a claim in words: what it asks of which metric, what that was, and the verdict."""
    share = is_share(claim["metric"])
    bounds = [
        f"{word} {measured(claim[key], share=share)}"
        for key, word in (("at_least", "at least"), ("at_most", "at most"))
        if claim.get(key) is not None
    ]
    value = claim.get("value")
    low, high = claim.get("interval") or (None, None)
    # A value that has no interval was written down with itself at both ends.
    interval = None if low is None or high is None or low == high else (low, high)
    was = "not measured" if value is None else "measured " + with_span(value, interval, share=share)
    return {
        "claim": claim["claim"],
        "verdict": claim["verdict"],
        "asks": f"{label(claim['metric'])} of {' and '.join(bounds)}",
        "was": was,
    }


def reference_cards(result: Result) -> list[dict[str, Any]]:
    """Return a card for each source and protocol; numbers measured alike share one."""
    cards: dict[str, dict[str, Any]] = {}
    for entry in result.references:
        share = is_share(entry["metric"])
        key = json.dumps([entry["source"], entry["kind"], entry["cells"]])
        card = cards.setdefault(
            key,
            {
                "source": entry["source"],
                "kind": entry["kind"],
                "numbers": [],
                "cells": [
                    {
                        "name": CELLS.get(cell["cell"], cell["cell"]),
                        "theirs": plain(cell["theirs"]),
                        "ours": "not known" if cell["ours"] is None else plain(cell["ours"]),
                        "differs": cell["differs"],
                        "decides": cell["cell"] in KIND,
                    }
                    for cell in entry["cells"]
                ],
            },
        )
        interval = result.intervals.get(entry["metric"])
        card["numbers"].append(
            {
                "metric": label(entry["metric"]),
                "theirs": measured(entry["value"], share=share),
                "ours": with_span(entry["ours"], interval, share=share),
                "verdict": verdict_text(entry, share=share),
            }
        )
    return list(cards.values())


def verdict_text(entry: Mapping[str, Any], *, share: bool) -> str:
    """Say what a reference's verdict means."""
    verdict = entry["verdict"]
    differing = [cell["cell"] for cell in entry["cells"] if cell["differs"]]
    if verdict == "not measured":
        return "this run did not measure it"
    if verdict == "not comparable":
        deciding = [CELLS.get(cell, cell) for cell in differing if cell in KIND]
        return f"not comparable: different {listed(deciding)}"
    if verdict == "the same":
        text = "the same: their number lies inside our interval"
    else:
        apart = entry["ours"] - entry["value"]
        by = points(apart) if share else number(abs(apart))
        text = f"ours is {verdict} by {by}"
    if differing:
        count = "1 cell" if len(differing) == 1 else f"{len(differing)} cells"
        text += f"; {count} of the protocol differ{'s' if len(differing) == 1 else ''}"
    return text


def listed(words: Sequence[str]) -> str:
    """Write "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def inside(run: RunFolder, file: str) -> Path | None:
    """Return a file of the run; None when it is missing or would lie outside the folder."""
    try:
        path = (run.path / file).resolve()
        held = path.is_relative_to(run.path.resolve()) and path.is_file()
    except (
        OSError,
        ValueError,
        RuntimeError,
    ):  # no name that a file could have, or links in a ring
        return None
    return path if held else None


def filed_figure(run: RunFolder, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a filed figure with its image as a data address."""
    path = inside(run, entry["file"])
    return {
        "title": entry["title"],
        "caption": entry.get("caption", ""),
        "folded": entry.get("folded", False),
        "file": entry["file"],
        "image": data_uri(path.read_bytes(), "image/png") if path else None,
    }


def filed_table(run: RunFolder, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first rows of a filed table, and how many there are."""
    columns: list[str] = []
    rows: list[list[str]] = []
    count = 0
    path = inside(run, entry["file"])
    missing = path is None
    if path is not None:
        try:
            with path.open(newline="", encoding="utf-8", errors="replace") as file:
                reader = csv.reader(file)
                columns = [from_text(cell) for cell in next(reader, [])]
                rows = [[from_text(cell) for cell in row] for row in islice(reader, ROWS)]
                count = len(rows) + sum(1 for _ in reader)
        except (OSError, csv.Error):
            columns, rows, count, missing = [], [], 0, True
    wide = [[*row, *[""] * len(columns)][: len(columns)] for row in rows]
    across = [[row[place] for row in wide] for place in range(len(columns))]
    right = [
        any(cells) and all(as_number(cell) is not None for cell in cells if cell)
        for cells in across
    ]
    formats = entry.get("formats", {})
    texts = [
        formatted_texts(cells, form)
        if (form := formats.get(name) or formats.get(owner(name, columns) or ""))
        else column_texts(cells, name)
        for cells, name in zip(across, columns, strict=True)
    ]
    for place in reversed(range(len(columns))):
        bounds = [f"{columns[place]} {bound}" for bound in BOUNDS]
        if columns[place] in entry.get("spans", ()) and columns[place + 1 : place + 3] == bounds:
            # Its bounds follow: one cell in the report.
            texts[place] = list(map(with_bounds, *texts[place : place + 3]))
            del texts[place + 1 : place + 3], columns[place + 1 : place + 3]
            del right[place + 1 : place + 3]
    return {
        "title": entry["title"],
        "caption": entry.get("caption", ""),
        "folded": entry.get("folded", False),
        "file": entry["file"],
        "missing": missing,
        "columns": list(zip(columns, right, strict=True)),
        "rows": [list(zip(row, right, strict=True)) for row in zip(*texts, strict=True)],
        "count": number(count),
        "shown": number(len(rows)) if count > len(rows) else None,
    }


def formatted_texts(cells: Sequence[str], form: str) -> list[str]:
    """Write a column in the format that came with it; what is no number stays as it is."""
    values = [(cell, as_number(cell)) for cell in cells]
    return [cell if value is None else written(value, form) for cell, value in values]


def as_number(text: str) -> float | None:
    """Read a cell as a number where it is one."""
    try:
        return float(text)
    except ValueError:
        return None


def column_texts(cells: Sequence[str], column: str) -> list[str]:
    """Write a column: accuracies in percent, fractions with as many decimals throughout.

    A column of whole numbers, or of anything but numbers, stays as it is.
    """
    values = [as_number(cell) for cell in cells if cell]
    known = [value for value in values if value is not None and math.isfinite(value)]
    share = is_share(column.lower()) and all(0 <= value <= 1 for value in known)
    fractions = any("." in cell or "e" in cell.lower() for cell in cells)
    if None in values or not (share or fractions):
        return list(cells)
    tiny = any(0 < abs(value) < 1e-3 for value in known)
    digits = [f"{value:.4g}" for value in known if abs(value) < 1e4]
    decimals = max((len(text.partition(".")[2]) for text in digits), default=0)

    def write(cell: str) -> str:
        value = as_number(cell)
        if value is None or not math.isfinite(value):
            return cell
        if share or tiny:
            return measured(value, share=share)
        return minus(f"{value:,.{decimals}f}".replace(",", THIN))

    return [write(cell) for cell in cells]


def curve_figures(lines: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Draw metrics.jsonl: one figure for each kind of number, a colour for each fit.

    Training is dashed, everything else solid. Where a fit ran for three epochs or more, what was
    logged within an epoch is averaged.
    """
    fits = list(dict.fromkeys(str(line.get("fit", "")) for line in lines))
    epochs = {line.get("epoch") for line in lines} - {None}
    by_epoch = len(epochs) >= 3
    families: dict[str, dict[tuple[str, str], dict[float, list[float]]]] = {}
    for line in lines:
        across = line.get("epoch") if by_epoch else line.get("step")
        if across is None:
            continue
        for key, value in line.items():
            if key in ("fit", "epoch", "step") or isinstance(value, bool):
                continue
            if value is not None and not isinstance(value, int | float):
                continue
            part, _, family = key.rpartition("/")
            series = families.setdefault(family, {})
            at = series.setdefault((str(line.get("fit", "")), part), {})
            at.setdefault(across, []).append(math.nan if value is None else float(value))
    order = sorted(families, key=lambda name: (name != "loss", not name.endswith("accuracy"), name))
    for family in order:
        named = {
            " · ".join(word for word in (fit if len(fits) > 1 else "", part) if word) or family: (
                fit,
                part,
                at,
            )
            for (fit, part), at in families[family].items()
        }
        drawn = {
            name: (list(at), [sum(values) / len(values) for values in at.values()])
            for name, (_, _, at) in named.items()
        }
        long = {fit for fit, _, at in named.values() if len(at) > 1}
        if long:  # beside trainings, tries of one epoch are no curves
            named = {name: one for name, one in named.items() if one[0] in long}
            drawn = {name: drawn[name] for name in named}
        values = [value for _, up in drawn.values() for value in up if math.isfinite(value)]
        if not values:
            continue
        colours = {
            name: figures.PALETTE[fits.index(fit) % len(figures.PALETTE)]
            if len(fits) > 1
            else figures.PALETTE[place % len(figures.PALETTE)]
            for place, (name, (fit, _, _)) in enumerate(named.items())
        }
        dashed = {name for name, (_, part, _) in named.items() if part.endswith("train")}
        figure = figures.curves(
            drawn,
            x="epoch" if by_epoch else "step",
            y=family.replace("_", " "),
            colours=colours,
            dashed=dashed,
            log=family.endswith("loss") and max(values) > 200 * min(values) > 0,
            share=is_share(family),
        )
        yield {
            "title": family.replace("_", " "),
            "caption": "Training is dashed." if dashed and len(named) > 1 else "",
            "image": data_uri(figures.to_png(figure), "image/png"),
        }


def cost_table(costs: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the costs as a table: a row for each kind of cost, a column for each network."""
    rows = [(name, [write(cost) for cost in costs]) for name, write in COSTS.items()]
    rows = [(name, cells) for name, cells in rows if any(cell != MISSING for cell in cells)]
    if not rows:
        return None
    return {"names": [str(cost.get("name", "")) for cost in costs], "rows": rows}


def latency(cost: Mapping[str, Any], batch: str, statistic: str) -> str:
    """Write a latency at a batch size in milliseconds, with three digits."""
    times = (cost.get("latency_ms") or {}).get(batch) or {}
    value = times.get(statistic)
    return MISSING if value is None else f"{value:.3g}{THIN}ms"


def per_second(rate: Number | None) -> str:
    """Write a rate: whole from 100 on."""
    return number(rate if rate is None or rate < 100 else round(rate))


COSTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "parameters": lambda cost: amount(cost.get("parameters")),
    "multiply–adds an image": lambda cost: amount(cost.get("macs")),
    "training images/s": lambda cost: per_second(cost.get("train_images_per_second")),
    "latency of 1 image, median": lambda cost: latency(cost, "1", "median"),
    "latency of 1 image, 95 % within": lambda cost: latency(cost, "1", "p95"),
    "latency of 64 images, median": lambda cost: latency(cost, "64", "median"),
    "latency of 64 images, 95 % within": lambda cost: latency(cost, "64", "p95"),
    "peak memory": lambda cost: memory(cost.get("peak_memory_bytes")),
}


def data_rows(sets: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return what is known of the data; of several sets each under its name."""
    rows = []
    for one in sets:
        before = f"{one.get('name', '')}: " if len(sets) > 1 else ""
        rows += [(f"{before}{key}", plain(value)) for key, value in flat(one).items()]
    return rows


def environment_rows(run: RunFolder) -> list[tuple[str, str]]:
    """Return environment.json as rows; a missing or damaged file says so."""
    try:
        content = read_json(run.path / "environment.json")
    except RunError as error:
        return [("not recorded", str(error).removeprefix(f"{run.path}/"))]
    rows = []
    for key, value in flat(content).items():
        name = key.removeprefix("packages.").replace("_bytes", "").replace("_", " ")
        bytes_ = key.endswith("_bytes") and isinstance(value, int | float) and value
        text = memory(value) if bytes_ else plain(value)
        rows.append((name, "not installed" if value is None and "packages" in key else text))
    return rows


def flat(content: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested options under dotted names: {"optim": {"lr": 1}} is {"optim.lr": 1}."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found
