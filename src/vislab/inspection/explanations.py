"""Images explained by many methods, each map with its worth, filed as images and one page."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torchvision.transforms.v2.functional import gaussian_blur

from vislab import metrics
from vislab.data.augment_batch import normalise
from vislab.data.table import Table
from vislab.errors import DataError, OptionError, ShapeError
from vislab.explain.asking import ask, probabilities_of
from vislab.explain.company import answered
from vislab.explain.hooks import hooked
from vislab.explain.methods import METHODS, Method, method
from vislab.explain.randomised import randomised
from vislab.inference.predictor import Predictor
from vislab.inspection.faithfulness import NETWORKS, RANDOM, STEPS, Examiner, Faithfulness
from vislab.inspection.targets import MOST, Target, targets
from vislab.ops import processes
from vislab.progress import track
from vislab.runs import figures
from vislab.runs.notebook import Notebook
from vislab.tasks.classify import Classified

if TYPE_CHECKING:
    import matplotlib.figure


@dataclass(frozen=True)
class Explained:
    """What one method gave for one image."""

    method: str
    found: Float[Tensor, "i j"]
    worth: Faithfulness


@dataclass
class Explanation:
    """One image: what the network says of it and every map of why."""

    path: Path
    pixels: UInt8[np.ndarray, "s s 3"]
    top: list[tuple[str, float]]  # the five most probable classes
    target: int
    name: str  # of the class that is explained
    number: int = 1  # of the boxes or regions of this image
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


def explain_images(
    predictor: Predictor,
    paths: Sequence[Path],
    *,
    methods: Sequence[str],
    target: str | None = None,
    budget: int | None = None,
    quiet: bool = False,
    left_out: dict[Path, str] | None = None,
) -> list[Explanation]:
    """Explain each image by each method and measure every map.

    Explained is the class that the network names itself unless `target` names another; of a
    detector its surest boxes, of a segmenter its largest regions, of that class if one is named.
    `budget` is memory in bytes. A file that is no image goes to `left_out` with the reason, where
    that is given, and the others go on. Raises DataError naming the first such file otherwise or
    where none is left, and when nothing is found in any image.
    """
    if not paths:
        raise OptionError("name at least one image to explain")
    wanted = None if target is None else predictor.class_named(target)
    read: dict[Path, UInt8[np.ndarray, "s s 3"]] = {}
    broken: dict[Path, DataError] = {}
    for path in paths:
        try:
            read[path] = predictor.read(path)
        except DataError as error:
            broken[path] = error
    if broken and (left_out is None or not read):  # a broken file is told before the work
        raise next(iter(broken.values()))
    if left_out is not None:
        left_out.update({path: str(error) for path, error in broken.items()})
    shown = {path: predictor.prepare(pixels[None]) for path, pixels in read.items()}
    asked = [
        (path, read[path], images, number, question)
        for path, images in shown.items()
        for number, question in enumerate(
            targets(predictor, images, wanted, area=predictor.area(path)), 1
        )
    ]
    if not asked:
        what = "anything" if wanted is None else predictor.short(wanted)
        raise DataError(f"{predictor.name} does not find {what} in these images")
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
    std = min(found.shape) / 100
    half = max(1, round(3 * std))
    wide: Tensor = gaussian_blur(found[None, None], [2 * half + 1] * 2, [max(std, 0.3)] * 2)
    return wide[0, 0]


def expected_seconds(predictor: Predictor, methods: Sequence[str], count: int) -> float:
    """Return about how long explaining takes at most: all passes, timed by one tried here."""
    maps = sum(METHODS[name].passes for name in methods) * (1 + NETWORKS)
    measured = (len(methods) + RANDOM + 1) * 2 * len(metrics.GROUNDS) * (STEPS + 1)
    images = predictor.prepare(np.zeros((4, predictor.size, predictor.size, 3), dtype=np.uint8))
    look: Any = predictor.model.detect if predictor.answers == "boxes" else predictor.model
    if predictor.answers == "classes":
        with hooked(predictor.model, []), torch.no_grad():
            look = partial(ask, answered(predictor.model, images).network)
    answers = count if predictor.answers == "classes" else count * MOST
    taken = []
    with torch.no_grad():
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
    question: Target,
) -> Explanation:
    """Return an explanation without maps."""
    with hooked(question.network, []), torch.no_grad():
        probabilities = probabilities_of(question.network, images)[0].cpu()
    values, classes = probabilities.topk(min(5, len(probabilities)))
    names = [label.split(", ")[0] for label in question.labels]
    top = [(names[k], p) for k, p in zip(classes.tolist(), values.tolist(), strict=True)]
    name = names[question.target]
    return Explanation(path, pixels, top, question.target, name, number, question.itself)


def explained_sheet(
    network: nn.Module,
    table: Table,
    place: int,
    target: int,
    methods: Sequence[str],
    *,
    device: torch.device,
) -> tuple["matplotlib.figure.Figure", list[str]]:
    """Return a test image with its maps on one sheet, and what each map is worth in a sentence.

    A method without meaning for the network says so in its sentence.
    """
    pixels = table.split("test").take(np.array([place]))
    images = normalise(torch.tensor(pixels, device=device), *table.normalisation)
    network = network.to(device)
    chance = [randomised(network, seed=seed) for seed in range(NETWORKS)]
    examiner = Examiner(network, images[0], target)
    name = table.classes[target]
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
        shown.append(figures.over_image(pixels[0], found.numpy(), signed=one.signed))
        titles.append(one.title)
        sentences.append(f"{one.title}: {examiner(found, others).sentence(name)}")
    return figures.image_grid(np.stack(shown), titles=titles, columns=3), sentences


def explain_surest(
    notebook: Notebook,
    network: nn.Module,
    table: Table,
    outcome: Classified,
    methods: Sequence[str],
) -> None:
    """Show why the surest right answer to a test image was given, each map with its faithfulness.

    Of a network that has none right, why it answered the first image as it did.
    """
    sure = np.where(outcome.correct, outcome.probabilities.max(axis=1), 0.0)
    place = int(sure.argmax())
    figure, sentences = explained_sheet(
        network, table, place, int(outcome.predicted[place]), methods, device=processes.device()
    )
    title = "why it says so, by several methods"
    notebook.show(title, figure, caption=" ".join(sentences))
