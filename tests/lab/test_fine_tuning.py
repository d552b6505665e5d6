"""Fine-tuning as the lab does it, through Lightning's Trainer."""

import pytest
import torch

from vislab import data, models, tasks
from vislab.lab.bench import Lab
from vislab.runs.folder import RunFolder
from vislab.tasks.strategy import Strategy


@pytest.mark.parametrize("kind", ["all", "layer-decay:0.8", "gradual", "last-blocks:1"])
def test_batch_normalisation_keeps_its_averages_in_a_training_by_the_lab(kind, tmp_path):
    model = models.create("convnet", classes=10, widths=[4, 6])
    parts = models.anatomy(model, torch.zeros(1, 3, 16, 16))
    task = tasks.Classify(model, tasks.Optim(lr=1e-2), strategy=Strategy.parse(kind), anatomy=parts)
    before = {k: v.clone() for k, v in model.state_dict().items() if "running" in k}
    head = model.head.weight.clone()
    pictures = data.pictures("digits", size=16, per_class=5)
    Lab(RunFolder.create(tmp_path / "run", "test", {}), quiet=True).fit(
        task, pictures, epochs=2, batch=10
    )
    assert before
    after = model.state_dict()
    assert all(torch.equal(after[name].cpu(), value) for name, value in before.items())
    assert not torch.equal(after["head.weight"].cpu(), head)
