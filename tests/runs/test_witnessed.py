import json
import math

import pytest

from vislab.errors import RunError
from vislab.runs.witnessed import read_witnessed, write_witnessed

KEPT = {"rate": 0.1, "tried": [["a", 1], ("b", math.nan)], "猫": {"x": True}}


def test_what_is_kept_is_read_back_as_json_has_it(tmp_path):
    write_witnessed(tmp_path / "a.json", KEPT)
    found = {"rate": 0.1, "tried": [["a", 1], ["b", None]], "猫": {"x": True}}
    assert read_witnessed(tmp_path / "a.json") == found


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(rate=0.2),
        lambda content: content["tried"].pop(),
        lambda content: content.update(more=1),
        lambda content: content.pop("rate"),
        lambda content: content.pop("sha256"),
        lambda content: content.update(sha256=None),
    ],
)
def test_what_was_changed_is_refused_with_the_way_out(tmp_path, change):
    path = tmp_path / "a.json"
    write_witnessed(path, KEPT)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"a\.json was changed .* delete the file"):
        read_witnessed(path)
    path.unlink()
    with pytest.raises(RunError, match="missing"):
        read_witnessed(path)
