"""Batches of annotated images, alone and shared by several processes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.annotated_sets import SIDE, made
from vislab.data.augment import Augment
from vislab.data.batches import Batches, in_order
from vislab.data.columns import NOTHING
from vislab.data.views import IGNORED
from vislab.errors import OptionError

ALL = Augment(resized_crop=0.4, flip=True, rotation=True, colour=0.3, cutout=0.2)


def stream(images, batch, *, seed=0, epoch=0, first=0, **options):
    batches = Batches(images, batch, seed=seed, **{"augment": Augment(), **options})
    batches.epoch, batches.first = epoch, first
    return list(batches)


def instances(batch, row):
    """Return the objects of one image as a list, without the padding."""
    real = batch.box_labels[row] != NOTHING
    boxes, labels = batch.boxes[row, real].tolist(), batch.box_labels[row, real].tolist()
    return [(*box, label) for box, label in zip(boxes, labels, strict=True)]


def padded(images, rows):
    """Return boxes and labels of these rows."""
    found = images.boxes.batch(np.array(rows))
    return found["boxes"], found["box_labels"]


def rows_of(batches):
    return torch.cat([batch.rows for batch in batches]).tolist()


def same(one, other):
    return (
        torch.equal(one.images, other.images)
        and torch.equal(one.masks, other.masks)
        and torch.equal(one.rows, other.rows)
        and [instances(one, r) for r in range(len(one.rows))]
        == [instances(other, r) for r in range(len(other.rows))]
        and one.whole == other.whole
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(1, 25), st.integers(0, 5))
def test_an_epoch_holds_every_image_once_in_batches_of_nearly_equal_size(count, batch, seed):
    batches = stream(made(count, test=0, val=0), batch, seed=seed)
    sizes = [len(b.images) for b in batches]
    assert sorted(rows_of(batches)) == list(range(count))
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


def test_the_order_changes_with_epoch_and_seed_and_with_nothing_else():
    images = made(20)
    orders = [rows_of(stream(images, 5, seed=s, epoch=e)) for s in range(3) for e in range(3)]
    assert len({tuple(one) for one in orders}) == 9
    assert rows_of(stream(images, 7, seed=2, epoch=2, augment=ALL)) == orders[-1]


def test_a_batch_holds_what_its_rows_hold():
    images = made(11, crowd=(0, 4), empty=(3,))
    mean, std = images.normalisation
    for batch in stream(images, 3):
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        shares = batch.images.permute(0, 2, 3, 1).numpy() * np.array(std) + mean
        rows = batch.rows.numpy()
        np.testing.assert_allclose(shares, images.pixels[rows] / 255, atol=1e-5)
        assert np.array_equal(batch.masks, images.masks.pixels[rows][..., 0])
        for place, row in enumerate(rows.tolist()):
            wanted = [
                (*corners, IGNORED - label if crowd else label)
                for corners, label, crowd in zip(
                    images.boxes.xyxy[images.boxes.instances(row)].tolist(),
                    images.boxes.labels[images.boxes.instances(row)].tolist(),
                    images.boxes.crowd[images.boxes.instances(row)],
                    strict=True,
                )
            ]
            assert instances(batch, place) == wanted


def test_labels_of_groups_and_of_what_is_difficult_are_ignored_each_in_its_own_number():
    images = made(3, test=0, val=0, crowd=(2,))  # the second of the second image
    images.boxes.difficult[5] = True  # the third of the third
    labels = images.boxes.batch(np.array([0, 1, 2]))["box_labels"]
    assert labels.tolist() == [[0, -1, -1], [0, -3, -1], [0, 1, -4]]


def test_images_without_instances_have_a_row_of_nothing():
    images = made(4, test=0, val=0, empty=(0, 1, 2, 3))
    boxes, labels = padded(images, [2, 0])
    assert boxes.shape == (2, 1, 4)
    assert labels.tolist() == [[NOTHING], [NOTHING]]
    mixed = made(4, test=0, val=0, empty=(0, 3))
    boxes, labels = padded(mixed, [3, 0])
    assert labels.tolist() == [[NOTHING], [NOTHING]]
    assert boxes.shape == (2, 1, 4)
    (batch,) = stream(mixed, 4, augment=ALL)
    assert len(batch.images) == 4


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize(
    ("augment", "tile"), [(Augment(), None), (ALL, None), (Augment(flip=True, rotation=True), 16)]
)
def test_the_parts_of_several_processes_are_the_batch_of_one(augment, tile, world):
    images = made(20)
    options = {"augment": augment, "tile": tile, "epoch": 1}
    alone = stream(images, 6, **options)
    parts = [stream(images, 6, rank=rank, world=world, **options) for rank in range(world)]
    for step, whole in enumerate(alone):
        mine = [part[step] for part in parts]
        assert {one.whole for one in mine} == {whole.whole}
        assert sum(len(one.images) for one in mine) == whole.whole
        for name in ("images", "masks", "rows"):
            joined = torch.cat([getattr(one, name) for one in mine])
            assert torch.equal(joined, getattr(whole, name)), name
        joined = [instances(one, row) for one in mine for row in range(len(one.rows))]
        assert joined == [instances(whole, row) for row in range(len(whole.rows))]


@pytest.mark.parametrize("first", [0, 1, 3])
def test_an_interrupted_epoch_goes_on_with_the_tail_of_the_whole(first):
    images = made(20)
    whole = stream(images, 5, epoch=2, augment=ALL)
    tail = stream(images, 5, epoch=2, first=first, augment=ALL)
    assert len(tail) == len(whole) - first
    assert all(same(a, b) for a, b in zip(tail, whole[first:], strict=True))


def test_the_global_generators_neither_steer_nor_are_moved():
    before = torch.get_rng_state()
    one = stream(made(), 4, augment=ALL)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert all(same(a, b) for a, b in zip(one, stream(made(), 4, augment=ALL), strict=True))


@pytest.mark.parametrize("tile", [None, 16])
def test_what_is_painted_stays_in_its_box_through_a_whole_batch(tile):
    """White is where masks are of an object; of each label the mask lies in its box."""
    images = made(20, plain=True)
    mean, std = (torch.tensor(v)[:, None, None] for v in images.normalisation)
    augment = Augment(flip=True, rotation=True, resized_crop=0.0 if tile else 0.5)
    tried = 0
    for epoch in range(3):
        for batch in stream(images, 5, epoch=epoch, augment=augment, tile=tile):
            white = (batch.images * std + mean)[:, 0] > 0.5
            assert (white != (batch.masks > 0)).float().mean() < (1e-9 if tile else 0.1)
            for row in range(len(batch.rows)):
                for x1, y1, x2, y2, label in instances(batch, row):
                    mine = batch.masks[row] == (label if label >= 0 else IGNORED - label) + 1
                    if mine.any():
                        ys, xs = mine.nonzero().T
                        found = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
                        assert (found - torch.tensor([x1, y1, x2, y2])).abs().max() <= 1
                        tried += 1
    assert tried > 50


def test_tiles_are_as_many_as_cover_an_image_and_differ():
    """Two by two of 16 pixels cover 24."""
    images = made(6, test=0, val=0)
    batches = stream(images, 4, tile=16)
    assert sorted(rows_of(batches)) == sorted([*range(6)] * 4)
    assert all(batch.images.shape[2:] == batch.masks.shape[1:] == (16, 16) for batch in batches)
    tiles = {
        batch.images[place].numpy().tobytes()
        for batch in batches for place in range(len(batch.rows))
    }  # fmt: skip
    assert len(tiles) > 20
    assert len(Batches(images, 4, seed=0, augment=Augment(), tile=16)) == 6
    assert len(stream(images, 6, tile=SIDE)) == 1


@pytest.mark.parametrize("tile", [15, 25])
def test_a_tile_that_is_no_part_of_an_image_is_refused(tile):
    with pytest.raises(OptionError, match=rf"--tile {tile} is no part .*24 pixels; take 16 to 24"):
        Batches(made(), 4, seed=0, augment=Augment(), tile=tile)


def test_what_boxes_cannot_follow_is_refused_before_training():
    with pytest.raises(OptionError, match=r"--augment.mixup does not move boxes"):
        Batches(made(), 4, seed=0, augment=Augment(mixup=0.2))


def test_no_image_in_a_batch_is_refused():
    with pytest.raises(OptionError, match=r"--batch 0 holds no image"):
        Batches(made(), 0, seed=0, augment=Augment())


@pytest.mark.parametrize("masks", [True, False])
def test_in_order_goes_from_first_to_last_without_augmentation(masks):
    table = made(11, test=5, masks=masks)
    batches = list(in_order(table, "test", 2))
    assert rows_of(batches) == [0, 1, 2, 3, 4]
    assert [len(b.images) for b in batches] == [b.whole for b in batches] == [2, 2, 1]
    mean, std = table.normalisation
    images = torch.cat([b.images for b in batches]).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(images * np.array(std) + mean, table.pixels[6:] / 255,
                               atol=1e-5)  # fmt: skip
    if masks:
        assert np.array_equal(torch.cat([b.masks for b in batches]), table.masks.pixels[6:, ..., 0])
    else:
        with pytest.raises(AttributeError, match="holds no masks, but scale, shift, boxes"):
            _ = batches[0].masks
    found = [instances(b, row) for b in batches for row in range(len(b.rows))]
    for row, mine in enumerate(found, start=6):
        corners = table.boxes.xyxy[table.boxes.instances(row)].tolist()
        labels = table.boxes.labels[table.boxes.instances(row)].tolist()
        assert mine == [(*box, label) for box, label in zip(corners, labels, strict=True)]


def test_in_order_of_an_empty_side_is_nothing():
    assert list(in_order(made(val=0), "val")) == []
