"""The cards: complete, true to each other, quick to read, and helpful when files are missing."""

import re
import subprocess
import sys

import pytest

from vislab.data import catalogue
from vislab.data.catalogue import Card, File
from vislab.data.loaders import GENERATED, READERS
from vislab.errors import UnknownName

EXPECTED = {
    "cifar10",
    "cifar100",
    "coco",
    "digits",
    "eurosat",
    "fashion-mnist",
    "flowers102",
    "imagenet",
    "isic2017",
    "lfw",
    "mnist",
    "omniglot",
    "pets",
    "shapes",
    "stanford-cars",
    "tiny-imagenet",
    "voc2007",
}
ALL = sorted(EXPECTED)


@pytest.fixture(autouse=True)
def _own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("VISLAB_HOME", str(tmp_path))


def some(**changed):
    told = {
        **dict.fromkeys(("title", "what", "task", "size", "expect", "owner", "terms"), ""),
        **dict.fromkeys(("homepage", "paper"), ""),
        **{"name": "some", "classes": 2, "splits": {}, "year": 2000},
    }
    return Card(**{**told, **changed})


def test_every_set_has_a_card_and_there_is_no_other():
    assert set(catalogue.names()) == EXPECTED
    assert list(catalogue.names()) == ALL


@pytest.mark.parametrize("name", ALL)
def test_a_card_says_what_a_newcomer_asks(name):
    card = catalogue.card(name)
    assert card.name == name
    for told in (card.title, card.what, card.task, card.size, card.expect, card.owner, card.terms):
        assert told.strip()
    assert 2 <= len(re.findall(r"[.?](?:\s|$)", card.what)) <= 3, "two or three sentences"
    assert card.homepage.startswith(("http://", "https://"))
    assert 1990 <= card.year <= 2026
    assert card.paper
    assert set(card.splits) <= {"train", "val", "test"}
    assert card.splits or card.split_note, "where there is no official split the card says so"
    assert card.offline or card.files


@pytest.mark.parametrize("name", ALL)
def test_no_card_claims_a_loader_that_does_not_exist(name):
    card = catalogue.card(name)
    assert card.loader in {"", *READERS, *GENERATED}
    if card.task == "classification":
        assert card.loader


@pytest.mark.parametrize("name", ALL)
def test_chance_is_one_class_of_all_and_majority_is_no_less(name):
    card = catalogue.card(name)
    if card.task.startswith("classification"):
        assert card.chance == pytest.approx(1 / card.classes, rel=1e-3)
    if card.majority is not None:
        assert card.chance - 1e-6 <= card.majority < 1
    assert not card.class_names or len(set(card.class_names)) == card.classes


@pytest.mark.parametrize("name", ALL)
def test_every_file_has_a_checksum_of_the_right_form_or_the_card_says_why_not(name):
    card = catalogue.card(name)
    assert len({file.name for file in card.files}) == len(card.files)
    for file in card.files:
        assert "/" not in file.name
        assert file.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", file.sha256)
        assert file.md5 is None or re.fullmatch(r"[0-9a-f]{32}", file.md5)
        assert file.sha256 or card.checksum_note
        assert all(url.startswith(("http://", "https://")) for url in file.urls)
        assert file.urls or card.manual
        assert file.gives or not file.unpack, "what comes out must have a name"
    digests = [file.sha256 for file in card.files if file.sha256]
    assert len(set(digests)) == len(digests), "a checksum was copied to two files"


def test_facts_that_a_slip_would_change():
    assert catalogue.card("lfw").majority == pytest.approx(10263 / 13224, abs=1e-3)
    assert catalogue.card("flowers102").splits == {"train": 1020, "val": 1020, "test": 6149}
    assert sum(catalogue.card("stanford-cars").splits.values()) == 16185
    assert sum(catalogue.card("omniglot").splits.values()) == 1623 * 20
    assert sum(catalogue.card("voc2007").splits.values()) == 9963
    assert catalogue.card("mnist").majority == 1135 / 10000  # the ones of the test images
    names = catalogue.card("flowers102").class_names
    assert (names[0], names[50], names[101]) == ("pink primrose", "petunia", "blackberry lily")
    assert catalogue.card("cifar10").download_bytes == 170_052_171
    assert catalogue.card("isic2017").download_bytes is None


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UnknownName, match="Did you mean 'cifar10'"):
        catalogue.card("cifar-10")
    with pytest.raises(UnknownName):
        catalogue.folder("../../etc")


def test_the_catalogue_needs_neither_torch_nor_numpy():
    program = (
        "import sys; from vislab.data import catalogue; "
        "[catalogue.is_here(name) for name in catalogue.names()]; "
        "print([name for name in ('torch', 'numpy', 'scipy', 'rich') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.stdout.strip() == "[]", said.stderr


def test_a_set_is_here_when_every_file_has_its_size(tmp_path):
    folder = catalogue.folder("mnist")
    assert folder == tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    assert not catalogue.is_here("mnist")
    for file in catalogue.card("mnist").files:
        assert not catalogue.is_here("mnist")
        with (folder / file.name).open("wb") as out:
            out.truncate(file.bytes)
    assert catalogue.is_here("mnist")
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(b"cut short")
    assert not catalogue.is_here("mnist")


def test_an_archive_alone_is_not_here_until_it_is_unpacked():
    folder = catalogue.folder("cifar10")
    folder.mkdir(parents=True)
    with (folder / "cifar-10-binary.tar.gz").open("wb") as out:
        out.truncate(170_052_171)
    assert not catalogue.is_here("cifar10")
    (folder / "cifar-10-batches-bin").mkdir()
    (folder / "cifar-10-binary.tar.gz").unlink()  # to save room
    assert catalogue.is_here("cifar10")


def test_a_marker_without_the_files_does_not_count():
    folder = catalogue.folder("mnist")
    folder.mkdir(parents=True)
    (folder / catalogue.MARKER).touch()
    assert not catalogue.is_here("mnist")


def test_offline_sets_are_always_here():
    assert [name for name in ALL if catalogue.is_here(name)] == ["digits", "shapes"]


def test_what_is_missing_is_named_with_source_and_place(tmp_path):
    card = some(
        files=(
            File(name="a.zip", urls=("http://x/a.zip", "http://y/a.zip"), bytes=2_500_000),
            File(name="b.tgz", urls=("http://x/b.tgz",), unpack=True, gives="b"),
            File(name="here.mat", urls=("http://x/here.mat",)),
        )
    )
    (tmp_path / "here.mat").touch()
    said = catalogue.missing_message(card, tmp_path)
    assert f"a.zip (2.5 MB) from http://x/a.zip or http://y/a.zip to {tmp_path / 'a.zip'}" in said
    assert f"http://x/b.tgz to {tmp_path / 'b.tgz'}, or unpacked to {tmp_path / 'b'}" in said
    assert "vislab data get some" in said
    assert "here.mat" not in said


def test_a_manual_set_says_what_to_do_instead_of_offering_a_download():
    folder = catalogue.folder("imagenet")
    said = catalogue.missing_message(catalogue.card("imagenet"), folder)
    assert "account" in said
    assert f"{folder}/train/n01440764" in said
    assert "FOLDER" not in said
    assert "vislab data get" not in said
    assert f"ILSVRC2012_img_val.tar (6.7 GB) unpacked to {folder / 'val'}" in said
