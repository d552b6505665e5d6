"""Word embedding: a table with one row a word.

    out[n, t, :] = W_embed[x[n, t], :]
    dW_embed[v, :] = Σ dout[n, t, :] over the places (n, t) where x[n, t] = v

x holds whole numbers, so it has no gradient.
"""

from torch import Tensor

from vislab.scratch import expect

Cache = tuple[Tensor, Tensor]


class WordEmbedding:
    """Look words up in a table of vectors."""

    @staticmethod
    def forward(x: Tensor, W_embed: Tensor) -> tuple[Tensor, Cache]:
        """Take word numbers x (N, T) and the table W_embed (V, D) to out (N, T, D)."""
        expect.floats("W_embed", W_embed, "V, D")
        x = expect.labels("x", x, tuple(x.shape), len(W_embed))
        return W_embed[x], (x, W_embed)

    @staticmethod
    def backward(dout: Tensor, cache: Cache) -> Tensor:
        """Take dout (N, T, D) to dW_embed (V, D)."""
        x, W_embed = cache
        expect.shape("dout", dout, (*x.shape, W_embed.shape[1]), like=W_embed)
        dW = W_embed.new_zeros(W_embed.shape)
        return dW.index_add_(0, x.reshape(-1), dout.reshape(-1, W_embed.shape[1]))
