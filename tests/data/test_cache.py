"""Images decoded once, and what happens when files, disks and processes misbehave."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vislab.data import cache
from vislab.data.folders import list_folder
from vislab.errors import DataError


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A home that nothing else writes to; returns the folder of decoded images."""
    monkeypatch.setenv("VISLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "cache"


def noise(count, side=8, seed=0):
    chance = np.random.default_rng(seed)
    return chance.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def write(folder, pixels, kind="png"):
    """Fill two class folders in turn; the listing names those of `a` first."""
    for number, image in enumerate(pixels):
        place = folder / "ab"[number % 2] / f"{number:03}.{kind}"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    return folder


def in_listed_order(pixels):
    return np.concatenate([pixels[::2], pixels[1::2]])


def left_in(folder):
    return sorted(path.suffix for path in folder.glob("*")) if folder.exists() else []


@pytest.fixture
def few_at_a_time(monkeypatch):
    """Chunks of three images and two of them under way, so that a few images are many."""
    monkeypatch.setattr(cache, "CHUNK", 3)
    monkeypatch.setattr(cache.os, "cpu_count", lambda: 1)


@pytest.mark.parametrize("count", [1 + 1, 3, 7, 23])
def test_images_of_the_right_size_come_back_byte_for_byte(tmp_path, own, few_at_a_time, count):
    pixels = noise(count)
    out = cache.decoded(list_folder(write(tmp_path / "set", pixels)), 8)
    assert np.array_equal(out, in_listed_order(pixels))
    assert isinstance(out, np.memmap)
    assert not out.flags.writeable


def test_larger_images_are_shrunk_to_their_middle_square(tmp_path, own):
    """Wide and tall ones: three fields of a colour each, of which the middle one stays."""
    wide = np.zeros((24, 72, 3), np.uint8)
    for field, shade in enumerate((10, 130, 250)):
        wide[:, 24 * field : 24 * field + 24] = shade
    folder = tmp_path / "set"
    for name, image in (("a", wide), ("b", wide.swapaxes(0, 1))):
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.ascontiguousarray(image)).save(folder / name / "1.png")
    out = cache.decoded(list_folder(folder), 8)
    assert out.shape == (2, 8, 8, 3)
    assert (out[:, 2:-2, 2:-2] == 130).all()  # the filter reaches over an edge by two pixels


def test_a_second_opening_does_not_read_the_files(tmp_path, own, monkeypatch):
    folder = write(tmp_path / "set", noise(5))
    first = np.array(cache.decoded(list_folder(folder), 8))

    def refuse(*_):
        raise AssertionError("a file was read")

    monkeypatch.setattr(cache.Reader, "read", refuse)
    assert np.array_equal(cache.decoded(list_folder(folder), 8), first)
    with pytest.raises(AssertionError, match="a file was read"):  # another size is another cache
        cache.decoded(list_folder(folder), 9)


def test_a_changed_image_is_decoded_anew_though_its_name_and_size_stay(tmp_path, own):
    pixels = noise(5)
    folder = write(tmp_path / "set", pixels, "bmp")
    cache.decoded(list_folder(folder), 8)
    path = folder / "b" / "001.bmp"
    size, then = path.stat().st_size, path.stat().st_mtime_ns
    Image.fromarray(255 - pixels[1]).save(path)
    os.utime(path, ns=(then + 10, then + 10))
    assert path.stat().st_size == size
    pixels[1] = 255 - pixels[1]
    assert np.array_equal(cache.decoded(list_folder(folder), 8), in_listed_order(pixels))
    assert left_in(own).count(".npy") == 2


def pack(folder, archive):
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.rglob("*.*")):
            opened.write(path, path.relative_to(folder))
    return archive


def test_a_changed_zip_is_decoded_anew(tmp_path, own):
    old, new = noise(5, seed=1), noise(5, seed=2)
    archive = tmp_path / "set.zip"
    for number, pixels in enumerate((old, new)):
        pack(write(tmp_path / "set", pixels, "bmp"), archive)
        os.utime(archive, ns=(number, number))
        assert np.array_equal(cache.decoded(list_folder(archive), 8), in_listed_order(pixels))
    assert left_in(own).count(".npy") == 2


def test_what_a_cache_was_made_from_is_written_beside_it(own):
    pixels = noise(3)
    cache.kept("a set", {"origin": "drawn"}, pixels.shape, lambda: iter([pixels]))
    (note,) = own.glob("*.json")
    assert '"origin": "drawn"' in note.read_text()
    assert note.with_suffix(".npy").exists()


@pytest.mark.parametrize("other", [{"seed": 1}, {"seed": 0, "more": 1}, {}])
def test_another_description_is_another_cache(own, other):
    one, two = noise(3, seed=1), noise(3, seed=2)
    cache.kept("set", {"seed": 0}, one.shape, lambda: iter([one]))
    out = cache.kept("set", other, two.shape, lambda: iter([two]))
    assert np.array_equal(out, two)


def test_unreadable_images_are_counted_and_the_first_is_named(tmp_path, own, few_at_a_time):
    folder = write(tmp_path / "set", noise(14))
    whole = (folder / "a" / "004.png").read_bytes()
    (folder / "a" / "004.png").write_bytes(whole[: len(whole) // 2])
    (folder / "b" / "009.png").write_bytes(b"no image")
    with pytest.raises(
        DataError, match=r"2 of 14 images cannot be used \(first: a/004\.png .*vislab data check"
    ):
        cache.decoded(list_folder(folder), 8)
    assert left_in(own) == []
    for name in ("a/004.png", "b/009.png"):
        (folder / name).unlink()
    assert cache.decoded(list_folder(folder), 8).shape == (12, 8, 8, 3)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_a_build_that_is_broken_off_leaves_nothing(own, error):
    pixels = noise(7)

    def produce():
        yield pixels[:4]
        assert ".part" in left_in(own)  # it is being written
        raise error

    with pytest.raises(error):
        cache.kept("set", {}, pixels.shape, produce)
    assert left_in(own) == []
    out = cache.kept("set", {}, pixels.shape, lambda: iter([pixels[:4], pixels[4:]]))
    assert np.array_equal(out, pixels)


def test_a_build_that_is_killed_is_begun_again(own):
    code = """
import os, signal
import numpy as np
from vislab.data import cache

def produce():
    yield np.full((4, 8, 8, 3), 9, np.uint8)
    os.kill(os.getpid(), signal.SIGKILL)

cache.kept("set", {}, (7, 8, 8, 3), produce)
"""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert left_in(own) == [".part"]
    pixels = noise(7)
    assert np.array_equal(cache.kept("set", {}, pixels.shape, lambda: iter([pixels])), pixels)
    assert left_in(own) == [".json", ".npy"]


def test_of_several_that_want_the_same_at_once_one_builds_it_and_all_have_it(own):
    pixels, together, built = noise(7), threading.Barrier(3), []
    results, errors = [], []

    def produce():
        built.append(pixels[:3])
        yield pixels[:3]
        time.sleep(0.3)  # the others are waiting by now
        yield pixels[3:]

    def build():
        try:
            together.wait(20)
            results.append(np.array(cache.kept("set", {}, pixels.shape, produce)))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(built) == 1
    assert len(results) == 3
    assert all(np.array_equal(result, pixels) for result in results)
    assert left_in(own) == [".json", ".npy"]


def test_a_disk_too_small_says_how_much_is_needed_before_anything_is_decoded(own, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: SimpleNamespace(free=2_100_000_000))

    def produce():
        raise AssertionError("decoded in vain")

    with pytest.raises(
        DataError, match=r"set needs 7\.5 GB in .*cache, where 2\.1 GB are free; .*--size.*VISLAB"
    ):
        cache.kept("set", {}, (50_000, 224, 224, 3), produce)
    assert left_in(own) == []


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("home", r"home/locks cannot be written to .*the images of set.*VISLAB_HOME"),
        ("home/cache", r"of set could not be kept in .*home/cache: .*VISLAB_HOME"),
    ],
)
def test_a_home_that_cannot_be_written_to_is_named(tmp_path, own, file, sentence):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("a file where a folder should be")
    with pytest.raises(DataError, match=sentence):
        cache.kept("set", {}, (2, 8, 8, 3), lambda: iter([noise(2)]))


def halved(content):
    return content[: len(content) // 2]


def of_another_shape(content):
    return content.replace(b"(7, 8, 8, 3)", b"(4, 8, 8, 3)")


@pytest.mark.parametrize(
    "harm",
    [halved, of_another_shape, lambda _: b"", lambda _: b"\x00" * 4000, lambda c: c[:40]],
    ids=["halved", "another shape", "empty", "zeros", "half a header"],
)
def test_a_damaged_cache_is_named_so_that_it_can_be_deleted(own, harm):
    pixels = noise(7)

    def build():
        return cache.kept("set", {}, pixels.shape, lambda: iter([pixels]))

    build()
    (path,) = own.glob("*.npy")
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError, match=r"is damaged \(.+\); delete it") as told:
        build()
    assert str(path) in str(told.value)
    path.unlink()
    assert np.array_equal(build(), pixels)


def peak_bytes(listing, size):
    tracemalloc.start()
    try:
        cache.decoded(listing, size)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_images(tmp_path, own, monkeypatch):
    """Also when images are decoded faster than the disk takes them."""
    monkeypatch.setattr(cache, "CHUNK", 8)

    @contextmanager
    def slow(*_, **__):
        yield lambda count: time.sleep(0.01)

    monkeypatch.setattr(cache, "track", slow)
    content = (write(tmp_path / "one", noise(1, 32)) / "a" / "000.png").read_bytes()
    folders = tmp_path / "few", tmp_path / "many"
    for folder, count in zip(folders, (80, 400), strict=True):
        for number in range(count):
            path = folder / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    few, many = (peak_bytes(list_folder(folder), 32) for folder in folders)
    pixels_more = (400 - 80) * 32 * 32 * 3
    assert many - few < pixels_more / 4


def test_resized_images_come_in_the_asked_order_and_number(few_at_a_time):
    pixels = noise(9, 12)
    rows = np.array([8, 0, 3, 3, 7, 1, 2])
    same = np.concatenate(list(cache.resized(pixels, 12, rows)))
    assert np.array_equal(same, pixels[rows])
    smaller = np.concatenate(list(cache.resized(pixels, 5, rows)))
    assert smaller.shape == (7, 5, 5, 3)
    by_pillow = [Image.fromarray(pixels[row]).resize((5, 5), Image.BICUBIC) for row in rows]
    assert np.array_equal(smaller, np.stack([np.asarray(image) for image in by_pillow]))


def test_a_digest_is_of_the_values_in_their_order_whatever_the_memory_looks_like():
    values = np.arange(24).reshape(4, 6)
    assert cache.digest(values) == cache.digest(np.asfortranarray(values))
    different = [values, values[::-1], values + 1, values[:3]]
    digests = [cache.digest(array) for array in different]
    assert all(one != other for one, other in itertools.combinations(digests, 2))
