"""Notebook 09: right answers to `attend`, written in several ways, and wrong ones; attention.py has the exercise."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

EXERCISES = []


def attend(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention, equation 1 of Vaswani et al. 2017: the output, and the weights."""
    weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1)
    return weights @ v, weights


def attended(
    *,
    scores: Callable[[Tensor, Tensor], Tensor] = lambda q, k: q @ k.transpose(-2, -1),
    scale: Callable[[Tensor, Tensor], float] = lambda q, k: q.shape[-1] ** -0.5,
    normalise: Callable[[Tensor], Tensor] = lambda s: s.softmax(dim=-1),
    mix: Callable[[Tensor, Tensor], Tensor] = lambda w, v: w @ v,
    back: Callable[[Tensor, Tensor], tuple] = lambda output, weights: (output, weights),
) -> Callable:
    """`attend` with one step done otherwise."""

    def answer(q, k, v):
        weights = normalise(scores(q, k) * scale(q, k))
        return back(mix(weights, v), weights)

    return answer


def with_keys_as_values(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    _, weights = attend(q, k, v)
    return weights @ k, weights


def scaled_after(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    weights = (q @ k.transpose(-2, -1)).softmax(-1) / q.shape[-1] ** 0.5
    return weights @ v, weights


def output_divided(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    weights = (q @ k.transpose(-2, -1)).softmax(-1)
    return weights @ v / q.shape[-1] ** 0.5, weights


def with_scores(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return attend(q, k, v)[0], q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5


def hardest(scores: Tensor) -> Tensor:
    return F.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores.dtype) + 0 * scores


def by_einsum(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    weights = torch.softmax(torch.einsum("...nd,...md->...nm", q, k) * q.size(-1) ** -0.5, dim=-1)
    return torch.einsum("...nm,...me->...ne", weights, v), weights


def by_exponentials(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    scores = torch.matmul(q, k.mT) / torch.sqrt(torch.tensor(float(k.shape[-1])))
    grown = torch.exp(scores - scores.max(dim=-1, keepdim=True).values)
    weights = grown / grown.sum(dim=-1, keepdim=True)
    return weights @ v, weights


def query_by_query(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    rows = []
    for n in range(q.shape[-2]):
        scores = (q[..., n : n + 1, :] * k).sum(-1) / k.shape[-1] ** 0.5  # (…, M)
        rows.append(torch.softmax(scores, -1))
    weights = torch.stack(rows, dim=-2)
    return (weights[..., None] * v[..., None, :, :]).sum(-2), weights


def by_the_fused_kernel(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    identity = torch.eye(k.shape[-2]).expand(*k.shape[:-2], -1, -1)
    return F.scaled_dot_product_attention(q, k, v), F.scaled_dot_product_attention(q, k, identity)
