"""Notebook 12, fourth part: pixels in."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pictures() -> list[tuple]:
    """Small pictures, not square; every value from 0 to 255 may come."""
    first = torch.tensor([[[0, 51, 255], [102, 204, 153]]], dtype=torch.uint8)
    return [(first,)] + [(torch.randint(256, (*size, 3)).to(torch.uint8),) for size in ((4, 6), (7, 5))]


def vit_pixels(pixels: Tensor) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) float32 from -1 to 1."""
    x = pixels.permute(2, 0, 1)[None].float()  # (1, 3, H, W)
    return (x / 255 - 0.5) / 0.5


def prepared(
    *,
    scale: float = 255,
    mean: float | tuple = 0.5,
    std: float | tuple = 0.5,
    move: Callable[[Tensor], Tensor] = lambda x: x.permute(2, 0, 1)[None],
) -> Callable[[Tensor], Tensor]:
    """`vit_pixels` with one thing done otherwise."""
    return lambda pixels: move((pixels.float() / scale - torch.tensor(mean)) / torch.tensor(std))


def standard(pixels: Tensor, axes: tuple[int, ...]) -> Tensor:
    x = pixels.float()
    return (x - x.mean(axes)) / x.std(axes)


def by_loop(pixels):
    out = torch.empty(1, 3, *pixels.shape[:2])
    for channel in range(3):
        out[0, channel] = pixels[:, :, channel].to(torch.float32) / 127.5 - 1
    return out


def by_einsum(pixels):
    return torch.einsum("hwc->chw", pixels.double()).unsqueeze(0).div(255).mul(2).sub(1).float()


PIXELS = Exercise(
    name="vit_pixels",
    notebook="12",
    title="Pixels as ViTImageProcessor makes them",
    reference=vit_pixels,
    probes=pictures,
    result="images",
    axes={"pixels": "H W C", "images": "B C H W"},
    hints=[
        "Four things happen: whole numbers become floats, 0…255 becomes 0…1, mean and deviation are applied, and the "
        "axes are put in the order that a network wants.",
        "mean and std are 0.5 for every channel: where do 0, 0.5 and 1 end up?",
        "To reorder axes is `permute`. `reshape` keeps the numbers in their old order and cuts them anew.",
    ],
    mistakes=[
        Mistake(
            "not_scaled",
            prepared(scale=1),
            "The pixels are still 0…255 when 0.5 is taken off. What comes out reaches 509 instead of 1. The network "
            "answers nevertheless, with nonsense. `do_rescale` comes first: 1/255.",
        ),
        Mistake(
            "imagenet",
            prepared(mean=IMAGENET[0], std=IMAGENET[1]),
            "You use the mean and deviation of ImageNet's pixels, (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225). "
            "Many networks want them, this one was trained with 0.5 and 0.5. Nothing would stop you: the network just "
            "sees other contrasts and tints than it knows. Its `preprocessor_config.json` says which.",
        ),
        Mistake(
            "no_std",
            prepared(std=1.0),
            "The mean is taken off, but nothing is divided by the deviation: your values lie in -0.5…0.5, half of the "
            "contrast that the network was trained on.",
        ),
        Mistake(
            "times_std",
            lambda pixels: ((pixels.float() / 255 - 0.5) * 0.5).permute(2, 0, 1)[None],
            "You multiply by the deviation where you should divide by it: your values lie in -0.25…0.25 instead of "
            "-1…1.",
        ),
        Mistake(
            "own_statistics",
            lambda pixels: standard(pixels, (0, 1, 2)).permute(2, 0, 1)[None],
            "You take mean and deviation of this very picture. Then a dark photo and a bright one look alike to the "
            "network, and it was trained to see the difference. The two numbers are the same for all pictures: 0.5 "
            "and 0.5.",
        ),
        Mistake(
            "own_statistics_of_each_channel",
            lambda pixels: standard(pixels, (0, 1)).permute(2, 0, 1)[None],
            "You take mean and deviation of each colour of this very picture, which takes away how bright it is and "
            "what tint it has. The two numbers are the same for all pictures: 0.5 and 0.5.",
        ),
        Mistake(
            "made_to_have",
            lambda pixels: (0.5 * standard(pixels, (0, 1, 2)) + 0.5).permute(2, 0, 1)[None],
            "You give this picture a mean of 0.5 and a deviation of 0.5. It is meant the other way: the pixels are "
            "taken to have this mean and this deviation, so take 0.5 off, and divide by 0.5.",
        ),
        Mistake(
            "no_brackets",
            lambda pixels: (pixels.float() / 255 - 1).permute(2, 0, 1)[None],
            "Your values lie in -1…0. Without brackets `0.5 / 0.5` is worked out first, so you take off 1 and divide "
            "by nothing.",
        ),
        Mistake(
            "by_256",
            lambda pixels: (pixels.float() / 128 - 1).permute(2, 0, 1)[None],
            "White comes out as 0.992 instead of 1, and all other values are a little off: you divide by 256, or take "
            "128 for the middle. A byte ends at 255, and half of that is 127.5.",
        ),
        Mistake(
            "bytes_doubled",
            lambda pixels: (pixels * 2 / 255 - 1).permute(2, 0, 1)[None],
            "You double the pixels while they are still uint8. A byte ends at 255 and goes on at 0, so the brighter "
            "half becomes dark. Make floats first.",
        ),
        Mistake(
            "bytes_wrap",
            lambda pixels: ((pixels - 128) / 128).permute(2, 0, 1)[None],
            "You subtract while the pixels are still uint8. A byte has no -1: below zero it goes on at 255, so dark "
            "pixels become bright. Make floats first. (And it is 127.5, half of 255.)",
        ),
        Mistake(
            "only_scaled",
            prepared(mean=0.0, std=1.0),
            "Your values lie in 0…1. For this network black is -1 and white is 1: mean and deviation are missing.",
        ),
        Mistake(
            "mean_not_scaled",
            lambda pixels: ((pixels.float() - 0.5) / 0.5 / 255).permute(2, 0, 1)[None],
            "Mean and deviation are applied first, and the division by 255 last. The 0.5 is meant on the scale 0…1, "
            "so it has hardly any effect on 0…255. First scale, then normalise.",
        ),
        Mistake(
            "channels_last",
            prepared(move=lambda x: x[None]),
            "The channels still come last, as a picture file has them. A network of torch wants (B, C, H, W).",
        ),
        Mistake(
            "reshaped",
            prepared(move=lambda x: x.reshape(1, 3, *x.shape[:2])),
            "The shape is right and the picture is scrambled: `reshape` cuts the row of numbers anew, so that the "
            "three colours of one pixel end up beside each other in one channel. Axes change places by `permute`.",
        ),
        Mistake(
            "width_first",
            prepared(move=lambda x: x.permute(2, 1, 0)[None]),
            "Height and width have changed places: the picture lies on its side. Only the channels move, in front of "
            "both.",
        ),
        Mistake(
            "bgr",
            prepared(move=lambda x: x.flip(-1).permute(2, 0, 1)[None]),
            "Red and blue have changed places. OpenCV reads pictures so; Pillow and this network begin with red. "
            "Nothing complains: shape and range are right, only the colours are wrong.",
        ),
        Mistake(
            "no_batch",
            prepared(move=lambda x: x.permute(2, 0, 1)),
            "The values are right, and the batch is missing: a network takes (B, C, H, W), also for one picture.",
        ),
        Mistake(
            "bytes",
            lambda pixels: ((pixels // 255 - 0.5) / 0.5).permute(2, 0, 1)[None],
            "You divide whole numbers with `//`, or make whole numbers of the quotients: everything below 255 becomes "
            "0, and the picture is black with a few dots. Divide floats, and leave them floats.",
        ),
    ],
    variants=[by_loop, by_einsum],
    solved="Four lines that decide whether a published network sees what it was trained on.",
)

EXERCISES = [PIXELS]
