"""Transformers as people write them, whose tokens stand in ways that a count cannot tell."""

import torch
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Written out with a softmax of its own, as most do, or by a fused kernel."""

    def __init__(self, size, heads=2, *, fused=False):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.qkv, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.attend, self.drop = nn.Softmax(dim=-1), nn.Dropout(0.1)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = self.qkv(x).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if self.fused:
            taken = F.scaled_dot_product_attention(q, k, v)
        else:
            taken = self.drop(self.attend(q @ k.mT / (d // self.heads) ** 0.5)) @ v
        return self.out(taken.transpose(1, 2).reshape(n, t, d))


class Block(nn.Module):
    def __init__(self, size, *, fused=False):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(size), Attention(size, fused=fused)
        self.norm2 = nn.LayerNorm(size)
        self.mlp = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Unfolded(nn.Module):
    """A linear layer of each patch's pixels, as in vit-pytorch."""

    def __init__(self, patch, size):
        super().__init__()
        self.patch, self.linear = patch, nn.Linear(3 * patch**2, size)

    def forward(self, x):
        n, c, h, w = x.shape
        p = self.patch
        cut = x.reshape(n, c, h // p, p, w // p, p).permute(0, 2, 4, 3, 5, 1)
        return self.linear(cut.flatten(3).flatten(1, 2))


class Convolved(nn.Module):
    def __init__(self, patch, size):
        super().__init__()
        self.project = nn.Conv2d(3, size, patch, patch)

    def forward(self, x):
        return self.project(x).flatten(2).mT


class ViT(nn.Module):
    """Patches between `front` and `behind` tokens of no place.

    The answer is read from token number `reads`, or from the mean of the patches.
    """

    def __init__(
        self, front=1, behind=0, *, reads=None, linear=False, fused=False, order=None, patch=8,
        size=16, depth=2, classes=5,
    ):  # fmt: skip
        super().__init__()
        self.embed = (Unfolded if linear else Convolved)(patch, size)
        self.front = nn.Parameter(torch.randn(1, front, size))
        self.behind = nn.Parameter(torch.randn(1, behind, size))
        self.blocks = nn.ModuleList(Block(size, fused=fused) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(size), nn.Linear(size, classes)
        self.reads, self.order = reads, order

    def forward(self, x):
        patches = self.embed(x)
        if self.order is not None:
            patches = patches[:, self.order]
        count, patch_count = patches.shape[:2]
        ends = (extra.expand(count, -1, -1) for extra in (self.front, self.behind))
        front, behind = ends
        x = torch.cat([front, patches, behind], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        if self.reads is not None:
            return self.head(x[:, self.reads])
        return self.head(x[:, front.shape[1] : front.shape[1] + patch_count].mean(dim=1))


class SequenceFirst(nn.Module):
    """Tokens (T, N, C) through nn.TransformerEncoder as it comes, the class token last."""

    def __init__(self, patch=8, size=16, classes=5):
        super().__init__()
        self.embed = Convolved(patch, size)
        self.token = nn.Parameter(torch.randn(1, 1, size))
        layer = nn.TransformerEncoderLayer(size, 2, 32, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(size, classes)

    def forward(self, x):
        tokens = self.embed(x).transpose(0, 1)
        tokens = torch.cat([tokens, self.token.expand(-1, len(x), -1)])
        return self.head(self.encoder(tokens)[-1])


class Hierarchical(nn.Module):
    """Two stages of blocks over tokens; four tokens are joined to one between them."""

    def __init__(self, patch=4, size=8, classes=5):
        super().__init__()
        self.embed = nn.Conv2d(3, size, patch, patch)
        self.first, self.join = Block(size), nn.Linear(4 * size, 2 * size)
        self.second, self.norm = Block(2 * size), nn.LayerNorm(2 * size)
        self.head = nn.Linear(2 * size, classes)

    def forward(self, x):
        maps = self.embed(x)
        n, c, h, w = maps.shape
        tokens = self.first(maps.flatten(2).mT)
        cut = tokens.reshape(n, h // 2, 2, w // 2, 2, c).transpose(2, 3)
        tokens = self.second(self.join(cut.flatten(3).flatten(1, 2)))
        return self.head(self.norm(tokens).mean(dim=1))


class ChannelAttention(nn.Module):
    """Channels that look at channels (XCiT, DaViT), as many of them as there are tokens."""

    def __init__(self, patch=8, size=16, classes=5):
        super().__init__()
        self.embed, self.norm = Convolved(patch, size), nn.LayerNorm(size)
        self.qkv, self.head = nn.Linear(size, 3 * size), nn.Linear(size, classes)
        self.attend = nn.Softmax(dim=-1)

    def forward(self, x):
        tokens = self.embed(x)
        q, k, v = self.qkv(self.norm(tokens)).mT.chunk(3, dim=1)  # each (N, C, T)
        maps = self.attend(F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT)
        return self.head((tokens + (maps @ v).mT).mean(dim=1))
