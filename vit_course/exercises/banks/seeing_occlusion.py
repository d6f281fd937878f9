"""Notebook 05: occlusion, a square that is slid over the image."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def occlusion_falls(score: Callable, image: Tensor, size: int, stride: int, fill: float) -> Tensor:
    """How far the score falls for each position of the square: (rows, columns)."""
    return sliding()(score, image, size, stride, fill)


def sliding(
    cover: Callable | None = None,
    fall: Callable = lambda whole, covered: whole - covered,
    positions: Callable = lambda length, size, stride: range(0, length - size + 1, stride),
    fresh: Callable = lambda image, last: image.clone(),
) -> Callable:
    """`occlusion_falls` that covers, compares, or slides in another way; `fresh` gives the image to cover."""

    def square(image, top, left, size, fill):
        image[:, top : top + size, left : left + size] = fill
        return image

    def answer(score, image, size, stride, fill):
        whole, last = score(image), image.clone()
        rows = []
        for top in positions(image.shape[1], size, stride):
            row = []
            for left in positions(image.shape[2], size, stride):
                last = (cover or square)(fresh(image, last), top, left, size, fill)
                row.append(fall(whole, score(last)))
            rows.append(torch.stack(row))
        return torch.stack(rows)

    return answer


def one_channel(image: Tensor, top: int, left: int, size: int, fill: float) -> Tensor:
    image[0, top : top + size, left : left + size] = fill
    return image


def first_two_axes(image: Tensor, top: int, left: int, size: int, fill: float) -> Tensor:
    image[top : top + size, left : left + size] = fill
    return image


def all_but(image: Tensor, top: int, left: int, size: int, fill: float) -> Tensor:
    shown = torch.full_like(image, fill)
    shown[:, top : top + size, left : left + size] = image[:, top : top + size, left : left + size]
    return shown


def with_zeros(image: Tensor, top: int, left: int, size: int, fill: float) -> Tensor:
    image[:, top : top + size, left : left + size] = 0
    return image


def with_narrow(image: Tensor, top: int, left: int, size: int, fill: float) -> Tensor:
    image.narrow(1, top, size).narrow(2, left, size).fill_(fill)
    return image


def scored_images() -> list[tuple]:
    """(score, image, size, stride, fill) with overlapping squares, images that are not square, and a fill besides 0."""

    def draw(c: int, h: int, w: int, size: int, stride: int, fill: float) -> tuple:
        weights, image = torch.randn(c, h, w), torch.rand(c, h, w)

        def score(picture: Tensor) -> Tensor:
            return (weights * picture).sum() + (picture * picture).mean()

        return score, image, size, stride, fill

    return [draw(1, 3, 5, 2, 1, 0.5), draw(3, 7, 9, 3, 2, -1.0), draw(2, 8, 4, 2, 1, 0.25)]


def with_masks(score: Callable, image: Tensor, size: int, stride: int, fill: float) -> Tensor:
    falls = []
    for top in range(0, image.shape[1] - size + 1, stride):
        for left in range(0, image.shape[2] - size + 1, stride):
            mask = torch.zeros(image.shape[1:])
            mask[top : top + size, left : left + size] = 1
            falls.append(score(image) - score(image * (1 - mask) + fill * mask))
    return torch.stack(falls).view((image.shape[1] - size) // stride + 1, -1)


OCCLUSION_FALLS = Exercise(
    name="occlusion_falls",
    notebook="05",
    title="Cover a square, and see how far the score falls",
    reference=occlusion_falls,
    probes=scored_images,
    axes={"image": "C H W", "result": "rows columns"},
    hints=[
        "Two loops, over the top row and the left column of the square. In each turn: a copy of the image, the square "
        "filled, the score of that.",
        "The square starts at 0, stride, 2·stride, … as long as it fits: the last start is at most H - size. What does "
        "`range` need as its end?",
        "Fall = score before - score after: positive where the square hid something that spoke for the class.",
    ],
    mistakes=[
        Mistake(
            "not_restored",
            sliding(fresh=lambda image, last: last),
            "The square is never taken away: each position covers what was covered before too, and at the end the "
            "whole image is hidden. Start every turn from the untouched image.",
        ),
        Mistake(
            "in_the_image",
            sliding(fresh=lambda image, last: image),
            "You paint into the image itself. The squares add up, and whoever gave you the image has lost it. Paint "
            "into a copy, a new one for each position.",
        ),
        Mistake(
            "sign",
            sliding(fall=lambda whole, covered: covered - whole),
            "The sign is turned round. Where the square hides the evidence the score falls, and your map says "
            "negative there: the object would look like the least important place. Before minus after.",
        ),
        Mistake(
            "not_compared",
            sliding(fall=lambda whole, covered: covered),
            "These are the scores of the covered images. The map should say how far each is *below* the score of the "
            "whole image.",
        ),
        Mistake(
            "steps_of_size",
            sliding(positions=lambda length, size, stride: range(0, length - size + 1, size)),
            "The square moves on by its own size. It should move by `stride`, so that neighbouring squares overlap.",
        ),
        Mistake(
            "steps_of_one",
            sliding(positions=lambda length, size, stride: range((length - size) // stride + 1)),
            "The number of positions is right, but the square moves by one pixel each time, so it never comes to the "
            "far side. The start of position i is i times the stride.",
        ),
        Mistake(
            "last_missing",
            sliding(positions=lambda length, size, stride: range(0, length - size, stride)),
            "The last position is missing: the square still fits when it starts at H - size. The end of a `range` does "
            "not belong to it.",
        ),
        Mistake(
            "over_the_edge",
            sliding(positions=lambda length, size, stride: range(0, length, stride)),
            "The last squares stick out over the edge, so they cover less than the others and their falls cannot be "
            "compared. Stop where the whole square still fits.",
        ),
        Mistake(
            "one_channel",
            sliding(cover=one_channel),
            "Only the first channel is covered. The network still sees the others, so the score hardly falls.",
        ),
        Mistake(
            "no_channel_axis",
            sliding(cover=first_two_axes),
            "Your two slices meet the axes channel and row: the image is (C, H, W), and the first axis needs a slice "
            "of its own. Nothing complains, since a slice may reach beyond the end.",
        ),
        Mistake(
            "black",
            sliding(cover=with_zeros),
            "You fill with 0 whatever `fill` says. What 0 looks like depends on the normalisation, so let the caller "
            "choose.",
        ),
        Mistake(
            "all_but",
            sliding(cover=all_but),
            "You cover everything *but* the square. That asks what one square alone can do, which is another question.",
        ),
        Mistake(
            "transposed",
            lambda score, image, size, stride, fill: sliding()(score, image, size, stride, fill).T,
            "Rows and columns have changed places: the map lies on its side. The first axis is the square's row.",
        ),
    ],
    variants=[
        with_masks,
        sliding(fall=lambda whole, covered: -(covered - whole)),
        sliding(cover=with_narrow),
    ],
    solved="It needs no gradient, so it works for any model that gives a score, and costs one forward pass a square.",
)

EXERCISES = [OCCLUSION_FALLS]
