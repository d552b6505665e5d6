"""Style transfer: what the losses are, what they do to the image, what is refused."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.explain.test_target_layers import InPlace, state
from vislab.errors import DataError, OptionError, ShapeError, UnknownName
from vislab.explain.deep_dream import resized
from vislab.losses.style import gram_matrix
from vislab.models import ConvNet
from vislab.ops.seeding import generator
from vislab.tasks.style_transfer import (
    default_layers,
    distance,
    in_unit,
    read_whole,
    to_pixels,
    transfer,
)

IDENTITY = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
QUIET = {"normalisation": IDENTITY, "quiet": True}


def smooth(name, *size):
    return 0.2 + 0.6 * resized(torch.rand(1, 3, 4, 5, generator=generator(name)), size)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return ConvNet(classes=4, widths=(8, 12, 16))


def test_the_style_is_taken_over_and_the_content_stays_nearer(net):
    content, style = smooth("content", 32, 40), smooth("style", 30, 26)
    content_layer = default_layers(net, content[0])[-1]
    done = transfer(net, content, style, steps=60, tv_weight=1.0, **QUIET)
    assert done.image.shape == content.shape
    assert done.style[-1] < 0.35 * done.style[0]
    assert distance(net, done.image, content, content_layer, IDENTITY) < distance(
        net, style, content, content_layer, IDENTITY
    )
    assert len(done.content) == len(done.style) == len(done.variation) == 60


def test_losses_are_relative_to_what_is_wanted():
    """A layer that is the image itself: all three by hand, where a move by a pixel is nothing."""
    content = torch.tensor([0.2, 0.4, 0.8]).view(1, 3, 1, 1).expand(1, 3, 6, 8)
    style = torch.tensor([0.6, 0.6, 0.0]).view(1, 3, 1, 1).expand(1, 3, 5, 5)
    model = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1))
    options = {"content_layer": "0", "style_layers": ("0",), "steps": 1, **QUIET}
    done = transfer(model, content, style, **options)
    ours, wanted = gram_matrix(content), gram_matrix(style)
    by_hand = float((ours - wanted).square().sum() / wanted.square().sum())
    assert done.content == [0.0]
    assert done.style == [pytest.approx(by_hand, rel=1e-5)]
    assert done.variation == [0.0]
    away = (0.4**2 + 0.2**2 + 0.8**2) / (0.2**2 + 0.4**2 + 0.8**2)
    assert distance(model, style, content, "0", IDENTITY) == pytest.approx(away, rel=1e-4)


def test_of_pixels_alone_the_style_is_the_colours():
    """The Gram matrix of pixels knows second moments of colours only."""
    content, style = smooth("content", 12, 12), smooth("style", 12, 12)
    model = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1))
    done = transfer(model, content, style, content_layer="0", style_layers=("0",),
                    content_weight=0.0, tv_weight=0.0, steps=150, **QUIET)  # fmt: skip
    torch.testing.assert_close(gram_matrix(done.image), gram_matrix(style), atol=2e-3, rtol=0)


def test_more_variation_weight_is_smoother(net):
    content, style = smooth("content", 24, 24), torch.rand(1, 3, 24, 24, generator=generator("r"))
    rough, flat = (
        transfer(net, content, style, tv_weight=weight, steps=20, **QUIET).variation[-1]
        for weight in (0.0, 1000.0)
    )
    assert flat < 0.5 * rough


def test_the_image_is_kept_on_its_way(net):
    content, style = smooth("content", 24, 24), smooth("style", 24, 24)
    done = transfer(net, content, style, steps=4, keep=(0, 2, 4), **QUIET)
    assert list(done.on_the_way) == [0, 2, 4]
    assert torch.equal(done.on_the_way[0], content)
    assert torch.equal(done.on_the_way[4], done.image)
    assert not torch.equal(done.on_the_way[2], done.image)
    again = transfer(net, content, style, steps=4, keep=(2,), **QUIET)
    assert torch.equal(again.on_the_way[2], done.on_the_way[2])
    assert torch.equal(again.image, done.image)


def test_layers_are_the_last_of_each_size_but_the_smallest(net):
    image = smooth("content", 32, 40)[0]
    sizes = []
    for name in default_layers(net, image):
        hook = net.get_submodule(name).register_forward_hook(
            lambda _m, _x, output: sizes.append(tuple(output.shape[2:]))
        )
        net.eval()(image[None])
        hook.remove()
    assert sizes == [(32, 40), (16, 20), (8, 10)]  # (4, 5) is the smallest


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        ({"style_weight": 0.0}, OptionError, "0 for style and 30 for variation paint nothing"),
        ({"tv_weight": -1.0}, OptionError, "-1 for variation paint nothing"),
        ({"content_layer": "nowhere"}, UnknownName, "no layer is named 'nowhere'"),
        ({"style_layers": ("head",)}, ShapeError, "'head' gives no maps"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_left_behind(options, kind, sentence):
    torch.manual_seed(0)
    model = InPlace().train()
    before = copy.deepcopy(state(model))
    named = {"content_layer": "first", "style_layers": ("first",), **options}
    with pytest.raises(kind, match=sentence):
        transfer(model, smooth("a", 16, 16), smooth("b", 16, 16), steps=1, **named, **QUIET)
    transfer(model, smooth("a", 16, 16), smooth("b", 16, 16), steps=1, **QUIET)
    assert state(model) == before


def test_an_image_file_is_read_whole(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    same = read_whole(tmp_path / "wide.png", 60)
    assert (to_pixels(same) == pixels).all()
    assert read_whole(tmp_path / "wide.png", 40).shape == (1, 3, 20, 40)
    assert read_whole(tmp_path / "wide.png", 120).shape == (1, 3, 60, 120)
    assert torch.equal(in_unit(to_pixels(same)), same)
    Image.fromarray(pixels[:2]).save(tmp_path / "line.png")
    assert read_whole(tmp_path / "line.png", 60).shape == (1, 3, 16, 60)


def test_no_image_is_told(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png cannot be read"):
        read_whole(tmp_path / "gone.png", 60)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match=r"text\.png is no image"):
        read_whole(tmp_path / "text.png", 60)


def test_a_grid_of_strides_is_not_painted():
    """A convolution of stride 2 alone sees every other pixel of a kernel of 1: all are painted."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 1, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    content, style = torch.full((1, 3, 16, 16), 0.5), torch.rand(1, 3, 16, 16)
    done = transfer(model, content, style, content_layer="0", style_layers=("0",), steps=12,
                    content_weight=0.0, tv_weight=0.0, **QUIET)  # fmt: skip
    changed = (done.image - content).abs().amax(dim=1)[0] > 1e-3
    assert all(changed[down::2, across::2].all() for down in (0, 1) for across in (0, 1))
