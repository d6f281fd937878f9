"""Images made worse on purpose, in five degrees: does a model still know what they show?

After Hendrycks and Dietterich 2019, arXiv:1903.12261, whose ImageNet-C and CIFAR-10-C are the usual benchmarks. The
strengths here are our own, so numbers compare models within this course and with nothing else.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.data.dataset import Split
from vit_course.data.pixels import as_float, as_uint8, mirrored

SEVERITIES = (1, 2, 3, 4, 5)


def noise(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Gaussian noise for each pixel and channel, sd 8 to 56 grey levels."""
    sd = (8, 16, 26, 40, 56)[severity - 1]
    return as_uint8(as_float(images) + sd * torch.randn(images.shape, generator=generator))


def blur(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """A Gaussian blur, sd 1/64 to 1/12 of the image's height."""
    sd = images.shape[2] * (1 / 64, 1 / 42, 1 / 28, 1 / 18, 1 / 12)[severity - 1]
    reach = min(max(1, round(3 * sd)), min(images.shape[2:]) - 1)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * sd * sd))
    kernel /= kernel.sum()
    B, C, H, W = images.shape
    x = F.pad(as_float(images).view(B * C, 1, H, W), [reach] * 4, mode="reflect")
    x = F.conv2d(F.conv2d(x, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))  # (B · C, 1, H, W)
    return as_uint8(x.view(B, C, H, W))


def shift(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Moved by 1/32 to 1/4 of the side in a random one of four directions; the mirrored image comes in."""
    B, C, H, W = images.shape
    share = (1 / 32, 1 / 16, 1 / 8, 3 / 16, 1 / 4)[severity - 1]
    direction = torch.randint(4, (B, 1), generator=generator)  # (B, 1): down, up, right, left
    sign = 1 - 2 * (direction % 2)
    rows = torch.arange(H) + sign * round(share * H) * (direction < 2)  # (B, H)
    cols = torch.arange(W) + sign * round(share * W) * (direction >= 2)  # (B, W)
    source = mirrored(rows, H)[:, :, None] * W + mirrored(cols, W)[:, None, :]  # (B, H, W)
    return images.flatten(2).gather(2, source.view(B, 1, H * W).expand(B, C, H * W)).view(B, C, H, W)


def contrast(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Differences from the image's own mean shrunk to 0.7 … 0.1 of what they were."""
    kept = (0.7, 0.5, 0.35, 0.2, 0.1)[severity - 1]
    pixels = as_float(images)
    mean = pixels.mean((1, 2, 3), keepdim=True)
    return as_uint8(mean + kept * (pixels - mean))


def patch_shuffle(images: Tensor, severity: int, generator: torch.Generator) -> Tensor:
    """Cut into a grid of 2, 4 or 8 a side and laid anew: some of the patches at 1, 2 and 4, all at 3 and 5.

    Raises:
        ValueError: sides that are not multiples of the grid.
    """
    grid, share = ((2, 0.5), (4, 0.5), (4, 1.0), (8, 0.5), (8, 1.0))[severity - 1]
    B, C, H, W = images.shape
    if H % grid or W % grid:
        raise ValueError(f"images are {H}×{W}: a patch shuffle of severity {severity} needs multiples of {grid}")
    order = torch.arange(grid**2).repeat(B, 1)  # (B, N)
    for row in order:  # a random cycle through the chosen places, so that each of them gets another patch
        moved = torch.randperm(grid**2, generator=generator)[: round(share * grid**2)]
        row[moved] = row[moved.roll(1)]
    x = images.view(B, C, grid, H // grid, grid, W // grid).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # (B, N, C, P, P)
    x = x[torch.arange(B)[:, None], order].unflatten(1, (grid, grid))
    return x.permute(0, 3, 1, 4, 2, 5).reshape(B, C, H, W)


CORRUPTIONS = {"noise": noise, "blur": blur, "shift": shift, "contrast": contrast, "patch shuffle": patch_shuffle}


def corrupt(split: Split, name: str, severity: int, *, seed: int = 0) -> Split:
    """The split with every image corrupted, on the CPU; labels stay. The same seed gives the same images.

    Statistics (`mean`, `std`) stay those of the clean images: a model in use would not know others.

    Args:
        name: one of `CORRUPTIONS`.
        severity: 1, hardly seen, to 5.

    Raises:
        ValueError: an unknown name or severity.
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"there is no corruption {name!r}: use one of {', '.join(CORRUPTIONS)}")
    if severity not in SEVERITIES:
        raise ValueError(f"severity is {severity!r}: give 1 to 5")
    images = CORRUPTIONS[name](split.images.cpu(), severity, torch.Generator().manual_seed(seed))
    return dataclasses.replace(split, images=images)
