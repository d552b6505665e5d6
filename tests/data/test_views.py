"""Images, masks and boxes that move together: what is painted stays in its box."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vislab.data.augment import Augment
from vislab.data.columns import require_movable
from vislab.data.views import IGNORED, Views, draw_views, see_boxes, see_masks, see_pixels
from vislab.errors import OptionError
from vislab.ops.seeding import generator

SIDE = 24


def painted(boxes, side=SIDE):
    """Return black images with a white rectangle each, the same as masks, and the boxes."""
    pixels = np.zeros((len(boxes), side, side, 3), dtype=np.uint8)
    for row, (x1, y1, x2, y2) in enumerate(boxes):
        pixels[row, y1:y2, x1:x2] = 255
    corners = torch.tensor(boxes, dtype=torch.float32)[:, None]
    return pixels, pixels[..., :1] // 255, corners


def tight(mask):
    """Return the box around what is white, or None."""
    rows, columns = np.nonzero(np.asarray(mask))
    if not len(rows):
        return None
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def seen(boxes, views, labels=None):
    """Return images, masks, boxes and labels as they are seen."""
    pixels, masks, corners = painted(boxes)
    places = np.arange(len(boxes))
    labels = torch.zeros(len(boxes), 1, dtype=torch.int64) if labels is None else labels
    return (
        see_pixels(pixels, places, views),
        see_masks(masks, places, views),
        *see_boxes(corners, labels, views),
    )


@st.composite
def rectangles(draw):
    x1, y1 = draw(st.integers(0, SIDE - 2)), draw(st.integers(0, SIDE - 2))
    return x1, y1, draw(st.integers(x1 + 1, SIDE)), draw(st.integers(y1 + 1, SIDE))


def views_of(window, mirrored, turns, count=1, side=SIDE):
    return Views(
        side,
        torch.tensor([window] * count), torch.tensor([mirrored] * count),
        torch.tensor([turns] * count),
    )  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(rectangles(), st.integers(5, SIDE), st.data(), st.booleans(), st.integers(0, 3))
def test_a_box_stays_tight_through_tiles_flips_and_turns(box, tile, data, mirrored, turns):
    top, left = data.draw(st.integers(0, SIDE - tile)), data.draw(st.integers(0, SIDE - tile))
    views = views_of([top, left, tile, tile], mirrored, turns, side=tile)
    images, masks, boxes, _ = seen([box], views)
    assert images.shape == (1, tile, tile, 3)
    assert torch.equal(images[..., :1] // 255, masks)
    found = tight(masks[0, :, :, 0])
    width, height = (boxes[0, 0, 2:] - boxes[0, 0, :2]).tolist()
    if found is None:
        assert width <= 0 or height <= 0
    else:
        assert boxes[0, 0].tolist() == found


@settings(max_examples=80, deadline=None)
@given(rectangles(), st.data(), st.booleans(), st.integers(0, 3))
def test_a_box_stays_tight_to_a_pixel_through_crops_that_are_enlarged(box, data, mirrored, turns):
    height, width = data.draw(st.integers(6, SIDE)), data.draw(st.integers(6, SIDE))
    top, left = data.draw(st.integers(0, SIDE - height)), data.draw(st.integers(0, SIDE - width))
    views = views_of([top, left, height, width], mirrored, turns)
    images, masks, boxes, _ = seen([box], views)
    # A line of a single pixel never gets half as bright when it is enlarged smoothly.
    wide = min(box[2] - box[0], box[3] - box[1]) > 1
    for image in (masks[0, :, :, 0], *([images[0, :, :, 0] >= 128] if wide else [])):
        found = tight(image)
        if found is not None:
            assert np.abs(np.array(found) - boxes[0, 0].numpy()).max() <= 1
    # Smooth edges lie where the nearest pixels end: halves of a step apart at most.
    differ = (images[0, :, :, 0] >= 128) != masks[0, :, :, 0].bool()
    reach = int(np.ceil(SIDE / min(height, width)))
    inner = masks[0, reach:-reach, reach:-reach, 0]
    if inner.numel() and bool(inner.all()):
        assert not differ[reach:-reach, reach:-reach].any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9999), st.booleans())
def test_what_is_drawn_moves_all_three_together(seed, tiled):
    """Whole batches, by the draws that training uses."""
    chance = np.random.default_rng(seed)
    corner = chance.integers(0, SIDE - 6, (5, 2))
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in
             zip(corner.tolist(), chance.integers(3, 6, (5, 2)).tolist(), strict=True)]  # fmt: skip
    augment = Augment(flip=True, rotation=True, resized_crop=0.0 if tiled else 0.3)
    views = draw_views(augment, 5, SIDE, generator(seed), 15 if tiled else None)
    images, masks, moved, _ = seen(boxes, views)
    for row in range(5):
        for image in (masks[row, :, :, 0], images[row, :, :, 0] >= 128):
            found = tight(image)
            if found is not None:
                away = np.abs(np.array(found) - moved[row, 0].numpy()).max()
                assert away <= (0 if tiled else 1)


def test_each_step_by_hand():
    """A box in the upper left of 24: mirrored to the right, turned to the lower left."""
    box = [(2, 3, 8, 5)]
    for mirrored, turns, wanted in (
        (True, 0, [16, 3, 22, 5]),
        (False, 1, [3, 16, 5, 22]),
        (False, 2, [16, 19, 22, 21]),
        (False, 3, [19, 2, 21, 8]),
        (True, 1, [3, 2, 5, 8]),
    ):
        views = views_of([0, 0, SIDE, SIDE], mirrored, turns)
        assert seen(box, views)[2][0, 0].tolist() == wanted
    views = views_of([2, 0, 12, 6], False, 0)  # twice as high, four times as wide
    assert seen(box, views)[2][0, 0].tolist() == [8, 2, 24, 6]


def test_a_mask_keeps_its_numbers():
    """Classes are never mixed, not even at the edges of an enlarged window."""
    masks = np.random.default_rng(0).choice([0, 3, 7, 255], (2, SIDE, SIDE, 1)).astype(np.uint8)
    views = views_of([1, 2, 17, 13], True, 3, count=2)
    assert set(see_masks(masks, np.arange(2), views).unique().tolist()) <= {0, 3, 7, 255}


def test_a_mirrored_mask_is_the_mirrored_images_mask():
    """As long as the nearest pixel is counted from the middle of each."""
    masks = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 1), dtype=np.uint8)
    place = np.zeros(1, dtype=np.int64)
    views = views_of([2, 1, 18, 18], True, 0)
    other = views_of([2, SIDE - 19, 18, 18], False, 0)
    one, two = (
        see_masks(masks, place, views),
        see_masks(masks[:, :, ::-1], place, other),
    )
    assert torch.equal(one, two)
    upside_down = views_of([SIDE - 20, 1, 18, 18], True, 0)
    three = see_masks(masks[:, ::-1], place, upside_down)
    assert torch.equal(three, one.flip(1))


@pytest.mark.parametrize(("left", "label"), [(4, 5), (6, 5), (7, IGNORED - 5), (20, IGNORED - 5)])
def test_a_instance_of_which_less_than_four_tenths_are_left_is_ignored(left, label):
    """Ten pixels wide from 0: with 4 cut off six are left, with 6 four, with 7 three."""
    views = Views(
        SIDE, torch.tensor([[0, left, SIDE, 24 - left]]), torch.tensor([False]), torch.tensor([0])
    )
    corners = torch.tensor([[[0.0, 2, 10, 9]]])
    _, labels = see_boxes(corners, torch.tensor([[5]]), views)
    assert labels.tolist() == [[label]]


def test_nothing_stays_nothing_and_what_is_ignored_stays_so():
    views = views_of([12, 12, 12, 12], True, 2)
    corners = torch.tensor([[[0.0, 0, 0, 0], [0, 0, 9, 9], [12, 12, 20, 20], [3, 3, 3, 9]]])
    boxes, labels = see_boxes(corners, torch.tensor([[-1, -2 - 4, 1, 2]]), views)
    assert labels.tolist() == [[-1, -6, 1, IGNORED - 2]]
    assert bool(boxes.isfinite().all())
    assert boxes.min() >= 0
    assert boxes.max() <= SIDE


def test_a_whole_view_changes_nothing():
    views = draw_views(Augment(), 3, SIDE, generator(0))
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    places = np.array([4, 0, 4])
    assert np.array_equal(see_pixels(pixels, places, views), pixels[places])
    assert np.array_equal(see_masks(pixels[..., :1], places, views), pixels[places][..., :1])


def test_what_is_drawn_covers_what_it_may():
    views = draw_views(Augment(flip=True, rotation=True), 900, SIDE, generator(1), tile=21)
    assert set(views.windows[:, 0].tolist()) == set(views.windows[:, 1].tolist()) == {0, 1, 2, 3}
    assert bool((views.windows[:, 2:] == 21).all())
    assert 0.4 < views.mirrored.float().mean() < 0.6
    assert views.rotations.bincount().tolist() == pytest.approx([225] * 4, rel=0.2)
    windows = draw_views(Augment(resized_crop=0.25), 900, SIDE, generator(1)).windows
    assert bool((windows[:, :2] + windows[:, 2:] <= SIDE).all())
    share = (windows[:, 2] * windows[:, 3]).float() / SIDE**2
    assert 0.2 < share.min() < 0.3
    assert share.max() > 0.9


@pytest.mark.parametrize(
    ("way", "flag"),
    [(Augment(crop=0.1), "crop"), (Augment(shift=0.1), "shift"), (Augment(mixup=0.2), "mixup"),
     (Augment(cutmix=0.2), "cutmix"), (Augment(randaugment=1), "randaugment")],
)  # fmt: skip
def test_what_boxes_cannot_follow_is_refused(way, flag):
    with pytest.raises(OptionError, match=rf"--augment.{flag} does not move .*--augment.resized-c"):
        require_movable(way)


def test_what_boxes_can_follow_is_not():
    require_movable(Augment(resized_crop=0.3, flip=True, rotation=True, colour=0.2, cutout=0.2))
    require_movable(Augment())
