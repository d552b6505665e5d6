import math
import sys

import pytest
import torch

from vislab.errors import DataError, OptionError
from vislab.explain.embedding import tsne
from vislab.explain.neighbours import nearest, trustworthiness
from vislab.explain.tsne import Attraction, Repulsion, affinities

maps = sys.modules["vislab.explain.tsne"]  # the room has a function of this name


def groups(count, dims=8, seed=0):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    middles = 6 * torch.randn(3, dims, generator=draw)
    return middles[labels] + torch.randn(count, dims, generator=draw), labels


@pytest.mark.parametrize("few", [0, 1000])
@pytest.mark.parametrize("spread", [1e-3, 0.5, 8.0, 60.0])
def test_repulsion_is_that_of_all_pairs(spread, few, monkeypatch):
    monkeypatch.setattr(maps, "FEW", few)
    points = torch.randn(151, 2, generator=torch.Generator().manual_seed(1)) * spread
    exact = points.double()
    apart = exact[:, None] - exact
    near = 1 / (1 + apart.square().sum(dim=2))
    force = (near.square()[:, :, None] * apart).sum(dim=1) / (near.sum() - len(points))
    found = Repulsion()(points).double()
    # No spline through nodes half its width apart is the kernel where it is steepest.
    allowed = 1e-4 if few else 1e-5 if spread < 1 else 0.05
    assert float((found - force).norm() / force.norm()) < allowed


def test_a_finer_grid_is_nearer_to_all_pairs_by_more_than_its_square(monkeypatch):
    monkeypatch.setattr(maps, "FEW", 0)
    points = torch.randn(151, 2, generator=torch.Generator().manual_seed(1)) * 8
    exact = maps.of_all_pairs(points)
    errors = []
    for step in (0.5, 0.25):
        monkeypatch.setattr(maps, "STEP", step)
        errors.append(float((Repulsion()(points) - exact).norm()))
    assert errors[0] > 4 * errors[1]


def test_a_point_far_from_all_others_does_not_push_itself(monkeypatch):
    monkeypatch.setattr(maps, "FEW", 0)
    points = torch.tensor([[0.0, 0.0], [33.3, 0.2], [0.4, 40.1]])
    found, exact = Repulsion()(points), maps.of_all_pairs(points)
    torch.testing.assert_close(found, exact, rtol=0.02, atol=1e-4)
    # What all push sums to nothing, also on the grid.
    torch.testing.assert_close(found.sum(dim=0), torch.zeros(2), atol=2e-5, rtol=0.0)


def test_attraction_is_that_of_all_pairs():
    draw = torch.Generator().manual_seed(2)
    points, strength = torch.randn(7, 2, generator=draw), torch.rand(7, 7, generator=draw)
    strength[2] = 0.0  # a point without neighbours
    rows, columns = strength.nonzero(as_tuple=True)
    apart = points[:, None] - points
    near = strength / (1 + apart.square().sum(dim=2))
    found = Attraction(7, rows, columns, strength[rows, columns])(points)
    torch.testing.assert_close(found, (near[:, :, None] * apart).sum(dim=1))


def test_every_point_s_neighbours_have_the_perplexity():
    features, _ = groups(90)
    features[:30] *= 20.0  # a sparse group beside dense ones
    rows, columns, joint = affinities(features, 8.0)
    dense = torch.zeros(90, 90).index_put_((rows, columns), joint)
    torch.testing.assert_close(dense, dense.T)
    assert float(dense.sum()) == pytest.approx(1.0, abs=1e-5)
    # Each point's own shares again, by the bandwidth that gives this perplexity.
    distances, found = nearest(features, 24)
    own = torch.zeros(90, 90)
    for point in range(90):
        squares, low, high = distances[point].double().square(), -20.0, 10.0
        for _ in range(80):
            middle = (low + high) / 2
            shares = (-math.exp(middle) * (squares - squares[0])).softmax(dim=0)
            wide = float(torch.special.entr(shares).sum()) > math.log(8.0)
            low, high = (middle, high) if wide else (low, middle)
        own[point, found[point]] = shares.float()
    torch.testing.assert_close(dense, (own + own.T) / 180, atol=1e-6, rtol=1e-3)


def test_groups_of_features_are_groups_on_the_map():
    features, labels = groups(120)
    points = tsne(features)
    _, found = nearest(points, 5)
    assert bool((labels[found] == labels[:, None]).all())
    assert trustworthiness(features, points, neighbours=5) > 0.9


def test_the_map_is_a_function_of_the_seed_and_touches_no_other_randomness():
    features, _ = groups(40)
    before = torch.get_rng_state()
    first = tsne(features, seed=3)
    assert torch.equal(first, tsne(features, seed=3))
    assert not torch.equal(first, tsne(features, seed=4))
    assert torch.equal(torch.get_rng_state(), before)


def test_equal_points_are_mapped_together():
    features, _ = groups(30)
    twice = torch.cat([features, features])
    points = tsne(twice, perplexity=5.0)
    assert bool(points.isfinite().all())
    pairs = (points[:30] - points[30:]).norm(dim=1)
    assert float(pairs.median()) < 0.1 * float(points.std())


def test_many_equal_points_have_a_map_too():
    features = torch.zeros(40, 6)
    features[:3] = torch.eye(6)[:3]
    assert bool(tsne(features).isfinite().all())


@pytest.mark.parametrize(("count", "dims"), [(10, 3), (11, 1), (13, 40)])
def test_few_points_have_a_map(count, dims):
    points = tsne(torch.randn(count, dims, generator=torch.Generator().manual_seed(0)))
    assert points.shape == (count, 2)
    assert bool(points.isfinite().all())


def test_what_has_no_map_is_told():
    with pytest.raises(DataError, match="at least 10 points, got 9; use pca"):
        tsne(torch.randn(9, 4))
    with pytest.raises(DataError, match="all 12 features are the same"):
        tsne(torch.ones(12, 4))
    with pytest.raises(OptionError, match=r"perplexity 0\.5 must be at least 1"):
        tsne(torch.randn(12, 4), perplexity=0.5)
    spoilt = torch.randn(12, 4)
    spoilt[5, 2], spoilt[7, 0] = math.nan, math.inf
    with pytest.raises(DataError, match="2 of 12 images are not finite, the first of number 5"):
        tsne(spoilt)
