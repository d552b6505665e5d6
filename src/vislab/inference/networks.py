"""The network of a finished run, and images as it is shown them."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from vislab import models
from vislab.data.augment_batch import normalise
from vislab.data.decode import Fit, contents, decode, fit_square, square
from vislab.data.faces import largest_face
from vislab.errors import DataError, RunError, UnknownName, VislabError
from vislab.models.from_a_folder import no_larger_than, require_harmless
from vislab.models.weights import load_weights, sha256_of
from vislab.ops import processes
from vislab.runs.folder import RunFolder
from vislab.runs.model_card import ModelCard
from vislab.tasks.layout import settle_layout


def network_of(run: RunFolder) -> tuple[nn.Module, ModelCard]:
    """Return the run's network with its weights, in eval mode, and its card.

    Raises RunError when the run kept none, when its network is not known by name, and when the
    folder asks for what is not done because a folder says so.
    """
    kept = any((run.path / f"model.{kind}").exists() for kind in ("json", "safetensors"))
    if run.result.status == "finished" and not kept:
        raise RunError(f"{run.path} kept no network: there is none to ask about images")
    card = ModelCard.read(run.path)
    built = card.built_as
    if not built:
        raise RunError(
            f"the network of {run.path} was not made by models.create, so it cannot be built again "
            "from its folder; give your class a name with @models.register(...) and create it by it"
        )
    where = str(run.path / "model.json")
    require_harmless(built, where)
    weights = load_weights(run.path / "model.safetensors")
    try:
        with no_larger_than(weights, where):
            model = models.create(built["name"], classes=built["classes"], **built["options"])
    except UnknownName as error:
        raise RunError(
            f"the network of {run.path} is called {built['name']!r}, which vislab does not know; "
            "if a recipe of your own registers it, name its file: --recipe FILE.py"
        ) from error
    except VislabError:
        raise
    except Exception as error:  # libraries raise anything for options that make no network
        raise RunError(
            f"{where} is damaged: {built['name']} cannot be built as it says "
            f"({type(error).__name__}: {error})"
        ) from error
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(
            f"the weights in {run.path} do not fit network {built['name']!r}; "
            "the folder was mixed up or made by another version"
        ) from error
    bad = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise RunError(f"the weights in {run.path} are damaged: {bad[0]} is not finite")
    told = run.result.weights_sha256 if run.result.status == "finished" else None
    if told and told != sha256_of(run.path / "model.safetensors"):
        raise RunError(
            f"the weights in {run.path} are not those that the run ended with (their SHA-256 "
            "differs); the folder was mixed up, or its weights were changed"
        )
    device = processes.device()
    model = model.eval().to(device)
    settle_layout(model, card.size, device)
    return model, card


def read_image(
    path: Path,
    size: int,
    crop: str | None = None,
    *,
    fit: Fit = "crop",
    depth: int | None = None,
) -> UInt8[np.ndarray, "s s 3"]:
    """Return an image file as a network is shown it; with `crop="face"` its largest face.

    Raises DataError naming the file when it cannot be read or holds no face.
    """
    content = contents(path)
    if crop != "face":
        return square(decode(content, str(path), at_least=size, depth=depth), size, fit)
    face = largest_face(decode(content, str(path), depth=depth))
    if face is None:
        raise DataError(f"no face seen from the front was found in {path}; cut it out by hand")
    return fit_square(face, size)


def shown(model: nn.Module, card: ModelCard, pixels: UInt8[np.ndarray, "n s s 3"]) -> Tensor:
    """Return images (N, 3, S, S) normalised as the network was shown its own, where it is."""
    device = next(model.parameters()).device
    return normalise(torch.from_numpy(pixels.copy()).to(device), *card.normalisation)
