"""torchvision's detector over our backbones."""

import copy
import json

import pytest
import torch
from safetensors.torch import load, save

from vislab.models import create
from vislab.models.torchvision_detector import TorchvisionFasterRCNN
from vislab.ops.anchors import anchor_grid

OPTIONS = {"size": 32, "backbone": "convnet", "stride": 8, "scales": [1, 2]}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return TorchvisionFasterRCNN(classes=3, **OPTIONS)


def test_images_reach_the_backbone_as_they_are(network, rng):
    seen = []
    network.backbone.register_forward_pre_hook(lambda _m, taken: seen.append(taken[0]))
    images = torch.randn(2, 3, 32, 32, generator=rng)
    network.eval().detect(images)
    torch.testing.assert_close(seen[0], images)


def test_its_anchors_have_our_shapes(network):
    """At the corners of the cells, where ours are in the middle, and in whole pixels."""
    from torchvision.models.detection.image_list import ImageList

    images = ImageList(torch.zeros(1, 3, 32, 32), [(32, 32)])
    (theirs,) = network.detector.rpn.anchor_generator(images, [torch.zeros(1, 64, 4, 4)])
    from vislab.ops.anchors import shapes_of

    ours = anchor_grid(4, 4, 8, shapes_of([8, 16], (0.5, 1.0, 2.0))).flatten(0, 2)
    assert theirs.shape == ours.shape
    assert (theirs + 4 - ours).abs().max() <= 0.5


def test_there_are_four_losses_and_all_weights_have_a_part(network, rng):
    images = torch.randn(2, 3, 32, 32, generator=rng)
    boxes = [torch.tensor([[2.0, 3, 14, 20], [20, 20, 30, 30]]), torch.zeros(0, 4)]
    labels = [torch.tensor([0, 2]), torch.zeros(0, dtype=torch.int64)]
    losses = network.train().losses(images, boxes, labels)
    assert len(losses) == 4
    torch.stack(list(losses.values())).sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_classes_are_counted_from_zero_and_images_told_apart(network, rng):
    images = torch.randn(3, 3, 32, 32, generator=rng)
    scores = network.detector.roi_heads.box_predictor.cls_score
    scores.weight.data.zero_()
    scores.bias.data = torch.tensor([0.0, -9.0, 5.0, -9.0])  # "nothing", then classes 0 to 2
    found = network.eval().detect(images, least=0.5, most=3)
    assert found.labels.tolist() == [1] * len(found.labels)
    assert found.image.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert len(network.detect(images, least=0.999).boxes) == 0
    alone = network.detect(images[1:2], least=0.5, most=3)
    torch.testing.assert_close(found.of(1).boxes, alone.boxes, atol=1e-3, rtol=1e-4)


def test_its_weights_are_kept_once_and_read_back(network, rng):
    built = create("torchvision-faster-rcnn", classes=3, **OPTIONS)
    weights = load(save(built.state_dict()))
    kept = json.loads(json.dumps(built.built_as))
    again = create(kept["name"], classes=kept["classes"], **kept["options"])
    again.load_state_dict(weights, strict=True)
    images = torch.randn(1, 3, 32, 32, generator=rng)
    one, other = (net.eval().detect(images, least=0.0) for net in (built, again))
    assert len(one.boxes)
    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_a_copy_has_a_backbone_of_its_own(network):
    copied = copy.deepcopy(network)
    assert copied.backbone is copied.detector.backbone
    assert copied.backbone is not network.backbone
