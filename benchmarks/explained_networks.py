"""What each method gives for each network, with no argument but the network and images.

`python benchmarks/explained_networks.py OUT.json`. Random weights: whether a map can be had does
not depend on them. It is checked that answers, modes and hooks are as they were.
"""

import timm
import torch
import torchvision
from timing import write
from torch import nn
from torch.nn import functional as F

from vislab import explain
from vislab.errors import ShapeError

METHODS = ("grad-cam", "guided-backprop", "attention", "rollout", "gradient-rollout")
ALWAYS = ("saliency",)


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


NETWORKS = {  # name: how it is made, side of its images
    "torchvision resnet18": (of_torchvision("resnet18"), 64),
    "torchvision densenet121": (of_torchvision("densenet121"), 64),
    "torchvision mobilenet_v3_small": (of_torchvision("mobilenet_v3_small"), 64),
    "torchvision vgg16": (of_torchvision("vgg16"), 64),
    "torchvision convnext_tiny": (of_torchvision("convnext_tiny"), 64),
    "torchvision vit_b_16": (of_torchvision("vit_b_16", image_size=64), 64),
    "torchvision swin_t": (of_torchvision("swin_t"), 112),
    "torchvision maxvit_t": (of_torchvision("maxvit_t"), 224),
    "timm vit_tiny_patch16_224": (of_timm("vit_tiny_patch16_224", img_size=64), 64),
    "timm deit_tiny_distilled": (
        of_timm("deit_tiny_distilled_patch16_224", img_size=64), 64
    ),
    "timm swin_tiny": (of_timm("swin_tiny_patch4_window7_224", img_size=112), 112),
    "timm maxvit_pico_rw_256": (of_timm("maxvit_pico_rw_256", img_size=128), 128),
    "timm efficientnet_b0": (of_timm("efficientnet_b0"), 64),
    "timm mobilevit_xxs": (of_timm("mobilevit_xxs"), 128),
    "timm convnext_atto": (of_timm("convnext_atto"), 64),
    "timm vit_small_patch14_reg4_dinov2": (
        of_timm("vit_small_patch14_reg4_dinov2", img_size=70), 70
    ),
    "Hugging Face ViT": (lambda: hugging_face("ViT"), 64),
    "Hugging Face ResNet": (lambda: hugging_face("ResNet"), 64),
    "one's own, nested": (Own, 64),
}  # fmt: skip


def logits(answer):
    return getattr(answer, "logits", answer)


def state(model):
    return [(m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]


def main():
    rows = []
    for name, (make, side) in NETWORKS.items():
        torch.manual_seed(0)
        model, images = make().eval(), torch.randn(2, 3, side, side)
        for module in model.modules():  # torchvision's ViT begins with a head of zeros
            if isinstance(module, nn.Linear) and not bool(module.weight.any()):
                nn.init.normal_(module.weight, std=0.02)
        before = state(model)
        with torch.no_grad():
            answer = logits(model(images))
        given = {}
        for method in (*ALWAYS, *METHODS):
            try:
                found = explain.METHODS[method](model, images)
                assert len(found) == 2, "a map for each image"
                assert bool(found.isfinite().all()), "a map of numbers"
                given[method] = "×".join(map(str, found.shape[1:]))
            except ShapeError as error:
                given[method] = f"no: {error}"
        assert state(model) == before, f"{name} came back changed"
        with torch.no_grad():
            torch.testing.assert_close(logits(model(images)), answer)
        try:
            target_layer = explain.last_target_layer(model, images[0]).layer
        except ShapeError:
            target_layer = ""
        rows.append({"network": name, "side": side, "target_layer": target_layer, "given": given})
    write("explained_networks", rows)


if __name__ == "__main__":
    main()
