"""Networks as people write them, and maps written out by hand for one image of one of them."""

from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

CLASSES = 5
Output = namedtuple("Output", "logits features")


class Plain(nn.Module):
    """What all the others compute, however they do it."""

    def __init__(self, classes=CLASSES):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 6, 3, padding=1)
        self.relu = nn.ReLU()
        self.head = nn.Linear(6, classes)

    def body(self, x):
        return self.relu(self.second(self.relu(self.first(x))))

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))


def variant(name, forward, classes=CLASSES):
    """Return a Plain with another forward."""
    return type(name, (Plain,), {
        "forward": forward, "__init__": lambda self: Plain.__init__(self, classes),
    })  # fmt: skip


def _in_place_input(self, x):
    x.sub_(0.0).mul_(2).div_(2)
    return Plain.forward(self, x)


def _in_place_inside(self, x):
    x = self.first(x)
    x.relu_()
    x = F.relu(self.second(x), inplace=True)
    x *= 2
    x /= 2
    return self.head(x.mean((2, 3)))


def _writes_over_what_it_needs(self, x):
    x = self.body(x).exp()  # its slope is its value
    found = self.head(x.mean((2, 3)))
    x.detach().fill_(7.0)
    return found


def _keeps(self, x):
    self.kept = self.body(x)
    return self.head(self.kept.mean((2, 3)))


def _caches(self, x):
    if not hasattr(self, "scale"):
        self.scale = torch.ones(1)
    return Plain.forward(self, x * self.scale)


def _checkpointed(reentrant):
    def forward(self, x):
        return self.head(checkpoint(self.body, x, use_reentrant=reentrant).mean((2, 3)))

    return forward


def _one_image_only(self, x):
    return self.head(self.body(x).mean((2, 3)).view(6))


class WithHooks(Plain):
    """A ReLU in place, whose user listens to the gradients that pass it."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.heard = []
        self.relu.register_full_backward_hook(lambda *_: self.heard.append(1))


class WeightNorm(Plain):
    """Its weight is worked out anew each time, and is part of a graph from the beginning."""

    def __init__(self):
        super().__init__()
        self.second = nn.utils.parametrizations.weight_norm(self.second)


def _exponential(self, x):
    return self.head(self.body(x).exp().mean((2, 3)))


class _OneWay(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x.clone()

    @staticmethod
    def backward(_, signal):
        raise ValueError("no way back")


NoWayBack = variant("NoWayBack", lambda s, x: Plain.forward(s, _OneWay.apply(x)))
Exponential = variant("Exponential", _exponential)
WritesOver = variant("WritesOver", _writes_over_what_it_needs)

ALIKE = {
    "logits": variant("Logits", lambda s, x: SimpleNamespace(logits=Plain.forward(s, x))),
    "named tuple": variant("Named", lambda s, x: Output(Plain.forward(s, x), x.mean((2, 3)))),
    "dict of logits": variant(
        "Dict", lambda s, x: {"features": x.mean((2, 3)), "logits": Plain.forward(s, x)}
    ),
    "dict": variant("Out", lambda s, x: {"out": Plain.forward(s, x), "maps": s.first(x)}),
    "auxiliary head": variant("Aux", lambda s, x: (Plain.forward(s, x), -Plain.forward(s, x))),
    "maps first": variant("Maps", lambda s, x: [s.first(x), Plain.forward(s, x)]),
    "maps of one cell": variant("Cells", lambda s, x: Plain.forward(s, x)[:, :, None, None]),
    "squeezed": variant("Squeezed", lambda s, x: Plain.forward(s, x).squeeze()),
    "no batch axis": variant("First", lambda s, x: Plain.forward(s, x)[0]),
    "one image only": variant("Only", _one_image_only),
    "input in place": variant("InPlaceInput", _in_place_input),
    "all in place": variant("InPlaceInside", _in_place_inside),
    "keeps its features": variant("Keeps", _keeps),
    "caches": variant("Caches", _caches),
    "checkpointed": variant("Checkpointed", _checkpointed(False)),
    "checkpointed, reentrant": variant("Reentrant", _checkpointed(True)),
    "user's hooks": WithHooks,
}


def like_plain(name, plain):
    """Return a network of `ALIKE` with the weights of another."""
    network = ALIKE[name]()
    network.load_state_dict(plain.state_dict())
    return network


class BatchNorm(Plain):
    """Batch normalisation by the batch itself, also in eval mode."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)

    def body(self, x):
        return self.relu(self.second(self.relu(self.norm(self.first(x))))) ** 2


SWAYED = {
    "batch normalisation": BatchNorm,
    "batch normalisation as a function": variant(
        "Functional", lambda s, x: Plain.forward(s, F.batch_norm(x, None, None, training=True))
    ),
    "scaled by the largest": variant(
        "Largest", lambda s, x: Plain.forward(s, 2 * x / x.abs().max())
    ),
    "ranked in its batch": variant(
        "Ranked", lambda s, x: Plain.forward(s, x) * (1 + torch.arange(len(x)).flip(0)[:, None])
    ),
}


def _in_no_grad(self, x):
    with torch.no_grad():
        found = self.body(x)
    return self.head(found.mean((2, 3)))


def _in_inference_mode(self, x):
    with torch.inference_mode():
        found = self.body(x).mean((2, 3))
    return self.head(found)


BLOCKED = {
    "no_grad": variant("NoGrad", _in_no_grad),
    "inference mode": variant("Inference", _in_inference_mode),
    "detach": variant("Detach", lambda s, x: s.head(s.body(x).detach().mean((2, 3)))),
    "argmax": variant(
        "Argmax", lambda s, x: F.one_hot(Plain.forward(s, x).argmax(1), CLASSES).float()
    ),
    "numpy": variant("Numpy", lambda s, x: torch.from_numpy(Plain.forward(s, x).numpy() + 0)),
}


# By hand, for one image (C, H, W) and one class; `scores` gives those of one image.


def scores(model, image):
    return model.eval()(image[None].clone()).reshape(-1)


def slope(model, image, target):
    asked = image.clone().requires_grad_()
    (found,) = torch.autograd.grad(scores(model, asked)[target], asked)
    return found


def saliency(model, image, target):
    return slope(model, image, target).abs().amax(dim=0)


def smooth_grad(model, image, target):
    generator = torch.Generator().manual_seed(0)
    spread = 0.15 * (image.max() - image.min())
    copies = [image + spread * torch.randn(image.shape, generator=generator) for _ in range(32)]
    return torch.stack([slope(model, c, target) for c in copies]).mean(dim=0).abs().amax(dim=0)


def integrated_gradients(model, image, target):
    places, shares = np.polynomial.legendre.leggauss(50)
    mean = sum(
        float(share) / 2 * slope(model, float(place + 1) / 2 * image, target)
        for place, share in zip(places, shares, strict=True)
    )
    return (image * mean).sum(dim=0)


def occlusion(model, image, target):
    """One pixel a window: each value is how far the score falls without its pixel."""
    found = torch.zeros(image.shape[1:])
    with torch.no_grad():
        whole = scores(model, image)[target]
        for row in range(image.shape[1]):
            for column in range(image.shape[2]):
                covered = image.clone()
                covered[:, row, column] = 0
                found[row, column] = whole - scores(model, covered)[target]
    return found


BY_HAND = {
    "saliency": saliency,
    "smooth-grad": smooth_grad,
    "integrated-gradients": integrated_gradients,
    "occlusion": occlusion,
}
