import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from tests.explain.architectures import ARCHITECTURES, WHOLE_MAPS, made, scores
from vislab.errors import ShapeError
from vislab.explain.attention import attention
from vislab.explain.attention_extractor import Layer
from vislab.explain.rollout import gradient_rollout, mixed, rolled_out, rollout, through
from vislab.explain.windows import in_rows


def random_layers(count, tokens, rows, columns):
    return [
        Layer(f"{k}", torch.randn(2, 1, 3, tokens, tokens).softmax(-1),
              in_rows(rows, columns, front=tokens - rows * columns))
        for k in range(count)
    ]  # fmt: skip


def test_rollout_of_identity_attention_is_the_identity():
    identity = torch.eye(7).expand(2, 7, 7)
    whole = through([mixed(identity)] * 5, identity)
    torch.testing.assert_close(whole, identity)


def test_rows_of_a_rollout_sum_to_one_however_heads_are_fused():
    maps = torch.randn(4, 2, 3, 7, 7).softmax(-1)
    for fused in (maps.mean(2), maps.amax(2), maps.amin(2)):
        whole = through([mixed(one) for one in fused], torch.eye(7).expand(2, 7, 7))
        torch.testing.assert_close(whole.sum(dim=2), torch.ones(2, 7))


def test_a_rollout_is_the_sum_over_all_paths():
    """Paths from the class token to each patch, a step a layer, written out."""
    layers = random_layers(2, 5, 2, 2)
    first, last = (layer.maps[:, 0].mean(dim=1) / 2 + torch.eye(5) / 2 for layer in layers)
    expected = torch.zeros(2, 5)
    for image in range(2):
        for patch in range(5):
            for between in range(5):
                step = last[image, 0, between] * first[image, between, patch]
                expected[image, patch] += step
    torch.testing.assert_close(rolled_out(layers), expected[:, 1:].reshape(2, 2, 2))


def test_without_a_class_token_it_is_what_an_average_token_takes():
    layers = random_layers(3, 6, 2, 3)
    whole = torch.eye(6)
    for layer in layers:
        whole = (layer.maps[0, 0].mean(dim=0) / 2 + torch.eye(6) / 2) @ whole
    torch.testing.assert_close(rolled_out(layers)[0], whole.mean(dim=0).reshape(2, 3))


def test_a_network_s_rollout_is_that_of_its_attention():
    model, images = made("timm deit, distilled")
    torch.testing.assert_close(rollout(model, images), rolled_out(attention(model, images)))
    assert not torch.allclose(rollout(model, images), rollout(model, images, fuse="max"))


@pytest.mark.parametrize("name", ["timm deit, distilled", "Hugging Face vit, open"])
def test_gradients_of_the_attention_are_those_of_finite_differences(name):
    """The map of each class by perturbing one head's attention to one patch, in the last layer."""
    model, images = made(name)
    model = model.double().eval()
    images = images.double()
    layers = attention(model, images)
    step = 1e-5

    def score(layer, head, row, column, by):
        """Return class 1's score with one weight of a layer's attention moved."""
        number = 0

        class Mover(torch.overrides.TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                nonlocal number
                kwargs = kwargs or {}
                fused = function is F.scaled_dot_product_attention
                if not fused and not (function is F.softmax and args[0].ndim == 4):
                    return function(*args, **kwargs)
                if fused:
                    scale = kwargs.get("scale") or args[0].shape[-1] ** -0.5
                    maps = (args[0] @ args[1].mT * scale).softmax(-1)
                else:
                    maps = args[0].softmax(-1)
                if number == layer:
                    maps = maps.clone()
                    maps[:, head, row, column] += by
                number += 1
                return maps @ args[2] if fused else maps

        with torch.no_grad(), Mover():
            return scores(model(images))[:, 1]

    tokens = layers[0].maps.shape[3]
    taken = [torch.zeros(2, tokens, tokens, dtype=torch.float64) for _ in layers]
    # The class token's row of the last layer, and every row of the first.
    for layer, rows in ((0, range(tokens)), (1, [0])):
        for row in rows:
            for column in range(tokens):
                for head in range(3):
                    up, down = (score(layer, head, row, column, by) for by in (step, -step))
                    slope = (up - down) / (2 * step)
                    weight = layers[layer].maps[:, 0, head, row, column]
                    taken[layer][:, row, column] += (slope * weight).relu() / 3
    eye = torch.eye(tokens)
    whole = ((eye + taken[1]) @ (eye + taken[0]))[:, 0]
    patches = layers[0].layout.tokens
    found = gradient_rollout(model, images, 1)
    expected = whole[:, -patches:].reshape(found.shape).float()
    assert expected.abs().sum() > 0
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("name", WHOLE_MAPS)
def test_both_rollouts_work_wherever_all_tokens_see_each_other(name):
    model, images = made(name)
    *_, rows, columns = ARCHITECTURES[name][4]
    if name == "torchvision vit_b_16":
        nn.init.normal_(model.heads.head.weight)  # it begins at zero
    modes = [module.training for module in model.modules()]
    plain, of_class = rollout(model, images), gradient_rollout(model, images, 1)
    assert plain.shape == of_class.shape == (2, rows, columns)
    assert (plain > 0).all()
    assert (of_class >= 0).all()
    assert of_class.sum() > 0
    assert [module.training for module in model.modules()] == modes
    assert all(value.grad is None for value in model.parameters())
    assert images.grad is None
    assert not images.requires_grad


@pytest.mark.parametrize("name", ["torchvision maxvit", "Hugging Face swin", "timm mobilevit"])
def test_rollout_across_windows_says_that_it_has_no_meaning(name):
    model, images = made(name)
    for method in (rollout, gradient_rollout):
        with pytest.raises(ShapeError, match=r"rollout has no meaning here: '.*' attends within"):
            method(model, images)


def test_rollout_across_pooled_tokens_says_that_it_has_no_meaning():
    with pytest.raises(ShapeError, match="from 5 tokens to 5, the first layer among 10"):
        rolled_out([*random_layers(1, 10, 3, 3), *random_layers(1, 5, 2, 2)])


def test_another_class_has_another_map_by_gradients():
    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", img_size=48, depth=2, num_classes=3)
    nn.init.normal_(model.head.weight)
    images = torch.randn(2, 3, 48, 48)
    maps = [gradient_rollout(model, images, target) for target in (0, 1)]
    assert not torch.allclose(*maps)
    each = gradient_rollout(model, images, torch.tensor([0, 1]))
    torch.testing.assert_close(each, torch.stack([maps[0][0], maps[1][1]]))
