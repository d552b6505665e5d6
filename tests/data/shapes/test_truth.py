"""The truths of a scene, against the image and against counting pixel by pixel."""

from dataclasses import replace

import numpy as np
import pytest

from vislab.data.shapes import (
    CLASSES,
    attributes,
    boxes,
    causal_mask,
    draw_scenes,
    labels,
    masks,
    owners,
    render,
    without_cause,
)
from vislab.errors import OptionError

LEVELS = ("easy", "medium", "hard")


def only(scenes, slot):
    """Return the scenes with one object each and nothing in front of it."""
    present = np.zeros_like(scenes.present)
    present[:, slot] = scenes.present[:, slot]
    nothing = np.zeros_like(scenes.occluders.present)
    return replace(scenes, present=present, occluders=replace(scenes.occluders, present=nothing))


def test_the_label_is_the_kind_of_the_main_object_and_ten_in_a_row_are_all_different():
    scenes = draw_scenes(range(40), seed=5, difficulty="hard")
    assert labels(scenes).dtype == np.int64
    assert [CLASSES[k] for k in labels(scenes)] == attributes(scenes).kind.tolist()
    assert (np.sort(labels(scenes).reshape(4, 10)) == np.arange(10)).all()


@pytest.mark.parametrize("level", LEVELS)
def test_at_least_six_tenths_of_the_main_object_can_be_seen(level):
    scenes = draw_scenes(range(1500), seed=21, difficulty=level)
    whole = causal_mask(only(scenes, 0), 64).sum(axis=(1, 2))
    seen = causal_mask(scenes, 64).sum(axis=(1, 2)) / whole
    assert seen.min() >= 0.6
    assert (seen.mean() == 1) == (level == "easy")


@pytest.mark.parametrize("level", ["medium", "hard"])
def test_the_main_object_covers_the_most_pixels(level):
    scenes = draw_scenes(range(400), seed=22, difficulty=level)
    main = causal_mask(only(scenes, 0), 64).sum(axis=(1, 2))
    for slot in range(1, scenes.kind.shape[1]):
        other = (owners(only(scenes, slot), 64) == slot).sum(axis=(1, 2))
        assert (other < 0.7 * main).all()


@pytest.mark.parametrize("level", LEVELS)
def test_masks_share_no_pixel_and_the_causal_mask_is_the_first(level):
    scenes = draw_scenes(range(60), seed=1, difficulty=level)
    seen = masks(scenes, 45)
    assert seen.shape == (60, scenes.kind.shape[1], 45, 45)
    assert seen.sum(axis=1).max() == 1
    np.testing.assert_array_equal(seen[:, 0], causal_mask(scenes, 45))
    assert not seen[~scenes.present].any()
    assert seen[:, 0].any(axis=(1, 2)).all()


@pytest.mark.parametrize("level", LEVELS)
def test_boxes_are_tight_around_the_visible_pixels(level):
    scenes = draw_scenes(range(50), seed=2, difficulty=level)
    found = boxes(scenes, 47)
    seen = masks(scenes, 47)
    by_hand = []
    for scene in range(50):
        for slot in range(scenes.kind.shape[1]):
            ys, xs = np.nonzero(seen[scene, slot])
            if len(ys):
                corners = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
                by_hand.append([*corners, scenes.kind[scene, slot], scene, slot])
    assert len(by_hand) >= 50
    columns = [found.xyxy, found.kind[:, None], found.scene[:, None], found.slot[:, None]]
    assert np.concatenate(columns, axis=1).tolist() == by_hand


def test_the_box_of_a_disc_is_its_diameter():
    scenes = only(draw_scenes(range(30), seed=3, difficulty="easy"), 0)
    scenes = replace(scenes, kind=np.zeros_like(scenes.kind))
    corners = boxes(scenes, 200).xyxy / 200
    radius = 0.86 * scenes.radius[:, 0]
    x, y = scenes.centre[:, 0].T
    expected = np.stack([x - radius, y - radius, x + radius, y + radius], axis=1)
    np.testing.assert_allclose(corners, expected, atol=1 / 200)


def test_the_nearer_of_two_objects_takes_the_pixels():
    scenes = draw_scenes(range(20), seed=4, difficulty="medium")
    slots = scenes.kind.shape[1]
    centre = np.broadcast_to(scenes.centre[:, :1], scenes.centre.shape)  # all in one place
    disc = np.zeros_like(scenes.kind)
    nothing = np.zeros_like(scenes.occluders.present)
    pile = replace(
        scenes,
        kind=disc,
        centre=centre,
        present=np.ones_like(scenes.present),
        radius=np.broadcast_to(np.float32([0.3, 0.1, 0.15, 0.2])[:slots], scenes.radius.shape),
        depth=np.broadcast_to(np.array([0, 3, 2, 1])[:slots], scenes.depth.shape),
        occluders=replace(scenes.occluders, present=nothing),
    )
    assert slots == 4
    areas = masks(pile, 160).sum(axis=(2, 3)) / 160**2
    full = np.pi * 0.86**2 * np.array([0.3, 0.1, 0.15, 0.2]) ** 2
    rings = [full[0] - full[3], full[1], full[2] - full[1], full[3] - full[2]]
    np.testing.assert_allclose(areas, np.broadcast_to(rings, areas.shape), rtol=0.03)
    turned = replace(pile, depth=3 - pile.depth)  # the large disc now hides all
    assert not masks(turned, 160)[:, 1:].any()
    assert (boxes(turned, 160).slot == 0).all()


def test_an_occluder_takes_pixels_and_clutter_takes_none():
    scenes = draw_scenes(range(200), seed=5, difficulty="hard")
    open_view = replace(
        scenes,
        occluders=replace(scenes.occluders, present=np.zeros_like(scenes.occluders.present)),
    )
    clean = replace(
        scenes, clutter=replace(scenes.clutter, present=np.zeros_like(scenes.clutter.present))
    )
    np.testing.assert_array_equal(owners(scenes, 64), owners(clean, 64))
    lost = causal_mask(open_view, 64).sum(axis=(1, 2)) - causal_mask(scenes, 64).sum(axis=(1, 2))
    assert (lost >= 0).all()
    assert (lost > 0).mean() > 0.5


@pytest.mark.parametrize("level", LEVELS)
def test_masks_at_two_sizes_show_the_same_thing(level):
    scenes = draw_scenes(range(40), seed=6, difficulty=level)
    small = causal_mask(scenes, 48)
    pooled = causal_mask(scenes, 240).reshape(40, 48, 5, 48, 5).mean(axis=(2, 4)) >= 0.5
    overlap = (small & pooled).sum() / (small | pooled).sum()
    assert overlap > 0.97


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [64, 39])
def test_without_its_cause_an_image_changes_only_on_and_around_the_main_object(level, size):
    scenes = draw_scenes(range(120), seed=7, difficulty=level)
    removed = without_cause(scenes)
    changed = (render(scenes, size) != render(removed, size)).any(axis=3)
    ticks = (np.arange(size) + 0.5) / size
    x = ticks - scenes.centre[:, 0, 0, None, None]
    y = ticks[:, None] - scenes.centre[:, 0, 1, None, None]
    radius = 1.06 * scenes.radius[:, 0, None, None]
    own = np.hypot(x, y) < radius + 1 / size
    shift = -0.13 * scenes.radius[:, 0, None] * scenes.light  # of the shadow
    blur = 0.2 * scenes.radius[:, 0, None, None]
    shadow = np.hypot(x - shift[:, 0, None, None], y - shift[:, 1, None, None])
    assert not (changed & ~own & ~(shadow < radius + blur + 1 / size)).any()
    # and it does change there: nearly every visible pixel of the object
    mask = causal_mask(scenes, size)
    assert (changed & mask).sum() > 0.97 * mask.sum()


def test_without_its_cause_a_scene_has_no_main_object_but_keeps_the_rest():
    scenes = draw_scenes(range(80), seed=8, difficulty="hard")
    before = scenes.present.copy()
    removed = without_cause(scenes)
    assert not causal_mask(removed, 32).any()
    assert not (boxes(removed, 32).slot == 0).any()
    np.testing.assert_array_equal(labels(removed), labels(scenes))
    np.testing.assert_array_equal(scenes.present, before)  # the original is left alone
    hidden_before = masks(scenes, 32)[:, 1:] & ~masks(removed, 32)[:, 1:]
    assert not hidden_before.any()  # others can only come into sight


def test_words_for_an_object_written_by_hand():
    scenes = draw_scenes(range(3), difficulty="easy")
    by_hand = replace(
        scenes,
        kind=np.array([[0], [6], [9]]),
        colour=np.array([[0], [5], [9]]),
        texture=np.array([[0], [1], [4]]),
        texture_colour=np.array([[10], [11], [2]]),
        radius=np.array([[0.2], [0.25], [0.3]], dtype=np.float32),
        centre=np.array([[[0.3, 0.7]], [[0.5, 0.5]], [[0.7, 0.3]]], dtype=np.float32),
        background=np.array([0, 5, 13]),
        background_kind=np.array([0, 3, 4]),
    )
    words = attributes(by_hand)
    assert words.kind.tolist() == ["disc", "heart", "flower"]
    assert words.colour.tolist() == ["red", "blue", "brown"]
    assert words.texture.tolist() == ["plain", "stripes", "gradient"]
    assert words.texture_colour.tolist() == ["cream", "ink", "yellow"]
    assert words.size.tolist() == ["small", "medium", "large"]
    assert words.column.tolist() == ["left", "centre", "right"]
    assert words.row.tolist() == ["bottom", "middle", "top"]
    assert words.background.tolist() == ["sand", "sky", "night"]
    assert words.background_kind.tolist() == ["flat", "bars", "clouds"]


@pytest.mark.parametrize("truth", [owners, masks, causal_mask, boxes])
def test_truths_refuse_the_sizes_that_render_refuses(truth):
    with pytest.raises(OptionError, match="size=6 is not in 8 … 1024 pixels"):
        truth(draw_scenes([0]), 6)


def test_no_scenes_have_no_truths():
    nothing = draw_scenes([])
    assert labels(nothing).shape == (0,)
    assert causal_mask(nothing, 9).shape == (0, 9, 9)
    assert boxes(nothing, 9).xyxy.shape == (0, 4)
    assert attributes(nothing).kind.shape == (0,)
