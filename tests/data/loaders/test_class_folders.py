"""A zip of class folders."""

from tests.data.loaders.small_sets import put, rows, zipped
from vislab.data.loaders import class_folders


def test_class_folders_are_read_from_the_zip_as_it_came(tmp_path):
    put(
        tmp_path / "2750",
        *(f"{kind}/{kind}_{n}.jpg" for kind in ("Forest", "River") for n in range(9)),
    )
    zipped(tmp_path / "2750", tmp_path / "EuroSAT.zip")
    read = class_folders.listing(tmp_path)
    assert read.classes == ("Forest", "River")
    assert len(rows(read)) == 18
    assert not read.official
