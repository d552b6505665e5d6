"""Looking inside leaves no trace."""

import copy

import pytest
import torch
from torch import nn

from vislab.errors import UnknownName
from vislab.explain.hooks import hooked
from vislab.models import ConvNet, resnet18


@pytest.fixture
def net():
    """A network in mixed modes: as while training, with one layer frozen."""
    torch.manual_seed(0)
    model = ConvNet(classes=3, widths=(4, 6), noise=0.1).train()
    model.features[1].eval()
    return model


def state(model):
    """All that a hooked could change: modes, hooks, gradients, weights and running means."""
    return {
        "modes": [module.training for module in model.modules()],
        "hooks": [len(module._forward_hooks) for module in model.modules()],
        "inplace": [getattr(module, "inplace", None) for module in model.modules()],
        "gradients": [parameter.grad for parameter in model.parameters()],
        "wanted": [parameter.requires_grad for parameter in model.parameters()],
        "values": [value.tolist() for value in model.state_dict().values()],
    }


def test_nothing_is_left_behind(net):
    before = copy.deepcopy(state(net))
    assert len(set(before["modes"])) == 2
    with hooked(net, ["features", "head", "features.2"]) as seen:
        assert not any(module.training for module in net.modules())
        net(torch.randn(2, 3, 9, 7))
        assert seen.keys() == {"features", "head", "features.2"}
    assert state(net) == before


def test_nothing_is_left_behind_after_an_error_inside(net):
    before = copy.deepcopy(state(net))
    with pytest.raises(ZeroDivisionError), hooked(net, ["head"]) as seen:
        seen["head"] = net(torch.randn(2, 3, 9, 7)) * (1 / 0)
    assert state(net) == before


def test_nothing_is_left_behind_after_a_forward_that_fails(net):
    before = copy.deepcopy(state(net))
    with pytest.raises(RuntimeError), hooked(net, ["features.0", "head"]):
        net(torch.randn(2, 3, 1, 1))  # too small to be halved
    assert state(net) == before


def test_an_unknown_layer_names_the_nearest_and_leaves_nothing_behind(net):
    before = copy.deepcopy(state(net))
    with (
        pytest.raises(UnknownName, match=r"'features\.22'\. Did you mean 'features\.2"),
        hooked(net, ["head", "features.22"]),
    ):
        raise AssertionError("not reached")
    assert state(net) == before


def test_hooks_of_others_stay(net):
    heard = []
    net.head.register_forward_hook(lambda *_: heard.append("heard"))
    with hooked(net, ["head"]):
        net(torch.randn(2, 3, 9, 7))
    net(torch.randn(2, 3, 9, 7))
    assert heard == ["heard", "heard"]


def test_what_is_seen_is_what_the_layer_gave(net):
    images = torch.randn(2, 3, 9, 7)
    with hooked(net, ["features.3", "head"]) as seen:
        scores = net(images)
    assert torch.equal(seen["head"], scores)
    torch.testing.assert_close(seen["features.3"], net.eval().features[:4](images))


def test_what_is_seen_has_gradients_to_follow(net):
    with hooked(net, ["features.3"]) as seen:
        scores = net(torch.randn(2, 3, 9, 7))
        (gradient,) = torch.autograd.grad(scores.sum(), seen["features.3"])
    assert gradient.abs().sum() > 0


def test_a_layer_is_seen_before_the_next_one_overwrites_it():
    """ResNet's ReLUs work in place, on the very numbers that batch normalisation gave."""
    torch.manual_seed(0)
    model, images = resnet18(classes=3), torch.randn(2, 3, 33, 40)
    with hooked(model, ["bn1", "relu"]) as seen:
        scores = model(images)
    expected = model.eval().bn1(model.conv1(images))
    assert (expected < 0).any()
    torch.testing.assert_close(seen["bn1"], expected)
    torch.testing.assert_close(seen["relu"], expected.relu())
    assert model.relu.inplace
    torch.testing.assert_close(scores, model(images))


def test_a_layer_that_gives_more_than_one_tensor_is_seen_too():
    model = nn.Sequential(nn.Linear(5, 4), nn.LSTM(4, 3))
    with hooked(model, ["1"]) as seen:
        out = model(torch.randn(2, 7, 5))
    assert torch.equal(seen["1"][0], out[0])


class WritesOver(nn.Module):
    """As torchvision's DenseNet: a ReLU as a function writes over what the layer gave."""

    def __init__(self):
        super().__init__()
        self.see, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        x = nn.functional.relu(self.see(x), inplace=True)
        return self.head(x.mean(dim=(2, 3)))


def test_gradients_that_begin_at_a_layer_survive_what_writes_over_it():
    torch.manual_seed(0)
    model, images = WritesOver(), torch.randn(2, 3, 6, 5)
    with hooked(model, ["see"], begin=True) as seen:
        answer = model(images)
    torch.testing.assert_close(answer, model(images))
    (slope,) = torch.autograd.grad(answer[:, 1].sum(), seen["see"])
    expected = (seen["see"] > 0) * model.head.weight[1][:, None, None] / 12
    torch.testing.assert_close(slope, expected)
    assert images.grad is None
