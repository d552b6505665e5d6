"""Can a network give back four images' labels or pixels by heart?"""

import torch
from torch.nn import functional as F


def wrong_after(model, *, steps, size=(15, 18), classes=3, lr=1e-2):
    """Train on four random images, a class a pixel, and return how many pixels stay wrong."""
    chance = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, *size, generator=chance)
    # Patches of 3×3 pixels and more: finer than what the maps of one halving can tell apart.
    patches = torch.randint(0, classes, (4, 1, size[0] // 3, size[1] // 3), generator=chance)
    labels = F.interpolate(patches.float(), size=size)[:, 0].long()
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    model.train()
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimiser.step()
    with torch.no_grad():
        return int((model(images).argmax(dim=1) != labels).sum())


def error_after(model, *, steps, images, lr=1e-2):
    """Train to give back the images and return the mean square error at the end."""
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    model.train()
    for _ in range(steps):
        optimiser.zero_grad()
        F.mse_loss(model(images), images).backward()
        optimiser.step()
    with torch.no_grad():
        return F.mse_loss(model(images), images).item()
