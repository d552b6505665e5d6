"""Which of several processes this is. `torchrun` starts them and tells each its number."""

import os
from typing import Any

import torch
from torch import distributed


def world_size() -> int:
    """Return how many processes train together; 1 outside `torchrun`."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return this process's number, from 0."""
    return int(os.environ.get("RANK", "0"))


def join() -> None:
    """Meet the other processes: NCCL where each has a GPU, gloo on the CPU."""
    if world_size() > 1 and not distributed.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def share(value: Any) -> Any:
    """Return the first process's value in all of them."""
    if world_size() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def gather(value: Any) -> list[Any]:
    """Return the values of all processes, in order, in all of them."""
    if world_size() == 1:
        return [value]
    box: list[Any] = [None] * world_size()
    distributed.all_gather_object(box, value)
    return box


def wait() -> None:
    """Wait until all processes are here."""
    if world_size() > 1:
        distributed.barrier()


def device() -> torch.device:
    """Return what this process computes on: its GPU, Apple's GPU, or the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
