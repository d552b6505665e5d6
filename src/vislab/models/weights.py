"""Weights from a file or a library into a network whose head may have other classes."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor, nn

from vislab.errors import DataError, RunError
from vislab.models.checkpoints import Part, choose, misfits, read_parts
from vislab.runs.writing import write_bytes


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the named tensors of a file, without running its code; see `checkpoints.read_parts`.

    Of several state dicts the averaged one, or else the one under a usual name, as it is: what fits
    a network is not asked. Raises DataError when the file is missing, damaged, or holds code or no
    named tensors.
    """
    return dict(read_parts(path)[0].weights)


def fit_weights(
    model: nn.Module, weights: Mapping[str, Tensor], head: tuple[str, ...], where: str
) -> bool:
    """Load weights into the model and return whether its head came with them.

    Their names may stand behind a prefix (see `checkpoints.choose`); half precision is widened. A
    head of another number of classes keeps its fresh weights; so does one that the file lacks.
    Anything else must fit, and all that is given must have its place. `head` names the head's
    parameters. Raises DataError naming the first tensor that does not fit or is not finite.
    """
    wanted = model.state_dict()
    given = choose([Part("", weights)], wanted, head, where).weights
    astray = misfits(given, wanted, head)
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
    fits = {
        name: tensor
        for name, tensor in given.items()
        if name in wanted and wanted[name].shape == tensor.shape
    }
    whole = all(name in fits for name in head)
    if not whole:
        fits = {name: tensor for name, tensor in fits.items() if name not in head}
    require_numbers(model, fits, where)
    model.load_state_dict(fits, strict=False)
    return whole


def require_numbers(model: nn.Module, given: Mapping[str, Tensor], where: str) -> None:
    """Raise DataError, naming the first, where weights are not finite or stand for other numbers.

    A buffer may hold −∞, as masks do.
    """
    wanted = model.state_dict()
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    for name, tensor in given.items():
        if not wanted[name].is_floating_point():
            continue
        if not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise DataError(
                f"the weights of {where} are quantised: {name} is {kind}, and its scale is not "
                "known here; save them as float32"
            )
        wide = tensor.float()
        masked = name not in parameters and not name.endswith(("running_mean", "running_var"))
        bad = wide.isnan() | wide.isposinf() if masked else ~wide.isfinite()
        if bad.any():
            raise DataError(
                f"the weights of {where} are damaged: {name} is not finite; take a checkpoint from "
                "before the training diverged"
            )


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
