"""Features of many images, and maps of them on which one can see who is near whom."""

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.errors import DataError, OptionError, ShapeError
from vislab.explain.hooks import hooked
from vislab.explain.tsne import checked, embedded
from vislab.progress import track

BATCH = 64
FEWEST = 10  # points of which a map says anything


def features(
    model: nn.Module,
    images: Float[Tensor, "n 3 h w"] | Iterable[Float[Tensor, "b 3 h w"]],
    layer: str | None = None,
) -> Float[Tensor, "n d"]:
    """Return each image's output of a layer, its mean over places or tokens, on the CPU.

    Without a layer: what enters the last linear layer (or convolution) that ran, which is the head
    of a classifier. Images may come in batches, such as a loader's. Raises UnknownName for a
    layer that there is not, ShapeError where nothing fits.
    """
    batches = torch.split(images, BATCH) if isinstance(images, Tensor) else images
    total = len(images) if isinstance(images, Tensor) else None
    found = []
    with (
        hooked(model, [] if layer is None else [layer]) as seen,
        torch.no_grad(),
        track("features", total=total, unit="images") as advance,
    ):
        for batch in batches:
            if layer is None:
                given = _before_head(model, batch)
            else:
                model(batch)
                given = seen[layer]
            found.append(pooled(given, batch).float().cpu())
            advance(len(batch))
    if not found:
        raise DataError("there are no images to take features of")
    return torch.cat(found)


def pooled(given: Any, batch: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
    """Return the mean over places of maps (N, C, H, W), (N, H, W, C) or tokens (N, T, D)."""
    if not isinstance(given, Tensor) or len(given) != len(batch) or given.ndim not in (2, 3, 4):
        raise ShapeError("features need a layer that gives one tensor (N, …) of 2 to 4 axes")
    if given.ndim == 4:
        ratio = batch.shape[2] / batch.shape[3]
        last = abs(given.shape[1] - ratio * given.shape[2])  # off the image's shape, NHWC
        first = abs(given.shape[2] - ratio * given.shape[3])
        given = given.mean(dim=(1, 2) if last < first else (2, 3))
    found: Tensor = given.mean(dim=1) if given.ndim == 3 else given
    return found


def _before_head(model: nn.Module, batch: Tensor) -> Any:
    """Return what enters the last linear layer or convolution that runs."""
    given: list[Any] = [None]

    def keep(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        given[0] = inputs[0]

    heads = [module for module in model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    hooks = [module.register_forward_pre_hook(keep) for module in heads]
    try:
        model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return given[0]


def pca(features: Float[Tensor, "n d"], axes: int = 2) -> Float[Tensor, "n k"]:
    """Return the coordinates along the directions of most variance, of mean 0.

    Each direction's largest entry is positive, so that equal features give equal maps. Raises
    DataError for numbers that are not finite, OptionError for more axes than there are.
    """
    known(features)
    if not 0 < axes <= min(features.shape):
        count, dims = features.shape
        raise OptionError(f"{count} features of {dims} numbers have no {axes} principal axes")
    centred = (features - features.mean(dim=0)).double()
    turned, size, ways = torch.linalg.svd(centred, full_matrices=False)
    ways = ways[:axes]
    sign = ways.gather(1, ways.abs().argmax(dim=1, keepdim=True))[:, 0].sign()
    points: Tensor = turned[:, :axes] * size[:axes] * sign
    return points.float()


def tsne(
    features: Float[Tensor, "n d"], *, perplexity: float = 30.0, seed: int = 0
) -> Float[Tensor, "n 2"]:
    """Return a map on which neighbours stay neighbours; distances between groups mean little.

    Few points have a lower perplexity: a third of their number. Equal points are told apart by a
    random millionth of the features' spread, which `seed` decides. Raises DataError for fewer than
    ten points, for numbers that are not finite and for points that are all the same.
    """
    known(features)
    count = len(features)
    if count < FEWEST:
        raise DataError(f"a t-SNE map needs at least {FEWEST} points, got {count}; use pca")
    perplexity = checked(perplexity, count)
    spread = float(features.std(dim=0).max())
    if spread == 0:
        raise DataError(f"all {count} features are the same: there is nothing to map")
    noise = torch.randn(features.shape, generator=torch.Generator().manual_seed(seed))
    apart = features / spread + 1e-6 * noise
    start = pca(apart, 2) if features.shape[1] > 1 else torch.cat([apart, noise], dim=1)
    return embedded(apart, start, perplexity)


def known(features: Float[Tensor, "n d"]) -> None:
    """Raise DataError where a number is not finite."""
    bad = (~features.isfinite()).any(dim=1)
    if bad.any():
        raise DataError(
            f"features of {int(bad.sum())} of {len(bad)} images are not finite, the first of "
            f"number {int(bad.int().argmax())}; leave those out"
        )
