"""Checkerboards of the five ways of growing maps."""

import pytest

from tests.lab.undrawn import draw_nothing
from vislab import data, models
from vislab.evaluate.checkerboards import show_checkerboards
from vislab.lab.bench import Lab
from vislab.runs.folder import RunFolder

WAYS = ("index-unpooling", "nearest", "bilinear", "fixed-unpooling", "transposed")


def test_ways_that_leave_holes_score_far_above_those_that_fill_them(tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    lab = Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)
    images = data.annotated("shapes:easy", wanted="masks", size=20, limit=5)
    networks = {
        way: models.create("segnet", classes=3, way=way, width=4, convolutions=[1, 1])
        for way in WAYS
    }
    for network in networks.values():
        network.train()
    show_checkerboards(lab, networks, images)
    columns, rows = lab.run.table("checkerboards")
    once = {row[0]: float(row[columns.index("a smooth map, grown once")]) for row in rows}
    assert list(once) == list(WAYS)
    for holes in ("index-unpooling", "fixed-unpooling"):
        for filled in ("nearest", "bilinear"):
            assert once[holes] > 0.3 > 0.1 > once[filled]
    for way in WAYS:
        mean = lab.run.result.metrics[f"{way}/checkerboard"]
        low, high = lab.run.result.intervals[f"{way}/checkerboard"]
        assert 0 <= low <= mean <= high <= 1
        row = rows[WAYS.index(way)]
        told = [float(row[columns.index(f"trained answers{of}")]) for of in ("", " low", " high")]
        assert told == [mean, low, high]
    assert all(network.training for network in networks.values())


def test_networks_are_asked_about_the_same_test_images(tmp_path, monkeypatch):
    draw_nothing(monkeypatch)
    lab = Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)
    images = data.annotated("shapes:easy", wanted="masks", size=20, limit=5)
    one = models.create("segnet", classes=3, way="nearest", width=4, convolutions=[1])
    show_checkerboards(lab, {"a": one, "b": one}, images)
    found = lab.run.result.metrics
    assert found["a/checkerboard"] == pytest.approx(found["b/checkerboard"], abs=0)
