"""The two-stage detector: what each stage says, worked out by hand."""

import json
import math

import torch
from torch import nn

from tests.models.fitting import count
from vislab.models import create, faster_rcnn
from vislab.models.faster_rcnn import FasterRCNN, Proposals

STRIDE = 8
OPTIONS = {"backbone": "convnet", "stride": STRIDE, "scales": (1, 2), "hidden": 10}
INFINITY = float("inf")


def small(**options):
    torch.manual_seed(0)
    return FasterRCNN(**{"classes": 3, **OPTIONS, **options})


def test_its_parameters_are_counted_by_hand():
    network = small()
    first = (9 * 64 * 10 + 10) + (10 * 6 + 6) + (10 * 24 + 24)
    second = (64 * 5 + 5) + (5 * 25 * 10 + 10) + (10 * 4 + 4)
    assert count(network) - count(network.backbone) == first + second + (10 * 12 + 12)
    assert count(network) - count(small(refine=False)) == 10 * 12 + 12


def test_the_first_stage_speaks_of_each_anchor_in_turn():
    """Biases alone: anchor a has the logit a and the offsets 4a to 4a + 3, in tenths."""
    network = small()
    for layer, values in ((network.objectness, 6), (network.moved, 24)):
        layer.weight.data.zero_()
        layer.bias.data = torch.arange(values) / 10
    proposals = network.propose(torch.randn(2, 64, 3, 5))
    assert proposals.anchors.shape == (90, 4)
    assert proposals.objectness.shape == (2, 90)
    cell = 6 * (2 * 5 + 1)  # row 2, column 1: around (12, 20)
    torch.testing.assert_close(proposals.objectness[1, cell : cell + 6], torch.arange(6) / 10)
    torch.testing.assert_close(proposals.offsets[1, cell + 3], torch.tensor([1.2, 1.3, 1.4, 1.5]))
    torch.testing.assert_close(proposals.anchors[cell + 2], torch.tensor([8.0, 16.0, 16.0, 24.0]))
    wide, high = proposals.anchors[cell], proposals.anchors[cell + 4]
    root = math.sqrt(2)
    torch.testing.assert_close(
        wide, torch.tensor([12 - 4 * root, 20 - 2 * root, 12 + 4 * root, 20 + 2 * root])
    )
    torch.testing.assert_close(high[2] - high[0], torch.tensor(8 / root))
    torch.testing.assert_close(high[3] - high[1], torch.tensor(8 * root))


def test_a_cell_speaks_of_its_own_place():
    network = small()
    maps = torch.zeros(1, 64, 4, 5)
    before = network.propose(maps)
    maps[0, :, 1, 3] = 5.0
    after = network.propose(maps)
    for column in ("objectness", "offsets"):
        one, other = (getattr(said, column).view(4, 5, -1) for said in (before, after))
        moved = (one != other).any(dim=2)
        assert moved.nonzero().amin(dim=0).tolist() == [0, 2]  # of 3×3 cells
        assert moved.nonzero().amax(dim=0).tolist() == [2, 4]
        assert int(moved.sum()) == 9


def proposed(boxes, logits):
    boxes = torch.tensor(boxes)
    return Proposals(torch.tensor(logits), torch.zeros(len(logits), len(boxes), 4), boxes)


def test_proposals_are_cut_sorted_suppressed_and_padded():
    """In an image of 16×24: the second covers the first by 0.8, the first and the third reach out,
    the fourth is half a pixel high, the fifth has the least logit."""
    boxes = [[-3.0, 0, 10, 10], [0, 0, 10, 8], [18, 10, 30, 20], [0, 0, 9, 0.5], [12, 0, 20, 9]]
    proposals = proposed(boxes, [[1.0, 2.0, 0.5, 3.0, -4.0], [0.0, -1.0, -2.0, -3.0, 9.0]])
    network = small(before=4)
    found, scores = network.selected(proposals, (16, 24))
    assert found.shape == (2, 3, 4)
    assert found[0, :2].tolist() == [[0, 0, 10, 8], [18, 10, 24, 16]]
    assert scores[0].tolist() == [2.0, 0.5, -INFINITY]
    assert found[1].tolist() == [[12, 0, 20, 9], [0, 0, 10, 10], [18, 10, 24, 16]]
    assert scores[1].tolist() == [9.0, 0.0, -2.0]
    found, scores = small(before=4, after=1).selected(proposals, (16, 24))
    assert scores.tolist() == [[2.0], [9.0]]


def test_proposals_move_by_their_offsets_and_teach_nothing():
    proposals = proposed([[4.0, 4, 12, 20]], [[0.0]])
    offsets = proposals.offsets.clone().requires_grad_()
    offsets.data[0, 0] = torch.tensor([0.5, -0.25, math.log(0.5), math.log(0.25)])
    found, _ = small().selected(proposals._replace(offsets=offsets), (32, 32))
    torch.testing.assert_close(found[0, 0], torch.tensor([10.0, 6.0, 14.0, 10.0]))
    assert not found.requires_grad


def test_where_nothing_is_large_enough_there_is_one_row_of_nothing():
    found, scores = small().selected(proposed([[0.0, 0, 0.5, 9]], [[5.0], [7.0]]), (16, 16))
    assert found.shape == (2, 1, 4)
    assert bool((scores == -INFINITY).all())


def test_the_second_stage_looks_at_what_lies_in_the_box():
    """Maps that say of each cell where its middle is, in pixels: boxes read their own middle."""
    network = small(refine=False)
    network.squeeze, network.second, network.kinds = nn.Identity(), nn.Identity(), nn.Identity()
    rows = (torch.arange(10) + 0.5) * STRIDE
    columns = (torch.arange(12) + 0.5) * STRIDE
    maps = torch.stack([columns.expand(10, 12), rows[:, None].expand(10, 12)])
    maps = torch.stack([maps, maps + 1000])
    boxes = torch.tensor([[10.0, 12, 51, 40], [9, 30, 30, 70], [8, 8, 60, 33]])
    seen, offsets = network.judge(maps, boxes, torch.tensor([0, 1, 0]))
    assert offsets is None
    middles = seen.unflatten(1, (2, 25)).mean(dim=2)
    wanted = torch.tensor([[30.5, 26.0], [1019.5, 1050.0], [34.0, 20.5]])
    torch.testing.assert_close(middles, wanted)


def told(network, logits, offsets=None):
    """Return the network with the second stage's answer given."""
    network.judge = lambda _maps, _boxes, _image: (
        torch.tensor(logits),
        None if offsets is None else torch.tensor(offsets),
    )
    return network


def test_what_is_decided_by_hand():
    """Two classes and "nothing": shares of 1/2, 1/4, 1/4. The second class moves the box: by 1/10
    of its width times 10, and with log 2 · 5 it becomes twice as high."""
    logits = [[math.log(2), 0.0, 0.0], [9.0, 9.0, -9.0]]
    moved = [0.0] * 4, [1.0, 0.0, 0.0, 5 * math.log(2)]
    network = told(small(classes=2), logits, [[*moved], [*moved]])
    boxes = torch.tensor([[[10.0, 10, 20, 20], [0, 0, 0, 0]]])
    scores = torch.tensor([[1.0, -INFINITY]])
    found = network.decided(torch.zeros(1, 64, 4, 4), boxes, scores, (22, 30), least=0.0)
    assert found.labels.tolist() == [0, 1]
    torch.testing.assert_close(found.scores, torch.tensor([0.5, 0.25]))
    wanted = torch.tensor([[10.0, 10, 20, 20], [11, 5, 21, 22]])  # 25, cut at 22
    torch.testing.assert_close(found.boxes, wanted)


def test_without_offsets_the_proposals_are_the_answer():
    network = told(small(classes=2, refine=False), [[5.0, 0.0, 0.0]])
    boxes = torch.tensor([[[10.0, 10, 20, 20]]])
    found = network.decided(torch.zeros(1, 64, 4, 4), boxes, torch.ones(1, 1), (32, 32))
    assert found.boxes.tolist() == [[10, 10, 20, 20]]
    assert found.labels.tolist() == [0]


def test_a_batch_is_its_images_one_by_one(rng):
    network = small(before=40, after=9).eval()
    images = torch.randn(3, 3, 32, 40, generator=rng)
    together = network.detect(images, least=0.0, most=7)
    assert len(together.boxes) == 21
    for image in range(3):
        alone = network.detect(images[image : image + 1], least=0.0, most=7)
        mine = together.of(image)
        torch.testing.assert_close(mine.scores, alone.scores, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(mine.boxes, alone.boxes, atol=1e-3, rtol=1e-4)


def test_it_is_built_again_from_what_a_run_keeps(rng):
    for refine in (True, False):
        network = create("faster-rcnn", classes=3, refine=refine, **OPTIONS)
        kept = json.loads(json.dumps(network.built_as))
        again = create(kept["name"], classes=kept["classes"], **kept["options"])
        again.load_state_dict(network.state_dict(), strict=True)
        images = torch.randn(1, 3, 24, 32, generator=rng)
        one, other = (net.eval().detect(images, least=0.0) for net in (network, again))
        assert len(one.boxes)
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_proposals_keep_their_places_where_maps_are_bfloat16(monkeypatch):
    """Of 8 bits, 300.6 would be 300 or 302."""
    torch.manual_seed(0)
    network = create("faster-rcnn", classes=2).eval()
    maps = torch.randn(1, network.backbone.channels, 24, 24)
    boxes = torch.tensor([[300.6, 301.4, 317.3, 318.9], [130.5, 130.5, 135.4, 136.4]])
    seen, align = [], faster_rcnn.roi_align
    monkeypatch.setattr(
        faster_rcnn, "roi_align", lambda m, r, *a, **k: (seen.append(r), align(m, r, *a, **k))[1]
    )
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        scores, _ = network.judge(maps, boxes, torch.zeros(2, dtype=torch.int64))
    assert torch.equal(seen[0][:, 1:], boxes)
    with torch.no_grad():
        exact, _ = network.judge(maps, boxes, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(scores.float(), exact, atol=0.05, rtol=0.05)
