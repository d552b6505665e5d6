"""CIFAR's records: one or two labels and three planes."""

import numpy as np
import pytest

from vislab.data.loaders import cifar_binary
from vislab.errors import DataError

COARSE = 17  # CIFAR-100's first byte, never to be taken for the class


def image(seed):
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def record(label, seed, *before):
    planes = b"".join(image(seed)[:, :, channel].tobytes() for channel in range(3))
    return bytes([*before, label]) + planes


def cifar10(folder):
    place = folder / "cifar-10-batches-bin"
    place.mkdir(parents=True)
    for number in range(1, 6):
        (place / f"data_batch_{number}.bin").write_bytes(record(number, number) + record(9, 50))
    (place / "test_batch.bin").write_bytes(record(4, 99))
    (place / "batches.meta.txt").write_text("\n".join(f"kind{n}" for n in range(10)) + "\n\n")
    return place


def cifar100(folder):
    place = folder / "cifar-100-binary"
    place.mkdir(parents=True)
    (place / "train.bin").write_bytes(record(99, 1, COARSE) + record(0, 2, COARSE))
    (place / "test.bin").write_bytes(record(42, 3, COARSE))
    (place / "fine_label_names.txt").write_text("".join(f"kind{n}\n" for n in range(100)))
    return place


def test_cifar_pixels_stand_where_they_were(tmp_path):
    place = cifar10(tmp_path)
    for folder in (tmp_path, place):  # the set's folder, or the unpacked one itself
        read = cifar_binary.arrays(folder)
        assert read.labels.tolist() == [1, 9, 2, 9, 3, 9, 4, 9, 5, 9, 4]
        assert read.rows("train").tolist() == list(range(10))
        assert read.rows("test").tolist() == [10]
        assert read.rows("val").size == 0
        assert read.official
        np.testing.assert_array_equal(read.pixels[2], image(2))
        np.testing.assert_array_equal(read.pixels[10], image(99))
    assert read.classes[:2] == ("kind0", "kind1")
    assert len(read.classes) == 10


def test_cifar_100_takes_the_fine_label(tmp_path):
    cifar100(tmp_path)
    read = cifar_binary.arrays(tmp_path)
    assert read.labels.tolist() == [99, 0, 42]
    assert len(read.classes) == 100
    np.testing.assert_array_equal(read.pixels[1], image(2))


def test_a_cifar_batch_that_is_cut_short_missing_or_mislabelled_is_named(tmp_path):
    place = cifar10(tmp_path)
    (place / "data_batch_3.bin").write_bytes(record(1, 1)[:-1])
    with pytest.raises(
        DataError, match=r"data_batch_3\.bin has 3072 bytes, not a multiple of .*3073"
    ):
        cifar_binary.arrays(tmp_path)
    (place / "data_batch_3.bin").write_bytes(record(10, 1))
    with pytest.raises(DataError, match=r"data_batch_3\.bin has a label 10"):
        cifar_binary.arrays(tmp_path)
    (place / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"data_batch_3\.bin cannot be read"):
        cifar_binary.arrays(tmp_path)
    with pytest.raises(DataError, match=r"should hold fine_label_names\.txt"):
        cifar_binary.arrays(place / "nowhere")
