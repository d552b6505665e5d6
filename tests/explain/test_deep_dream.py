"""Dreams: stronger in the layer, still the image."""

import copy

import pytest
import torch
from torch import nn

from tests.explain.small_nets import HALF, trained_net
from tests.explain.test_target_layers import InPlace, squeezenet, state, vit
from vislab.errors import DataError, OptionError, ShapeError
from vislab.explain.deep_dream import deep_dream, dream_layer, resized
from vislab.explain.image_optimisation import judge
from vislab.explain.objectives import channel, strength
from vislab.models import ConvNet
from vislab.ops.seeding import generator


def photo(*size):
    """Something smooth, with fine detail in one corner."""
    image = resized(torch.rand(1, 3, 5, 6, generator=generator("photo")), size)
    image[..., :12, :12] = torch.rand(1, 3, 12, 12, generator=generator("detail"))
    return image


def test_three_steps_make_the_layer_stronger():
    model, images, _ = trained_net()
    found = deep_dream(model, images, octaves=1, steps=4, normalisation=HALF, quiet=True)
    assert len(found.history) == 4
    assert found.history[3] > 1.1 * found.history[0]
    layer = dream_layer(model, 2 * images[0] - 1)
    before, after = (
        judge(model, strength(layer), shown, normalisation=HALF) for shown in (images, found.images)
    )
    assert (after > before).all()


def test_every_octave_takes_its_steps_at_its_size_and_small_ones_are_left_out():
    sizes = []
    model = ConvNet(classes=4, widths=(4, 6))
    model.features.register_forward_pre_hook(lambda _m, x: sizes.append(tuple(x[0].shape[2:])))
    found = deep_dream(
        model, photo(100, 140), octaves=4, ratio=1.25, steps=2, normalisation=HALF, quiet=True
    )
    painted = list(dict.fromkeys(sizes))
    assert sorted(painted) == [(64, 90), (80, 112), (100, 140)]  # (51, 72) would be too small
    assert len(found.history) == 6
    assert found.images.shape == (1, 3, 100, 140)


def test_what_was_dreamt_small_is_carried_on_to_the_larger_image():
    """The network's first look at the full size is not at the image given, moved or not."""
    looks, given = [], photo(96, 128)
    model = ConvNet(classes=4, widths=(4, 6))
    model.features.register_forward_pre_hook(lambda _m, x: looks.append(x[0].detach()))
    options = {"ratio": 1.2, "steps": 1, "lr": 0.05, "layer": "features.2", "quiet": True}
    full = []
    for octaves in (1, 2):
        looks.clear()
        deep_dream(model, given, octaves=octaves, normalisation=HALF, **options)
        full.append(looks[-1].flatten().sort().values)  # the same for any move
    expected = (2 * given - 1).flatten().sort().values
    torch.testing.assert_close(full[0], expected)
    assert (full[1] - expected).abs().mean() > 0.01


def test_the_images_own_detail_outlives_the_octaves():
    """Where the dream is nearly nothing, fine detail is there to the pixel."""
    model, given = ConvNet(classes=4, widths=(4, 6)), photo(96, 128)
    found = deep_dream(
        model, given, octaves=3, ratio=1.2, steps=1, lr=1e-5, normalisation=HALF, quiet=True
    )
    assert (found.images - given).abs().max() < 1e-3


def test_an_objective_may_be_asked_for_and_a_layer_named():
    model, images, _ = trained_net()
    options = {"octaves": 1, "steps": 3, "normalisation": HALF, "quiet": True}
    by_layer = deep_dream(model, images, layer="features.3", **options)
    by_objective = deep_dream(model, images, objective=strength("features.3"), **options)
    assert torch.equal(by_layer.images, by_objective.images)
    other = deep_dream(model, images, objective=channel("features.3", 1), **options)
    assert not torch.equal(other.images, by_layer.images)


@pytest.mark.parametrize("build", [InPlace, squeezenet, vit, lambda: ConvNet(classes=3)])
def test_a_layer_is_found_in_any_network(build):
    torch.manual_seed(0)
    model = build()
    size = 32 if build is vit else 64
    layer = dream_layer(model, torch.rand(3, size, size, generator=generator("t")))
    assert layer in dict(model.named_modules())


def test_a_network_of_one_size_says_how_to_dream():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 96 * 96, 2))
    with pytest.raises(ShapeError, match=r"69×69 pixels, the first octave .* use octaves=1"):
        deep_dream(model, photo(96, 96), octaves=2, quiet=True)
    found = deep_dream(vit(), torch.rand(1, 3, 32, 32), octaves=4, steps=2, quiet=True)
    assert found.images.shape == (1, 3, 32, 32)  # no octave is smaller than 64 pixels


def test_the_same_seed_dreams_the_same_and_nothing_is_left_behind():
    torch.manual_seed(0)
    model = InPlace().train()
    before, given = copy.deepcopy(state(model)), photo(40, 50)
    options = {"octaves": 1, "steps": 2, "quiet": True, "layer": "second"}
    first, second = (deep_dream(model, given, **options).images for _ in range(2))
    assert torch.equal(first, second)
    assert state(model) == before


@pytest.mark.parametrize("options", [{"octaves": 0}, {"ratio": 1.0}])
def test_octaves_that_do_not_grow_are_refused(options):
    with pytest.raises(OptionError, match="are no dream"):
        deep_dream(InPlace(), photo(40, 50), **options)


def test_normalised_images_are_refused():
    with pytest.raises(DataError, match="from 0 to 1"):
        deep_dream(InPlace(), photo(40, 50) - 1)
