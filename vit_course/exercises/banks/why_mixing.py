"""Notebook 06, third part: every token becomes a weighted mean of all tokens."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def mix_tokens(tokens: Tensor, scores: Tensor) -> Tensor:
    """(B, N, D) and scores (B, N, N), one row a receiving token -> weighted means of the tokens, (B, N, D)."""
    return mixed()(tokens, scores)


def mixed(weigh: Callable = lambda scores: scores.softmax(dim=2)) -> Callable[[Tensor, Tensor], Tensor]:
    """`mix_tokens` with other weights."""
    return lambda tokens, scores: weigh(scores) @ tokens


def by_loops(tokens: Tensor, scores: Tensor) -> Tensor:
    result = torch.zeros_like(tokens)
    for b in range(len(tokens)):
        for i in range(tokens.shape[1]):
            weights = [torch.exp(score - scores[b, i].max()) for score in scores[b, i]]
            for weight, token in zip(weights, tokens[b], strict=True):
                result[b, i] += weight / sum(weights) * token
    return result


def by_einsum(tokens: Tensor, scores: Tensor) -> Tensor:
    powers = scores.exp()
    return torch.einsum("bij,bjd->bid", powers / powers.sum(-1, keepdim=True), tokens)


def divided_after(tokens: Tensor, scores: Tensor) -> Tensor:
    powers = scores.exp()
    return torch.bmm(powers, tokens) / powers.sum(2, keepdim=True)


def tokens_and_scores() -> list[tuple]:
    return [(torch.randn(b, n, d), 1.5 * torch.randn(b, n, n)) for b, n, d in ((1, 3, 2), (2, 4, 5), (3, 5, 4))]


MIX_TOKENS = Exercise(
    name="mix_tokens",
    notebook="06",
    title="Every token a weighted mean of all",
    reference=mix_tokens,
    probes=tokens_and_scores,
    result="tokens",
    axes={"tokens": "B N D", "scores": "B N N"},
    hints=[
        "Two steps: make weights of the scores, then take weighted means. `softmax` makes numbers positive and their "
        "sum 1, along one axis. Along which?",
        "Row i of the scores belongs to the token that *receives*. Its weights, one for each token j, have to add up "
        "to 1: `weights[b, i].sum() == 1`.",
        "The weighted means of all rows at once are one matrix product of the weights (B, N, N) with the tokens "
        "(B, N, D).",
    ],
    mistakes=[
        Mistake(
            "over_receivers",
            mixed(lambda scores: scores.softmax(dim=1)),
            "Your softmax runs over the receiving tokens: the *columns* add up to 1. Then one token receives several "
            "times a mean and another hardly anything. A row belongs to one receiver, so the weights along the last "
            "axis add up to 1.",
        ),
        Mistake(
            "over_the_batch",
            mixed(lambda scores: scores.softmax(dim=0)),
            "Your softmax runs over axis 0, the batch: one image's weights depend on the other images, and with a "
            "single image all weights are 1.",
        ),
        Mistake(
            "over_everything",
            mixed(lambda scores: scores.flatten(1).softmax(1).view_as(scores)),
            "All N × N weights of an image together add up to 1, so each row gets a fraction of its due and the "
            "tokens shrink. Each row by itself has to add up to 1.",
        ),
        Mistake(
            "over_everything_and_batch",
            mixed(lambda scores: scores.exp() / scores.exp().sum()),
            "You divide by the sum over everything: all rows, and all images of the batch. Each row by itself has to "
            "add up to 1, so the sum goes along the last axis alone, and keeps it: `keepdim=True`.",
        ),
        Mistake(
            "no_keepdim",
            mixed(lambda scores: scores.exp() / scores.exp().sum(2)),
            "Exponentials and their sums along the last axis are right, but the sums are (B, N) and the exponentials "
            "(B, N, N). Broadcasting lines shapes up from the right, so the sum of row i divides *column* i, if "
            "it fits at all. The sums need a last axis of length 1: `keepdim=True`.",
        ),
        Mistake(
            "no_softmax",
            mixed(lambda scores: scores),
            "You used the raw scores as weights. They may be negative and add up to anything: no mean, and the "
            "result's size is left to chance.",
        ),
        Mistake(
            "divided_by_the_sum",
            mixed(lambda scores: scores / scores.sum(2, keepdim=True)),
            "The weights add up to 1, but a score may be negative, and a sum of scores near 0 makes weights explode. "
            "First the exponential, then divide: that is the softmax.",
        ),
        Mistake(
            "not_divided",
            mixed(torch.exp),
            "Positive weights, but they do not add up to 1: the exponentials still have to be divided by their sum.",
        ),
        Mistake(
            "transposed",
            mixed(lambda scores: scores.softmax(dim=2).transpose(1, 2)),
            "The weights are right and used the wrong way round: token i gets what others give *to* it by their rows. "
            "Row i says what token i takes from each.",
        ),
        Mistake(
            "scores_transposed",
            mixed(lambda scores: scores.transpose(1, 2).softmax(dim=2)),
            "You read the scores by columns. Row i holds the scores of receiving token i for all others.",
        ),
        Mistake(
            "uniform",
            mixed(lambda scores: torch.full_like(scores, 1 / scores.shape[2])),
            "Every token gets the same plain mean: the scores are not used. Then all tokens are equal after one step.",
        ),
        Mistake(
            "winner_takes_all",
            mixed(lambda scores: torch.nn.functional.one_hot(scores.argmax(2), scores.shape[2]).float()),
            "Each token copies the one with its highest score. That is no mean, and a maximum's position has no "
            "gradient: the scores could never be learned.",
        ),
        Mistake(
            "added",
            lambda tokens, scores: tokens + scores.softmax(dim=2) @ tokens,
            "You added the tokens themselves. A transformer does so too, in the step after this one; here it is the "
            "mean alone.",
        ),
        Mistake(
            "log",
            mixed(lambda scores: scores.log_softmax(dim=2)),
            "Those are logarithms of weights: all negative. You want `softmax`, not `log_softmax`.",
        ),
        Mistake(
            "scaled_by_width",
            lambda tokens, scores: (scores / tokens.shape[2] ** 0.5).softmax(dim=2) @ tokens,
            "You divided the scores by √D. Whoever *computes* scores from tokens does that, and notebook 09 says why. "
            "These scores are given, and meant as they are.",
        ),
        Mistake(
            "divided_by_n",
            lambda tokens, scores: scores.softmax(dim=2) @ tokens / tokens.shape[1],
            "Your result is N times too small. The weights add up to 1 already, so the weighted mean is a *sum* of "
            "weight times token; a plain mean divides once more.",
        ),
        Mistake(
            "tokens_first",
            lambda tokens, scores: tokens @ scores.softmax(dim=2),
            "The weights belong in front: (B, N, N) times (B, N, D). With the tokens in front, their width D meets the "
            "N of the weights, and the shapes do not fit.",
        ),
        Mistake(
            "elementwise",
            lambda tokens, scores: scores.softmax(dim=2) * tokens,
            "`*` multiplies number by number, and (B, N, N) does not fit (B, N, D). Each token needs a sum over all "
            "tokens j, weight times token: that is a matrix product.",
        ),
        Mistake(
            "elementwise_tokens_first",
            lambda tokens, scores: tokens * scores.softmax(dim=2),
            "`*` sets numbers of the same place side by side, and (B, N, D) has no partner in (B, N, N). A weighted "
            "mean adds up over the tokens: a matrix product, with the weights in front.",
        ),
    ],
    variants=[by_loops, by_einsum, divided_after],
    solved="That is attention. What is missing is where the scores come from.",
)

EXERCISES = [MIX_TOKENS]
