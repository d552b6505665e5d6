"""Ask a network about images: it is handed a copy, and what it answers is read as class scores."""

from jaxtyping import Float
from torch import Tensor, nn

from vislab.explain.scores import class_scores


def ask(model: nn.Module, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
    """Return the class scores of images. What the network writes over is a copy of them."""
    return class_scores(model(images.clone()))
