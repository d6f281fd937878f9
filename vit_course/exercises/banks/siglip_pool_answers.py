"""Notebook 19: right heads that pool by a question, in several ways, and wrong ones; siglip_pool.py uses them."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXERCISES = []


class ProbePool(nn.Module):
    """A learned token asks all tokens, then an MLP with its residual: (B, N, dim) -> (B, dim)."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.probe = nn.Parameter(torch.randn(1, 1, dim) / dim**0.5)
        self.q, self.k, self.v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def ask(self, x: Tensor) -> Tensor:
        q, k, v = (split(part, self.num_heads) for part in (self.question(x), self.k(x), self.v(x)))
        return self.mixed(q, k, v)

    def question(self, x: Tensor) -> Tensor:
        return self.q(self.probe).expand(len(x), -1, -1)

    def mixed(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return ((q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1) @ v).transpose(1, 2).flatten(2)[:, 0]

    def mlp(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(self.ask(x))
        return x + self.mlp(self.norm(x))


def split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, h, N, d)


def other(**methods: Callable) -> type[nn.Module]:
    """ProbePool with a method of its own."""
    return type("Other", (ProbePool,), methods)


def weighted(normalise: Callable[[Tensor], Tensor] = lambda s: s.softmax(-1), scale: Callable = lambda q: q.shape[-1]):
    """`mixed` with other weights."""

    def mixed(self, q, k, v):
        return (normalise(q @ k.mT / scale(q) ** 0.5) @ v).transpose(1, 2).flatten(2)[:, 0]

    return mixed


def one_head(self, x):
    q, k, v = self.question(x), self.k(x), self.v(x)
    return ((q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1) @ v)[:, 0]


def viewed(self, x):
    B, N, D = x.shape
    h = self.num_heads
    k, v = (layer(x).reshape(B, h, N, D // h) for layer in (self.k, self.v))
    return self.mixed(split(self.question(x), h), k, v)


def exchanged(self, x):
    q, k, v = (split(part, self.num_heads) for part in (self.question(x), self.v(x), self.k(x)))
    return self.mixed(q, k, v)


def as_they_are(self, x):
    return self.mixed(split(self.question(x), self.num_heads), *[split(x, self.num_heads)] * 2)


def models_width(self, q, k, v):
    d = q.shape[1] * q.shape[3]
    return ((q @ k.mT / d**0.5).softmax(dim=-1) @ v).transpose(1, 2).flatten(2)[:, 0]


def no_projection(self, x):
    x = self.ask(x)
    return x + self.mlp(self.norm(x))


def residual_from_the_probe(self, x):
    x = self.probe[:, 0] + self.proj(self.ask(x))
    return x + self.mlp(self.norm(x))


def tokens_ask(self, x):
    q, k, v = (split(part, self.num_heads) for part in (self.q(x), self.k(x), self.v(x)))
    return self.mixed(q, k, v)


def all_tokens(self, x):
    q, k, v = (split(part, self.num_heads) for part in (self.q(x), self.k(x), self.v(x)))
    mixed = ((q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
    x = self.proj(mixed.mean(dim=1))
    return x + self.mlp(self.norm(x))


def with_the_probe_among_the_tokens(self, x):
    return ProbePool.ask(self, torch.cat([self.probe.expand(len(x), -1, -1), x], dim=1))


def finish(end: Callable) -> Callable:
    return lambda self, x: end(self, self.proj(self.ask(x)))


def by_loops(self, x):
    question, rows = self.q(self.probe)[0, 0], []
    for tokens in x:
        k, v, heads = self.k(tokens), self.v(tokens), []
        for q_h, k_h, v_h in zip(*(p.chunk(self.num_heads, -1) for p in (question, k, v)), strict=True):
            heads.append(v_h.T @ (k_h @ q_h / len(q_h) ** 0.5).softmax(0))
        y = self.proj(torch.cat(heads))
        rows.append(y + self.fc2(F.gelu(self.fc1(self.norm(y)))))
    return torch.stack(rows)


def by_einsum(self, x):
    h = self.num_heads
    q = self.q(self.probe).reshape(h, -1)
    k, v = (layer(x).unflatten(-1, (h, -1)) for layer in (self.k, self.v))  # (B, N, h, d)
    weights = torch.einsum("hd,bnhd->bhn", q, k).div(q.shape[-1] ** 0.5).softmax(-1)
    y = self.proj(torch.einsum("bhn,bnhd->bhd", weights, v).flatten(1))
    return y + self.mlp(self.norm(y))


def by_the_fused_kernel(self, x):
    q, k, v = (split(part, self.num_heads) for part in (self.q(self.probe), self.k(x), self.v(x)))
    y = self.proj(F.scaled_dot_product_attention(q.expand(len(x), -1, -1, -1), k, v).flatten(1))
    return y + self.mlp(self.norm(y))
