"""t-SNE of 5 000 features: vislab's, scikit-learn's and openTSNE's, with what each map keeps.

`python benchmarks/tsne.py OUT.json`. Features of ten overlapping groups, of 64 and of 512 numbers;
all start at the PCA and look at 30 neighbours, each with its own number of steps. The maps are not
the same, so that trustworthiness, not equality, says that they can be compared. openTSNE takes part
where it is installed.
"""

import importlib.util
import time

import numpy as np
import torch
from sklearn.manifold import TSNE
from sklearn.manifold import trustworthiness as witness
from timing import write

from vislab import explain

COUNT, GROUPS, REPEATS = 5_000, 10, 3


def grouped(dims):
    """Return features of groups that overlap, on curved sheets, as a network's are."""
    draw = torch.Generator().manual_seed(dims)
    labels = torch.arange(COUNT) % GROUPS
    inner = 1.5 * torch.randn(GROUPS, 16, generator=draw)[labels]
    inner = inner + torch.randn(COUNT, 16, generator=draw)
    return (inner @ torch.randn(16, dims, generator=draw) / 4).relu()


def opened(features, seed):
    """Return openTSNE's map."""
    import openTSNE

    found = openTSNE.TSNE(random_state=seed, n_jobs=-1).fit(features.numpy())
    return torch.from_numpy(np.array(found)).float()


def main():
    rows = []
    for dims in (64, 512):
        features = grouped(dims)
        ways = {
            "vislab": lambda x, seed: explain.tsne(x, seed=seed),
            "scikit-learn": lambda x, seed: torch.from_numpy(
                TSNE(random_state=seed, n_jobs=-1).fit_transform(x.numpy())
            ),
        }
        if importlib.util.find_spec("openTSNE"):
            importlib.import_module("openTSNE")  # not in its time
            ways["openTSNE"] = opened
        taken, kept = {name: [] for name in ways}, {name: [] for name in ways}
        for seed in range(REPEATS):
            for name, way in ways.items():
                begun = time.perf_counter()
                points = way(features, seed)
                taken[name].append(time.perf_counter() - begun)
                kept[name].append(explain.trustworthiness(features, points))
        theirs = witness(features.numpy(), points.numpy(), n_neighbors=12)
        assert abs(theirs - kept[name][-1]) < 1e-6, "they measure something else"
        seconds = {name: sorted(times)[REPEATS // 2] for name, times in taken.items()}
        rows.append(
            {
                "case": f"{COUNT} features of {dims} numbers",
                "seconds": seconds,
                "ratio": seconds["vislab"] / seconds["scikit-learn"],
                "all_seconds": taken,
                "trustworthiness": kept,
            }
        )
    write("tsne", rows)


if __name__ == "__main__":
    main()
