"""`vislab explain`: why a network says what it says of an image, and how far to believe it."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vislab.cli.predict_command import files
from vislab.errors import DataError, OptionError

LONG = 10.0  # seconds from which on the cost is told first
LONGEST = 256  # characters that no file's name has


def main(words: Sequence[str]) -> int:
    """Explain."""
    tyro.cli(show, args=list(words), prog="vislab explain")
    return 0


def show(
    images: Annotated[tuple[Path, ...], tyro.conf.Positional],
    model: str = "efficientnet-lite0",
    method: str = "all",
    target: str | None = None,
    out: Path = Path("explained"),
    weights: Path | None = None,
    classes: str | None = None,
    head: Literal["softmax", "sigmoid", "probabilities"] | None = None,
    recipe: Path | None = None,
    memory: int = 512,
    as_json: Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff] = False,
) -> None:
    """Show what a network looks at, by many methods, and say how far each can be trusted.

    Every map is tested: is what it marks needed for the answer, more than by chance? And does it
    change when the weights are random? Images, scores.json and report.html go to a folder.

    Args:
        images: Image files, or folders of them.
        model: A network by name with its pre-trained weights (see `vislab models`), or the folder
            of a run. Of a detector up to three sure boxes are explained, or the surest; of a
            segmenter the largest regions of up to three classes.
        method: Methods, with commas between, or all: saliency, smooth-grad, integrated-gradients,
            guided-backprop, deconvnet, grad-cam, grad-cam-plus-plus, occlusion, attention, rollout,
            gradient-rollout.
        target: The class to explain, by name or number; without, what the network says itself.
        out: The folder for what comes out.
        weights: A file of weights for the network, in place of those its source has: a checkpoint
            of a training script, or safetensors. Its head decides how many classes there are, and
            averaged weights (EMA, SWA) go before raw ones.
        classes: The names of the classes in the order of the network's outputs, with commas
            between, or a text file with one on each line; without, the network's own, or "class 0"
            and so on.
        head: What its scores mean: softmax (logits of one class of several), sigmoid (of several
            that may be true at once) or probabilities; without, as the network says or they show.
        recipe: Your own recipe file, where it registers the network of the run. It is run, as any
            program of yours.
        memory: Megabytes of activations at a time.
        as_json: Print what is in scores.json.
    """
    from vislab.inference.predictor import predictor
    from vislab.inspection.explanations import chosen_methods, expected_seconds, explain_images
    from vislab.inspection.report import box_of, file_explanations, nothing_in, scores
    from vislab.runs.formatting import duration
    from vislab.runs.writing import saying_why

    if recipe is not None:
        from vislab.lab.recipe import recipe_in

        recipe_in(recipe)
    methods = chosen_methods([word.strip() for word in method.split(",") if word.strip()])
    paths = files(images)
    names = None if classes is None else named_classes(classes)
    asked = predictor(model, weights, classes=names, reading=head)
    if target is not None:
        asked.class_named(target)
    with saying_why(out):  # told before the work, not after it
        out.mkdir(parents=True, exist_ok=True)
    seconds = expected_seconds(asked, methods, len(paths))
    if seconds > LONG:
        print(
            f"{len(paths)} image(s) by {len(methods)} method(s), each tested: up to about "
            f"{duration(seconds)}",
            file=sys.stderr,
        )
    left_out: dict[Path, str] = {}
    found = explain_images(
        asked, paths, methods=methods, target=target, budget=memory << 20, quiet=as_json,
        left_out=left_out,
    )  # fmt: skip
    for reason in left_out.values():
        print(f"left out: {reason}", file=sys.stderr)
    nothing = nothing_in([path for path in paths if path not in left_out], found)
    report = file_explanations(asked, found, out, nothing)
    if as_json:
        print(json.dumps(scores(asked, found, nothing), indent=2, ensure_ascii=False))
        return
    for one in found:
        label, probability = one.top[0]
        which = "" if one.itself is None else f" ({one.number}, at {box_of(one.itself)})"
        print(f"{one.path}{which}: {label} {probability:.1%}; explained: {one.name}")
        for each in sorted(one.maps, key=lambda each: -each.worth.beyond_chance):
            print(f"  {each.method}: {each.worth.sentence(one.name)}")
        for name, why in one.without.items():
            print(f"  {name}: no map. {why[0].upper()}{why[1:]}.")
    for path in nothing:
        print(f"{path}: nothing found that could be explained")
    print(f"report: {report}")


def named_classes(words: str) -> tuple[str, ...]:
    """Return names that are listed with commas between, or each on a line of a text file.

    Raises DataError when such a file cannot be read, OptionError for an empty name or one given
    twice.
    """
    path = Path(words)
    name_of_a_file = "," not in words and len(words) < LONGEST
    if path.suffix == ".txt" or (name_of_a_file and path.is_file()):
        try:
            lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
        except (OSError, ValueError) as error:
            raise DataError(f"the names of classes in {path} cannot be read ({error})") from error
    else:
        lines = words.split(",")
    names = tuple(line.strip() for line in lines)
    if not names or not all(names):
        raise OptionError(f"one of the classes in {words!r} has an empty name")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OptionError(f"two of the classes in {words!r} are named {twice!r}")
    return names
