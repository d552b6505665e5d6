"""What files of weights hold, as training scripts and libraries leave them.

A checkpoint holds one state dict or several, in dictionaries of any depth, beside epochs, options
and the state of an optimizer. The names in it may stand behind a prefix (`module.`, `model.`), one
that wraps a layer may stand inside them (`features.module.0.weight`), and other networks may stand
beside the one that is wanted. What fits is told by the network's own names and shapes.
"""

import datetime
import pathlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from vislab.errors import DataError

# Names that DataParallel, torch.compile, FSDP and activation checkpointing put before a layer's.
WRAPPING = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
SIDE_HEADS = ("aux1.", "aux2.", "AuxLogits.")  # of GoogLeNet and Inception, for training alone
COUNTERS = "num_batches_tracked"  # old files have none, and nothing depends on them
BOOKKEEPING = frozenset({"n_averaged", "initted", "step", "epoch", "best_acc1"})  # of wrappers
AVERAGED = frozenset({"ema", "swa", "averaged", "average", "avg", "shadow"})  # words of a place
SWAPPED = "averaging_state"  # beside it Lightning keeps averaged weights as the state dict
USUAL = ("state_dict", "model", "model_state_dict", "net")  # where training scripts keep weights


@dataclass(frozen=True)
class Part:
    """A state dict in a file, and where in it: `state_dict_ema`, or nothing for the whole file."""

    place: str
    weights: Mapping[str, Tensor]
    averaged: bool = False  # as something beside it says


@dataclass(frozen=True)
class Chosen:
    """The tensors that are meant for a network, by its own names, and what must be said of them."""

    weights: dict[str, Tensor]
    fits: bool  # else they only come nearest
    notes: tuple[str, ...] = ()


class Inert:
    """Stands in for an object beside the weights, so that none of its own code runs."""

    def __new__(cls, *_arguments: Any) -> "Inert":
        """Take whatever a pickle gives."""
        return super().__new__(cls)

    def __init__(self, *_arguments: Any) -> None: ...

    def __setstate__(self, _state: Any) -> None: ...


def _plain(*_arguments: Any) -> dict[Any, Any]:
    return {}


# By what a pickle calls them; what is read in their place runs no code of theirs.
STAND_INS: dict[str, Any] = {
    "argparse.Namespace": Inert,
    "types.SimpleNamespace": Inert,
    "numpy.dtype": Inert,
    "numpy.ndarray": Inert,
    **{
        f"numpy.{core}.{name}": Inert
        for core in ("core", "_core")
        for name in ("multiarray.scalar", "multiarray._reconstruct", "numeric._frombuffer")
    },
    **{
        f"pathlib.{kind.__name__}": Inert for kind in (Path, pathlib.PosixPath, pathlib.WindowsPath)
    },
    **{f"pathlib._local.{kind}": Inert for kind in ("Path", "PosixPath", "WindowsPath")},
    **{
        f"datetime.{kind.__name__}": Inert
        for kind in (datetime.datetime, datetime.date, datetime.timedelta, datetime.timezone)
    },
    **{
        f"{module}.{kind}": Inert  # what a defaultdict begins with
        for module in ("builtins", "__builtin__")
        for kind in ("list", "dict", "int", "float", "str", "bool", "tuple")
    },
    "collections.defaultdict": _plain,
    "lightning_fabric.utilities.data.AttributeDict": dict,
    "lightning.fabric.utilities.data.AttributeDict": dict,
    "pytorch_lightning.utilities.parsing.AttributeDict": dict,
}


def read_parts(path: Path) -> list[Part]:
    """Read the state dicts of a file, the averaged ones first; its form is told by its content.

    No code of the file is run. Raises DataError when it is missing, damaged, holds code, or holds
    no named tensors.
    """
    if not path.is_file():
        raise DataError(f"there is no weights file at {path}")
    try:
        content = _content(path)
    except UnpicklingError as error:
        raise DataError(
            f"{path} is no file of weights, or holds code beside them{_named(error)}, as a whole "
            "pickled model does; code from a file is never run; save the state dict alone, best "
            "as .safetensors"
        ) from error
    except Exception as error:  # torch raises a dozen kinds for a damaged or foreign file
        raise DataError(f"{path} is damaged or no file of weights") from error
    parts = sorted(_state_dicts(content, ""), key=_rank)
    if not parts:
        raise DataError(f"{path} holds no named tensors; save a state dict")
    return parts


def _content(path: Path) -> Any:
    with path.open("rb") as file:
        head = file.read(9)
    header = int.from_bytes(head[:8], "little")  # the length of a JSON header in safetensors
    if head[8:] == b"{" and header <= path.stat().st_size - 8:
        return load_file(path)
    if not head.startswith((b"PK", b"\x80")):  # torch's zip, its pickle of before 2020
        raise ValueError("of neither kind")
    names: list[Any] = [(stand_in, name) for name, stand_in in STAND_INS.items()]
    # An open file: torch would go by the ending of a path.
    with torch.serialization.safe_globals(names), path.open("rb") as file:
        return torch.load(file, map_location="cpu", weights_only=True)


def _named(error: UnpicklingError) -> str:
    """Return the name of the class that torch refused, in brackets, or nothing."""
    found = re.search(r"GLOBAL (\S+)", str(error))
    return f" ({found[1]})" if found else ""


def _state_dicts(content: Any, place: str, *, averaged: bool = False) -> Iterator[Part]:
    """Yield every dictionary that holds tensors alone, by name, at any depth."""
    if not isinstance(content, Mapping) or not content:
        return
    if all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()):
        yield Part(place, content, averaged)
        return
    for key, inner in content.items():
        if isinstance(key, str):
            swapped = key == "state_dict" and SWAPPED in content
            where = f"{place}.{key}" if place else key
            yield from _state_dicts(inner, where, averaged=averaged or swapped)


def _rank(part: Part) -> tuple[bool, int]:
    last = part.place.rpartition(".")[2]
    usual = USUAL.index(last) if last in USUAL else len(USUAL)
    return not (part.averaged or is_averaged(part.place, part.weights)), usual


def is_averaged(place: str, weights: Mapping[str, Tensor]) -> bool:
    """Say whether weights are an average over training: by their place, or as a wrapper counts."""
    words = re.split(r"[^a-z]+", place.lower())
    return not AVERAGED.isdisjoint(words) or "n_averaged" in weights


def choose(
    parts: Sequence[Part],
    wanted: Mapping[str, Tensor],
    head: Sequence[str],
    where: str,
    *,
    classes_known: bool = True,
) -> Chosen:
    """Return those tensors of a file that fit a network whose state dict is `wanted`.

    A head of another number of classes fits too, and so does none at all; `head` names its tensors.
    One that fits whole goes first where the number of classes is known, and averaged weights go
    before raw ones. Where nothing fits, what comes nearest is returned. Raises DataError where more
    than one part fits and nothing tells which is meant.
    """
    found = [candidate for part in parts for candidate in _candidates(part, wanted)]

    def those_that_fit(*, any_rows: bool, without: Sequence[str] = ()) -> list[_Candidate]:
        return [
            one
            for one in found
            if not misfits(
                one.weights,
                wanted,
                (*without, *(classes_differ(one.weights, wanted) if any_rows else ())),
            )
        ]

    candidates = (
        (classes_known and those_that_fit(any_rows=False))
        or those_that_fit(any_rows=True)
        or those_that_fit(any_rows=True, without=head)
    )
    if not candidates:
        nearest = max(found, key=lambda one: len(one.weights.keys() & wanted.keys()), default=None)
        return Chosen(dict(parts[0].weights) if nearest is None else nearest.weights, fits=False)
    averaged = [one for one in candidates if one.averaged]
    pool = averaged or candidates
    if any(not _same(one.weights, pool[0].weights) for one in pool[1:]):
        places = " and ".join(one.place or "the file's own names" for one in pool)
        raise DataError(
            f"{where} holds more than one network that fits: {places}; save the state dict of the "
            "one you mean alone"
        )
    return Chosen(pool[0].weights, True, tuple(_notes(pool[0], candidates, where)))


@dataclass(frozen=True)
class _Candidate:
    place: str
    weights: dict[str, Tensor]
    averaged: bool
    beside: tuple[str, ...]  # first parts of the names that are passed over


def _candidates(part: Part, wanted: Mapping[str, Tensor]) -> Iterator[_Candidate]:
    """Yield what stands behind each prefix under which some of the network's names are found."""
    theirs, ours = ({bare(name): name for name in names} for names in (part.weights, wanted))
    if len(theirs) < len(part.weights) or len(ours) < len(wanted):  # a wrapper tells two apart
        theirs, ours = ({name: name for name in names} for names in (part.weights, wanted))
    prefixes = _prefixes(theirs, ours)
    networks = [prefix for prefix, count in prefixes.items() if 2 * count > len(wanted)]
    for prefix in prefixes:
        others = tuple(p for p in networks if p != prefix and p.startswith(prefix))
        inside = {
            ours.get(full.removeprefix(prefix), full.removeprefix(prefix)): part.weights[name]
            for full, name in theirs.items()
            if full.startswith(prefix)
            and (full.removeprefix(prefix) in ours or not full.startswith(others))
        }
        kept = {
            name: tensor
            for name, tensor in inside.items()
            if name in wanted or not (name.startswith(SIDE_HEADS) or _counts(name, tensor))
        }
        place = ".".join(filter(None, (part.place, prefix.removesuffix("."))))
        left = [full for full in theirs if not full.startswith(prefix)]
        beside = dict.fromkeys(n.partition(".")[0] for n in left if n not in BOOKKEEPING)
        averaged = part.averaged or is_averaged(place, {**part.weights, **inside})
        yield _Candidate(place, kept, averaged, tuple(beside))


def bare(name: str) -> str:
    """Return a tensor's name without the parts that wrappers put into it."""
    return ".".join(piece for piece in name.split(".") if piece not in WRAPPING)


def _prefixes(given: Mapping[str, Any], wanted: Mapping[str, Any]) -> Counter[str]:
    """Return what stands before the network's names, and before how many of them."""
    found: Counter[str] = Counter()
    for name in given:
        pieces = name.split(".")
        for k in range(len(pieces)):
            if ".".join(pieces[k:]) in wanted:
                found["".join(f"{piece}." for piece in pieces[:k])] += 1
    return found


def _counts(name: str, tensor: Tensor) -> bool:
    return tensor.ndim == 0 and name in BOOKKEEPING


def misfits(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], head: Sequence[str]
) -> list[str]:
    """Return the names that are missing, of another shape or too many, the head's aside."""
    astray = [
        name
        for name, tensor in wanted.items()
        if (name not in given or given[name].shape != tensor.shape)
        and name not in head
        and not name.endswith(COUNTERS)
    ]
    return astray + [name for name in given if name not in wanted]


def classes_differ(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> dict[str, tuple[int, int]]:
    """Return the tensors that differ by the number of classes alone: rows here and rows there.

    They are those of a head: any other layer's rows are the columns of the next.
    """
    found = {
        name: (tensor.shape[0], given[name].shape[0])
        for name, tensor in wanted.items()
        if name in given
        and 0 < tensor.ndim == given[name].ndim
        and tensor.shape != given[name].shape
        and tensor.shape[1:] == given[name].shape[1:]
    }
    return found if len(set(found.values())) == 1 else {}


def classes_in(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> int | None:
    """Return how many classes a file's head has, where that is another number than the network's.

    Raises no error: None where the tensors differ in anything else.
    """
    rows = classes_differ(weights, wanted)
    if not rows or misfits(weights, wanted, list(rows)):
        return None
    return next(iter(rows.values()))[1]


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def _notes(chosen: _Candidate, candidates: Sequence[_Candidate], where: str) -> Iterator[str]:
    raw = [one.place or "its own names" for one in candidates if not one.averaged]
    if chosen.averaged and raw:
        yield (
            f"{where} holds averaged and raw weights: the averaged ones are loaded, under "
            f"{chosen.place}, not those under {', '.join(raw)}"
        )
    beside = [part for part in chosen.beside if not any(r.endswith(part) for r in raw)]
    if beside:
        yield f"of {where} the part {chosen.place} is loaded; passed over: {', '.join(beside)}"
