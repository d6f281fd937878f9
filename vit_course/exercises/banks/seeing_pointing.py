"""Notebook 05: the pointing game, does a map find the object?"""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def hits(maps: Tensor, centres: Tensor, radii: Tensor) -> Tensor:
    """Whether each map's largest value lies within its circle: bool (B,)."""
    return pointing()(maps, centres, radii)


def pointing(
    peak: Callable = lambda maps: (
        maps.flatten(1).argmax(1) // maps.shape[2],
        maps.flatten(1).argmax(1) % maps.shape[2],
    ),
    place: Callable = lambda row, column, h, w: torch.stack([(column + 0.5) / w, (row + 0.5) / h], dim=1),
    inside: Callable = lambda away, radii: away.norm(dim=1) <= radii,
) -> Callable:
    """`hits` that finds the peak, turns it into a place, or compares in another way."""

    def answer(maps, centres, radii):
        row, column = peak(maps)
        return inside(place(row, column, *maps.shape[1:]) - centres, radii)

    return answer


def over_the_batch(maps: Tensor) -> tuple[Tensor, Tensor]:
    index = maps.argmax() % (maps.shape[1] * maps.shape[2])
    return (index // maps.shape[2]).expand(len(maps)), (index % maps.shape[2]).expand(len(maps))


def with_the_height(maps: Tensor) -> tuple[Tensor, Tensor]:
    index = maps.flatten(1).argmax(dim=1)
    return index // maps.shape[1], index % maps.shape[1]


def hits_by_loop(maps: Tensor, centres: Tensor, radii: Tensor) -> Tensor:
    found = []
    for heat, (x, y), radius in zip(maps, centres.tolist(), radii.tolist(), strict=True):
        row, column = (heat == heat.max()).nonzero()[0].tolist()
        dx, dy = (column + 0.5) / heat.shape[1] - x, (row + 0.5) / heat.shape[0] - y
        found.append((dx * dx + dy * dy) ** 0.5 <= radius)
    return torch.tensor(found)


def maps_and_circles() -> list[tuple]:
    """Many maps, more wide than high and the other way round, whose peaks lie in, near and far from the circle."""

    def draw(b: int, h: int, w: int) -> tuple:
        maps, centres, radii = torch.rand(b, h, w), 0.3 + 0.4 * torch.rand(b, 2), 0.15 + 0.2 * torch.rand(b)
        away = (torch.rand(b, 2) * 2 - 1) * 1.3 * radii[:, None]  # x, y: within a square around the circle
        x, y = ((centres + away).clamp(0, 0.999) * torch.tensor([w, h])).long().unbind(dim=1)
        maps[torch.arange(b), y, x] += 1 + torch.rand(b)
        return maps, centres, radii

    return [draw(2, 4, 6), draw(60, 9, 13), draw(60, 12, 7)]


HITS = Exercise(
    name="hits",
    notebook="05",
    title="Tell whether a map's peak lies on the object",
    reference=hits,
    probes=maps_and_circles,
    axes={"maps": "B h w", "centres": "B xy", "radii": "B", "result": "B"},
    hints=[
        "`argmax` over one flattened map gives one number. Whole rows of w values come before it: `//` and `%` by w "
        "make a row and a column of it.",
        "Pixel `column` reaches from column / w to (column + 1) / w, in units of the picture's width: its middle is "
        "half a pixel further than its left edge.",
        "x goes with the column, y with the row. A point is in the circle if its distance from the centre, the root of "
        "dx² + dy², is at most the radius.",
    ],
    mistakes=[
        Mistake(
            "x_and_y",
            pointing(place=lambda row, column, h, w: torch.stack([(row + 0.5) / h, (column + 0.5) / w], dim=1)),
            "Row and x were compared. A centre is (x, y), rightward and downward; a peak is (row, column), down and "
            "right. Every map would be judged at its mirror image.",
        ),
        Mistake(
            "pixels",
            pointing(place=lambda row, column, h, w: torch.stack([column + 0.5, row + 0.5], dim=1)),
            "Your peak is in pixels, the centre in units of the picture's side, 0…1. Divide by the map's width and "
            "height.",
        ),
        Mistake(
            "upward",
            pointing(place=lambda row, column, h, w: torch.stack([(column + 0.5) / w, 1 - (row + 0.5) / h], dim=1)),
            "You let y grow upward, as in a diagram. In pictures row 0 is at the top, and y grows downward.",
        ),
        Mistake(
            "left_edge",
            pointing(place=lambda row, column, h, w: torch.stack([column / w, row / h], dim=1)),
            "You took the pixel's top left corner. On a coarse map half a pixel is a lot, and all peaks are shifted "
            "the same way. Its middle is half a pixel further.",
        ),
        Mistake(
            "last_pixel",
            pointing(place=lambda row, column, h, w: torch.stack([column / (w - 1), row / (h - 1)], dim=1)),
            "You divided by one less than the number of pixels, as if 0 and 1 were the *middles* of the outermost "
            "pixels. 0 and 1 are the picture's edges.",
        ),
        Mistake(
            "squared",
            pointing(inside=lambda away, radii: away.square().sum(dim=1) <= radii),
            "You compared the *squared* distance with the radius. Numbers below 1 get smaller by squaring, so nearly "
            "everything is a hit.",
        ),
        Mistake(
            "square",
            pointing(inside=lambda away, radii: (away.abs() <= radii[:, None]).all(dim=1)),
            "That is a square around the centre, not a circle: its corners are too generous.",
        ),
        Mistake(
            "diameter",
            pointing(inside=lambda away, radii: away.norm(dim=1) <= radii / 2),
            "You halved the radius. `radii` is already measured from the centre.",
        ),
        Mistake(
            "over_the_batch",
            pointing(peak=over_the_batch),
            "Without a `dim`, `argmax` looks for the largest value of the whole batch: every map is judged by one "
            "image's peak. Flatten each map, and look along that axis.",
        ),
        Mistake(
            "with_the_height",
            pointing(peak=with_the_height),
            "You divided the flat index by the height. In memory whole rows follow each other, and a row has w values. "
            "A square map hides this one.",
        ),
        Mistake(
            "rate",
            lambda maps, centres, radii: hits(maps, centres, radii).float().mean(),
            "That is the hit rate. Return one answer a map: with them, you can say how sure the rate is.",
        ),
    ],
    variants=[
        hits_by_loop,
        pointing(inside=lambda away, radii: away.square().sum(dim=1) <= radii.square()),
        pointing(inside=lambda away, radii: torch.hypot(away[:, 0], away[:, 1]) <= radii),
    ],
    solved="This is called the pointing game. A rate alone says little: compare it with chance.",
)

EXERCISES = [HITS]
