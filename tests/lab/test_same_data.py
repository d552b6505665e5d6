"""A run that is resumed is shown the images that it was begun with, or says so."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.data.annotated_sets import made
from tests.lab.small_recipe import Small, few_images
from vislab.errors import RunError
from vislab.lab.running import execute
from vislab.lab.same_data import digest_of
from vislab.lab.training import Stopped
from vislab.runs.folder import RunFolder


@pytest.fixture
def cut_short(tmp_path):
    """Return a run that was stopped after its first epoch, and the folder of its images."""
    images = few_images(tmp_path / "images")

    def stop(*_):
        raise Stopped("enough")

    with pytest.raises(Stopped):
        execute(recipe(images), "small", tmp_path / "run", quiet=True, watch=stop)
    return tmp_path / "run", images


def recipe(images):
    return Small(data=str(images), epochs=2)


def another(path):
    Image.fromarray(np.full((16, 16, 3), 7, dtype=np.uint8)).save(path)


CHANGES = [
    (lambda images: another(images / "train/red/0.png"), r"\(digest: \w+ before, \w+ now\)"),
    (lambda images: (images / "train/red/0.png").unlink(), r"\(counts, digest: .*36.* before"),
    (
        lambda images: shutil.move(images / "train/red/0.png", images / "train/blue/99.png"),
        "digest",
    ),
    (lambda images: (images / "test/red/0.png").rename(images / "test/red/x.png"), "digest"),
]


@pytest.mark.parametrize(("change", "what"), CHANGES)
def test_on_other_images_a_run_is_refused_and_continued_when_told_to(cut_short, change, what):
    folder, images = cut_short
    change(images)
    with pytest.raises(RunError, match=rf"images of images are not those .*{what}.*--data-changed"):
        execute(recipe(images), "small", folder, resume=True, quiet=True)
    run = execute(recipe(images), "small", folder, resume=True, data_changed=True, quiet=True)
    assert run.result.status == "finished"
    (note,) = [note for note in run.result.notes if "changed while" in note]
    assert "what was learned before was learned from others" in note
    assert note.split("(")[0] in (folder / "report.html").read_text()
    assert len(run.result.data) == 1
    execute(recipe(images), "small", folder, resume=True, quiet=True)  # these are its images now


def test_the_same_images_in_files_of_another_time_are_the_same(cut_short):
    folder, images = cut_short
    for path in images.rglob("*.png"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    execute(recipe(images), "small", folder, resume=True, quiet=True)
    assert not any("changed" in note for note in RunFolder.open(folder).result.notes)


def test_a_run_of_an_older_version_which_kept_no_digest_is_resumed(cut_short):
    folder, images = cut_short
    run = RunFolder.open(folder)
    del run.result.data[0]["digest"]
    run.save()
    execute(recipe(images), "small", folder, resume=True, quiet=True)
    assert "digest" in RunFolder.open(folder).result.data[0]


def test_whatever_changes_changes_the_digest():
    table = made(11)
    seen = {digest_of(table)}
    pixels = table.pixels.copy()
    pixels[10, 5, 5, 1] ^= 1
    boxes = table.boxes.xyxy.copy()
    boxes[3, 2] += 1
    for other in (
        replace(table, pixels=pixels),
        replace(table, splits=table.splits[::-1].copy()),
        replace(table, names=("other.png", *table.names[1:])),
        table.with_columns(boxes=replace(table.boxes, xyxy=boxes)),
        table.take(np.arange(10)),
    ):
        assert digest_of(other) not in seen
        seen.add(digest_of(other))
    assert digest_of(made(11)) in seen


def test_of_a_large_set_images_are_read_here_and_there():
    table = made(11)
    pixels = table.pixels.copy()
    pixels[1] += 1
    few = table.pixels.nbytes // 4  # every fourth image
    assert digest_of(replace(table, pixels=pixels), read=few) == digest_of(table, read=few)
    pixels[4] += 1
    assert digest_of(replace(table, pixels=pixels), read=few) != digest_of(table, read=few)
