"""The plain recurrent layer, and back-propagation through time (Werbos 1990).

One step, from the input x_t (N, D) and the last hidden state h_{t-1} (N, H):

    a_t = x_t Wx + h_{t-1} Wh + b          h_t = tanh(a_t)

Since tanh' = 1 - tanh², a step takes dh_t back to

    da_t = dh_t (1 - h_t²)
    dx_t = da_t Wxᵀ        dh_{t-1} = da_t Whᵀ
    dWx += x_tᵀ da_t       dWh += h_{t-1}ᵀ da_t       db += Σ_n da_t

h_t goes two ways, out of the layer and into step t+1, so its gradient is the sum of both. The
gradient that reaches step t has been multiplied by Whᵀ and by 1 - h² once for each step after t:
it vanishes or explodes with the length of the sequence.

Only h needs the time loop. x Wx, dx, dWx, dWh and db are one matrix product over all steps.
"""

import torch
from torch import Tensor

from vislab.scratch import expect

StepCache = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
Cache = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
Gradients = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class RNN:
    """h_t = tanh(x_t Wx + h_{t-1} Wh + b)."""

    @staticmethod
    def step_forward(
        x: Tensor, prev_h: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor
    ) -> tuple[Tensor, StepCache]:
        """Take x (N, D), prev_h (N, H), Wx (D, H), Wh (H, H), b (H,) to next_h (N, H)."""
        expect.floats("x", x, "N, D")
        check(x, prev_h, Wx, Wh, b, gates=1, name="prev_h")
        next_h = torch.tanh(x @ Wx + prev_h @ Wh + b)
        return next_h, (x, prev_h, Wx, Wh, next_h)

    @staticmethod
    def step_backward(dnext_h: Tensor, cache: StepCache) -> Gradients:
        """Take dnext_h (N, H) to dx, dprev_h, dWx, dWh, db."""
        x, prev_h, Wx, Wh, next_h = cache
        expect.shape("dnext_h", dnext_h, tuple(next_h.shape), like=next_h)
        da = dnext_h * (1 - next_h**2)
        return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(dim=0)

    @staticmethod
    def forward(x: Tensor, h0: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor) -> tuple[Tensor, Cache]:
        """Take x (N, T, D) and h0 (N, H) to h (N, T, H), the hidden state of every step."""
        expect.floats("x", x, "N, T, D")
        check(x, h0, Wx, Wh, b, gates=1)
        from_input = x @ Wx + b  # (N, T, H)
        h, states = h0, []
        for t in range(x.shape[1]):
            h = torch.tanh(from_input[:, t] + h @ Wh)
            states.append(h)
        out = torch.stack(states, dim=1)
        return out, (x, h0, Wx, Wh, out)

    @staticmethod
    def backward(dh: Tensor, cache: Cache) -> Gradients:
        """Take dh (N, T, H), from above for every step, to dx, dh0, dWx, dWh, db."""
        x, h0, Wx, Wh, h = cache
        expect.shape("dh", dh, tuple(h.shape), like=h)
        slope = 1 - h**2
        dprev_h = torch.zeros_like(h0)
        steps = []
        for t in reversed(range(x.shape[1])):
            da = (dh[:, t] + dprev_h) * slope[:, t]
            dprev_h = da @ Wh.T
            steps.append(da)
        da = torch.stack(steps[::-1], dim=1)  # (N, T, H)
        before = torch.cat([h0[:, None], h[:, :-1]], dim=1)  # h_{t-1} of every step
        return da @ Wx.T, dprev_h, over_time(x, da), over_time(before, da), da.sum(dim=(0, 1))


def over_time(x: Tensor, da: Tensor) -> Tensor:
    """Return Σ_t x_tᵀ da_t for x (N, T, D) and da (N, T, M): one product, (D, M)."""
    return x.flatten(0, 1).T @ da.flatten(0, 1)


def check(
    x: Tensor, h: Tensor, Wx: Tensor, Wh: Tensor, b: Tensor, *, gates: int, name: str = "h0"
) -> None:
    """Ask for weights that fit x (N, ..., D) and h (N, H), which is called `name`."""
    expect.floats(name, h, "N, H")
    width = h.shape[1]
    expect.shape(name, h, (len(x), width), like=x)
    expect.shape("Wx", Wx, (x.shape[-1], gates * width), like=x)
    expect.shape("Wh", Wh, (width, gates * width), like=x)
    expect.shape("b", b, (gates * width,), like=x)
    if x.ndim == 3 and x.shape[1] == 0:
        expect.option("the number of steps in x", 0, low=1)
