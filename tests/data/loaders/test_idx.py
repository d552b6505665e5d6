"""MNIST's idx files, whole and damaged, and the real ones."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from vislab.data import catalogue, loaders
from vislab.data.loaders import idx
from vislab.errors import DataError


def idx_bytes(values):
    values = np.asarray(values, np.uint8)
    return (
        struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()
    )


GREY = np.random.default_rng(0).integers(0, 256, (3, 5, 4), dtype=np.uint8)  # uneven on purpose


def mnist(folder, *, zipped=True):
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "train-images-idx3-ubyte": GREY[:2],
        "train-labels-idx1-ubyte": [7, 0],
        "t10k-images-idx3-ubyte": GREY[2:],
        "t10k-labels-idx1-ubyte": [9],
    }
    for name, values in files.items():
        held = idx_bytes(values)
        path = folder / (f"{name}.gz" if zipped else name)
        path.write_bytes(gzip.compress(held, mtime=0) if zipped else held)


@pytest.mark.parametrize("place", [".", "MNIST/raw", "FashionMNIST/raw"])
@pytest.mark.parametrize("zipped", [True, False])
def test_idx_files_are_read_from_where_torchvision_puts_them_too(tmp_path, place, zipped):
    mnist(tmp_path / place, zipped=zipped)
    read = idx.arrays(tmp_path)
    assert read.labels.tolist() == [7, 0, 9]
    assert read.splits.tolist() == [0, 0, 2]
    assert read.pixels.shape == (3, 5, 4, 3)
    assert read.official
    for channel in range(3):
        np.testing.assert_array_equal(read.pixels[..., channel], GREY)


def test_fashion_mnist_gets_its_names_from_the_card(tmp_path):
    mnist(tmp_path)
    read = loaders.read(catalogue.card("fashion-mnist"), tmp_path)
    assert read.name == "fashion-mnist"
    assert read.classes[9] == "ankle boot"


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (gzip.compress(idx_bytes([1, 2]), mtime=0)[:-9], "is damaged"),
        (b"not gzip at all", "is damaged"),
        (gzip.compress(idx_bytes([1, 2])[:-1], mtime=0), "should hold 2 values and holds 1"),
        (gzip.compress(idx_bytes([[1, 2]]), mtime=0), "no idx file of unsigned bytes with 1 axes"),
        (gzip.compress(b"\0\0", mtime=0), "no idx file"),
        (gzip.compress(idx_bytes([1, 2, 3]), mtime=0), "2 train images and 3 labels"),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path, held, why):
    mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(held)
    with pytest.raises(DataError, match=why):
        idx.arrays(tmp_path)


def test_a_missing_idx_file_is_named(tmp_path):
    mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"should hold t10k-labels-idx1-ubyte\.gz"):
        idx.arrays(tmp_path)


@pytest.mark.realdata
@pytest.mark.skipif("VISLAB_DATA" not in os.environ, reason="VISLAB_DATA is not set")
def test_the_real_mnist_has_its_known_counts():
    folder = Path(os.environ["VISLAB_DATA"]) / "mnist"
    read = loaders.read(catalogue.card("mnist"), folder)
    train, test = read.rows("train"), read.rows("test")
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(read.labels[train]).tolist() == counts
    assert np.bincount(read.labels[test]).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    assert read.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert read.pixels.shape == (70000, 28, 28, 3)
