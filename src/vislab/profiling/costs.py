"""What a network costs: parameters, multiply-adds, time to answer, memory."""

import resource
import statistics
import sys
import time
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from vislab.explain.hooks import hooked
from vislab.profiling.flop_counter import flop_counter
from vislab.tasks.layout import in_its_layout

PATIENCE = 1.0  # seconds spent on timing one batch size


def parameters(model: nn.Module) -> int:
    """Return the number of weights, trained or frozen, buffers not counted."""
    return sum(p.numel() for p in model.parameters())


def multiply_adds(model: nn.Module, size: int) -> int:
    """Return the multiply-adds of one S×S image, convolutions and matrix products only.

    Counted on torch's meta device, without computing anything: on the CPU a fused kernel would hide
    the attention of some transformers. Raises NotImplementedError where the work depends on what is
    seen, as in a detector of two stages.
    """
    held = (*model.named_parameters(), *model.named_buffers())
    weightless = {name: tensor.detach().to("meta") for name, tensor in held}
    kind = next((p.dtype for p in model.parameters()), torch.float32)
    image = torch.zeros(1, 3, size, size, device="meta", dtype=kind)
    with flop_counter() as counter, hooked(model, []), torch.no_grad():
        functional_call(model, weightless, (image,))
    return int(counter.get_total_flops()) // 2


def known_multiply_adds(model: nn.Module, size: int) -> int | None:
    """Return the multiply-adds, or None where they depend on what is seen."""
    try:
        return multiply_adds(model, size)
    except NotImplementedError:
        return None


def latency(model: nn.Module, size: int, batch: int, device: torch.device) -> dict[str, float]:
    """Return median and 95th percentile of a forward pass in milliseconds, after warming up."""
    images = torch.zeros(batch, 3, size, size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    taken: list[float] = []
    with hooked(model, []), torch.inference_mode():
        in_its_layout(model, lambda: [model(images) for _ in range(2)])
        begun = time.perf_counter()
        while len(taken) < 5 or (time.perf_counter() - begun < PATIENCE and len(taken) < 200):
            start = time.perf_counter()
            model(images)
            if device.type == "cuda":
                torch.cuda.synchronize()
            taken.append(1e3 * (time.perf_counter() - start))
    return {
        "median": statistics.median(taken),
        "p95": statistics.quantiles(taken, n=20, method="inclusive")[-1],
    }


def costs(model: nn.Module, size: int, device: torch.device) -> dict[str, Any]:
    """Return parameters, multiply-adds and latency at batch 1 and 64."""
    return {
        "parameters": parameters(model),
        "macs": multiply_adds(model, size),
        "latency_ms": {str(batch): latency(model, size, batch, device) for batch in (1, 64)},
        "size": size,
        "device": str(device.type),
    }


def peak_memory() -> int:
    """Return the most bytes this process has held: on the GPU where there is one, else in RAM."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
