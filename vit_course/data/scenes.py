"""How a picture of the embedded dataset is made: first what is in it and where, as columns, then its pixels.

A signed distance in pixels gives a sharp, antialiased edge as `clamp(0.5 - distance, 0, 1)`: the fraction of each
pixel that the shape covers. Only + - × ÷ √ min max touch a pixel, and those are rounded the same way everywhere.
"""

import torch
from torch import Tensor

from vit_course.data.outlines import CLASSES, REACH, distance

COLOURS = {
    "red": (0.90, 0.12, 0.14),
    "orange": (1.00, 0.52, 0.05),
    "yellow": (1.00, 0.90, 0.15),
    "green": (0.18, 0.75, 0.25),
    "blue": (0.20, 0.45, 1.00),
    "purple": (0.62, 0.25, 0.90),
    "pink": (1.00, 0.60, 0.80),
    "white": (0.97, 0.97, 0.97),
}
# Radii in units of the picture's side, with a wide gap between small and large; the second object's size is not named.
RADII = {"plain": (0.23, 0.33), "small": (0.12, 0.14), "large": (0.21, 0.24), "second": (0.16, 0.18)}
SMALL_BELOW = 0.175  # the radius that parts the two
TILT = 0.13  # tangent of half the largest tilt: 15 degrees
BLOBS = 3
NOISE = 0.08


def plan(count: int, captions: bool, excluded: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Everything about the pictures but their noise, as columns of `count` rows; positions in units of the side."""

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    def chance(probability: float) -> Tensor:
        return uniform() < probability

    first = torch.randperm(count, generator=generator) % len(CLASSES)
    step = torch.randint(1, len(CLASSES), (count,), generator=generator)  # the second object is of another class
    shapes = torch.stack([first, (first + step) % len(CLASSES)], dim=1)
    choices = (~excluded[shapes]).long()  # (N, 2, colours)
    total = choices.sum(dim=2)
    pick = torch.minimum((uniform(2) * total).long(), total - 1)  # rounding could reach the total
    colours = (choices.cumsum(dim=2) <= pick[:, :, None]).sum(dim=2)  # the pick-th of the colours allowed, from 0

    small, large, second, plain = (
        uniform(low=low, high=high) for low, high in (RADII[name] for name in ("small", "large", "second", "plain"))
    )
    radii = torch.stack([torch.where(chance(0.5), small, large) if captions else plain, second], dim=1)
    reach = REACH * radii
    anywhere = reach[:, :, None] + uniform(2, 2) * (1 - 2 * reach)[:, :, None]  # but wholly inside
    alone = chance(0.5) if captions else torch.ones(count, dtype=torch.bool)
    gap = 0.04
    free = 1 - 2 * reach.sum(dim=1) - gap
    cuts = uniform(2).sort(dim=1).values * free[:, None]
    along = torch.stack([cuts[:, 0] + reach[:, 0], cuts[:, 1] + 2 * reach[:, 0] + gap + reach[:, 1]], dim=1)
    along = torch.where(chance(0.5)[:, None], along, 1 - along)
    across = reach + uniform(1) * (1 - 2 * reach)  # the same fraction of the way for both: side by side
    upright = chance(0.5)[:, None, None]
    pair = torch.where(upright, torch.stack([across, along], dim=2), torch.stack([along, across], dim=2))
    centres = torch.where(alone[:, None, None], anywhere, pair)
    for column, nothing in ((shapes, -1), (colours, -1), (centres, float("nan")), (radii, float("nan"))):
        column[alone, 1] = nothing
    return {
        "shapes": shapes,
        "colours": colours,
        "centres": centres,
        "radii": radii,
        "tilts": uniform(2, low=-TILT, high=TILT),
        "mirrored": uniform(2) < 0.5,
        "jitter": uniform(2, 3, low=-0.04, high=0.04),
        "ground": uniform(2, 3, low=0.02, high=0.36),
        "stripes": torch.stack([uniform(low=-1, high=1), uniform(low=1.5, high=5), uniform()], dim=1),
        "blob_places": torch.cat([uniform(BLOBS, 2), uniform(BLOBS, 1, low=0.12, high=0.25)], dim=2),
        "blob_colours": uniform(BLOBS, 3, low=0.05, high=0.36),
        "barred": chance(0.0 if captions else 0.5),
        "bars": torch.stack([uniform(low=-1, high=1), uniform(low=-0.7, high=0.7), uniform(low=0.1, high=0.2)], dim=1),
        "bar_colours": uniform(3, low=0.02, high=0.36),
    }


def paint(scenes: dict[str, Tensor], size: int, noise: Tensor) -> Tensor:
    """Scenes as pixels: uint8 (n, 3, size, size). Painted back to front, noise last."""
    centre = (torch.arange(size, dtype=torch.float32) + 0.5) / size
    x, y = centre[None, None, :], centre[None, :, None]  # y downward

    def column(values: Tensor) -> Tensor:
        return values[:, None, None]

    def over(picture: Tensor, colour: Tensor, cover: Tensor) -> Tensor:
        return picture + cover[:, None] * (colour[:, :, None, None] - picture)

    def line(tangent: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine of twice the angle with this tangent, without a cosine or a sine."""
        return column((1 - tangent * tangent) / (1 + tangent * tangent)), column(2 * tangent / (1 + tangent * tangent))

    tangent, pitch, phase = scenes["stripes"].unbind(dim=1)
    cos, sin = line(tangent)
    turns = (x * cos + y * sin) * column(pitch) + column(phase)
    wave = ((turns - turns.floor()) * 2 - 1).abs()  # a triangle wave, 0 … 1
    stripes = ((wave - 0.5) * 3 + 0.5).clamp(0, 1)
    one, other = scenes["ground"].unbind(dim=1)
    picture = over(one[:, :, None, None].expand(-1, -1, size, size), other, stripes)
    for (bx, by, radius), colour in zip(
        (place.unbind(dim=1) for place in scenes["blob_places"].unbind(dim=1)),
        scenes["blob_colours"].unbind(dim=1),
        strict=True,
    ):
        dx, dy = (x - column(bx)) / column(radius), (y - column(by)) / column(radius)
        picture = over(picture, colour, (1 - (dx * dx + dy * dy)).clamp(0, 1))
    palette = torch.tensor(list(COLOURS.values()))
    for which in (1, 0):
        cos, sin = line(scenes["tilts"][:, which])
        radius = column(scenes["radii"][:, which])
        dx, dy = x - column(scenes["centres"][:, which, 0]), column(scenes["centres"][:, which, 1]) - y
        mirror = column(torch.where(scenes["mirrored"][:, which], -1.0, 1.0))
        u, v = mirror * (dx * cos + dy * sin) / radius, (dy * cos - dx * sin) / radius
        cover = torch.zeros_like(u)
        for number, shape in enumerate(CLASSES):
            rows = (scenes["shapes"][:, which] == number).nonzero().flatten()
            if len(rows):
                cover[rows] = (0.5 - distance(shape, u[rows], v[rows]) * radius[rows] * size).clamp(0, 1)
        colour = palette[scenes["colours"][:, which].clamp(min=0)] + scenes["jitter"][:, which]
        picture = over(picture, colour, cover)
    tangent, offset, width = scenes["bars"].unbind(dim=1)
    cos, sin = line(tangent)
    radius = column(scenes["radii"][:, 0])
    across = (x - column(scenes["centres"][:, 0, 0])) * cos + (y - column(scenes["centres"][:, 0, 1])) * sin
    cover = (0.5 - ((across - column(offset) * radius).abs() - column(width) * radius) * size).clamp(0, 1)
    picture = over(picture, scenes["bar_colours"], cover * column(scenes["barred"].float()))
    return ((picture + NOISE * (2 * noise - 1)).clamp(0, 1) * 255 + 0.5).to(torch.uint8)
