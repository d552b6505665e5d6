"""t-SNE: a map on which pictures that are near in features are near (van der Maaten & Hinton 2008).

The repulsion of all pairs is interpolated from a grid, on which it is a convolution (Linderman et
al. 2019, arXiv:1712.09005, section 2): the time grows with the number of points, not its square.
Here the interpolation is by cubic polynomials of the four nearest nodes on each axis. The learning
rate is that of Belkina et al. 2019 (doi:10.1038/s41467-019-13055-y), the start a scaled PCA. While
attraction is exaggerated a step is a quarter of that: with whole ones the map flies apart.
"""

import math

import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from vislab.errors import OptionError
from vislab.explain.neighbours import nearest
from vislab.progress import track

EARLY, LATE = 250, 600  # steps with and without exaggeration
EXAGGERATION, MOMENTUM = 12.0, 0.8
STEP = 0.5  # between nodes of the grid, where the kernel's width is 1; finer while the map is small
FEW = 800  # points of which all pairs are quicker than the grid
FEWEST_NODES = 60  # on an axis


def embedded(
    features: Float[Tensor, "n d"], start: Float[Tensor, "n 2"], perplexity: float
) -> Float[Tensor, "n 2"]:
    """Return the map that descends from `start`, whose scale does not matter."""
    count = len(features)
    attraction, repulsion = Attraction(count, *affinities(features, perplexity)), Repulsion()
    points = 1e-4 * (start - start.mean(dim=0)) / start[:, 0].std().clamp_min(1e-12)
    rate = max(count / EXAGGERATION, 50.0)
    speed, gain = torch.zeros_like(points), torch.ones_like(points)
    with track("t-SNE", total=EARLY + LATE) as advance:
        for step in range(EARLY + LATE):
            pull = attraction(points) * (EXAGGERATION if step < EARLY else 1.0)
            slope = (pull - repulsion(points)) * (1.0 if step < EARLY else 4.0)
            gain = torch.where(slope * speed < 0, gain + 0.2, 0.8 * gain).clamp_min(0.01)
            speed = MOMENTUM * speed - rate * gain * slope
            points = points + speed
            points = points - points.mean(dim=0)
            advance(1)
    return points


def affinities(
    features: Float[Tensor, "n d"], perplexity: float
) -> tuple[Int[Tensor, " e"], Int[Tensor, " e"], Float[Tensor, " e"]]:
    """Return the pairs (row, column) and how near they are, both ways, summing to one.

    Each point's bandwidth is searched for so that its neighbours have the perplexity.
    """
    count = len(features)
    near = min(count - 1, int(3 * perplexity))
    distances, found = nearest(features, near)
    squares = distances.double().square()
    squares = squares - squares[:, :1]  # shifts cancel, and the nearest never underflows
    low, high = torch.zeros(count, 1).double(), torch.full((count, 1), math.inf).double()
    sharpness = 1 / squares.mean(dim=1, keepdim=True).clamp_min(1e-12)
    for _ in range(45):
        shares = (-sharpness * squares).softmax(dim=1)
        entropy = torch.special.entr(shares).sum(dim=1, keepdim=True)
        wide = entropy > math.log(perplexity)
        low, high = torch.where(wide, sharpness, low), torch.where(wide, high, sharpness)
        sharpness = torch.where(high.isinf(), 2 * sharpness, (low + high) / 2).clamp_max(1e30)
    ahead = torch.arange(count).repeat_interleave(near) * count + found.flatten()
    behind = found.flatten() * count + torch.arange(count).repeat_interleave(near)
    pairs, place = torch.unique(torch.cat([ahead, behind]), return_inverse=True)
    joint = torch.zeros(len(pairs)).double().index_add_(0, place, shares.flatten().repeat(2))
    return pairs // count, pairs % count, (joint / joint.sum()).float()


class Attraction:
    """Σ_j p_ij (y_i − y_j) / (1 + |y_i − y_j|²) over pairs in the order of their rows."""

    def __init__(
        self,
        count: int,
        rows: Int[Tensor, " e"],
        columns: Int[Tensor, " e"],
        strength: Float[Tensor, " e"],
    ) -> None:
        self.rows, self.columns, self.strength = rows.int(), columns.int(), strength
        begins = torch.searchsorted(rows, torch.arange(count + 1)).int()
        parts = (strength.clone().numpy(), self.columns.numpy(), begins.numpy())
        self.near = csr_array(parts, (count, count))

    def __call__(self, points: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Return it for each point."""
        squares = torch.ones_like(self.strength)
        for values in points.unbind(dim=1):
            values = values.contiguous()  # rows of two are gathered at a seventh of the speed
            apart = values.index_select(0, self.rows).sub_(values.index_select(0, self.columns))
            squares.addcmul_(apart, apart)
        torch.div(self.strength, squares, out=torch.from_numpy(self.near.data))
        charged = torch.cat([points, torch.ones(len(points), 1)], dim=1)
        sums = torch.from_numpy(self.near @ charged.numpy())
        return points * sums[:, 2:] - sums[:, :2]


class Repulsion:
    """Σ_j (y_i − y_j) / (1 + |y_i − y_j|²)² / Z, Z = Σ_{k≠l} 1 / (1 + |y_k − y_l|²)."""

    def __init__(self) -> None:
        self.nodes, self.step = 0, 0.0
        self.kernels = torch.empty(0)

    def __call__(self, points: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Return it for each point."""
        if len(points) <= FEW:
            return of_all_pairs(points)
        low = points.amin(dim=0)
        span = float((points - low).max())
        step = min(STEP, max(span, 1e-9) / FEWEST_NODES)
        nodes = smooth(math.ceil(span / step) + 4)
        if (nodes, step) != (self.nodes, self.step):
            self.nodes, self.step, self.kernels = nodes, step, kernels(nodes, step)
        where, weights = around((points - low) / step, nodes)
        charges = torch.cat([torch.ones(len(points), 1), points], dim=1)
        grid = torch.stack(
            [
                torch.bincount(where.flatten(), (weights * charge[:, None]).flatten(), nodes**2)
                for charge in charges.unbind(dim=1)
            ]
        ).to(points.dtype)
        size = (2 * nodes, 2 * nodes)  # so that nothing comes round from the other side
        waves = torch.fft.rfft2(grid.reshape(3, nodes, nodes), s=size)
        waves = torch.cat([waves[:1] * self.kernels[0], waves.mul_(self.kernels[1])])
        fields = torch.fft.irfft2(waves, s=size)[:, :nodes, :nodes].reshape(4, -1)
        met = (fields[:, where.flatten()].reshape(4, *where.shape) * weights).sum(dim=2)  # (4, N)
        # A point feels its own charge, as the grid has it, which matters where points are sparse.
        itself = ((weights @ own_kernel(self.step)) * weights).sum()
        whole = (met[0].sum() - itself).clamp_min(1e-12)
        force: Tensor = (points * met[1][:, None] - met[2:].T) / whole
        return force


def of_all_pairs(points: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
    """Return the same without a grid, for few points, which can be far apart."""
    exact = "donot_use_mm_for_euclid_dist"
    near = 1 / (1 + torch.cdist(points, points, compute_mode=exact).square())
    near.fill_diagonal_(0.0)
    force, whole = near.square(), near.sum().clamp_min(1e-12)
    moved: Tensor = (points * force.sum(dim=1, keepdim=True) - force @ points) / whole
    return moved


def own_kernel(step: float) -> Float[Tensor, "16 16"]:
    """Return 1 / (1 + d²) between the 16 nodes about a point."""
    four = torch.arange(4) * step
    where = torch.cartesian_prod(four, four)
    kernel: Tensor = 1 / (1 + torch.cdist(where, where).square())
    return kernel


def kernels(nodes: int, step: float) -> Float[Tensor, "2 p q"]:
    """Return 1 / (1 + d²) and its square on a grid, as waves; real, since they are even."""
    apart = torch.arange(2 * nodes, dtype=torch.float32)
    apart = torch.minimum(apart, 2 * nodes - apart).mul(step).square()
    kernel = 1 / (1 + apart[:, None] + apart)
    waves: Tensor = torch.fft.rfft2(torch.stack([kernel, kernel.square()]))
    return waves.real.contiguous()


def around(
    where: Float[Tensor, "n 2"], nodes: int
) -> tuple[Int[Tensor, "n 16"], Float[Tensor, "n 16"]]:
    """Return the 16 nodes about each point and Lagrange's weights of a cubic through them."""
    first = where.floor().clamp_(1, nodes - 3)
    t = where - first  # between 0 and 1, but at the edge
    ways = torch.stack(
        [
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ],
        dim=2,
    )  # (N, 2, 4)
    at = first.long()[:, :, None] + torch.arange(-1, 3, device=where.device)
    both = at[:, 0, :, None] * nodes + at[:, 1, None, :]
    return both.flatten(1), (ways[:, 0, :, None] * ways[:, 1, None, :]).flatten(1)


def smooth(least: int) -> int:
    """Return the next number with no factor above 5, of which Fourier transforms are fast."""
    number = least
    while True:
        rest = number
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return number
        number += 1


def checked(perplexity: float, count: int) -> float:
    """Return a perplexity that so many points can have. Raises OptionError."""
    if not perplexity >= 1:
        raise OptionError(f"perplexity {perplexity:g} must be at least 1: neighbours that count")
    return min(perplexity, (count - 1) / 3)
