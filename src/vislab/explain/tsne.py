"""t-SNE: a map on which images that are near in features are near (van der Maaten & Hinton 2008).

The repulsion of all pairs is interpolated from a grid, on which it is a convolution (Linderman et
al. 2019, arXiv:1712.09005, section 2): the time grows with the number of points, not its square.
Here it is by cubic splines through the nodes, and what is interpolated is the push itself, not the
sums that it is a difference of: one charge is laid out in place of three. The learning rate is the
number of points, divided by the exaggeration while there is one (Belkina et al. 2019,
doi:10.1038/s41467-019-13055-y), the start a scaled PCA.
"""

import math

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from vislab.errors import OptionError
from vislab.explain.neighbours import nearest
from vislab.progress import track

EARLY, LATE = 250, 500  # steps with and without exaggeration
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
    early, late = max(count / EXAGGERATION, 50.0), max(float(count), 200.0)
    speed, gain = torch.zeros_like(points), torch.ones_like(points)
    with track("t-SNE", total=EARLY + LATE) as advance:
        for step in range(EARLY + LATE):
            exaggeration, rate = (EXAGGERATION, early) if step < EARLY else (1.0, late)
            slope = exaggeration * attraction(points) - repulsion(points)
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
        begins = torch.searchsorted(rows, torch.arange(count + 1))
        self.some = begins.diff() > 0  # reduceat knows no empty sums
        self.begins = begins[:-1][self.some].numpy()

    def __call__(self, points: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Return it for each point."""
        ways, squares = [], torch.ones_like(self.strength)
        for values in points.T.contiguous():  # rows of two are gathered at a seventh of the speed
            way = values.index_select(0, self.rows).sub_(values.index_select(0, self.columns))
            squares.addcmul_(way, way)
            ways.append(way)
        pull = torch.div(self.strength, squares, out=squares)
        found = torch.zeros_like(points)
        for axis, way in enumerate(ways):
            sums = np.add.reduceat(way.mul_(pull).numpy(), self.begins)
            found[self.some, axis] = torch.from_numpy(sums)
        return found


class Repulsion:
    """Σ_j (y_i − y_j) / (1 + |y_i − y_j|²)² / Z, Z = Σ_{k≠l} 1 / (1 + |y_k − y_l|²)."""

    def __init__(self) -> None:
        self.nodes, self.step = 0, 0.0
        self.power = self.push = self.own = torch.empty(0)

    def __call__(self, points: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
        """Return it for each point."""
        if len(points) <= FEW:
            return of_all_pairs(points)
        low = points.amin(dim=0)
        span = float((points - low).max())
        step = min(STEP, max(span, 1e-9) / FEWEST_NODES)
        nodes = smooth(math.ceil(span / step) + 4)
        if (nodes, step) != (self.nodes, self.step):
            self.nodes, self.step = nodes, step
            self.power, self.push, self.own = kernels(nodes, step)
        where, weights = around((points - low) / step + 1, nodes)
        begins = np.arange(0, 16 * len(points) + 1, 16, dtype=np.int32)
        parts = (weights.numpy().ravel(), where.int().numpy().ravel(), begins)
        spread = csr_array(parts, (len(points), nodes**2))
        charge = torch.from_numpy(np.bincount(parts[1], parts[0], nodes**2)).to(points.dtype)
        # Twice as many nodes, so that nothing comes round from the other side.
        waves = torch.fft.rfft(charge.view(nodes, nodes), n=2 * nodes, dim=1)
        waves = torch.fft.fft(waves, n=2 * nodes, dim=0)
        fields = torch.fft.ifft(waves * self.push, dim=1)[:, :nodes]
        fields = torch.fft.irfft(fields, n=2 * nodes, dim=2)[:, :, :nodes].reshape(2, -1)
        force = torch.from_numpy(spread @ fields.T.numpy())
        # Σ_kl of the kernel by Parseval; a point's own part is as the grid has it. Its own push is
        # none, the kernel being odd.
        itself = ((weights @ self.own) * weights).sum()
        whole = (waves.abs().square() * self.power).sum() - itself
        found: Tensor = force / whole.clamp_min(1e-12)
        return found


def of_all_pairs(points: Float[Tensor, "n 2"]) -> Float[Tensor, "n 2"]:
    """Return the same without a grid, for few points, which can be far apart."""
    exact = "donot_use_mm_for_euclid_dist"
    near = 1 / (1 + torch.cdist(points, points, compute_mode=exact).square())
    near.fill_diagonal_(0.0)
    force, whole = near.square(), near.sum().clamp_min(1e-12)
    moved: Tensor = (points * force.sum(dim=1, keepdim=True) - force @ points) / whole
    return moved


def kernels(
    nodes: int, step: float
) -> tuple[Float[Tensor, "p q"], Complex[Tensor, "2 p q"], Float[Tensor, "16 16"]]:
    """Return what a grid's charges meet: waves of 1 / (1 + d²) and of d / (1 + d²)².

    They are such that splines through nodes give the kernel itself between nodes. The first are
    as Parseval's sum weighs them. Last, the first kernel between the 16 nodes about a point.
    """
    apart = torch.arange(2 * nodes, dtype=torch.float32)
    apart = torch.where(apart < nodes, apart, apart - 2 * nodes) * step
    squares = apart[:, None].square() + apart.square()
    push = apart * (1 + squares).square().reciprocal()
    push[:, nodes] = 0.0  # nodes so far apart there are not, and with them it were not odd
    waves = torch.fft.rfft2(torch.stack([1 / (1 + squares), push.T, push]))
    # A spline's values at nodes are 1/6, 4/6, 1/6 of its coefficients: once there and once back.
    turn = torch.linspace(0, 2 * math.pi, 2 * nodes + 1)[:-1]
    blur = ((2 + turn.cos()) / 3).square()
    waves /= blur[:, None] * blur[: nodes + 1]
    four = torch.arange(4)
    between = (four[:, None] - four) % (2 * nodes)  # (4, 4)
    near = torch.fft.irfft2(waves[0])
    own = near[between[:, None, :, None], between[None, :, None, :]].reshape(16, 16)
    power = waves[0].real / (2 * nodes) ** 2
    power[:, 1:-1] *= 2  # half of the waves stand for all
    return power, waves[1:], own


def around(
    where: Float[Tensor, "n 2"], nodes: int
) -> tuple[Int[Tensor, "n 16"], Float[Tensor, "n 16"]]:
    """Return the 16 nodes about each point and what a cubic spline makes of their coefficients."""
    first = where.floor().clamp_(1, nodes - 3)
    t = where - first  # between 0 and 1
    rest = 1 - t
    ways = torch.stack(
        [
            rest**3,
            4 - 3 * t * t * (1 + rest),
            4 - 3 * rest * rest * (1 + t),
            t**3,
        ],
        dim=2,
    )  # (N, 2, 4)
    ways = ways / 6
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
