"""Which of several networks is best, and whether another could be."""

import csv

import numpy as np
import pytest

from vislab.evaluate.classification import Outcome
from vislab.evaluate.comparison import compare, verdict
from vislab.lab.bench import Lab
from vislab.runs.folder import RunFolder

TABLE = "tables/networks-compared.csv"


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


def outcome(correct, classes=4):
    """Answers that are right where they are told to be, of pictures of class 0."""
    correct = np.asarray(correct, dtype=bool)
    predicted = np.where(correct, 0, 1)
    return Outcome(np.eye(classes)[predicted], np.zeros(len(correct)), np.zeros(len(correct), int))


def right(*ranges, of=40):
    correct = np.zeros(of, dtype=bool)
    for start, end in ranges:
        correct[start:end] = True
    return outcome(correct)


def rows(lab):
    with (lab.run.path / TABLE).open() as file:
        return [list(row.values()) for row in csv.DictReader(file)]


def test_outcomes_are_what_they_were_told():
    assert right((0, 10), (30, 32)).correct.sum() == 12
    assert right((0, 10)).accuracy == 0.25


def test_the_most_accurate_wins_and_all_are_ranked(lab):
    best = compare(lab, {"a": right((0, 20)), "b": right((0, 35)), "c": right((0, 30))})
    assert best == "b"
    assert [row[:2] for row in rows(lab)] == [["b", "87.5%"], ["c", "75.0%"], ["a", "50.0%"]]


def test_of_two_that_are_as_good_the_first_that_was_named_wins(lab):
    assert compare(lab, {"z": right((0, 20)), "a": right((20, 40))}) == "z"


def test_a_pair_is_compared_by_hand(lab):
    """20 both right; 1 only the loser, 9 only the winner: p = 22 / 1024 = 0.0215."""
    compare(lab, {"loser": right((0, 21)), "winner": right((0, 20), (21, 30))})
    winner, loser = rows(lab)
    assert winner == ["winner", "72.5%", "57.2% to 83.9%", "", "", ""]
    # Wilson's interval of 21 in 40; (29 - 21) / 40 = 20 points.
    assert loser[:4] == ["loser", "52.5%", "37.5% to 67.1%", "+20.0"]
    low, high = (float(part) for part in loser[4].split(" to "))
    # One picture is −1, nine are +1: the deviation of the mean is √(10/40 − 0.2²) / √40 = 7.2 %.
    assert low == pytest.approx(20 - 1.96 * 7.245, abs=2)
    assert high == pytest.approx(20 + 1.96 * 7.245, abs=2)
    assert loser[5] == "0.021"
    (note,) = lab.run.result.notes
    assert note.startswith("winner came out best, by more than 40 test pictures explain by chance")


def test_of_several_every_chance_is_multiplied_by_their_number(lab):
    """The same pair: 2 · 0.0215 is still sure, 3 · 0.0215 no longer."""
    pair = {"loser": right((0, 21)), "winner": right((0, 20), (21, 30))}
    far = right((0, 2))
    compare(lab, {**pair, "bad": far})
    assert rows(lab)[1][5] == "0.043"
    assert "by more than" in lab.run.result.notes[0]
    compare(lab, {**pair, "bad": far, "worse": right((0, 1))})
    assert rows(lab)[1][5] == "0.064"
    assert (
        "winner came out best, but loser could be as good: on 40 pictures"
        in (lab.run.result.notes[1])
    )


def test_no_chance_is_above_one(lab):
    same = right((0, 20))
    compare(lab, {"a": same, "b": same, "c": right((1, 20))})
    assert [row[5] for row in rows(lab)] == ["", "1", "1"]
    assert [row[3] for row in rows(lab)] == ["", "+0.0", "+2.5"]
    assert "a came out best, but b or c could be as good" in lab.run.result.notes[0]


def test_one_alone_is_shown_and_not_compared(lab):
    assert compare(lab, {"only": right((0, 20))}) == "only"
    assert len(rows(lab)) == 1
    assert not lab.run.result.notes


def test_table_and_figure_are_filed_under_what_is_compared(lab, monkeypatch):
    shown = {}
    monkeypatch.setattr(
        "vislab.evaluate.comparison.figures.bars",
        lambda names, values, **named: shown.update(names=names, values=values, **named),
    )
    monkeypatch.setattr(lab, "show", lambda title, _figure, **_: shown.update(title=title))
    compare(lab, {"a": right((0, 10)), "b": right((0, 20))}, what="trainings")
    assert (lab.run.path / "tables/trainings-compared.csv").exists()
    assert shown["title"] == "trainings compared"
    assert (shown["names"], shown["values"]) == (["b", "a"], [0.5, 0.25])
    assert shown["chance"] == 1 / 4
    assert [low < value < high for value, (low, high) in zip(
        shown["values"], shown["intervals"], strict=True
    )] == [True, True]  # fmt: skip


def test_the_figure_is_drawn(lab):
    compare(lab, {"a": right((0, 10)), "b": right((0, 20))})
    assert (lab.run.path / "figures/networks-compared.png").stat().st_size > 1000


def test_a_verdict_names_every_rival_and_says_that_it_is_one_training():
    alone, among = verdict("a", [], 100), verdict("a", ["b", "c"], 100)
    assert alone.startswith("a came out best, by more than 100 test pictures explain by chance.")
    assert among.startswith("a came out best, but b or c could be as good: on 100 pictures")
    for text in (alone, among):
        assert text.endswith("--seeds 3 shows by how much.")
