"""Tables: numbers in full in the CSV, written for people in the report."""

import csv

import numpy as np
import pytest

from vislab.runs.folder import RunFolder
from vislab.runs.report import filed_table, report
from vislab.runs.tables import flat_rows, is_format, written

COLUMNS = ("network", ("accuracy", ".1%"), ("weights", ",d"), "note")
ROWS = [
    ("a", (1 / 3, (0.25, 0.5)), 1_234_567, None),
    ("b", (0.5, None), np.int64(12), "slow"),
]


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path / "run", "a test", {})


def test_the_csv_keeps_every_digit_and_bounds_have_columns_of_their_own(run):
    with run.add_table("networks", COLUMNS, ROWS).open() as file:
        head, first, second = csv.reader(file)
    assert head == ["network", "accuracy", "accuracy low", "accuracy high", "weights", "note"]
    assert first == ["a", repr(1 / 3), "0.25", "0.5", "1234567", ""]
    assert second == ["b", "0.5", "", "", "12", "slow"]


def test_the_report_writes_a_value_with_its_interval_in_one_cell(run):
    run.add_table("networks", COLUMNS, ROWS)
    page = filed_table(run, run.result.tables[0])
    assert [name for name, _ in page["columns"]] == ["network", "accuracy", "weights", "note"]
    cells = [[text for text, _ in row] for row in page["rows"]]
    assert cells[0] == ["a", "33.3\u202f% (25.0 to 50.0)", "1\u202f234\u202f567", ""]
    assert cells[1] == ["b", "50.0\u202f%", "12", "slow"]


def test_without_any_interval_there_are_no_bounds():
    columns, rows, spans = flat_rows(("a",), [[(1.0, None)], [2.0]])
    assert (columns, rows, spans) == (["a"], [[1.0], [2.0]], [])


def test_a_row_that_is_too_short_is_refused():
    with pytest.raises(ValueError, match=r"a row of 1 cells under 2 columns"):
        flat_rows(("a", "b"), [["x"]])


def test_what_is_no_number_is_an_empty_cell():
    assert flat_rows(("a", "b"), [[float("nan"), None]])[1] == [["", ""]]


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (-0.0123, "+.1%", "−1.2\u202f%"), (0.5, "+.1%", "+50.0\u202f%"), (2.0, ",d", "2"),
        (float("inf"), ".1f", "not finite"), (-3.14159, ".2f", "−3.14"),
    ],
)  # fmt: skip
def test_numbers_are_written_with_a_real_minus_and_thin_spaces(value, form, text):
    assert written(value, form) == text


CELLS = ["=1+1", "+a", "-b", "@c", "\td", "\re", "'=f", "''-g", "'h", "-1.5", "+3", "1e-3", "-", ""]


def test_what_a_spreadsheet_would_compute_is_kept_from_it_and_read_back_as_it_was(tmp_path):
    run = RunFolder.create(tmp_path / "run", "one", {})
    path = run.add_table("cells", ["=head", "number"], [(cell, -1.5) for cell in CELLS])
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["'=head", "number"]
    acting = [row[0] for row in rows if row[0][:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert acting == ["-1.5", "+3"], "numbers stay numbers"
    assert {row[1] for row in rows} == {"-1.5"}
    columns, read = run.table("cells")
    assert columns == ["=head", "number"]
    assert [row[0] for row in read] == CELLS
    run.save()
    assert ">=1+1<" in report(RunFolder.open(run.path)), "the report shows it as it is"


@pytest.mark.parametrize("form", [".1%", "+z.2f", ",d", ".3g", "", "5.1f"])
def test_a_format_that_is_used_here_is_one(form):
    assert is_format(form)


@pytest.mark.parametrize("form", ["999f", "zd", ".999f", "s", "x", "{}", ".1%%", 3, None])
def test_a_format_that_would_fail_or_fill_the_memory_is_none(form):
    assert not is_format(form)
