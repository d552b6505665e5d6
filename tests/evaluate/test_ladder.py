"""What each step of a ladder is worth, over several rows."""

import numpy as np
import pytest

from vislab.evaluate.ladder import gains_of, show_ladder
from vislab.lab.bench import Lab
from vislab.runs import figures
from vislab.runs.folder import RunFolder
from vislab.tasks.outcome import Outcome

RUNGS = ("none", "flip", "crop")


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


def climb(*rungs, score="accuracy"):
    """Outcomes of a row, a string of 0 and 1 a rung: an image each."""
    right = [np.array([sign == "1" for sign in rung]) for rung in rungs]
    return [Outcome(score, values={score: column}, count=len(column)) for column in right]


ROWS = {
    "plain": climb("10000", "11000", "11110"),
    "deep": climb("00000", "01100", "01000"),
}  # right: 1, 2, 4 of five, and 0, 2, 1


def test_gains_by_hand():
    """(1 + 2) / 10, then (2 - 1) / 10; together 4 / 10."""
    gains = {name: gain for name, (gain, _) in gains_of(RUNGS, ROWS).items()}
    assert gains == pytest.approx({"flip": 0.3, "crop": 0.1, "whole ladder": 0.4})


def test_the_gains_of_the_rungs_add_up_to_that_of_the_ladder():
    draws = np.random.default_rng(0)
    rows = {
        name: climb(*("".join(draws.choice(["0", "1"], 17)) for _ in range(4))) for name in "abc"
    }
    *rungs, whole = [gain for gain, _ in gains_of(("w", "x", "y", "z"), rows).values()]
    assert len(rungs) == 3
    assert sum(rungs) == pytest.approx(whole)
    assert whole != 0


def test_images_are_drawn_again_with_all_rows_together():
    """One row loses the image that the other wins: no image changed, and chance has no say."""
    rows = {"a": climb("10110", "00110"), "b": climb("00101", "10101")}
    gains = gains_of(("low", "high"), rows)
    assert gains == {"high": (0.0, (0.0, 0.0)), "whole ladder": (0.0, (0.0, 0.0))}


def test_the_interval_is_that_of_the_mean_over_images():
    """60 of 100 images gain by one row of two: 0.3, its std √(0.6 · 0.4) / 2 / √100."""
    rows = {"a": climb("0" * 100, "1" * 60 + "0" * 40), "b": climb("1" * 100, "1" * 100)}
    gain, (low, high) = gains_of(("low", "high"), rows)["high"]
    assert gain == pytest.approx(0.3)
    assert (low, high) == pytest.approx((0.3 - 1.96 * 0.0245, 0.3 + 1.96 * 0.0245), abs=6e-3)


def test_scores_and_gains_are_filed_under_the_names_of_rows_and_rungs(lab, monkeypatch):
    drawn = {}
    for name in ("ladder", "bars"):
        draw = getattr(figures, name)

        def heard(*given, name=name, draw=draw, **options):
            drawn[name] = (*given, options)
            return draw(*given, **options)

        monkeypatch.setattr(figures, name, heard)
    gains = show_ladder(lab, RUNGS, ROWS, trivial=0.2)
    columns, rows = lab.run.table("test accuracy by network and rung")
    assert columns == ["network", *RUNGS]
    assert rows == [["plain", "0.2", "0.4", "0.8"], ["deep", "0.0", "0.4", "0.2"]]
    result = lab.run.result
    assert [one["title"] for one in result.figures] == [
        "accuracy by network and rung", "gain of each rung"
    ]  # fmt: skip
    assert result.metrics == {
        f"{name}: gain in accuracy": gain for name, (gain, _) in gains.items()
    }
    assert list(gains) == ["flip", "crop", "whole ladder"]
    assert result.intervals["crop: gain in accuracy"] == gains["crop"][1]
    rungs, series, options = drawn["ladder"]
    assert (rungs, options) == (RUNGS, {"chance": 0.2})
    assert [value for value, _ in series["plain"]] == pytest.approx([0.2, 0.4, 0.8])
    assert series["deep"][0][1][0] == 0 < series["deep"][0][1][1]
    assert drawn["bars"][0] == ["flip", "crop", "whole ladder"]


def test_another_score_and_another_kind_of_row_are_named_as_they_are(lab):
    show_ladder(lab, ("a", "b"), {"one": climb("01", "11", score="hit")}, what="encoder")
    columns, _ = lab.run.table("test hit by encoder and rung")
    assert columns == ["encoder", "a", "b"]
    assert lab.run.result.metrics["b: gain in hit"] == 0.5


def test_a_single_rung_gains_nothing(lab):
    assert show_ladder(lab, ("none",), {"plain": climb("101")}) == {}
    assert lab.run.result.metrics == {}
    assert [one["title"] for one in lab.run.result.figures] == ["accuracy by network and rung"]
