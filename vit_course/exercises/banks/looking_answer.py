"""Notebook 17: which of the many weights the answer is made of, as a map."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def answer_map(weights: Tensor, rows: int, columns: int) -> Tensor:
    """Where the last layer's output for the head comes from, heads averaged: (h, N, N) -> (rows, columns)."""
    return seen()(weights, rows, columns)


def mean_of_queries(weights: Tensor) -> Tensor:
    return weights.mean(dim=0)


def seen(
    heads: Callable = lambda weights: weights.mean(dim=0),
    patches: Callable = mean_of_queries,
    token: Callable = lambda weights: weights[0, 1:],
    layout: Callable = lambda values, rows, columns: values.reshape(rows, columns),
) -> Callable:
    """`answer_map` with other heads, other weights without or with a class token, or another layout."""

    def answer(weights: Tensor, rows: int, columns: int) -> Tensor:
        mean = heads(weights)  # (N, N)
        values = patches(mean) if len(mean) == rows * columns else token(mean)
        return layout(values, rows, columns)

    return answer


def seen_by_loop(weights: Tensor, rows: int, columns: int) -> Tensor:
    h, N, _ = weights.shape
    with_token = N - rows * columns
    askers = [0] if with_token else range(N)
    result = torch.zeros(rows, columns)
    for r in range(rows):
        for c in range(columns):
            place = with_token + r * columns + c
            result[r, c] = sum(weights[i, asker, place] for i in range(h) for asker in askers) / (h * len(askers))
    return result


def seen_by_einsum(weights: Tensor, rows: int, columns: int) -> Tensor:
    h, N, _ = weights.shape
    askers = torch.zeros(N)
    if rows * columns < N:
        askers[0] = 1
    else:
        askers[:] = 1 / N
    return torch.einsum("hij,i->j", weights, askers / h)[-rows * columns :].view(rows, columns)


def without_and_with_a_token() -> list[tuple]:
    def draw(h: int, rows: int, columns: int, token: int) -> tuple:
        N = rows * columns + token
        return (2 * torch.randn(h, N, N)).softmax(dim=-1), rows, columns

    return [draw(2, 1, 3, 0), draw(3, 2, 3, 0), draw(3, 3, 2, 1), draw(2, 2, 4, 1), draw(4, 4, 2, 0)]


ANSWER_MAP = Exercise(
    name="answer_map",
    notebook="17",
    title="From weights to a map of what the answer reads",
    reference=answer_map,
    probes=without_and_with_a_token,
    axes={"weights": "h N N", "result": "rows columns"},
    hints=[
        "Is there a class token? Compare N with the number of patches.",
        "With one, only its row counts: row 0. Leave out its first entry, the look at itself.",
        "Without one, the head reads the mean of all tokens, so average over those who *ask*: the first of the two "
        "axes of length N. What is left tells the keys apart.",
    ],
    mistakes=[
        Mistake(
            "over_the_keys",
            seen(patches=lambda mean: mean.mean(dim=1)),
            "Without a class token you averaged over the keys. Each row sums to 1, so this mean is 1 / N everywhere: "
            "an even map, whatever the picture. Average over the queries.",
        ),
        Mistake(
            "over_the_keys_always",
            seen(patches=lambda mean: mean.mean(dim=1), token=lambda mean: mean.mean(dim=1)[1:]),
            "You averaged over the keys, with and without a class token. Each row sums to 1, so this mean is 1 / N "
            "everywhere: an even map, whatever the picture.",
        ),
        Mistake(
            "sum_of_queries",
            seen(patches=lambda mean: mean.sum(dim=0)),
            "You added the queries up. The head reads their *mean*: your map sums to N where it should sum to 1.",
        ),
        Mistake(
            "row_0_of_patches",
            seen(patches=lambda mean: mean[0]),
            "You took row 0 also where there is no class token. There, token 0 is the patch at the top left, one "
            "patch of many: average over all queries.",
        ),
        Mistake(
            "own_look",
            seen(patches=lambda mean: mean.diagonal()),
            "You took the diagonal: how much each patch looks at itself. Asked for is how much all of them look at it.",
        ),
        Mistake(
            "class_column",
            seen(token=lambda mean: mean[1:, 0]),
            "You took the column of the class token: how much each patch looks *at it*. The answer is what the class "
            "token has gathered: its row.",
        ),
        Mistake(
            "all_queries",
            seen(token=lambda mean: mean.mean(dim=0)[1:]),
            "Where there is a class token you averaged over all queries. The head reads that one token alone, so only "
            "its row counts.",
        ),
        Mistake(
            "last_token",
            seen(token=lambda mean: mean[-1, :-1]),
            "You took the last token for the class token. It stands in front: row 0.",
        ),
        Mistake(
            "last_left_out",
            seen(token=lambda mean: mean[0, :-1]),
            "You left out the last entry of the row, which is a patch. The class token's own entry is the first; now "
            "every value lies one place too far.",
        ),
        Mistake(
            "stretched",
            seen(token=lambda mean: mean[0, 1:] / mean[0, 1:].sum()),
            "With a class token you made the map sum to 1 again. Then nobody sees how much it kept for itself. Return "
            "the weights as they are.",
        ),
        Mistake(
            "down_the_columns",
            seen(layout=lambda values, rows, columns: values.reshape(columns, rows).T),
            "You filled the grid column by column. Patches are numbered along the rows, as one reads: your map is "
            "scrambled.",
        ),
        Mistake(
            "columns_first",
            seen(layout=lambda values, rows, columns: values.reshape(columns, rows)),
            "Your map has `columns` rows. The rows come first: (rows, columns). On a square grid nobody would notice, "
            "and nothing would be wrong; on others the map is scrambled.",
        ),
        Mistake(
            "largest_head",
            seen(heads=lambda weights: weights.amax(dim=0)),
            "You took the largest weight of all heads. Some people draw that; asked for is the mean of the heads.",
        ),
        Mistake(
            "heads_added",
            seen(heads=lambda weights: weights.sum(dim=0)),
            "You added the heads up. Then the numbers depend on how many there are: take their mean.",
        ),
        Mistake(
            "heads_kept",
            lambda weights, rows, columns: torch.stack([seen()(head[None], rows, columns) for head in weights]),
            "There is still a map for each head: (h, rows, columns). Average them.",
        ),
        Mistake(
            "times_even",
            lambda weights, rows, columns: weights.shape[-1] * answer_map(weights, rows, columns),
            "These are multiples of an even look. The figures draw that; the function returns the weights as they are.",
        ),
        Mistake(
            "first_head",
            seen(heads=lambda weights: weights[0]),
            "That is the first head alone. Take the mean of all.",
        ),
        Mistake(
            "token_left_out",
            seen(token=lambda mean: mean[1:, 1:].mean(dim=0)),
            "Where there is a class token you leave it out and average over the patches, as without one. But it is "
            "the class token that the head reads: its row counts, and no other.",
        ),
        Mistake(
            "brightest_is_1",
            lambda weights, rows, columns: (m := answer_map(weights, rows, columns)) / m.max(),
            "You divided by the largest value, as one may for a picture. Then nobody sees whether the map is nearly "
            "even. Return the weights as they are.",
        ),
        Mistake(
            "from_0_to_1",
            lambda weights, rows, columns: ((m := answer_map(weights, rows, columns)) - m.min()) / (m.max() - m.min()),
            "You stretched the map to 0 … 1. A map that is nearly even then looks as sharp as any. Return the "
            "weights as they are.",
        ),
        Mistake(
            "token_expected",
            lambda weights, rows, columns: weights.mean(dim=0)[0, 1:].reshape(rows, columns),
            "You expect a class token always. Where there is none, N is rows · columns, and the map is the mean "
            "over all queries.",
        ),
    ],
    variants=[seen_by_loop, seen_by_einsum],
    solved="Without a class token the mean over queries is no choice of taste: the algebra above says so.",
)

EXERCISES = [ANSWER_MAP]
