import math

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from vislab.errors import ShapeError, UnknownName
from vislab.explain.attention import attention, class_attention, distance, entropy, head_attention
from vislab.explain.attention_extractor import Layer, watch
from vislab.explain.windows import Layout, in_rows


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=24, patch_size=8, depth=3, embed_dim=24, num_heads=3,
        num_classes=4,
    )  # fmt: skip


def layer(maps, rows, columns):
    """Patches row by row behind the others."""
    return Layer("here", maps, in_rows(rows, columns, front=maps.shape[4] - rows * columns))


def test_it_is_the_attention_that_the_values_are_weighed_by(vit):
    """Attention times values is what the fused kernel gave: caught at its own call."""
    calls = []
    original = F.scaled_dot_product_attention

    def spy(query, key, value, **rest):
        calls.append((value, original(query, key, value, **rest)))
        return calls[-1][1]

    images = torch.randn(2, 3, 24, 24)
    found = attention(vit, images)
    with pytest.MonkeyPatch.context() as patched, torch.no_grad():
        patched.setattr(F, "scaled_dot_product_attention", spy)
        vit.eval()(images)
    assert len(calls) == 3
    for one, (value, out) in zip(found, calls, strict=True):
        torch.testing.assert_close(one.maps[:, 0] @ value, out)


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("masked", [True, False])
def test_it_is_what_multihead_attention_gives_when_it_is_asked(asked, masked):
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.MultiheadAttention(6, 3)

        def forward(self, images):
            tokens = images.flatten(2).permute(2, 0, 1).repeat(1, 1, 2)  # (T, N, 6)
            self.given = tokens
            self.mask = torch.ones(6, 6, dtype=torch.bool).triu(1) if masked else None
            return self.inner(tokens, tokens, tokens, need_weights=asked, attn_mask=self.mask)[0]

    torch.manual_seed(1)
    model = Attends()
    (found,) = attention(model, torch.randn(2, 3, 2, 3))
    expected = model.inner(
        model.given, model.given, model.given, attn_mask=model.mask, average_attn_weights=False
    )[1]
    torch.testing.assert_close(found.maps[:, 0], expected)
    assert found.name == "inner"


class Fused(nn.Module):
    """Scaled dot-product attention among the pixels, with options of the call."""

    def __init__(self, heads=1, **options):
        super().__init__()
        self.heads, self.options = heads, options

    def forward(self, images):
        tokens = images.flatten(2).mT[:, None]  # (N, 1, T, 3)
        query = torch.cat([tokens * (1 + k) for k in range(self.heads)], dim=1)
        key = query[:, :: 2 if self.options.get("enable_gqa") else 1]
        return F.scaled_dot_product_attention(query, key, key, **self.options)


@pytest.mark.parametrize("masked", ["causal", "boolean", "added"])
def test_masks_are_heeded(masked):
    upper = torch.ones(4, 4, dtype=torch.bool).triu(1)
    options = {
        "causal": {"is_causal": True},
        "boolean": {"attn_mask": ~upper},
        "added": {"attn_mask": torch.zeros(4, 4).masked_fill(upper, -math.inf)},
    }[masked]
    images = torch.randn(2, 3, 2, 2)
    (found,) = attention(Fused(scale=0.7, **options), images)
    q = images.flatten(2).mT[:, None]
    scores = (0.7 * q @ q.mT).masked_fill(upper, -math.inf)
    torch.testing.assert_close(found.maps[:, 0], scores.softmax(dim=-1))


def test_queries_that_share_a_key_each_have_a_map():
    images, model = torch.randn(2, 3, 2, 2), Fused(heads=4, enable_gqa=True)
    with torch.no_grad(), watch(model, images) as found:
        answer = model(images)
    assert found[0].maps.shape == (2, 1, 4, 4, 4)
    shared = images.flatten(2).mT[:, None]
    values = torch.cat([shared, shared, 3 * shared, 3 * shared], dim=1)
    torch.testing.assert_close(found[0].maps[:, 0] @ values, answer)


def test_attention_in_the_graph_gives_the_same_answer_and_has_gradients(vit):
    images = torch.randn(2, 3, 24, 24)
    plain = vit.eval()(images)
    with watch(vit, images, in_graph=True) as found:
        answer = vit(images)
    torch.testing.assert_close(answer, plain, atol=1e-5, rtol=0)
    slopes = torch.autograd.grad(answer[:, 0].sum(), [one.maps for one in found])
    assert all(slope.abs().sum() > 0 for slope in slopes)


def test_in_the_graph_queries_that_share_a_key_get_its_value():
    images, model = torch.randn(2, 3, 2, 2), Fused(heads=4, enable_gqa=True)
    with watch(model, images, in_graph=True):
        answer = model(images)
    torch.testing.assert_close(answer, model(images))


def test_only_the_layers_asked_for_are_kept_and_they_are_the_same(vit):
    images = torch.randn(2, 3, 24, 24)
    whole = attention(vit, images)
    (one,) = attention(vit, images, layers=["blocks.1.attn"])
    assert torch.equal(one.maps, whole[1].maps)
    with pytest.raises(UnknownName, match=r"'blocks\.9\.attn'.*Known: blocks\.0\.attn, blocks\.1"):
        attention(vit, images, layers=["blocks.1.attn", "blocks.9.attn"])


@pytest.mark.parametrize("fuse", ["mean", "max", "min"])
def test_heads_fused_on_the_way_are_those_fused_afterwards(vit, fuse):
    images = torch.randn(2, 3, 24, 24)
    whole, fused = attention(vit, images)[2], attention(vit, images, fuse=fuse)[2]
    stacked = whole.maps.unbind(dim=2)
    expected = {
        "mean": sum(stacked) / 3,
        "max": torch.maximum(torch.maximum(*stacked[:2]), stacked[2]),
        "min": torch.minimum(torch.minimum(*stacked[:2]), stacked[2]),
    }[fuse]
    torch.testing.assert_close(fused.maps, expected[:, :, None])
    torch.testing.assert_close(class_attention(whole, fuse=fuse), class_attention(fused))


def test_what_a_network_overwrites_later_is_kept_as_it_was():
    class Overwrites(nn.Module):
        def forward(self, images):
            maps = images.flatten(2).mT @ images.flatten(2)
            return maps.softmax(dim=2).zero_()

    (found,) = attention(Overwrites(), torch.randn(2, 3, 2, 2))
    torch.testing.assert_close(found.maps.sum(dim=-1), torch.ones(2, 1, 1, 4))


@pytest.mark.parametrize("given", ["class scores", "another axis", "uneven"])
def test_a_softmax_that_is_no_attention_is_passed_over(given):
    class Model(nn.Module):
        def forward(self, images):
            if given == "class scores":
                return images[:, :2, 0, 0].softmax(dim=1)  # (2, 2), as square as attention
            return images.softmax(dim=2 if given == "another axis" else 3)

    images = torch.randn(2, 3, 4, 4 if given == "another axis" else 5)
    with pytest.raises(ShapeError, match="no attention"):
        attention(Model(), images)


def test_entropy_is_zero_for_a_glance_and_log_t_for_a_stare():
    glance = torch.eye(5).expand(2, 1, 3, 5, 5)
    stare = torch.full((2, 4, 3, 5, 5), 0.2)
    assert entropy(layer(glance, 2, 2)).tolist() == [0.0, 0.0]
    torch.testing.assert_close(entropy(layer(stare, 2, 2)), torch.full((2,), math.log(5)))


def test_distance_by_hand():
    # 2×2 patches and a class token; each patch looks at its neighbour on the right or left only.
    maps = torch.zeros(1, 1, 1, 5, 5)
    for patch, neighbour in ((1, 2), (2, 1), (3, 4), (4, 3)):
        maps[..., patch, neighbour] = 0.5
        maps[..., patch, 0] = 0.5  # the class token does not count
    assert distance(layer(maps, 2, 2)).tolist() == pytest.approx([1.0])
    assert distance(layer(torch.eye(6)[None, None, None], 2, 3)).tolist() == [0.0]


def test_neighbours_in_a_grid_window_are_a_stride_apart():
    swap = torch.eye(4)[[1, 0, 3, 2]].expand(1, 6, 1, 4, 4)  # left looks right, right left
    corners = torch.tensor([0, 1, 2, 6, 7, 8])  # of a 4×6 map
    apart = Layout(4, 6, corners[:, None] + torch.tensor([0, 3, 12, 15]))
    corners = torch.tensor([0, 2, 4, 12, 14, 16])
    near = Layout(4, 6, corners[:, None] + torch.tensor([0, 1, 6, 7]))
    assert distance(Layer("here", swap, apart)).tolist() == [3.0]
    assert distance(Layer("here", swap, near)).tolist() == [1.0]


def test_the_class_token_s_row_is_laid_out_as_the_image():
    maps = torch.zeros(1, 1, 2, 8, 8)
    maps[..., 0, 2:] = torch.arange(6.0)
    maps[:, :, 1] *= 3
    found = layer(maps, 2, 3)  # with a class and a distillation token
    assert class_attention(found).tolist() == [[[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]]
    assert class_attention(found, fuse="min").tolist() == [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]
    assert torch.equal(head_attention(found)[:, 1], class_attention(found, fuse="max"))
    without = layer(torch.eye(6)[None, None, None], 2, 3)
    torch.testing.assert_close(class_attention(without), torch.full((1, 2, 3), 1 / 6))


def test_a_network_without_attention_is_told():
    with pytest.raises(ShapeError, match="no attention"):
        attention(nn.Conv2d(3, 2, 1), torch.randn(1, 3, 4, 4))
