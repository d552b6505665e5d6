"""Networks that take images channels first alone are given them so."""

import pytest
import torch
from torch import nn

from vislab.tasks.layout import settle_layout

CPU = torch.device("cpu")


class Flattens(nn.Module):
    """As PyTorch's first tutorials do."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.dropout, self.head = nn.Dropout(), nn.Linear(4 * 8 * 8, 2)

    def forward(self, x):
        return self.head(self.dropout(self.norm(self.conv(x)).relu()).view(-1, 4 * 8 * 8))


def laid(images):
    return images.contiguous(memory_format=torch.channels_last)


def test_a_network_that_flattens_by_view_takes_both_layouts_and_says_the_same():
    torch.manual_seed(0)
    network, images = (
        Flattens().to(memory_format=torch.channels_last).eval(),
        torch.randn(3, 3, 8, 8),
    )
    with pytest.raises(RuntimeError, match="view size"):
        network(laid(images))
    wanted = Flattens().eval()
    wanted.load_state_dict(network.state_dict())
    settle_layout(network, 8, CPU)
    torch.testing.assert_close(network(laid(images)), wanted(images))
    settle_layout(network, 8, CPU)
    assert len(network._forward_pre_hooks) == 1, "once is enough"


def test_other_networks_are_left_as_they_are():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    network[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    settle_layout(network.to(memory_format=torch.channels_last), 8, CPU)
    assert not network._forward_pre_hooks
    assert [module.training for module in network] == [True, False, True, True]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_what_fails_for_another_reason_is_not_this_ones_concern():
    network = nn.Linear(5, 2)
    settle_layout(network, 8, CPU)
    assert not network._forward_pre_hooks
