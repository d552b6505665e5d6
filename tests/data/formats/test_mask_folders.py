import numpy as np
import pytest
from PIL import Image

from tests.data.formats.sets import image, mask, turned, whats
from vislab.data.annotations import VOID
from vislab.data.formats.mask_folders import read, recognises
from vislab.data.mask_rendering import mask_of
from vislab.errors import DataError


def values(*present, size=(40, 30), seed=0):
    rng = np.random.default_rng(seed)
    filled = rng.choice(present, (size[1], size[0])).astype(np.uint8)
    filled.flat[: len(present)] = present
    return filled


def pair(root, content, stem="1", images="images", masks="masks", suffix="", **options):
    image(root / images / f"{stem}.jpg")
    return mask(root / masks / f"{stem}{suffix}.png", content, **options)


@pytest.mark.parametrize(
    ("images", "masks", "suffix"),
    [
        ("images", "masks", ""),
        ("image", "label", ""),
        ("img", "gt", ""),
        ("imgs", "annotations", "_mask"),
        ("Images", "Labels", "_segmentation"),
        ("train/images", "train/masks", ""),
        ("images/train", "masks/train", ""),
        ("train", "trainannot", ""),
        ("train", "train_masks", "_mask"),
        ("train_images", "train_labels", ""),
        (".", ".", "_mask"),
        ("all", "all", "-seg"),
    ],
)
def test_an_image_and_its_mask_find_one_another(tmp_path, images, masks, suffix):
    for stem in ("1", "2"):
        pair(tmp_path, values(0, 255), stem, images, masks, suffix)
    assert recognises(tmp_path)
    annotated = read(tmp_path)
    assert annotated.issues == ()
    assert len(annotated) == 2
    for member, file in zip(annotated.members, annotated.masks, strict=True):
        assert member.endswith(".jpg")
        assert file.rsplit("/", 1)[-1] == f"{member.rsplit('/', 1)[-1][0]}{suffix}.png"
    assert len(annotated.instances) == 0


def test_equal_names_in_two_splits_keep_apart(tmp_path):
    for split in ("train", "test"):
        pair(tmp_path, values(0, 255), "1", f"{split}/images", f"{split}/masks")
    annotated = read(tmp_path)
    pairs = dict(zip(annotated.members, annotated.masks, strict=True))
    assert pairs == {f"{s}/images/1.jpg": f"{s}/masks/1.png" for s in ("train", "test")}
    assert dict(zip(annotated.members, annotated.splits.tolist(), strict=True)) == {
        "train/images/1.jpg": 0, "test/images/1.jpg": 2
    }  # fmt: skip


@pytest.mark.parametrize("names", [("with_mask", "without_mask"), ("mask", "none"), ("cat", "dog")])
def test_class_folders_of_masks_are_no_masks(tmp_path, names):
    for name in names:
        for stem in "12":
            image(tmp_path / name / f"{stem}.png")
    assert not recognises(tmp_path)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_black_and_white_is_background_and_foreground(tmp_path, mode):
    content = values(0, 255)
    pair(tmp_path, content, mode=mode)
    annotated = read(tmp_path)
    assert annotated.classes == ("background", "foreground")
    np.testing.assert_array_equal(mask_of(annotated, 0), content // 255)


def test_a_bilevel_mask_is_binary(tmp_path):
    content = values(0, 255)
    image(tmp_path / "images" / "1.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(content).convert("1").save(tmp_path / "masks" / "1.png")
    np.testing.assert_array_equal(mask_of(read(tmp_path), 0), content // 255)


def test_a_mask_without_foreground_in_a_binary_folder_stays_background(tmp_path):
    pair(tmp_path, values(0, 255), "1")
    pair(tmp_path, values(255, 255), "2")
    pair(tmp_path, values(0, 0), "3")
    annotated = read(tmp_path)
    assert np.unique(mask_of(annotated, 1)).tolist() == [1]
    assert np.unique(mask_of(annotated, 2)).tolist() == [0]


def test_an_indexed_mask_of_nothing_but_void_is_void_because_the_others_are_indexed(tmp_path):
    pair(tmp_path, values(0, 1, 2, 255), "1")
    pair(tmp_path, values(0, 255), "2")
    annotated = read(tmp_path)
    assert annotated.issues == ()
    assert annotated.classes == ("background", "class 1", "class 2")
    assert np.unique(mask_of(annotated, 1)).tolist() == [0, VOID]


def test_zeros_and_ones_are_binary_by_name(tmp_path):
    pair(tmp_path, values(0, 1))
    annotated = read(tmp_path)
    np.testing.assert_array_equal(mask_of(annotated, 0), values(0, 1))
    assert len(annotated.classes) == 2


def test_smoothed_black_and_white_is_told_file_by_file(tmp_path):
    for stem in ("1", "2"):
        pair(tmp_path, values(0, 255), stem)
    smooth = values(0, 255)
    smooth[0] = np.arange(40) * 6 + 10
    pair(tmp_path, smooth, "3")
    annotated = read(tmp_path)
    assert annotated.classes == ("background", "foreground")
    (issue,) = annotated.issues
    assert issue.where == "masks/3.png"
    assert "a class beyond the 2 that are known: 10, 16" in issue.what


@pytest.mark.parametrize("last", [29, 255])
def test_many_small_classes_are_not_taken_for_smoothing(tmp_path, last):
    content = np.zeros((30, 40), dtype=np.uint8)
    content[0, :30] = np.arange(30)
    content[1, 0] = last
    pair(tmp_path, content)
    annotated = read(tmp_path)
    assert len(annotated.classes) == 30
    np.testing.assert_array_equal(mask_of(annotated, 0), content)


def test_one_pair_among_many_that_have_none_is_no_set_of_masks(tmp_path):
    pair(tmp_path, values(0, 1), "1")
    assert recognises(tmp_path)
    for stem in "23":
        mask(tmp_path / "masks" / f"{stem}.png", values(0, 1))
    assert not recognises(tmp_path)


def test_names_give_the_classes_and_an_index_beyond_them_is_a_flaw(tmp_path):
    (tmp_path / "classes.txt").write_text("sky\nroad\n")  # the background is not named
    pair(tmp_path, values(0, 1, 2), "1")
    pair(tmp_path, values(0, 3, 255), "2")
    annotated = read(tmp_path)
    assert annotated.classes == ("background", "sky", "road")
    (issue,) = annotated.issues
    assert (issue.where, issue.row) == ("masks/2.png", 1)
    assert issue.what == "the mask holds a class beyond the 3 that are known: 3"


def test_equal_channels_are_one_and_colours_are_a_flaw(tmp_path):
    content = values(0, 1, 2)
    pair(tmp_path, np.stack([content] * 3, axis=-1), "1")
    pair(tmp_path, np.stack([content, content * 0, content], axis=-1), "2")
    annotated = read(tmp_path)
    np.testing.assert_array_equal(mask_of(annotated, 0), content)
    assert whats(annotated) == ["the mask holds colours, not the numbers of classes"]
    with pytest.raises(DataError, match=r"masks/2\.png: the mask holds colours"):
        mask_of(annotated, 1)


@pytest.mark.parametrize(("companions", "read_too"), [(0, 0), (1, 1), (2, 0), (4, 0)])
def test_what_lies_beside_half_of_the_images_is_no_image_of_its_own(tmp_path, companions, read_too):
    for number in range(4):
        pair(tmp_path, values(0, 1), f"a{number}")
        if number < companions:
            image(tmp_path / "images" / f"a{number}_superpixels.png")
    annotated = read(tmp_path)
    assert len(annotated) == 4 + read_too
    assert [issue.where for issue in annotated.issues] == ["images/a0_superpixels.png"] * read_too
    assert ("superpixels" in "".join(annotated.notes)) == (companions >= 2)


def test_what_is_missing_broken_or_of_another_size_is_a_flaw(tmp_path):
    pair(tmp_path, values(0, 1), "good")
    image(tmp_path / "images" / "lone.jpg")
    mask(tmp_path / "masks" / "orphan.png", values(0, 1))
    pair(tmp_path, values(0, 1, size=(41, 30)), "wide")
    pair(tmp_path, values(0, 1), "cut").write_bytes(b"\x89PNG")
    issues = {issue.where: issue.what.split(":")[0] for issue in read(tmp_path).issues}
    assert issues == {
        "images/lone.jpg": "its mask is missing",
        "masks/orphan.png": "its image is missing",
        "masks/wide.png": "the mask is of another size",
        "masks/cut.png": "the mask cannot be read",
    }


def test_a_mask_of_the_image_as_stored_is_a_flaw_where_exif_turns_it(tmp_path):
    image(tmp_path / "images" / "stored.jpg", exif=turned())
    mask(tmp_path / "masks" / "stored.png", values(0, 1))
    image(tmp_path / "images" / "seen.jpg", exif=turned())
    mask(tmp_path / "masks" / "seen.png", values(0, 1, size=(30, 40)))
    (issue,) = read(tmp_path).issues
    assert issue.where == "masks/stored.png"
    assert "its EXIF note turns it" in issue.what


def test_sixteen_bits_hold_indexes_too_and_more_than_255_is_a_flaw(tmp_path):
    deep = values(0, 1, 2).astype(np.uint16)
    for stem, content in (("1", deep), ("2", deep * 300)):
        image(tmp_path / "images" / f"{stem}.jpg")
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(content).save(tmp_path / "masks" / f"{stem}.png")
    annotated = read(tmp_path)
    np.testing.assert_array_equal(mask_of(annotated, 0), deep)
    assert whats(annotated) == ["the mask holds numbers beyond 0 to 255: up to 600"]
