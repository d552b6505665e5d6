import zipfile
from pathlib import Path

import numpy as np
import pytest

from vislab.data.folders import list_folder, require_whole
from vislab.data.listing import SPLITS, Reader
from vislab.errors import DataError

IMAGE = b"not decoded here"


def put(root, *members, content=IMAGE):
    for member in members:
        path = root / member
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def pack(archive, *members):
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as opened:
        for member in members:
            opened.writestr(member, b"" if member.endswith("/") else member.encode())


def table(listing):
    """Every image as (where, class, split), sorted."""
    return sorted(
        (listing.where(row), listing.classes[label], SPLITS[split])
        for row, (label, split) in enumerate(zip(listing.labels, listing.splits, strict=True))
    )


def test_class_folders_give_the_classes_in_order_and_a_drawn_split(tmp_path):
    put(tmp_path, *(f"{name}/{i}.jpg" for name in ("dog", "cat", "Ape") for i in range(10)))
    listing = list_folder(tmp_path)
    assert listing.classes == ("Ape", "cat", "dog")
    assert not listing.official
    for label, name in enumerate(listing.classes):
        rows = np.flatnonzero(listing.labels == label)
        assert all(listing.members[row].startswith(f"{name}/") for row in rows)
        assert np.bincount(listing.splits[rows]).tolist() == [8, 1, 1]


def test_the_drawn_split_depends_on_the_seed_alone(tmp_path):
    put(tmp_path, *(f"{name}/{i}.jpg" for name in "ab" for i in range(30)))
    first, again, other = (list_folder(tmp_path, seed=seed) for seed in (1, 1, 2))
    assert table(first) == table(again) != table(other)


@pytest.mark.parametrize("words", [("train", "val", "test"), ("Training", "valid", "TEST")])
def test_split_folders_are_the_official_split(tmp_path, words):
    train, val, test = words
    put(
        tmp_path,
        f"{train}/cat/1.jpg",
        f"{train}/dog/2.png",
        f"{val}/cat/3.jpg",
        f"{test}/dog/4.gif",
    )
    listing = list_folder(tmp_path)
    assert listing.official
    assert table(listing) == sorted(
        [
            (f"{train}/cat/1.jpg", "cat", "train"),
            (f"{train}/dog/2.png", "dog", "train"),
            (f"{val}/cat/3.jpg", "cat", "val"),
            (f"{test}/dog/4.gif", "dog", "test"),
        ]
    )


def test_an_image_deep_under_its_class_folder_belongs_to_it(tmp_path):
    put(tmp_path, "train/cat/2019/a/1.jpg", "train/dog/2.jpg", "test/cat/b/3.jpg")
    assert [row[1:] for row in table(list_folder(tmp_path))] == [
        ("cat", "test"),
        ("cat", "train"),
        ("dog", "train"),
    ]


def test_zips_named_after_splits_lie_in_a_folder(tmp_path):
    pack(tmp_path / "train.zip", "cat/1.jpg", "dog/2.jpg")
    pack(tmp_path / "test.zip", "cat/1.jpg")
    put(tmp_path, "README.md")
    pack(tmp_path / "backup.zip", "owl/9.jpg")
    listing = list_folder(tmp_path)
    assert listing.official
    assert table(listing) == [
        ("test.zip/cat/1.jpg", "cat", "test"),
        ("train.zip/cat/1.jpg", "cat", "train"),
        ("train.zip/dog/2.jpg", "dog", "train"),
    ]
    reader = Reader(listing.sources)
    for row in range(3):
        content = reader.read(int(listing.source_of[row]), listing.members[row])
        assert content == listing.members[row].encode()


def test_a_zip_may_repeat_its_own_name_inside(tmp_path):
    pack(tmp_path / "train.zip", "train/cat/1.jpg", "train/dog/2.jpg")
    pack(tmp_path / "test.zip", "Test/dog/3.jpg")
    assert [row[1:] for row in table(list_folder(tmp_path))] == [
        ("dog", "test"),
        ("cat", "train"),
        ("dog", "train"),
    ]


@pytest.mark.parametrize("top", ["", "pets/", "download/pets v2/"])
def test_one_zip_with_or_without_folders_around_the_classes(tmp_path, top):
    members = [f"{top}{name}/{i}.jpg" for name in ("a", "b") for i in (1, 2)]
    pack(tmp_path / "pets.zip", *([top] if top else []), *members)
    listing = list_folder(tmp_path / "pets.zip")
    assert listing.name == "pets"
    assert listing.classes == ("a", "b")
    assert listing.where(0) == f"pets.zip/{top}a/1.jpg"


def test_one_zip_with_split_folders_under_a_top_folder(tmp_path):
    pack(tmp_path / "z.zip", "top/train/cat/1.jpg", "top/train/dog/2.jpg", "top/test/cat/3.jpg")
    listing = list_folder(tmp_path / "z.zip")
    assert listing.official
    assert [row[1:] for row in table(listing)] == [
        ("cat", "test"),
        ("cat", "train"),
        ("dog", "train"),
    ]


@pytest.mark.parametrize("loose", ["cover.jpg", "pets/cover.jpg"])
def test_a_loose_image_does_not_change_what_the_classes_are(tmp_path, loose):
    pack(tmp_path / "z.zip", loose, "pets/cat/1.jpg", "pets/dog/2.jpg")
    listing = list_folder(tmp_path / "z.zip")
    assert listing.classes == ("cat", "dog")
    assert listing.unlabelled == (loose,)


def test_a_lone_class_folder_is_a_class(tmp_path):
    put(tmp_path, "cat/1.jpg", "cat/2.jpg")
    assert list_folder(tmp_path).classes == ("cat",)


def test_what_is_hidden_is_passed_over(tmp_path):
    members = ["cat/1.jpg", "dog/2.jpg"]
    hidden = ["__MACOSX/cat/._1.jpg", "__MACOSX/owl/3.jpg", "cat/._1.jpg", ".trash/owl/4.jpg"]
    put(tmp_path / "folder", *members, *hidden, "cat/Thumbs.db")
    pack(tmp_path / "z.zip", *members, *hidden)
    for path in (tmp_path / "folder", tmp_path / "z.zip"):
        listing = list_folder(path)
        assert list(listing.members) == members
        assert listing.unlabelled == ()


def test_names_in_any_script_with_spaces_and_commas(tmp_path):
    names = ["кошка", "犬, brown", "chat & chien", "γάτα"]
    put(tmp_path / "f", *(f"{name}/a, b {name}.JPG" for name in names))
    pack(tmp_path / "z.zip", *(f"{name}/a, b {name}.JPG" for name in names))
    for path in (tmp_path / "f", tmp_path / "z.zip"):
        listing = list_folder(path)
        assert listing.classes == tuple(sorted(names))
        reader = Reader(listing.sources)
        for member in listing.members:
            reader.read(0, member)


def test_an_empty_class_folder_is_named_and_refused(tmp_path):
    put(tmp_path / "f", "cat/1.jpg", "dog/2.jpg")
    (tmp_path / "f" / "owl").mkdir()
    (tmp_path / "f" / "cat" / "later").mkdir()  # no class, only an empty folder inside of one
    listing = list_folder(tmp_path / "f")
    assert listing.empty_classes == ("owl",)
    assert listing.classes == ("cat", "dog")
    with pytest.raises(DataError, match="owl holds no images; add some or take the folder out"):
        require_whole(listing, tmp_path / "f")


def test_an_empty_class_in_one_split_is_named(tmp_path):
    put(tmp_path, "train/cat/1.jpg", "train/dog/2.jpg", "test/cat/3.jpg")
    (tmp_path / "test" / "dog").mkdir()
    (tmp_path / "val").mkdir()
    assert list_folder(tmp_path).empty_classes == ("test/dog", "val")


def test_a_whole_set_is_not_refused(tmp_path):
    put(tmp_path, "cat/1.jpg", "dog/2.jpg", "loose.jpg")
    listing = list_folder(tmp_path)
    assert listing.unlabelled == ("loose.jpg",)
    require_whole(listing, tmp_path)


def test_a_link_that_leads_back_up_is_not_followed_but_one_elsewhere_is(tmp_path):
    put(tmp_path / "set", "cat/1.jpg", "dog/2.jpg")
    put(tmp_path / "elsewhere", "3.jpg")
    (tmp_path / "set" / "cat" / "again").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "owl").symlink_to(tmp_path / "elsewhere")
    assert list_folder(tmp_path / "set").members == ("cat/1.jpg", "dog/2.jpg", "owl/3.jpg")


def test_a_set_is_named_after_its_folder_dots_included(tmp_path, monkeypatch):
    put(tmp_path / "birds.v2", "a/1.jpg", "b/2.jpg")
    assert list_folder(tmp_path / "birds.v2").name == "birds.v2"
    monkeypatch.chdir(tmp_path / "birds.v2")
    assert list_folder(Path()).name == "birds.v2"


def test_a_label_file_gives_labels_groups_and_splits(tmp_path):
    put(tmp_path, "p/1.jpg", "p/2.jpg", "p/sub/3.jpg", "p/4.jpg", "p/not listed.jpg")
    (tmp_path / "p" / "labels.csv").write_text(
        "path,label,group,split\n"
        "1.jpg,cat,ann,train\n2.jpg,dog,bob,Test\nsub/3.jpg,cat,ann,train\n4.jpg,dog,,valid\n"
    )
    listing = list_folder(tmp_path)
    assert listing.classes == ("cat", "dog")
    assert listing.official
    assert table(listing) == [
        ("p/1.jpg", "cat", "train"),
        ("p/2.jpg", "dog", "test"),
        ("p/4.jpg", "dog", "val"),
        ("p/sub/3.jpg", "cat", "train"),
    ]
    assert listing.groups == ("ann", "bob", "ann", "p/4.jpg")
    assert listing.unlabelled == ("p/not listed.jpg",)


def test_without_a_column_for_the_split_groups_are_kept_together(tmp_path):
    put(tmp_path, *(f"{i}.jpg" for i in range(60)))
    rows = [f"{i}.jpg,{'ab'[i % 2]},person {i % 15}\n" for i in range(60)]
    (tmp_path / "labels.csv").write_text("path,label,group\n" + "".join(rows))
    listing = list_folder(tmp_path)
    assert not listing.official
    splits = {}
    for group, split in zip(listing.groups, listing.splits, strict=True):
        assert splits.setdefault(group, split) == split
    assert set(splits.values()) == {0, 1, 2}


def test_without_groups_or_split_the_draw_is_stratified(tmp_path):
    put(tmp_path, *(f"{i}.jpg" for i in range(40)))
    rows = [f"{i}.jpg,{'ab'[i % 2]}\n" for i in range(40)]
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(rows))
    listing = list_folder(tmp_path)
    assert listing.groups is None
    for label in (0, 1):
        assert np.bincount(listing.splits[listing.labels == label]).tolist() == [16, 2, 2]


def test_a_label_file_from_windows(tmp_path):
    """A byte order mark, carriage returns, backslashes, capitals and spaces in the header."""
    put(tmp_path, "a b/1.jpg", "кот/2,5.jpg")
    text = '\ufeffPath, Label \r\na b\\1.jpg,big cat\r\n"кот\\2,5.jpg","кот, рыжий"\r\n'
    (tmp_path / "labels.csv").write_bytes(text.encode())
    listing = list_folder(tmp_path)
    assert listing.members == ("a b/1.jpg", "кот/2,5.jpg")
    assert listing.classes == ("big cat", "кот, рыжий")


def test_a_label_file_inside_a_zip_counts_paths_from_its_own_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as opened:
        for member in ("top/img/1.jpg", "top/img/2.jpg"):
            opened.writestr(member, IMAGE)
        opened.writestr("top/labels.csv", "path,label\nimg/1.jpg,x\nimg/2.jpg,y\n")
    assert list_folder(tmp_path / "z.zip").members == ("top/img/1.jpg", "top/img/2.jpg")


def test_a_table_of_something_else_is_noted_and_not_used(tmp_path):
    put(tmp_path, "cat/1.jpg", "dog/2.jpg")
    (tmp_path / "prices.csv").write_text("item,price\nfish,3\n")
    listing = list_folder(tmp_path)
    assert listing.classes == ("cat", "dog")
    assert listing.notes == ("prices.csv was not used: it lacks the columns path and label",)


def test_images_that_only_the_label_file_knows_are_named_and_refused(tmp_path):
    put(tmp_path, "1.jpg")
    (tmp_path / "labels.csv").write_text("path,label\n1.jpg,a\n2.jpg,a\n3.jpg,b\n")
    listing = list_folder(tmp_path)
    assert listing.absent == ("2.jpg", "3.jpg")
    assert listing.members == ("1.jpg",)
    with pytest.raises(DataError, match=r"names 2 images that are not there \(first: 2\.jpg\)"):
        require_whole(listing, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\n", "labels.csv has a header and no rows; write it anew"),
        ("path,label\n1.jpg,a\n1.jpg,\n", "labels.csv, line 3: path or label is empty; fill it in"),
        ("path,label\n,a\n", "labels.csv, line 2: path or label is empty"),
        ("path,label\nx/1.jpg,a\n", r"none of the images .* is there \(first: x/1\.jpg\)"),
        (
            "path,label,split\n1.jpg,a,train\n2.jpg,b,holdout\n",
            r"puts 2\.jpg in the split 'holdout'; write one of train, val, test",
        ),
        ("path,label,split\n1.jpg,a,\n", r"puts 1\.jpg in the split ''; write one of train"),
    ],
)
def test_a_wrong_label_file_is_refused_with_the_place(tmp_path, content, message):
    put(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        list_folder(tmp_path)


def test_a_class_that_is_tested_on_and_never_trained_on_is_refused(tmp_path):
    put(tmp_path, "train/cat/1.jpg", "test/cat/2.jpg", "test/owl/3.jpg")
    with pytest.raises(DataError, match="classes to test on that are not under train: owl; add"):
        list_folder(tmp_path)


def test_a_class_beside_the_split_folders_is_refused(tmp_path):
    put(tmp_path, "train/cat/1.jpg", "test/cat/2.jpg", "owl/3.jpg")
    with pytest.raises(DataError, match=r"other class folders beside them \(first: owl/3\.jpg\)"):
        list_folder(tmp_path)


def test_a_test_folder_without_a_train_folder_is_refused(tmp_path):
    put(tmp_path, "test/cat/2.jpg", "val/cat/2.jpg")
    with pytest.raises(DataError, match="no train folder beside its val or test"):
        list_folder(tmp_path)


def test_no_images_at_all_says_what_would_be_understood(tmp_path):
    put(tmp_path, "cat/notes.txt")
    with pytest.raises(DataError, match=r"holds no images; expected class folders \(cat/1\.jpg"):
        list_folder(tmp_path)


def test_images_in_one_heap_say_what_would_be_understood(tmp_path):
    put(tmp_path, "1.jpg", "2.jpg")
    with pytest.raises(DataError, match="holds images but no class folders; expected class"):
        list_folder(tmp_path)


def test_a_path_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no folder or zip at .*nowhere"):
        list_folder(tmp_path / "nowhere")


def test_a_file_that_is_no_zip_is_named(tmp_path):
    put(tmp_path, "pets.zip", "cat.jpg", content=b"PK but nothing more")
    for name in ("pets.zip", "cat.jpg"):
        with pytest.raises(DataError, match=f"{name} is no zip that can be opened"):
            list_folder(tmp_path / name)


def test_a_zip_of_a_version_to_come_is_named(tmp_path):
    pack(tmp_path / "z.zip", "cat/1.jpg")
    content = bytearray((tmp_path / "z.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99
    (tmp_path / "z.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"z\.zip is no zip that can be opened \(zip file version"):
        list_folder(tmp_path / "z.zip")


def test_split_folders_under_longer_names_are_splits(tmp_path):
    put(
        tmp_path,
        *(f"seg_{split}/seg_{split}/{name}/{n}.jpg" for split in ("train", "test")
          for name in ("forest", "sea") for n in range(3)),
        "seg_pred/seg_pred/9.jpg",
    )  # fmt: skip
    listing = list_folder(tmp_path)
    assert listing.classes == ("forest", "sea")
    assert listing.official
    assert np.bincount(listing.splits).tolist() == [6, 0, 6]
    assert all(
        SPLITS[split] in member
        for split, member in zip(listing.splits, listing.members, strict=True)
    )
    assert listing.unlabelled == ("seg_pred/seg_pred/9.jpg",)


def test_classes_whose_names_hold_a_words_of_splits_are_classes(tmp_path):
    put(tmp_path, *(f"{name}/{n}.jpg" for name in ("bullet train", "bus", "test tube")
                    for n in range(4)))  # fmt: skip
    listing = list_folder(tmp_path)
    assert listing.classes == ("bullet train", "bus", "test tube")
    assert not listing.official


def test_images_to_test_on_without_classes_are_left_out_and_a_split_is_drawn(tmp_path):
    put(tmp_path, *(f"train/{name}/{n}.jpg" for name in "ab" for n in range(10)), "test/1.jpg")
    listing = list_folder(tmp_path)
    assert listing.unlabelled == ("test/1.jpg",)
    assert (listing.splits == 2).sum() == 2
    (note,) = listing.notes
    assert note.startswith("only train holds class folders; a split to test on was drawn")


def test_validation_images_are_tested_on_where_no_others_came(tmp_path):
    put(tmp_path, "train/a/1.jpg", "train/b/2.jpg", "val/a/3.jpg", "val/b/4.jpg")
    listing = list_folder(tmp_path)
    assert listing.splits.tolist() == [0, 0, 2, 2]
    assert "its val split is used to test on" in listing.notes[0]


def test_lists_state_the_split(tmp_path):
    put(tmp_path, *(f"images/{name}/{n}.jpg" for name in ("cake", "soup") for n in range(5)))
    (tmp_path / "meta").mkdir()
    for split, some in (("train", range(3)), ("test", range(3, 5))):
        lines = [f"{name}/{n}\n" for name in ("cake", "soup") for n in some]
        (tmp_path / "meta" / f"{split}.txt").write_text("".join(lines))
    listing = list_folder(tmp_path)
    assert listing.classes == ("cake", "soup")
    assert listing.official
    assert sorted(listing.members[row] for row in listing.rows("test")) == [
        "images/cake/3.jpg", "images/cake/4.jpg", "images/soup/3.jpg", "images/soup/4.jpg"
    ]  # fmt: skip


def test_lists_that_leave_images_out_are_refused(tmp_path):
    put(tmp_path, *(f"{name}/{n}.jpg" for name in "ab" for n in range(5)))
    (tmp_path / "train.txt").write_text("a/0\nb/0\n")
    (tmp_path / "test.txt").write_text("a/1\nb/1\n")
    with pytest.raises(DataError, match=r"state a split and leave out images such as a/2\.jpg"):
        list_folder(tmp_path)


def test_class_names_composed_in_two_ways_are_one_class(tmp_path):
    import unicodedata

    for split, form in (("train", "NFD"), ("test", "NFC")):
        put(tmp_path, *(f"{split}/{unicodedata.normalize(form, name)}/1.jpg"
                        for name in ("Käfer", "Bär")))  # fmt: skip
    listing = list_folder(tmp_path)
    assert listing.classes == ("Bär", "Käfer")
    assert listing.labels.tolist() == [0, 1, 0, 1]


def test_class_names_that_differ_in_case_alone_must_be_settled(tmp_path):
    put(tmp_path, *(f"{name}/{n}.jpg" for name in ("Cat", "cat", "dog") for n in range(4)))
    listing = list_folder(tmp_path)
    (doubt,) = listing.doubts
    assert doubt.startswith("the classes 'Cat' and 'cat' differ in the case of letters alone")
    with pytest.raises(DataError, match="'Cat' and 'cat'"):
        require_whole(listing, tmp_path)


def test_what_cannot_be_opened_must_be_settled(tmp_path):
    put(tmp_path, *(f"{name}/{n}.jpg" for name in "ab" for n in range(4)), "a/9.nef")
    with pytest.raises(DataError, match=r"1 photographs cannot be opened \(first: a/9\.nef\)"):
        require_whole(list_folder(tmp_path), tmp_path)


def test_zips_in_a_zip_are_told(tmp_path):
    pack(tmp_path / "a.zip", "train.zip", "test.zip")
    with pytest.raises(DataError, match=r"no images but zips \(test\.zip, train\.zip\): unpack"):
        list_folder(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        (("images/1.jpg", "masks/1.jpg"), "holds images and their masks"),
        (("1.jpg", "1.json", "2.jpg", "2.json"), "holds annotations of labelme"),
        (("a/1.jpg", "a/data.parquet"), "holds tables of Hugging Face"),
    ],
)
def test_forms_that_are_not_read_are_told_by_name(tmp_path, members, sentence):
    put(tmp_path, *members)
    for member in members:
        if member.endswith(".json"):
            (tmp_path / member).write_text('{"shapes": [], "imagePath": ""}')
    with pytest.raises(DataError, match=sentence):
        list_folder(tmp_path)


def test_folders_may_be_taken_for_classes_all_the_same(tmp_path):
    put(tmp_path, *(f"{name}/{n}.jpg" for name in ("images", "masks") for n in range(3)))
    assert list_folder(tmp_path, labels="folders").classes == ("images", "masks")
