import pytest
import torch
from sklearn.manifold import trustworthiness as witness

from vislab.errors import OptionError, ShapeError
from vislab.explain import neighbours
from vislab.explain.neighbours import nearest, trustworthiness


@pytest.mark.parametrize("block", [2**24, 100])
def test_trustworthiness_is_scikit_learn_s(block, monkeypatch, rng):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    features, points = torch.randn(53, 6, generator=rng), torch.randn(53, 2, generator=rng)
    points[:, 0] += features[:, 0] * 3
    for count in (1, 5, 12):
        expected = witness(features.numpy(), points.numpy(), n_neighbors=count)
        found = trustworthiness(features, points, neighbours=count)
        assert found == pytest.approx(expected, abs=1e-6)


def test_a_map_that_is_the_features_is_trusted_wholly(rng):
    points = torch.randn(40, 2, generator=rng)
    assert trustworthiness(points, 3 * points, neighbours=4) == 1.0


def test_nearest_are_in_order_and_never_oneself():
    line = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    distances, found = nearest(line, 2)
    assert found.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert distances.tolist() == [[1.0, 3.0], [1.0, 2.0], [2.0, 3.0], [4.0, 6.0]]


def test_what_cannot_be_judged_is_told():
    with pytest.raises(OptionError, match="needs more than 24 points, got 20"):
        trustworthiness(torch.randn(20, 3), torch.randn(20, 2))
    with pytest.raises(ShapeError, match="19 points on a map are not of 20"):
        trustworthiness(torch.randn(20, 3), torch.randn(19, 2))
