"""Every layout that the page on one's own images lists becomes what it says there."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.layouts import LAYOUTS, table
from vislab.data.annotations import require_sound
from vislab.data.folders import list_folder, require_whole
from vislab.data.formats import read_annotated, recognise
from vislab.errors import DataError

PAGE = Path(__file__).parents[2] / "docs" / "images.md"


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.shown)
def test_a_layout_becomes_what_the_page_says(layout, tmp_path):
    layout.write(tmp_path)
    if layout.refused:
        with pytest.raises(DataError, match=layout.refused):
            require_whole(list_folder(tmp_path), tmp_path)
        return
    if layout.kind == "classes":
        assert recognise(tmp_path) is None
        found = list_folder(tmp_path)
        require_whole(found, tmp_path)
    else:
        found = require_sound(read_annotated(tmp_path), skip_bad=False)
    assert found.classes == layout.classes
    assert found.official == any(layout.counts)
    if any(layout.counts):
        assert tuple(np.bincount(found.splits, minlength=3)) == layout.counts


def test_the_page_lists_them_all():
    assert table() in PAGE.read_text(encoding="utf-8"), "write tests.data.layouts.table() there"
