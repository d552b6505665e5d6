import pytest
import timm
import torch
from torch import nn

from vislab.errors import DataError, OptionError, ShapeError, UnknownName
from vislab.explain.embedding import features, pca
from vislab.models import ConvNet


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return ConvNet(classes=3, widths=(4, 6)).train()


def test_features_are_what_enters_the_head(net):
    images = torch.randn(5, 3, 9, 7)
    found = features(net, images)
    torch.testing.assert_close(net.eval().head(found), net(images))
    net.train()


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "mobilenetv3_small_050"])
def test_features_of_timm_s_networks_enter_their_head(name):
    torch.manual_seed(0)
    options = {"img_size": 32, "depth": 1} if name.startswith("vit") else {}
    model = timm.create_model(name, num_classes=4, **options).eval()
    images = torch.randn(3, 3, 32, 32)
    head = model.get_classifier()
    torch.testing.assert_close(head(features(model, images)), model(images))


def test_batches_give_what_all_at_once_give_and_nothing_is_left_behind(net):
    images = torch.randn(70, 3, 9, 7)
    whole = features(net, images)
    torch.testing.assert_close(features(net, iter(images.split(9))), whole)
    assert all(module.training for module in net.modules())
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in net.modules())
    assert not whole.requires_grad
    with pytest.raises(RuntimeError):
        features(net, torch.randn(2, 3, 1, 1))
    assert not any(m._forward_pre_hooks for m in net.modules())


def test_a_layer_s_places_are_averaged_whatever_its_layout():
    class Layouts(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last, self.tokens = nn.Identity(), nn.Identity(), nn.Identity()

        def forward(self, images):
            x = torch.cat([images, images * 2], dim=1)
            self.first(x), self.last(x.permute(0, 2, 3, 1)), self.tokens(x.flatten(2).mT)
            return x.mean(dim=(2, 3))

    images = torch.randn(2, 3, 8, 12)
    expected = torch.cat([images, images * 2], dim=1).mean(dim=(2, 3))
    for layer in ("first", "last", "tokens"):
        torch.testing.assert_close(features(Layouts(), images, layer), expected)


def test_features_that_cannot_be_are_told(net):
    with pytest.raises(DataError, match="no images"):
        features(net, iter([]))
    with pytest.raises(UnknownName, match="no layer is named 'heat'"):
        features(net, torch.randn(2, 3, 9, 7), "heat")
    with pytest.raises(ShapeError, match="one tensor"):
        features(nn.Flatten(0), torch.randn(2, 3, 9, 7))


def test_pca_finds_the_plane_that_points_were_made_in(rng):
    flat = torch.randn(50, 2, generator=rng) * torch.tensor([5.0, 1.0])
    turn = torch.linalg.qr(torch.randn(7, 7, generator=rng))[0][:2]
    points = pca(flat @ turn + 3.0)
    apart = [torch.pdist(one.double()) for one in (points, flat)]
    torch.testing.assert_close(*apart, atol=1e-4, rtol=1e-4)
    assert points.var(dim=0)[0] > points.var(dim=0)[1]
    torch.testing.assert_close(points.T.cov()[0, 1], torch.tensor(0.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(pca(-(flat @ turn)), -points, atol=1e-4, rtol=0)


def test_pca_of_more_axes_than_there_are_is_told():
    with pytest.raises(OptionError, match="4 features of 9 numbers have no 5"):
        pca(torch.randn(4, 9), 5)
    with pytest.raises(DataError, match="not finite"):
        pca(torch.full((4, 9), torch.nan))
