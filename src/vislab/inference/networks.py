"""The network of a finished run, and images as it is shown them."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from vislab import models
from vislab.data.augment_batch import normalise
from vislab.data.decode import contents, decode, fit_square
from vislab.data.faces import largest_face
from vislab.errors import DataError, RunError, UnknownName
from vislab.models.weights import load_weights
from vislab.ops import processes
from vislab.runs.folder import RunFolder
from vislab.runs.model_card import ModelCard


def network_of(run: RunFolder) -> tuple[nn.Module, ModelCard]:
    """Return the run's network with its weights, in eval mode, and its card.

    Raises RunError when the run kept none, or when its network is not known by name.
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
    try:
        model = models.create(built["name"], classes=built["classes"], **built["options"])
    except UnknownName as error:
        raise RunError(
            f"the network of {run.path} is called {built['name']!r}, which vislab does not know; "
            "if a recipe of your own registers it, name its file: --recipe FILE.py"
        ) from error
    try:
        model.load_state_dict(load_weights(run.path / "model.safetensors"))
    except RuntimeError as error:
        raise RunError(
            f"the weights in {run.path} do not fit network {built['name']!r}; "
            "the folder was mixed up or made by another version"
        ) from error
    return model.eval().to(processes.device()), card


def read_image(path: Path, size: int, crop: str | None = None) -> UInt8[np.ndarray, "s s 3"]:
    """Return an image file as a network is shown it; with `crop="face"` its largest face.

    Raises DataError naming the file when it cannot be read or holds no face.
    """
    content = contents(path)
    if crop != "face":
        return fit_square(decode(content, str(path), at_least=size), size)
    face = largest_face(decode(content, str(path)))
    if face is None:
        raise DataError(f"no face seen from the front was found in {path}; cut it out by hand")
    return fit_square(face, size)


def shown(model: nn.Module, card: ModelCard, pixels: UInt8[np.ndarray, "n s s 3"]) -> Tensor:
    """Return images (N, 3, S, S) normalised as the network was shown its own, where it is."""
    device = next(model.parameters()).device
    return normalise(torch.from_numpy(pixels.copy()).to(device), *card.normalisation)
