import pytest
import torch
from torch import nn

from vislab.errors import ShapeError, UnknownName
from vislab.explain.feature_maps import as_images, feature_maps, last_of_each_size
from vislab.models import ConvNet, resnet18


@pytest.fixture
def net():
    torch.manual_seed(0)
    return ConvNet(classes=3, widths=(4, 6, 8), noise=0.3).train()


@pytest.fixture
def image(rng):
    return torch.randn(3, 19, 26, generator=rng)


def test_maps_are_what_the_truncated_network_gives(net, image):
    maps = feature_maps(net, image, layers=["features.0", "features.8", "features.11"])
    assert list(maps) == ["features.0", "features.8", "features.11"]
    net.eval()
    for name, shown in maps.items():
        depth = int(name.split(".")[1]) + 1
        torch.testing.assert_close(shown, net.features[:depth](image[None])[0].detach())
    assert maps["features.0"].shape == (4, 19, 26)


def test_maps_of_a_network_that_works_in_place_are_those_of_the_layer_itself(image):
    torch.manual_seed(0)
    model = resnet18(classes=3, stem="small")
    maps = feature_maps(model, image, layers=["bn1"])
    expected = model.eval().bn1(model.conv1(image[None]))[0].detach()
    torch.testing.assert_close(maps["bn1"], expected)


def test_the_answer_for_an_image_does_not_change_what_is_learned_later(net, image):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    feature_maps(net, image)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    net(image[None]).sum().backward()  # nothing inside was made an inference tensor


def test_without_names_the_last_layer_of_each_size_is_shown(net, image):
    names = last_of_each_size(net, image)
    # two convolutions with normalisation, noise and ReLU, then the halving: 9 layers a stage
    assert names == ["features.7", "features.16", "features.25", "features"]
    maps = feature_maps(net, image)
    assert [tuple(shown.shape) for shown in maps.values()] == [
        (4, 19, 26), (6, 9, 13), (8, 4, 6), (8, 2, 3),
    ]  # fmt: skip
    last = feature_maps(net, image, layers=["features.26"])["features.26"]
    assert torch.equal(maps["features"], last)


def test_sizes_that_come_back_show_their_last_layer_once(image):
    """Down and up again, as in a U-Net."""
    model = nn.Sequential(
        nn.Conv2d(3, 2, 3, padding=1), nn.AvgPool2d(2), nn.Upsample(size=(19, 26)), nn.ReLU()
    )
    assert last_of_each_size(model, image) == ["3", "1"]


def test_maps_of_one_place_are_none(image):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 5, 1))
    assert last_of_each_size(model, image) == ["0"]


def test_a_layer_that_gives_something_else_than_maps_is_passed_by(image):
    class Split(nn.Module):
        def forward(self, x):
            return x, x.mean(dim=(2, 3))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.split = nn.Conv2d(3, 4, 3), Split()

        def forward(self, x):
            return self.split(self.first(x))[1]

    assert last_of_each_size(Net(), image) == ["first"]


def test_a_model_without_maps_says_so(image):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 19 * 26, 4))
    with pytest.raises(ShapeError, match="no layer of the model gives feature maps"):
        last_of_each_size(model, image)


def test_an_unknown_layer_is_refused(net, image):
    with pytest.raises(UnknownName, match=r"no layer is named 'feature'.*'features'"):
        feature_maps(net, image, layers=["feature"])


def test_each_map_is_stretched_to_its_own_full_range():
    maps = torch.tensor([
        [[0.0, 1.0, 2.0], [4.0, 3.0, 0.5]],
        [[-1e3, 1e3, 0.0], [500.0, 0.0, 0.0]],
        [[7.0, 7.0, 7.0], [7.0, 7.0, 7.0]],
    ])  # fmt: skip
    shown = as_images(maps)
    assert shown.shape == (3, 2, 3, 3)
    assert (shown == shown[..., :1]).all()  # grey
    assert shown[..., 0].tolist() == [
        [[0, 64, 128], [255, 191, 32]],
        [[0, 255, 128], [191, 128, 128]],
        [[0, 0, 0], [0, 0, 0]],
    ]
    shown[0, 0, 0, 0] = 9  # its own memory: one channel is written and the others stay
    assert shown[0, 0, 0].tolist() == [9, 0, 0]
