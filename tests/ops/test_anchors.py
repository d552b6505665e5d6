"""Where anchors stand and how large they are."""

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator

from vislab.errors import OptionError
from vislab.ops.anchors import anchor_grid, shapes_of
from vislab.ops.boxes import to_centres


def test_a_grid_by_hand():
    """2 rows, 3 columns of 10 pixels: centres at 5, 15, 25 across and 5, 15 down."""
    grid = anchor_grid(2, 3, 10, torch.tensor([[4.0, 2.0], [20.0, 20.0]]))
    assert grid.shape == (2, 3, 2, 4)
    assert grid[1, 2, 0].tolist() == [23, 14, 27, 16]
    assert grid[0, 0, 1].tolist() == [-5, -5, 15, 15]


def test_the_centre_of_every_anchor_lies_in_its_own_cell():
    grid = anchor_grid(5, 4, 7.5, torch.rand(3, 2, dtype=torch.float64) * 40)
    cells = (to_centres(grid)[..., :2] / 7.5).floor()
    assert grid.dtype == torch.float64
    for i in range(5):
        for j in range(4):
            assert cells[i, j].tolist() == [[j, i]] * 3


def test_a_shape_keeps_the_area_of_its_scale_and_has_the_height_of_its_ratio():
    shapes = shapes_of([8, 32], [0.5, 1, 4])
    width, height = shapes.unbind(dim=1)
    torch.testing.assert_close(height / width, torch.tensor([0.5, 0.5, 1, 1, 4, 4]))
    torch.testing.assert_close((width * height).sqrt(), torch.tensor([8.0, 32] * 3))
    assert shapes[4].tolist() == [4, 16]


def test_but_for_rounding_and_half_a_cell_they_are_torchvisions():
    theirs = AnchorGenerator(((16, 64),), ((1.0, 4.0),))  # of these no half side is rounded
    theirs.set_cell_anchors(torch.float32, torch.device("cpu"))
    (wanted,) = theirs.grid_anchors([[3, 2]], [[torch.tensor(8), torch.tensor(8)]])
    ours = anchor_grid(3, 2, 8, shapes_of([16, 64], [1, 4]))
    torch.testing.assert_close(ours.view(-1, 4) - 4, wanted)


@pytest.mark.parametrize(("scales", "ratios"), [([], [1]), ([8], []), ([8, 0], [1]), ([8], [-1])])
def test_anchors_of_no_size_are_refused(scales, ratios):
    with pytest.raises(OptionError, match="positive scales and ratios"):
        shapes_of(scales, ratios)
