"""Randomness as a function of a key, such as (seed, epoch, step), never of what was drawn before.

Because nothing depends on history, a run that continues after a kill draws what it would have
drawn, and a batch split over several processes draws what one process would have drawn.
"""

import hashlib

import torch


def seed_of(*key: int | str) -> int:
    """Return a 63-bit seed that any change of the key changes. (1, 23) and (12, 3) differ."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big") >> 1


def generator(*key: int | str) -> torch.Generator:
    """Return a fresh CPU generator for the key."""
    return torch.Generator().manual_seed(seed_of(*key))
