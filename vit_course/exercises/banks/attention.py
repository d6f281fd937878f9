"""Notebook 09, first part: attention as a function."""

import torch

from vit_course.exercises.banks.attention_answers import (
    attend,
    attended,
    by_einsum,
    by_exponentials,
    by_the_fused_kernel,
    hardest,
    output_divided,
    query_by_query,
    scaled_after,
    with_keys_as_values,
    with_scores,
)
from vit_course.exercises.core import Exercise, Mistake


def queries_keys_values() -> list[tuple]:
    """No two lengths are equal, nor queries and keys as many; with no batch axis, one, and two."""

    def draw(*batch: int, n: int, m: int, d: int, e: int, learns: bool = False) -> tuple:
        q, k, v = torch.randn(*batch, n, d), torch.randn(*batch, m, d), torch.randn(*batch, m, e)
        return tuple(x.requires_grad_(learns) for x in (q, k, v))

    return [
        draw(n=2, m=3, d=4, e=1),
        draw(3, n=2, m=4, d=5, e=6),
        draw(2, 3, n=7, m=4, d=6, e=5),
        draw(4, 2, n=3, m=6, d=9, e=5, learns=True),
    ]


ATTEND = Exercise(
    name="attend",
    notebook="09",
    title="Attention in matrix form, for any axes in front",
    reference=attend,
    probes=queries_keys_values,
    result=("output", "weights"),
    axes={"output": "N e", "weights": "N M", "q": "N d", "k": "M d", "v": "M e"},
    hints=[
        "Four steps: all scores by one matrix product; divide; softmax; one more matrix product. In which of them do "
        "the values take part?",
        "A product of (…, N, d) and (…, d, M) gives (…, N, M). `.T` turns *all* axes round; `.transpose(-2, -1)` swaps "
        "the last two and leaves those in front alone.",
        "Each query hands out a weight of 1 altogether. So the softmax runs along the axis of the keys: the last one.",
    ],
    mistakes=[
        Mistake(
            "no_root",
            attended(scale=lambda q, k: 1.0),
            "The scores are not divided by √d. A dot product of d terms grows like √d, so with a wide head the softmax "
            "puts everything on one key, and hardly any gradient comes back through it. Look at the step before it.",
        ),
        Mistake(
            "by_d",
            attended(scale=lambda q, k: 1 / q.shape[-1]),
            "You divide by d (or by √d twice, once on the query's side). The variance of a dot product grows like d, "
            "its size like the root. Divided by d, wide heads weigh all keys nearly alike.",
        ),
        Mistake(
            "times_root",
            attended(scale=lambda q, k: q.shape[-1] ** 0.5),
            "You multiply by √d, which makes large scores larger still. They should shrink to the size of 1: divide.",
        ),
        Mistake(
            "root_of_keys",
            attended(scale=lambda q, k: k.shape[-2] ** -0.5),
            "You divide by the root of the number of *keys*. A score is a sum of d products, however many keys there "
            "are: what counts is the width, the last axis.",
        ),
        Mistake(
            "root_of_queries",
            attended(scale=lambda q, k: q.shape[-2] ** -0.5),
            "You divide by the root of the number of *queries*: `q.shape[-2]` counts tokens. The width stands last.",
        ),
        Mistake(
            "root_of_the_first_axis",
            attended(scale=lambda q, k: len(q) ** -0.5),
            "You divide by the root of `len(q)`. For a single query, one row of numbers, that was its width; of a "
            "table `len` is the number of rows, and with a batch that of images. The width is the last axis.",
        ),
        Mistake(
            "root_of_axis_one",
            attended(scale=lambda q, k: q.shape[1] ** -0.5),
            "You divide by the root of `q.shape[1]`. That is the width while there is no batch; with one it is the "
            "number of queries. Count the axis from the end.",
        ),
        Mistake(
            "root_after",
            scaled_after,
            "You divide after the softmax. Then the rows add up to 1/√d instead of 1, and the softmax has already seen "
            "the large scores. The root belongs before it.",
        ),
        Mistake(
            "output_divided",
            output_divided,
            "You divide the output. By then the softmax has seen the large scores, and the output is no mean of the "
            "values any more. The root belongs before the softmax.",
        ),
        Mistake(
            "over_queries",
            attended(normalise=lambda s: s.softmax(dim=-2)),
            "The softmax runs over the queries: the *columns* add up to 1. Now queries compete for a key, and what one "
            "token gets depends on which other tokens ask. Each query divides its own attention among the keys.",
        ),
        Mistake(
            "axis_one",
            attended(normalise=lambda s: s.softmax(dim=1)),
            "The softmax runs over axis 1. That is the keys' axis while there is no batch; with a batch it is the "
            "queries, and with heads the heads. Count the axis from the end.",
        ),
        Mistake(
            "axis_zero",
            attended(normalise=lambda s: s.softmax(dim=0)),
            "The softmax runs over axis 0: the queries, and with a batch the images. Then one image's weights depend "
            "on its neighbours in the batch. The keys stand on the last axis.",
        ),
        Mistake(
            "over_everything",
            attended(normalise=lambda s: s.flatten().softmax(0).reshape(s.shape)),
            "All weights add up to 1 together. Each query has a weight of 1 of its own: every row adds up to 1.",
        ),
        Mistake(
            "no_softmax",
            attended(normalise=lambda s: s),
            "The softmax is missing. The weights are negative here and larger than 1 there, so the output is no mean "
            "of the values any more: it grows with the scores.",
        ),
        Mistake(
            "sum_without_exp",
            attended(normalise=lambda s: s / s.sum(-1, keepdim=True)),
            "The rows add up to 1, but without the exponential: scores may be negative, so weights are too, and where "
            "a row's sum is near zero they explode. Softmax takes e to the score first.",
        ),
        Mistake(
            "exp_without_sum",
            attended(normalise=torch.exp),
            "You take e to the score, and stop half-way: a softmax then divides each row by its sum, so that it adds "
            "up to 1.",
        ),
        Mistake(
            "only_the_best",
            attended(normalise=hardest),
            "Each query takes the best key alone. That is a lookup in a dictionary: no gradient reaches queries and "
            "keys, so nothing could learn where to look. The softmax makes it soft.",
        ),
        Mistake(
            "all_axes_turned",
            attended(scores=lambda q, k: q @ k.permute(*reversed(range(k.ndim)))),
            "Without a batch you are right; with one, `.T` (or its like) turns round *all* axes, the batch's too. Swap "
            "the last two only.",
        ),
        Mistake(
            "counted_from_the_front",
            attended(scores=lambda q, k: q @ k.transpose(1, 2)),
            "You count the axes from the front, and how many stand there is open: here none, elsewhere two. Counted "
            "from the end, the two to swap are always -2 and -1.",
        ),
        Mistake(
            "first_two_axes",
            attended(scores=lambda q, k: q @ k.transpose(0, 1)),
            "You swap the first two axes of the keys. Without a batch those are the right ones; with one you swap "
            "images and keys. Count from the end: -2 and -1.",
        ),
        Mistake(
            "two_axes_only",
            attended(scores=lambda q, k: q @ k.t()),
            "Without a batch you are right; `t()` takes no more than two axes. `transpose` swaps two axes of any "
            "number: the last ones are -2 and -1.",
        ),
        Mistake(
            "not_turned",
            attended(scores=lambda q, k: q @ k),
            "Queries (…, N, d) times keys (…, M, d) do not fit: a matrix product runs along the *last* axis of the "
            "left and the *last but one* of the right. One of the two has to be turned.",
        ),
        Mistake(
            "star",
            attended(scores=lambda q, k: q * k),
            "`*` multiplies number by number, and here the shapes do not even fit. Scores, and the mixing of the "
            "values, are matrix products: `@`.",
        ),
        Mistake(
            "values_on_the_left",
            attended(mix=lambda w, v: v @ w),
            "The values stand on the left of the weights. It is (N, M) times (M, e): each row of weights mixes the "
            "values.",
        ),
        Mistake(
            "keys_ask",
            attended(scores=lambda q, k: k @ q.transpose(-2, -1)),
            "What you mix the values with is (M, N): the keys ask, and the queries answer. With as many queries as "
            "keys, as in an image that looks at itself, shapes would agree and nothing would warn. A row is a query's.",
        ),
        Mistake(
            "keys_as_values",
            with_keys_as_values,
            "The weights are right, but you average the keys with them. A key says how well a token fits; what the "
            "token then hands over is its value.",
        ),
        Mistake(
            "not_mixed",
            attended(mix=lambda w, v: v),
            "The weights are right, but they are not used: you return the values as they came. Each output is a "
            "weighted mean of them.",
        ),
        Mistake(
            "scores_back",
            with_scores,
            "The output is right. What you give back beside it are the scores; wanted are the weights, which add up to "
            "1 in every row.",
        ),
        Mistake(
            "order",
            attended(back=lambda output, weights: (weights, output)),
            "Both are right, but they come in the other order. The output first, then the weights, as in torch's own "
            "`nn.MultiheadAttention`.",
        ),
        Mistake(
            "only_the_output",
            attended(back=lambda output, weights: output),
            "The output is right. Give back the weights as well, `output, weights`, so that one can look at them.",
        ),
    ],
    variants=[by_einsum, by_exponentials, query_by_query, by_the_fused_kernel],
    solved="These four steps are equation 1 of *Attention is all you need*.",
)

EXERCISES = [ATTEND]
