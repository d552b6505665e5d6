"""Images without labels, wherever they lie."""

import io
import zipfile

import pytest
from PIL import Image

from vislab.data.images import images
from vislab.data.unlabelled import list_unlabelled
from vislab.errors import DataError


def draw(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(path)
    return root


def splits(listing):
    """Return the names in each split, by their last part."""
    return [
        sorted(member.split("/")[-1] for member, mine in
               zip(listing.members, listing.splits.tolist(), strict=True) if mine == split)
        for split in range(3)
    ]  # fmt: skip


def test_all_images_are_found_however_deep_they_lie(tmp_path):
    draw(tmp_path, "1.png", "a/2.jpg", "a/b/3.bmp", "c/4.png")
    (tmp_path / "notes.txt").write_text("no image")
    draw(tmp_path, ".hidden/5.png")
    listing = list_unlabelled(tmp_path)
    assert sorted(listing.members) == ["1.png", "a/2.jpg", "a/b/3.bmp", "c/4.png"]
    assert listing.classes == ("image",)
    assert listing.labels.tolist() == [0] * 4
    assert not listing.official


def test_a_split_is_drawn_and_is_the_same_each_time(tmp_path):
    draw(tmp_path, *(f"{number:02}.png" for number in range(20)))
    first = list_unlabelled(tmp_path)
    assert [len(split) for split in splits(first)] == [16, 2, 2]
    assert splits(list_unlabelled(tmp_path)) == splits(first)
    assert splits(list_unlabelled(tmp_path, seed=1)) != splits(first)


def test_folders_split_them_and_what_lies_beside_is_left_out_and_said(tmp_path):
    draw(tmp_path, "train/a/1.png", "train/2.png", "test/3.png", "valid/4.png", "5.png", "x/6.png")
    listing = list_unlabelled(tmp_path)
    assert splits(listing) == [["1.png", "2.png"], ["4.png"], ["3.png"]]
    assert listing.official
    assert listing.notes == ("2 images lie outside train, val and test",)


def test_without_a_split_to_test_on_one_is_drawn_and_nothing_is_left_out(tmp_path):
    draw(tmp_path, *(f"train/{number}.png" for number in range(10)), "11.png")
    listing = list_unlabelled(tmp_path)
    assert not listing.official
    assert listing.notes == ()
    assert sum(len(split) for split in splits(listing)) == 11


def zipped(path, *names):
    image = io.BytesIO()
    Image.new("RGB", (4, 3)).save(image, "PNG")
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, image.getvalue())
    return path


def test_zips_are_read_where_they_lie_alone_and_by_split(tmp_path):
    listing = list_unlabelled(zipped(tmp_path / "all.zip", "a/1.png", "2.png"))
    assert sorted(listing.members) == ["2.png", "a/1.png"]
    assert listing.name == "all"
    folder = tmp_path / "splits"
    folder.mkdir()
    zipped(folder / "train.zip", "1.png", "2.png")
    zipped(folder / "test.zip", "3.png")
    listing = list_unlabelled(folder)
    assert splits(listing) == [["1.png", "2.png"], [], ["3.png"]]
    assert listing.official


def test_where_there_is_nothing_it_is_told(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder or zip at .*missing"):
        list_unlabelled(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"holds no images"):
        list_unlabelled(tmp_path)


@pytest.mark.parametrize(("limit", "said"), [(5, "5 drawn"), (99, "16 drawn"), (None, "all")])
def test_a_limit_counts_images_and_more_than_there_are_needs_no_remark(tmp_path, limit, said):
    draw(tmp_path, *(f"{number:02}.png" for number in range(20)))
    opened = images(str(tmp_path), size=8, per_class=limit, labelled=False)
    assert opened.about()["subset"] == said
    assert not opened.notes
