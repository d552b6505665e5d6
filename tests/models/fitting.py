"""Can a network learn eight images by heart? What cannot is not wired up."""

import torch
from torch.nn import functional as F


def loss_after(model, *, steps, side, classes=4, lr=3e-3):
    """Train on eight random images and return the loss, in nats, before and after."""
    chance = torch.Generator().manual_seed(0)
    images = torch.randn(8, 3, side, side, generator=chance)
    labels = torch.arange(8) % classes
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    model.train()
    losses = []
    for _ in range(steps + 1):
        loss = F.cross_entropy(model(images), labels)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return losses[0], losses[-1]


def count(model):
    return sum(p.numel() for p in model.parameters())
