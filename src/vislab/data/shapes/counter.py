"""Random numbers without a state: each is a hash of (seed, index, name, place).

A generator with a state must be run through to reach image 50 000, and a batch would change the
images after it. A counter hashed into a number (Salmon et al. 2011, "Parallel random numbers: as
easy as 1, 2, 3") can be asked for any index, in any order. The hash is the finaliser of
SplitMix64 (Steele, Lea, Flood 2014, figure 16). Whole-number arithmetic modulo 2⁶⁴ is the same on
every machine.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vislab.errors import OptionError

Counts = NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2⁶⁴ / golden ratio: spreads consecutive counters
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)


def mix(counts: Counts) -> Counts:
    """Return SplitMix64's finaliser of each count: one bit in changes about half the bits out."""
    z = counts ^ (counts >> np.uint64(30))
    z *= FIRST
    z ^= z >> np.uint64(27)
    z *= SECOND
    z ^= z >> np.uint64(31)
    return z


def name_key(name: str) -> int:
    """Return the 64-bit FNV-1a hash of a name; Python's own hash differs from run to run."""
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = (key ^ byte) * 0x100000001B3 % 2**64
    return key


@dataclass(frozen=True, eq=False)
class Draws:
    """Named random columns of N scenes; asking twice for one name gives the same numbers twice."""

    key: Counts  # (N,)

    def bits(self, name: str, *shape: int) -> Counts:
        """Return 64 random bits for every scene and place, (N, *shape)."""
        places = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint64)
        places = mix(places * GOLDEN + np.uint64(name_key(name)))  # (places,)
        return mix(self.key[:, None] ^ places).reshape(len(self.key), *shape)

    def uniform(
        self, name: str, *shape: int, low: float = 0.0, high: float = 1.0
    ) -> NDArray[np.float32]:
        """Return numbers in [low, high), of 24 random bits each, (N, *shape)."""
        unit = (self.bits(name, *shape) >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
        return np.float32(low) + unit * np.float32(high - low)

    def below(self, name: str, bound: int, *shape: int) -> NDArray[np.int64]:
        """Return whole numbers in [0, bound), (N, *shape)."""
        high_half = self.bits(name, *shape) >> np.uint64(32)
        return (high_half * np.uint64(bound) >> np.uint64(32)).astype(np.int64)

    def direction(
        self, name: str, *shape: int, reach: float = 2**0.5 - 1, turned: bool = True
    ) -> NDArray[np.float32]:
        """Return unit vectors (cos a, sin a), (N, *shape, 2), without a sine.

        With t uniform in ±`reach` the angle is a = 2·arctan t, so the default reach is ±45°;
        `turned` adds none to three quarter turns, which then covers every direction.
        """
        t = self.uniform(name, *shape, low=-reach, high=reach)
        square = t * t
        cosine, sine = (1 - square) / (1 + square), 2 * t / (1 + square)
        if turned:
            turns = self.below(f"{name}/turns", 4, *shape)
            cosine, sine = np.where(turns % 2 == 1, (-sine, cosine), (cosine, sine))
            flip = np.where(turns >= 2, np.float32(-1), np.float32(1))
            cosine, sine = cosine * flip, sine * flip
        return np.stack([cosine, sine], axis=-1)


def draws(indices: NDArray[np.int64], seed: int, purpose: str) -> Draws:
    """Return the random columns of the scenes at `indices` (N,), which are not negative.

    Raises OptionError for a seed outside [0, 2⁶⁴).
    """
    if not 0 <= seed < 2**64:
        raise OptionError(f"seed={seed} is not in [0, 2⁶⁴); use a non-negative whole number")
    start = np.array([seed ^ name_key(purpose)], dtype=np.uint64)
    return Draws(mix(mix(start) + indices.astype(np.uint64) * GOLDEN))
