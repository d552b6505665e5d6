"""The single-stage detector: what its numbers mean, worked out by hand."""

import json
import math

import pytest
import torch

from tests.models.fitting import count
from vislab.models import create
from vislab.models.yolo import ANCHORS, Yolo, YoloAnswer

STRIDE = 8


def small(**options):
    torch.manual_seed(0)
    return Yolo(**{"classes": 3, "backbone": "convnet", "stride": STRIDE, "hidden": 6, **options})


def silent(i, j, classes=3):
    """Return an answer that nothing is anywhere."""
    return YoloAnswer(
        torch.full((1, i, j, 9), -99.0), torch.zeros(1, i, j, 9, 4), torch.zeros(1, i, j, classes)
    )


def test_its_head_is_counted_by_hand():
    network = small()
    head = (64 * 6 + 6) + (6 * (5 * 9 + 3) + 5 * 9 + 3)
    assert count(network) - count(network.backbone) == head


def test_a_cell_says_five_numbers_an_anchor_and_then_its_classes():
    network = small().eval()
    last = network.head[3]
    last.weight.data.zero_()
    last.bias.data = torch.arange(48.0) / 10
    answer = network(torch.randn(2, 3, 16, 32))
    assert answer.confidence.shape == (2, 2, 4, 9)
    assert answer.offsets.shape == (2, 2, 4, 9, 4)
    torch.testing.assert_close(answer.confidence[1, 0, 3], torch.arange(0, 45, 5) / 10)
    torch.testing.assert_close(answer.logits[1, 0, 3], torch.tensor([4.5, 4.6, 4.7]))
    half = [1 / (1 + math.exp(-value)) - 0.5 for value in (1.1, 1.2)]
    torch.testing.assert_close(answer.offsets[1, 0, 3, 2], torch.tensor([*half, 1.3, 1.4]))


def test_a_centre_cannot_leave_its_cell(rng):
    network = small().eval()
    network.head[3].weight.data.mul_(1e4)
    answer = network(torch.randn(2, 3, 32, 32, generator=rng))
    assert answer.offsets[..., :2].abs().max() <= 0.5


def test_nine_anchors_stand_in_the_middle_of_each_cell():
    anchors = small().anchors(silent(2, 3))
    assert anchors.shape == (2, 3, 9, 4)
    assert anchors[0, 0, 0].tolist() == [0, 0, 8, 8]
    assert anchors[1, 2, 1].tolist() == [12, 4, 28, 20]
    wide, high = ANCHORS.index((3, 2)), ANCHORS.index((2, 3))
    assert anchors[1, 1, wide].tolist() == [0, 4, 24, 20]
    assert anchors[1, 1, high].tolist() == [4, 0, 20, 24]


def test_what_is_found_by_hand():
    """Cell (1, 2), anchor 2×2: a quarter of a cell to the right, up by half; as wide, twice as
    high. The centre is (20 + 2, 12 − 4), the sides 16 and 32: cut off above."""
    answer = silent(4, 4)
    answer.confidence[0, 1, 2, 1] = math.log(4)  # a sigmoid of 4/5
    answer.offsets[0, 1, 2, 1] = torch.tensor([0.25, -0.5, 0.0, math.log(2)])
    answer.logits[0, 1, 2] = torch.tensor([0.0, math.log(6), 0.0])  # shares 1/8, 6/8, 1/8
    found = small().found(answer, (32, 32))
    assert found.image.tolist() == [0]
    assert found.labels.tolist() == [1]
    torch.testing.assert_close(found.scores, torch.tensor([0.8 * 0.75]))
    torch.testing.assert_close(found.boxes, torch.tensor([[14.0, 0.0, 30.0, 24.0]]))
    assert len(small().found(answer, (32, 32), least=0.61).boxes) == 0


def test_boxes_end_where_the_image_does_also_where_it_is_not_square():
    answer = silent(2, 4)
    answer.confidence[..., 4] = 9.0  # 40×40 pixels
    found = small().found(answer, (16, 32), overlap=1.0)
    assert len(found.boxes) == 8
    assert found.boxes.amin(dim=0).tolist()[:2] == [0, 0]
    assert found.boxes.amax(dim=0).tolist()[2:] == [32, 16]


def test_two_of_one_label_that_overlap_are_one_and_of_two_labels_are_two():
    answer = silent(2, 2)
    answer.confidence[0, 0, 0, 1], answer.confidence[0, 0, 1, 1] = 3.0, 2.0
    answer.offsets[0, 0, 0, 1, 0], answer.offsets[0, 0, 1, 1, 0] = 0.4, -0.4
    answer.logits[0, :, :, 0] = 5.0
    best = 1 / (1 + math.exp(-3)) * math.exp(5) / (math.exp(5) + 2)
    assert small().found(answer, (16, 16)).scores.tolist() == pytest.approx([best])
    answer.logits[0, 0, 1] = torch.tensor([0.0, 0.0, 5.0])
    assert small().found(answer, (16, 16)).labels.tolist() == [0, 2]


def test_a_batch_is_its_images_one_by_one(rng):
    network = small().eval()
    images = torch.randn(3, 3, 32, 24, generator=rng)
    together = network.detect(images, least=0.0, most=7)
    assert len(together.boxes) == 21
    for image in range(3):
        alone = network.detect(images[image : image + 1], least=0.0, most=7)
        for name in ("boxes", "labels", "scores"):
            mine, own = getattr(together.of(image), name), getattr(alone, name)
            torch.testing.assert_close(mine, own, atol=1e-4, rtol=1e-4)


def test_it_is_built_again_from_what_a_run_keeps(rng):
    network = create("yolo", classes=3, backbone="convnet", stride=STRIDE, hidden=6)
    kept = json.loads(json.dumps(network.built_as))
    again = create(kept["name"], classes=kept["classes"], **kept["options"])
    again.load_state_dict(network.state_dict(), strict=True)
    images = torch.randn(1, 3, 24, 32, generator=rng)
    for one, other in zip(network.eval()(images), again.eval()(images), strict=True):
        assert torch.equal(one, other)
