"""The layers of the room in torch's own functions, for autograd to differentiate.

Weights stand in our layout: torch transposes those of linear layers, and orders the gates of an
LSTM input, forget, candidate, output.
"""

import torch
import torch.nn.functional as F


def linear(x, w, b):
    return F.linear(x.flatten(1), w.T, b)


def conv(x, w, b, stride=1, pad=0):
    return F.conv2d(x, w, b, stride=stride, padding=pad)


def max_pool(x, size=2, stride=2):
    return F.max_pool2d(x, size, stride)


def batch_norm(x, gamma, beta, running_mean, running_var, training=True, momentum=0.9, eps=1e-5):
    mean, var = running_mean.clone(), running_var.clone()
    return F.batch_norm(x, mean, var, gamma, beta, training, 1 - momentum, eps)


def layer_norm(x, gamma, beta, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], gamma, beta, eps)


def group_norm(x, gamma, beta, groups, eps=1e-5):
    return F.group_norm(x, groups, gamma, beta, eps)


def dropout(x, p, training, draws):
    if not training:
        return x
    stays = torch.rand(x.shape, dtype=x.dtype, generator=draws) >= p
    return torch.where(stays, x / (1 - p), 0)


def linear_over_time(x, w, b):
    return F.linear(x, w.T, b)


def gates(w):
    """Take input, forget, output, candidate to torch's input, forget, candidate, output."""
    i, f, o, g = w.chunk(4, dim=-1)
    return torch.cat([i, f, g, o], dim=-1).mT if w.ndim == 2 else torch.cat([i, f, g, o])


def rnn_step(x, h, Wx, Wh, b):
    return torch.rnn_tanh_cell(x, h, Wx.T, Wh.T, b, torch.zeros_like(b))


def rnn(x, h0, Wx, Wh, b):
    weights = [Wx.T, Wh.T, b, torch.zeros_like(b)]
    return torch.rnn_tanh(x, h0[None], weights, True, 1, 0.0, False, False, True)[0]


def lstm_step(x, h, c, Wx, Wh, b):
    return torch.lstm_cell(x, (h, c), gates(Wx), gates(Wh), gates(b), torch.zeros_like(b))


def lstm(x, h0, Wx, Wh, b):
    first = h0[None], torch.zeros_like(h0)[None]
    weights = [gates(Wx), gates(Wh), gates(b), torch.zeros_like(b)]
    return torch.lstm(x, first, weights, True, 1, 0.0, False, False, True)[0]


def attention_lstm(x, A, Wx, Wh, Wattn, b):
    places = A.flatten(2).mT  # (N, L, H)
    h = c = places.mean(dim=1)
    said = []
    for t in range(x.shape[1]):
        read = F.scaled_dot_product_attention(h[:, None], places, places)[:, 0]
        seen = torch.cat([x[:, t], read], dim=1)
        h, c = lstm_step(seen, h, c, torch.cat([Wx, Wattn]), Wh, b)
        said.append(h)
    return torch.stack(said, dim=1)


def multi_head_attention(x, Wqkv, bqkv, Wout, bout, heads=1):
    tokens = x.transpose(0, 1)
    out, _ = F.multi_head_attention_forward(
        tokens, tokens, tokens, x.shape[2], heads, Wqkv.T, bqkv, None, None, False, 0.0,
        Wout.T, bout, need_weights=False,
    )  # fmt: skip
    return out.transpose(0, 1)
