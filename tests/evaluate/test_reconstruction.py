"""Networks that answer with images, tested: closed forms of what they score."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.lab.small_recipe import few_images
from tests.lab.undrawn import draw_nothing
from vislab import data, models, tasks
from vislab.evaluate import run_test
from vislab.evaluate.reconstruction import colour_shares, sheet
from vislab.lab.bench import Lab
from vislab.metrics.colour import ALIKE
from vislab.models.colorizer import Colorizer
from vislab.ops.colour import rgb_to_lab
from vislab.runs.folder import RunFolder
from vislab.tasks.colorize import greyed

CPU = torch.device("cpu")


class Same(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, images):
        return images * self.one


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return data.images(str(few_images(tmp_path_factory.mktemp("few") / "images")), size=16)


@pytest.fixture
def lab(tmp_path):
    return Lab(RunFolder.create(tmp_path / "run", "a test", {}), quiet=True)


def reconstruction(few, noise=0.0):
    mean, std = few.normalisation
    return tasks.Reconstruct(Same(), mean=mean, std=std, noise=noise)


def run(task, few):
    return run_test(task, few, "test", device=CPU, quiet=True)


def test_the_image_itself_scores_as_alike(few):
    assert (run(reconstruction(few), few).values["psnr"] == ALIKE).all()


def test_what_is_shown_is_images_of_the_split(few):
    split = few.split("test")
    chosen = np.array([0, 4, 7, 10, 14])  # evenly, from first to last
    assert len(split) == 15
    given, made, true = sheet(reconstruction(few), few, chosen)
    np.testing.assert_array_equal(given, made)
    np.testing.assert_array_equal(made, true)
    assert np.abs(true.astype(int) - split.take(chosen).astype(int)).max() <= 1


def test_noise_of_a_tenth_leaves_twenty_decibels_before_the_network(few):
    # Mean square error 0.01, a little less where pixels are clamped to their range.
    found = run(reconstruction(few, 0.1), few)
    assert 20 < found.trivial["psnr"] < 21
    np.testing.assert_array_equal(found.values["psnr"], found.kept["psnr (trivial)"])
    again = run(reconstruction(few, 0.1), few)
    np.testing.assert_array_equal(found.values["psnr"], again.values["psnr"])
    assert found.gain_over_trivial() == (0.0, (0.0, 0.0))


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
    mean, std = few.normalisation
    found = lab.test(tasks.Colorize(network, mean=mean, std=std), few)
    psnr, colourfulness = found.values["psnr"], found.values["colourfulness"]
    np.testing.assert_allclose(psnr, found.kept["psnr (trivial)"], rtol=1e-4)
    assert colourfulness.max() < 0.01 * found.kept["colourfulness (truth)"].min()
    metrics, trivial = lab.run.result.metrics, lab.run.result.trivial
    assert metrics["test/psnr"] == pytest.approx(psnr.mean())
    assert metrics["test/colourfulness"] == pytest.approx(colourfulness.mean())
    assert trivial == {"test/psnr": pytest.approx(psnr.mean(), rel=1e-4)}


def test_of_a_reconstruction_no_colourfulness_is_recorded(few, lab, monkeypatch):
    draw_nothing(monkeypatch)
    lab.test(reconstruction(few), few, name="same")
    assert lab.run.result.metrics == {"same/test/psnr": ALIKE}


def test_grey_images_share_the_bin_of_no_colour(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split / "grey").mkdir(parents=True)
        for number, value in enumerate((20, 120, 220)):
            Image.new("RGB", (16, 16), (value, value, value)).save(
                tmp_path / split / "grey" / f"{number}.png"
            )
    images = data.images(str(tmp_path), size=16, labelled=False)
    network = models.create("colorizer", classes=len(models.colorizer.colour_bins()), width=4)
    shares = colour_shares(network, images)
    assert shares.sum() == pytest.approx(1.0)
    (there,) = torch.nonzero(shares).T
    assert there.tolist() == [int(network.get_buffer("bins").square().sum(dim=1).argmin())]
