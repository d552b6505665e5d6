"""An image that fools a network: changed too little to see, taken for a class of your choice.

Szegedy et al. 2014, arXiv:1312.6199. The ascent is that of EECS 498/598, assignment 4,
`make_adversarial_attack`: steps of one length up the gradient of the target's score. Unlike there,
what the network is shown is always an image that a file can hold: in [0, 1], on the 256 levels of
8 bits. The gradient at the rounded image moves the one before rounding.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from vislab.errors import OptionError
from vislab.explain.asking import checked, raw_scores, said_by
from vislab.explain.canvas import check_images, device_of
from vislab.explain.company import answered
from vislab.explain.gradients import slope, still
from vislab.explain.hooks import hooked
from vislab.explain.image_optimisation import IMAGENET, Normalisation, normalise
from vislab.explain.scores import Target, chances, chosen, sides
from vislab.progress import track


@dataclass(frozen=True, eq=False)
class Fooled:
    """The changed images, and by how much they had to change."""

    images: Float[Tensor, "n 3 h w"]  # RGB in [0, 1], on the levels of 8 bits
    fooled: Bool[Tensor, " n"]  # whether the target won by the margin
    probability: Float[Tensor, " n"]  # of the target
    steps: Int[Tensor, " n"]  # taken
    l2: Float[Tensor, " n"]  # norm of the difference, pixels in [0, 1]
    largest: Float[Tensor, " n"]  # L-infinity norm: the change of any one value


def fool(
    model: nn.Module,
    images: Float[Tensor, "n 3 h w"],
    target: int | Int[Tensor, " n"],
    *,
    steps: int = 300,
    lr: float = 0.0005,
    margin: float = 0.1,
    normalisation: Normalisation = IMAGENET,
    quiet: bool = False,
) -> Fooled:
    """Change images in [0, 1] until the target's probability leads every other by `margin`.

    A step has a root mean square of `lr`; 0.0005 is an eighth of one of the 256 levels. An
    image that is there takes no further step. One that is not there after all steps comes back
    as it is then, with `fooled` False: more steps or a higher lr may help.
    """
    if steps < 1 or lr <= 0 or not 0 <= margin < 1:
        raise OptionError(
            f"{steps} steps at lr {lr:g} for a margin of {margin:g} fool nobody; use steps of "
            "1 or more, an lr above 0 and a margin from 0 to below 1"
        )
    checked(images)
    if not len(images):
        none = torch.zeros(0)
        return Fooled(images.float(), none.bool(), none, none.long(), none, none)
    given = check_images(images).to(device_of(model)).float()
    moving, count = given.clone(), len(given)
    taken = torch.zeros(count, dtype=torch.int64)
    won = torch.zeros(count, dtype=torch.bool)
    probability = torch.zeros(count)
    with (
        hooked(model, []),
        still(model),
        torch.enable_grad(),
        track("fooling", total=steps, quiet=quiet) as advance,
    ):
        with torch.no_grad():
            first = normalise(given[:1], normalisation)
            network = answered(model, first, many=count > 1).network
        said = said_by(network)
        for step in range(steps + 1):
            left = (~won).nonzero()[:, 0].to(given.device)
            if not len(left):
                break
            shown = _rounded(moving[left]).requires_grad_()
            raw = raw_scores(network, normalise(shown, normalisation))
            scores = sides(raw, said)
            wanted = chosen(scores, _of(target, left))[:, None]
            found = chances(raw.detach(), said)
            lead = found.gather(1, wanted)[:, 0]
            others = found.scatter(1, wanted, 0.0).amax(dim=1)
            probability[left.cpu()] = lead.float().cpu()
            won[left.cpu()] = (lead - others >= margin).cpu()
            on = ~won[left.cpu()].to(given.device)
            if step == steps or not bool(on.any()):
                break
            up = slope(scores.gather(1, wanted).sum(), shown)
            size = up.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp_min(1e-20)
            moving[left[on]] = (moving[left] + lr * up / size).clamp(0, 1)[on]
            taken[left[on].cpu()] += 1
            advance(1, f"{int(won.sum())} of {count} fooled")
    changed = _rounded(moving)
    difference = (changed - given).flatten(1)
    return Fooled(
        changed.cpu(),
        won,
        probability,
        taken,
        difference.norm(dim=1).cpu(),
        difference.abs().amax(dim=1).cpu(),
    )


def _rounded(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    return (images * 255).round() / 255


def _of(target: int | Tensor, left: Tensor) -> Target:
    return target if isinstance(target, int) else target.to(left.device)[left]
