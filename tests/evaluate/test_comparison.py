"""Which of several networks is best, and whether another could be."""

import csv

import numpy as np
import pytest

from vislab.evaluate.comparison import compare, verdict
from vislab.lab.bench import Lab
from vislab.runs.folder import RunFolder
from vislab.tasks.classify import Classified
from vislab.tasks.outcome import Outcome

TABLE = "tables/networks-compared.csv"


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


def outcome(correct):
    """Answers that are right where they are told to be."""
    correct = np.asarray(correct, dtype=bool)
    return Classified("accuracy", values={"accuracy": correct}, count=len(correct))


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
    assert [row[:2] for row in rows(lab)] == [["b", "0.875"], ["c", "0.75"], ["a", "0.5"]]


def test_of_two_that_are_as_good_the_first_that_was_named_wins(lab):
    assert compare(lab, {"z": right((0, 20)), "a": right((20, 40))}) == "z"


def test_a_pair_is_compared_by_hand(lab):
    """20 both right; 1 only the loser, 9 only the winner: p = 22 / 1024 = 0.0215."""
    compare(lab, {"loser": right((0, 21)), "winner": right((0, 20), (21, 30))})
    winner, loser = rows(lab)
    assert winner[:2] == ["winner", "0.725"]
    assert [float(cell) for cell in winner[2:4]] == pytest.approx([0.561, 0.854], abs=5e-4)
    assert winner[4:] == [""] * 4
    # The exact intervals of 29 and of 21 in 40; (29 - 21) / 40 = 20 points.
    name, *numbers = loser[0], *(float(cell) for cell in loser[1:])
    assert (name, numbers[0]) == ("loser", 0.525)
    assert numbers[1:4] == pytest.approx([0.361, 0.685, 0.2], abs=5e-4)
    # With one more of each, 10 and 2 of 42: (10 − 2) / 42 ± 1.96 · √(12/42 − (8/42)²) / √42.
    half = 1.96 * ((12 / 42 - (8 / 42) ** 2) / 42) ** 0.5
    assert numbers[4:6] == pytest.approx([8 / 42 - half, 8 / 42 + half], abs=1e-4)
    assert numbers[6] == pytest.approx(22 / 1024)
    (note,) = lab.run.result.notes
    assert note.startswith("winner came out best, by more than 40 test images explain by chance")


def test_of_several_every_chance_is_multiplied_by_their_number(lab):
    """The same pair: 2 · 0.0215 is still sure, 3 · 0.0215 no longer."""
    pair = {"loser": right((0, 21)), "winner": right((0, 20), (21, 30))}
    far = right((0, 2))
    compare(lab, {**pair, "bad": far})
    assert float(rows(lab)[1][7]) == pytest.approx(44 / 1024)
    assert "by more than" in lab.run.result.notes[0]
    compare(lab, {**pair, "bad": far, "worse": right((0, 1))})
    assert float(rows(lab)[1][7]) == pytest.approx(66 / 1024)
    assert (
        "winner came out best, but loser could be as good: on 40 images"
        in (lab.run.result.notes[1])
    )


def test_no_chance_is_above_one(lab):
    same = right((0, 20))
    compare(lab, {"a": same, "b": same, "c": right((1, 20))})
    assert [row[7] for row in rows(lab)] == ["", "1.0", "1.0"]
    assert [row[4] for row in rows(lab)] == ["", "0.0", "0.025"]
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
    compare(lab, {"a": right((0, 10)), "b": right((0, 20))}, what="trainings", trivial=0.25)
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
    assert alone.startswith("a came out best, by more than 100 test images explain by chance.")
    assert among.startswith("a came out best, but b or c could be as good: on 100 images")
    for text in (alone, among):
        assert text.endswith("--seeds 3 shows by how much.")


def of_dice(values):
    return Outcome("dice", values={"dice": np.array(values)}, count=len(values))


def test_what_is_no_share_is_compared_by_its_paired_interval(lab):
    low, high = [0.2, 0.3, 0.4] * 4, [0.5, 0.7, 0.9] * 4
    compare(lab, {"worse": of_dice(low), "best": of_dice(high)})
    best, worse = rows(lab)
    assert (best[0], float(best[1])) == ("best", pytest.approx(0.7))
    assert float(worse[4]) == pytest.approx(0.4)
    assert 0.3 <= float(worse[5]) <= 0.4 <= float(worse[6]) <= 0.5
    assert float(worse[7]) == pytest.approx(2 / 2**12), "all of one sign"
    assert "by more than 12 test images" in lab.run.result.notes[0]
    compare(lab, {"worse": of_dice(low[:3]), "best": of_dice(high[:3])})
    assert "best came out best, but worse could be as good: on 3 images" in lab.run.result.notes[1]


def test_a_difference_whose_interval_holds_zero_is_no_difference(lab):
    compare(lab, {"a": of_dice([0.1, 0.9, 0.5]), "b": of_dice([0.9, 0.1, 0.6])})
    assert "b came out best, but a could be as good" in lab.run.result.notes[0]


def test_scores_of_the_whole_set_stand_side_by_side_without_a_verdict(lab):
    detectors = {
        name: Outcome("map50", whole={"map50": (value, (value - 0.1, value + 0.1))}, count=9)
        for name, value in (("a", 0.4), ("b", 0.6))
    }
    assert compare(lab, detectors) == "b"
    assert [row[:2] for row in rows(lab)] == [["b", "0.6"], ["a", "0.4"]]
    assert float(rows(lab)[1][4]) == pytest.approx(0.2)
    assert lab.run.result.notes == []
