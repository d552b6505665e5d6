"""Masks, boxes and colours brought back to the pixels of the file: closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import vislab.inference.predicting  # noqa: F401  (registers the kinds)
from vislab.data.decode import fit_square, opened
from vislab.errors import DataError
from vislab.inference.answers import KINDS
from vislab.models.colorizer import Colorizer
from vislab.ops.nms import Found
from vislab.runs.model_card import ModelCard

CARD = ModelCard(None, ("background", "red"), 32, mean=(0.0,) * 3, std=(1.0,) * 3)


def answer_to(path, network, label, card=CARD):
    (answer,) = KINDS[label].answer(network, card, [(path,)], drawn=True)
    return answer


class Red(nn.Module):
    """Says that red pixels are of class 1, and what it was shown."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.zeros(()))

    def forward(self, images):
        redness = images[:, :1] - images[:, 1:2] - 0.5
        return torch.cat([-redness, redness], dim=1)

    def detect(self, images, *, least):
        """Return the box around what is red, certain, and one around nothing."""
        rows, columns = torch.nonzero(images[0, 0] - images[0, 1] > 0.5, as_tuple=True)
        around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        boxes = torch.tensor([[float(edge) for edge in around], [0.0, 0.0, 32.0, 32.0]])
        return Found(
            torch.zeros(2, dtype=torch.long), boxes, torch.tensor([1, 0]), torch.tensor([0.9, 0.2])
        )


def painted(path, size, box):
    """Save a black image with a red box in it."""
    image = Image.new("RGB", size)
    image.paste((255, 0, 0), box)
    image.save(path)
    return path


SHAPES = [((64, 32), (16, 8, 48, 24)), ((40, 96), (12, 24, 30, 60)), ((32, 32), (8, 8, 16, 20))]


@pytest.mark.parametrize(("size", "box"), SHAPES)
def test_a_mask_lies_where_the_instance_lies_in_the_file(tmp_path, size, box):
    path = painted(tmp_path / "x.png", size, box)
    answer = answer_to(path, Red(), "masks")
    row = answer.json
    found = np.asarray(answer.files["-mask.png"])
    targets = np.zeros(size[::-1], dtype=np.uint8)
    targets[box[1] : box[3], box[0] : box[2]] = 1
    assert found.shape == targets.shape
    both, either = (found & targets).sum(), (found | targets).sum()
    assert both / either > 0.85  # the network saw it smaller
    share = targets.mean()
    assert row["shares"]["red"] == pytest.approx(share, rel=0.15)
    assert sum(row["shares"].values()) == pytest.approx(1.0)
    assert answer.drawn.size == size


@pytest.mark.parametrize(("size", "box"), SHAPES)
def test_a_box_lies_where_the_instance_lies_in_the_file(tmp_path, size, box):
    path = painted(tmp_path / "x.png", size, box)
    answer = answer_to(path, Red(), "boxes")
    row = answer.json
    first, second = row["found"]
    assert (first["label"], row["label"]) == ("red", "red")
    np.testing.assert_allclose(first["box"], box, atol=max(size) / 32)
    # What reaches beyond the image is cut at its edges.
    np.testing.assert_allclose(second["box"], (0, 0, *size), atol=1e-9)


def test_an_image_whose_mask_covers_all_says_so(tmp_path):
    path = painted(tmp_path / "x.png", (1, 1), (0, 0, 1, 1))
    answer = answer_to(path, Red(), "masks")
    row = answer.json
    assert row["label"] == "red"
    assert row["shares"]["red"] == 1.0
    assert np.asarray(answer.files["-mask.png"]).tolist() == [[1]]


def test_the_network_that_gives_the_image_back_gives_its_middle_square(tmp_path):
    class Same(nn.Linear):
        def forward(self, images):
            return images

    card = replace(CARD, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.1))
    path = tmp_path / "x.png"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    found = np.asarray(answer_to(path, Same(1, 1), "images", card).drawn).astype(int)
    assert np.abs(found - fit_square(opened(path), 32)).max() <= 1


def test_without_colours_the_image_keeps_its_lightness_at_its_own_size(tmp_path, monkeypatch):
    network = Colorizer(classes=2, width=4).eval()
    monkeypatch.setattr(
        network, "colours", lambda answer: torch.zeros(len(answer), 2, *answer.shape[2:])
    )
    path = tmp_path / "x.png"
    grey = np.random.default_rng(0).integers(0, 256, (23, 41), dtype=np.uint8)
    Image.fromarray(grey).save(path)
    found = np.asarray(answer_to(path, network, "colours").drawn).astype(int)
    assert found.shape == (23, 41, 3)
    assert np.abs(found - grey[..., None]).max() <= 1


def test_an_image_that_is_gone_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png cannot be read"):
        answer_to(tmp_path / "gone.png", Red(), "masks")
