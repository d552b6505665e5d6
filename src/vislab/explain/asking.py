"""Ask a network about images: it is handed a copy, and what it answers is read as class scores."""

import inspect
from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from vislab.errors import ShapeError, VislabError
from vislab.explain.eager import plain
from vislab.explain.scores import chances, class_scores, sides

BLOCKED = (
    "the network's answer does not depend on the image through anything that gradients pass, such "
    "as torch.no_grad, detach or argmax; occlusion needs none"
)
STOPS = ("Inference tensors cannot be saved", "Can't call numpy() on Tensor that requires grad")
LONGEST = 200  # characters of what a network's own error says


def checked(images: Tensor) -> Float[Tensor, "n c h w"]:
    """Return images as floats without gradients. Raises ShapeError unless they are (N, C, H, W)."""
    if images.ndim == 3:
        raise ShapeError(
            f"images to explain are (N, C, H, W), got {tuple(images.shape)}; give one image an "
            "axis of its own: images[None]"
        )
    if images.ndim != 4:
        raise ShapeError(f"images to explain are (N, C, H, W), got {tuple(images.shape)}")
    return images.detach() if images.is_floating_point() else images.float()


def ask(model: nn.Module, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
    """Return the class scores of images. What the network writes over is a copy of them.

    A single score z is that of two sides, -z and z; see `scores`. Raises ShapeError for a network
    that does not take the images, gives no class scores, or gives NaN.
    """
    return sides(raw_scores(model, images), said_by(model))


def probabilities_of(model: nn.Module, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
    """Return the probability of each class, float32; errors and sides are those of `ask`."""
    return chances(raw_scores(model, images), said_by(model))


def raw_scores(model: nn.Module, images: Num[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
    """Return class scores as the network gives them, a single one as such; else as `ask`."""
    scores = class_scores(answer(model, images), len(images))
    if bool(scores.isnan().any()):
        raise ShapeError(
            f"the network ({named(model)}) gives NaN for these images, so there is nothing to "
            "explain; look at its weights, and at how the images are normalised"
        )
    return scores


def answer(model: nn.Module, images: Tensor) -> Any:
    """Return whatever a network gives for a copy of images, in the type of its weights.

    The copy is contiguous, or laid out as the network's `memory_format` says. Raises ShapeError
    with what the network's own error says.
    """
    checked(images)
    layout = getattr(model, "memory_format", None)
    layout = layout if isinstance(layout, torch.memory_format) else torch.contiguous_format
    copy = images.to(dtype_of(model, images), copy=True, memory_format=layout)
    network = plain(model)
    try:
        return network(copy)
    except (VislabError, torch.OutOfMemoryError, MemoryError):
        raise
    except Exception as error:  # a user's network raises whatever it likes
        raise ShapeError(_refusal(network, images, error)) from error


def said_by(model: nn.Module) -> str | None:
    """Return what a network says its scores mean; see `vislab.ops.readings`."""
    said = getattr(plain(model), "reading", None)
    return said if isinstance(said, str) else None


def named(model: nn.Module) -> str:
    """Return the name of the network's class."""
    return type(plain(model)).__name__


def dtype_of(model: nn.Module, images: Tensor) -> torch.dtype:
    """Return the type of a network's weights; that of the images where it has none."""
    for weight in model.parameters():
        if weight.dtype.is_floating_point:
            return weight.dtype
    return images.dtype


def _refusal(network: nn.Module, images: Tensor, error: Exception) -> str:
    if any(stop in str(error) for stop in STOPS):  # it takes them where no gradients are asked for
        return BLOCKED
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [
        "it says nothing"
    ]
    # TorchScript tells the reason last.
    line = (lines[-1] if isinstance(network, torch.jit.ScriptModule) else lines[0])[:LONGEST]
    name = type(network).__name__
    if isinstance(error, TypeError) and not _takes_images_alone(network):
        return (
            f"the network ({name}) asks for more than images: {line}; wrap it in a module whose "
            "forward takes images alone"
        )
    size = "×".join(map(str, images.shape[1:]))
    return (
        f"the network ({name}) does not take images of {size} {str(images.dtype)[6:]} values: "
        f"{type(error).__name__}: {line}"
    )


def _takes_images_alone(network: nn.Module) -> bool:
    try:
        inspect.signature(network.forward).bind(None)
    except TypeError:
        return False
    except ValueError:  # it has no signature
        return True
    return True
