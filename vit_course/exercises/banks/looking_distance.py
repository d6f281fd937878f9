"""Notebook 17: how far a head looks."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def looking_distance(weights: Tensor, rows: int, columns: int, patch_size: int) -> Tensor:
    """Mean distance in pixels between a patch and what it looks at, by head: (h, N, N) -> (h,)."""
    return far()(weights, rows, columns, patch_size)


def grid(rows: int, columns: int, patch_size: int) -> Tensor:
    return torch.cartesian_prod(torch.arange(rows), torch.arange(columns)).float() * patch_size


def euclid(places: Tensor) -> Tensor:
    return (places[:, None] - places[None]).square().sum(dim=-1).sqrt()


def weighted(weights: Tensor, apart: Tensor) -> Tensor:
    return (weights * apart).sum(dim=-1).mean(dim=-1)


def far(places: Callable = grid, apart: Callable = euclid, average: Callable = weighted) -> Callable:
    """`looking_distance` with other places, another distance or another average."""

    def answer(weights: Tensor, rows: int, columns: int, patch_size: int) -> Tensor:
        return average(weights, apart(places(rows, columns, patch_size)))

    return answer


def in_a_line(rows: int, columns: int, patch_size: int) -> Tensor:
    return torch.arange(rows * columns).float()[:, None] * patch_size


def to_the_mean_place(weights: Tensor, rows: int, columns: int, patch_size: int) -> Tensor:
    places = grid(rows, columns, patch_size)
    return (weights @ places - places).norm(dim=-1).mean(dim=-1)


def from_the_middle(weights: Tensor, rows: int, columns: int, patch_size: int) -> Tensor:
    places = grid(rows, columns, patch_size)
    return (weights * (places - places.mean(dim=0)).norm(dim=-1)).sum(dim=-1).mean(dim=-1)


def without_itself(weights: Tensor, apart: Tensor) -> Tensor:
    others = weights * (1 - torch.eye(len(apart)))
    return weighted(others / others.sum(dim=-1, keepdim=True), apart)


def far_by_loop(weights: Tensor, rows: int, columns: int, patch_size: int) -> Tensor:
    h, N, _ = weights.shape
    result = torch.zeros(h)
    for head in range(h):
        for i in range(N):
            for j in range(N):
                down, right = i // columns - j // columns, i % columns - j % columns
                result[head] += weights[head, i, j] * patch_size * (down**2 + right**2) ** 0.5 / N
    return result


def far_by_einsum(weights: Tensor, rows: int, columns: int, patch_size: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    places = torch.stack([x, y], dim=-1).flatten(0, 1).float()
    return torch.einsum("hij,ij->h", weights, torch.cdist(places, places)) * patch_size / len(places)


def draw(h: int, rows: int, columns: int, patch_size: int) -> tuple:
    N = rows * columns
    return (2 * torch.randn(h, N, N)).softmax(dim=-1), rows, columns, patch_size


LOOKING_DISTANCE = Exercise(
    name="looking_distance",
    notebook="17",
    title="How far a head looks, in pixels",
    reference=looking_distance,
    probes=lambda: [draw(2, 2, 2, 4), draw(3, 2, 4, 3), draw(4, 3, 2, 5)],
    axes={"weights": "h N N", "result": "h"},
    hints=[
        "First the places: patch n is in row n // columns and column n % columns. Times the patch's side they are in "
        "pixels.",
        "Then all distances at once, (N, N): `torch.cdist(places, places)` wants floats.",
        "For each query the distances, weighted by its attention, added up over the keys. Then the mean over queries.",
    ],
    mistakes=[
        Mistake(
            "patches",
            far(places=lambda rows, columns, patch_size: grid(rows, columns, 1)),
            "Your distances are in patches. In pixels they are `patch_size` times as long; only so can nets with "
            "different patches be compared.",
        ),
        Mistake(
            "unweighted",
            far(average=lambda weights, apart: apart.mean().expand(len(weights))),
            "The weights are not used: this is the mean distance between any two patches. It is what a head that looks "
            "*evenly* has; every head comes out the same.",
        ),
        Mistake(
            "mean_over_keys",
            far(average=lambda weights, apart: (weights * apart).mean(dim=(1, 2))),
            "You divided by N twice. The weights of one query sum to 1 already, so *add up* over the keys, and take "
            "the mean over the queries only.",
        ),
        Mistake(
            "sum_over_queries",
            far(average=lambda weights, apart: (weights * apart).sum(dim=(1, 2))),
            "You added the queries up. A picture with more patches would seem to have heads that look further: take "
            "their mean.",
        ),
        Mistake(
            "rows_for_columns",
            far(places=lambda rows, columns, patch_size: grid(columns, rows, patch_size)),
            "Rows and columns are swapped: your grid is `columns` high. A row holds `columns` patches, so patch n is "
            "in row n // columns. On a square grid nobody would notice.",
        ),
        Mistake(
            "in_a_line",
            far(places=in_a_line),
            "You took the distance between the *numbers* of the patches. The last patch of a row and the first of the "
            "next are neighbours in the sequence and far apart in the picture.",
        ),
        Mistake(
            "squared",
            far(apart=lambda places: euclid(places) ** 2),
            "These are squared distances: far looks count too much, and the unit is no longer a pixel. Take the root.",
        ),
        Mistake(
            "root_at_the_end",
            far(average=lambda weights, apart: weighted(weights, apart**2).sqrt()),
            "You averaged the squares and took the root at the end. The mean of distances is something else, and "
            "smaller: take the root of each one first.",
        ),
        Mistake(
            "city_blocks",
            far(apart=lambda places: torch.cdist(places, places, p=1)),
            "You added rows and columns, as a taxi drives. Asked for is the straight line: the root of the sum of the "
            "squares.",
        ),
        Mistake(
            "longer_side",
            far(apart=lambda places: torch.cdist(places, places, p=float("inf"))),
            "You took the larger of the two differences. Asked for is the straight line.",
        ),
        Mistake(
            "rows_only",
            far(apart=lambda places: euclid(places[:, :1])),
            "Only the difference of the rows counts in your distance. Both count.",
        ),
        Mistake(
            "columns_only",
            far(apart=lambda places: euclid(places[:, 1:])),
            "Only the difference of the columns counts in your distance. Both count.",
        ),
        Mistake(
            "brightest",
            far(average=lambda w, apart: apart.expand_as(w).gather(2, w.argmax(2, keepdim=True)).mean(dim=(1, 2))),
            "You took the distance to the patch with the *largest* weight. The rest of the attention is forgotten: "
            "weigh all of them.",
        ),
        Mistake(
            "mean_place",
            to_the_mean_place,
            "You first averaged the places, then measured. A head that looks far to the left and far to the right "
            "would look nowhere. Measure first, then average.",
        ),
        Mistake(
            "from_the_middle",
            from_the_middle,
            "You measured from the middle of the picture. Each query measures from its own place.",
        ),
        Mistake(
            "heads_averaged",
            far(average=lambda weights, apart: weighted(weights, apart).mean()),
            "You averaged the heads, too. That they differ is what the figure is about: one number for each head.",
        ),
        Mistake(
            "one_number_a_query",
            far(average=lambda weights, apart: (weights * apart).sum(dim=-1)),
            "There is still one number for each query, (h, N). Take the mean over them.",
        ),
        Mistake(
            "softmax_again",
            far(average=lambda weights, apart: weighted(weights.softmax(dim=-1), apart)),
            "You put the weights through a softmax. They have been through one: a second makes every head look "
            "nearly evenly.",
        ),
        Mistake(
            "itself_left_out",
            far(average=without_itself),
            "You leave out each query's look at itself. It is a look at distance 0, and counts: without it a head "
            "that looks at its own patch alone would have no distance at all.",
        ),
        Mistake(
            "largest_product",
            far(average=lambda weights, apart: (weights * apart).amax(dim=-1).mean(dim=-1)),
            "You take the largest product of weight and distance. Asked for is their sum over the keys: the mean "
            "distance, weighted.",
        ),
    ],
    variants=[far_by_loop, far_by_einsum],
    solved="Compare it with the distance of a head that looks evenly, or the number means little.",
)

EXERCISES = [LOOKING_DISTANCE]
