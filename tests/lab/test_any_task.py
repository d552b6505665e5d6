"""The bench trains any task: what it counts, by what it chooses, and with which images."""

import json

import pytest
import torch
from torch import nn

from tests.lab.small_recipe import few_images
from vislab import data
from vislab.data.augment import Augment
from vislab.errors import OptionError
from vislab.lab.bench import Lab
from vislab.runs.folder import RunFolder
from vislab.tasks.optim import Optim
from vislab.tasks.task import Task


class Counting(Task):
    """Counts what it is shown; its score on validation images is what it has been told."""

    score = "goodness"

    def __init__(self, told=(), optim=None):
        super().__init__(nn.Linear(1, 1, bias=False), optim or Optim("sgd", lr=0.1))
        self.told, self.asked, self.shown = list(told), [], []

    def training_step(self, batch, _step):
        self.shown.append(tuple(batch.images.shape[1:]))
        loss = self.model(torch.ones(1, 1)).sum()  # falls by the rate in each step
        rows = batch.rows.double()
        return self.step(
            loss, len(rows), batch.whole, rows=rows.sum(), ones=torch.tensor(float(len(rows)))
        )

    def scores(self, batches):
        seen = torch.cat([batch.rows for batch in batches]).tolist()
        self.asked.append((seen, self.network.weight.item()))
        return {"goodness": self.told[len(self.asked) - 1], "other": -1.0}


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return data.images(str(few_images(tmp_path_factory.mktemp("few") / "images")), size=16)


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


def logged(lab):
    return [json.loads(line) for line in (lab.run.path / "metrics.jsonl").read_text().splitlines()]


def test_what_a_task_counts_is_logged_as_means_over_images(few, lab):
    # 36 images in 5 steps of 8, 7, 7, 7 and 7: a mean over steps would be another number.
    lab.fit(Counting([0.0, 0.0]), few, epochs=2, batch=8)
    for line in logged(lab):
        assert line["train/rows"] == pytest.approx(35 / 2)
        assert line["train/ones"] == 1.0
        assert {"train/loss", "val/goodness", "val/other"} <= set(line)
        assert "train/accuracy" not in line


def test_the_epoch_with_the_best_score_is_kept_whatever_the_score_is_called(few, lab):
    task = Counting([-5.0, -2.0, -3.0, -4.0])
    assert lab.fit(task, few, epochs=4, batch=12) == -2.0
    weights = [weight for _, weight in task.asked]
    assert len(set(weights)) == 4
    assert task.network.weight.item() == pytest.approx(weights[1])
    assert lab.run.result.metrics["val/goodness"] == -2.0
    assert "val/goodness" not in lab.run.result.trivial
    assert lab.run.result.protocol["metric"] == "goodness"


def test_validation_asks_about_every_validation_image_in_turn(few, lab):
    task = Counting([0.0])
    lab.fit(task, few, epochs=1, batch=12)
    assert [seen for seen, _ in task.asked] == [list(range(9))]


def test_patience_counts_the_tasks_own_score(few, lab):
    task = Counting([1.0, 2.0, 1.5, 1.6, 1.7, 9.0])
    assert lab.fit(task, few, epochs=6, batch=36, patience=2) == 2.0
    assert len(task.asked) == 4
    assert lab.run.result.costs[0]["stopped_by"] == "patience"


def test_a_watch_is_told_the_tasks_own_score(few, tmp_path):
    told = []
    run = RunFolder.create(tmp_path / "run", "a test", {})
    lab = Lab(run, quiet=True, watch=lambda *one: told.append(one))
    lab.fit(Counting([0.25, 7.5]), few, epochs=2, batch=36, name="it")
    assert told == [("it", 1, 0.25), ("it", 2, 7.5)]


@pytest.mark.parametrize(("first", "second"), [("", ""), ("U-Net", "u net")])
def test_a_second_training_of_one_name_is_refused(few, lab, first, second):
    lab.fit(Counting([0.0]), few, epochs=1, batch=36, name=first)
    with pytest.raises(ValueError, match="a name of its own"):
        lab.fit(Counting([0.0]), few, epochs=1, batch=36, name=second)


def test_annotated_images_are_shown_whole_or_in_windows(lab):
    shapes = data.annotated("shapes:easy", wanted="masks", size=40, limit=6)
    whole, tiled = Counting([0.0]), Counting([0.0])
    lab.fit(whole, shapes, epochs=1, batch=3, name="whole")
    lab.fit(tiled, shapes, epochs=1, batch=3, tile=16, name="tiled")
    assert whole.shown == [(3, 40, 40)] * 2
    assert tiled.shown == [(3, 16, 16)] * (6 * 3 * 3 // 3)  # windows that would cover it
    assert tiled.asked[0][0] == list(range(6))


def test_labels_cannot_be_mixed_where_there_are_boxes(lab):
    shapes = data.annotated("shapes:easy", wanted="boxes", size=32, limit=6)
    with pytest.raises(OptionError, match="mixup"):
        lab.fit(Counting([0.0]), shapes, epochs=1, batch=3, augment=Augment(mixup=0.3))


def test_annotated_images_are_noted_in_the_run(lab, tmp_path):
    shapes = lab.annotated("shapes:easy", wanted="boxes", size=32, limit=6)
    (about,) = lab.run.result.data
    assert about["counts"] == {"train": 6, "val": 6, "test": 6}
    for split, rows in (("train", 6), ("test", 6)):
        assert about["instances"][split] >= rows
    assert about["classes"] == list(shapes.classes)


def test_a_rehearsal_builds_each_once_and_draws_nothing(lab):
    state, built = torch.random.get_rng_state(), []
    lab.dry_run(lambda name: built.append((name, torch.rand(3))), ["a", "b"])
    assert [name for name, _ in built] == ["a", "b"]
    assert torch.equal(torch.random.get_rng_state(), state)
