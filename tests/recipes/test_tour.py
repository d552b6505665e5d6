"""The tour: several recipes share one run, and must not share its names."""

from dataclasses import replace

import pytest

from tests.lab.undrawn import draw_nothing
from vislab.lab.running import execute
from vislab.models import efficientnet_lite
from vislab.recipes import tour
from vislab.recipes.detect_faster_rcnn import DetectFasterRcnn

SIZES = ("per_class", "limit", "size", "epochs", "batch", "width", "widths", "stride", "explained")


@pytest.fixture
def small(monkeypatch):
    """Each part as it is, in its smallest size."""
    parts = [
        replace(part, **{name: value for name, value in part.smoke.items() if name in SIZES})
        for part in tour.PARTS
    ]
    monkeypatch.setattr(tour, "PARTS", tuple(parts))
    draw_nothing(monkeypatch)


@pytest.mark.slow
def test_every_part_of_the_tour_trains_its_own_networks_and_shows_its_results(small, tmp_path):
    run = execute(tour.Tour(), "tour", tmp_path / "run", quiet=True)
    trained = [cost["name"] for cost in run.result.costs]
    assert len(trained) == len(set(trained))
    assert {"unet", "refined"} <= set(trained)
    assert {"unet/test/dice", "refined/test/map50"} <= set(run.result.metrics)


def test_without_pretrained_weights_the_tour_leaves_its_detector_out_and_says_so(
    small, tmp_path, monkeypatch
):
    monkeypatch.setattr(efficientnet_lite, "is_installed", lambda version=0: False)
    few = [part for part in tour.PARTS if isinstance(part, DetectFasterRcnn)]
    monkeypatch.setattr(tour, "PARTS", tuple(few))
    run = execute(tour.Tour(), "tour", tmp_path / "run", quiet=True)
    assert "refined/test/map50" not in run.result.metrics
    assert any("detector is left out" in note for note in run.result.notes)
