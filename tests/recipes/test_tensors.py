"""The recipe of exercises: what it hands out, what it makes of a student's file, its interval."""

import itertools
import math
import re
import shutil

import numpy as np
import pytest
import torch

from vislab.errors import DataError, OptionError
from vislab.lab.running import execute
from vislab.ops.seeding import generator
from vislab.recipes.tensors import (
    Tensors,
    apart,
    median_interval,
    microseconds,
    read_answers,
    ready,
    template,
)
from vislab.runs.folder import RunFolder
from vislab.scratch.tensor_checks import Verdict, check
from vislab.scratch.tensor_exercises import EXERCISES


def run(folder, answers=None, **options):
    return execute(Tensors(answers=answers, repeats=1), "tensors", folder, quiet=True, **options)


@pytest.fixture(scope="module")
def handed_out(tmp_path_factory):
    """Return a run without answers."""
    return run(tmp_path_factory.mktemp("tensors") / "run")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "my answers.py"


def verdicts(done):
    _, rows = done.table("your answers")
    return {function: verdict for _, function, verdict in rows}


def test_without_answers_a_file_to_fill_in_is_handed_out(handed_out):
    source, found = read_answers(handed_out.path / "answers.py")
    assert source == template(EXERCISES)
    for exercise in EXERCISES:
        assert found[exercise.name].__doc__.startswith(exercise.task.splitlines()[0])
        assert check(exercise, found[exercise.name], generator("t"), repeats=0) == Verdict(
            "not written"
        )
    assert max(map(len, source.splitlines())) <= 100
    assert "exercises right" not in handed_out.result.metrics
    _, rows = handed_out.table("exercises")
    assert [row[1] for row in rows] == [exercise.name for exercise in EXERCISES]


def test_the_file_handed_out_is_checked_as_not_written(handed_out, tmp_path):
    done = run(tmp_path / "run", handed_out.path / "answers.py")
    assert set(verdicts(done).values()) == {"not written"}
    assert done.result.metrics["exercises right"] == 0


def test_every_exercise_and_every_loop_is_timed(handed_out):
    columns, rows = handed_out.table("times")
    assert columns[:5] == ["topic", "function", "loop, µs", "vectorised, µs", "times faster"]
    assert len(rows) == len(EXERCISES)
    for row in rows:
        loop, vectorised, faster = map(float, row[2:5])
        assert faster == loop / vectorised
    low, high = handed_out.result.intervals["median speed-up"]
    assert low <= handed_out.result.metrics["median speed-up"] <= high


def test_a_file_with_all_solutions_gets_everything_right(file, tmp_path):
    file.write_text(
        "from vislab.scratch.tensor_exercises import (\n    "
        + ",\n    ".join(exercise.name for exercise in EXERCISES)
        + ",\n)\n"
    )
    done = run(tmp_path / "run", file)
    assert done.result.metrics["exercises right"] == 1
    assert set(verdicts(done).values()) == {"right"}
    columns, rows = done.table("times")
    assert all(float(row[columns.index("yours, µs")]) > 0 for row in rows)
    assert (done.path / "answers.py").read_text() == file.read_text()


def test_each_answer_gets_its_own_verdict_and_only_right_ones_are_timed(file, tmp_path, capsys):
    file.write_text(
        "import torch\n"
        "def even_rows(x): return x[::2]\n"
        "def swap_halves(x): return x\n"
        "def differences(a, b): return a - b\n"
        "def halve(image): raise NotImplementedError\n"
    )
    done = execute(Tensors(answers=file, repeats=1), "tensors", tmp_path / "run")
    found = verdicts(done)
    assert found.pop("even_rows") == "right"
    assert re.match(r"wrong, on x of shape \(\d, \d\): at \[.*expected", found["swap_halves"])
    assert re.match(r"raises, on first of shape .*: RuntimeError", found["differences"])
    said = capsys.readouterr().out
    assert all(f"{name} {found.pop(name)}" in said for name in ("swap_halves", "differences"))
    assert set(found.values()) == {"not written"}
    assert len(found) == len(EXERCISES) - 3
    assert "1 of 18 exercises are right" in said
    assert done.result.metrics["exercises right"] == pytest.approx(1 / 18)
    columns, rows = done.table("times")
    assert [row[1] for row in rows if row[columns.index("yours, µs")]] == ["even_rows"]


def test_the_students_own_function_is_the_one_that_is_timed(file, tmp_path, monkeypatch):
    seen = []

    def instead(works, rounds):
        seen.append(works)
        return {who: [float(place)] for place, who in enumerate(works, start=1)}

    monkeypatch.setattr("vislab.recipes.tensors.microseconds", instead)
    file.write_text("def even_rows(x):\n    return x[::2]\n")
    done = run(tmp_path / "run", file)
    (works,) = (works for works in seen if "yours" in works)
    assert works["yours"].func.__code__.co_filename == str(file)
    rows = {row[1]: row[2:6] for row in done.table("times")[1]}
    assert rows["even_rows"] == ["1.0", "2.0", "3.0", "0.5"]
    assert rows["halve"] == ["1.0", "2.0", "", "0.5"]


def test_a_continued_run_keeps_what_was_filled_in(handed_out, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(handed_out.path, folder)
    (folder / "answers.py").write_text("# begun\n")
    run(folder, resume=True)
    assert (folder / "answers.py").read_text() == "# begun\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "def even_rows(x)\n    return x\n",
            r"my answers\.py, line 1, is not Python: expected ':'",
        ),
        (
            "x = 1\nraise ValueError('no\\nway')\n",
            r"py, line 2, cannot be run: ValueError: no; mend",
        ),
        ("import no_such_thing\n", r"line 1, cannot be run: ModuleNotFoundError: No module named"),
        ("raise SystemExit\n", r"line 1, cannot be run: SystemExit;"),
        ("x = '\0'\n", r"my answers\.py.* null bytes"),
        ("evn_rows = 1\n", r"has none of the functions .* without --answers"),
        ("", r"has none of the functions"),
    ],
)
def test_a_file_that_cannot_be_checked_is_told_so_in_one_sentence(file, tmp_path, text, sentence):
    file.write_text(text)
    with pytest.raises(DataError, match=sentence) as caught:
        run(tmp_path / "run", file)
    assert "\n" not in str(caught.value)
    assert RunFolder.open(tmp_path / "run").result.status == "failed"


def test_a_file_that_is_no_text_is_told_so(file):
    file.write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DataError, match=r"cannot be read as Python"):
        read_answers(file)


def test_an_edit_of_the_same_second_and_length_is_seen(file):
    for number in (1, 2):
        file.write_text(f"even_rows = {number}\n")
        assert read_answers(file)[1]["even_rows"] == number


@pytest.mark.parametrize("there", [False, True])
def test_no_file_of_answers_says_where_to_get_one(there, file, tmp_path):
    if there:
        file.mkdir()
    with pytest.raises(OptionError, match=r"no file of answers at .*without --answers to get one"):
        run(tmp_path / "run", file)


def test_no_repeats_are_refused(tmp_path):
    with pytest.raises(OptionError, match="--repeats 0 tries nothing; use 1 or more"):
        execute(Tensors(repeats=0), "tensors", tmp_path / "run", quiet=True)


def test_contenders_that_disagree_are_not_timed():
    exercise = next(one for one in EXERCISES if one.name == "swap_halves")
    with pytest.raises(AssertionError, match="wrong of swap_halves: at"):
        ready(exercise, {"loop": exercise.loop, "wrong": lambda x: x}, (torch.eye(2),))


def test_contenders_take_turns_and_are_timed_once_a_round():
    called = []
    works = {name: lambda name=name: called.append(name) for name in "ab"}
    taken = microseconds(works, 3)
    assert [len(times) for times in taken.values()] == [3, 3]
    turns = [name for name, _ in itertools.groupby(called)]
    assert turns == ["a", "b"] * 4  # once to warm up and to see how long a call takes


@pytest.mark.parametrize("count", [1, 2, 5, 6, 9, 18, 40])
def test_the_interval_of_a_median_is_the_narrowest_of_its_kind_that_is_safe(count):
    """Its miss is counted: of all 2^n ways to fall below or above the median."""
    low, high = median_interval([float(value) for value in reversed(range(count))])
    assert low == count - 1 - high
    k = int(low) + 1

    def miss(k):
        return 2 * sum(math.comb(count, below) for below in range(k)) / 2**count

    if count >= 6:
        assert miss(k) <= 0.05 < miss(k + 1)
    else:
        assert k == 1


def test_patches_are_laid_out_in_reading_order_with_white_between_them():
    patches = np.zeros((4, 3, 1, 1), dtype=np.uint8)
    patches[:, :, 0, 0] = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    sheet = apart(patches)
    assert sheet.shape == (4, 4, 3)
    assert sheet[0, 0].tolist() == [1, 2, 3]
    assert sheet[0, 3].tolist() == [4, 5, 6]
    assert sheet[3, 0].tolist() == [7, 8, 9]
    assert (sheet[1:3] == 255).all()
    assert (sheet[:, 1:3] == 255).all()
