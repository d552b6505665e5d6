"""Tables of labels as Excel, pandas and contests write them."""

import pytest

from vislab.data.folders import list_folder, require_whole
from vislab.data.listing import SPLITS
from vislab.errors import DataError, OptionError


def put(root, *members):
    for member in members:
        path = root / member
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not decoded here")


def days(root):
    """Put 12 images into folders that say nothing of their labels."""
    members = [f"{('monday', 'friday')[n // 6]}/{n}.jpg" for n in range(12)]
    put(root, *members)
    return members


def labels_of(listing):
    return {
        member: listing.classes[label]
        for member, label in zip(listing.members, listing.labels, strict=True)
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_table_is_read_whatever_wrote_it(tmp_path, encoding, delimiter, end):
    members = days(tmp_path)
    rows = [("path", "label"), *((m, "ok" if n % 2 else "broken") for n, m in enumerate(members))]
    text = end.join(delimiter.join(row) for row in rows) + end
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    found = labels_of(list_folder(tmp_path))
    assert found == {m: "ok" if n % 2 else "broken" for n, m in enumerate(members)}


def test_another_encoding_is_refused_with_the_line(tmp_path):
    put(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "labels.csv").write_bytes("path,label\n1.jpg,кот\n2.jpg,пёс\n".encode("cp1251"))
    with pytest.raises(DataError, match=r"labels\.csv, line 2: byte 0xea is no UTF-8"):
        list_folder(tmp_path)


@pytest.mark.parametrize(
    ("header", "cell"),
    [("image_id,dx", "{stem}"), ("filename,diagnosis", "{name}"), ("id,breed", "{path}")],
)
def test_other_columns_are_proposed_and_read_when_they_are_named(tmp_path, header, cell):
    members = [f"part_{1 + n // 6}/IMG_{n:03}.jpg" for n in range(12)]
    put(tmp_path, *members)
    rows = [header + ",age"]
    for n, member in enumerate(members):
        name = member.split("/")[1]
        told = cell.format(stem=name.removesuffix(".jpg"), name=name, path=member)
        rows.append(f"{told},{('nv', 'mel', 'bcc')[n % 3]},{30 + n}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=f"`--labels {header}`"):
        list_folder(tmp_path)
    found = labels_of(list_folder(tmp_path, labels=header))
    assert found == {m: ("nv", "mel", "bcc")[n % 3] for n, m in enumerate(members)}
    assert list_folder(tmp_path, labels="folders").classes == ("part_1", "part_2")


def test_split_and_group_may_be_named_too(tmp_path):
    put(tmp_path, *(f"{n}.jpg" for n in range(6)))
    rows = [f"{n}.jpg,{'ab'[n % 2]},{('train', 'test')[n // 4]},p{n // 2}" for n in range(6)]
    (tmp_path / "t.csv").write_text("\n".join(["file,what,where,who", *rows]) + "\n")
    listing = list_folder(tmp_path, labels="file,what,where,who")
    assert [SPLITS[s] for s in listing.splits] == ["train"] * 4 + ["test"] * 2
    assert listing.groups == ("p0", "p0", "p1", "p1", "p2", "p2")


@pytest.mark.parametrize("wanted", ["file", "file,", "a,b,c,d,e", ","])
def test_columns_that_make_no_sense_are_refused(tmp_path, wanted):
    put(tmp_path, "1.jpg")
    with pytest.raises(OptionError, match="name the columns of path and label"):
        list_folder(tmp_path, labels=wanted)


def test_columns_that_no_table_has_are_refused_with_those_there_are(tmp_path):
    put(tmp_path, "1.jpg")
    (tmp_path / "t.csv").write_text("file,what\n1.jpg,a\n")
    with pytest.raises(OptionError, match=r"no table .* \(t\.csv: file, what\)"):
        list_folder(tmp_path, labels="path,label")


def test_a_table_a_split_is_the_split(tmp_path):
    for split, count in (("train", 6), ("test", 4)):
        rows = ["path,label"]
        for n in range(count):
            put(tmp_path, f"images/{split}_{n}.jpg")
            rows.append(f"images/{split}_{n}.jpg,{'ab'[n % 2]}")
        (tmp_path / f"{split}.csv").write_text("\n".join(rows) + "\n")
    listing = list_folder(tmp_path)
    assert listing.official
    assert {
        m.split("/")[1].split("_")[0]: SPLITS[s]
        for m, s in zip(listing.members, listing.splits, strict=True)
    } == {"train": "train", "test": "test"}
    assert len(listing) == 10


def test_tables_that_disagree_are_both_named(tmp_path):
    put(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "a.csv").write_text("path,label\n1.jpg,cat\n2.jpg,dog\n")
    (tmp_path / "b.csv").write_text("path,label\n1.jpg,dog\n2.jpg,dog\n")
    both = r"b\.csv, line 2: 1\.jpg is 'dog' here and 'cat' at .*a\.csv"
    with pytest.raises(DataError, match=both):
        list_folder(tmp_path)


def test_several_labels_of_an_image_are_refused(tmp_path):
    put(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "a.csv").write_text("path,label\n1.jpg,beach\n1.jpg,people\n2.jpg,city\n")
    with pytest.raises(DataError, match="sets with several labels an image are not read yet"):
        list_folder(tmp_path)


def test_boxes_in_a_table_are_told_by_name(tmp_path):
    rows = ["filename,width,height,class,xmin,ymin,xmax,ymax"]
    for n in range(4):
        put(tmp_path, f"train/{n}.jpg")
        rows.append(f"{n}.jpg,64,48,square,10,10,30,30")
    (tmp_path / "train_labels.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=r"holds boxes \(xmax, xmin, ymax, ymin\)"):
        list_folder(tmp_path)


def test_a_contests_form_and_a_table_that_says_what_folders_say_are_put_aside(tmp_path):
    members = [f"{name}/{n}{name}.jpg" for name in ("big_cat", "dog") for n in range(4)]
    put(tmp_path, *members)
    (tmp_path / "sample_submission.csv").write_text("id,guess\n0dog,cat\n1dog,cat\n")
    rows = [f"{m.split('/')[1]},{m.split('/')[0].replace('_', ' ').title()}" for m in members]
    (tmp_path / "all.csv").write_text("\n".join(["name,animal", *rows]) + "\n")
    listing = list_folder(tmp_path)
    assert listing.classes == ("big_cat", "dog")
    assert len(listing.notes) == 2


def test_a_name_that_may_mean_two_images_is_refused(tmp_path):
    put(tmp_path, "a/1.jpg", "b/1.jpg", "a/2.jpg")
    (tmp_path / "labels.csv").write_text("path,label\n1.jpg,x\n2.jpg,y\n")
    with pytest.raises(DataError, match=r"line 2: 1\.jpg may mean a/1\.jpg or b/1\.jpg"):
        list_folder(tmp_path)


def test_a_row_that_stands_there_twice_counts_once_and_is_told(tmp_path):
    put(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "labels.csv").write_text("path,label\n1.jpg,x\n1.jpg,x\n2.jpg,y\n")
    listing = list_folder(tmp_path)
    assert len(listing) == 2
    assert "1 rows say again" in " ".join(listing.notes)
    require_whole(listing, tmp_path)


def test_a_table_of_pairs_of_images_is_no_table_of_labels(tmp_path):
    put(tmp_path, *(f"{name}/{n}.jpg" for name in ("ann", "bob") for n in range(4)))
    rows = [f"ann/{n}.jpg,bob/{n}.jpg,0\nann/{n}.jpg,ann/{(n + 1) % 4}.jpg,1" for n in range(4)]
    (tmp_path / "pairs.csv").write_text("\n".join(["a,b,same", *rows]) + "\n")
    assert list_folder(tmp_path).classes == ("ann", "bob")
