"""Cross-correlation and its two adjoints: the linear primitives below `Conv`.

With stride s, padding p, x extended by p zeros on each side, and kernel taps (i, j):

    out[n, f, y, x'] = Σ_c,i,j  x[n, c, y s + i - p, x' s + j - p] w[f, c, i, j]

This is linear in x and linear in w. The gradient with respect to one of them is therefore the same
sum read the other way round: every term hands dout back to the factor it came from.

    dx[n, c, u, v]  = Σ_f,i,j  dout[n, f, (u + p - i) / s, (v + p - j) / s] w[f, c, i, j]
                      over the taps for which both divisions come out even
    dw[f, c, i, j]  = Σ_n,y,x' dout[n, f, y, x'] x[n, c, y s + i - p, x' s + j - p]

The first is what the field calls a transposed convolution. The second is itself a correlation, of
x with dout as its kernel, in which images and channels have changed places and dout's pixels lie
s apart (a dilation). For few channels one matrix product a kernel row is faster.
"""

import torch
from torch import Tensor

# Up to here the pixels of x, copied once a kernel column, cost less than the swapped correlation.
FEW_CHANNELS = 32


def correlate(x: Tensor, w: Tensor, b: Tensor | None, stride: int, pad: int) -> Tensor:
    """Return out (N, F, H', W')."""
    return torch.conv2d(x, w, b, stride, pad)


def gradient_of_input(
    dout: Tensor, w: Tensor, size: tuple[int, int], stride: int, pad: int
) -> Tensor:
    """Return dx (N, C, *size)."""
    # A stride may leave the last rows of x unused; they are not in dout's span and get zero.
    unused = [
        (side + 2 * pad - kernel) % stride for side, kernel in zip(size, w.shape[2:], strict=True)
    ]
    return torch.conv_transpose2d(dout, w, None, stride, pad, unused)


def gradient_of_kernel(
    dout: Tensor, x: Tensor, kernel: tuple[int, int], stride: int, pad: int
) -> Tensor:
    """Return dw (F, C, *kernel)."""
    if x.shape[1] <= FEW_CHANNELS:
        return _by_kernel_rows(dout, x, kernel, stride, pad)
    swapped = torch.conv2d(x.transpose(0, 1), dout.transpose(0, 1), None, 1, pad, stride)
    return swapped[:, :, : kernel[0], : kernel[1]].transpose(0, 1)  # (F, C, I, J)


def _by_kernel_rows(
    dout: Tensor, x: Tensor, kernel: tuple[int, int], stride: int, pad: int
) -> Tensor:
    """Return dw as one matrix product an image and kernel row, summed over images."""
    n, f, high, wide = dout.shape
    c = x.shape[1]
    padded = torch.constant_pad_nd(x, (pad, pad, pad, pad))
    span = stride * (wide - 1) + 1
    # columns[n, c, j, u, x'] = padded x[n, c, u, x' s + j]
    columns = torch.stack([padded[..., j : j + span : stride] for j in range(kernel[1])], dim=2)
    flat = dout.reshape(n, f, high * wide).transpose(1, 2)  # (N, H' W', F)
    dw = x.new_empty(kernel[0], c, kernel[1], f)
    for i in range(kernel[0]):
        rows = columns[..., i : i + stride * (high - 1) + 1 : stride, :]
        taken = rows.reshape(n, c * kernel[1], high * wide)  # a view when the stride is 1
        dw[i] = torch.bmm(taken, flat).sum(dim=0).view(c, kernel[1], f)
    return dw.permute(3, 1, 0, 2)
