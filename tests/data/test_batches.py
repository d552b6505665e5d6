"""Batches as functions of (seed, epoch, step), alone and shared by several processes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vislab.data.augment import Augment
from vislab.data.batches import Batches, in_order, preview
from vislab.data.images import columns_of
from vislab.data.table import Table
from vislab.errors import OptionError


def made(count=23, side=9, *, classes=3, test=0, flat=False, seed=0):
    """Images of noise, or each flat in a grey of its own; the last `test` are to test on."""
    chance = np.random.default_rng(seed)
    pixels = chance.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    if flat:
        shades = np.linspace(0, 255, count).round().astype(np.uint8)
        pixels[:] = shades[:, None, None, None]
    splits = np.zeros(count, dtype=np.uint8)
    splits[count - test :] = 2
    return Table(
        name="made",
        classes=tuple("abcdefg"[:classes]),
        size=side,
        pixels=pixels,
        columns=columns_of(np.arange(count) % classes, tuple("abcdefg"[:classes])),
        splits=splits,
        names=tuple(str(row) for row in range(count)),
        origin="own files",
        official=False,
    )


def stream(images, batch, *, seed=0, epoch=0, first=0, **options):
    options = {"augment": Augment(), **options}
    batches = Batches(images, batch, seed=seed, **options)
    batches.epoch, batches.first = epoch, first
    return list(batches)


def same(one, other):
    ours, theirs = one.tensors(), other.tensors()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def order(batches):
    return torch.cat([batch.rows for batch in batches]).tolist()


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 60), batch=st.integers(1, 70), seed=st.integers(0, 5))
def test_an_epoch_holds_every_image_once_in_batches_of_nearly_equal_size(count, batch, seed):
    images = made(count, 2)
    batches = stream(images, batch, seed=seed)
    sizes = [len(b.labels) for b in batches]
    assert sorted(order(batches)) == list(range(count))
    assert len(batches) == -(-count // batch)
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1
    assert all(b.whole == len(b.labels) == len(b.images) == len(b.targets) for b in batches)


def test_an_epochs_length_is_known_before_it_begins():
    assert len(Batches(made(23), 8, seed=0, augment=Augment())) == 3
    assert len(Batches(made(24), 8, seed=0, augment=Augment())) == 3
    assert len(Batches(made(25), 8, seed=0, augment=Augment())) == 4


def test_a_batch_holds_the_images_and_labels_of_its_rows_normalised():
    images = made(23, test=5)
    mean, std = images.normalisation
    for batch in stream(images, 7):
        rows = batch.rows.numpy()
        assert rows.max() < 18
        shares = images.pixels[rows].transpose(0, 3, 1, 2) / 255
        expected = (shares - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
        np.testing.assert_allclose(batch.images, expected, rtol=1e-5, atol=1e-6)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.labels.tolist() == batch.targets.tolist() == (rows % 3).tolist()


def test_the_order_changes_with_epoch_and_seed_and_with_nothing_else():
    images = made(40)
    orders = [order(stream(images, 9, seed=s, epoch=e)) for s in range(3) for e in range(4)]
    assert len({tuple(one) for one in orders}) == 12
    assert order(stream(images, 9, seed=2, epoch=3)) == orders[-1]
    assert order(stream(images, 5, seed=2, epoch=3)) == orders[-1]
    mixed = stream(images, 9, seed=2, epoch=3, augment=Augment(crop=0.2, mixup=0.2))
    assert order(mixed) == orders[-1]


def test_what_augmentation_does_changes_from_step_to_step_and_epoch_to_epoch():
    batches = Batches(made(40), 5, seed=0, augment=Augment(crop=0.4, flip=True, colour=0.5))
    rows = np.array([3, 1, 4, 15, 9])
    seen = []
    for batches.epoch in (0, 1):
        seen += [batches.make(rows, step).images for step in (0, 1, 0)]
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[3], seen[5])
    assert len({images.numpy().tobytes() for images in seen}) == 4


def test_the_global_generators_neither_steer_nor_are_moved():
    way = Augment(crop=0.2, resized_crop=0.5, randaugment=1, cutout=0.2, cutmix=1.0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one = stream(made(), 8, augment=way)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    torch.rand(3)
    assert all(same(a, b) for a, b in zip(one, stream(made(), 8, augment=way), strict=True))


@pytest.mark.parametrize("first", [0, 1, 2, 3])
def test_an_interrupted_epoch_goes_on_with_the_tail_of_the_whole(first):
    way = Augment(crop=0.2, flip=True, colour=0.2, mixup=0.3, cutmix=1.0, cutout=0.3)
    images = made(29)
    whole = stream(images, 8, epoch=5, augment=way)
    tail = stream(images, 8, epoch=5, first=first, augment=way)
    assert len(tail) == 4 - first
    assert all(same(a, b) for a, b in zip(tail, whole[first:], strict=True))


def test_only_the_interrupted_epoch_is_cut():
    batches = Batches(made(29), 8, seed=0, augment=Augment())
    batches.first = 3
    assert len(list(batches)) == 1
    assert len(list(batches)) == 4


WAYS = {
    "plain": Augment(),
    "crop": Augment(crop=0.2),
    "shift": Augment(shift=0.2),
    "resized_crop": Augment(resized_crop=0.3),
    "flip": Augment(flip=True),
    "colour": Augment(colour=0.5),
    "randaugment": Augment(randaugment=2, magnitude=14),
    "cutout": Augment(cutout=0.4),
    "mixup": Augment(mixup=0.4),
    "cutmix": Augment(cutmix=1.0),
    "all": Augment(
        crop=0.1, shift=0.1, resized_crop=0.5, flip=True, colour=0.2, randaugment=1, cutout=0.3,
        mixup=0.4, cutmix=1.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_the_parts_of_several_processes_are_the_batch_of_one_bit_for_bit(way, world):
    images = made(23, 9)
    alone = stream(images, 8, epoch=1, augment=way)  # of 8, 8 and 7
    parts = [
        stream(images, 8, epoch=1, augment=way, rank=rank, world=world) for rank in range(world)
    ]
    for step, whole in enumerate(alone):
        mine = [part[step] for part in parts]
        assert sum(len(b.labels) for b in mine) == whole.whole
        assert {b.whole for b in mine} == {whole.whole}
        assert max(len(b.labels) for b in mine) - min(len(b.labels) for b in mine) <= 1
        for name in ("images", "labels", "targets", "rows"):
            joined = torch.cat([getattr(b, name) for b in mine])
            assert torch.equal(joined, getattr(whole, name)), name


def shade_of(images, row, channel=0):
    mean, std = images.normalisation
    return (images.pixels[row, 0, 0, channel] / 255 - mean[channel]) / std[channel]


@pytest.mark.parametrize("epoch", range(6))
def test_mixup_mixes_images_and_labels_with_one_weight(epoch):
    """Flat images of a class each: the target says what the shade must be."""
    images = made(6, 5, classes=6, flat=True)
    (batch,) = stream(images, 6, epoch=epoch, augment=Augment(mixup=1.0))
    shades = torch.tensor([shade_of(images, row) for row in range(6)]).float()  # by class
    expected = batch.targets @ shades
    got = batch.images[:, 0]
    torch.testing.assert_close(got, expected[:, None, None].expand_as(got), rtol=1e-4, atol=1e-5)
    assert torch.allclose(batch.targets.sum(dim=1), torch.ones(6))
    own = batch.targets[torch.arange(6), batch.labels]
    alone = batch.targets.max(dim=1).values == 1  # its own partner
    assert len(set(own[~alone].tolist())) <= 1
    assert (batch.labels == batch.rows).all()  # labels stay the image's own


def test_mixup_does_mix():
    images = made(6, 5, classes=6, flat=True)
    kinds = [stream(images, 6, epoch=e, augment=Augment(mixup=1.0))[0] for e in range(6)]
    assert all((b.targets.count_nonzero(dim=1) == 2).any() for b in kinds)
    assert len({b.targets[b.targets > 0].min().item() for b in kinds}) == 6


@pytest.mark.parametrize("epoch", range(6))
def test_cutmix_gives_each_label_the_share_of_pixels_it_has(epoch):
    images = made(6, 9, classes=6, flat=True)
    (batch,) = stream(images, 6, epoch=epoch, augment=Augment(cutmix=1.0))
    for image, target in zip(batch.images, batch.targets, strict=True):
        counted = [
            float(torch.isclose(image[0], torch.tensor(shade_of(images, row)).float()).sum())
            for row in range(6)
        ]
        assert sum(counted) == 81
        torch.testing.assert_close(target, torch.tensor(counted) / 81, rtol=0, atol=1e-6)


def test_cutmix_pastes_the_same_window_from_the_same_place():
    images = made(6, 9)
    (batch,) = stream(images, 6, epoch=2, augment=Augment(cutmix=1.0))
    (plain,) = stream(images, 6, epoch=2)
    assert torch.equal(batch.rows, plain.rows)
    windows = set()
    for place, image in enumerate(batch.images):
        pasted = (image != plain.images[place]).any(dim=0)
        if not pasted.any():  # its own partner
            continue
        givers = [
            other for other in range(6)
            if other != place and torch.equal(image[:, pasted], plain.images[other][:, pasted])
        ]  # fmt: skip
        assert len(givers) == 1
        ys, xs = pasted.any(dim=1).nonzero(), pasted.any(dim=0).nonzero()
        windows.add((ys[0].item(), ys[-1].item(), xs[0].item(), xs[-1].item()))
    assert len(windows) == 1


def test_a_batch_of_one_can_be_mixed_with_none_but_itself():
    for way in (Augment(mixup=1.0), Augment(cutmix=1.0)):
        (batch,) = stream(made(1, 5), 4, augment=way)
        (plain,) = stream(made(1, 5), 4)
        torch.testing.assert_close(batch.images, plain.images)
        assert batch.targets.tolist() == [[1, 0, 0]]


def test_no_image_in_a_batch_is_refused():
    for batch in (0, -4):
        with pytest.raises(OptionError, match=rf"--batch {batch} holds no image; use 1 or more"):
            Batches(made(), batch, seed=0, augment=Augment())


def test_more_processes_than_images_in_a_batch_are_refused():
    with pytest.raises(
        OptionError, match=r"23 images in batches of 3 cannot be shared by 3 processes; .*--batch"
    ):
        Batches(made(23), 3, seed=0, augment=Augment(), world=3)  # seven of 3 and one of 2
    Batches(made(24), 3, seed=0, augment=Augment(), world=3)


@pytest.mark.parametrize("batch", [1, 4, 23, 100])
def test_in_order_goes_from_first_to_last_without_augmentation(batch):
    table = made(23, test=9)
    batches = list(in_order(table, "test", batch))
    assert order(batches) == list(range(9))
    assert [len(b.labels) for b in batches] == [batch] * (9 // batch) + [9 % batch] * (
        9 % batch > 0
    )
    labels = torch.cat([b.labels for b in batches])
    assert labels.tolist() == [row % 3 for row in range(14, 23)]
    assert all(torch.equal(b.labels, b.targets) and b.whole == len(b.labels) for b in batches)
    mean, std = table.normalisation
    images = torch.cat([b.images for b in batches]).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(images * np.array(std) + mean, table.pixels[14:] / 255, atol=1e-6)


def test_in_order_of_an_empty_side_is_nothing():
    assert list(in_order(made(), "val")) == []


def test_a_preview_without_augmentation_shows_images_from_end_to_end():
    images = made(23, test=3)
    shown = preview(images, Augment(), 4)
    assert np.array_equal(shown, images.pixels[[0, 6, 12, 19]])  # 0, 6.3, 12.7 and 19 cut
    everything = preview(images, Augment(), 99)
    assert np.array_equal(everything, images.pixels[:20])


def test_a_preview_shows_what_augmentation_does():
    images = made(23, 12)
    covered = preview(images, Augment(cutout=0.5), 8)
    mean = np.array(images.normalisation[0]) * 255
    places = [0, 3, 6, 9, 12, 15, 18, 22]  # 22 / 7 apart, cut
    for image, source in zip(covered, images.pixels[places], strict=True):
        changed = (image != source).any(axis=2)
        assert 9 <= changed.sum() <= 36
        assert np.abs(image[changed] - mean).max() <= 0.51
    assert np.array_equal(preview(images, Augment(cutout=0.5), 8), covered)
    mixed = preview(images, Augment(mixup=0.5), 8)
    assert mixed.shape == (8, 12, 12, 3)
    assert not np.array_equal(mixed, preview(images, Augment(), 8))
