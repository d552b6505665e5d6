"""A gradient that would kill the process does not."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from vislab import tasks
from vislab.models import create
from vislab.tasks.narrow_convolutions import guard_narrow_convolutions


def guarded(model):
    return [name for name, one in model.named_modules() if len(one._forward_pre_hooks)]


def test_only_narrow_strided_1x1_convolutions_are_guarded_and_once():
    model = nn.Sequential(
        nn.Conv2d(8, 16, 1, stride=2), nn.Conv2d(8, 16, 1), nn.Conv2d(8, 16, 3, stride=2),
        nn.Conv2d(16, 16, 1, stride=2), nn.Conv2d(32, 16, 1, stride=2, groups=4),
    )  # fmt: skip
    for _ in range(2):
        guard_narrow_convolutions(model)
    assert guarded(model) == ["0", "4"]
    assert all(len(one._forward_pre_hooks) < 2 for one in model)


def test_a_task_guards_its_network():
    model = create("preact-resnet", classes=3, depth=6, widths=(8, 16))
    tasks.Classify(model)
    assert guarded(model) == ["features.stage2.0.shortcut"]


@pytest.mark.parametrize("meant", [False, True], ids=["as made", "as read from a file"])
@pytest.mark.parametrize("batch", [3, 63])
def test_the_gradient_is_that_of_channels_first(batch, meant):
    """In a process of its own: without the guard it may die."""
    program = f"""
import torch
from torch import nn
from vislab.tasks.narrow_convolutions import guard_narrow_convolutions
torch.manual_seed(0)
layer = nn.Conv2d(8, 16, 1, stride=2).to(memory_format=torch.channels_last)
if {meant}:
    layer.weight.data = layer.weight.data.as_strided((16, 8, 1, 1), (8, 1, 8, 8))
guard_narrow_convolutions(layer)
x = torch.randn({batch}, 8, 32, 32)
signal = torch.randn({batch}, 16, 16, 16)
expected = torch.einsum("nkij,ncij->kc", signal.double(), x[:, :, ::2, ::2].double())
for _ in range(20):
    layer.zero_grad()
    layer(x.contiguous(memory_format=torch.channels_last)).backward(signal)
    found = layer.weight.grad[:, :, 0, 0].double()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


def test_the_layer_computes_as_before():
    layer = nn.Conv2d(8, 16, 1, stride=2)
    x = torch.randn(2, 8, 7, 6)
    before = layer(x)
    guard_narrow_convolutions(layer)
    torch.testing.assert_close(layer(x.contiguous(memory_format=torch.channels_last)), before)
