"""Networks that the tests of maps look into, and what must be left of them as it was."""

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18, squeezenet1_1, vgg11_bn


def torchvision_nets():
    """Three networks with seven classes and random weights, in eval mode."""
    torch.manual_seed(0)
    makes = (resnet18, vgg11_bn, squeezenet1_1)
    return {make.__name__: make(num_classes=7).eval() for make in makes}


class Nested(nn.Module):
    """A user's own module: one ReLU used over and over, one in place, one as a function."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()
        self.body = nn.ModuleDict(
            {
                "first": nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True)),
                "second": nn.Conv2d(6, 6, 3, padding=1, stride=2),
                "third": nn.Conv2d(6, 8, 3, padding=1),
            }
        )
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.relu(self.body["second"](self.body["first"](x)))
        x = self.relu(self.body["third"](x))
        return self.head(F.relu(x.mean(dim=(2, 3))))


class Scores(nn.Module):
    """A linear model of the pixels."""

    def __init__(self, height, width, classes=4):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, 3, height, width))

    def forward(self, x):
        return torch.einsum("nchw,kchw->nk", x, self.weight)


def state(model):
    """All that explaining must leave as it was."""
    return (
        [
            (name, one.training, getattr(one, "inplace", None), len(one._forward_hooks),
             len(one._forward_pre_hooks), len(one._backward_hooks))
            for name, one in model.named_modules()
        ],
        [
            (name, one.requires_grad, one.grad is None, float(one.detach().double().sum()))
            for name, one in model.named_parameters()
        ],
    )  # fmt: skip
