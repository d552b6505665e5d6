"""Images that look alike: saved again, resized, lit a little otherwise.

They are found by a 64-bit perceptual hash, h_k = [c_k > 0], where c are the 64 lowest frequencies,
without the mean, of the 2-D cosine transform of the image in 32×32 greys. Zauner 2010,
"Implementation and Benchmarking of Perceptual Image Hash Functions", section 3.2.1, has an 8×8
block cut at its median instead. Two images count when their hashes differ in at most `DISTANCE`
bits *and* their 16×16 greys correlate: the hash alone takes any two upright strokes for the same
digit. Cropped, mirrored or turned copies are not found.
"""

from itertools import pairwise

import numpy as np
import scipy.fft
from jaxtyping import Float32, Int, UInt8, UInt64

DISTANCE = 6  # bits of 64
LIKENESS = 0.95  # correlation of 16×16 greys; on CIFAR-10 every pair looked at was the same photo
MOST_PAIRS = 50_000


def perceptual_hashes(
    small: UInt8[np.ndarray, "m 32 32 3"],
) -> tuple[UInt64[np.ndarray, " m"], UInt8[np.ndarray, "m 256"], Float32[np.ndarray, " m"]]:
    """Return the hash, the 16×16 greys and the contrast (standard deviation) of RGB images."""
    grey = small.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    squares = np.arange(32) ** 2
    lowest = np.argsort(np.add.outer(squares, squares), axis=None, kind="stable")[1:65]
    waves = scipy.fft.dctn(grey, axes=(1, 2), norm="ortho").reshape(-1, 1024)  # (M, 1024)
    bits = np.ascontiguousarray(np.packbits(waves[:, lowest] > 0, axis=1))  # (M, 8)
    greys = np.round(grey.reshape(-1, 16, 2, 16, 2).mean(axis=(2, 4))).astype(np.uint8)
    return bits.view(np.uint64)[:, 0], greys.reshape(-1, 256), grey.std(axis=(1, 2))


def near_pairs(
    hashes: UInt64[np.ndarray, " n"], greys: UInt8[np.ndarray, "n 256"], *, most: int = MOST_PAIRS
) -> tuple[Int[np.ndarray, "m 2"], bool]:
    """Return pairs of rows that look alike, likest first, and whether these are all.

    The 64 bits are cut into `DISTANCE` + 1 bands: two hashes that differ in at most `DISTANCE` bits
    agree in one band at least, so only rows that agree in a band, neighbours once sorted by it, are
    compared. Memory grows with n and `most`, never with n²; the search stops after `most` pairs.
    """
    cuts = np.linspace(0, 64, DISTANCE + 2).round().astype(int)
    bands = [np.uint64(sum(1 << int(bit) for bit in range(a, b))) for a, b in pairwise(cuts)]
    found: list[tuple[np.ndarray, np.ndarray]] = []
    total = compared = 0
    for number, band in enumerate(bands):
        keys = hashes & band
        order = np.argsort(keys, kind="stable")
        keys, ordered = keys[order], hashes[order]
        left, step = np.arange(len(order)), 0
        while len(left):
            step += 1
            left = left[: np.searchsorted(left, len(order) - step)]
            left = left[keys[left] == keys[left + step]]
            apart = ordered[left] ^ ordered[left + step]
            match = np.bitwise_count(apart) <= DISTANCE
            for earlier in bands[:number]:  # a pair that agrees there was compared there
                match &= (apart & earlier) != 0
            pairs = np.stack([order[left[match]], order[left[match] + step]], axis=1)
            likeness = _likeness(greys, pairs)
            alike = likeness >= LIKENESS
            found.append((pairs[alike], likeness[alike]))
            total += int(alike.sum())
            compared += len(pairs)
            if total > most or compared > 100 * most:
                return _likest_first(found)[:most], False
    return _likest_first(found), True


def _likest_first(
    found: list[tuple[np.ndarray, np.ndarray]],
) -> Int[np.ndarray, "m 2"]:
    pairs = np.concatenate([np.zeros((0, 2), dtype=np.int64), *(pairs for pairs, _ in found)])
    likeness = np.concatenate([np.zeros(0, dtype=np.float32), *(likeness for _, likeness in found)])
    pairs.sort(axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0], -likeness))]


def _likeness(
    greys: UInt8[np.ndarray, "n 256"], pairs: Int[np.ndarray, "m 2"]
) -> Float32[np.ndarray, " m"]:
    """Return the correlation of the greys of each pair: 1 for the same image or a lighter one."""
    out = np.zeros(len(pairs), dtype=np.float32)
    for start in range(0, len(pairs), 4096):
        both = greys[pairs[start : start + 4096]].astype(np.float32)  # (m, 2, 256)
        both -= both.mean(axis=2, keepdims=True)
        lengths = np.linalg.norm(both, axis=2).prod(axis=1)
        out[start : start + 4096] = (both[:, 0] * both[:, 1]).sum(axis=1) / (lengths + 1e-6)
    return out
