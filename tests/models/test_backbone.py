"""Networks by name as givers of maps."""

import copy
import gc
import weakref

import pytest
import torch
from torch import nn

from vislab.errors import OptionError
from vislab.models import register
from vislab.models.backbone import Backbone
from vislab.models.classifiers import NETWORKS

# Where each must end, worked out from how it is built, and its channels there.
ENDS = [
    ("convnet", 4, "features.19", 64),
    ("torchvision:resnet18", 8, "layer2", 128),
    ("torchvision:resnet18", 16, "layer3", 256),
    ("torchvision:resnet18", 32, "layer4", 512),
    ("torchvision:mobilenet_v2", 16, "features.13", 96),
    ("torchvision:mobilenet_v2", 32, "features", 1280),
    ("torchvision:shufflenet_v2_x0_5", 16, "stage3", 96),
    ("torchvision:mobilenet_v3_small", 8, "features.3", 24),
    ("timm:test_resnet", 16, "layer3", 192),
    ("timm:test_efficientnet", 8, "blocks.2", 32),
    ("timm:test_convnext", 32, None, 64),
    ("timm:edgenext_xx_small", 16, None, 88),
    ("efficientnet-lite0", 32, None, 1280),
    ("compact", 16, None, 112),
]


@pytest.mark.parametrize(("name", "stride", "ends", "channels"), ENDS)
def test_it_ends_at_the_last_maps_of_the_stride(name, stride, ends, channels, rng):
    torch.manual_seed(0)
    backbone = Backbone(name, stride=stride)
    maps = backbone(torch.randn(2, 3, 3 * stride, 2 * stride, generator=rng))
    assert maps.shape == (2, channels, 3, 2)
    assert backbone.channels == channels
    hooked = [path for path, module in backbone.network.named_modules() if module._forward_hooks]
    assert len(hooked) == 1
    assert ends in (None, hooked[0])

    maps.square().sum().backward()
    assert [path for path, p in backbone.named_parameters() if p.grad is None] == []

    copied = copy.deepcopy(backbone).eval()
    images = torch.randn(1, 3, 2 * stride, 2 * stride, generator=rng)
    maps = backbone.eval()(images)
    assert torch.equal(copied(images), maps)
    with torch.no_grad():
        for p in copied.parameters():
            p.zero_()
    assert torch.equal(backbone(images), maps)

    again = Backbone(name, stride=stride).eval()
    again.load_state_dict(backbone.state_dict(), strict=True)
    assert torch.equal(again(images), maps)


def test_its_maps_are_those_inside_the_whole_network(rng):
    import torchvision

    torch.manual_seed(0)
    backbone = Backbone("torchvision:resnet18", stride=16).eval()
    whole = torchvision.models.resnet18(num_classes=2).eval()
    kept = {name.removeprefix("network."): v for name, v in backbone.state_dict().items()}
    missing = whole.load_state_dict(kept, strict=False).missing_keys
    assert {name.split(".")[0] for name in missing} == {"layer4", "fc"}
    seen = []
    whole.layer3.register_forward_hook(lambda _m, _i, out: seen.append(out))
    images = torch.randn(2, 3, 64, 96, generator=rng)
    whole(images)
    assert torch.equal(backbone(images), seen[0])


def test_building_leaves_training_mode_averages_and_grad_mode_as_they_are():
    backbone = Backbone("torchvision:resnet18", stride=16)
    assert all(module.training for module in backbone.modules())
    assert all(p.grad is None and p.requires_grad for p in backbone.parameters())
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(m.num_batches_tracked == 0 and bool((m.running_mean == 0).all()) for m in norms)


@pytest.mark.parametrize(
    ("name", "stride", "sentence"),
    [
        ("convnet", 16, "convnet has no maps of stride 16"),
        ("torchvision:alexnet", 8, "alexnet has no maps of stride 8"),
        ("torchvision:vit_b_32", 32, "vit_b_32 cannot give maps for boxes: .*height"),
        ("timm:test_vit", 16, r"test_vit has maps only where cls_token is not used yet"),
        ("timm:test_vit4", 16, r"test_vit4 has maps only where reg_token is not used yet"),
    ],
)
def test_a_network_without_such_maps_is_refused(name, stride, sentence):
    with pytest.raises(OptionError, match=sentence):
        Backbone(name, stride=stride)


class Looping(nn.Module):
    """Goes through one and the same layer twice at half the size, and then ends."""

    def __init__(self, classes):
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.again = nn.Conv2d(5, 5, 3, padding=1)
        self.last = nn.Linear(5, classes)

    def forward(self, x):
        x = self.again(self.again(self.first(x)))
        return self.last(x.mean(dim=(2, 3)))


def test_a_layer_that_is_gone_through_twice_is_not_where_it_ends(monkeypatch, rng):
    monkeypatch.setitem(NETWORKS, "looping", None)
    register("looping")(Looping)
    backbone = Backbone("looping", stride=2)
    images = torch.randn(1, 3, 6, 8, generator=rng)
    first = backbone.network.first
    maps = nn.functional.conv2d(images, first.weight, first.bias, stride=2, padding=1)
    torch.testing.assert_close(backbone(images), maps)
    assert [path for path, _ in backbone.network.named_parameters()] == [
        "first.weight",
        "first.bias",
    ]


def test_no_maps_are_kept_once_they_are_let_go(rng):
    backbone, kept = Backbone("convnet", stride=4), []
    backbone.network.features[0].register_forward_hook(
        lambda _m, _i, out: kept.append(weakref.ref(out))
    )
    gc.collect()
    gc.disable()
    try:
        maps = backbone(torch.randn(1, 3, 16, 16, generator=rng))
        kept.append(weakref.ref(maps))
        del maps
        assert [ref() for ref in kept] == [None, None]
    finally:
        gc.enable()
