"""Segmentation: loss and scores by hand, void, and four images by heart."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.tasks.annotated import fit, ready, same_state, scenes, state_of
from vislab.data.batches import Batch, in_order
from vislab.data.columns import Masks
from vislab.data.table import Table
from vislab.errors import UnknownName
from vislab.metrics.segmentation import dice
from vislab.models.unet import UNet
from vislab.tasks import Optim, Segment
from vislab.tasks.segment import over_instances


class Told(nn.Module):
    """Gives the logits it was told, whatever the images."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images):
        return self.logits[: len(images)]


def batch_of(masks, whole=None):
    masks = torch.tensor(masks, dtype=torch.uint8)
    n, side = masks.shape[:2]
    return Batch(torch.zeros(n, 3, side, side), torch.arange(n), whole or n, masks=masks)


SAID = torch.tensor([[[0, 1], [1, 2]], [[0, 0], [0, 0]]])
LOGITS = math.log(8) * nn.functional.one_hot(SAID, 3).movedim(-1, 1).float()  # shares 8 : 1 : 1


def test_a_step_by_hand():
    """Seven pixels count: five are right with 8/10, two are wrong with 1/10."""
    batch = batch_of([[[0, 1], [2, 255]], [[0, 0], [0, 1]]])
    out = ready(Segment(Told(LOGITS), loss="cross-entropy")).training_step(batch, 0)
    loss = (5 * math.log(10 / 8) + 2 * math.log(10)) / 7
    assert out["loss"].item() == pytest.approx(loss)
    assert out["sums"]["loss"].item() == pytest.approx(2 * loss)
    assert out["sums"]["pixel accuracy"].item() == pytest.approx(2 / 3 + 3 / 4)


def test_an_image_of_nothing_but_void_is_not_wrong():
    batch = batch_of([[[255, 255], [255, 255]], [[0, 0], [0, 1]]])
    out = ready(Segment(Told(LOGITS))).training_step(batch, 0)
    assert out["sums"]["pixel accuracy"].item() == pytest.approx(1 + 3 / 4)


def test_what_is_said_of_void_changes_no_sum():
    batch = batch_of([[[0, 1], [2, 255]], [[0, 0], [255, 1]]])
    other = LOGITS.clone()
    other[0, :, 1, 1] = other[1, :, 1, 0] = torch.tensor([-9.0, 5.0, 3.0])
    one, two = (ready(Segment(Told(x))).training_step(batch, 0)["sums"] for x in (LOGITS, other))
    assert one.keys() == two.keys() == {"loss", "pixel accuracy"}
    for name in one:
        torch.testing.assert_close(one[name], two[name])


def test_scores_by_hand():
    """Image 0: class 1 is found once and a half as often as it is, 2·1/(2 + 1); class 2 not at
    all. Image 1 has nothing and is said to have nothing."""
    batch = batch_of([[[0, 1], [0, 255]], [[0, 0], [0, 0]]])
    scores = Segment(Told(LOGITS), loss="cross-entropy").scores([batch])
    assert scores["dice"] == pytest.approx((2 / 3 + 1) / 2)
    assert scores["loss"] == pytest.approx((6 * math.log(10 / 8) + math.log(10)) / 7)


def test_scores_do_not_depend_on_how_images_are_cut_into_batches():
    whole = scenes()
    task = Segment(UNet(classes=3, width=4, depth=1), loss="dice")
    alone = [scenes([row]) for row in range(4)]
    assert task.scores(alone)["dice"] == pytest.approx(task.scores([whole])["dice"])


def test_dice_is_the_mean_over_what_an_image_has_or_is_said_to_have():
    """Rows are what is there, columns what is said."""
    table = np.zeros((4, 3, 3), dtype=np.int64)
    table[0] = [[5, 0, 0], [0, 3, 1], [0, 0, 0]]  # class 1: 6/7; class 2 said once: 0
    table[1] = [[9, 0, 0], [0, 0, 0], [0, 0, 0]]  # nothing there, nothing said
    table[2] = [[0, 2, 0], [0, 2, 0], [0, 0, 0]]  # 4/6
    assert over_instances(table, dice(table)).tolist() == pytest.approx([3 / 7, 1, 2 / 3, 1])


def test_scores_of_no_images_are_none():
    (score,) = Segment(UNet(classes=3, width=4, depth=1)).scores([]).items()
    assert score[0] == "dice"
    assert math.isnan(score[1])


def test_an_unknown_loss_is_told():
    with pytest.raises(UnknownName, match=r"'lovasz'.*tversky"):
        Segment(UNet(classes=3, width=4, depth=1), loss="lovasz")


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_scores_leave_the_task_as_it_was(ema):
    task = ready(Segment(UNet(classes=3, width=4, depth=1), Optim(ema=ema)))
    fit(task, scenes(), 2)
    task.model.down[0].eval()
    before = state_of(task)
    first = task.scores([scenes()])
    assert same_state(before, state_of(task))
    assert task.scores([scenes()]) == first


@pytest.mark.parametrize("loss", ["dice+cross-entropy", "focal"])
def test_it_learns_four_images_by_heart(loss):
    torch.manual_seed(0)
    task = Segment(UNet(classes=3, width=8, depth=2), Optim(lr=1e-2), loss=loss)
    batch = scenes(void=True)
    before, after = fit(task, batch, 70)
    assert after < before / 5
    assert task.scores([batch])["dice"] > 0.95


def masked(masks, splits, classes=("background", "a", "b")):
    masks = np.array(masks, dtype=np.uint8)
    n, side = masks.shape[:2]
    return Table(
        name="four", classes=classes, size=side, pixels=np.zeros((n, side, side, 3), np.uint8),
        splits=np.array(splits, np.uint8), names=tuple(map(str, range(n))), origin="made",
        official=True, columns={"masks": Masks(masks[..., None])},
    )  # fmt: skip


def test_the_trivial_answer_by_hand():
    """Most pixels of the training mask are a's. Of the test images, in the first, half a, half
    background, naming all a is right about half: Dice 2·2/(4 + 2), all of a is found, IoU 2/4. In
    the second, of one pixel of b and void, neither a nor b is right; but nothing is taken for b,
    whose specificity is 1.
    """
    table = masked([[[1, 1], [1, 2]], [[1, 1], [0, 0]], [[2, 0], [0, 255]]], [0, 2, 2])
    found = Segment(Told(LOGITS)).chance(table)
    expected = {"dice": 1 / 3, "jaccard": 1 / 4, "sensitivity": 1 / 2, "specificity": 1 / 4}
    assert found == pytest.approx(expected)


def test_the_trivial_answer_is_what_a_network_that_gives_it_scores(rng):
    """Over more images than are counted at once."""
    masks = torch.randint(0, 3, (600, 4, 4), generator=rng).numpy().astype(np.uint8)
    masks[torch.rand(600, 4, 4, generator=rng).numpy() < 0.1] = 255
    masks[:300][masks[:300] == 1] = 2  # so that class 2 is the largest of the training masks
    table = masked(masks, [0] * 300 + [2] * 300)
    logits = nn.functional.one_hot(torch.full((300, 4, 4), 2), 3).movedim(-1, 1).float()
    task = ready(Segment(Told(logits)))
    scores = task.test(in_order(table, "test", 300)).values
    found = task.chance(table)
    assert found.keys() == {"dice", "jaccard", "sensitivity", "specificity"}
    for name, value in found.items():
        assert value == pytest.approx(scores[name].mean()), name


def test_where_there_is_nothing_to_test_or_to_name_there_is_no_trivial_answer():
    task = Segment(Told(LOGITS))
    assert task.chance(masked([[[1, 1], [1, 2]]], [0])) == {}
    assert task.chance(masked([[[0, 0], [0, 0]]], [2], classes=("background",))) == {}
