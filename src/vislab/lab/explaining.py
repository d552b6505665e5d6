"""Pictures explained by many methods, each map with its worth, filed as pictures and one page."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torchvision.transforms.v2.functional import gaussian_blur

from vislab import metrics
from vislab.data.augment_batch import normalise
from vislab.data.pictures import Pictures
from vislab.errors import DataError, OptionError, ShapeError
from vislab.explain.methods import METHODS, Method, method
from vislab.explain.randomised import randomised
from vislab.lab.explaining_dense import outlined
from vislab.lab.questions import MOST, Question, questions
from vislab.lab.subject import Subject
from vislab.lab.worth import NETWORKS, RANDOM, STEPS, Examiner, Worth, over_pictures
from vislab.progress import track
from vislab.runs import figures
from vislab.runs.folder import file_name
from vislab.runs.page import data_uri, page
from vislab.runs.writing import saying_why, write_bytes, write_json, write_text

if TYPE_CHECKING:
    import matplotlib.figure

COLUMNS = ("deletion", "insertion", "beyond chance", "beyond the middle", "alike when random")


@dataclass(frozen=True)
class Explained:
    """What one method gave for one picture."""

    method: str
    found: Float[Tensor, "i j"]
    worth: Worth


@dataclass
class Explanation:
    """One picture: what the network says of it and every map of why."""

    path: Path
    pixels: UInt8[np.ndarray, "s s 3"]
    top: list[tuple[str, float]]  # the five most probable classes
    target: int
    name: str  # of the class that is explained
    number: int = 1  # of the boxes or regions of this picture
    itself: Bool[np.ndarray, "s s"] | None = None  # the pixels of the box or region it is of
    maps: list[Explained] = field(default_factory=list)
    without: dict[str, str] = field(default_factory=dict)  # by method, why it has no meaning


def chosen_methods(words: Sequence[str]) -> list[str]:
    """Return the methods that are meant: `all`, or names. Raises UnknownName."""
    if "all" in words:
        return list(METHODS)
    for word in words:
        method(word)
    return list(dict.fromkeys(words))


def explain_pictures(
    subject: Subject,
    paths: Sequence[Path],
    *,
    methods: Sequence[str],
    target: str | None = None,
    budget: int | None = None,
    quiet: bool = False,
) -> list[Explanation]:
    """Explain each picture by each method and measure every map.

    Explained is the class that the network names itself unless `target` names another; of a
    detector its surest boxes, of a segmenter its largest regions, of that class if one is named.
    `budget` is memory in bytes. Raises DataError naming the first file that is no picture, and when
    nothing is found in any picture.
    """
    if not paths:
        raise OptionError("name at least one picture to explain")
    wanted = None if target is None else subject.class_named(target)
    read = [subject.read(path) for path in paths]  # a broken file is told before the work
    shown = [subject.prepare(pixels[None]) for pixels in read]
    asked = [
        (path, pixels, images, number, question)
        for path, pixels, images in zip(paths, read, shown, strict=True)
        for number, question in enumerate(
            questions(subject, images, wanted, area=subject.area(path)), 1
        )
    ]
    if not asked:
        what = "anything" if wanted is None else subject.short(wanted)
        raise DataError(f"{subject.name} does not find {what} in these pictures")
    found = []
    network: nn.Module | None = None
    work = len(asked) * (len(methods) + 1)
    with track("explaining", total=work, unit="maps", quiet=quiet) as advance:
        for path, pixels, images, number, question in asked:
            if question.network is not network:
                network = question.network
                chance = [randomised(network, seed=seed) for seed in range(NETWORKS)]
            explanation = begun(path, pixels, images, number, question)
            examiner = Examiner(network, images[0], explanation.target, budget=budget)
            advance(1, path.name)
            for name in methods:
                one = METHODS[name]
                try:
                    maps, *others = (
                        smoothed(one, one(each, images, explanation.target, budget=budget)[0])
                        for each in (network, *chance)
                    )
                except ShapeError as error:
                    explanation.without[name] = str(error)
                else:
                    explanation.maps.append(Explained(name, maps, examiner(maps, others)))
                advance(1, f"{path.name}, {one.title}")
            found.append(explanation)
    return found


def smoothed(about: Method, found: Float[Tensor, "i j"]) -> Float[Tensor, "i j"]:
    """Return a map as it is shown and measured: one of single pixels is blurred a little.

    Otherwise replacing its strongest pixels makes a pattern that no network has seen.
    """
    if not about.fine:
        return found
    deviation = min(found.shape) / 100
    half = max(1, round(3 * deviation))
    wide: Tensor = gaussian_blur(found[None, None], [2 * half + 1] * 2, [max(deviation, 0.3)] * 2)
    return wide[0, 0]


def expected_seconds(subject: Subject, methods: Sequence[str], pictures: int) -> float:
    """Return about how long explaining takes at most: all passes, timed by one tried here."""
    maps = sum(METHODS[name].passes for name in methods) * (1 + NETWORKS)
    measured = (len(methods) + RANDOM + 1) * 2 * len(metrics.GROUNDS) * (STEPS + 1)
    images = subject.prepare(np.zeros((4, subject.size, subject.size, 3), dtype=np.uint8))
    look: Any = subject.model.detect if subject.answers == "boxes" else subject.model
    answers = pictures if subject.answers == "classes" else pictures * MOST
    taken = []
    with torch.inference_mode():
        for _ in range(2):
            begin = time.perf_counter()
            look(images)
            taken.append(time.perf_counter() - begin)
    return answers * (maps + measured) * min(taken) / len(images)


def begun(
    path: Path,
    pixels: UInt8[np.ndarray, "s s 3"],
    images: Float[Tensor, "1 3 s s"],
    number: int,
    question: Question,
) -> Explanation:
    """Return an explanation without maps."""
    with torch.inference_mode():
        probabilities = question.network(images).float().softmax(dim=1)[0].cpu()
    values, classes = probabilities.topk(min(5, len(probabilities)))
    names = [label.split(", ")[0] for label in question.labels]
    top = [(names[k], p) for k, p in zip(classes.tolist(), values.tolist(), strict=True)]
    name = names[question.target]
    return Explanation(path, pixels, top, question.target, name, number, question.itself)


def explained_sheet(
    network: nn.Module,
    pictures: Pictures,
    place: int,
    target: int,
    methods: Sequence[str],
    *,
    device: torch.device,
) -> tuple["matplotlib.figure.Figure", list[str]]:
    """Return a test picture with its maps on one sheet, and what each map is worth in a sentence.

    A method without meaning for the network says so in its sentence.
    """
    pixels = pictures.split("test").take(np.array([place]))
    images = normalise(torch.tensor(pixels, device=device), *pictures.normalisation)
    network = network.to(device)
    chance = [randomised(network, seed=seed) for seed in range(NETWORKS)]
    examiner = Examiner(network, images[0], target)
    name = pictures.classes[target]
    shown, titles, sentences = [pixels[0]], [name], []
    for key in methods:
        one = METHODS[key]
        try:
            found, *others = (
                smoothed(one, one(model, images, target)[0]) for model in (network, *chance)
            )
        except ShapeError as error:
            sentences.append(f"{one.title}: no map, {error}.")
            continue
        shown.append(figures.over_picture(pixels[0], found.numpy(), signed=one.signed))
        titles.append(one.title)
        sentences.append(f"{one.title}: {examiner(found, others).sentence(name)}")
    return figures.picture_grid(np.stack(shown), titles=titles, columns=3), sentences


def nothing_in(paths: Sequence[Path], explanations: Sequence[Explanation]) -> list[Path]:
    """Return the pictures in which a detector or a segmenter found nothing to explain."""
    found = {one.path for one in explanations}
    return [path for path in paths if path not in found]


def scores(
    subject: Subject, explanations: Sequence[Explanation], nothing: Sequence[Path] = ()
) -> dict[str, Any]:
    """Return everything that was measured, as plain JSON; `nothing` was found in these pictures.

    Boxes are in pixels of the picture as the network is shown it: left, top, right, bottom.
    """
    return {
        "network": subject.name,
        "size": subject.size,
        "nothing found in": [str(path) for path in nothing],
        "pictures": [
            {
                "picture": str(one.path),
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
        "over pictures": {
            name: {"beyond chance": mean, "interval": interval, "pictures": len(worths)}
            for name, worths in by_method(explanations).items()
            for mean, interval in [over_pictures(worths)]
        },
    }


def by_method(explanations: Sequence[Explanation]) -> dict[str, list[Worth]]:
    """Return what each method's maps are worth, one a picture, best method first.

    Of a picture's boxes or regions the first counts, for those of one picture are alike.
    """
    found: dict[str, list[Worth]] = {}
    for one in (each for each in explanations if each.number == 1):
        for each in one.maps:
            found.setdefault(each.method, []).append(each.worth)
    return dict(sorted(found.items(), key=lambda item: -over_pictures(item[1])[0]))


def box_of(itself: Bool[np.ndarray, "s s"]) -> list[int]:
    """Return the box around some pixels: left, top, right, bottom, the last two outside."""
    rows, columns = np.flatnonzero(itself.any(axis=1)), np.flatnonzero(itself.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]


def file_explanations(
    subject: Subject,
    explanations: Sequence[Explanation],
    folder: Path,
    nothing: Sequence[Path] = (),
) -> Path:
    """Write the pictures, `scores.json` and `report.html` into a folder; return the report.

    `nothing` are the pictures in which there was nothing to explain; the report names them.
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
    write_json(folder / "scores.json", scores(subject, explanations, nothing))
    report = folder / "report.html"
    count = sum(one.number == 1 for one in explanations)
    many = [
        (METHODS[name].title, *written(over_pictures(worths)))
        for name, worths in by_method(explanations).items()
    ]
    write_text(
        report,
        page(
            "explanation.html.j2",
            title=f"What {subject.name} looks at",
            sections=sections,
            many=many if count > 1 else [],
            pictures=count,
            first_of_each=any(one.number > 1 for one in explanations),
            nothing=[path.name for path in nothing],
            random=RANDOM,
            columns=COLUMNS,
        ),
    )
    return report


def titled(one: Explanation) -> str:
    """Return the picture's name, and the box or region that is explained."""
    return one.path.name if one.itself is None else f"{one.path.name}, {one.number}: {one.name}"


def free_name(wanted: str, taken: set[str]) -> str:
    """Return a name that no other picture of this call has, and take it."""
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
        "picture": data_uri(drawn, "image/png"),
        "level": worth.level,
        "sentence": worth.sentence(one.name),
        "beyond": worth.beyond_chance,
        "numbers": [
            f"{np.mean([*worth.deletion.values()]):.2f}",
            f"{np.mean([*worth.insertion.values()]):.2f}",
            f"{worth.beyond_chance:+.2f}",
            f"{worth.margin - worth.centre:+.2f}",
            alike,
        ],
    }


def drawing(one: Explanation, each: Explained) -> bytes:
    """Return one map over its picture as PNG."""
    about: Method = METHODS[each.method]
    figure = figures.explanation(
        framed(one, one.pixels), each.found.numpy(), title=f"{about.title}: {one.name}",
        unit=about.unit, signed=about.signed,
    )  # fmt: skip
    return figures.to_png(figure)


def framed(one: Explanation, pixels: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "big wide 3"]:
    """Return a picture with a line around the box or region that is explained."""
    return pixels if one.itself is None else outlined(pixels, one.itself)


def sheet(one: Explanation) -> bytes:
    """Return the picture and all its maps on one sheet as PNG."""
    shown, titles = [framed(one, one.pixels)], ["the picture"]
    for each in one.maps:
        about = METHODS[each.method]
        drawn = figures.over_picture(one.pixels, each.found.numpy(), signed=about.signed)
        shown.append(framed(one, drawn))
        titles.append(about.title)
    return figures.to_png(figures.picture_grid(np.stack(shown), titles=titles, columns=3))
