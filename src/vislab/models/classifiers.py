"""Classification networks by name: ours, torchvision's, timm's, Hugging Face's.

Networks that are made of these (backbones, streams of features) build on this file; `by_name` knows
both.
"""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vislab.errors import DataError, OptionError, ShapeError, UnknownName, pick
from vislab.models import (
    course_networks,
    efficientnet_lite,
    from_hugging_face,
    from_timm,
    from_torchvision,
)
from vislab.models.all_cnn import AllCNN
from vislab.models.checkpoints import choose, classes_in, misfits, read_parts
from vislab.models.compact import Compact
from vislab.models.convnet import ConvNet
from vislab.models.densenet import DenseNet
from vislab.models.from_a_folder import no_larger_than, require_harmless
from vislab.models.parameter_groups import parameter_groups
from vislab.models.preact_resnet import PreActResNet
from vislab.models.preprocessing import Preprocessing, three
from vislab.models.resnet import resnet18
from vislab.models.resnet9 import ResNet9
from vislab.models.vgg import VGG
from vislab.models.weights import fit_weights, read_weights
from vislab.models.wide_resnet import WideResNet
from vislab.runs.model_card import ModelCard

Build = Callable[..., nn.Module]


NETWORKS: dict[str, Build] = {
    "all-cnn": AllCNN,
    "compact": Compact,
    "convnet": ConvNet,
    "densenet": DenseNet,
    "preact-resnet": PreActResNet,
    "resnet18": resnet18,
    "resnet9": ResNet9,
    "vgg": VGG,
    "wide-resnet": WideResNet,
    **course_networks.NETWORKS,
}


SIZE_OPTIONS = ("img_size", "image_size", "size", "side")  # that say what images are taken
LITE = {f"efficientnet-lite{version}": version for version in efficientnet_lite.SIZES}
LIBRARIES: dict[str, Any] = {
    "hf": from_hugging_face,
    "timm": from_timm,
    "torchvision": from_torchvision,
}


SMALL, USUAL = 32, 224  # pixels: the side of the images that ours, and most others, are made for
IMAGENET = 1000  # classes
PROVISIONAL = 7  # classes of a network of ours until the file of its weights has said how many


def register(name: str) -> Callable[[Build], Build]:
    """Make a network of your own known by name: it is called with `classes=` and its options."""

    def keep(build: Build) -> Build:
        NETWORKS[name] = build
        return build

    return keep


def create(
    name: str,
    *,
    classes: int | None,
    pretrained: bool = False,
    weights: Path | None = None,
    **options: Any,
) -> nn.Module:
    """Build a classification network; see `by_name.create`."""
    if is_run(name):
        return of_run(Path(name), classes, weights, options, create)
    library, _, inside = name.partition(":")
    source = pick(LIBRARIES, library, "source of networks") if inside else None
    make: Callable[[int | None], nn.Module]
    fetch: Callable[[], dict[str, Tensor]] | None = None
    if source is not None:
        if source is from_torchvision and pretrained:
            options = {**from_torchvision.trained_with(inside), **options}
        make = partial(source.build, inside, **options)
        fetch = partial(source.weights, inside, **(options if source is from_timm else {}))
    elif name in LITE:
        make = partial(efficientnet_lite.build, LITE[name], **options)
        fetch = partial(efficientnet_lite.weights, LITE[name])
    else:
        make = partial(_build_ours, name, options)
    if weights is None:
        if pretrained and fetch is None:
            make(classes)  # what is wrong with its name or options is told first
            raise without_weights(name)
        model = make(classes)
        given = fetch() if pretrained and fetch is not None else None
    else:
        model, classes, given = _as_in_a_file(make, name, classes, options, weights)
    if source is from_hugging_face:
        options = {**options, "config": model.config}
    model.built_as = {"name": name, "classes": classes, "options": options}
    _tell_classes(model, known=weights is None)
    if given is not None:
        load(model, given, name, classes, options, str(weights or name))
        shown = getattr(model, "preprocessing", None)
        if source is not None:
            shown = source.preprocessing(inside)
        elif name in LITE:
            shown = efficientnet_lite.preprocessing(LITE[name])
        model.preprocessing = shown
    return model


def _as_in_a_file(
    make: Callable[[int | None], nn.Module],
    name: str,
    classes: int | None,
    options: Mapping[str, Any],
    path: Path,
) -> tuple[nn.Module, int | None, dict[str, Tensor]]:
    """Build a network for a file's weights, with the classes of the file's head if none are told.

    Returns it, its number of classes and the weights that are meant for it, which are not loaded.
    """
    parts = read_parts(path)
    ours = name in NETWORKS and classes is None  # which have no number of classes of their own
    model = make(PROVISIONAL if ours else classes)
    wanted = model.state_dict()
    head = head_of(model, _size(model, name, options))
    spellings: list[dict[str, str]] = [{}]
    if isinstance(model, from_hugging_face.HuggingFace):
        spellings += from_hugging_face.spellings(model)
    for spelling in spellings:
        spelt = {spelling.get(own, own): own for own in wanted}
        chosen = choose(
            parts,
            {theirs: wanted[own] for theirs, own in spelt.items()},
            [spelling.get(own, own) for own in head],
            str(path),
            classes_known=classes is not None,
        )
        given = {spelt.get(theirs, theirs): tensor for theirs, tensor in chosen.weights.items()}
        if chosen.fits:
            break
    if classes is None:
        found = classes_in(given, wanted)
        classes = found or (PROVISIONAL if ours and not misfits(given, wanted, ()) else None)
        model = model if found is None else make(found)
    for note in chosen.notes:
        print(note, file=sys.stderr)
    model.notes = chosen.notes  # type: ignore[assignment]
    return model, classes, given


def _tell_classes(model: nn.Module, *, known: bool) -> None:
    """Let a network say what its classes are called and how its scores are read, None if unknown.

    A thousand names that weights of another file come with might be ImageNet's by habit alone.
    """
    names = getattr(model, "class_names", None)
    unsure = not known and names is not None and len(names) == IMAGENET
    model.class_names = None if unsure else names  # type: ignore[assignment]
    model.reading = getattr(model, "reading", None)  # type: ignore[assignment]


def _build_ours(name: str, options: Mapping[str, Any], classes: int | None) -> nn.Module:
    return build(NETWORKS, name, classes, options)


def build(
    known: Mapping[str, Build], name: str, classes: int | None, options: Mapping[str, Any]
) -> nn.Module:
    """Build one of our networks. Raises UnknownName and OptionError as `create` does."""
    try:
        make = pick(known, name, "network")
    except UnknownName as error:
        raise UnknownName(
            f"{error}; or torchvision:NAME, timm:NAME, hf:NAME, or the folder of a run"
        ) from error
    if classes is None:
        raise OptionError(f"network {name!r} needs a number of classes")
    try:
        return make(classes=classes, **options)
    except TypeError as error:
        raise OptionError(f"network {name!r} does not take these options: {error}") from error
    except (ValueError, RuntimeError) as error:  # sizes that no layer can have
        raise OptionError(f"network {name!r} cannot be built with {options}: {error}") from error


def without_weights(name: str) -> OptionError:
    """Return the refusal to pre-train what nobody trained."""
    return OptionError(
        f"there are no pre-trained weights for {name!r}; {', '.join(LITE)} come with "
        "theirs, and torchvision:, timm: and hf: names have theirs fetched"
    )


def load(
    model: nn.Module,
    given: Mapping[str, Tensor],
    name: str,
    classes: int | None,
    options: Mapping[str, Any],
    where: str,
) -> None:
    """Load weights into a network that was just built; its head may stay fresh."""
    whole = fit_weights(model, given, head_of(model, _size(model, name, options)), where)
    if classes is None and not whole:
        raise DataError(f"the weights of {where} have no head; say how many classes")


def _size(model: nn.Module, name: str, options: Mapping[str, Any]) -> int:
    """Return the side in pixels of images that a network takes, as its options say it or it is."""
    told = (options[key] for key in SIZE_OPTIONS if key in options)
    return next(told, None) or natural_size(name, model)


def of_run(
    folder: Path,
    classes: int | None,
    weights: Path | None,
    options: Mapping[str, Any],
    create: Callable[..., nn.Module],
) -> nn.Module:
    """Build the network of a run, by `create`, with the run's weights."""
    if weights is not None or options:
        raise OptionError(f"the network of {folder} is taken as it is, without options or weights")
    card = ModelCard.read(folder)
    built = card.built_as
    if not built:
        raise DataError(f"the network of {folder} has no name, so it cannot be built again")
    where = str(folder / "model.json")
    require_harmless(built, where)
    kept = built["classes"]
    given = read_weights(folder / "model.safetensors")
    with no_larger_than(given, where):
        model = create(built["name"], classes=classes or kept, **built["options"])
    fit_weights(model, given, head_of(model, card.size), str(folder))
    shown = Preprocessing(card.size, three(card.mean), three(card.std))
    model.preprocessing = shown  # type: ignore[assignment]
    return model


def is_run(name: str) -> bool:
    """Return whether a name is the folder of a run that kept its network."""
    return ":" not in name and (Path(name) / "model.json").is_file()


def preprocessing_of(name: str) -> Preprocessing:
    """Return what a network's pre-trained weights were shown; ImageNet's usual where it is unknown.

    For a network with fresh weights it is as good as any.
    """
    library, _, inside = name.partition(":")
    if name in LITE:
        return efficientnet_lite.preprocessing(LITE[name])
    if inside and library in LIBRARIES:
        known: Preprocessing | None = LIBRARIES[library].preprocessing(inside)
        if known is not None:
            return known
    return Preprocessing(natural_size(name), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def natural_size(name: str, model: nn.Module | None = None) -> int:
    """Return the side in pixels of the images that a network was made for."""
    library, _, inside = name.partition(":")
    if name in LITE:
        return efficientnet_lite.SIZES[LITE[name]]
    if library == "hf" and inside:
        config = getattr(model, "config", None)
        return from_hugging_face.side_of(config) if config else from_hugging_face.size(inside)
    if is_run(name):
        return ModelCard.read(Path(name)).size
    if not inside:
        return SMALL
    shown = pick(LIBRARIES, library, "source of networks").preprocessing(inside)
    return USUAL if shown is None else int(shown.size)


def head_of(model: nn.Module, size: int) -> tuple[str, ...]:
    """Return the names of the head's parameters, found by showing it one S×S image.

    None, where the network cannot be taken apart.
    """
    try:
        return parameter_groups(model, torch.zeros(1, 3, size, size)).head.parameters
    except (ShapeError, RuntimeError, AssertionError, ValueError, TypeError):
        return ()  # it takes no such images, or gives no scores: then everything must fit
