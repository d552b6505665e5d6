"""What each method gives for each network, and whether the map lies where the image lies.

`python benchmarks/explained_networks.py OUT.json`. Random weights: where a map lies does not depend
on them. With no argument but the network and images. The true grid of each network, and the layer
and tokens that Grad-CAM is of, stand in the table, worked out by hand; Grad-CAM is held against one
written out here from the paper's equations 1 and 2. It is checked that answers, modes and hooks are
as they were.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
import torchvision
from timing import write
from torch import nn
from torch.nn import functional as F

from vislab import explain
from vislab.errors import ShapeError

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.explain import own_transformers as own

METHODS = ("grad-cam", "guided-backprop", "attention", "rollout", "gradient-rollout")
ALWAYS = ("saliency",)
BY_GRID = ("grad-cam", "attention", "rollout", "gradient-rollout")


class Own(nn.Module):
    """Nested, one ReLU used over and over, one in place, one as a function."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()
        self.body = nn.ModuleDict(
            {
                "first": nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True)),
                "second": nn.Conv2d(8, 8, 3, stride=2),
            }
        )
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        """Return class scores."""
        x = self.relu(self.body["second"](self.body["first"](x)))
        return self.head(F.relu(self.relu(x).mean(dim=(2, 3))))


@dataclass(frozen=True)
class Case:
    """A network and where its maps truly lie."""

    make: object
    size: tuple[int, int]  # of its images, pixels
    layer: str  # of Grad-CAM
    grid: tuple[int, int]  # of that layer
    layout: str = "nchw"  # or "nhwc", or "tokens"
    before: int = 0  # tokens in front of the patches
    attention: tuple[int, int] | None = None  # the grid of the last attention among places
    rollout: bool = False  # whether all tokens see each other all the way


def hugging_face(kind):
    import transformers as hf

    if kind == "ViT":
        config = hf.ViTConfig(num_hidden_layers=4, hidden_size=96, num_attention_heads=4,
                              intermediate_size=192, image_size=64, num_labels=10)  # fmt: skip
        return hf.ViTForImageClassification(config)
    config = hf.ResNetConfig(depths=[1, 1, 1, 1], num_labels=10)
    return hf.ResNetForImageClassification(config)


def of_torchvision(name, **options):
    return lambda: getattr(torchvision.models, name)(num_classes=10, **options)


def of_timm(name, **options):
    return lambda: timm.create_model(name, num_classes=10, **options)


def unfused(name, **options):
    """Attention written out, as timm does where a fused kernel is not wanted."""

    def make():
        timm.layers.set_fused_attn(False)
        try:
            return timm.create_model(name, num_classes=10, img_size=64, depth=2, **options)
        finally:
            timm.layers.set_fused_attn(True)

    return make


def vit(size, layer, grid, before=0):
    """Return what is told of a network all of whose tokens see each other."""
    return size, layer, grid, "tokens", before, grid, True


NETWORKS = {
    "torchvision resnet18": Case(of_torchvision("resnet18"), (64, 64), "layer4", (2, 2)),
    "torchvision densenet121": Case(of_torchvision("densenet121"), (64, 64), "features", (2, 2)),
    "torchvision mobilenet_v3_small": Case(
        of_torchvision("mobilenet_v3_small"), (64, 64), "features", (2, 2)
    ),
    # Its pooling spreads 2×2 cells over 7×7.
    "torchvision vgg16": Case(of_torchvision("vgg16"), (64, 64), "avgpool", (7, 7)),
    "torchvision convnext_tiny": Case(
        of_torchvision("convnext_tiny"), (64, 64), "features", (2, 2)
    ),
    "torchvision vit_b_16": Case(
        of_torchvision("vit_b_16", image_size=64),
        *vit((64, 64), "encoder.layers.encoder_layer_11.ln_1", (4, 4), before=1),
    ),
    "torchvision swin_t": Case(
        of_torchvision("swin_t"), (112, 112), "permute", (4, 4), attention=(4, 4)
    ),
    "torchvision maxvit_t": Case(
        of_torchvision("maxvit_t"), (224, 224), "blocks.3", (7, 7), attention=(7, 7)
    ),
    "timm vit_tiny_patch16_224": Case(
        of_timm("vit_tiny_patch16_224", img_size=64),
        *vit((64, 64), "blocks.11.norm1", (4, 4), before=1),
    ),
    "timm deit_tiny_distilled": Case(
        of_timm("deit_tiny_distilled_patch16_224", img_size=64),
        *vit((64, 64), "blocks.11.norm1", (4, 4), before=2),
    ),
    "timm swin_tiny": Case(
        of_timm("swin_tiny_patch4_window7_224", img_size=112), (112, 112), "norm", (4, 4), "nhwc",
        attention=(4, 4),
    ),
    "timm maxvit_pico_rw_256": Case(
        of_timm("maxvit_pico_rw_256", img_size=128), (128, 128), "norm", (4, 4), attention=(4, 4)
    ),
    "timm efficientnet_b0": Case(of_timm("efficientnet_b0"), (64, 64), "bn2", (2, 2)),
    "timm mobilevit_xxs": Case(
        of_timm("mobilevit_xxs"), (128, 128), "final_conv", (4, 4), attention=(4, 4)
    ),
    "timm convnext_atto": Case(of_timm("convnext_atto"), (64, 64), "norm_pre", (2, 2)),
    "timm vit_small_patch14_reg4_dinov2": Case(
        of_timm("vit_small_patch14_reg4_dinov2", img_size=70),
        *vit((70, 70), "blocks.11.norm1", (5, 5), before=5),
    ),
    "Hugging Face ViT": Case(
        lambda: hugging_face("ViT"), *vit((64, 64), "vit.layers.3.layernorm_before", (4, 4), 1)
    ),
    "Hugging Face ResNet": Case(
        lambda: hugging_face("ResNet"), (64, 64), "resnet.encoder.stages.3", (2, 2)
    ),
    "one's own, nested": Case(Own, (64, 64), "relu", (30, 30)),
    "own, class token first, wide": Case(
        lambda: own.ViT(1, 0, reads=0), *vit((32, 56), "blocks.1.norm1", (4, 7), 1)
    ),
    "own, class token last": Case(
        lambda: own.ViT(0, 1, reads=-1), *vit((64, 64), "blocks.1.norm1", (8, 8))
    ),
    "own, mean of the patches": Case(lambda: own.ViT(0, 0), *vit((64, 64), "norm", (8, 8))),
    "own, 5 registers in front of 2×2": Case(
        lambda: own.ViT(5, 0), *vit((16, 16), "norm", (2, 2), 5)
    ),
    "own, 4 registers behind": Case(lambda: own.ViT(0, 4), *vit((64, 64), "norm", (8, 8))),
    "own, linear patches, registers behind": Case(
        lambda: own.ViT(1, 4, reads=0, linear=True), *vit((48, 32), "blocks.1.norm1", (6, 4), 1)
    ),
    "own, two stages of tokens": Case(
        own.Hierarchical, (32, 48), "norm", (4, 6), "tokens", attention=(4, 6)
    ),
    "timm vit_tiny, attention written out": Case(
        unfused("vit_tiny_patch16_224"), *vit((64, 64), "blocks.1.norm1", (4, 4), 1)
    ),
    "timm deit_tiny_distilled, written out": Case(
        unfused("deit_tiny_distilled_patch16_224"), *vit((64, 64), "blocks.1.norm1", (4, 4), 2)
    ),
    "timm beit, written out": Case(
        unfused("beit_base_patch16_224", embed_dim=48, num_heads=3),
        *vit((64, 64), "norm", (4, 4), 1),
    ),
    "timm tnt_s": Case(
        of_timm("tnt_s_patch16_224", depth=2), (224, 224), "blocks.1.norm_out", (14, 14), "tokens",
        1, (14, 14),
    ),
    # Attention among channels alone.
    "timm edgenext_xx_small": Case(of_timm("edgenext_xx_small"), (128, 128), "norm_pre", (4, 4)),
    "timm davit, narrow": Case(
        of_timm("davit_tiny", embed_dims=(16, 32, 64, 128), num_heads=(1, 2, 4, 8)),
        (128, 128), "norm_pre", (4, 4), attention=(4, 4),
    ),
    "timm xcit_nano": Case(
        of_timm("xcit_nano_12_p16_224", depth=3), (96, 128), "cls_attn_blocks.1.norm1", (6, 8),
        "tokens", 1, (6, 8),
    ),
}  # fmt: skip


def logits(answer):
    return getattr(answer, "logits", answer)


def state(model):
    return [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]


def by_hand(model, images, case):
    """Return Grad-CAM from its equations: slopes averaged over places, times the maps, above 0."""
    kept = []

    def keep(_module, _inputs, output):
        kept.append(output)
        return output.clone()  # DenseNet writes over it

    hook = model.get_submodule(case.layer).register_forward_hook(keep)
    scores = logits(model(images))
    hook.remove()
    output = kept[-1]
    (slopes,) = torch.autograd.grad(scores.max(dim=1).values.sum(), output)
    rows, columns = case.grid
    both = []
    for values in (output.detach(), slopes):
        if case.layout == "tokens":
            values = values[:, case.before : case.before + rows * columns]
            values = values.reshape(len(values), rows, columns, -1)
        both.append(values if case.layout == "nchw" else values.permute(0, 3, 1, 2))
    maps, slopes = both
    return (maps * slopes.mean(dim=(2, 3), keepdim=True)).sum(dim=1).relu()


def correlation(one, other):
    """Return that of two maps; of maps that are both even, 1."""
    one, other = (values.double().flatten() for values in (one, other))
    if float(one.std()) == float(other.std()) == 0.0:
        return 1.0
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])


def true_grids(case):
    """Return the grid of each method's map; None where it has to say that it has no meaning."""
    rolls = case.attention if case.rollout else None
    return dict(zip(BY_GRID, (case.grid, case.attention, rolls, rolls), strict=True))


def main():
    rows = []
    for name, case in NETWORKS.items():
        torch.manual_seed(0)
        model, images = case.make().eval(), torch.randn(2, 3, *case.size)
        for module in model.modules():  # torchvision's ViT begins with a head of zeros
            if isinstance(module, nn.Linear) and not bool(module.weight.any()):
                nn.init.normal_(module.weight, std=0.02)
        before = state(model)
        with torch.no_grad():
            answer = logits(model(images))
        given, wrong, maps = {}, [], {}
        for method in (*ALWAYS, *METHODS):
            try:
                found = maps[method] = explain.METHODS[method](model, images)
                assert len(found) == 2, "a map for each image"
                assert bool(found.isfinite().all()), "a map of numbers"
                given[method] = "×".join(map(str, found.shape[1:]))
            except ShapeError as error:
                given[method] = f"no: {error}"
        for method, grid in true_grids(case).items():
            got = tuple(maps[method].shape[1:]) if method in maps else None
            if got != grid:
                wrong.append(f"{method}: {given[method]}, truly {grid}")
        target_layer = explain.last_target_layer(model, images[0]).layer
        if target_layer != case.layer:
            wrong.append(f"layer {target_layer}, truly {case.layer}")
        alike = float("nan")
        if not any(one.startswith("grad-cam") for one in wrong):
            alike = correlation(maps["grad-cam"], by_hand(model, images, case))
        assert state(model) == before, f"{name} came back changed"
        with torch.no_grad():
            torch.testing.assert_close(logits(model(images)), answer)
        rows.append(
            {
                "network": name, "size": "×".join(map(str, case.size)),
                "target_layer": target_layer, "given": given,
                "correlation": round(alike, 6), "wrong": wrong,
            }
        )  # fmt: skip
    write("explained_networks", rows)
    wrong = [row for row in rows if row["wrong"] or not row["correlation"] > 0.999]
    for row in wrong:
        print(f"WRONG {row['network']}: {row['wrong']} {row['correlation']}", file=sys.stderr)
    if wrong:
        sys.exit(f"{len(wrong)} of {len(rows)} networks have a map that is not theirs")


if __name__ == "__main__":
    main()
