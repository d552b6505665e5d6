"""Where in a picture the evidence for a network's answer is, for pictures as they lie on disk."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import nn

from vislab import explain
from vislab.data.augment_batch import normalise
from vislab.data.normalisation import Normalisation


def evidence(
    network: nn.Module,
    pixels: UInt8[np.ndarray, "n s s 3"],
    normalisation: Normalisation,
    device: torch.device,
) -> Float[np.ndarray, "n i j"]:
    """Return Grad-CAM's map of the class that the network names for each picture.

    Raises ShapeError when no layer of the network has places.
    """
    if not len(pixels):
        return np.zeros((0, 1, 1), dtype=np.float32)
    mean, deviation = normalisation
    images = normalise(torch.from_numpy(pixels).to(device), mean, deviation)
    return explain.grad_cam(network.to(device), images).numpy()
