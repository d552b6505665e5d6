"""Networks by name: counted without memory or timed on this machine. Counts are kept on disk.

Importing this file does not import torch, so that a list whose counts are kept comes at once.
"""

import hashlib
import inspect
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vislab
from vislab.data.home import home
from vislab.errors import OptionError, UnknownName
from vislab.progress import track
from vislab.runs.environment import versions
from vislab.runs.writing import saying_why, write_json

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vislab.profiling.layers import Layer

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "vislab",
)  # what they build, changes
CLASSES = 10  # for a network that has no number of its own
SLOWEST = 3e3  # milliseconds that a pass may take if it is to be timed over and over


@dataclass(frozen=True)
class Count:
    """What a network holds and computes for one image; None, with the problem, where unknown."""

    name: str
    size: int | None  # side of the image in pixels
    parameters: int | None
    macs: int | None
    problem: str = ""


@dataclass(frozen=True)
class Card:
    """A network, counted and timed here; milliseconds a pass, None where that would take long."""

    name: str
    size: int
    parameters: int
    macs: int
    layers: int
    multiplying: int  # of the layers
    device: str
    latency_ms: dict[str, dict[str, float] | None]  # by the number of images


@dataclass(frozen=True)
class Measured:
    """A network, counted and timed here; a pass takes so many milliseconds, by median and p95."""

    name: str
    parameters: int
    macs: int  # of one image
    alone: dict[str, float]  # the times of one image
    together: dict[str, float]  # those of a batch
    batch: int

    @property
    def images_per_second(self) -> float:
        """How many images a second it does, a batch at a time."""
        return 1e3 * self.batch / self.together["median"]

    @property
    def pace(self) -> float:
        """How many multiply-adds a second it does for one image."""
        return 1e3 * self.macs / self.alone["median"]


@dataclass
class Kept:
    """What is known from before: names, and counts by name and size."""

    names: list[str] = field(default_factory=list)
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)


def listing(pattern: str = "", *, size: int | None = None, quiet: bool = False) -> list[Count]:
    """Count the networks whose names match a shell pattern; without one, all but timm's.

    Each at its natural size unless told another. What was counted before is read from vislab's home
    folder, what is counted now is kept there. Raises UnknownName when nothing matches.
    """
    path, made_with = home() / "networks.json", sources()
    kept = read_kept(path, made_with)
    known = len(kept.counts)
    kept.names = kept.names or image_networks()
    chosen = [
        name
        for name in kept.names
        if (fnmatchcase(name, pattern) if pattern else not name.startswith("timm:"))
    ]
    if not chosen:
        raise UnknownName(
            f"no network's name matches {pattern!r}; `vislab models '*'` lists all names, "
            "`vislab models 'timm:*'` those of timm"
        )
    keys = {name: f"{name} at {size or 'its own size'}" for name in chosen}
    missing = [name for name in chosen if keys[name] not in kept.counts]
    try:
        with track("counting", total=len(missing), unit="networks", quiet=quiet) as advance:
            for name in missing:
                kept.counts[keys[name]] = asdict(count(name, size))
                advance(1, name)
    finally:  # a list that is stopped half way keeps its half
        if len(kept.counts) > known:
            with saying_why(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {"made_with": made_with, **asdict(kept)})
    return [Count(**kept.counts[keys[name]]) for name in chosen]


def sources() -> dict[str, str | None]:
    """Return what the counts depend on: versions, and the text of vislab's own networks."""
    installed = versions()
    files = sorted((Path(vislab.__file__).parent / "models").glob("*.py"))
    text = b"".join(file.read_bytes() for file in files)
    networks = hashlib.sha256(text).hexdigest()
    return {**{package: installed[package] for package in PACKAGES}, "networks": networks}


def read_kept(path: Path, made_with: dict[str, str | None]) -> Kept:
    """Read what was kept; nothing where the file is missing, damaged or of other versions."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("made_with") == made_with:
            return Kept(**content)
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        pass  # it is counted anew
    return Kept()


def image_networks() -> list[str]:
    """Return the names that need no more than a number of classes and take an image alone."""
    from torch import nn

    from vislab import models
    from vislab.models.classifiers import NETWORKS

    def fits(name: str) -> bool:
        if name not in NETWORKS:
            return True  # those of the libraries do
        make = NETWORKS[name]
        if not needed(make) <= {"classes"}:
            return False
        if isinstance(make, type) and issubclass(make, nn.Module):
            return len(needed(make.forward) - {"self"}) == 1
        return len(needed(weightless(name).forward)) == 1

    return [name for name in models.names() if fits(name)]


def needed(function: Callable[..., Any]) -> set[str]:
    """Return the names of the arguments that a function cannot be called without."""
    given = inspect.signature(function).parameters.values()
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {one.name for one in given if one.default is one.empty and one.kind not in free}


def count(name: str, size: int | None = None) -> Count:
    """Build a network without memory and count; what goes wrong there is told, not raised."""

    from vislab.profiling.costs import multiply_adds, parameters

    held = None
    try:
        model = weightless(name)
        held, size = parameters(model), size or natural_size(name, model)
        with unwarned():
            macs = multiply_adds(model, size)
    except Exception as error:  # the libraries' networks may raise anything
        return Count(name, size, held, None, in_one_line(error))
    return Count(name, size, held, macs)


def weightless(name: str, classes: int | None = None) -> "nn.Module":
    """Build a network whose weights have shapes but no values, on torch's meta device."""
    import torch
    from torch.overrides import TorchFunctionMode

    class ReadBack(TorchFunctionMode):
        """Numbers that a builder computes and reads, such as the widths of stages, have values."""

        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            if func in (torch.arange, torch.linspace, torch.tensor):
                kwargs.setdefault("device", "cpu")
            return func(*args, **kwargs)

    with torch.device("meta"), ReadBack():
        model = build(name, classes)
    return model.to("meta").requires_grad_(False)


def build(name: str, classes: int | None = None) -> "nn.Module":
    """Build a network with so many classes; with None, with those it was made for, or ten."""
    from vislab import models
    from vislab.models.classifiers import NETWORKS

    if classes is None and name in NETWORKS:
        classes = CLASSES
    with unwarned():
        return models.create(name, classes=classes)


def natural_size(name: str, model: "nn.Module") -> int:
    """Return the side in pixels of the images that a network was made for."""
    from vislab import models

    preprocessing = getattr(model, "preprocessing", None)
    built_for = getattr(model, "image_size", None) or getattr(preprocessing, "size", None)
    return built_for if isinstance(built_for, int) else models.natural_size(name, model)


def open_layers(name: str, size: int | None = None) -> tuple[int, list["Layer"]]:
    """Return the size of the image and every call of a layer for it.

    Raises OptionError when the network does not take an image of that size.
    """
    from vislab.profiling.layers import layers

    model = weightless(name)
    size = size or natural_size(name, model)
    with at_work(name, size):
        return size, layers(model, size)


def card(name: str, size: int | None = None, *, quiet: bool = False) -> Card:
    """Count a network and time it here, with fresh weights.

    Raises OptionError when the network does not take an image of that size.
    """
    from vislab.ops.processes import device
    from vislab.profiling.costs import latency

    size, rows = open_layers(name, size)
    here = device()
    model = ready(name, here)
    times: dict[str, dict[str, float] | None] = {}
    with track("timing", total=2, unit="batches", quiet=quiet) as advance, at_work(name, size):
        alone = latency(model, size, 1, here)
        times["1"] = alone
        advance(1)
        soon = 64 * alone["median"] < SLOWEST
        times["64"] = latency(model, size, 64, here) if soon else None
        advance(1)
    return Card(
        name=name,
        size=size,
        parameters=sum(row.parameters for row in rows),
        macs=sum(row.macs for row in rows),
        layers=len(rows),
        multiplying=sum(row.macs > 0 for row in rows),
        device=here.type,
        latency_ms=times,
    )


def measure(name: str, size: int, *, batch: int, classes: int, device: "torch.device") -> Measured:
    """Count a network and time it with fresh weights, for one image and for a batch.

    Raises OptionError when the network does not take an image of that size.
    """

    from vislab.profiling.costs import latency, multiply_adds, parameters

    shape = weightless(name, classes)
    with at_work(name, size):
        macs = multiply_adds(shape, size)
        model = ready(name, device, classes)
        alone, together = (latency(model, size, count, device) for count in (1, batch))
    return Measured(name, parameters(shape), macs, alone, together, batch)


def ready(name: str, device: "torch.device", classes: int | None = None) -> "nn.Module":
    """Build a network with fresh weights where it is to be timed, laid out as the bench does."""
    import torch

    return build(name, classes).to(device).to(memory_format=torch.channels_last)


@contextmanager
def at_work(name: str, size: int) -> Iterator[None]:
    """Tell what a network raised at images of a size in a sentence."""
    try:
        with unwarned():
            yield
    except Exception as error:  # the libraries' networks may raise anything
        raise OptionError(
            f"{name} cannot be run on an image of {size}×{size}: {in_one_line(error)}; "
            "try another --size"
        ) from error


@contextmanager
def unwarned() -> Iterator[None]:
    """Keep back the libraries' warnings about networks that are only counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def in_one_line(error: Exception) -> str:
    """Return the kind of an error and the beginning of what it says."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:150]}" if said else type(error).__name__
