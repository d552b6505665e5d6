import math

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from vislab.errors import ShapeError
from vislab.explain import attention, class_attention, distance, entropy


@pytest.fixture(scope="module")
def vit():
    torch.manual_seed(0)
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=24, patch_size=8, depth=3, embed_dim=24, num_heads=3,
        num_classes=4,
    )  # fmt: skip


def test_a_row_for_each_token_sums_to_one_in_each_layer(vit):
    maps = attention(vit, torch.randn(2, 3, 24, 24))
    assert [tuple(m.shape) for m in maps] == [(2, 3, 10, 10)] * 3
    for layer in maps:
        torch.testing.assert_close(layer.sum(dim=-1), torch.ones(2, 3, 10))


def test_it_is_the_attention_that_the_values_are_weighed_by(vit):
    """Attention times values is what the fused kernel gave: caught at its own call."""
    calls = []
    original = F.scaled_dot_product_attention

    def spy(query, key, value, **rest):
        calls.append((value, original(query, key, value, **rest)))
        return calls[-1][1]

    images = torch.randn(1, 3, 24, 24)
    maps = attention(vit, images)
    with pytest.MonkeyPatch.context() as patched, torch.no_grad():
        patched.setattr(F, "scaled_dot_product_attention", spy)
        vit.eval()(images)
    assert len(calls) == 3
    for layer, (value, out) in zip(maps, calls, strict=True):
        torch.testing.assert_close(layer @ value, out)


def test_the_network_answers_as_ever_and_is_left_as_it_was(vit):
    vit.train()
    images = torch.randn(1, 3, 24, 24)
    attention(vit, images)
    assert vit.training
    assert not any(p.grad is not None for p in vit.parameters())
    assert not any(m._forward_hooks for m in vit.modules())


@pytest.mark.parametrize("masked", ["causal", "boolean", "added"])
def test_masks_are_heeded(masked):
    class Masked(nn.Module):
        def forward(self, x):
            q = x.flatten(2).mT[:, None]  # (N, 1, T, 3)
            upper = torch.ones(4, 4, dtype=torch.bool).triu(1)
            mask = {
                "causal": None,
                "boolean": ~upper,
                "added": torch.zeros(4, 4).masked_fill(upper, -math.inf),
            }[masked]
            return F.scaled_dot_product_attention(
                q, q, q, attn_mask=mask, is_causal=masked == "causal", scale=0.7
            )

    x = torch.randn(2, 3, 2, 2)
    (found,) = attention(Masked(), x)
    q = x.flatten(2).mT[:, None]
    scores = (0.7 * q @ q.mT).masked_fill(torch.ones(4, 4, dtype=torch.bool).triu(1), -math.inf)
    torch.testing.assert_close(found, scores.softmax(dim=-1))


def test_entropy_is_zero_for_a_glance_and_log_t_for_a_stare():
    glance = torch.eye(5).expand(2, 3, 5, 5)
    stare = torch.full((2, 3, 5, 5), 0.2)
    assert entropy(glance).tolist() == [0.0, 0.0]
    torch.testing.assert_close(entropy(stare), torch.full((2,), math.log(5)))


def test_distance_by_hand():
    # 2×2 patches and a class token; each patch looks at its neighbour on the right or left only.
    maps = torch.zeros(1, 1, 5, 5)
    for patch, neighbour in ((1, 2), (2, 1), (3, 4), (4, 3)):
        maps[0, 0, patch, neighbour] = 0.5
        maps[0, 0, patch, 0] = 0.5  # the class token does not count
    assert distance(maps, 2, 2).tolist() == pytest.approx([1.0])
    itself = torch.eye(6)[None, None]
    assert distance(itself, 2, 3).tolist() == [0.0]


def test_the_class_token_s_row_is_laid_out_as_the_picture():
    maps = torch.zeros(1, 2, 7, 7)
    maps[0, :, 0, 1:] = torch.arange(6.0)
    assert class_attention(maps, 2, 3).tolist() == [[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]
    without = torch.eye(6)[None, None]
    torch.testing.assert_close(class_attention(without, 2, 3), torch.full((1, 2, 3), 1 / 6))


def test_a_network_without_attention_is_told():
    with pytest.raises(ShapeError, match="no attention"):
        attention(nn.Conv2d(3, 2, 1), torch.randn(1, 3, 4, 4))
