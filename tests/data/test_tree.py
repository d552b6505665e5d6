"""Which files of a folder count, and what a name in a table finds among them."""

import unicodedata

import pytest
from PIL import Image

from vislab.data.tree import Tree, folded, inside, visible
from vislab.errors import DataError


def put(root, *members):
    for member in members:
        path = root / member
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return Tree(root)


@pytest.mark.parametrize(
    "junk",
    ["._1.jpg", ".ipynb_checkpoints/1.jpg", "__MACOSX/1.jpg", "@eaDir/1.jpg/T.jpg",
     "$RECYCLE.BIN/1.jpg", "cat/@eaDir/2.jpg", "System Volume Information/1.jpg"],
)  # fmt: skip
def test_what_machines_leave_is_passed_over(tmp_path, junk):
    assert put(tmp_path, "cat/1.jpg", junk).images == ("cat/1.jpg",)


def test_an_image_without_an_ending_is_known_by_its_content(tmp_path):
    (tmp_path / "cat").mkdir()
    for name, form in (("0001", "PNG"), ("photo.bin", "JPEG"), ("x.web", "WEBP")):
        Image.new("RGB", (8, 8)).save(tmp_path / "cat" / name, form)
    (tmp_path / "cat" / "notes").write_text("nothing")
    assert Tree(tmp_path).images == ("cat/0001", "cat/photo.bin", "cat/x.web")


def test_photographs_that_cannot_be_opened_are_named(tmp_path):
    tree = put(tmp_path, "1.jpg", "2.NEF", "3.cr2", "4.txt")
    assert tree.images == ("1.jpg",)
    assert tree.unopened == ("2.NEF", "3.cr2")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a/1.jpg", ["a/1.jpg"]),
        ("./a\\1.jpg", ["a/1.jpg"]),
        ("1.jpg", ["a/1.jpg", "b/1.jpg"]),
        ("a/1", ["a/1.jpg"]),
        ("A/1.JPG", ["a/1.jpg"]),
        ("my%20photo.jpg", ["b/my photo.jpg"]),
        ("http://host:8080/data/upload/7/my%20photo.jpg", ["b/my photo.jpg"]),
        ("c/1.jpg", []),
        ("../a/1.jpg", []),
        ("/etc/passwd", []),
    ],
)
def test_a_name_means_the_images_that_it_may_mean(tmp_path, name, found):
    assert put(tmp_path, "a/1.jpg", "b/1.jpg", "b/my photo.jpg").meant(name) == found


def test_the_folder_of_the_table_comes_first_and_absolute_paths_of_this_set_are_its_own(tmp_path):
    tree = put(tmp_path, "a/1.jpg", "b/1.jpg")
    assert tree.meant("1.jpg", beside="b") == ["b/1.jpg"]
    assert tree.meant("../a/1.jpg", beside="b") == ["a/1.jpg"]
    assert tree.meant("..\\a\\.\\1.jpg", beside="b") == ["a/1.jpg"]
    assert tree.meant("x/../a/1.jpg") == ["a/1.jpg"]
    assert tree.meant("../../a/1.jpg", beside="b") == []
    assert tree.meant("../1.jpg", beside="b") == [], "no other folder's"
    assert tree.meant(f"{tmp_path.resolve()}/a/1.jpg") == ["a/1.jpg"]


def test_letters_composed_otherwise_are_the_same_name(tmp_path):
    apart = unicodedata.normalize("NFD", "Käfer/1.jpg")
    assert apart != "Käfer/1.jpg"
    assert put(tmp_path, apart).meant("Käfer/1.jpg") == [apart]
    assert folded(apart) == folded("kÄfer/1.JPG")


def test_folders_that_all_names_have_too_many_are_cut_off(tmp_path):
    tree = put(tmp_path, *(f"images/{n}.jpg" for n in range(5)))
    names = [f"dataset/images/{n}.jpg" for n in range(5)]
    assert tree.cut_of(names) == 1
    assert tree.meant(names[3], cut=1) == ["images/3.jpg"]
    assert tree.cut_of(names[:2]) == 0  # of two it cannot be told
    assert tree.cut_of([*names, "other/images/9.jpg"]) == 0
    assert tree.cut_of([f"images/{n}.jpg" for n in range(5)]) == 0


def test_zips_that_are_named_after_splits_are_folders_where_that_is_asked_for(tmp_path):
    import zipfile

    for name in ("train", "other"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as opened:
            opened.writestr("cat/1.jpg", name)
    assert Tree(tmp_path).images == ()
    tree = Tree(tmp_path, archives=True)
    assert tree.images == ("train/cat/1.jpg",)
    assert tree.place("train/cat/1.jpg") == (1, "cat/1.jpg")
    assert tree.read("train/cat/1.jpg") == b"train"


def test_a_file_beyond_its_bound_is_not_read(tmp_path):
    (tmp_path / "1.txt").write_bytes(bytes(1000))
    with pytest.raises(DataError, match=r"1\.txt has 0 MB, over the 0 MB"):
        Tree(tmp_path).read("1.txt", most=999)


def test_paths_that_lead_out_are_none():
    assert [inside(text) for text in ("a/./b", "/a", "a/../b", "C:\\a", "")] == [
        "a/b", None, None, None, None
    ]  # fmt: skip
    assert not visible("Thumbs.db")
