"""Grad-CAM against CAM, against what its equations give by hand, and against captum."""

import copy

import pytest
import torch
from torch import nn

from tests.explain import own_transformers as own
from tests.explain.test_target_layers import InPlace, deit, squeezenet, state, swin, vit
from vislab.errors import OptionError, ShapeError
from vislab.explain.grad_cam import grad_cam
from vislab.explain.target_layers import TargetLayer, last_target_layer
from vislab.models import ConvNet, resnet18


@pytest.fixture
def images(rng):
    return torch.randn(4, 3, 24, 40, generator=rng)


def seasoned(model, rng):
    """Batch normalisation with averages of its own."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.3 * torch.randn(module.num_features, generator=rng))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=rng))
    return model.eval()


@pytest.fixture
def net(rng):
    torch.manual_seed(0)
    return seasoned(ConvNet(classes=5, widths=(4, 6, 7)), rng)


def cam(maps, weight, chosen):
    """Zhou et al. 2016, equation 2: Σ_c w_kc f_c(i, j), by loops."""
    n, c, rows, columns = maps.shape
    found = torch.zeros(n, rows, columns)
    for image in range(n):
        for channel in range(c):
            found[image] += weight[chosen[image], channel] * maps[image, channel]
    return found


def test_after_global_average_pooling_grad_cam_is_cam_over_the_number_of_places(net, images):
    with torch.no_grad():
        maps = net.features(images)
        chosen = net(images).argmax(dim=1)
    expected = cam(maps, net.head.weight.detach(), chosen).relu() / (3 * 5)
    found = grad_cam(net, images)
    assert found.shape == (4, 3, 5)
    assert (found > 0).any()
    torch.testing.assert_close(found, expected)


def test_each_image_is_asked_about_its_own_class(net, images):
    target = torch.tensor([4, 0, 3, 3])
    with torch.no_grad():
        maps = net.features(images)
    expected = cam(maps, net.head.weight.detach(), target).relu() / (3 * 5)
    assert (expected > 0).any()
    assert (expected == 0).any()
    torch.testing.assert_close(grad_cam(net, images, target), expected)


def test_an_image_has_the_same_map_in_any_company(net, images):
    together = grad_cam(net, images, torch.tensor([1, 2, 0, 4]))
    for place, target in enumerate((1, 2, 0, 4)):
        alone = grad_cam(net, images[place : place + 1], torch.tensor([target]))
        torch.testing.assert_close(together[place : place + 1], alone)


def test_twice_the_weight_is_twice_the_evidence_and_a_bias_is_none(net, images):
    target = torch.tensor([1, 2, 0, 4])
    before = grad_cam(net, images, target)
    with torch.no_grad():
        net.head.weight.mul_(2)
        net.head.bias.add_(torch.arange(5.0))
    torch.testing.assert_close(grad_cam(net, images, target), 2 * before)


def test_evidence_lies_where_the_thing_is():
    """The score of class 0 is the mean of red; a red bar stands at the lower left."""
    model = nn.Sequential(
        nn.Conv2d(3, 3, 1, bias=False), nn.AvgPool2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(3, 2, bias=False),
    )  # fmt: skip
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(3)[..., None, None])
        model[4].weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]))
    image = torch.zeros(1, 3, 12, 20)
    image[:, 0, 8:, 0:8] = 1.0
    image[:, 1, :4] = 0.5  # green, class 1, all along the top
    found = grad_cam(model, image, torch.tensor([0]))[0]
    assert (found > 0).nonzero().tolist() == [[2, 0], [2, 1]]
    found = grad_cam(model, image, torch.tensor([1]))[0]
    assert (found > 0).nonzero().tolist() == [[0, column] for column in range(5)]


@pytest.mark.parametrize(
    ("build", "layer"),
    [
        (lambda: ConvNet(classes=5, widths=(4, 6, 7)), "features.0"),
        (lambda: ConvNet(classes=5, widths=(4, 6, 7)), "features.8"),
        (lambda: ConvNet(classes=5, widths=(4, 6, 7)), "features.13"),
        (lambda: resnet18(classes=5), "layer2"),
        (lambda: resnet18(classes=5), "layer3.0.conv2"),
    ],
)
def test_captum_finds_the_same_in_any_layer(build, layer, images, rng):
    attr = pytest.importorskip("captum.attr")
    torch.manual_seed(0)
    model, target = seasoned(build(), rng), torch.tensor([1, 0, 4, 2])
    theirs = attr.LayerGradCam(model, model.get_submodule(layer)).attribute(
        images, target, relu_attributions=True
    )
    rows, columns = theirs.shape[2:]
    ours = grad_cam(model, images, target, target_layer=TargetLayer(layer, rows, columns, "nchw"))
    theirs = theirs[:, 0].detach()
    assert theirs.max() > 0
    assert (ours - theirs).abs().max() / theirs.max() < 1e-5


def test_a_relu_in_place_that_is_used_twice_does_not_spoil_the_maps_around_it(images):
    """Of the ReLU it is CAM; before it, a channel weighs what its share of open places lets by."""
    torch.manual_seed(0)
    model, target = InPlace(), torch.tensor([2, 0, 1, 1])
    with torch.no_grad():
        before = model.second(model.first(images).clamp(min=0))
    after, weight = before.clamp(min=0), model.head.weight.detach()
    size = before.shape[2:]
    at_relu = grad_cam(model, images, target, target_layer=TargetLayer("relu", *size, "nchw"))
    torch.testing.assert_close(at_relu, cam(after, weight, target).relu() / size.numel())
    open_share = (before > 0).float().mean(dim=(2, 3), keepdim=True)
    expected = cam(open_share * before, weight, target).relu() / size.numel()
    at_second = grad_cam(model, images, target, target_layer=TargetLayer("second", *size, "nchw"))
    assert expected.max() > 0
    torch.testing.assert_close(at_second, expected)
    assert model.relu.inplace


def test_tokens_that_are_averaged_give_cam_too(rng):
    """The slope of the score by the mean token, over the 6 · 4 tokens, times each token."""
    torch.manual_seed(0)
    model = vit((48, 32), global_pool="avg", class_token=False).eval()
    images = torch.randn(3, 3, 48, 32, generator=rng)
    target = torch.tensor([2, 0, 3])
    with torch.no_grad():
        tokens = model.forward_features(images)  # (N, T, D)
    mean = tokens.mean(dim=1).requires_grad_()
    scores = model.head(model.fc_norm(mean))
    (slope,) = torch.autograd.grad(scores.gather(1, target[:, None]).sum(), mean)
    expected = torch.einsum("ntd,nd->nt", tokens, slope).relu().reshape(3, 6, 4) / 24
    torch.testing.assert_close(grad_cam(model, images, target), expected)


def test_channels_last_give_cam_too(rng):
    torch.manual_seed(0)
    model, images = swin((64, 96)).eval(), torch.randn(2, 3, 64, 96, generator=rng)
    with torch.no_grad():
        maps = model.forward_features(images).permute(0, 3, 1, 2)
        chosen = model(images).argmax(dim=1)
    expected = cam(maps, model.head.fc.weight.detach(), chosen).relu() / (8 * 12)
    torch.testing.assert_close(grad_cam(model, images), expected)


@pytest.mark.parametrize("build", [vit, deit])
def test_a_transformer_with_a_class_token_has_a_map_of_its_patches(build, rng):
    """By hand from equations 1 and 2, at the tokens that the last attention reads."""
    torch.manual_seed(0)
    model, images = build().eval(), torch.randn(2, 3, 32, 32, generator=rng)
    target, seen = torch.tensor([3, 1]), []
    hook = model.blocks[1].norm1.register_forward_hook(lambda _m, _x, out: seen.append(out))
    score = model(images).gather(1, target[:, None]).sum()
    hook.remove()
    (slope,) = torch.autograd.grad(score, seen[0])
    patches, slope = seen[0].detach()[:, -16:], slope[:, -16:]
    weights = slope.mean(dim=1, keepdim=True)
    expected = (weights * patches).sum(dim=2).relu().reshape(2, 4, 4)
    assert expected.max() > 0
    torch.testing.assert_close(grad_cam(model, images, target), expected)


def of_timm(name, **options):
    timm = pytest.importorskip("timm")
    return timm.create_model(name, num_classes=4, **options)


WITNESSED = {  # the network, its image, the layer, its grid, tokens in front of the patches
    "class token first": (lambda: own.ViT(1, 0, reads=0), (32, 48), "blocks.1.norm1", (4, 6), 1),
    "class token last": (lambda: own.ViT(0, 1, reads=-1), (48, 32), "blocks.1.norm1", (6, 4), 0),
    "registers behind": (lambda: own.ViT(1, 4, reads=0), (32, 32), "blocks.1.norm1", (4, 4), 1),
    "linear patches": (
        lambda: own.ViT(2, 1, reads=1, linear=True), (32, 80), "blocks.1.norm1", (4, 10), 2
    ),
    "timm's xcit": (
        lambda: of_timm("xcit_nano_12_p16_224", depth=2), (64, 96), "cls_attn_blocks.1.norm1",
        (4, 6), 1,
    ),
    "timm's tnt": (
        lambda: of_timm("tnt_s_patch16_224", img_size=64, depth=2), (64, 64), "blocks.1.norm_out",
        (4, 4), 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WITNESSED)
def test_it_is_that_of_the_patches_that_the_last_attention_reads(name, rng):
    """Equations 1 and 2 by loops, at the layer and tokens told by hand."""
    build, size, layer, (rows, columns), front = WITNESSED[name]
    torch.manual_seed(0)
    model, seen = build().eval(), []
    images, target = torch.randn(2, 3, *size, generator=rng), torch.tensor([1, 3])
    hook = model.get_submodule(layer).register_forward_hook(lambda _m, _x, out: seen.append(out))
    score = model(images).gather(1, target[:, None]).sum()
    hook.remove()
    (slope,) = torch.autograd.grad(score, seen[0])
    expected = torch.zeros(2, rows, columns)
    for i in range(rows):
        for j in range(columns):
            token = seen[0][:, front + i * columns + j].detach()
            mean = sum(slope[:, front + k] for k in range(rows * columns)) / (rows * columns)
            expected[:, i, j] = (mean * token).sum(dim=1).relu()
    assert (expected.amax(dim=(1, 2)) > 0).any()
    torch.testing.assert_close(grad_cam(model, images, target), expected)


def test_where_places_have_scores_the_map_is_the_classes_own(rng):
    """SqueezeNet averages its score maps; dropout before them must be off."""
    torch.manual_seed(0)
    model, images = squeezenet(), torch.randn(2, 3, 64, 80, generator=rng)
    target = torch.tensor([2, 0])
    with torch.no_grad():
        maps = model.eval().classifier[:3](model.features(images))
    expected = maps[torch.arange(2), target] / (3 * 4)
    torch.testing.assert_close(grad_cam(model.train(), images, target), expected)
    assert expected.max() > 0


def test_places_are_those_of_the_deepest_layer_unless_told(net, images):
    same = grad_cam(net, images, target_layer=last_target_layer(net, images[0]))
    torch.testing.assert_close(grad_cam(net, images), same)
    assert grad_cam(net, images, target_layer=TargetLayer("features.3", 24, 40, "nchw")).shape == (
        4,
        24,
        40,
    )


def test_a_network_without_places_is_told_so():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 4))
    with pytest.raises(ShapeError, match="no layer of the network has places"):
        grad_cam(model, torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize("target", [None, [0, 99]], ids=["found", "an error in the middle"])
def test_nothing_is_left_behind(target):
    torch.manual_seed(0)
    model, images = InPlace().train(), torch.randn(2, 3, 33, 40)
    model.first.eval()
    model.first.weight.requires_grad_(False)
    before, kept = copy.deepcopy(state(model)), images.clone()
    if target is None:
        found = grad_cam(model, images)
        assert not found.requires_grad
    else:
        with pytest.raises(OptionError, match="no class 99"):
            grad_cam(model, images, torch.tensor(target))
    assert state(model) == before
    assert not images.requires_grad
    assert torch.equal(images, kept)


def test_gradients_need_not_be_on_and_the_network_may_be_frozen(net, images):
    expected = grad_cam(net, images)
    net.requires_grad_(False)
    with torch.no_grad():
        torch.testing.assert_close(grad_cam(net, images), expected)


def test_hugging_faces_own_answer_is_read(rng):
    import transformers as hf

    torch.manual_seed(0)
    model = hf.ResNetForImageClassification(hf.ResNetConfig(depths=[1, 1, 1, 1], num_labels=4))
    images = torch.randn(2, 3, 64, 64, generator=rng)
    found = grad_cam(model.eval(), images, 3)
    assert found.shape == (2, 2, 2)
    assert (found > 0).any()
