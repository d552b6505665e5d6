"""A recipe whose task has two optimisers and a schedule of its own, as a GAN has."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR

from vislab.lab.recipe import Recipe
from vislab.tasks.optim import Optim
from vislab.tasks.task import Task


class Pair(nn.Module):
    """A generator of one colour and a critic of it."""

    def __init__(self):
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
        self.critic = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, images):
        return self.critic(images.mean(dim=(2, 3)))


class Adversaries(Task):
    """Adam for the generator, momentum for the critic: both have states that a resume needs."""

    score = "fooled"
    automatic_optimization = False

    def __init__(self):
        super().__init__(Pair(), Optim("adam", lr=1e-2))
        self.against = Optim("sgd", lr=5e-2, momentum=0.9, clip=1.0)

    @property
    def optims(self):
        return self.optim, self.against

    def configure_optimizers(self):
        first = self.optim.build(self.model.generator)
        second = self.against.build(self.model.critic)
        return [first, second], [StepLR(first, 5, gamma=0.5)]

    def training_step(self, batch, _step):
        count, real = len(batch.images), batch.images.mean(dim=(2, 3))
        noise = torch.randn(count, 4)
        made = self.model.generator(noise)
        loss = self.model.critic(made.detach()).mean() - self.model.critic(real).mean()
        self.descend(1, loss, count, batch.whole)
        other = -self.model.critic(self.model.generator(noise)).mean()
        self.descend(0, other, count, batch.whole)
        self.lr_schedulers().step()
        return {"sums": {"loss": other.detach() * count, "critic": loss.detach() * count}}

    def measure(self, batch):
        return {"fooled": self.network(batch.images)[:, 0]}


@dataclass(frozen=True)
class TwoOptimisers(Recipe):
    """Train both."""

    data: str = "a folder"

    def run(self, lab):
        images = lab.images(self.data, size=16)
        task = Adversaries()
        lab.fit(task, images, epochs=5, batch=6)
        lab.test(task, images)
