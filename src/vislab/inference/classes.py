"""What a finished run's network says of new pictures."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import nn

from vislab import models
from vislab.data.augment_batch import normalise
from vislab.data.decode import decode, fit_square
from vislab.data.faces import largest_face
from vislab.errors import DataError, RunError, ShapeError
from vislab.evaluate.classification import evidence
from vislab.inference.dense import predict_dense
from vislab.models.weights import load_weights
from vislab.ops import processes
from vislab.runs import figures
from vislab.runs.folder import RunFolder, file_name, read_json
from vislab.runs.own_pngs import free_stem
from vislab.runs.writing import saying_why, write_bytes

DRAWN = 50  # pictures: more than one looks at


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


def predict(
    run: RunFolder, paths: Sequence[Path], *, why: Path | None = None
) -> list[dict[str, Any]]:
    """Return for each picture its label, the probability and the five most probable classes.

    With `why`, a folder, a picture of where the network looked is written there for each of the
    first `DRAWN`, and named under "why"; a network without places, of linear layers alone, has
    none. Where the network answers with masks, boxes or pictures, these are what is written.
    Raises DataError naming the first picture that cannot be read.
    """
    model, about = network_of(run)
    if about.get("answers", "classes") != "classes":
        return predict_dense(model, about, paths, why)
    size, classes = int(about["size"]), about["classes"]
    device = processes.device()
    found: list[dict[str, Any]] = []
    for start in range(0, len(paths), 64):
        chunk = paths[start : start + 64]
        read = np.stack([read_picture(path, size, about.get("crop")) for path in chunk])
        normalisation = tuple(about["mean"]), tuple(about["deviation"])
        images = normalise(torch.from_numpy(read).to(device), *normalisation)
        with torch.inference_mode():
            probabilities = model(images).float().softmax(dim=1).cpu()
        best, which = probabilities.topk(min(5, len(classes)), dim=1)
        for path, values, places in zip(chunk, best.tolist(), which.tolist(), strict=True):
            top = [
                {"label": classes[k], "probability": p} for k, p in zip(places, values, strict=True)
            ]
            found.append({"picture": str(path), **top[0], "top": top})
        if why is not None and start < DRAWN:
            with contextlib.suppress(ShapeError):  # nothing to draw for a network without places
                maps = evidence(model, read, normalisation, device)
                _draw(found[start:DRAWN], read, maps, why, paths)
    return found


def _draw(
    found: list[dict[str, Any]],
    pixels: np.ndarray,
    maps: np.ndarray,
    folder: Path,
    asked: Sequence[Path],
) -> None:
    """Write a picture of where the network looked for each, and name it.

    None is written over a picture that was asked about, over another of these, or over a file that
    was not written by vislab.
    """
    with saying_why(folder):
        folder.mkdir(parents=True, exist_ok=True)
    taken = {path.resolve() for path in asked}
    for row, picture, evidence_map in zip(found, pixels, maps, strict=False):
        figure = figures.evidence_over_pictures(
            picture[None],
            evidence_map[None],
            titles=[f"{row['label']}\n{row['probability']:.0%}"],
            columns=2,
        )
        stem = free_stem(folder, file_name(Path(row["picture"]).stem), [""], taken)
        path = folder / f"{stem}.png"
        taken.add(path.resolve())
        write_bytes(path, figures.to_png(figure))
        row["why"] = str(path)


def read_picture(path: Path, size: int, crop: str | None = None) -> UInt8[np.ndarray, "s s 3"]:
    """Return a picture file as a network is shown it; with `crop="face"` its largest face.

    Raises DataError naming the file when it cannot be read or holds no face.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if crop != "face":
        return fit_square(decode(content, str(path), at_least=size), size)
    face = largest_face(decode(content, str(path)))
    if face is None:
        raise DataError(f"no face seen from the front was found in {path}; cut it out by hand")
    return fit_square(face, size)
