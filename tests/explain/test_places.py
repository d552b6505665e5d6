"""Where tokens are, from what they answer to nudges: worked out for answers made by hand."""

import pytest
import torch

from vislab.explain.places import Positions, fills, grid_of, positions, probes


def seen_by(masks):
    """Return what linear tokens answer, sums of its own pixels, each weighed at random, 24 ways."""
    images = probes(torch.randn(3, *masks.shape[1:]), torch.float32)
    draw = torch.Generator().manual_seed(5)
    weights = torch.randn(24, *images.shape[1:], generator=draw)
    return torch.einsum("nchw,thw,dchw->ntd", images, masks.float(), weights)


def blocks(rows, columns, size):
    """Return the pixels of each patch, row by row."""
    masks = torch.zeros(rows * columns, rows * size, columns * size)
    for token in range(rows * columns):
        i, j = divmod(token, columns)
        masks[token, i * size : (i + 1) * size, j * size : (j + 1) * size] = 1
    return masks


def test_a_patch_is_at_the_mean_of_its_pixels():
    found = positions(seen_by(blocks(2, 4, 3)))
    expected_down = torch.tensor([0.25] * 4 + [0.75] * 4).double()
    expected_across = torch.tensor([0.125, 0.375, 0.625, 0.875] * 2).double()
    torch.testing.assert_close(found.down, expected_down, atol=0.06, rtol=0)
    torch.testing.assert_close(found.across, expected_across, atol=0.06, rtol=0)
    assert found.live.all()


def test_a_token_that_sees_nothing_is_of_no_place():
    masks = torch.cat([torch.zeros(1, 6, 9), blocks(2, 3, 3), torch.zeros(2, 6, 9)])
    found = positions(seen_by(masks))
    assert found.live.tolist() == [False, *[True] * 6, False, False]
    grid = grid_of(found)
    assert (grid.rows, grid.columns) == (2, 3)
    assert grid.cells.tolist() == [-1, 0, 1, 2, 3, 4, 5, -1, -1]


@pytest.mark.parametrize("extra", [0, 1, 5])
@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (1, 7), (4, 4), (3, 5), (14, 20)]
)
def test_a_grid_is_found_in_any_order(rows, columns, extra, rng):
    order = torch.randperm(rows * columns + extra, generator=rng)
    masks = torch.cat([blocks(rows, columns, 4), torch.zeros(extra, rows * 4, columns * 4)])
    grid = grid_of(positions(seen_by(masks[order])))
    assert (grid.rows, grid.columns) == (rows, columns)
    cells = torch.cat([torch.arange(rows * columns), torch.full((extra,), -1)])
    assert torch.equal(grid.cells, cells[order])


def test_a_token_that_sees_the_whole_image_is_of_no_place():
    masks = torch.cat([torch.full((1, 12, 12), 1 / 9), blocks(3, 3, 4)])
    assert grid_of(positions(seen_by(masks))).cells.tolist() == [-1, *range(9)]


def test_tokens_that_all_see_the_whole_image_fill_no_grid(rng):
    masks = torch.rand(16, 12, 12, generator=rng)
    assert grid_of(positions(seen_by(masks))) is None


def test_tokens_that_cover_a_corner_alone_are_no_grid_over_the_image():
    masks = torch.zeros(4, 32, 32)
    masks[:, :8, :8] = blocks(2, 2, 4)
    assert grid_of(positions(seen_by(masks))) is None


def test_a_map_is_told_from_its_own_transpose():
    cells = positions(seen_by(blocks(4, 4, 2)))
    assert fills(cells, 4, 4)
    turned = Positions(cells.across, cells.down, cells.spread, cells.live)
    assert not fills(turned, 4, 4)
    assert not fills(cells, 2, 8)
