"""The loop under all painted images."""

import copy

import pytest
import torch
from torch import nn

from tests.explain.small_nets import PLAIN, colour_net
from tests.explain.test_target_layers import InPlace, state
from vislab.errors import NonFiniteLoss, OptionError, UnknownName
from vislab.explain.canvas import Fourier, Pixels
from vislab.explain.image_optimisation import judge, normalise, paint
from vislab.explain.objectives import Objective, channel, class_score, l2
from vislab.explain.wobble import jitter, tilt
from vislab.ops.seeding import generator


def grey(count=1, height=6, width=7):
    return Pixels(torch.full((count, 3, height, width), 0.5))


def paint_quietly(model, objective, canvas, **options):
    return paint(model, objective, canvas, **{"normalisation": PLAIN, "quiet": True, **options})


def test_a_plain_step_goes_up_the_slope_by_the_rate():
    """Of the mean of red the slope is flat: red rises by 0.1 · √3, the others stay."""
    found = paint_quietly(colour_net(), class_score(0), grey(), steps=2, lr=0.1, ascent="gradient")
    by = 3**0.5 * 0.1
    expected = torch.tensor([0.5 + 2 * by, 0.5, 0.5]).view(1, 3, 1, 1).expand(1, 3, 6, 7)
    torch.testing.assert_close(found.images, expected)
    assert found.history == pytest.approx([0.0, 20 * by], abs=1e-4)


def test_adams_first_step_is_its_rate_and_black_and_white_are_the_ends():
    found = paint_quietly(colour_net(), class_score(0) - class_score(1), grey(), steps=1, lr=0.1)
    colours = found.images.mean(dim=(0, 2, 3))
    torch.testing.assert_close(colours, torch.tensor([0.6, 0.4, 0.5]))
    found = paint_quietly(colour_net(), class_score(0) - class_score(1), grey(), steps=30, lr=0.1)
    assert found.images.mean(dim=(0, 2, 3)).tolist() == [1.0, 0.0, 0.5]


def test_a_penalty_finds_its_balance():
    """Of 20 r/(6·7) a pixel against w (r − ½)² / (3·6·7): r = ½ + 30 / w."""
    found = paint_quietly(
        colour_net(), class_score(0) - 200 * l2(), grey(), steps=150,
        lr=lambda step: 0.05 * 0.96**step,
    )  # fmt: skip
    torch.testing.assert_close(found.images[0, 0], torch.full((6, 7), 0.65), atol=2e-3, rtol=0)


def test_each_image_climbs_for_itself():
    model, start = colour_net(), torch.rand(2, 3, 5, 4, generator=generator("t"))
    both = paint_quietly(model, class_score(torch.tensor([0, 2])), Pixels(start), steps=3)
    for place, target in enumerate((0, 2)):
        alone = paint_quietly(model, class_score(target), Pixels(start[place : place + 1]), steps=3)
        torch.testing.assert_close(both.images[place : place + 1], alone.images)


def test_a_seed_decides_and_the_global_state_does_not():
    torch.manual_seed(0)
    model = InPlace()
    results = []
    for seed, noise in ((1, 5), (1, 6), (2, 5)):
        torch.manual_seed(noise)
        canvas = Fourier(1, 8, 8, generator("same"))
        before = torch.get_rng_state()
        results.append(
            paint_quietly(
                model, class_score(1), canvas, steps=4, seed=seed, transforms=[jitter(2), tilt()]
            )
        )
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(results[0].images, results[1].images)
    assert results[0].history == results[1].history
    assert not torch.equal(results[0].images, results[2].images)


def test_the_rate_may_follow_the_step_and_someone_may_look_after_each():
    seen = []
    canvas = grey()
    found = paint_quietly(
        colour_net(), class_score(0), canvas, steps=3, lr=lambda step: 0.1 if step == 1 else 0.0,
        ascent="gradient",
        after=lambda step: seen.append((step, float(canvas.values.detach().max()))),
    )  # fmt: skip
    top = pytest.approx(0.5 + 0.1 * 3**0.5)
    assert seen == [(0, 0.5), (1, top), (2, top)]
    assert len(found.history) == 3


def test_the_network_sees_the_image_normalised():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    images = torch.rand(2, 3, 4, 5, generator=generator("t"))
    found = normalise(images, (mean, std))
    for colour in range(3):
        expected = (images[:, colour] - mean[colour]) / std[colour]
        torch.testing.assert_close(found[:, colour], expected)
    scores = judge(colour_net(), class_score(2), images, normalisation=(mean, std))
    torch.testing.assert_close(scores, 20 * found[:, 2].mean(dim=(1, 2)) - 10)


@pytest.mark.parametrize(
    ("objective", "kind", "sentence"),
    [
        (Objective(lambda _: torch.ones(1)), OptionError, "does not depend on the image"),
        (
            Objective(lambda seen: seen.layers["0"].mean().reshape(1) * 0, ("0",)),
            OptionError,
            "has no slope",
        ),
        (class_score(0) * float("nan"), NonFiniteLoss, "NaN or infinite at step 0"),
        (channel("nowhere", 0), UnknownName, "no layer is named 'nowhere'"),
    ],
    ids=["constant", "silent", "nan", "unknown layer"],
)
def test_what_cannot_be_climbed_is_told_and_nothing_is_left_behind(objective, kind, sentence):
    model = colour_net().train()
    before = copy.deepcopy(state(model))
    with pytest.raises(kind, match=sentence):
        paint_quietly(model, objective, grey(), steps=2)
    assert state(model) == before


def test_a_slope_that_is_nan_is_told():
    """The root of zero has a value, but no slope."""
    root = Objective(lambda seen: (seen.layers["0"][:, 0] * 0).sum().sqrt().reshape(1), ("0",))
    with pytest.raises(NonFiniteLoss, match="gradient became NaN"):
        paint_quietly(colour_net(), root, grey(), steps=1)


def test_no_steps_paint_nothing():
    with pytest.raises(OptionError, match="0 steps paint nothing"):
        paint_quietly(colour_net(), class_score(0), grey(), steps=0)


def test_a_trained_state_comes_back_whatever_it_was():
    torch.manual_seed(0)
    model = InPlace().train()
    model.first.eval()
    model.first.weight.requires_grad_(False)
    before = copy.deepcopy(state(model))
    with torch.no_grad():
        found = paint_quietly(model, class_score(1) + channel("second", 0), grey(), steps=2)
    assert state(model) == before
    assert not found.images.requires_grad


def test_a_long_painting_tells_how_it_goes(capsys, monkeypatch):
    monkeypatch.setattr("vislab.progress.PATIENCE", -1.0)
    paint_quietly(colour_net(), class_score(0), grey(), steps=2, quiet=False, what="a test")
    assert "a test: 1 of 2 steps" in capsys.readouterr().err


def test_dropout_is_off():
    torch.manual_seed(0)
    model = nn.Sequential(colour_net(), nn.Dropout(0.5)).train()
    assert judge(model, class_score(0), torch.ones(1, 3, 2, 2), normalisation=PLAIN).tolist() == [
        10
    ]
