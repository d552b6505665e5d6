"""One box's score, one region's class: the numbers that the network gave, and their maps."""

import copy

import pytest
import torch
from torch import nn

from tests.explain.nets_to_explain import state
from vislab.errors import OptionError, ShapeError
from vislab.explain.dense import BoxScore, RegionScore
from vislab.explain.grad_cam import grad_cam
from vislab.explain.methods import METHODS
from vislab.explain.target_layers import TargetLayer
from vislab.models.faster_rcnn import FasterRCNN
from vislab.models.segnet import SegNet
from vislab.models.unet import UNet
from vislab.models.yolo import Yolo

SIZE = (32, 48)


def detector(name):
    torch.manual_seed(0)
    common = {"classes": 3, "backbone": "convnet", "stride": 8, "hidden": 6}
    if name == "yolo":
        network = Yolo(**common)
    else:
        network = FasterRCNN(**common, refine=name == "refined", pooled=2, before=40, after=9)
        network.kinds.weight.data.mul_(300)  # fresh ones give all boxes the same scores
        if network.refined is not None:
            network.refined.bias.data.normal_(std=4)  # each class moves boxes its own way
    return network.eval()


DETECTORS = ("yolo", "refined", "classes-only")


def scene(rng, count=2):
    return torch.randn(count, 3, *SIZE, generator=rng)


@pytest.mark.parametrize("name", DETECTORS)
def test_the_share_of_a_boxs_class_is_the_score_that_it_was_found_with(name, rng):
    network, images = detector(name), scene(rng)
    with torch.no_grad():
        found = network.detect(images, least=0.02)
    assert len(found.scores) > 10
    assert found.scores.std() > 1e-3
    for image, box, kind, score in zip(*found, strict=True):
        one = BoxScore(network, images[image], box, int(kind)).eval()
        with torch.no_grad():
            shares = one(images[image][None]).softmax(dim=1)
        assert shares.shape == (1, 4)
        torch.testing.assert_close(shares[0, kind], score, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", DETECTORS)
def test_another_image_is_asked_at_the_place_of_the_first(name, rng):
    network, images = detector(name), scene(rng)
    with torch.no_grad():
        found = network.detect(images[:1], least=0.02)
        one = BoxScore(network, images[0], found.boxes[0], int(found.labels[0])).eval()
        together, alone = one(images), one(images[1:])
        if name == "yolo":
            row, column, anchor = one.origin.tolist()
            answer = network(images)
            sure = answer.confidence[:, row, column, anchor].sigmoid()[:, None]
            expected = torch.cat([sure * answer.logits[:, row, column].softmax(1), 1 - sure], 1)
        else:
            kinds, _ = network.judge(
                network.backbone(images), one.origin.repeat(2, 1), torch.arange(2)
            )
            expected = kinds.softmax(dim=1)
    torch.testing.assert_close(together[1:], alone)
    torch.testing.assert_close(together.softmax(dim=1), expected)
    assert not torch.allclose(together[0], together[1])


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_is_left_as_it_was(name, rng):
    network, images = detector(name).train(), scene(rng)
    before = copy.deepcopy(state(network))
    one = BoxScore(network, images[0], torch.tensor([3.0, 4.0, 20.0, 25.0]), 1)
    grad_cam(one, images[:1], 1, target_layer=one.target_layers(images[0])["last maps"])
    assert state(network) == before


class Sum(nn.Module):
    """A detector of one class: a box's score is a weighted sum of one cell of the maps."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.AvgPool2d(4))
        self.weight = nn.Parameter(torch.tensor([1.0, -2.0, 0.5, 3.0]))

    def origin_of(self, image, box, kind):
        return (box[:2] / 4).long()

    def scores_from(self, images, origin):
        column, row = origin.tolist()
        score = self.backbone(images)[:, :, row, column] @ self.weight
        return torch.stack([score, -score], dim=1)


def test_grad_cam_of_a_box_is_by_hand_what_its_cell_weighs(rng):
    """The slope is w at one of the I·J cells, so equation 1 gives w / (I·J) to each channel."""
    torch.manual_seed(0)
    network, images = Sum(), scene(rng, 1)
    one = BoxScore(network, images[0], torch.tensor([8.0, 4.0, 16.0, 12.0]), 0)
    assert one.origin.tolist() == [2, 1]
    layers = one.target_layers(images[0])
    assert layers == {"last maps": TargetLayer("detector.backbone", 8, 12, "nchw")}
    with torch.no_grad():
        maps = network.backbone(images)[0]
        expected = torch.zeros(8, 12)
        for channel in range(4):
            expected += network.weight[channel] * maps[channel] / (8 * 12)
    found = grad_cam(one, images, 0, target_layer=layers["last maps"])
    assert (found > 0).any()
    torch.testing.assert_close(found[0], expected.relu())


def segmenter(rng):
    """Two layers: 5 maps, then 3 classes from each pixel of them."""
    network = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 3, 1))
    for weight in network.parameters():
        weight.data = torch.randn(weight.shape, generator=rng)
    return network.eval()


def test_a_regions_score_is_the_mean_over_its_pixels(rng):
    network, images = segmenter(rng), scene(rng)
    region = torch.rand(SIZE, generator=rng) < 0.1
    with torch.no_grad():
        found, scores = RegionScore(network, region)(images), network(images)
    expected = torch.zeros(2, 3)
    for row, column in region.nonzero().tolist():
        expected += scores[:, :, row, column] / int(region.sum())
    torch.testing.assert_close(found, expected)


def test_grad_cam_of_a_region_before_a_1x1_head_is_the_class_everywhere(rng):
    """The mean over the region has the slope w_kc / M at M pixels: w_kc / (H·W) by equation 1."""
    network, images = segmenter(rng), scene(rng, 1)
    region = torch.zeros(SIZE, dtype=torch.bool)
    region[3:9, 5:6] = True
    one = RegionScore(network, region)
    layers = one.target_layers(images[0])
    assert layers == {"last maps": TargetLayer("network.1", *SIZE, "nchw")}
    with torch.no_grad():
        maps, weight = network[:2](images)[0], network[2].weight[1, :, 0, 0]
        expected = torch.einsum("chw,c->hw", maps, weight).relu() / (32 * 48)
    found = grad_cam(one, images, 1, target_layer=layers["last maps"])
    assert (found > 0).any()
    torch.testing.assert_close(found[0], expected)


@pytest.mark.parametrize(
    ("build", "coarsest", "last"),
    [
        (lambda: UNet(classes=3, width=4, depth=2), ("down.2", 8, 12), "up.0"),
        (lambda: SegNet(classes=3, width=4, convolutions=(1, 1)), ("up.1", 16, 24), "up.0"),
    ],
)
def test_regions_are_explained_at_the_coarsest_maps_and_the_last_but_the_scores(
    build, coarsest, last, rng
):
    torch.manual_seed(0)
    one = RegionScore(build().eval(), torch.ones(SIZE, dtype=torch.bool))
    name, rows, columns = coarsest
    assert one.target_layers(scene(rng)[0]) == {
        "coarsest maps": TargetLayer(f"network.{name}", rows, columns, "nchw"),
        "last maps": TargetLayer(f"network.{last}", *SIZE, "nchw"),
    }


def test_every_method_that_explains_a_classifier_explains_these(rng):
    images, region = scene(rng, 1), torch.zeros(SIZE, dtype=torch.bool)
    region[4:9, 7:20] = True
    torch.manual_seed(0)
    network, box = detector("yolo"), torch.tensor([3.0, 4.0, 20.0, 25.0])
    segmenting = UNet(classes=3, width=4, depth=2).eval()
    for one in (BoxScore(network, images[0], box, 1), RegionScore(segmenting, region)):
        explained = set()
        for name, method in METHODS.items():
            try:
                found = method(one, images, 1)
            except ShapeError:
                continue
            assert bool(found.isfinite().all()), name
            explained.add(name)
        assert explained >= {"saliency", "smooth-grad", "integrated-gradients", "occlusion"}
        assert explained >= {"guided-backprop", "deconvnet", "grad-cam", "grad-cam-plus-plus"}


def test_a_network_without_origins_has_no_box_to_explain():
    with pytest.raises(ShapeError, match=r"Conv2d does not tell .* origin_of and scores_from"):
        BoxScore(nn.Conv2d(3, 3, 1), torch.zeros(3, 8, 8), torch.zeros(4), 0)


def test_a_region_without_pixels_or_of_another_size_is_refused(rng):
    network, images = segmenter(rng), scene(rng)
    with pytest.raises(OptionError, match="no pixels"):
        RegionScore(network, torch.zeros(SIZE, dtype=torch.bool))
    region = torch.ones(8, 9, dtype=torch.bool)
    with pytest.raises(ShapeError, match=r"8×9 pixels .* got \(2, 3, 32, 48\)"):
        RegionScore(network, region)(images)
    with pytest.raises(ShapeError, match="got YoloAnswer"):
        RegionScore(detector("yolo"), region)(images)


def test_a_network_that_is_nothing_but_its_scores_has_no_maps(rng):
    one = RegionScore(nn.Conv2d(3, 3, 1), torch.ones(SIZE, dtype=torch.bool))
    with pytest.raises(ShapeError, match="no maps before its scores"):
        one.target_layers(scene(rng)[0])
