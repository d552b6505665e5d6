"""Fine-tuning as the lab does it, through Lightning's Trainer."""

import itertools

import pytest
import torch

from vislab import data, models, tasks
from vislab.errors import UnknownName
from vislab.lab.bench import Lab
from vislab.profiling import auto_config, tuner
from vislab.runs.folder import RunFolder
from vislab.tasks.strategy import Strategy


@pytest.mark.parametrize("kind", ["all", "layer-decay:0.8", "gradual", "last-blocks:1"])
def test_batch_normalisation_keeps_its_averages_in_a_training_by_the_lab(kind, tmp_path):
    model = models.create("convnet", classes=10, widths=[4, 6])
    parts = models.parameter_groups(model, torch.zeros(1, 3, 16, 16))
    task = tasks.Classify(model, tasks.Optim(lr=1e-2), strategy=Strategy.parse(kind), groups=parts)
    before = {k: v.clone() for k, v in model.state_dict().items() if "running" in k}
    head = model.head.weight.clone()
    images = data.images("digits", size=16, per_class=5)
    Lab(RunFolder.create(tmp_path / "run", "test", {}), quiet=True).fit(
        task, images, epochs=2, batch=10
    )
    assert before
    after = model.state_dict()
    assert all(torch.equal(after[name].cpu(), value) for name, value in before.items())
    assert not torch.equal(after["head.weight"].cpu(), head)


def test_a_range_test_goes_on_through_further_epochs_where_one_is_short():
    images = data.images("digits", size=16, per_class=2)
    batches = data.Batches(images, 10, seed=0, augment=data.Augment())
    assert len(batches) == 2
    task = tasks.Classify(models.create("convnet", classes=10, widths=[4]), tasks.Optim())
    found = tuner.lr_range_test(task, tuner.rounds(batches), steps=20)
    assert len(found["lrs"]) > 10
    some = itertools.islice(tuner.rounds(batches), 4)
    first = [batch.rows.tolist() for batch in some]
    assert sorted(first[0] + first[1]) == sorted(first[2] + first[3]) == list(range(20))
    assert first[:2] != first[2:]


def test_what_is_drawn_after_a_measurement_is_the_same_in_a_resumed_run(tmp_path):
    run = RunFolder.create(tmp_path / "run", "test", {})
    drawn = []
    for _ in range(2):
        lab = Lab(run, quiet=True)
        lab.once("choice", lambda: {"x": torch.rand(3).tolist()})
        drawn.append(torch.rand(2))
    assert torch.equal(*drawn)


def test_a_strategy_nobody_knows_is_told_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(auto_config, "_speeds", lambda *_: pytest.fail("measured"))
    with pytest.raises(UnknownName, match="Did you mean 'gradual'"):
        auto_config.choose(data.Survey(3, 60, 6, 6), None, torch.device("cpu"), strategy="gradul")
