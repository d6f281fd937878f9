"""Four flat drawings of things that CIFAR-10's nets know, for where its photographs may not or cannot be.

They were drawn and redrawn until the nets of the course named them: no measure of how well these know drawings.
"""

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

SIDE = 320  # pixels of the canvas that the functions below draw on


def airplane(draw: ImageDraw.ImageDraw) -> None:
    """A white airliner from the side, in a blue sky."""
    shade(draw, (100, 160, 235), (205, 225, 235))
    draw.ellipse((40, 140, 290, 180), "gainsboro")
    for wing, colour in (
        ([(150, 160), (200, 160), (130, 260), (105, 260)], "silver"),
        ([(150, 150), (190, 150), (140, 80), (120, 80)], "lightgray"),
        ([(50, 155), (85, 150), (45, 95), (30, 95)], "firebrick"),
    ):
        draw.polygon(wing, colour)


def automobile(draw: ImageDraw.ImageDraw) -> None:
    """A red car from the side, on asphalt."""
    shade(draw, (190, 200, 205), (190, 200, 205))
    draw.rectangle((0, 220, SIDE, SIDE), "dimgray")
    draw.rounded_rectangle((30, 150, 290, 235), 25, "firebrick")
    draw.polygon([(85, 155), (120, 95), (215, 95), (250, 155)], "firebrick")
    draw.polygon([(105, 150), (128, 108), (160, 108), (160, 150)], "darkslategray")
    draw.polygon([(172, 150), (172, 108), (208, 108), (232, 150)], "darkslategray")
    for left in (65, 205):
        draw.ellipse((left, 205, left + 55, 260), "black")
        draw.ellipse((left + 16, 221, left + 39, 244), "silver")


def frog(draw: ImageDraw.ImageDraw) -> None:
    """A green frog with a pale belly from the front, on dark ground."""
    shade(draw, (60, 50, 35), (90, 75, 45))
    for box in ((80, 125, 240, 253), (104, 101, 152, 149), (168, 101, 216, 149)):
        draw.ellipse(box, (70, 140, 40))
    draw.ellipse((112, 181, 208, 257), (160, 180, 90))
    for left in (118, 181):
        draw.ellipse((left, 113, left + 21, 134), "black")
    for left in (56, 184):
        draw.ellipse((left, 213, left + 80, 269), (60, 120, 35))


def ship(draw: ImageDraw.ImageDraw) -> None:
    """A ship with a funnel, on a dark sea."""
    shade(draw, (150, 190, 235), (190, 215, 235))
    draw.rectangle((0, 190, SIDE, SIDE), (30, 75, 130))
    draw.polygon([(40, 170), (280, 170), (245, 225), (80, 225)], "maroon")
    draw.rectangle((110, 120, 210, 170), "whitesmoke")
    draw.rectangle((140, 75, 165, 120), "black")


SKETCHES = {function.__name__: function for function in (airplane, automobile, frog, ship)}


def sketch(name: str, size: int = SIDE) -> Tensor:
    """One of `SKETCHES`: uint8 (3, size, size). The name is the class that CIFAR-10 has for it.

    Raises:
        ValueError: there is no sketch of that name.
    """
    if name not in SKETCHES:
        raise ValueError(f"there is no sketch {name!r}: use one of {', '.join(SKETCHES)}")
    canvas = Image.new("RGB", (SIDE, SIDE))
    SKETCHES[name](ImageDraw.Draw(canvas))
    pixels = np.array(canvas.resize((size, size), Image.Resampling.BICUBIC))  # (size, size, 3)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def shade(draw: ImageDraw.ImageDraw, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> None:
    """Fill the canvas from one colour at its top to another at its bottom."""
    for y in range(SIDE):
        draw.line((0, y, SIDE, y), tuple(a + (b - a) * y // SIDE for a, b in zip(top, bottom, strict=True)))
