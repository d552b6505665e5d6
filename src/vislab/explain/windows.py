"""Where in the image the tokens of an attention are: in one row of patches, or in windows of it.

Each token has a cell of a grid over the image, or no place. So any order is told: row by row
behind a class token (ViT), blocks of neighbours, perhaps after a cyclic shift (Swin: Liu et al.
2021, arXiv:2103.14030, section 3.2), tokens that stand apart by a stride (MaxViT: Tu et al. 2022,
arXiv:2204.01697, section 3.1; MobileViT: arXiv:2110.02178).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Layout:
    """How windows × tokens make a map of rows × columns."""

    rows: int
    columns: int
    cells: Int[Tensor, "w s"]
    """The number of each token's cell, row by row; -1 for a token of no place."""
    asking: int | None = None
    """The token whose view the answer is made of, a class token; None where there is none."""

    @property
    def tokens(self) -> int:
        """Tokens that have a place."""
        return int(self.known.sum())

    @property
    def known(self) -> Bool[Tensor, "w s"]:
        """Return which tokens have a place."""
        return self.cells >= 0

    def place(self, values: Float[Tensor, "n w heads s"]) -> Float[Tensor, "n heads i j"]:
        """Put each token's value where the token is; those of no place are left out."""
        own = self.known.flatten()
        each = values.transpose(1, 2).flatten(2)  # (N, heads, W · S)
        whole = values.new_zeros(*each.shape[:2], self.rows * self.columns)
        whole[..., self.cells.flatten()[own]] = each[..., own]
        return whole.reshape(*whole.shape[:2], self.rows, self.columns)

    def apart(self) -> Float[Tensor, "w s s"]:
        """Return how far the tokens of each window are from each other, in places."""
        down, across = self.cells // self.columns, self.cells % self.columns
        where = torch.stack([down, across], dim=2).float()
        return torch.cdist(where, where)

    def asked_by(self, reads: Float[Tensor, " s"] | None) -> "Layout":
        """Return the layout with the class token: the first of no place that the answer reads.

        `reads` says how much the answer depends on each; None where that is not known.
        """
        extra = ~self.known[0]
        if reads is not None:
            extra = extra & (reads > 1e-6 * reads.max())
        return replace(self, asking=int(extra.int().argmax()) if bool(extra.any()) else None)


def in_rows(rows: int, columns: int, *, front: int = 0, behind: int = 0) -> Layout:
    """Return the layout of one window, row by row between tokens of no place.

    The first of those is the class token.
    """
    nowhere = [torch.full((extra,), -1) for extra in (front, behind)]
    cells = torch.cat([nowhere[0], torch.arange(rows * columns), nowhere[1]])
    return Layout(rows, columns, cells[None]).asked_by(None)
