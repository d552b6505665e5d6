"""The linear layer at every time step, with the same weights.

    out[n, t, m] = Σ_d x[n, t, d] w[d, m] + b[m]

Time is one more batch axis, so forward and backward are those of `Linear` with N T rows.
"""

from torch import Tensor

from vislab.scratch import expect
from vislab.scratch.linear import Cache, Linear


class TemporalLinear:
    """out = x w + b at every step."""

    @staticmethod
    def forward(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, tuple[int, Cache]]:
        """Take x (N, T, D), w (D, M) and b (M,) to out (N, T, M)."""
        expect.floats("x", x, "N, T, D")
        out, cache = Linear.forward(x.flatten(0, 1), w, b)
        return out.view(*x.shape[:2], -1), (x.shape[1], cache)

    @staticmethod
    def backward(dout: Tensor, cache: tuple[int, Cache]) -> tuple[Tensor, Tensor, Tensor]:
        """Take dout (N, T, M) to dx (N, T, D), dw (D, M), db (M,)."""
        steps, inner = cache
        expect.shape(
            "dout", dout, (len(inner[0]) // steps, steps, inner[1].shape[1]), like=inner[0]
        )
        dx, dw, db = Linear.backward(dout.flatten(0, 1), inner)
        return dx.view(-1, steps, dx.shape[1]), dw, db
