"""Whole groups moved from split to split, and exchanged, until none brings the shares nearer."""

import numpy as np
from jaxtyping import Float, UInt8

TURNS = 500
MOST_PAIRS = 4_000_000  # numbers: group × group × class; beyond, groups are only moved


def exchange_groups(
    split_of: UInt8[np.ndarray, " g"],
    holds: Float[np.ndarray, "g k"],
    wanted: Float[np.ndarray, "s k"],
) -> float:
    """Change the split of G groups in place, the best change first, while there is a better one.

    Returns how bad it is at the end.

    `holds` are their images of each class, `wanted` those of each split; the first split is the one
    that is learned from. Better is what is nearer to them in images, in all and of each class
    (which count alike); worst of all is a split that stays empty, and a class that none is learned
    from of.
    """
    for _ in range(TURNS):
        now = _Standing(split_of, holds, wanted)
        move, group, split = now.best_move()
        swap, first, second = (0.0, 0, 0)
        if len(holds) ** 2 * holds.shape[1] <= MOST_PAIRS:
            swap, first, second = now.best_swap()
        if min(move, swap) > -1e-6:
            break
        if move <= swap:
            split_of[group] = split
        else:
            split_of[[first, second]] = split_of[[second, first]]
    return float(_Standing(split_of, holds, wanted).costs.sum())


class _Standing:
    """How far each split is from what is wanted, and what a change would make of that."""

    def __init__(self, split_of: np.ndarray, holds: np.ndarray, wanted: np.ndarray) -> None:
        self.split_of, self.holds, self.wanted = split_of, holds, wanted
        self.used = np.flatnonzero(wanted.sum(axis=1) > 0)
        self.classes = holds.sum(axis=0)
        self.counts = np.zeros_like(wanted)
        np.add.at(self.counts, split_of, holds)
        every = range(len(wanted))
        self.costs = np.concatenate([self.cost(s, self.counts[s][None]) for s in every])

    def cost(self, split: int, counts: Float[np.ndarray, "*any k"]) -> Float[np.ndarray, "*any"]:
        """Return how bad it is for a split to hold so many of each class."""
        total, aim = counts.sum(axis=-1), self.wanted[split].sum()
        apart = np.abs(total - aim) + np.abs(counts - self.wanted[split]).sum(axis=-1)
        worst = 4.0 * self.classes.sum()
        found: np.ndarray = apart + worst * ((total == 0) & (aim > 0))
        if split == 0:
            found = found + worst * ((counts == 0) & (self.classes > 0)).sum(axis=-1)
        return found

    def best_move(self) -> tuple[float, int, int]:
        """Return by how much the best move of a group changes the cost, the group and where to."""
        found = np.full((len(self.holds), len(self.wanted)), np.inf)
        for begin in self.used.tolist():
            mine = np.flatnonzero(self.split_of == begin)
            without = self.cost(begin, self.counts[begin] - self.holds[mine]) - self.costs[begin]
            for end in self.used.tolist():
                if end != begin:
                    more = self.cost(end, self.counts[end] + self.holds[mine]) - self.costs[end]
                    found[mine, end] = without + more
        group, split = np.unravel_index(int(found.argmin()), found.shape)
        return float(found[group, split]), int(group), int(split)

    def best_swap(self) -> tuple[float, int, int]:
        """Return by how much the best exchange of two groups changes the cost, and the two."""
        best = (np.inf, 0, 0)
        for begin in self.used.tolist():
            for end in self.used[self.used > begin].tolist():
                ours, theirs = (np.flatnonzero(self.split_of == s) for s in (begin, end))
                if not (len(ours) and len(theirs)):
                    continue
                change = self.holds[theirs] - self.holds[ours][:, None]  # (a, b, k)
                costs = self.cost(begin, self.counts[begin] + change)
                costs = costs + self.cost(end, self.counts[end] - change)
                costs = costs - self.costs[begin] - self.costs[end]
                one, other = np.unravel_index(int(costs.argmin()), costs.shape)
                if costs[one, other] < best[0]:
                    best = (float(costs[one, other]), int(ours[one]), int(theirs[other]))
        return best
