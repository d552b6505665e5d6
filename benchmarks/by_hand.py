"""Gradients by hand against autograd, and nearest neighbours against faiss and scikit-learn.

`python benchmarks/by_hand.py OUT.json`. Batches of 128 in float32. faiss comes with
`pip install faiss-cpu`; without it that row is left out.
"""

import torch
from timing import quartiles_ms, write
from torch import nn
from torch.nn import functional as F

from vislab.ops.memory import keep_freed_memory
from vislab.scratch import LSTM, Conv, DeepConvNet, KnnClassifier, adam, rel_error

BATCH = 128
CONVOLUTIONS = ((3, 32, 32), (32, 64, 32), (64, 128, 16))  # channels, kernels, side
FILTERS = (32, 64, 128)
KNN = (20_000, 2_000, 3_072, 10)  # remembered, asked, numbers an image, neighbours
REPEATS = 15


def row(case, ours, theirs, repeats=REPEATS):
    times = quartiles_ms({"by hand": ours, "peer": theirs}, warmup=3, repeats=repeats)
    ratio = times["by hand"]["median_ms"] / times["peer"]["median_ms"]
    return {"case": case, "times": times, "ratio": round(ratio, 3)}


def convolution(channels, kernels, side):
    x, dout = torch.randn(BATCH, channels, side, side), torch.randn(BATCH, kernels, side, side)
    w, b = torch.randn(kernels, channels, 3, 3), torch.randn(kernels)

    def ours():
        _, cache = Conv.forward(x, w, b, 1, 1)
        return Conv.backward(dout, cache)

    def theirs():
        leaves = [t.detach().requires_grad_() for t in (x, w, b)]
        return torch.autograd.grad(F.conv2d(*leaves, 1, 1), leaves, dout)

    for a, c in zip(ours(), theirs(), strict=True):
        assert rel_error(a, c) < 1e-4, "the contenders disagree"
    return row(f"convolution {channels}→{kernels}, {side}×{side}, forward and backward",
               ours, theirs)  # fmt: skip


def torch_network(by_hand):
    """Return the network in torch.nn's modules with the same weights."""
    layers, p = [], by_hand.params
    for i, (inner, outer) in enumerate(zip((3, *FILTERS), FILTERS, strict=False), start=1):
        convolution, norm = nn.Conv2d(inner, outer, 3, padding=1), nn.BatchNorm2d(outer)
        convolution.weight.data, convolution.bias.data = p[f"W{i}"].clone(), p[f"b{i}"].clone()
        layers += [convolution, norm, nn.ReLU(), nn.MaxPool2d(2)]
    last = len(FILTERS) + 1
    linear = nn.Linear(FILTERS[-1] * 16, 10)
    linear.weight.data, linear.bias.data = p[f"W{last}"].T.clone(), p[f"b{last}"].clone()
    return nn.Sequential(*layers, nn.Flatten(), linear)


def training_step():
    by_hand = DeepConvNet((3, 32, 32), FILTERS, (0, 1, 2), True, 10, "kaiming")
    network = torch_network(by_hand)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    X, y = torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))
    configs = {name: {"learning_rate": 1e-3} for name in by_hand.params}

    def ours():
        loss, grads = by_hand.loss(X, y)
        for name, w in by_hand.params.items():
            by_hand.params[name], configs[name] = adam(w, grads[name], configs[name])
        return loss

    def theirs():
        optimiser.zero_grad()
        loss = F.cross_entropy(network(X), y)
        loss.backward()
        optimiser.step()
        return loss.item()

    assert abs(ours() - theirs()) < 1e-4, "the contenders disagree"
    return row("DeepConvNet 32-64-128 with batch normalisation, one step of Adam", ours, theirs)


def recurrent(steps=20, width=128, hidden=256):
    x, dh = torch.randn(BATCH, steps, width), torch.randn(BATCH, steps, hidden)
    h0 = torch.randn(BATCH, hidden)
    cell = nn.LSTMCell(width, hidden)
    Wx, Wh = torch.randn(width, 4 * hidden) / width**0.5, torch.randn(hidden, 4 * hidden) / 16
    b = torch.zeros(4 * hidden)
    i, f, o, g = range(4)
    order = [i, f, g, o]  # torch's

    def reordered(w):
        return torch.cat([w.chunk(4, dim=-1)[k] for k in order], dim=-1).T.contiguous()

    cell.weight_ih.data, cell.weight_hh.data = reordered(Wx), reordered(Wh)
    cell.bias_ih.data.zero_()
    cell.bias_hh.data.zero_()

    def ours():
        _, cache = LSTM.forward(x, h0, Wx, Wh, b)
        return LSTM.backward(dh, cache)[0]

    def theirs():
        leaf = x.detach().requires_grad_()
        first = h0.detach().requires_grad_()
        h, c, states = first, torch.zeros_like(first), []
        for t in range(steps):
            h, c = cell(leaf[:, t], (h, c))
            states.append(h)
        asked = [leaf, first, *cell.parameters()]
        return torch.autograd.grad(torch.stack(states, dim=1), asked, dh)[0]

    assert rel_error(ours(), theirs()) < 1e-4, "the contenders disagree"
    return row(f"LSTM of {hidden}, {steps} steps, forward and backward", ours, theirs)


def neighbours():
    from sklearn.neighbors import NearestNeighbors

    remembered, asked, numbers, k = KNN
    train, test = torch.rand(remembered, numbers), torch.rand(asked, numbers)
    ours = KnnClassifier(train, torch.zeros(remembered, dtype=torch.long))
    brute = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(train.numpy())
    found = ours.nearest(test, k)
    peers = {
        "scikit-learn, brute force": lambda: torch.from_numpy(
            brute.kneighbors(test.numpy(), return_distance=False)
        )
    }
    try:
        import faiss
    except ImportError:
        print("faiss is not installed; its row is left out")
    else:
        faiss.omp_set_num_threads(torch.get_num_threads())
        index = faiss.IndexFlatL2(numbers)
        index.add(train.numpy())
        peers["faiss, flat index"] = lambda: torch.from_numpy(index.search(test.numpy(), k)[1])
    for name, search in peers.items():
        # Neighbours at nearly the same distance may change places in float32.
        same = float((search() == found).double().mean())
        assert same > 0.99, f"{name} finds others: {same:.1%} the same"
        size = f"{remembered:,} × {asked:,} × {numbers:,}"
        yield row(f"{k} neighbours, {size}, {name}", lambda: ours.nearest(test, k), search, 5)


def main():
    torch.manual_seed(0)
    keep_freed_memory()
    rows = [convolution(*sizes) for sizes in CONVOLUTIONS]
    rows += [training_step(), recurrent(), *neighbours()]
    write("by_hand", rows)


if __name__ == "__main__":
    main()
