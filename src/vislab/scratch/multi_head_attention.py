"""Multi-head self-attention (Vaswani et al. 2017, arXiv 1706.03762, section 3.2).

x (N, T, D) is taken to queries, keys and values; D is cut into heads of d = D / heads numbers.
For each image n and head:

    [q k v] = x Wqkv + bqkv
    s[t, u] = Σ_d q[t, d] k[u, d] / √d
    m[t, u] = exp s[t, u] / Σ_w exp s[t, w]
    z[t, d] = Σ_u m[t, u] v[u, d]
    out = [z of all heads] Wout + bout

Backward, for dz of one head:

    dv[u, d] = Σ_t m[t, u] dz[t, d]          dm[t, u] = Σ_d dz[t, d] v[u, d]
    ds[t, u] = m[t, u] (dm[t, u] - Σ_w m[t, w] dm[t, w])
    dq[t, d] = Σ_u ds[t, u] k[u, d] / √d     dk[u, d] = Σ_t ds[t, u] q[t, d] / √d

The three parts of Wqkv's columns are queries, keys, values, as in torch.nn.MultiheadAttention,
which keeps the transpose.
"""

import math
from typing import Any

import torch
from torch import Tensor

from vislab.errors import OptionError
from vislab.scratch import expect
from vislab.scratch.temporal_linear import TemporalLinear

Cache = tuple[Tensor, Tensor, Tensor, Tensor, Any, Any]  # the last two are TemporalLinear's


class MultiHeadAttention:
    """Every token looks at every token, once a head."""

    @staticmethod
    def forward(
        x: Tensor, Wqkv: Tensor, bqkv: Tensor, Wout: Tensor, bout: Tensor, heads: int = 1
    ) -> tuple[Tensor, Cache]:
        """Take x (N, T, D), Wqkv (D, 3D), bqkv (3D,), Wout (D, D), bout (D,) to out (N, T, D)."""
        expect.floats("x", x, "N, T, D")
        width = x.shape[2]
        expect.shape("Wqkv", Wqkv, (width, 3 * width), like=x)
        expect.shape("Wout", Wout, (width, width), like=x)
        if heads < 1 or width % heads:
            raise OptionError(f"heads is {heads}, wanted a divisor of the {width} features of x")
        joined, into = TemporalLinear.forward(x, Wqkv, bqkv)
        q, k, v = (_split(part, heads) for part in joined.chunk(3, dim=2))  # (N, heads, T, d)
        m = (q @ k.mT / math.sqrt(q.shape[3])).softmax(dim=3)
        out, out_of = TemporalLinear.forward(_join(m @ v), Wout, bout)
        return out, (q, k, v, m, into, out_of)

    @staticmethod
    def backward(dout: Tensor, cache: Cache) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Take dout (N, T, D) to dx, dWqkv, dbqkv, dWout, dbout."""
        q, k, v, m, into, out_of = cache
        dz, dWout, dbout = TemporalLinear.backward(dout, out_of)
        dz = _split(dz, q.shape[1])
        dv, dm = m.mT @ dz, dz @ v.mT
        ds = m * (dm - (m * dm).sum(dim=3, keepdim=True)) / math.sqrt(q.shape[3])
        dq, dk = ds @ k, ds.mT @ q
        djoined = torch.cat([_join(part) for part in (dq, dk, dv)], dim=2)
        dx, dWqkv, dbqkv = TemporalLinear.backward(djoined, into)
        return dx, dWqkv, dbqkv, dWout, dbout


def _split(x: Tensor, heads: int) -> Tensor:
    """Take (N, T, D) to (N, heads, T, d)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def _join(x: Tensor) -> Tensor:
    """Take (N, heads, T, d) to (N, T, D)."""
    return x.transpose(1, 2).flatten(2)
