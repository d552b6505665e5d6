"""Where a network's head is and which blocks lead to it, found by watching it at work.

Nothing is assumed of names: any network that gives class scores (N, K) can be taken apart, of
torchvision, timm, Hugging Face or one's own. A block is what its author repeated: a residual
block, a transformer layer; where nothing was, a convolution or linear layer with its
normalisation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vislab.errors import ShapeError

PURE = (nn.Sequential, nn.ModuleList, nn.ModuleDict)  # mere containers, not classes made of them


@dataclass(frozen=True)
class Block:
    """Some layers in a row, and the names of the parameters they hold."""

    modules: tuple[str, ...]
    parameters: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its first module, as `named_modules` has it."""
        return self.modules[0]


@dataclass(frozen=True)
class ParameterGroups:
    """The blocks from the image to the head, and the head."""

    blocks: tuple[Block, ...]
    head: Block
    separable: bool  # one linear layer, fed with (N, D), whose output is the network's answer


def parameter_groups(model: nn.Module, image: Float[Tensor, "1 3 h w"]) -> ParameterGroups:
    """Take a network apart by running it once, in eval mode; it is left as it was.

    Tokens and position embeddings, which belong to no layer, count to the first block; a
    normalisation between the last block and the head counts to that block. Raises ShapeError when
    the network gives no class scores or no layer gives them.
    """
    order, inputs, outputs, answer = _watch(model, image)
    if not isinstance(answer, Tensor) or answer.ndim != 2:
        raise ShapeError("a network to take apart must give class scores (N, K) for (N, 3, H, W)")
    names = {module: name for name, module in model.named_modules()}
    layers = [m for m in order if any(True for _ in m.parameters(recurse=False))]
    heads = _heads(layers, answer.shape[1])
    if not heads:
        raise ShapeError(
            "the network's last layer with weights does not give its class scores; "
            "its head cannot be told from the rest"
        )
    inside: dict[int, nn.Module] = {}
    for holder in _units(model, heads):
        for module in holder.modules():
            inside.setdefault(id(module), holder)  # what is used twice counts where it is first
    runs: list[list[nn.Module]] = []
    for layer in layers:
        unit = inside.get(id(layer))
        if unit is None or layer in heads or any(unit in run for run in runs):
            continue
        if runs and not _heavy(unit):
            runs[-1].append(unit)
        elif runs and len(runs) == 1 and not any(map(_heavy, runs[0])):
            runs[0].append(unit)  # a normalisation came before the first convolution
        else:
            runs.append([unit])
    # A weight that two layers share has one name, the first.
    known = {id(parameter): name for name, parameter in model.named_parameters()}
    taken: set[str] = set()
    head = _block([h for h in layers if h in heads], names, known, taken)
    blocks = [_block(run, names, known, taken) for run in runs]
    homeless = tuple(name for name, _ in model.named_parameters() if name not in taken)
    if homeless and blocks:
        blocks[0] = Block(blocks[0].modules, homeless + blocks[0].parameters)
    only = heads[0]
    separable = (
        len(heads) == 1
        and isinstance(only, nn.Linear)
        and inputs[id(only)] == 2
        and outputs.get(id(only)) is answer
    )
    return ParameterGroups(tuple(blocks), head, separable)


def _watch(
    model: nn.Module, image: Tensor
) -> tuple[list[nn.Module], dict[int, int], dict[int, Any], Any]:
    """Return modules in the order in which they begin to work, input axes, outputs, the answer."""
    order: dict[nn.Module, None] = {}
    axes: dict[int, int] = {}
    outputs: dict[int, Any] = {}

    def begin(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        order.setdefault(module)
        if arguments and isinstance(arguments[0], Tensor):
            axes[id(module)] = arguments[0].ndim

    def end(module: nn.Module, _arguments: Any, output: Any) -> None:
        if isinstance(module, nn.Linear):
            outputs[id(module)] = output

    modes = {module: module.training for module in model.modules()}
    hooks = []
    try:
        for module in model.modules():
            hooks += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
        model.eval()
        with torch.no_grad():
            answer = model(image)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes.items():
            module.training = mode
    return list(order), axes, outputs, answer


def _heads(layers: list[nn.Module], classes: int) -> list[nn.Module]:
    """Return the last layer and any before it that is its twin: distilled networks have two."""
    if not layers or _out(layers[-1]) != classes:
        return []
    last = layers[-1]
    heads = [last]
    for layer in reversed(layers[:-1]):
        alike = type(layer) is type(last) and _shape(layer) == _shape(last)
        if not alike or _shape(last)[1] == classes:
            break
        heads.append(layer)
    return heads


def _out(layer: nn.Module) -> int | None:
    weight = getattr(layer, "weight", None)
    heavy = isinstance(weight, Tensor) and weight.ndim > 1
    return int(weight.shape[0]) if heavy and weight is not None else None


def _shape(layer: nn.Module) -> tuple[int, ...]:
    weight = getattr(layer, "weight", None)
    return tuple(weight.shape) if isinstance(weight, Tensor) else (0, 0)


def _heavy(module: nn.Module) -> bool:
    """Return whether it holds a weight matrix or kernel, rather than a scale and a shift."""
    return any(p.ndim > 1 and p.shape[0] > 1 for p in module.parameters())


def _composite(module: nn.Module) -> bool:
    """Return whether at least two of its layers hold a matrix or kernel."""
    return sum(_heavy_itself(m) for m in module.modules()) > 1


def _heavy_itself(module: nn.Module) -> bool:
    return any(p.ndim > 1 for p in module.parameters(recurse=False))


def _repeats(module: nn.Module) -> bool:
    """Return whether somewhere below blocks stand side by side in a container."""
    return any(
        isinstance(inner, PURE) and sum(map(_composite, inner.children())) > 1
        for inner in module.modules()
    )


def _units(module: nn.Module, heads: list[nn.Module]) -> Iterator[nn.Module]:
    """Yield what is moved as one: nothing that holds a head, a container or blocks side by side."""
    for child in module.children():
        holds_head = any(inner in heads for inner in child.modules())
        if child not in heads and (holds_head or type(child) in PURE or _repeats(child)):
            yield from _units(child, heads)
        else:
            yield child


def _block(
    run: list[nn.Module], names: dict[nn.Module, str], known: dict[int, str], taken: set[str]
) -> Block:
    parameters = []
    for module in run:
        for parameter in module.parameters():
            name = known[id(parameter)]
            if name not in taken:
                parameters.append(name)
                taken.add(name)
    return Block(tuple(names[module] for module in run), tuple(parameters))
