"""The convolution layer: what the field calls convolution is cross-correlation, w is not mirrored.

    out[n, f, y, x'] = Σ_c,i,j x[n, c, y s + i - p, x' s + j - p] w[f, c, i, j] + b[f]

with stride s, padding p, and H' = 1 + (H + 2 p - HH) // s rows, W' likewise. Backward:

    dx, dw : the two adjoints of the correlation, derived in `correlation.py`
    db[f]  = Σ_n,y,x' dout[n, f, y, x']
"""

from torch import Tensor

from vislab.errors import ShapeError
from vislab.scratch import expect
from vislab.scratch.correlation import correlate, gradient_of_input, gradient_of_kernel

Cache = tuple[Tensor, Tensor, int, int]


class Conv:
    """Cross-correlate every image with F kernels and add a bias a kernel."""

    @staticmethod
    def forward(
        x: Tensor, w: Tensor, b: Tensor, stride: int = 1, pad: int = 0
    ) -> tuple[Tensor, Cache]:
        """Take x (N, C, H, W), w (F, C, HH, WW) and b (F,) to out (N, F, H', W')."""
        expect.floats("x", x, "N, C, H, W")
        expect.floats("w", w, "F, C, HH, WW")
        expect.shape("w", w, (len(w), x.shape[1], *w.shape[2:]), like=x)
        expect.shape("b", b, (len(w),), like=x)
        expect.option("stride", stride, low=1)
        expect.option("pad", pad, low=0)
        high, wide = (side + 2 * pad for side in x.shape[2:])
        if w.shape[2] > high or w.shape[3] > wide:
            raise ShapeError(
                f"w has kernels of {w.shape[2]}×{w.shape[3]}, larger than x with its padding, "
                f"{high}×{wide}; use smaller kernels or a larger pad"
            )
        return correlate(x, w, b, stride, pad), (x, w, stride, pad)

    @staticmethod
    def backward(
        dout: Tensor, cache: Cache, *, first: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Take dout (N, F, H', W') to dx (N, C, H, W), dw (F, C, HH, WW), db (F,).

        In the `first` layer of a network nothing below needs dx: it is left out, and empty.
        """
        x, w, stride, pad = cache
        (n, _, h, wide), (f, _, kernel_h, kernel_w) = x.shape, w.shape
        rows = 1 + (h + 2 * pad - kernel_h) // stride
        columns = 1 + (wide + 2 * pad - kernel_w) // stride
        expect.shape("dout", dout, (n, f, rows, columns), like=x)
        dx = dout.new_empty(0)
        if not first:
            dx = gradient_of_input(dout, w, (h, wide), stride, pad)
        dw = gradient_of_kernel(dout, x, (kernel_h, kernel_w), stride, pad)
        db = dout.sum(dim=(0, 2, 3))
        return dx, dw, db
