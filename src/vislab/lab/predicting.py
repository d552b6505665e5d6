"""What a finished run's network says of new pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vislab import models
from vislab.data.augment_batch import normalise
from vislab.data.decode import decode, fit_square
from vislab.errors import DataError, RunError
from vislab.lab import processes
from vislab.lab.checkpoints import load_weights
from vislab.runs.folder import RunFolder, read_json


def network_of(run: RunFolder) -> tuple[nn.Module, dict[str, Any]]:
    """Return the run's network with its weights, in eval mode, and what `model.json` says of it.

    Raises RunError when the run kept none, or when its network is not known by name.
    """
    kept = any((run.path / f"model.{kind}").exists() for kind in ("json", "safetensors"))
    if run.result.status == "finished" and not kept:
        raise RunError(f"{run.path} kept no network: there is none to ask about pictures")
    about = read_json(run.path / "model.json")
    built = about.get("built_as")
    if not built:
        raise RunError(
            f"the network of {run.path} was not made by models.create, so it cannot be built again "
            "from its folder; give your class a name with @models.register(...) and create it by it"
        )
    model = models.create(built["name"], classes=built["classes"], **built["options"])
    try:
        model.load_state_dict(load_weights(run.path / "model.safetensors"))
    except RuntimeError as error:
        raise RunError(
            f"the weights in {run.path} do not fit network {built['name']!r}; "
            "the folder was mixed up or made by another version"
        ) from error
    return model.eval().to(processes.device()), about


def predict(run: RunFolder, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return for each picture its label, the probability and the five most probable classes.

    Raises DataError naming the first picture that cannot be read.
    """
    model, about = network_of(run)
    size, classes = int(about["size"]), about["classes"]
    device = processes.device()
    found: list[dict[str, Any]] = []
    for start in range(0, len(paths), 64):
        chunk = paths[start : start + 64]
        pixels = torch.from_numpy(np.stack([_read(path, size) for path in chunk])).to(device)
        images = normalise(pixels, tuple(about["mean"]), tuple(about["deviation"]))
        with torch.inference_mode():
            probabilities = model(images).float().softmax(dim=1).cpu()
        best, which = probabilities.topk(min(5, len(classes)), dim=1)
        for path, values, places in zip(chunk, best.tolist(), which.tolist(), strict=True):
            top = [
                {"label": classes[k], "probability": p} for k, p in zip(places, values, strict=True)
            ]
            found.append({"picture": str(path), **top[0], "top": top})
    return found


def _read(path: Path, size: int) -> np.ndarray:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return fit_square(decode(content, str(path), at_least=size), size)
