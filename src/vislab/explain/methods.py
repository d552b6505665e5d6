"""The maps that explain one answer, by name, all called alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Num
from torch import Tensor, nn

from vislab.errors import pick
from vislab.explain.attention import attention, class_attention
from vislab.explain.deconvnet import deconvnet
from vislab.explain.dense import BoxScore, RegionScore
from vislab.explain.grad_cam import grad_cam
from vislab.explain.grad_cam_plus_plus import grad_cam_plus_plus
from vislab.explain.gradients import strength
from vislab.explain.guided_backprop import guided_backprop
from vislab.explain.integrated_gradients import integrated_gradients
from vislab.explain.occlusion import occlusion
from vislab.explain.rollout import gradient_rollout, rollout
from vislab.explain.saliency import saliency
from vislab.explain.scores import Target
from vislab.explain.smooth_grad import smooth_grad
from vislab.explain.target_layers import TargetLayer


@dataclass(frozen=True)
class Method:
    """One way to explain an answer."""

    title: str
    says: str  # what a large value means
    unit: str
    function: Callable[..., Tensor]
    signed: bool = False
    channels: bool = False  # it gives (n, 3, h, w)
    fine: bool = False  # a value a pixel, which jumps from pixel to pixel
    passes: int = 3  # through the network for an image; the way back counts two
    long: bool = False  # many, so it takes a memory budget and shows its progress

    def __call__(
        self,
        model: nn.Module,
        images: Num[Tensor, "n c h w"],
        target: Target = None,
        *,
        budget: int | None = None,
        quiet: bool = True,
    ) -> Float[Tensor, "n i j"]:
        """Return one map an image, on the CPU; channels are joined, pixels not smoothed.

        Raises ShapeError with a sentence where the method has no meaning for the network.
        """
        options: dict[str, Any] = {"budget": budget, "quiet": quiet} if self.long else {}
        found = self.function(model, images, target, **options)
        if not self.channels:
            return found
        return found.sum(dim=1) if self.signed else strength(found)


def _last_attention(model: nn.Module, images: Tensor, _: Target) -> Tensor:
    return class_attention(attention(model, images, fuse="mean")[-1])


def _grad_cam(model: nn.Module, images: Tensor, target: Target) -> Tensor:
    return grad_cam(model, images, target, target_layer=_target_layer_of_answer(model, images))


def _grad_cam_plus_plus(model: nn.Module, images: Tensor, target: Target) -> Tensor:
    return grad_cam_plus_plus(
        model, images, target, target_layer=_target_layer_of_answer(model, images)
    )


def _target_layer_of_answer(model: nn.Module, images: Tensor) -> TargetLayer | None:
    # Without them a dense network's last maps would be found: the answer over again.
    if isinstance(model, (BoxScore, RegionScore)) and len(images):
        return next(iter(model.target_layers(images[0]).values()))
    return None


def _rollout(model: nn.Module, images: Tensor, _: Target) -> Tensor:
    return rollout(model, images)


METHODS: dict[str, Method] = {
    "saliency": Method(
        "Saliency", "a small change here changes the score most", "score / pixel", saliency,
        fine=True,
    ),
    "smooth-grad": Method(
        "SmoothGrad", "the same, on average over noisy copies", "score / pixel", smooth_grad,
        fine=True, passes=96, long=True,
    ),
    "integrated-gradients": Method(
        "Integrated gradients", "this adds to the score, blue takes from it", "score",
        integrated_gradients, signed=True, channels=True, fine=True, passes=150, long=True,
    ),
    "guided-backprop": Method(
        "Guided backprop", "what speaks for the class all the way", "score / pixel",
        guided_backprop, channels=True, fine=True,
    ),
    "deconvnet": Method(
        "DeconvNet", "what the units that answered send back", "score / pixel", deconvnet,
        channels=True, fine=True,
    ),
    "grad-cam": Method(
        "Grad-CAM", "the last maps hold evidence for the class here", "score", _grad_cam
    ),
    "grad-cam-plus-plus": Method(
        "Grad-CAM++", "the same, each place weighed by itself", "score",
        _grad_cam_plus_plus,
    ),
    "occlusion": Method(
        "Occlusion", "covering this lowers the score, blue raises it", "score", occlusion,
        signed=True, passes=170, long=True,
    ),
    "attention": Method(
        "Attention, last layer", "the last layer takes most from here, for any class",
        "share of attention", _last_attention, passes=1,
    ),
    "rollout": Method(
        "Attention rollout", "all layers together take most from here, for any class",
        "share of attention", _rollout, passes=1,
    ),
    "gradient-rollout": Method(
        "Gradient rollout", "attention that raises the score comes from here", "score",
        gradient_rollout,
    ),
}  # fmt: skip


def method(name: str) -> Method:
    """Return a method by its name. Raises UnknownName with the names there are."""
    return pick(METHODS, name, "method")
