"""The twins alone: how many weights, which rule for the averages, what a linear one reads."""

import pytest
import torch
import torch.nn.functional as F

from vislab import models
from vislab.errors import OptionError
from vislab.models.course_networks import NETWORKS, CourseNetwork

# Counted by hand: linear layers D M + M, convolutions F C k² + F, normalisation 2 a feature.
COUNTED = [
    ("linear-scores", {"classes": 4, "features": 13}, 13 * 4),
    ("fully-connected", {"classes": 10, "features": 3072, "hidden": [128]}, 394_634),
    ("fully-connected", {"classes": 3, "features": 6, "hidden": []}, 6 * 3 + 3),
    (
        "fully-connected",
        {"classes": 3, "features": 6, "hidden": [5, 4], "normalization": "batchnorm"},
        (30 + 5 + 10) + (20 + 4 + 8) + (12 + 3),
    ),
    (
        "fully-connected",
        {"classes": 3, "features": 6, "hidden": [5, 4], "normalization": "layernorm",
         "dropout": 0.5},
        92,
    ),
    (
        "three-layer-conv",  # an image of 7×7 is 3×3 after pooling
        {"classes": 3, "side": 7, "filters": 4, "kernel": 3, "hidden": 5, "channels": 2},
        (4 * 2 * 9 + 4) + (4 * 9 * 5 + 5) + (15 + 3),
    ),
    (
        "deep-conv",  # 12×12 is 3×3 after two poolings
        {"classes": 3, "side": 12, "filters": [4, 6], "pools": [0, 1], "batchnorm": True},
        (4 * 3 * 9 + 4 + 8) + (6 * 4 * 9 + 6 + 12) + (6 * 9 * 3 + 3),
    ),
    (
        "deep-conv",
        {"classes": 3, "side": 5, "filters": [4], "pools": [], "batchnorm": False, "channels": 1},
        (4 * 9 + 4) + (4 * 25 * 3 + 3),
    ),
    *[
        (
            "captioner",
            {"classes": 7, "features": 5, "word_width": 3, "hidden": 4, "cell": cell},
            (20 + 4) + 21 + gates + (28 + 7),
        )
        for cell, gates in (
            ("rnn", 12 + 16 + 4), ("lstm", 48 + 64 + 16), ("attention", 48 + 64 + 16 + 64)
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize(("name", "options", "counted"), COUNTED)
def test_networks_have_as_many_weights_as_counted_by_hand(name, options, counted):
    net = models.create(name, **options)
    assert sum(p.numel() for p in net.parameters()) == counted


def test_every_course_network_is_counted():
    assert {name for name, _, _ in COUNTED} == set(NETWORKS)


def test_a_network_without_a_size_it_needs_is_refused_by_name():
    with pytest.raises(OptionError, match=r"'deep-conv' does not take these options: .*'pools'"):
        models.create("deep-conv", classes=3, side=8, filters=[2], batchnorm=False)


def test_weights_begin_so_that_sums_keep_their_size_and_the_rest_does_nothing():
    torch.manual_seed(0)
    net = models.create(
        "deep-conv", classes=40, side=8, filters=[50, 60], pools=[0], batchnorm=True
    )
    fan_in = {"W1": 27, "W2": 450, "W3": 960}
    for name, p in net.named_parameters():
        if name in fan_in:
            assert float(p.detach().var() * fan_in[name]) == pytest.approx(2, rel=0.15)
        else:
            assert p.eq(1 if name.startswith("gamma") else 0).all(), name
    for name, average in net.named_buffers():
        assert average.eq(1 if name.startswith("var") else 0).all(), name


# Batch normalisation


def normalising(features, rng=None):
    net = CourseNetwork()
    net.add(gamma1=(features,), beta1=(features,))
    net.add_averages(1, features)
    net = net.double()
    if rng is not None:
        for p in net.parameters():
            p.data.copy_(torch.randn(features, dtype=torch.float64, generator=rng))
    return net


def test_the_running_variance_is_the_biased_one():
    net = normalising(2)
    h = torch.tensor([[1.0, 0.0], [5.0, 0.0]], dtype=torch.float64)
    # Of 1 and 5: mean 3, variance ((1 - 3)² + (5 - 3)²) / 2 = 4, where torch keeps 8.
    for mean, var in ((0.3, 0.9 * 1 + 0.1 * 4), (0.57, 0.81 + 0.09 * 4 + 0.1 * 4)):
        net.batch_norm(h, 1)
        assert net["mean1"].tolist() == pytest.approx([mean, 0])
        assert net["var1"][0].item() == pytest.approx(var)
    assert net["var1"][1].item() == pytest.approx(0.81)


def test_a_channel_is_averaged_over_images_and_pixels(rng):
    net = normalising(3)
    h = 2 + 3 * torch.randn(4, 3, 2, 5, dtype=torch.float64, generator=rng)
    out = net.batch_norm(h, 1)
    for channel in range(3):
        numbers = h[:, channel].flatten().tolist()
        mean = sum(numbers) / 40
        var = sum((number - mean) ** 2 for number in numbers) / 40
        assert net["mean1"][channel].item() == pytest.approx(0.1 * mean)
        assert net["var1"][channel].item() == pytest.approx(0.9 + 0.1 * var)
        wanted = [(number - mean) / (var + 1e-5) ** 0.5 for number in numbers]
        assert out[:, channel].flatten().tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 2, 5)])
def test_while_training_gradients_go_through_mean_and_variance(shape, rng):
    net = normalising(3, rng)
    h = torch.randn(shape, dtype=torch.float64, generator=rng, requires_grad=True)
    upstream = torch.randn(shape, dtype=torch.float64, generator=rng)
    names = ["gamma1", "beta1"]
    ours = torch.autograd.grad(net.batch_norm(h, 1), [h, *(net[n] for n in names)], upstream)
    axes = [axis for axis in range(len(shape)) if axis != 1]
    along = (1, 3, *(1,) * (len(shape) - 2))
    normal = (h - h.mean(axes, keepdim=True)) / (
        h.var(axes, correction=0, keepdim=True) + 1e-5
    ).sqrt()
    written_out = net["gamma1"].view(along) * normal + net["beta1"].view(along)
    theirs = torch.autograd.grad(written_out, [h, *(net[n] for n in names)], upstream)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


def test_when_testing_the_averages_stand_in_and_stay(rng):
    net = normalising(3, rng)
    net["mean1"].copy_(torch.tensor([1.0, 2.0, 3.0]))
    net["var1"].copy_(torch.tensor([4.0, 1.0, 0.25]))
    net.eval()
    h = torch.randn(1, 3, dtype=torch.float64, generator=rng)  # one image is enough
    out = net.batch_norm(h, 1)[0].tolist()
    for k, (mean, var) in enumerate(((1, 4), (2, 1), (3, 0.25))):
        normal = (h[0, k].item() - mean) / (var + 1e-5) ** 0.5
        assert out[k] == pytest.approx(net["gamma1"][k].item() * normal + net["beta1"][k].item())
    assert net["mean1"].tolist() == [1, 2, 3]
    assert net["var1"].tolist() == [4, 1, 0.25]


# What they read


def test_a_linear_network_scores_images_with_and_without_the_column_of_ones(rng):
    net = models.create("linear-scores", classes=4, features=13)
    images = torch.randn(5, 3, 2, 2, generator=rng)
    W, flat = net["W"], images.flatten(1)
    wanted = [
        [sum(x * w for x, w in zip(row, W[:12, k].tolist(), strict=True)) + W[12, k].item()
         for k in range(4)]
        for row in flat.tolist()
    ]  # fmt: skip
    for given in (images, flat, torch.cat([flat, torch.ones(5, 1)], dim=1)):
        torch.testing.assert_close(net(given), torch.tensor(wanted))


@pytest.mark.parametrize("width", [11, 14])
def test_a_linear_network_refuses_images_of_another_size(width, rng):
    net = models.create("linear-scores", classes=4, features=13)
    with pytest.raises(RuntimeError):
        net(torch.randn(5, width, generator=rng))


def test_dropout_drops_its_share_while_training_only_and_by_the_generator(rng):
    net = models.create(
        "fully-connected", classes=1, features=1, hidden=[4000], dropout=0.25
    ).double()
    for name, value in (("W1", 0.0), ("b1", 1.0), ("W2", 1.0)):
        net[name].data.fill_(value)
    x = torch.randn(1, 1, dtype=torch.float64, generator=rng)
    net.generator = torch.Generator().manual_seed(3)
    first, second = net(x).item(), net(x).item()
    # Each of 4000 ones is dropped or becomes 4/3: their sum counts those that stay.
    stay = first * 3 / 4
    assert stay == pytest.approx(round(stay), abs=1e-9)
    assert stay / 4000 == pytest.approx(0.75, abs=0.03)
    assert first != second
    net.generator.manual_seed(3)
    assert net(x).item() == first
    assert net.eval()(x).item() == 4000


def test_a_deep_network_pools_after_the_layers_that_are_named(rng):
    x = torch.randn(2, 1, 8, 8, generator=rng)
    net = models.create(
        "deep-conv", classes=3, side=8, filters=[2, 2], pools=[1], batchnorm=False, channels=1
    )
    h = F.relu(F.conv2d(x, net["W1"], net["b1"], padding=1))
    h = F.relu(F.conv2d(h, net["W2"], net["b2"], padding=1))
    h = h.view(2, 2, 4, 2, 4, 2).amax(dim=(3, 5))  # the largest of each 2×2
    torch.testing.assert_close(net(x), h.flatten(1) @ net["W3"] + net["b3"])


def test_a_captioner_with_attention_reads_a_map_of_one_value_alike_at_any_size(rng):
    net = models.create(
        "captioner", classes=7, features=5, word_width=3, hidden=4, cell="attention"
    )
    feature = torch.randn(2, 5, 1, 1, generator=rng)
    words = torch.randint(7, (2, 3), generator=rng)
    small, large = (net((feature.expand(2, 5, side, side), words)) for side in (2, 3))
    torch.testing.assert_close(small, large)
    uneven = torch.randn(2, 5, 2, 2, generator=rng)
    shuffled = uneven.flatten(2)[:, :, [3, 0, 2, 1]].view(2, 5, 2, 2)
    torch.testing.assert_close(net((uneven, words)), net((shuffled, words)))
    assert not torch.allclose(net((uneven, words)), small)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "attention"])
def test_a_captioners_scores_depend_on_the_words_so_far_and_no_later_ones(cell, rng):
    net = models.create("captioner", classes=7, features=5, word_width=3, hidden=4, cell=cell)
    shape = (2, 5, 2, 2) if cell == "attention" else (2, 5)
    features = torch.randn(shape, generator=rng)
    words = torch.randint(7, (2, 5), generator=rng)
    other = words.clone()
    other[:, 3] = (other[:, 3] + 1) % 7
    before, after = net((features, words)), net((features, other))
    assert before[:, :3].equal(after[:, :3])
    assert not before[:, 3].eq(after[:, 3]).any()
