"""Run folders whose files were damaged, or made by somebody else: a sentence, and no more."""

import json
import shutil
import time

import pytest
import torch

from tests.fuzz.runs import Little, finished, tampered
from vislab.errors import RunError
from vislab.inference.networks import network_of
from vislab.lab.knobs import restore
from vislab.lab.running import execute, read_conditions
from vislab.runs import figures
from vislab.runs.folder import RunFolder
from vislab.runs.report import report

MUTATIONS, SECONDS = 200, 12.0  # at most, whichever comes first


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return the folder of a finished run of few small files."""
    return finished(tmp_path_factory.mktemp("made") / "run")


def test_a_run_folder_that_was_tampered_with_is_opened_or_refused_in_a_sentence(
    made, tmp_path, monkeypatch
):
    # Drawing takes most of the time and sees numbers only.
    monkeypatch.setattr(figures, "curves", lambda *_, **__: None)
    monkeypatch.setattr(figures, "to_png", lambda _: b"drawn")
    monkeypatch.setattr("vislab.runs.environment.git_commit", lambda _: None)
    begun, count, refused = time.monotonic(), 0, 0
    while count < MUTATIONS and time.monotonic() - begun < SECONDS:
        folder = tmp_path / str(count)
        try:
            refused += tampered(count, made, folder)
        except Exception as error:
            raise AssertionError(f"mutation {count} of {folder}: {error!r}") from error
        shutil.rmtree(folder)
        count += 1
    assert count > 20
    assert refused > count / 10, "the mutations do no harm"


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("result.json", "[1]", r"result\.json is damaged \(it is \[1\], not an object\)"),
        ("result.json", '{"metrics": {"a": "b"}}', r"\(it\.metrics\.a is 'b'\)"),
        ("result.json", '{"metrics": {"a": NaN}}', r"\(nan is no number\)"),
        ("result.json", '{"seconds": ' + "9" * 400 + "}", r"\(a number in it is too large\)"),
        ("result.json", '{"status": "glorious"}', r"\(it\.status is 'glorious'\)"),
        ("result.json", '{"notes": ["\\ud800"]}', r"\(a text in it is no Unicode\)"),
        ("result.json", "[" * 100_000, r"result\.json is damaged"),
        ("result.json", '{"tables": [{"title": "a", "file": "a", "formats": {"a": "999f"}}]}',
         r"formats\.a is '999f'"),
        ("recipe.yaml", "- 1", r"recipe\.yaml is damaged \(it is \[1\], not an object\)"),
        ("recipe.yaml", "recipe: [a]\nformat: 2\noptions: {}", r"\(it\.recipe is \['a'\]\)"),
        ("recipe.yaml", "recipe: a\nformat: 2\noptions: {1: 2}", r"a name in it is no text"),
        ("recipe.yaml", "recipe: a\nformat: 2\noptions: &a {b: *a}", r"it holds too much"),
        ("recipe.yaml", "recipe: a\nformat: 2\noptions: {a: 2001-01-01}", r"date is no kind of"),
        ("recipe.yaml", b"\xff\xfe\x00", r"recipe\.yaml is damaged"),
        ("model.json", '{"built_as": 1}', r"\(it\.built_as is 1, not an object\)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(made, tmp_path, file, content, sentence):
    folder = tmp_path / "run"
    shutil.copytree(made, folder)
    (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RunError, match=sentence):
        network_of(RunFolder.open(folder))


def test_a_bomb_of_aliases_is_refused_before_it_goes_off(made, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(made, folder)
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 12))]
    options = "\n".join(f"  {line}" for line in lines)
    (folder / "recipe.yaml").write_text(f"recipe: a\nformat: 2\noptions:\n{options}\n")
    begun = time.monotonic()
    with pytest.raises(RunError, match="it holds too much"):
        RunFolder.open(folder)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"size": "large"}, "the option size is 'large'"),
        ({"size": True}, "the option size is True"),
        ({"size": float("nan")}, "the option size is nan"),
        ({"rates": 3}, "the option rates is 3"),
        ({"rates": ["a"]}, r"the option rates is \['a'\]"),
        ({"data": None}, "the option data is None"),
        ({"other": 1}, "has no option 'other'"),
    ],
)
def test_options_of_other_types_are_refused_by_name(values, sentence):
    assert restore(Little, {"rates": [1, 0.5]}) == Little(rates=(1, 0.5))
    with pytest.raises(RunError, match=sentence):
        restore(Little, values)


def test_conditions_of_other_types_are_refused_by_name():
    with pytest.raises(RunError, match=r"run\.seeds is 'x'"):
        read_conditions({"options": {"run": {"seeds": "x"}}})


def test_damaged_lines_of_the_log_are_counted_and_the_run_ends_well(made, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(made, folder)
    whole = (folder / "metrics.jsonl").read_bytes()
    damaged = [b"\xff", b'{"fit": "training", "ep', b"[1, 2]", b'{"step": "x"}', b'{"a": 1e999}']
    (folder / "metrics.jsonl").write_bytes(b"\n".join([*damaged, b"", whole]))
    run = RunFolder.open(folder)
    assert run.logged() == RunFolder.open(made).logged() != []
    assert "5 damaged lines of metrics.jsonl, cut short or no object, were left out." in report(run)
    assert "damaged line" not in report(RunFolder.open(made))
    run.forget_after("training", 0)
    assert (folder / "metrics.jsonl").read_bytes() == b""
    assert "5 damaged lines" in report(run), "what was counted is not forgotten with the lines"


def test_weights_that_are_not_finite_are_refused(made, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "run"
    shutil.copytree(made, folder)
    weights = load_file(folder / "model.safetensors")
    first = min(weights)
    weights[first].view(-1)[0] = torch.nan
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(RunError, match=f"are damaged: {first} is not finite"):
        network_of(RunFolder.open(folder))


def test_the_number_of_threads_of_a_damaged_environment_is_refused(made, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(made, folder)
    for threads in ("many", -1, 10**9, [1]):
        (folder / "environment.json").write_text(json.dumps({"threads": threads}))
        with pytest.raises(RunError, match=r"no run has .* threads; delete the file"):
            execute(Little(), "little", folder, resume=True, quiet=True)
