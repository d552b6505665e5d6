"""The linear layer, also called affine or fully connected.

Forward, with each input flattened to D numbers:

    out[n, m] = Σ_d x[n, d] w[d, m] + b[m]

Backward, for a loss L whose gradient dout[n, m] = ∂L/∂out[n, m] comes from above. By the chain
rule every gradient sums dout over all the outputs that the number took part in:

    dx[n, d] = Σ_m dout[n, m] ∂out[n, m]/∂x[n, d] = Σ_m dout[n, m] w[d, m]
    dw[d, m] = Σ_n dout[n, m] ∂out[n, m]/∂w[d, m] = Σ_n x[n, d] dout[n, m]
    db[m]    = Σ_n dout[n, m]

Note w's layout, (D, M): torch.nn.Linear keeps the transpose.
"""

from torch import Tensor

from vislab.scratch import expect

Cache = tuple[Tensor, Tensor]


class Linear:
    """out = x w + b."""

    @staticmethod
    def forward(x: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Cache]:
        """Take x (N, d1, ..., dk) flattened to (N, D), w (D, M) and b (M,) to out (N, M)."""
        expect.floats("x", x, "N, ...")
        expect.floats("w", w, "D, M")
        flat = x.reshape(len(x), -1)
        expect.shape("w", w, (flat.shape[1], w.shape[1]), like=x)
        expect.shape("b", b, (w.shape[1],), like=x)
        return flat @ w + b, (x, w)

    @staticmethod
    def backward(
        dout: Tensor, cache: Cache, *, first: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take dout (N, M) to dx of x's shape, dw (D, M), db (M,).

        In the `first` layer of a network nothing below needs dx: it is left out, and empty.
        """
        x, w = cache
        expect.shape("dout", dout, (len(x), w.shape[1]), like=x)
        dx = dout.new_empty(0) if first else (dout @ w.T).reshape(x.shape)
        dw = x.reshape(len(x), -1).T @ dout
        db = dout.sum(dim=0)
        return dx, dw, db
