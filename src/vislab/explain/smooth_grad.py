"""SmoothGrad: the mean saliency of many noisy copies of an image.

Smilkov et al. 2017, arXiv:1706.03825, section 3. The gradients are averaged with their signs; the
absolute value and the maximum over channels come last, as for saliency.
"""

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from vislab.explain.asking import checked
from vislab.explain.batching import batch_within
from vislab.explain.company import answered
from vislab.explain.gradients import score_gradient, strength
from vislab.explain.hooks import hooked
from vislab.explain.scores import Target, chosen
from vislab.progress import track


def smooth_grad(
    model: nn.Module,
    images: Num[Tensor, "n c h w"],
    target: Target = None,
    *,
    samples: int = 32,
    noise: float = 0.15,
    seed: int = 0,
    budget: int | None = None,
    quiet: bool = False,
) -> Float[Tensor, "n h w"]:
    """Return one map an image, in the units of saliency.

    The noise is normal; its std is a share of the range of the image's own values. An
    image's noise depends on the seed alone, not on its company or the memory budget, in bytes.
    """
    images = checked(images)
    if not len(images):
        return torch.zeros(0, *images.shape[2:])
    with hooked(model, []), torch.no_grad():
        said = answered(model, images, many=True)
        wanted, network = chosen(said.scores, target), said.network
    batch = batch_within(network, images[0], budget, gradients=True)
    found = []
    with track("SmoothGrad", total=samples * len(images), unit="passes", quiet=quiet) as advance:
        for image, label in zip(images, wanted.tolist(), strict=True):
            generator = torch.Generator().manual_seed(seed)
            spread = noise * (image.amax() - image.amin())
            total = torch.zeros_like(image)
            for start in range(0, samples, batch):
                count = min(batch, samples - start)
                # One draw a copy, so that the batch does not change what is drawn.
                drawn = [torch.randn(image.shape, generator=generator) for _ in range(count)]
                copies = image + spread * torch.stack(drawn).to(image)
                total += score_gradient(network, copies, label).sum(dim=0)
                advance(count)
            found.append(total / samples)
    return strength(torch.stack(found))
