"""Readable names for WordNet numbers."""

import pytest

from vislab.data.loaders.synsets import class_names
from vislab.errors import DataError


def test_classes_that_share_a_name_stay_apart():
    lines = ["n1\tcrane, bird", "n2 crane", "n3\tcrate, box"]
    assert class_names(["n2", "n3", "n1"], lines) == ("crane (n2)", "crate", "crane (n1)")
    with pytest.raises(DataError, match="lacks 1, the first is n7"):
        class_names(["n1", "n7"], lines)
