"""Notebook 00: one playful exercise, to see how checking works."""

import numpy as np
import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def mirror(image: Tensor) -> Tensor:
    """Left and right of an image (C, H, W) exchanged."""
    return image.flip(-1)


def small_images() -> list[tuple]:
    """Images (C, H, W) of different sides, odd and even, no two pixels alike, and in no order that sorting gives."""
    shapes = [(1, 2, 3), (3, 4, 6), (3, 5, 4)]
    return [(torch.randperm(256)[: c * h * w].to(torch.uint8).reshape(c, h, w),) for c, h, w in shapes]


def by_index(image: Tensor) -> Tensor:
    columns = torch.arange(image.shape[2] - 1, -1, -1)
    return image[:, :, columns]


def through_numpy(image: Tensor) -> Tensor:
    return torch.from_numpy(np.flip(image.numpy(), axis=2).copy())


def by_loop(image: Tensor) -> Tensor:
    result = torch.empty_like(image)
    width = image.shape[2]
    for x in range(width):
        result[:, :, x] = image[:, :, width - 1 - x]
    return result


def in_place(image: Tensor) -> Tensor:
    return image.copy_(image.flip(-1))


def overwritten(image: Tensor) -> Tensor:
    width = image.shape[2]
    for x in range(width // 2):
        image[:, :, x], image[:, :, width - 1 - x] = image[:, :, width - 1 - x], image[:, :, x]
    return image


def half(image: Tensor) -> Tensor:
    result = image.clone()
    for x in range(image.shape[2]):
        result[:, :, x] = result[:, :, image.shape[2] - 1 - x]
    return result


EXERCISES = [
    Exercise(
        name="mirror",
        notebook="00",
        title="Show an image in the mirror",
        reference=mirror,
        probes=small_images,
        axes={"image": "C H W", "result": "C H W"},
        hints=[
            "The shape is (channels, height, width). In a mirror left and right change places, up and down do not. "
            "Along which of the three axes does that happen?",
            "It is the last axis, the width: axis 2, or -1. You want its positions in the opposite order.",
            "A tensor has a method `flip`. It takes the axis to turn round.",
        ],
        mistakes=[
            Mistake(
                "upside_down",
                lambda image: image.flip(1),
                "Your image stands on its head. You turned the height round; a mirror leaves up and down alone. The "
                "axes are (channels, height, width): take the last one. (`torch.fliplr` takes axis 1, whatever it is.)",
            ),
            Mistake(
                "half_turn",
                lambda image: image.flip(1, 2),
                "You turned the image by half a turn: height and width are both reversed. A mirror changes only left "
                "and right.",
            ),
            Mistake(
                "colours",
                lambda image: image.flip(0),
                "You exchanged the colours: axis 0 is the channels, so red became blue. The picture itself did not "
                "move. Take the axis of the width.",
            ),
            Mistake(
                "everything",
                lambda image: image.flip(0, 1, 2),
                "You reversed every axis, the colours too. Name the one axis that a mirror reverses.",
            ),
            Mistake(
                "transposed",
                lambda image: image.transpose(1, 2),
                "You exchanged height and width: the image lies on its side. In a mirror the image keeps its shape; "
                "only the order along the width changes.",
            ),
            Mistake(
                "unchanged",
                lambda image: image,
                "The image comes back just as it was. An operation on a tensor gives a new tensor; return that one.",
            ),
            Mistake(
                "negative_step",
                lambda image: image[:, :, ::-1],
                "Good idea, and in NumPy it works. A torch tensor has no negative steps, so `::-1` is refused. Torch "
                "has a method of its own for turning an axis round.",
            ),
            Mistake(
                "in_place",
                in_place,
                "The mirrored image is right, but you wrote it over the original, which whoever called you still "
                "needs. Make a new tensor and leave the input as it was.",
            ),
            Mistake(
                "overwritten",
                overwritten,
                "One half of the image is now shown twice. `a, b = b, a` does not exchange two parts of one tensor: "
                "both sides look at the same memory, and the first is overwritten before it is read. The input is "
                "changed as well. Build a new tensor.",
            ),
            Mistake(
                "half",
                half,
                "One half of the image is shown twice: you read from the tensor that you are writing to. Read from "
                "the original.",
            ),
            Mistake(
                "moved",
                lambda image: image.roll(1, -1),
                "You moved the columns round in a circle instead of reversing their order.",
            ),
        ],
        variants=[by_index, through_numpy, by_loop, lambda image: torch.stack([row.fliplr() for row in image])],
        solved="A mirrored cat is still a cat: models are trained on mirrored images for that reason.",
    ),
]
