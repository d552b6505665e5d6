"""The penalty on large weights, in the two forms that the courses write.

    Michigan ("full"):  R = reg · Σ W²       dW = 2 reg W
    Stanford ("half"):  R = ½ reg · Σ W²     dW = reg W

Biases are not penalised.
"""

from torch import Tensor

from vislab.errors import pick
from vislab.scratch import expect

FACTORS = {"full": 1.0, "half": 0.5}


def penalty(W: Tensor, reg: float, l2_convention: str = "full") -> tuple[float, Tensor]:
    """Return the penalty on W and its gradient. Raises UnknownName for another convention."""
    factor = pick(FACTORS, l2_convention, "l2_convention")
    expect.option("reg", reg, low=0)
    return factor * reg * float((W * W).sum()), 2 * factor * reg * W
