"""Notebook 18, first part: attention that looks only backwards."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def causal_weights(scores: Tensor) -> Tensor:
    """Attention weights (..., L, L) from scores (..., L, L): token i sees the tokens 0 … i."""
    return masked()(scores)


def past(length: int) -> Tensor:
    return torch.ones(length, length, dtype=torch.bool).tril()


def masked(
    seen: Callable[[int], Tensor] = past, fill: float = float("-inf"), weights: Callable = lambda s: s.softmax(dim=-1)
) -> Callable[[Tensor], Tensor]:
    """`causal_weights` with one part done otherwise."""

    def answer(scores):
        return weights(scores.masked_fill(~seen(scores.shape[-1]), fill))

    return answer


def cut_afterwards(scores: Tensor) -> Tensor:
    """Wrong: the softmax has already shared out all of the weight."""
    return scores.softmax(dim=-1) * past(scores.shape[-1])


def times_infinity(scores: Tensor) -> Tensor:
    """Wrong: the mask as numbers, multiplied with infinity."""
    hidden = (~past(scores.shape[-1])).to(scores.dtype)
    return (scores + hidden * float("-inf")).softmax(dim=-1)


def softmax_twice(scores: Tensor) -> Tensor:
    return scores.softmax(dim=-1).masked_fill(~past(scores.shape[-1]), float("-inf")).softmax(dim=-1)


def in_place(scores: Tensor) -> Tensor:
    scores.masked_fill_(~past(scores.shape[-1]), float("-inf"))
    return scores.softmax(dim=-1)


def token_by_token(scores):
    weights = torch.zeros_like(scores)
    for i in range(scores.shape[-1]):
        weights[..., i, : i + 1] = scores[..., i, : i + 1].softmax(dim=-1)
    return weights


def added(scores):
    length = scores.shape[-1]
    return (scores + torch.full((length, length), float("-inf")).triu(1)).softmax(dim=-1)


def renormalised(scores):
    weights = (scores - scores.amax(dim=-1, keepdim=True)).exp().tril()
    return weights / weights.sum(dim=-1, keepdim=True)


def by_places(scores):
    i = torch.arange(scores.shape[-1])
    return torch.where(i[:, None] >= i, scores, -torch.inf).softmax(-1)


CAUSAL = Exercise(
    name="causal_weights",
    notebook="18",
    title="Attention that sees only the past",
    reference=causal_weights,
    probes=lambda: [
        (torch.tensor([[0.0, 1.0, 2.0], [1.0, 0.0, -1.0], [0.5, 0.5, 3.0]]),),
        (3 * torch.randn(2, 3, 5, 5) - 1,),
        (torch.randn(4, 4) - 4,),
    ],
    result="weights",
    axes={"scores": "… L L", "weights": "… L L"},
    hints=[
        "Row i belongs to token i, which asks; column j to token j, which is asked. Which (i, j) are allowed? Write "
        "the 3 × 3 case down.",
        "`torch.ones(L, L, dtype=torch.bool).tril()` is True on the diagonal and below. `scores.masked_fill(~mask, "
        "…)` makes a new tensor.",
        "What has to stand in place of a score, so that the softmax gives it exactly 0? e to the power of what is 0?",
    ],
    mistakes=[
        Mistake(
            "no_mask",
            lambda scores: scores.softmax(dim=-1),
            "That is ordinary attention: every word sees all words, those after it too. Nothing is masked yet.",
        ),
        Mistake(
            "inverted",
            masked(seen=lambda n: ~past(n)),
            "The mask is the wrong way round: each token sees only what comes after it, and the last one sees nothing "
            "at all, so its row is nan. Mind whether True means *may look* or *is hidden*; `masked_fill` fills where "
            "True stands.",
        ),
        Mistake(
            "future",
            masked(seen=lambda n: past(n).T),
            "Each token sees itself and what comes *after* it. Row i is the one who asks, so what lies to the right "
            "of the diagonal is the future: that is to be hidden.",
        ),
        Mistake(
            "without_itself",
            masked(seen=lambda n: past(n).tril(-1)),
            "A token does not see itself. The first then sees nothing: a softmax over nothing but -inf is nan, and "
            "nan spreads to everything. The diagonal stays open.",
        ),
        Mistake(
            "times_infinity",
            times_infinity,
            "You multiply a mask of zeros and ones by -inf, and 0 · inf is nan: every row that has an open place is "
            "lost, which is every row. Choose between score and -inf (`masked_fill`, `torch.where`), instead of "
            "multiplying.",
        ),
        Mistake(
            "one_ahead",
            masked(seen=lambda n: torch.ones(n, n, dtype=torch.bool).tril(1)),
            "Each token sees one token too many: the next one. One step into the future a block, and after four "
            "blocks it has seen four words ahead. The diagonal itself is the last that is open.",
        ),
        Mistake(
            "zero_fill",
            masked(fill=0.0),
            "Hidden scores are 0, and e⁰ = 1: the softmax gives them as much as any middling score. A hidden token "
            "has to get the weight 0, so its score has to be far below all others.",
        ),
        Mistake(
            "minus_one",
            masked(fill=-1.0),
            "Hidden scores are -1, and e⁻¹ = 0.37: the future is turned down, not off. And where the other scores are "
            "lower still it even wins.",
        ),
        Mistake(
            "zeroed_scores",
            lambda scores: (scores.tril() * 1.0).softmax(dim=-1) * past(scores.shape[-1]),
            "You set hidden scores to 0, where e⁰ = 1, and cut their weights away after the softmax: what they took "
            "is missing in the row, whose sum is below 1. Hide before the softmax, with a score whose exponential is "
            "0.",
        ),
        Mistake(
            "cut_afterwards",
            cut_afterwards,
            "You hide the future after the softmax, which has already given it its share: the rows no longer sum to "
            "1, and the first token listens at a fraction of its strength. Hide the scores *before* the softmax.",
        ),
        Mistake(
            "columns",
            masked(weights=lambda s: s.softmax(dim=-2)),
            "The mask is right, the softmax runs down the columns. Each token that asks shares out its attention over "
            "those that are asked: rows sum to 1.",
        ),
        Mistake(
            "no_softmax",
            masked(weights=lambda s: s),
            "These are masked scores. Weights come out of a softmax over the last axis.",
        ),
        Mistake(
            "in_place",
            in_place,
            "The weights are right, but the scores that you were given now have -inf in them: `masked_fill_` with an "
            "underscore writes into its tensor. Without the underscore it makes a new one.",
        ),
        Mistake(
            "minus_ten",
            masked(fill=-10.0),
            "Hidden scores are -10: small, and still a number. Where a row's other scores are low as well, the "
            "future gets its share. Only -inf is lower than whatever may come.",
        ),
        Mistake(
            "softmax_twice",
            softmax_twice,
            "You take a softmax, hide the future, and take a softmax of what is left. The weights of the first go "
            "into the second as scores between 0 and 1, which makes every row nearly even. Hide the *scores*, then "
            "one softmax.",
        ),
        Mistake(
            "axis_1",
            masked(weights=lambda s: s.softmax(dim=1)),
            "Your softmax runs over axis 1. That is the right one for a single (L, L) table seen as a batch of "
            "rows; with images and heads in front it runs over the heads. Count from the end: dim=-1.",
        ),
    ],
    variants=[token_by_token, added, renormalised, by_places],
    solved="Row i has i + 1 weights that are not 0, and they sum to 1.",
)

EXERCISES = [CAUSAL]
