"""The deepest layer that still knows where things are, in whatever layout it keeps them."""

import copy

import pytest
import torch
from torch import nn

from tests.explain import own_transformers as own
from vislab.errors import ShapeError
from vislab.explain.target_layers import TargetLayer, last_target_layer
from vislab.models import ConvNet, resnet18


def of_timm(name, **options):
    timm = pytest.importorskip("timm")
    return timm.create_model(name, num_classes=4, **options)


def vit(side=32, *, numbers=64, name="vit_tiny_patch16_224", **options):
    """Two heads of that many numbers, and a token for each 8×8 pixels."""
    return of_timm(
        name, img_size=side, patch_size=8, depth=2, embed_dim=2 * numbers, num_heads=2, **options
    )


def deit():
    return vit(name="deit_tiny_distilled_patch16_224")


def swin(side):
    return of_timm(
        "swin_tiny_patch4_window7_224", img_size=side, embed_dim=16, depths=(1, 1),
        num_heads=(2, 2), window_size=4,
    )  # fmt: skip


def squeezenet():
    torchvision = pytest.importorskip("torchvision")
    return torchvision.models.squeezenet1_1(num_classes=4)


FOUND = {
    # Three halvings, rounded down: 24×40 becomes 3×5.
    "convnet": (lambda: ConvNet(classes=4, widths=(4, 5, 6)), (24, 40), ("features", 3, 5, "nchw")),
    "upright": (lambda: ConvNet(classes=4, widths=(4, 5, 6)), (40, 24), ("features", 5, 3, "nchw")),
    "uneven": (lambda: ConvNet(classes=4, widths=(4, 5)), (19, 26), ("features", 4, 6, "nchw")),
    # Five, rounded up.
    "resnet": (lambda: resnet18(classes=4), (64, 96), ("layer4", 2, 3, "nchw")),
    # Scores are made of places and averaged last.
    "squeezenet": (squeezenet, (64, 80), ("classifier.2", 3, 4, "nchw")),
    # After the last attention only the class token counts.
    "vit": (vit, (32, 32), ("blocks.1.norm1", 4, 4, "tokens")),
    "vit, wide": (lambda: vit((32, 48)), (32, 48), ("blocks.1.norm1", 4, 6, "tokens")),
    "vit, registers": (lambda: vit(reg_tokens=4), (32, 32), ("blocks.1.norm1", 4, 4, "tokens")),
    "vit, averaged": (
        lambda: vit((48, 32), global_pool="avg", class_token=False), (48, 32),
        ("norm", 6, 4, "tokens"),
    ),
    "deit": (deit, (32, 32), ("blocks.1.norm1", 4, 4, "tokens")),
    "swin": (lambda: swin(64), (64, 64), ("norm", 8, 8, "nhwc")),
    "swin, wide": (lambda: swin((64, 96)), (64, 96), ("norm", 8, 12, "nhwc")),
}  # fmt: skip


@pytest.mark.parametrize(("build", "size", "wanted"), FOUND.values(), ids=FOUND)
def test_the_deepest_layer_with_places_is_found(build, size, wanted, rng):
    torch.manual_seed(0)
    assert last_target_layer(build(), torch.randn(3, *size, generator=rng)) == TargetLayer(*wanted)


@pytest.mark.parametrize(
    ("side", "numbers"), [(32, 16), (56, 64)], ids=["17 by 16", "50 by 64, as of ViT-B/32"]
)
def test_queries_and_keys_are_no_places(side, numbers, rng):
    torch.manual_seed(0)
    model = vit(side, numbers=numbers)
    found = last_target_layer(model, torch.randn(3, side, side, generator=rng))
    assert found == TargetLayer("blocks.1.norm1", side // 8, side // 8, "tokens")


def test_as_many_channels_as_rows_less_one_are_still_channels(rng):
    """Score maps of 12 classes at 13×13 places: SqueezeNet's, of images of 224 pixels."""
    model = nn.Sequential(nn.Conv2d(3, 12, 4, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    found = last_target_layer(model, torch.randn(3, 52, 52, generator=rng))
    assert found == TargetLayer("0", 13, 13, "nchw")


def test_maps_are_read_as_they_are():
    output = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    assert torch.equal(TargetLayer("x", 4, 5, "nchw").read(output), output)


def test_maps_with_channels_last_are_read_channels_first():
    output = torch.arange(2 * 4 * 5 * 3.0).reshape(2, 4, 5, 3)
    found = TargetLayer("x", 4, 5, "nhwc").read(output)
    assert found.shape == (2, 3, 4, 5)
    for n, c, i, j in [(0, 0, 0, 0), (1, 2, 3, 4), (0, 1, 3, 0), (1, 0, 0, 4)]:
        assert found[n, c, i, j] == output[n, i, j, c]


@pytest.mark.parametrize("extra", [0, 1, 2, 5])
def test_tokens_are_read_row_by_row_after_those_of_no_place(extra):
    output = torch.full((2, extra + 12, 3), -1.0)
    output[:, extra:] = torch.arange(2 * 12 * 3.0).reshape(2, 12, 3)
    found = TargetLayer("x", 4, 3, "tokens").read(output)
    assert found.shape == (2, 3, 4, 3)
    for n in range(2):
        for c in range(3):
            for i in range(4):
                for j in range(3):
                    assert found[n, c, i, j] == output[n, extra + 3 * i + j, c]


ORDER = torch.randperm(24, generator=torch.Generator().manual_seed(1))
OWN = {  # the network, its image, its grid, and the number of the token at the left of row 1
    "in front": (lambda: own.ViT(4, 0), (32, 48), (4, 6), 10),
    "behind": (lambda: own.ViT(0, 4), (32, 48), (4, 6), 6),
    "both": (lambda: own.ViT(1, 4, reads=0), (32, 48), (4, 6), 7),
    "class token last": (lambda: own.ViT(0, 1, reads=-1), (64, 64), (8, 8), 8),
    "none": (lambda: own.ViT(0, 0, fused=True), (64, 64), (8, 8), 8),
    "linear patches": (lambda: own.ViT(1, 2, reads=0, linear=True), (32, 80), (4, 10), 11),
    "two rows of two, five others": (lambda: own.ViT(5, 0), (16, 16), (2, 2), 7),
    "three of three, seven others": (lambda: own.ViT(7, 0), (24, 24), (3, 3), 10),
    "three of three, seven behind": (lambda: own.ViT(0, 7, reads=-7), (24, 24), (3, 3), 3),
    "two rows of three": (lambda: own.ViT(3, 0), (16, 24), (2, 3), 6),
    "two rows of one": (lambda: own.ViT(2, 1, reads=1), (16, 8), (2, 1), 3),
    "a remainder": (lambda: own.ViT(1, 0, reads=0, patch=16), (70, 90), (4, 5), 6),
    "any order": (
        lambda: own.ViT(2, 1, order=ORDER), (32, 48), (4, 6), 2 + ORDER.tolist().index(6)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN)
def test_a_token_is_read_at_its_place(name, rng):
    """The first of the second row is lit; also where others stand in front, behind or both."""
    build, size, grid, lit = OWN[name]
    torch.manual_seed(0)
    model = build()
    found = last_target_layer(model, torch.randn(3, *size, generator=rng))
    assert (found.rows, found.columns) == grid
    assert found.layer == ("norm" if model.reads is None else "blocks.1.norm1")
    extra = model.front.shape[1] + model.behind.shape[1]
    tokens = torch.zeros(1, grid[0] * grid[1] + extra, 16)
    tokens[0, lit] = 1.0
    assert found.read(tokens)[0, 0].nonzero().tolist() == [[1, 0]]


def test_a_single_place_is_found_among_tokens_of_none():
    found = last_target_layer(own.ViT(3, 1, reads=0), torch.zeros(3, 8, 8))
    assert found == TargetLayer("blocks.1.norm1", 1, 1, "tokens", (3,))


def test_tokens_may_come_before_images(rng):
    """As nn.TransformerEncoder has them: (T, N, C), here with the class token last."""
    torch.manual_seed(0)
    found = last_target_layer(own.SequenceFirst(), torch.randn(3, 32, 48, generator=rng))
    assert found == TargetLayer("encoder.layers.0", 4, 6, "sequence", tuple(range(24)))
    output = torch.randn(25, 2, 5, generator=rng)
    assert torch.equal(found.read(output)[1, :, 2, 3], output[15, 1])


def test_joined_tokens_have_the_grid_of_the_joined(rng):
    torch.manual_seed(0)
    found = last_target_layer(own.Hierarchical(), torch.randn(3, 32, 48, generator=rng))
    assert found == TargetLayer("norm", 4, 6, "tokens")


@pytest.mark.parametrize("size", [(32, 32), (24, 24)], ids=["as many channels as tokens", "more"])
def test_attention_of_channels_is_no_map(size, rng):
    torch.manual_seed(0)
    model = own.ChannelAttention()
    found = last_target_layer(model, torch.randn(3, *size, generator=rng))
    assert found == TargetLayer("norm", size[0] // 8, size[1] // 8, "tokens")


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_an_attention_matrix_written_out_is_no_map(name, rng):
    layers = pytest.importorskip("timm").layers
    torch.manual_seed(0)
    layers.set_fused_attn(False)
    try:
        model = vit(name=name)
    finally:
        layers.set_fused_attn(True)
    found = last_target_layer(model, torch.randn(3, 32, 32, generator=rng))
    assert found == TargetLayer("blocks.1.norm1", 4, 4, "tokens")


class Shuffled(nn.Module):
    """16 tokens, each of which sees all of the image."""

    def __init__(self):
        super().__init__()
        self.project, self.norm = nn.Linear(3 * 12 * 12, 16 * 8), nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        tokens = self.norm(self.project(x.flatten(1)).unflatten(1, (16, 8)))
        return self.head(tokens.mean(dim=1))


def test_tokens_of_which_none_has_a_place_are_told_so(rng):
    torch.manual_seed(0)
    with pytest.raises(ShapeError, match=r"where the tokens .* cannot be told"):
        last_target_layer(Shuffled(), torch.randn(3, 12, 12, generator=rng))


class Sideways(nn.Module):
    """Its answer comes from the first layer; the others are asked and not listened to."""

    def __init__(self, share=0.0):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.third, self.head = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)
        self.share = share

    def forward(self, x):
        maps = self.first(x)
        second = self.second(maps)  # no path leads from it to the answer
        del second
        return self.head((maps + self.share * self.third(maps)).mean(dim=(2, 3)))


def test_a_layer_that_the_answer_does_not_depend_on_is_passed_by(rng):
    image = torch.randn(3, 9, 7, generator=rng)
    assert last_target_layer(Sideways(share=0.0), image).layer == "first"
    assert last_target_layer(Sideways(share=0.1), image).layer == "third"


def test_a_map_of_one_place_is_none(rng):
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 5, 1), nn.Flatten()
    )
    assert last_target_layer(model, torch.randn(3, 9, 7, generator=rng)) == TargetLayer(
        "0", 7, 5, "nchw"
    )


class InPlace(nn.Module):
    """One ReLU, in place, used after each of two convolutions, as in torchvision's ResNets."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 20, 3)
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(20, 3)

    def forward(self, x):
        maps = self.relu(self.second(self.relu(self.first(x))))
        return self.head(maps.mean(dim=(2, 3)))


def test_a_relu_in_place_that_is_used_twice_hides_nothing(rng):
    torch.manual_seed(0)
    found = last_target_layer(InPlace(), torch.randn(3, 11, 14, generator=rng))
    assert (found.rows, found.columns) == (7, 10)


def test_a_network_of_linear_layers_has_no_places():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 9), nn.ReLU(), nn.Linear(9, 4))
    with pytest.raises(ShapeError, match="no layer of the network has places, cells of rows and"):
        last_target_layer(model, torch.zeros(3, 8, 8))


def test_a_network_that_always_answers_the_same_depends_on_no_place():
    model = ConvNet(classes=3, widths=(4, 6))
    nn.init.zeros_(model.head.weight)
    with pytest.raises(ShapeError, match="answer depends on no layer with places"):
        last_target_layer(model, torch.randn(3, 16, 16))


def state(model):
    return {
        "modes": [module.training for module in model.modules()],
        "hooks": [
            len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks)
            for m in model.modules()
        ],
        "inplace": [getattr(module, "inplace", None) for module in model.modules()],
        "gradients": [p.grad for p in model.parameters()],
        "wanted": [p.requires_grad for p in model.parameters()],
        "values": [value.numpy().tobytes() for value in model.state_dict().values()],
    }


@pytest.mark.parametrize("size", [(21, 17), (1, 1)], ids=["found", "an error in the middle"])
def test_nothing_is_left_behind(size):
    torch.manual_seed(0)
    model = InPlace() if size == (21, 17) else ConvNet(classes=3, widths=(4, 6))
    model.train()
    next(model.children()).eval()
    before, image = copy.deepcopy(state(model)), torch.randn(3, *size)
    assert len(set(before["modes"])) == 2
    if size == (1, 1):  # too small to be halved
        with pytest.raises(ShapeError, match="too small"):
            last_target_layer(model, image)
    else:
        last_target_layer(model, image)
    assert state(model) == before
    assert not image.requires_grad


def test_a_frozen_network_has_its_places_too_also_where_no_gradients_are_wanted(rng):
    model, image = ConvNet(classes=3, widths=(4, 6)), torch.randn(3, 16, 12, generator=rng)
    model.requires_grad_(False)
    with torch.no_grad():
        assert last_target_layer(model, image) == TargetLayer("features", 4, 3, "nchw")
    assert not any(p.requires_grad for p in model.parameters())
