"""Networks with attention, small where their makers allow it: what is in each, by name."""

import timm
import torch
import torchvision
from torch import nn


class Own(nn.Module):
    """A user's own: patches, some attention over them, a mean and a head."""

    def __init__(self, body):
        super().__init__()
        self.stem, self.body, self.head = nn.Conv2d(3, 16, 8, 8), body, nn.Linear(16, 5)

    def forward(self, images):
        tokens = self.stem(images).flatten(2).mT  # (N, T, D)
        if isinstance(self.body, nn.MultiheadAttention):
            asked = self.body.dropout > 0
            tokens = tokens + self.body(tokens, tokens, tokens, need_weights=asked)[0]
        else:
            tokens = self.body(tokens)
        return self.head(tokens.mean(dim=1))


class Open(nn.Module):
    """Attention written out, one head."""

    def __init__(self, softmax):
        super().__init__()
        self.qkv, self.softmax = nn.Linear(16, 48), softmax

    def forward(self, tokens):
        query, key, value = self.qkv(tokens).chunk(3, dim=-1)
        return self.softmax(query @ key.mT / 4) @ value


def hugging_face(kind):
    from transformers import (
        SwinConfig,
        SwinForImageClassification,
        ViTConfig,
        ViTForImageClassification,
    )

    if kind == "swin":
        sizes = {"embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
        return SwinForImageClassification(SwinConfig(image_size=64, **sizes))
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
    return ViTForImageClassification(
        ViTConfig(
            image_size=32, patch_size=8, intermediate_size=32, attn_implementation=kind, **sizes
        )
    )


def swin_v2():
    return timm.create_model(
        "swinv2_tiny_window8_256", img_size=64, window_size=4, embed_dim=12, depths=(1, 2),
        num_heads=(1, 2),
    )  # fmt: skip


def small_maxvit():
    return torchvision.models.MaxVit(
        input_size=(64, 64), stem_channels=16, partition_size=4, block_channels=[16, 32],
        block_layers=[1, 1], head_dim=8, stochastic_depth_prob=0.0,
    )  # fmt: skip


def of_timm(name, **options):
    return lambda: timm.create_model(name, **options)


# How it is made, the image's height and width, layers, first layer's name, and the first and
# last layer's windows, heads, tokens and places down and across.
ARCHITECTURES = {
    "torchvision vit_b_16": (
        lambda: torchvision.models.vit_b_16(image_size=48), (48, 48), 12,
        "encoder.layers.encoder_layer_0.self_attention", (1, 12, 10, 3, 3), (1, 12, 10, 3, 3),
    ),
    "torchvision swin_t": (
        torchvision.models.swin_t, (64, 96), 12,
        "features.1.0.attn", (12, 3, 49, 16, 24), (1, 24, 49, 2, 3),
    ),
    "torchvision maxvit": (
        small_maxvit, (64, 64), 4,
        "blocks.0.layers.0.layers.window_attention.attn_layer.1",
        (16, 2, 16, 16, 16), (4, 4, 16, 8, 8),
    ),
    "timm vit": (
        of_timm("vit_tiny_patch16_224", img_size=(32, 48), depth=2), (32, 48), 2,
        "blocks.0.attn", (1, 3, 7, 2, 3), (1, 3, 7, 2, 3),
    ),
    "timm deit, distilled": (
        of_timm("deit_tiny_distilled_patch16_224", img_size=48, depth=2), (48, 48), 2,
        "blocks.0.attn", (1, 3, 11, 3, 3), (1, 3, 11, 3, 3),
    ),
    "timm swin": (
        of_timm("swin_tiny_patch4_window7_224", img_size=(64, 96)), (64, 96), 12,
        "layers.0.blocks.0.attn", (12, 3, 49, 16, 24), (1, 24, 6, 2, 3),
    ),
    "timm swin v2": (
        swin_v2, (64, 64), 3, "layers.0.blocks.0.attn", (16, 1, 16, 16, 16), (4, 2, 16, 8, 8),
    ),
    "timm maxvit": (
        of_timm("maxvit_pico_rw_256", img_size=64), (64, 64), 22,
        "stages.0.blocks.0.attn_block.attn", (64, 1, 4, 16, 16), (1, 8, 4, 2, 2),
    ),
    "timm mobilevit": (
        of_timm("mobilevit_xxs"), (96, 128), 9,
        "stages.2.1.transformer.0.attn", (4, 4, 48, 12, 16), (4, 4, 4, 4, 4),
    ),
    "timm DINOv2 with registers": (
        of_timm("vit_small_patch14_reg4_dinov2", img_size=56, depth=2), (56, 56), 2,
        "blocks.0.attn", (1, 6, 21, 4, 4), (1, 6, 21, 4, 4),
    ),
    "Hugging Face vit, fused": (
        lambda: hugging_face("sdpa"), (32, 32), 2,
        "vit.layers.0.attention", (1, 3, 17, 4, 4), (1, 3, 17, 4, 4),
    ),
    "Hugging Face vit, open": (
        lambda: hugging_face("eager"), (32, 32), 2,
        "vit.layers.0.attention", (1, 3, 17, 4, 4), (1, 3, 17, 4, 4),
    ),
    "Hugging Face swin": (
        lambda: hugging_face("swin"), (64, 64), 4,
        "swin.encoder.layers.0.blocks.0.attention", (16, 2, 16, 16, 16), (4, 4, 16, 8, 8),
    ),
    "own, MultiheadAttention": (
        lambda: Own(nn.MultiheadAttention(16, 4, batch_first=True)), (24, 40), 1,
        "body", (1, 4, 15, 3, 5), (1, 4, 15, 3, 5),
    ),
    "own, MultiheadAttention asked for its weights": (
        lambda: Own(nn.MultiheadAttention(16, 4, dropout=0.1, batch_first=True)), (24, 40), 1,
        "body", (1, 4, 15, 3, 5), (1, 4, 15, 3, 5),
    ),
    "own, TransformerEncoder": (
        lambda: Own(nn.TransformerEncoder(
            nn.TransformerEncoderLayer(16, 4, 32, batch_first=True), 2
        )), (24, 40), 2, "body.layers.0.self_attn", (1, 4, 15, 3, 5), (1, 4, 15, 3, 5),
    ),
    "own, open": (
        lambda: Own(Open(nn.Softmax(dim=-1))), (24, 40), 1,
        "body", (1, 1, 15, 3, 5), (1, 1, 15, 3, 5),
    ),
    "own, open, torch's function": (
        lambda: Own(Open(lambda scores: torch.softmax(scores, 2))), (24, 40), 1,
        "body", (1, 1, 15, 3, 5), (1, 1, 15, 3, 5),
    ),
}  # fmt: skip
WHOLE_MAPS = tuple(name for name, row in ARCHITECTURES.items() if row[4][0] == 1)  # no windows
# Without gradients torch runs these by a kernel of its own, equal up to rounding.
FAST_PATH = ("own, MultiheadAttention", "own, TransformerEncoder")


def made(name):
    """Return the network in training mode and two images for it."""
    torch.manual_seed(0)
    return ARCHITECTURES[name][0](), torch.randn(2, 3, *ARCHITECTURES[name][1])


def scores(answer):
    return getattr(answer, "logits", answer)
