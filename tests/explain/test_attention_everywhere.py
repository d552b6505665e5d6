"""Attention is found in every architecture, changes nothing, and is put where it belongs."""

import pytest
import timm
import torch
import torchvision
from timm.models.mobilevit import MobileVitBlock
from timm.models.swin_transformer import SwinTransformerBlock
from torch import nn

from tests.explain import own_transformers as own
from tests.explain.architectures import ARCHITECTURES, FAST_PATH, made, scores
from vislab.errors import ShapeError
from vislab.explain.attention import attention, class_attention, distance, head_attention
from vislab.explain.attention_extractor import watch


def state(model):
    return [
        (module.training, len(module._forward_hooks), len(module._forward_pre_hooks))
        for module in model.modules()
    ] + [(value.grad, value.requires_grad) for value in model.parameters()]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_attention_is_found_in_any_architecture(name):
    _, _, layers, first_name, *shapes = ARCHITECTURES[name]
    model, images = made(name)
    before = state(model)
    found = attention(model, images)
    assert len(found) == layers
    assert found[0].name == first_name
    modules = dict(model.named_modules())
    assert all(layer.name in modules for layer in found)
    for layer, (windows, heads, tokens, rows, columns) in zip(
        (found[0], found[-1]), shapes, strict=True
    ):
        assert layer.maps.shape == (2, windows, heads, tokens, tokens)
        assert layer.windowed == (windows > 1)
        torch.testing.assert_close(layer.maps.sum(dim=-1), torch.ones(layer.maps.shape[:-1]))
        assert class_attention(layer).shape == (2, rows, columns)
        assert head_attention(layer).shape == (2, heads, rows, columns)
    assert state(model) == before


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_answer_does_not_change_while_it_is_watched(name):
    model, images = made(name)
    model.eval()
    with torch.no_grad():
        plain = scores(model(images))
        with watch(model, images):
            watched = scores(model(images))
    if name in FAST_PATH:
        torch.testing.assert_close(watched, plain)
    else:
        assert torch.equal(watched, plain)


def test_nothing_is_left_after_an_error_in_the_middle_of_the_network():
    model, images = made("timm vit")
    model.blocks[1].mlp = nn.Linear(7, 7)
    before = state(model)
    with pytest.raises(ShapeError, match="shapes cannot be multiplied"):
        attention(model, images)
    assert state(model) == before
    model.blocks[1].mlp = nn.Identity()
    assert len(attention(model, images)) == 2


class Only(nn.Module):
    """One block of a network whose tokens are the pixels, each mixed to the block's channels."""

    def __init__(self, block, channels, *, channels_last=True):
        super().__init__()
        self.attn_grid = self.attn_block = None
        name = "attn_grid" if "grid" in str(getattr(block, "kind", "")) else "attn_block"
        setattr(self, name, block)
        self.mix, self.last = torch.randn(channels, 3), channels_last

    def forward(self, images):
        maps = torch.einsum("dc,nchw->nhwd", self.mix, images)
        block = self.attn_grid or self.attn_block
        return block(maps if self.last else maps.permute(0, 3, 1, 2))


def swin_of_timm(shift, size):
    return Only(
        SwinTransformerBlock(8, size, 2, window_size=4, shift_size=shift, dynamic_mask=True), 8
    )


def swin_of_torchvision(shift):
    kind = torchvision.models.swin_transformer.SwinTransformerBlock
    return Only(kind(8, 2, [4, 4], [shift, shift]), 8)


def maxvit_of_timm(part):
    model = timm.create_model("maxvit_pico_rw_256", img_size=96)  # windows of 3
    block = getattr(model.stages[0].blocks[0], part)
    block.kind = part
    return Only(block, block.norm1.weight.numel())


def maxvit_of_torchvision(part):
    block = torchvision.models.maxvit.PartitionAttentionLayer(
        8, 4, 3, part, (12, 12), 2, nn.GELU, nn.LayerNorm, 0.0, 0.0, 0.0
    )
    block.kind = part
    return Only(block, 8, channels_last=False)


def mobilevit():
    block = MobileVitBlock(8, 8, patch_size=2, transformer_dim=8, transformer_depth=1, num_heads=2)
    block.conv_kxk = block.conv_1x1 = nn.Identity()
    return Only(block, 8, channels_last=False)


PLACED = {
    "swin": (lambda: swin_of_timm(0, (8, 12)), 8, 12),
    "swin, shifted": (lambda: swin_of_timm(2, (8, 12)), 8, 12),
    "swin, shifted, then padded": (lambda: swin_of_timm(2, (9, 10)), 9, 10),
    "torchvision's swin, padded": (lambda: swin_of_torchvision(0), 7, 10),
    "torchvision's swin, padded, then shifted": (lambda: swin_of_torchvision(2), 7, 10),
    "maxvit, blocks": (lambda: maxvit_of_timm("attn_block"), 12, 9),
    "maxvit, grid": (lambda: maxvit_of_timm("attn_grid"), 12, 9),
    "torchvision's maxvit, blocks": (lambda: maxvit_of_torchvision("window"), 12, 12),
    "torchvision's maxvit, grid": (lambda: maxvit_of_torchvision("grid"), 12, 12),
    "mobilevit": (mobilevit, 8, 12),
}


@pytest.mark.parametrize("name", PLACED)
def test_a_place_whose_key_stands_out_is_where_the_map_changes_most(name):
    make, rows, columns = PLACED[name]
    torch.manual_seed(3)
    model = make().eval()
    for value in model.parameters():
        if value.ndim == 2:
            value.data.normal_()
    for module in model.modules():
        if name.endswith("then shifted") and hasattr(module, "qkv"):
            module.qkv.weight.data[:8] = 0.0  # the corner's window is small: only the key differs
            module.qkv.bias.data[:8].normal_()
    plain = torch.ones(1, 3, 1, 1).expand(1, 3, rows, columns)
    (before,) = attention(model, plain)
    for row, column in ((0, 0), (0, columns - 1), (rows - 1, 1), (rows - 1, columns - 1), (3, 4)):
        images = plain.clone()
        images[0, :, row, column] = torch.tensor([3.0, -2.0, 1.0])
        (layer,) = attention(model, images)
        change = (class_attention(layer) - class_attention(before))[0].abs()
        assert change.shape == (rows, columns)
        assert divmod(int(change.argmax()), columns) == (row, column)


class Patches(nn.Module):
    """Attention among 2 × 7 patches of an image of 4 × 7, cut by a convolution or not."""

    def __init__(self, convolution):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, (8, 4), (8, 4)) if convolution else None
        self.attend = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, images):
        if self.stem:
            cut = self.stem(images).flatten(2).mT
        else:
            cut = images[..., :16].flatten(1, 2)[:, :14]
        return self.attend(cut, cut, cut)[0].mean(dim=1)


def test_patches_of_another_shape_than_the_image_are_told_by_the_convolution():
    (layer,) = attention(Patches(True), torch.randn(2, 3, 16, 28))
    assert class_attention(layer).shape == (2, 2, 7)


def test_tokens_that_fill_no_grid_are_told_not_drawn():
    (layer,) = attention(Patches(False), torch.randn(2, 3, 16, 112))  # 1 × 7 was wanted
    assert layer.maps.shape == (2, 1, 2, 14, 14)
    with pytest.raises(ShapeError, match=r"the 14 tokens of 'attend' in 1 window"):
        class_attention(layer)


@pytest.mark.parametrize(
    ("front", "behind", "reads", "asking"),
    [
        (1, 0, 0, 0),
        (0, 1, -1, 16),
        (5, 1, 4, 4),  # four registers, then the class token
        (1, 4, 0, 0),
        (0, 3, -2, 17),
        (4, 0, None, None),
        (0, 4, None, None),
    ],
)
@pytest.mark.parametrize("fused", [True, False])
def test_the_class_token_is_the_one_that_the_answer_reads(front, behind, reads, asking, fused):
    """Where it is the patches that are read, it is their mean; each place gets its own value."""
    torch.manual_seed(0)
    model = own.ViT(front, behind, reads=reads, fused=fused)
    for layer in attention(model, torch.randn(2, 3, 16, 64)):
        assert layer.layout.asking == asking
        maps, patches = layer.maps[:, 0].mean(dim=1), slice(front, front + 16)
        view = maps[:, patches].mean(dim=1) if asking is None else maps[:, asking]
        expected = view[:, patches].reshape(2, 2, 8)
        torch.testing.assert_close(class_attention(layer), expected)


def test_attention_among_channels_alone_is_told():
    torch.manual_seed(0)
    for side in (24, 32):  # of 16 channels; 9 and 16 tokens
        with pytest.raises(ShapeError, match="among channels only"):
            attention(own.ChannelAttention(), torch.randn(2, 3, side, side))


def test_where_some_attention_is_among_channels_the_rest_is_found():
    torch.manual_seed(0)
    xcit = timm.create_model("xcit_nano_12_p16_224", depth=2)
    layers = attention(xcit, torch.randn(2, 3, 64, 96))
    assert [layer.name for layer in layers] == [f"cls_attn_blocks.{k}.attn" for k in range(2)]
    for layer in layers:  # the class token asks alone, itself and 24 patches
        expected = layer.maps[:, 0, :, 0, 1:].mean(dim=1).reshape(2, 4, 6)
        torch.testing.assert_close(class_attention(layer), expected)
    with pytest.raises(ShapeError, match="from 1 tokens to 25 others"):
        distance(layers[0])
    davit = timm.create_model("davit_tiny", embed_dims=(8, 8, 8, 8), num_heads=(1, 1, 2, 2))
    layers = attention(davit, torch.randn(2, 3, 64, 64))
    assert len(layers) == 6
    assert all("blocks" in layer.name and ".0.attn" in layer.name for layer in layers)
    assert class_attention(layers[0]).shape == (2, 16, 16)
