"""How fast batches are made: prints the Markdown tables of data/README.md.

    python tests/measure_batches.py

One run, all ways in turn in every round, so that a slow minute of the machine slows them alike. The images are noise,
32×32, kept as PNG files in a temporary folder for the ways that read files: what they show does not matter here.
"""

import argparse
import platform
import sys
from pathlib import Path

import torch
import torchvision

sys.path.insert(0, str(Path(__file__).parents[1]))

from vit_course.bench.loading import compare, compare_ways, noise_split
from vit_course.bench.timing import Rate
from vit_course.data.augment import (
    ColorJitter,
    CutMix,
    Cutout,
    HorizontalFlip,
    MixUp,
    RandAugment,
    RandomCrop,
    RandomErasing,
)
from vit_course.data.batches import Batches

EACH = {
    "none": None,
    "RandomCrop": RandomCrop(padding=4),
    "HorizontalFlip": HorizontalFlip(),
    "ColorJitter, without hue": ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
    "ColorJitter, hue only": ColorJitter(hue=0.1),
    "RandomErasing": RandomErasing(),
    "Cutout": Cutout(size=8),
    "MixUp": MixUp(num_classes=10),
    "CutMix": CutMix(num_classes=10),
    "RandAugment": RandAugment(),
}


def rounded(rate: float) -> str:
    """Three significant digits: 123,000."""
    return f"{float(f'{rate:.3g}'):,.0f}"


def table(rates: dict[str, Rate], base: str, heading: str) -> str:
    """Markdown: median, lowest and highest of the rounds, and the median as a multiple of `base`'s."""
    lines = [f"| {heading} | images/s, median | lowest … highest | against {base} |", "|---|---:|---:|---:|"]
    for name, rate in rates.items():
        ratio = rate.median / rates[base].median
        lines.append(
            f"| {name} | {rounded(rate.median)} | {rounded(rate.low)} … {rounded(rate.high)} | {ratio:.3g} × |"
        )
    return "\n".join(lines)


def compare_augmentations(rounds: int, batch_size: int) -> dict[str, Rate]:
    """Images/s of Batches with each augmentation alone."""
    few, many = noise_split(2_000), noise_split(20_000)
    ways = {}
    for name, augment in EACH.items():
        split = few if name == "RandAugment" else many
        batches = Batches(split, batch_size=batch_size, shuffle=True, augment=augment)
        ways[name] = (lambda batches=batches: batches, len(split))
    return compare(ways, rounds)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5_000, help="image files (default 5000)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, of which the median is shown (default 7)")
    parser.add_argument("--batch-size", type=int, default=128, help="images a batch (default 128)")
    wanted = parser.parse_args()
    print(
        f"{torch.get_num_threads()} threads, {platform.machine()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, torchvision {torchvision.__version__}; batches of {wanted.batch_size}, "
        f"{wanted.rounds} rounds\n"
    )
    rates = compare_ways(wanted.count, wanted.rounds, wanted.batch_size)
    print(table(rates, base="DataLoader, 2 workers", heading="crop + flip + normalise"), "\n")
    print(table(compare_augmentations(wanted.rounds, wanted.batch_size), base="none", heading="Batches with"))


if __name__ == "__main__":
    main()
