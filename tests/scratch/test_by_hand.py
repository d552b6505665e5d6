"""No file of the room lets autograd or torch.nn work for it."""

import ast
from pathlib import Path

import pytest
import torch

from vislab import scratch
from vislab.scratch import Linear, TwoLayerNet

ROOM = Path(scratch.__file__).parent
# Refused as a name, an attribute, a keyword, a part of an import, or a whole string.
REFUSED = {
    "autograd", "convolution_backward", "create_graph", "enable_grad", "functional", "functorch",
    "grad_fn", "nn", "register_hook", "requires_grad", "requires_grad_", "retain_grad",
}  # fmt: skip
OF_TORCH = {
    "_C",
    "_VF",
    "compile",
    "func",
    "jit",
    "lstm",
    "lstm_cell",
    "ops",
    "rnn_tanh",
    "rnn_tanh_cell",
}


def words(node):
    """Return what a node of the syntax tree calls by name."""
    if isinstance(node, ast.Attribute):
        return {node.attr}
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.keyword | ast.arg):
        return {node.arg}
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}  # getattr(torch, "autograd"); a docstring is a longer string
    if isinstance(node, ast.Import):
        return {part for alias in node.names for part in alias.name.split(".")}
    if isinstance(node, ast.ImportFrom):
        return {*(node.module or "").split("."), *(alias.name for alias in node.names)}
    return set()


def of_torch(node):
    """Return what a node takes from torch itself: torch.x, or from torch import x."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return {node.attr} if node.value.id == "torch" else set()
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
        return words(node)
    if isinstance(node, ast.Import):
        return {p for a in node.names if a.name.startswith("torch.") for p in a.name.split(".")}
    return set()


def asks_a_tensor_to_go_back(node):
    """A layer's backward takes a gradient and a cache; a tensor's own takes less."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "backward"
        and len(node.args) < 2
    )


def by_others(source):
    """Return what a file has autograd or a ready layer do for it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        found |= words(node) & REFUSED
        found |= {name for name in of_torch(node) if name in OF_TORCH or name.endswith("_backward")}
        if asks_a_tensor_to_go_back(node):
            found.add(".backward()")
    return found


def test_no_file_of_the_room_uses_autograd_or_ready_layers():
    files = sorted(ROOM.rglob("*.py"))
    assert len(files) >= 25
    wrong = {file.name: found for file in files if (found := by_others(file.read_text()))}
    assert not wrong


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import torch.nn", {"nn"}),
        ("import torch.nn.functional as F", {"nn", "functional"}),
        ("from torch import nn", {"nn"}),
        ("from torch import Tensor, autograd", {"autograd"}),
        ("from torch.nn import functional", {"nn", "functional"}),
        ("from torch.nn.functional import conv2d", {"nn", "functional"}),
        ("from torch.func import grad", {"func"}),
        ("import torch.func", {"func"}),
        ("y = torch.nn.functional.relu(x)", {"nn", "functional"}),
        ("y = torch.autograd.grad(loss, w)", {"autograd"}),
        ("w = torch.zeros(3, requires_grad=True)", {"requires_grad"}),
        ("w.requires_grad = True", {"requires_grad"}),
        ("w.requires_grad_()", {"requires_grad_"}),
        ("grad = getattr(torch, 'autograd').grad(loss, w)", {"autograd"}),
        ("print(y.grad_fn)", {"grad_fn"}),
        ("loss.backward()", {".backward()"}),
        ("out.backward(dout)", {".backward()"}),
        ("out.backward(gradient=dout)", {".backward()"}),
        ("out.backward(dout, create_graph=True)", {".backward()", "create_graph"}),
        ("torch.ops.aten.convolution_backward(dout, x, w)", {"ops", "convolution_backward"}),
        ("torch.native_batch_norm_backward(dout)", {"native_batch_norm_backward"}),
        ("step = torch.compile(step)", {"compile"}),
        ("torch.func.vjp(f, x)", {"func"}),
        ("with torch.enable_grad(): pass", {"enable_grad"}),
        ("h, c = torch.lstm_cell(x, hc, w, u)", {"lstm_cell"}),
        ("def f(nn): pass", {"nn"}),
        ("def f():\n    import torch.nn as layers", {"nn"}),
    ],
)
def test_a_planted_line_is_refused(line, found):
    assert by_others(line) == found


@pytest.mark.parametrize(
    "line",
    [
        "dx, dw, db = Linear.backward(dout, cache)",
        "grads = self.backward(dscores, caches)",
        "dx = ConvReLU.backward(MaxPool.backward(dout, pool), conv_relu)",
        "def backward(dout, cache): ...",
        "from vislab.ops.seeding import generator",
        "from vislab.scratch.lstm import LSTM",
        "dx = torch.conv_transpose2d(dout, w)",
        "'''torch.nn.LSTM orders its gates otherwise, and autograd needs no formula.'''",
        "pattern = re.compile('x')",
    ],
)
def test_lines_of_ones_own_pass(line):
    assert by_others(line) == set()


def test_gradients_come_out_while_autograd_is_switched_off(rng):
    x, w = torch.randn(3, 4, generator=rng), torch.randn(4, 2, generator=rng)
    net = TwoLayerNet(4, 5, 2, generator=rng)
    with torch.inference_mode():
        out, cache = Linear.forward(x, w, torch.zeros(2))
        assert Linear.backward(torch.ones_like(out), cache)[1].equal(x.T @ torch.ones(3, 2))
        _, grads = net.loss(x, torch.tensor([0, 1, 0]))
    assert set(grads) == {"W1", "b1", "W2", "b2"}
    assert not any(tensor.requires_grad for tensor in (out, *grads.values()))
