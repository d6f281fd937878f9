"""A small dataset as class folders, for the tests that run recipes."""

from pathlib import Path

import torch

from vit_course.data.dataset import Split
from vit_course.data.folders import write


def write_folder(folder: Path, count: int) -> None:
    """`count` images of noise, 8×8, whose upper half is darker in every other one, as class folders."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % 2
    images[labels == 1, :, :4] //= 2
    write(Split(images, labels, (0.5,) * 3, (0.3,) * 3), ["even", "upper half dark"], folder)
