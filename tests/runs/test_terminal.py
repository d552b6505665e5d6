"""Names that a terminal would act on, on their way to it."""

import pytest

from vislab.cli.main import main
from vislab.runs.folder import RunFolder
from vislab.runs.notebook import Notebook
from vislab.runs.terminal import harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\rb\x07\x9b", r"a\rb\x07\x9b"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("\udcff", r"\udcff"),
        ("tab\tnew\nline, größer, 猫 🐈 −1 %", "tab\tnew\nline, größer, 猫 🐈 −1 %"),
    ],
)
def test_what_acts_is_written_out_and_all_else_is_as_it_was(text, shown):
    assert harmless(text) == shown


def test_names_with_escapes_come_to_the_terminal_as_text(tmp_path, capfd):
    run = RunFolder.create(tmp_path / "run\x1b[31m", "one", {})
    Notebook(run).say("class \x1b]0;title\x07")
    assert main(["compare", str(run.path), str(run.path)]) == 1
    assert main(["run", "--resume", str(tmp_path / "no\x1b[31m")]) == 1
    out, err = capfd.readouterr()
    assert "\x1b" not in out + err
    assert r"class \x1b]0;title\x07" in out
    assert err.count(r"\x1b[31m") >= 2
