"""Each layer of a network: its counts in closed form, its sums, and what it sees by gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from vislab import models
from vislab.profiling.layers import layers

SIDE = 13


class Mapped(nn.Module):
    """A network whose forward is a function of itself and the image."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def sees(model, size=SIDE):
    """Return what a place of the network's answer sees."""
    return layers(nn.Sequential(model, nn.Identity()), size)[-1].sees


def counted_by_torch(model, size):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize(
    ("options", "side"),
    [
        ({"kernel_size": 3, "padding": 1}, 13),
        ({"kernel_size": 3, "stride": 2}, 6),
        ({"kernel_size": (1, 5), "padding": (0, 2), "bias": False}, 13),
        ({"kernel_size": 3, "groups": 3, "dilation": 2}, 9),
    ],
)
def test_a_convolution_multiplies_once_a_weight_and_place(options, side):
    (row,) = layers(nn.Conv2d(3, 6, **options), SIDE)
    high, wide = (3, 3) if options["kernel_size"] == 3 else (1, 5)
    weights = 6 * 3 // options.get("groups", 1) * high * wide
    assert row.parameters == weights + 6 * options.get("bias", True)
    assert row.macs == weights * side * side
    assert row.output == (6, side, side)
    assert (row.name, row.kind) == ("", "Conv2d")


def strided_and_grouped():
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=4),
        nn.Conv2d(8, 12, 1), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(12 * 4, 5),
    )  # fmt: skip


def with_arithmetic_of_its_own():
    net = Mapped(
        lambda self, x: (self.head(self.body(x).mean((2, 3))) @ self.mixing) * self.scale,
        body=nn.Conv2d(3, 4, 3), head=nn.Linear(4, 6),
    )  # fmt: skip
    net.mixing, net.scale = nn.Parameter(torch.ones(6, 7)), nn.Parameter(torch.ones(7))
    return net


@pytest.mark.parametrize(
    ("build", "size"),
    [
        (strided_and_grouped, SIDE),
        (with_arithmetic_of_its_own, SIDE),
        (lambda: models.create("convnet", classes=7, noise=0.1), 17),
        (lambda: models.create("all-cnn", classes=7), 19),
        (lambda: models.create("resnet18", classes=7), 37),
        (lambda: models.create("torchvision:mobilenet_v3_small", classes=7), 64),
        (lambda: models.create("torchvision:shufflenet_v2_x0_5", classes=7), 64),
    ],
)
def test_the_rows_add_up_to_the_network(build, size):
    model = build()
    rows = layers(model, size)
    assert len(rows) > 2
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in model.parameters())
    assert sum(row.macs for row in rows) == counted_by_torch(model, size) > 0


def test_what_a_module_does_beside_calling_others_is_its_own_row():
    *_, head, itself = layers(with_arithmetic_of_its_own(), SIDE)
    assert (head.name, head.macs) == ("head", 24)
    assert (itself.name, itself.kind, itself.output) == ("", "Mapped", (7,))
    assert (itself.parameters, itself.macs) == (42 + 7, 42)


def test_a_layer_that_is_called_twice_holds_its_weights_once():
    conv = nn.Conv2d(3, 3, 3, padding=1)
    first, second = layers(Mapped(lambda self, x: self.conv(self.conv(x)), conv=conv), SIDE)
    assert (first.parameters, first.again) == (3 * 3 * 9 + 3, False)
    assert (second.parameters, second.again) == (0, True)
    assert first.macs == second.macs == 81 * SIDE * SIDE
    assert (first.sees, second.sees) == ((3, 3), (5, 5))


def test_weights_that_two_layers_share_count_with_the_first():
    one, two = nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False)
    two.weight = one.weight
    rows = layers(nn.Sequential(one, two), SIDE)
    assert [row.parameters for row in rows] == [9, 0]
    assert [row.again for row in rows] == [False, False]


def test_what_is_never_called_is_told_at_the_end():
    model = Mapped(
        lambda self, x: self.conv(x),
        conv=nn.Conv2d(3, 2, 1), aux=nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)),
    )  # fmt: skip
    conv, aux = layers(model, SIDE)
    assert conv.parameters == 8
    assert (aux.name, aux.kind, aux.output, aux.sees) == ("aux", "Sequential", None, None)
    assert (aux.parameters, aux.macs) == (24 + 15, 0)


def test_attention_holds_the_weights_of_its_parts_and_sees_everything():
    net = Mapped(
        lambda self, x: self.attention(*[self.cut(x).flatten(2).transpose(1, 2)] * 3)[0],
        cut=nn.Conv2d(3, 8, 4, stride=4), attention=nn.MultiheadAttention(8, 2, batch_first=True),
    )  # fmt: skip
    cut, attention = layers(net, 12)
    assert (cut.sees, attention.sees) == ((4, 4), "all")
    assert attention.parameters == 4 * (8 * 8 + 8)
    tokens = 9
    assert attention.macs == 4 * tokens * 8 * 8 + 2 * tokens * tokens * 8
    assert attention.output == (tokens, 8)


def test_all_cnn_sees_what_its_strides_say():
    # 3, 3, 3 of stride 2; then 3, 3, 3 of stride 2 at steps of 2; then 3 and 1 at steps of 4.
    rows = layers(models.create("all-cnn", classes=5), 32)
    seen = [row.sees for row in rows if row.kind == "Conv2d"]
    assert seen == [(n, n) for n in (3, 5, 7, 11, 15, 19, 27, 27, 27)]


def test_convnet_sees_what_its_halvings_say():
    rows = layers(models.create("convnet", classes=5), 32)
    seen = [row.sees for row in rows if row.kind in ("Conv2d", "MaxPool2d")]
    assert seen == [(n, n) for n in (3, 5, 6, 10, 14, 16, 24, 32, 36)]
    assert rows[-1].name == "head"
    assert rows[-1].sees == "all"


@pytest.mark.parametrize("size", [32, 64])
def test_resnet18_sees_435_pixels_before_it_takes_the_mean(size):
    rows = {row.name: row for row in layers(models.create("resnet18", classes=5), size)}
    # 7, the pool to 11; four 3×3 at steps of 4, 8, 16 and 32, the first of a stage at half of it.
    assert rows["maxpool"].sees == (11, 11)
    assert rows["layer1.1.relu"].sees == (11 + 4 * 2 * 4,) * 2
    assert rows["layer2.1.relu"].sees == (43 + 2 * 4 + 3 * 2 * 8,) * 2
    assert rows["layer4.0.downsample.0"].sees == rows["layer3.1.relu"].sees == (211, 211)
    assert rows["layer4.1.relu"].sees == (435, 435)
    assert rows["avgpool"].sees == rows["fc"].sees == "all"


def test_vgg16_sees_212_pixels_before_its_linear_layers():
    rows = {r.name: r for r in layers(models.create("torchvision:vgg16", classes=2), 224)}
    assert rows["features.29"].sees == (196, 196)
    assert rows["features.30"].sees == (212, 212)
    assert rows["avgpool"].sees == (212, 212)  # to 7×7, which it has already
    assert rows["classifier.0"].sees == "all"
    assert rows["classifier.0"].macs == 7 * 7 * 512 * 4096


def conv(inner, outer, kernel, **options):
    return nn.Conv2d(inner, outer, kernel, **options)


def two_branches():
    """Even kernels padded on one side only: what the branches see does not lie centred."""
    return Mapped(
        lambda self, x: self.last(self.one(F.pad(x, (0, 2, 3, 0))) + self.two(x)),
        one=conv(3, 2, (4, 3)), two=conv(3, 2, 3, padding=1), last=conv(2, 2, 2, stride=2),
    )  # fmt: skip


def inception():
    return Mapped(
        lambda self, x: self.last(torch.cat([self.one(self.pool(x)), self.two(self.pool(x))], 1)),
        pool=nn.AvgPool2d(3, 2, 1), one=conv(3, 2, (1, 5), padding=(0, 2)),
        two=conv(3, 2, (3, 1), padding=(2, 0), dilation=2), last=conv(4, 2, 3, stride=(1, 2)),
    )  # fmt: skip


def shifted():
    return Mapped(
        lambda self, x: self.last(self.first(x)[:, :, 1::2, 2:] * 2 - 1),
        first=conv(3, 2, 3), last=conv(2, 2, 3, dilation=(1, 2)),
    )  # fmt: skip


def set_against_each_other():
    """Two crops of one map are added: a place sees what both saw, which lies apart."""
    return Mapped(
        lambda self, x: self.last(self.first(x)[:, :, 3:, :-2] + self.first(x)[:, :, :-3, 2:]),
        first=conv(3, 2, 3, stride=2), last=conv(2, 2, 1),
    )  # fmt: skip


def channels_last():
    def forward(self, x):
        x = self.norm(self.wide(x).permute(0, 2, 3, 1))  # (N, H, W, C)
        return self.last(self.linear(x).permute(0, 3, 1, 2))

    return Mapped(
        forward, wide=conv(3, 4, 5, stride=2), norm=nn.LayerNorm(4), linear=nn.Linear(4, 6),
        last=conv(6, 2, 3),
    )  # fmt: skip


def grouped_pool():
    return nn.Sequential(
        conv(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Hardswish(),
        nn.AvgPool2d(2, ceil_mode=True), conv(6, 6, 3, groups=3, stride=2), nn.AdaptiveAvgPool2d(4),
    )  # fmt: skip


@pytest.mark.parametrize(
    "build",
    [two_branches, inception, shifted, set_against_each_other, channels_last, grouped_pool],
)
def test_a_place_sees_the_pixels_that_its_gradient_reaches(build, rng):
    size, model = 66, build().double().eval()
    claimed = sees(model, size)
    x = torch.rand(1, 3, size, size, generator=rng, dtype=torch.float64).requires_grad_()
    y = model(x)
    assert y.ndim == 4
    middle = y[0, :, y.shape[2] // 2, y.shape[3] // 2]  # (C,)
    above = torch.rand(len(middle), generator=rng, dtype=torch.float64)
    (slope,) = torch.autograd.grad(middle, x, above)
    reached = slope[0].abs().sum(0) > 0
    spans = []
    for axis in (1, 0):
        places = reached.any(axis).nonzero()
        assert places.min() > 0
        assert places.max() < size - 1, "the edge would cut it"
        spans.append(int(places.max() - places.min()) + 1)
    assert claimed == tuple(spans)


def gate(self, x):
    return self.conv(x) * torch.sigmoid(x.mean((2, 3), keepdim=True))


@pytest.mark.parametrize(
    ("model", "sight"),
    [
        (nn.Sequential(conv(3, 2, 3), nn.Flatten(), nn.Linear(2 * 11 * 11, 4)), "all"),
        (nn.Sequential(conv(3, 2, 3), nn.GroupNorm(1, 2)), "all"),
        (nn.Sequential(conv(3, 2, 3), nn.InstanceNorm2d(2)), "all"),
        (nn.Sequential(conv(3, 2, 3), nn.AdaptiveMaxPool2d(1)), "all"),
        (nn.Sequential(conv(3, 2, 3), nn.LayerNorm([2, 11, 11])), "all"),
        (Mapped(gate, conv=conv(3, 3, 1)), "all"),
        (nn.Sequential(conv(3, 2, 3), nn.Softmax(dim=1)), (3, 3)),
        (nn.Sequential(conv(3, 2, 3), nn.Softmax(dim=3)), None),  # a row, no more
        (nn.Sequential(conv(3, 2, 3), nn.Upsample(scale_factor=2)), None),
        (nn.Sequential(conv(3, 2, 3), nn.ConvTranspose2d(2, 2, 2)), None),
        (nn.Sequential(conv(3, 4, 3), nn.PixelShuffle(2), conv(1, 1, 3)), None),
        (nn.Sequential(conv(3, 2, 3), nn.AdaptiveAvgPool2d(4)), None),  # uneven windows
        (nn.Sequential(conv(3, 2, 3), nn.BatchNorm2d(2, track_running_stats=False)), "all"),
    ],
)
def test_what_is_global_sees_all_and_what_cannot_be_followed_nothing_certain(model, sight):
    assert sees(model) == sight


def test_a_part_written_over_makes_the_whole_uncertain():
    def forward(self, x):
        y = torch.zeros(1, 2, 13, 13, device=x.device)
        y[:, :, 1:-1, 1:-1] = self.conv(x)
        return y + x[:, :2]

    assert sees(Mapped(forward, conv=conv(3, 2, 3))) is None


def marks(model):
    """Return everything that looking must not change."""
    return (
        [module.training for module in model.modules()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        [(id(p), p.requires_grad, p.device.type, p.sum().item()) for p in model.parameters()],
        [(id(b), b.device.type) for b in model.buffers()],
    )


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails):
    body = nn.Sequential(conv(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), conv(4, 2, 3))
    body[0].eval()
    body[3].weight.requires_grad_(False)

    def forward(self, x):
        y = self.body(x)
        return y.reshape(7, 7) if fails else y

    model = Mapped(forward, body=body)
    before = marks(model)
    if fails:
        with pytest.raises(RuntimeError):
            layers(model, SIDE)
    else:
        layers(model, SIDE)
    assert marks(model) == before
    assert body[2].inplace is True
