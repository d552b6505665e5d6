"""Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).

One step, from x_t (N, D), h_{t-1} and c_{t-1} (N, H). The four parts of a_t (N, 4H) stand in the
order input, forget, output, candidate:

    a = x_t Wx + h_{t-1} Wh + b
    i = σ(a_i)    f = σ(a_f)    o = σ(a_o)    g = tanh(a_g)
    c_t = f c_{t-1} + i g
    h_t = o tanh(c_t)

Backward, with dh_t from above and from step t+1, dc_t from step t+1, and m = tanh(c_t):

    dc += dh o (1 - m²)                       (σ' = σ (1 - σ), tanh' = 1 - tanh²)
    da_i = dc g i (1 - i)         da_f = dc c_{t-1} f (1 - f)
    da_o = dh m o (1 - o)         da_g = dc i (1 - g²)
    dc_{t-1} = dc f

and from da on as in `rnn.py`. Along the cell, dc is multiplied by f only, not by a matrix and not
by a slope: where f is near 1, the gradient neither vanishes nor explodes on that path.

torch.nn.LSTM orders its gates input, forget, candidate, output, and has two biases.
"""

import torch
from torch import Tensor

from vislab.scratch import expect
from vislab.scratch.rnn import check, over_time

Gates = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
StepCache = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Gates]
Cache = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, list[Tensor], list[Gates]]


class LSTM:
    """A recurrent layer whose memory c is changed by adding."""

    @staticmethod
    def step_forward(
        x: Tensor, prev_h: Tensor, prev_c: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor
    ) -> tuple[Tensor, Tensor, StepCache]:
        """Take x (N, D), prev_h and prev_c (N, H), Wx (D, 4H), Wh (H, 4H), b (4H,) on by a step.

        Returns next_h (N, H), next_c (N, H) and the cache.
        """
        expect.floats("x", x, "N, D")
        check(x, prev_h, Wx, Wh, b, gates=4, name="prev_h")
        expect.shape("prev_c", prev_c, tuple(prev_h.shape), like=x)
        next_h, next_c, gates = cell_forward(x @ Wx + prev_h @ Wh + b, prev_c)
        return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, gates)

    @staticmethod
    def step_backward(
        dnext_h: Tensor, dnext_c: Tensor, cache: StepCache
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Take dnext_h and dnext_c (N, H) to dx, dprev_h, dprev_c, dWx, dWh, db."""
        x, prev_h, prev_c, Wx, Wh, gates = cache
        expect.shape("dnext_h", dnext_h, tuple(prev_h.shape), like=x)
        expect.shape("dnext_c", dnext_c, tuple(prev_c.shape), like=x)
        da, dprev_c = cell_backward(dnext_h, dnext_c, prev_c, gates)
        return da @ Wx.T, da @ Wh.T, dprev_c, x.T @ da, prev_h.T @ da, da.sum(dim=0)

    @staticmethod
    def forward(x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> tuple[Tensor, Cache]:
        """Take x (N, T, D) and h0 (N, H) to h (N, T, H); the first cell is zero."""
        expect.floats("x", x, "N, T, D")
        check(x, h0, Wx, Wh, b, gates=4)
        from_input = x @ Wx + b  # (N, T, 4H)
        h, c = h0, torch.zeros_like(h0)
        states, cells, kept = [], [c], []
        for t in range(x.shape[1]):
            h, c, gates = cell_forward(from_input[:, t] + h @ Wh, c)
            states.append(h)
            cells.append(c)
            kept.append(gates)
        out = torch.stack(states, dim=1)
        return out, (x, h0, Wx, Wh, out, cells, kept)

    @staticmethod
    def backward(dh: Tensor, cache: Cache) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Take dh (N, T, H), from above for every step, to dx, dh0, dWx, dWh, db."""
        x, h0, Wx, Wh, h, cells, kept = cache
        expect.shape("dh", dh, tuple(h.shape), like=h)
        dprev_h, dprev_c = torch.zeros_like(h0), torch.zeros_like(h0)
        da = h.new_empty(*h.shape[:2], Wh.shape[1])  # (N, T, 4H)
        for t in reversed(range(x.shape[1])):
            da[:, t], dprev_c = cell_backward(dh[:, t] + dprev_h, dprev_c, cells[t], kept[t])
            dprev_h = da[:, t] @ Wh.T
        before = torch.cat([h0[:, None], h[:, :-1]], dim=1)  # h_{t-1} of every step
        return da @ Wx.T, dprev_h, over_time(x, da), over_time(before, da), da.sum(dim=(0, 1))


def cell_forward(a: Tensor, prev_c: Tensor) -> tuple[Tensor, Tensor, Gates]:
    """Take a (N, 4H) and prev_c (N, H) to next_h, next_c and the gates i, f, o, g, tanh(c)."""
    width = prev_c.shape[1]
    i, f, o = torch.sigmoid(a[:, : 3 * width]).chunk(3, dim=1)
    g = torch.tanh(a[:, 3 * width :])
    next_c = f * prev_c + i * g
    m = torch.tanh(next_c)
    return o * m, next_c, (i, f, o, g, m)


def cell_backward(
    dh: Tensor, dnext_c: Tensor, prev_c: Tensor, gates: Gates
) -> tuple[Tensor, Tensor]:
    """Take dh and dnext_c (N, H) to da (N, 4H) and dprev_c (N, H)."""
    i, f, o, g, m = gates
    dc = dnext_c + dh * o * (1 - m * m)
    da = torch.cat(
        [
            dc * g * i * (1 - i),
            dc * prev_c * f * (1 - f),
            dh * m * o * (1 - o),
            dc * i * (1 - g * g),
        ],
        dim=1,
    )
    return da, dc * f
