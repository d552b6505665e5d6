"""Between the colours of a screen, sRGB, and CIELAB, in which distances are nearer to what is seen.

IEC 61966-2-1:1999 (sRGB): a value s of [0, 1] is linear light s/12.92 up to 0.04045 and
((s + 0.055)/1.055)^2.4 above; XYZ = M·(R, G, B) by the primaries of ITU-R BT.709. The standard
prints four decimal places of M; here are six, as scikit-image has them.

CIE 15:2004, section 8.2.1 (CIE 1976 L*a*b*), with white D65 of the 2° observer and t = X/X_n:

    f(t) = t^(1/3) where t > (6/29)³, else (841/108) t + 4/29
    L* = 116 f(Y/Y_n) − 16,   a* = 500 (f(X/X_n) − f(Y/Y_n)),   b* = 200 (f(Y/Y_n) − f(Z/Z_n))
"""

import torch
from jaxtyping import Float
from torch import Tensor

TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
WHITE = (0.95047, 1.0, 1.08883)
BEND = 6 / 29


def rgb_to_lab(pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return L* in [0, 100], a* (green to red) and b* (blue to yellow), each about ±100.

    Pixels are sRGB in [0, 1].
    """
    light = torch.where(
        pixels > 0.04045, ((pixels.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4, pixels / 12.92
    )
    matrix = pixels.new_tensor(TO_XYZ) / pixels.new_tensor(WHITE)[:, None]
    t = torch.einsum("dc,nchw->ndhw", matrix, light)
    bent = torch.where(t > BEND**3, t.clamp(min=BEND**3) ** (1 / 3), t / (3 * BEND**2) + 4 / 29)
    x, y, z = bent.unbind(dim=1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)


def lab_to_rgb(lab: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return sRGB pixels; colours that no screen shows are cut to [0, 1], channel by channel."""
    lightness, a, b = lab.unbind(dim=1)
    y = (lightness + 16) / 116
    bent = torch.stack((y + a / 500, y, y - b / 200), dim=1)
    t = torch.where(bent > BEND, bent**3, 3 * BEND**2 * (bent - 4 / 29))
    both = torch.tensor((*TO_XYZ, WHITE), dtype=torch.float64)
    matrix = both[:3].inverse() * both[3]  # rounded once, after the inverse
    light = torch.einsum("cd,ndhw->nchw", matrix.to(lab), t)
    pixels = torch.where(
        light > 0.0031308, 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055, light * 12.92
    )
    return pixels.clamp(0, 1)
