"""Attention of all layers and its rollout against a plain forward pass.

`python benchmarks/attention_maps.py OUT.json`. Images of 224 pixels, eight at a time: timm's
ViT-S, which calls a fused kernel, and torchvision's ViT-B, which calls nn.MultiheadAttention. The
class token's attention to the patches is checked against one computed by hand before timing.
"""

import timm
import torch
import torchvision
from timing import quartiles_ms, write

from vislab import explain

BATCH, SIZE = 8, 224
NETWORKS = {
    "timm ViT-S/16": lambda: timm.create_model("vit_small_patch16_224"),
    "torchvision ViT-B/16": lambda: torchvision.models.vit_b_16(),
}


def by_hand(model, images):
    """Return the first layer's attention of timm's ViT, from its weights."""
    tokens = model._pos_embed(model.patch_embed(images))
    block = model.blocks[0]
    count, length, dims = tokens.shape
    heads = block.attn.num_heads
    query, key, _ = (
        block.attn.qkv(block.norm1(tokens))
        .reshape(count, length, 3, heads, dims // heads)
        .permute(2, 0, 3, 1, 4)
    )
    return (query @ key.mT * (dims // heads) ** -0.5).softmax(dim=-1)


@torch.no_grad()
def main():
    rows = []
    for name, make in NETWORKS.items():
        torch.manual_seed(0)
        model, images = make().eval(), torch.randn(BATCH, 3, SIZE, SIZE)
        layers = explain.attention(model, images)
        if name.startswith("timm"):
            torch.testing.assert_close(layers[0].maps[:, 0], by_hand(model, images))
        torch.testing.assert_close(
            explain.rolled_out(layers), explain.rollout(model, images), atol=1e-6, rtol=1e-4
        )
        ways = {
            "forward": lambda model=model, images=images: model(images),
            "attention": lambda model=model, images=images: explain.attention(model, images),
            "rollout": lambda model=model, images=images: explain.rollout(model, images),
            "attention and rollout": lambda model=model, images=images: explain.rolled_out(
                explain.attention(model, images)
            ),
        }
        times = quartiles_ms(ways, warmup=2, repeats=15)
        plain = times["forward"]["median_ms"]
        rows.append(
            {
                "case": f"{name}, {len(layers)} layers, {BATCH} images of {SIZE} pixels",
                "times": times,
                "ratios": {way: taken["median_ms"] / plain for way, taken in times.items()},
            }
        )
    write("attention_maps", rows)


if __name__ == "__main__":
    main()
