"""An LSTM that looks at an image's feature map before every word (after Xu et al. 2015).

The map A (N, H, a, a) is read as L = a² places k with H features each, A[n, :, k]. Before a step,
each place is scored by how well it fits the last hidden state (scaled dot product), and the step
gets the average of the places, weighted by the scores:

    s[n, k] = Σ_h h_{t-1}[n, h] A[n, h, k] / √H
    m[n, k] = exp s[n, k] / Σ_l exp s[n, l]
    r[n, h] = Σ_k A[n, h, k] m[n, k]
    a_t = x_t Wx + h_{t-1} Wh + r Wattn + b,   then gates, cell and h_t as in `lstm.py`

The first hidden state and the first cell are the mean of A over its places. Backward, given dr:

    dm[n, k] = Σ_h A[n, h, k] dr[n, h]
    ds[n, k] = m[n, k] (dm[n, k] - Σ_l m[n, l] dm[n, l])        (softmax)
    dA[n, h, k]    += dr[n, h] m[n, k] + ds[n, k] h_{t-1}[n, h] / √H     (one product over all t)
    dh_{t-1}[n, h] += Σ_k ds[n, k] A[n, h, k] / √H

and the gradients of both first states, divided by L, go to every place of A.
"""

import math

import torch
from torch import Tensor

from vislab.scratch import expect
from vislab.scratch.lstm import Gates, cell_backward, cell_forward
from vislab.scratch.rnn import check, over_time

Weights = tuple[Tensor, Tensor, Tensor]
Cache = tuple[Tensor, Tensor, Weights, Tensor, list[Tensor], list[Gates], list[Tensor], Tensor]


class AttentionLSTM:
    """An LSTM with scaled dot-product attention over a feature map."""

    @staticmethod
    def forward(
        x: Tensor, A: Tensor, Wx: Tensor, Wh: Tensor, Wattn: Tensor, b: Tensor
    ) -> tuple[Tensor, Cache]:
        """Take x (N, T, D) and the map A (N, H, a, a) to h (N, T, H).

        Wx is (D, 4H), Wh and Wattn are (H, 4H), b is (4H,). `attention_weights(cache)` says where
        each step looked.
        """
        expect.floats("x", x, "N, T, D")
        expect.floats("A", A, "N, H, a, a")
        expect.shape("A", A, (len(x), *A.shape[1:]), like=x)
        places = A.flatten(2)  # (N, H, L)
        h = first = places.mean(dim=2)
        check(x, first, Wx, Wh, b, gates=4)
        expect.shape("Wattn", Wattn, tuple(Wh.shape), like=x)
        from_input = x @ Wx + b  # (N, T, 4H)
        c = first
        states, cells, kept, looked, read = [], [c], [], [], []
        for t in range(x.shape[1]):
            r, m = attend(h, places)
            h, c, gates = cell_forward(from_input[:, t] + h @ Wh + r @ Wattn, c)
            states.append(h)
            cells.append(c)
            kept.append(gates)
            looked.append(m)
            read.append(r)
        out = torch.stack(states, dim=1)
        weights = (Wx, Wh, Wattn)
        return out, (x, A, weights, out, cells, kept, looked, torch.stack(read, dim=1))

    @staticmethod
    def backward(dh: Tensor, cache: Cache) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Take dh (N, T, H) to dx, dA, dWx, dWh, dWattn, db."""
        x, A, (Wx, Wh, Wattn), h, cells, kept, looked, read = cache
        expect.shape("dh", dh, tuple(h.shape), like=h)
        places = A.flatten(2)
        first = cells[0]
        before = torch.cat([first[:, None], h[:, :-1]], dim=1)  # h_{t-1} of every step
        m = torch.stack(looked, dim=1)  # (N, T, L)
        dread, ds = torch.empty_like(h), torch.empty_like(m)
        dprev_h, dprev_c = torch.zeros_like(first), torch.zeros_like(first)
        da = h.new_empty(*h.shape[:2], Wh.shape[1])
        for t in reversed(range(x.shape[1])):
            da[:, t], dprev_c = cell_backward(dh[:, t] + dprev_h, dprev_c, cells[t], kept[t])
            dread[:, t] = da[:, t] @ Wattn.T
            dlooking, ds[:, t] = attend_backward(dread[:, t], places, looked[t])
            dprev_h = da[:, t] @ Wh.T + dlooking
        # The map took part in every step, as what was read and as what was scored.
        dplaces = dread.mT @ m + before.mT @ ds  # (N, H, L)
        # Both first states are the mean over the places.
        dplaces += ((dprev_h + dprev_c) / places.shape[2])[:, :, None]
        return (
            da @ Wx.T,
            dplaces.view(A.shape),
            over_time(x, da),
            over_time(before, da),
            over_time(read, da),
            da.sum(dim=(0, 1)),
        )


def attention_weights(cache: Cache) -> Tensor:
    """Return where each step looked: (N, T, a, a), each map summing to one."""
    looked, side = cache[6], cache[1].shape[2:]
    return torch.stack(looked, dim=1).reshape(len(looked[0]), len(looked), *side)


def attend(h: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """Take h (N, H) and places (N, H, L) to what is read (N, H) and the weights (N, L)."""
    s = (h[:, None] @ places)[:, 0] / math.sqrt(h.shape[1])
    m = s.softmax(dim=1)
    return (places @ m[:, :, None])[:, :, 0], m


def attend_backward(dr: Tensor, places: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    """Take dr (N, H) to the gradients of h (N, H) and of its products with the places (N, L)."""
    dm = (dr[:, None] @ places)[:, 0]  # (N, L)
    ds = m * (dm - (m * dm).sum(dim=1, keepdim=True)) / math.sqrt(places.shape[1])
    return (places @ ds[:, :, None])[:, :, 0], ds
