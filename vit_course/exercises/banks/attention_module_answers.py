"""Notebook 09: right modules of multi-head attention in several ways, and wrong ones; attention_module.py uses them."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXERCISES = []


def split(x: Tensor, h: int) -> Tensor:
    return x.unflatten(-1, (h, -1)).transpose(1, 2)


def merge(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def in_thirds(x: Tensor, h: int) -> list[Tensor]:
    return [split(part, h) for part in x.chunk(3, dim=-1)]


class SelfAttentionFromScratch(nn.Module):
    """Multi-head self-attention with one fused layer for queries, keys and values: (B, N, dim) -> (B, N, dim)."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        B, N, D = x.shape
        d = D // self.num_heads
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, d).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / d**0.5).softmax(dim=-1)
        return self.proj((weights @ v).transpose(1, 2).reshape(B, N, D))


def module(
    *,
    heads: Callable = in_thirds,
    scale: Callable[[Tensor, int], float] = lambda q, dim: q.shape[-1] ** -0.5,
    softmax: int = -1,
    normalise: Callable[[Tensor], Tensor] | None = None,
    merged: Callable[[Tensor], Tensor] = merge,
    end: Callable = lambda s, out, x: s.proj(out),
    bias: bool = True,
    outside: Callable[[Tensor], Tensor] = lambda x: x,
) -> type[nn.Module]:
    """A class like SelfAttentionFromScratch, with one thing done otherwise."""

    class Other(SelfAttentionFromScratch):
        def __init__(self, dim, num_heads):
            super().__init__(dim, num_heads)
            self.qkv = nn.Linear(dim, 3 * dim, bias=bias)

        def forward(self, x):
            x = outside(x)
            q, k, v = heads(self.qkv(x), self.num_heads)
            scores = q @ k.transpose(-2, -1) * scale(q, x.shape[-1])
            weights = normalise(scores) if normalise else scores.softmax(dim=softmax)
            return outside(end(self, merged(weights @ v), x))

    return Other


def unmoved_parts(x: Tensor, h: int) -> list[Tensor]:
    return [part.unflatten(-1, (h, -1)) for part in x.chunk(3, dim=-1)]


def viewed(x: Tensor, h: int) -> list[Tensor]:
    return [part.reshape(len(x), h, x.shape[1], -1) for part in x.chunk(3, dim=-1)]


def unmoved(x: Tensor) -> Tensor:
    return x.reshape(len(x), x.shape[2], -1)


class LoopOverHeads(SelfAttentionFromScratch):
    """Right: slices of the fused layer's rows, one head at a time."""

    def forward(self, x):
        D, d, found = x.shape[-1], x.shape[-1] // self.num_heads, []
        for j in range(self.num_heads):
            rows = [slice(part * D + j * d, part * D + (j + 1) * d) for part in range(3)]
            q, k, v = (F.linear(x, self.qkv.weight[row], self.qkv.bias[row]) for row in rows)
            found.append(torch.softmax(q @ k.mT / d**0.5, dim=2) @ v)
        return self.proj(torch.cat(found, dim=-1))


class ByEinsum(SelfAttentionFromScratch):
    """Right: no axis is moved by hand."""

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).unbind(2)  # each (B, N, h, d)
        scores = torch.einsum("bihd,bjhd->bhij", q, k) * q.shape[-1] ** -0.5
        return self.proj(torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v).flatten(2))


class ByTheFusedKernel(SelfAttentionFromScratch):
    """Right: torch's kernel."""

    def forward(self, x):
        q, k, v = in_thirds(self.qkv(x), self.num_heads)
        return self.proj(merge(F.scaled_dot_product_attention(q, k, v)))


class InTheBatch(nn.Module):
    """Right: other names; heads folded into the batch, as older implementations do."""

    def __init__(self, dim, num_heads):
        super().__init__()
        self.h, self.to_qkv, self.to_out = num_heads, nn.Linear(dim, dim * 3), nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = (split(t, self.h).flatten(0, 1) for t in torch.split(self.to_qkv(x), x.shape[-1], dim=-1))
        out = torch.bmm(F.softmax(torch.bmm(q, k.transpose(1, 2)) / q.shape[-1] ** 0.5, -1), v)
        return self.to_out(merge(out.unflatten(0, (len(x), self.h))))


class TorchsOwn(nn.Module):
    """Right: nn.MultiheadAttention inside."""

    def __init__(self, dim, num_heads):
        super().__init__()
        self.inside = nn.MultiheadAttention(dim, num_heads, batch_first=True)

    def forward(self, x):
        return self.inside(x, x, x, need_weights=False)[0]
