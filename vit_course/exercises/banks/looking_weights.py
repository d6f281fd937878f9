"""Notebook 17: attention weights out of what a qkv layer gives."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def weights_from_qkv(qkv: Tensor, num_heads: int) -> Tensor:
    """Equations 5 to 7 of Dosovitskiy et al. 2020: (B, N, 3·D) -> attention weights (B, h, N, N)."""
    return looking()(qkv, num_heads)


def in_order(qkv: Tensor, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of every head: three of (B, h, N, d)."""
    return qkv.unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)


def rows(scores: Tensor) -> Tensor:
    return scores.softmax(dim=-1)


def looking(
    split: Callable = in_order,
    ask: Callable = lambda q, k, v: q @ k.transpose(-2, -1),
    scale: Callable = lambda d, h: d**-0.5,
    weigh: Callable = rows,
) -> Callable:
    """`weights_from_qkv` that splits, asks, scales or normalises in another way."""

    def answer(qkv: Tensor, num_heads: int) -> Tensor:
        q, k, v = split(qkv, num_heads)
        return weigh(ask(q, k, v) * scale(q.shape[-1], num_heads))

    return answer


def by_chunks(qkv: Tensor, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """The trap of notebook 09: a reshape where a transpose belongs."""
    B, N, D3 = qkv.shape
    return tuple(x.reshape(B, num_heads, N, D3 // 3 // num_heads) for x in qkv.chunk(3, dim=-1))


def one_wide_head(qkv: Tensor, num_heads: int) -> Tensor:
    q, k, _ = qkv.chunk(3, dim=-1)
    return (q @ k.transpose(1, 2) * q.shape[-1] ** -0.5).softmax(dim=-1)


def heads_ask_each_other(qkv: Tensor, num_heads: int) -> Tensor:
    q, k, _ = (x.unflatten(-1, (num_heads, -1)) for x in qkv.chunk(3, dim=-1))  # (B, N, h, d)
    return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)


def scaled_too_late(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return rows(q @ k.transpose(-2, -1)) * q.shape[-1] ** -0.5


def weights_by_loop(qkv: Tensor, num_heads: int) -> Tensor:
    q, k, _ = qkv.chunk(3, dim=-1)
    d = q.shape[-1] // num_heads
    heads = []
    for i in range(num_heads):
        part = slice(i * d, (i + 1) * d)
        heads.append((q[..., part] @ k[..., part].transpose(1, 2) / d**0.5).softmax(dim=-1))
    return torch.stack(heads, dim=1)


def weights_by_einsum(qkv: Tensor, num_heads: int) -> Tensor:
    B, N, D3 = qkv.shape
    x = qkv.reshape(B, N, 3, num_heads, D3 // 3 // num_heads)
    scores = torch.einsum("bnhd,bmhd->bhnm", x[:, :, 0], x[:, :, 1]) / x.shape[-1] ** 0.5
    return torch.softmax(scores, dim=3)


WEIGHTS_FROM_QKV = Exercise(
    name="weights_from_qkv",
    notebook="17",
    title="Attention weights from the output of a qkv layer",
    reference=weights_from_qkv,
    probes=lambda: [(torch.randn(1, 3, 24), 2), (torch.randn(2, 5, 36), 3), (torch.randn(3, 4, 24), 4)],
    axes={"qkv": "B N 3·D", "result": "B h N N"},
    hints=[
        "The last axis holds all queries, then all keys, then all values, and within each of them head after head: "
        "its 3·D numbers are (3, h, d).",
        "Bring the queries and keys to (B, h, N, d): a reshape into five axes, then a permute. Notebook 09 did so in "
        "`split_heads`.",
        "Scores are q times k transposed, over the root of d, the width of *one* head. The softmax goes over the keys, "
        "so that each row sums to 1.",
    ],
    mistakes=[
        Mistake(
            "over_the_queries",
            looking(weigh=lambda scores: scores.softmax(dim=-2)),
            "Your columns sum to 1, not your rows: the softmax went over the queries. Each query shares out its own "
            "attention, so the sum over the *keys*, the last axis, has to be 1.",
        ),
        Mistake(
            "transposed",
            looking(weigh=lambda scores: rows(scores).transpose(-2, -1)),
            "The weights are right and lie on their side: your row says who looks *at* a token. Row i has to say where "
            "token i looks.",
        ),
        Mistake(
            "keys_ask",
            looking(ask=lambda q, k, v: k @ q.transpose(-2, -1)),
            "The keys ask and the queries answer. The map looks as good as the right one and belongs to nothing that "
            "the model does: the queries come first.",
        ),
        Mistake(
            "no_scale",
            looking(scale=lambda d, h: 1.0),
            "The √d is missing. Your maps are sharper than the model's own: it divides the scores before the softmax.",
        ),
        Mistake(
            "models_width",
            looking(scale=lambda d, h: (d * h) ** -0.5),
            "You divided by the root of D, the model's whole width. Each head compares vectors of d = D / h numbers; "
            "with D, the maps are paler than what the model uses.",
        ),
        Mistake(
            "layers_width",
            looking(scale=lambda d, h: (3 * d * h) ** -0.5),
            "You divided by the root of 3·D, the width of the layer's whole output. It is d that counts, the width of "
            "one head's queries.",
        ),
        Mistake(
            "not_the_root",
            looking(scale=lambda d, h: 1 / d),
            "You divided by d; the root is missing. The maps come out too even.",
        ),
        Mistake(
            "times_root",
            looking(scale=lambda d, h: d**0.5),
            "You multiplied by √d where the formula divides. The maps are far too sharp.",
        ),
        Mistake(
            "heads_before_three",
            looking(split=lambda x, h: x.unflatten(-1, (h, 3, -1)).permute(3, 0, 2, 1, 4).unbind(0)),
            "You split the last axis into (h, 3, d), as if each head had its own q, k and v side by side. Our layer "
            "gives all queries first: (3, h, d).",
        ),
        Mistake(
            "heads_last",
            looking(split=lambda x, h: x.unflatten(-1, (3, -1, h)).permute(2, 0, 4, 1, 3).unbind(0)),
            "You split D into (d, h), so each head takes every h-th number. A head's numbers lie side by side: (h, d).",
        ),
        Mistake(
            "no_transpose",
            looking(split=by_chunks),
            "You reshaped straight to (B, h, N, d): numbers of different tokens get mixed up, and nothing complains. "
            "Split the last axis first, then move the axis of the heads.",
        ),
        Mistake(
            "values_for_keys",
            looking(ask=lambda q, k, v: q @ v.transpose(-2, -1)),
            "You compared the queries with the values. Keys are the second third of the layer's output, values the "
            "last.",
        ),
        Mistake(
            "queries_alone",
            looking(ask=lambda q, k, v: q @ q.transpose(-2, -1)),
            "You compared queries with queries. Where a token looks depends on what the others *offer*, their keys.",
        ),
        Mistake(
            "scores",
            looking(weigh=lambda scores: scores),
            "These are the scores: no softmax yet. They can be negative, and their rows do not sum to 1.",
        ),
        Mistake(
            "output",
            lambda qkv, num_heads: weights_from_qkv(qkv, num_heads) @ in_order(qkv, num_heads)[2],
            "You went one step too far: this is the output of attention, (B, h, N, d). Stop before the values.",
        ),
        Mistake(
            "mean_before_softmax",
            looking(weigh=lambda scores: rows(scores.mean(dim=1))),
            "You averaged the heads' scores before the softmax. That is one head that nobody has. Keep the heads: "
            "(B, h, N, N).",
        ),
        Mistake(
            "mean_of_heads",
            looking(weigh=lambda scores: rows(scores).mean(dim=1)),
            "You averaged over the heads. Heads look at different places, and their mean hides it: return all of them, "
            "(B, h, N, N).",
        ),
        Mistake(
            "one_wide_head",
            one_wide_head,
            "You compared the whole vectors of D numbers, as if there were one head. Split q and k into the heads "
            "first.",
        ),
        Mistake(
            "over_everything",
            looking(weigh=lambda scores: scores.flatten(-2).softmax(dim=-1).view_as(scores)),
            "Your softmax goes over all pairs at once, so a whole map sums to 1. Each *row* is a question of its own.",
        ),
        Mistake(
            "over_the_heads",
            looking(weigh=lambda scores: scores.softmax(dim=1)),
            "Your softmax goes over the heads. They do not compete with each other: each shares out 1 among the keys.",
        ),
        Mistake(
            "heads_ask_each_other",
            heads_ask_each_other,
            "The heads of one token ask each other: you have B × N tables of h × h. The matrix product takes the "
            "last two axes, so the heads have to stand before the tokens: (B, h, N, d).",
        ),
        Mistake(
            "scaled_too_late",
            looking(scale=lambda d, h: 1.0, weigh=lambda scores: scores, ask=scaled_too_late),
            "You divide by √d after the softmax: the weights stay as sharp as without it, and a row no longer sums "
            "to 1. The scores are divided, before the softmax.",
        ),
    ],
    variants=[
        weights_by_loop,
        weights_by_einsum,
        looking(weigh=lambda scores: scores.exp() / scores.exp().sum(-1)[..., None]),
    ],
    solved="A hook on `qkv` is all that you need: the model itself stays as it is.",
)

EXERCISES = [WEIGHTS_FROM_QKV]
