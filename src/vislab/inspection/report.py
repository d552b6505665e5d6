"""Explanations filed: each map beside what it is worth, as images, JSON and one page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from vislab.explain.methods import METHODS, Method
from vislab.inference.predictor import Predictor
from vislab.inspection.dense import outlined
from vislab.inspection.explanations import Explained, Explanation
from vislab.inspection.faithfulness import RANDOM, Faithfulness, over_images
from vislab.runs import figures
from vislab.runs.folder import file_name
from vislab.runs.page import data_uri, page
from vislab.runs.writing import saying_why, write_bytes, write_json, write_text

COLUMNS = ("deletion", "insertion", "beyond chance", "beyond the middle", "alike when random")


def nothing_in(paths: Sequence[Path], explanations: Sequence[Explanation]) -> list[Path]:
    """Return the images in which a detector or a segmenter found nothing to explain."""
    found = {one.path for one in explanations}
    return [path for path in paths if path not in found]


def scores(
    predictor: Predictor, explanations: Sequence[Explanation], nothing: Sequence[Path] = ()
) -> dict[str, Any]:
    """Return everything that was measured, as plain JSON; `nothing` was found in these images.

    Boxes are in pixels of the image as the network is shown it: left, top, right, bottom.
    """
    return {
        "network": predictor.name,
        "size": predictor.size,
        "nothing found in": [str(path) for path in nothing],
        "images": [
            {
                "image": str(one.path),
                "class": one.name,
                "target": one.target,
                **({} if one.itself is None else {"number": one.number, "box": box_of(one.itself)}),
                "top": [{"label": label, "probability": p} for label, p in one.top],
                "methods": {
                    each.method: {
                        **each.worth.as_json(),
                        "level": each.worth.level,
                        "sentence": each.worth.sentence(one.name),
                    }
                    for each in one.maps
                },
                "no meaning": one.without,
            }
            for one in explanations
        ],
        "over images": {
            name: {"beyond chance": mean, "interval": interval, "images": len(worths)}
            for name, worths in by_method(explanations).items()
            for mean, interval in [over_images(worths)]
        },
    }


def by_method(explanations: Sequence[Explanation]) -> dict[str, list[Faithfulness]]:
    """Return what each method's maps are worth, one an image, best method first.

    Of an image's boxes or regions the first counts, for those of one image are alike.
    """
    found: dict[str, list[Faithfulness]] = {}
    for one in (each for each in explanations if each.number == 1):
        for each in one.maps:
            found.setdefault(each.method, []).append(each.worth)
    return dict(sorted(found.items(), key=lambda item: -over_images(item[1])[0]))


def box_of(itself: Bool[np.ndarray, "s s"]) -> list[int]:
    """Return the box around some pixels: left, top, right, bottom, the last two outside."""
    rows, columns = np.flatnonzero(itself.any(axis=1)), np.flatnonzero(itself.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def file_explanations(
    predictor: Predictor,
    explanations: Sequence[Explanation],
    folder: Path,
    nothing: Sequence[Path] = (),
) -> Path:
    """Write the images, `scores.json` and `report.html` into a folder; return the report.

    `nothing` are the images in which there was nothing to explain; the report names them.
    """
    with saying_why(folder):
        folder.mkdir(parents=True, exist_ok=True)
    sections: list[dict[str, Any]] = []
    names: set[str] = set()
    for one in explanations:
        stem = file_name(one.path.stem)
        if one.itself is not None:
            stem = f"{stem}-{one.number}-{file_name(one.name)}"
        name = free_name(stem, names)
        inside = folder / name
        with saying_why(inside):
            inside.mkdir(exist_ok=True)
        whole = sheet(one)
        write_bytes(inside / "all-methods.png", whole)
        entries = []
        for each in one.maps:
            drawn = drawing(one, each)
            write_bytes(inside / f"{each.method}.png", drawn)
            entries.append(entry(one, each, drawn))
        sections.append(
            {
                "title": titled(one),
                "says": ", ".join(f"{label} {p:.0%}" for label, p in one.top),
                "explained": one.name,
                "sheet": data_uri(whole, "image/png"),
                "entries": sorted(entries, key=lambda row: -float(row["beyond"])),
                "without": [(METHODS[key].title, why) for key, why in one.without.items()],
            }
        )
    write_json(folder / "scores.json", scores(predictor, explanations, nothing))
    report = folder / "report.html"
    count = sum(one.number == 1 for one in explanations)
    many = [
        (METHODS[name].title, *written(over_images(worths)))
        for name, worths in by_method(explanations).items()
    ]
    write_text(
        report,
        page(
            "explanation.html.j2",
            title=f"What {predictor.name} looks at",
            sections=sections,
            many=many if count > 1 else [],
            images=count,
            first_of_each=any(one.number > 1 for one in explanations),
            nothing=[path.name for path in nothing],
            random=RANDOM,
            columns=COLUMNS,
        ),
    )
    return report


def titled(one: Explanation) -> str:
    """Return the image's name, and the box or region that is explained."""
    return one.path.name if one.itself is None else f"{one.path.name}, {one.number}: {one.name}"


def free_name(wanted: str, taken: set[str]) -> str:
    """Return a name that no other image of this call has, and take it."""
    name, turn = wanted, 2
    while name in taken:
        name, turn = f"{wanted}-{turn}", turn + 1
    taken.add(name)
    return name


def written(found: tuple[float, tuple[float, float] | None]) -> tuple[str, str]:
    """Return a mean and its interval as text."""
    mean, interval = found
    between = "" if interval is None else f"{interval[0]:+.2f} to {interval[1]:+.2f}"
    return f"{mean:+.2f}", between


def entry(one: Explanation, each: Explained, drawn: bytes) -> dict[str, Any]:
    """Return what the page says of one map."""
    worth, about = each.worth, METHODS[each.method]
    alike = "" if worth.when_random is None else f"{worth.when_random:.2f}"
    return {
        "title": about.title,
        "says": about.says,
        "image": data_uri(drawn, "image/png"),
        "level": worth.level,
        "sentence": worth.sentence(one.name),
        "beyond": worth.beyond_chance,
        "numbers": [
            f"{np.mean([*worth.deletion.values()]):.2f}",
            f"{np.mean([*worth.insertion.values()]):.2f}",
            f"{worth.beyond_chance:+.2f} ({worth.interval[0]:+.2f} to {worth.interval[1]:+.2f})",
            f"{worth.margin - worth.centre:+.2f}",
            alike,
        ],
    }


def drawing(one: Explanation, each: Explained) -> bytes:
    """Return one map over its image as PNG."""
    about: Method = METHODS[each.method]
    figure = figures.explanation(
        framed(one, one.pixels), each.found.numpy(), title=f"{about.title}: {one.name}",
        unit=about.unit, signed=about.signed,
    )  # fmt: skip
    return figures.to_png(figure)


def framed(one: Explanation, pixels: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "big wide 3"]:
    """Return an image with a line around the box or region that is explained."""
    return pixels if one.itself is None else outlined(pixels, one.itself)


def sheet(one: Explanation) -> bytes:
    """Return the image and all its maps on one sheet as PNG."""
    shown, titles = [framed(one, one.pixels)], ["the image"]
    for each in one.maps:
        about = METHODS[each.method]
        drawn = figures.over_image(one.pixels, each.found.numpy(), signed=about.signed)
        shown.append(framed(one, drawn))
        titles.append(about.title)
    return figures.to_png(figures.image_grid(np.stack(shown), titles=titles, columns=3))
