"""Segmentation tested: what a perfect network scores, and how networks are compared."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.data.formats.sets import image, mask
from tests.lab.undrawn import draw_nothing
from vislab import data, tasks
from vislab.data.batches import Batch, in_order
from vislab.evaluate import compare, run_test
from vislab.lab.bench import Lab
from vislab.runs.folder import RunFolder
from vislab.tasks.segment import over_instances

CPU = torch.device("cpu")


class Knowing(nn.Module):
    """Says of each batch of a split, in their order, what its masks say."""

    def __init__(self, images, split="test"):
        super().__init__()
        self.one = nn.Parameter(torch.zeros(()))
        self.at = 0
        self.answers = [
            F.one_hot(batch.masks.long() * (batch.masks != 255), len(images.classes))
            for batch in in_order(images, split)
        ]

    def forward(self, images):
        answer = self.answers[self.at % len(self.answers)].movedim(-1, 1).float()
        self.at += 1
        return answer


@pytest.fixture(scope="module")
def shapes():
    return data.annotated("shapes", wanted="masks", size=24, limit=40)


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


def test_a_network_that_says_the_mask_scores_one_in_everything(shapes, lab, monkeypatch):
    draw_nothing(monkeypatch)
    lab.test(tasks.Segment(Knowing(shapes)), shapes, name="it")
    found = lab.run.result.metrics
    for name in ("dice", "jaccard", "sensitivity", "specificity"):
        assert found[f"it/test/{name}"] == 1.0
        low, high = lab.run.result.intervals[f"it/test/{name}"]
        assert 0.7 < low < high == 1.0, "another image may be missed"
    assert found["it/test/hausdorff95"] == 0.0
    columns, rows = lab.run.table("it classes")
    assert [row[0] for row in rows] == list(shapes.classes)
    assert {float(row[columns.index("Dice")]) for row in rows} == {1.0}
    pixels = [int(row[columns.index("pixels")]) for row in rows]
    assert sum(pixels) == 40 * 24 * 24


def test_what_lies_around_an_uneven_image_is_neither_right_nor_wrong(tmp_path, lab):
    for stem in "abcde":
        image(tmp_path / "set/images" / f"{stem}.png", (40, 20))
        mask(
            tmp_path / "set/masks" / f"{stem}.png",
            np.pad(np.full((10, 20), 255), ((5, 5), (9, 11))),
        )
    images = data.annotated(str(tmp_path / "set"), wanted="masks", size=32)
    network = Knowing(images)
    one = run_test(tasks.Segment(network), images, "test", device=CPU, quiet=True)
    assert one.table.sum() == len(one.predictions) * 32 * 16
    # All that lies outside the image is said to be an object: no score may move.
    for answer in network.answers:
        answer[:, :8], answer[:, 24:] = torch.tensor([0, 1]), torch.tensor([0, 1])
    other = run_test(tasks.Segment(network), images, "test", device=CPU, quiet=True)
    assert (other.predictions != one.predictions).any()
    np.testing.assert_array_equal(other.dice, one.dice)
    np.testing.assert_array_equal(other.hausdorff, np.zeros(len(one.predictions)))


def outcome_of(predictions, targets, classes):
    """Return what saying this of these pixels comes to."""
    batch = Batch(
        torch.zeros(len(targets), 3, *targets.shape[1:]), torch.arange(len(targets)), len(targets),
        masks=torch.from_numpy(targets),
    )  # fmt: skip
    answer = F.one_hot(torch.from_numpy(predictions).long(), classes).movedim(-1, 1).float()
    return tasks.Segment(Told(answer)).test([batch])


class Told(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, images):
        return self.answer


def test_scores_are_means_over_the_instances_that_are_there_or_said():
    targets = np.zeros((2, 8, 8), dtype=np.uint8)
    predictions = targets.copy()
    targets[0, 0, :4], predictions[0, 0, 2:4] = 1, 1  # half of object 1 is found
    predictions[0, 0, 4] = 2  # and object 2 is not there
    one = outcome_of(predictions, targets, 4)
    assert one.dice.tolist() == pytest.approx([(2 * 2 / 6 + 0) / 2, 1.0])
    score = np.array([[9.0, 0.5, 0.1, 7.0], [9.0, 3.0, 3.0, 3.0]])
    assert over_instances(one.table, score).tolist() == pytest.approx([0.3, 1.0])


def test_the_worst_images_stand_first_in_the_table(shapes, lab, monkeypatch):
    draw_nothing(monkeypatch)
    network = Knowing(shapes)
    bad = network.answers[0][3]
    network.answers[0][3] = bad.roll(1, dims=-1)
    lab.test(tasks.Segment(network), shapes)
    columns, rows = lab.run.table("test images")
    assert rows[0][0] == shapes.split("test").names[3]
    assert len(rows) == 40
    dice = [float(row[columns.index("dice")]) for row in rows]
    assert dice == sorted(dice)
    assert dice[0] < 0.1
    assert dice[1] == 1.0


def of_dice(values):
    """Return images all of an object, of which so many tenths are found."""
    targets = np.ones((len(values), 10, 10), dtype=np.uint8)
    predictions = np.zeros_like(targets)
    for row, value in enumerate(values):
        predictions[row, :, :value] = 1
    return outcome_of(predictions, targets, 2)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ([8, 9, 8, 9] * 2, "good came out best, by more than 8 test images explain"),
        ([10, 10, 10, 2] * 2, "good came out best, but second could be as good: on 8 images"),
        ([8, 9, 8, 9], "good came out best, but second could be as good: on 4 images"),
    ],
)
def test_the_winner_is_named_and_whether_chance_explains_it(lab, second, sentence):
    compare(lab, {"second": of_dice(second), "good": of_dice([10] * len(second))})
    assert any(sentence in note for note in lab.run.result.notes)
    columns, rows = lab.run.table("networks compared")
    assert [row[0] for row in rows] == ["good", "second"]
    assert rows[0][columns.index("behind")] == ""
    assert float(rows[1][columns.index("behind")]) > 0


def test_one_network_alone_is_not_said_to_be_the_best(lab):
    compare(lab, {"only": of_dice([3, 4])})
    assert lab.run.result.notes == []
    assert len(lab.run.table("networks compared")[1]) == 1


def test_a_network_is_asked_in_eval_mode_and_left_in_its_own(shapes):
    network = Knowing(shapes, "val")
    network.train()
    modes = []
    network.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    run_test(tasks.Segment(network), shapes, "val", device=CPU, quiet=True)
    assert modes == [False] * len(network.answers)
    assert network.training
