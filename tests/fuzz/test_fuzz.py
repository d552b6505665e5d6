"""Whatever stands in a file, it is read or refused in a sentence; benchmarks/fuzz.py tries more."""

import pytest

from tests.fuzz.inputs import KINDS

COUNT = {"image": 150, "annotated set": 40, "archive": 60}


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_input_is_read_or_refused(kind, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed in range(COUNT[kind]):
        folder = tmp_path / f"{seed}"
        folder.mkdir()
        try:
            KINDS[kind](seed, folder)
        except Exception as error:
            raise AssertionError(f"{kind} number {seed} ended in {error!r}") from error
    capsys.readouterr()
