"""Weights from a file or a library into a network whose head may have other classes."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from vislab.errors import DataError, RunError
from vislab.runs.writing import write_bytes

PARALLEL = "module."  # before every name, where DataParallel saved them
SIDE_HEADS = ("aux1.", "aux2.", "AuxLogits.")  # of GoogLeNet and Inception, for training alone
WRAPPERS = ("state_dict", "model", "model_state_dict")  # under which training scripts keep weights


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read named tensors from a .safetensors file, or from torch's own without running its code.

    Raises DataError when the file is missing, damaged, or holds more than numbers.
    """
    if not path.is_file():
        raise DataError(f"there is no weights file at {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise DataError(
            f"{path} is no file of weights, or holds code beside them, which is never run; "
            "save the state dict alone, best as .safetensors"
        ) from error
    except Exception as error:  # torch raises a dozen kinds for a damaged or foreign file
        raise DataError(f"{path} is damaged or no file of weights") from error
    for key in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise DataError(f"{path} holds no named tensors; save a state dict")
    return content


def fit_weights(
    model: nn.Module, weights: Mapping[str, Tensor], head: tuple[str, ...], where: str
) -> bool:
    """Load weights into the model and return whether its head came with them.

    A head of another number of classes keeps its fresh weights; so does one that the file lacks.
    Anything else must fit, and all that is given must have its place. `head` names the head's
    parameters. Raises DataError naming the first tensor that does not fit.
    """
    wanted = model.state_dict()
    given = {name: tensor for name, tensor in weights.items() if not name.startswith(SIDE_HEADS)}
    wrapped = bool(given) and all(name.startswith(PARALLEL) for name in given)
    if wrapped and not given.keys() & wanted.keys():
        given = {name.removeprefix(PARALLEL): tensor for name, tensor in given.items()}
    fits = {
        name: tensor
        for name, tensor in given.items()
        if name in wanted and wanted[name].shape == tensor.shape
    }
    astray = [name for name in wanted if name not in fits and name not in head]
    counters = "num_batches_tracked"  # old files have none, and nothing depends on them
    astray = [name for name in astray if not name.endswith(counters)]
    astray += [name for name in given if name not in wanted]
    if astray:
        name = astray[0]
        here, there = (
            f"{tuple(side[name].shape)} {which}" if name in side else f"missing {which}"
            for side, which in ((wanted, "here"), (given, "there"))
        )
        count = f"{len(astray)} tensors differ" if len(astray) > 1 else "1 tensor differs"
        raise DataError(
            f"the weights of {where} do not fit this network: {count}, the first is {name}, "
            f"{here} and {there}"
        )
    whole = all(name in fits for name in head)
    if not whole:
        fits = {name: tensor for name, tensor in fits.items() if name not in head}
    model.load_state_dict(fits, strict=False)
    return whole


def take_part(model: nn.Module, folder: Path, part: str) -> int:
    """Load the layers under `part` from a run's network; return how many tensors fitted.

    None is loaded unless all of the part fit.
    """
    given = read_weights(folder / "model.safetensors")
    wanted = {k: v for k, v in model.state_dict().items() if k.startswith(f"{part}.")}
    fits = {k: v for k, v in given.items() if k in wanted and wanted[k].shape == v.shape}
    if fits.keys() != wanted.keys():
        return 0
    model.load_state_dict(fits, strict=False)
    return len(fits)


def take_body(model: nn.Module, trained: nn.Module, head: tuple[str, ...]) -> None:
    """Load all but the head, whose parameters are named, from a network of the same kind."""
    body = {name: tensor for name, tensor in trained.state_dict().items() if name not in head}
    fit_weights(model, body, head, type(trained).__name__)


def save_weights(path: Path, weights: dict[str, Tensor]) -> str:
    """Write weights as safetensors and return the SHA-256 of the file."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    content = save(plain)
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file of weights, as `save_weights` does."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read safetensors. Raises RunError when the file is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing; the run ended before its weights were kept") from error
    except Exception as error:  # safetensors raises its own kind
        raise RunError(f"the weights {path} are damaged: {error}") from error
