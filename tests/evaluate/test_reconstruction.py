"""Networks that answer with pictures, tested: closed forms of what they score."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.lab.small_recipe import few_pictures
from tests.lab.undrawn import draw_nothing
from vislab import data, models, tasks
from vislab.evaluate.reconstruction import (
    ALIKE,
    Repainted,
    colour_shares,
    compare_repainted,
    greyed,
    judge_repainting,
    repainted,
)
from vislab.lab.bench import Lab
from vislab.models.colorizer import Colorizer
from vislab.ops.colour import rgb_to_lab
from vislab.runs.folder import RunFolder

CPU = torch.device("cpu")


class Same(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return images * self.one


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return data.pictures(str(few_pictures(tmp_path_factory.mktemp("few") / "pictures")), size=16)


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


def reconstruction(few, noise=0.0):
    return tasks.Reconstruct(Same(), deviation=few.normalisation[1], noise=noise)


def test_the_picture_itself_scores_as_alike(few):
    found = repainted(reconstruction(few), few, "test", device=CPU, quiet=True)
    assert (found.psnr == ALIKE).all()
    np.testing.assert_array_equal(found.made, found.true)
    np.testing.assert_array_equal(found.colourfulness, found.colourfulness_true)


def test_what_is_shown_is_pictures_of_the_split(few):
    found = repainted(reconstruction(few), few, "test", device=CPU, quiet=True)
    side = few.split("test")
    assert len(found.psnr) == len(side) == 15
    chosen = [0, 4, 7, 10, 14]  # evenly, from first to last
    wide = np.abs(found.true.astype(int) - side.take(np.array(chosen)).astype(int))
    assert wide.max() <= 1


def test_noise_of_a_tenth_leaves_twenty_decibels_before_the_network(few):
    # Mean square error 0.01, a little less where pixels are clamped to their range.
    found = repainted(reconstruction(few, 0.1), few, "test", device=CPU, quiet=True)
    assert 20 < found.psnr_before.mean() < 21
    np.testing.assert_array_equal(found.psnr, found.psnr_before)
    again = repainted(reconstruction(few, 0.1), few, "test", device=CPU, quiet=True)
    np.testing.assert_array_equal(found.psnr, again.psnr)


def test_grey_keeps_the_lightness_and_has_no_colour(rng):
    pixels = torch.rand(3, 3, 5, 7, generator=rng)
    grey = greyed(pixels)
    assert (grey.amax(dim=1) - grey.amin(dim=1)).max() < 1e-3
    assert (rgb_to_lab(grey)[:, 0] - rgb_to_lab(pixels)[:, 0]).abs().max() < 0.1


def test_a_colorizer_without_colours_paints_what_it_was_given(few, lab, monkeypatch):
    draw_nothing(monkeypatch)
    network = Colorizer(classes=2, width=4)
    monkeypatch.setattr(
        network, "colours", lambda answer: torch.zeros(len(answer), 2, *answer.shape[2:])
    )
    mean, deviation = few.normalisation
    found = judge_repainting(lab, tasks.Colorize(network, mean=mean, deviation=deviation), few)
    np.testing.assert_allclose(found.psnr, found.psnr_before, rtol=1e-4)
    assert found.colourfulness.max() < 0.01 * found.colourfulness_true.min()
    metrics = lab.run.result.metrics
    assert metrics["test/psnr"] == pytest.approx(found.psnr.mean())
    assert metrics["test/colourfulness"] == pytest.approx(found.colourfulness.mean())


def test_of_a_reconstruction_no_colourfulness_is_recorded(few, lab, monkeypatch):
    draw_nothing(monkeypatch)
    judge_repainting(lab, reconstruction(few), few, name="same")
    assert lab.run.result.metrics == {"same/test/psnr": ALIKE}


def test_grey_pictures_share_the_bin_of_no_colour(tmp_path):
    for side in ("train", "test"):
        (tmp_path / side / "grey").mkdir(parents=True)
        for number, value in enumerate((20, 120, 220)):
            Image.new("RGB", (16, 16), (value, value, value)).save(
                tmp_path / side / "grey" / f"{number}.png"
            )
    pictures = data.pictures(str(tmp_path), size=16, labelled=False)
    network = models.create("colorizer", classes=len(models.colorizer.colour_bins()), width=4)
    shares = colour_shares(network, pictures)
    assert shares.sum() == pytest.approx(1.0)
    (there,) = torch.nonzero(shares).T
    assert there.tolist() == [int(network.get_buffer("bins").square().sum(dim=1).argmin())]


def of_psnr(values):
    values, none = np.array(values, dtype=np.float32), np.zeros((0, 4, 4, 3), dtype=np.uint8)
    ones = np.ones_like(values)
    return Repainted(values, ones, 2 * ones, 30 * ones, none, none, none)


def test_the_table_says_how_far_each_is_behind_the_best(lab, monkeypatch):
    draw_nothing(monkeypatch)
    compare_repainted(lab, {"worse": of_psnr([20, 21]), "best": of_psnr([22, 24])})
    columns, rows = lab.run.table("networks compared")
    cells = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    assert list(cells) == ["worse", "best"]
    assert cells["worse"]["behind"] == "2.50"
    assert cells["worse"]["95 % interval of that"] == "2.00 to 3.00"
    assert cells["best"]["behind"] == cells["best"]["95 % interval of that"] == ""
    assert cells["best"]["PSNR, dB"] == "23.00"
