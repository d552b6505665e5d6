"""Pointing game and IoU with the object, by hand."""

import pytest
import torch

from vislab.errors import ShapeError
from vislab.metrics import iou_with_mask, points_at

MASK = torch.tensor([[[True, True, False], [False, False, False]]])


@pytest.mark.parametrize(
    ("found", "points", "iou"),
    [
        ([[3.0, 2.0, 1.0], [0.0, 0.0, 0.0]], True, 1.0),
        ([[3.0, 0.0, 0.0], [2.0, 1.0, 0.0]], True, 1 / 3),  # marks 2, shares 1 of 3
        ([[0.0, 0.0, 3.0], [2.0, 1.0, 0.0]], False, 0.0),
    ],
)
def test_a_case_by_hand(found, points, iou):
    found = torch.tensor([found])
    assert points_at(found, MASK).tolist() == [points]
    assert iou_with_mask(found, MASK).tolist() == pytest.approx([iou])


def test_a_map_of_cells_is_widened():
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, :4, :4] = True
    masks[1, 4:, 4:] = True
    found = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]).expand(2, 2, 2)
    assert points_at(found, masks).tolist() == [True, False]
    assert iou_with_mask(found, masks)[0] > 0.8
    assert iou_with_mask(found, masks)[1] == 0.0


def test_a_flat_map_points_nowhere():
    assert points_at(torch.ones(1, 2, 3), torch.ones(1, 2, 3, dtype=torch.bool)).tolist() == [False]


def test_an_object_of_no_pixels_has_no_iou():
    assert iou_with_mask(torch.rand(1, 2, 3), torch.zeros(1, 2, 3, dtype=torch.bool)).isnan().all()


def test_each_map_needs_its_mask():
    with pytest.raises(ShapeError, match="2 maps do not fit 1 masks"):
        points_at(torch.rand(2, 2, 3), MASK)
