"""How fast batches are made: prints the Markdown tables of data/README.md.

    python tests/measure_batches.py

One run, all ways in turn in every round, so that a slow minute of the machine slows them alike. The images are noise,
32×32, kept as PNG files in a temporary folder for the ways that read files: what they show does not matter here.
"""

import argparse
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

sys.path.insert(0, str(Path(__file__).parents[1]))

from vit_course.data.augment import (
    ColorJitter,
    Compose,
    CutMix,
    Cutout,
    HorizontalFlip,
    MixUp,
    RandAugment,
    RandomCrop,
    RandomErasing,
)
from vit_course.data.batches import Batches
from vit_course.data.dataset import Split

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
CROP_AND_FLIP = Compose([RandomCrop(padding=4), HorizontalFlip()])
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


def noise_split(count: int) -> Split:
    """`count` images of noise in 10 classes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(count) % 10, MEAN, STD)


def write_folder(split: Split, root: Path) -> None:
    """The split as `root/class/number.png`."""
    for index, (image, label) in enumerate(split):
        folder = root / str(label)
        folder.mkdir(exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index}.png")


def v2_transform() -> v2.Compose:
    """The same augmentation as ours by torchvision: reflect-padded crop, flip, normalise."""
    return v2.Compose(
        [
            v2.ToImage(),
            v2.RandomCrop(32, padding=4, padding_mode="reflect"),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def v2_on_batches(split: Split, batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """torchvision's transforms given whole batches: they draw one crop and one flip for all images of a batch."""
    transform = v2_transform()
    for which in torch.randperm(len(split)).split(batch_size):
        yield transform(split.images[which]), split.labels[which]


def seconds(make: Callable[[], object]) -> float:
    """What one pass over the batches of `make()` takes."""
    start = time.perf_counter()
    for _ in make():
        pass
    return time.perf_counter() - start


def compare(ways: dict[str, tuple[Callable[[], object], int]], rounds: int) -> dict[str, list[float]]:
    """Images/s of each way, `rounds` times, in turn. A way is (what makes the batches, images it makes in all)."""
    for make, _ in ways.values():
        seconds(make)  # starts the workers, warms the files' cache
    rates = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (make, count) in ways.items():
            rates[name].append(count / seconds(make))
    return rates


def rounded(rate: float) -> str:
    """Three significant digits: 123,000."""
    return f"{float(f'{rate:.3g}'):,.0f}"


def table(rates: dict[str, list[float]], base: str, heading: str) -> str:
    """Markdown: median, lowest and highest of the rounds, and the median as a multiple of `base`'s."""
    lines = [f"| {heading} | images/s, median | lowest … highest | against {base} |", "|---|---:|---:|---:|"]
    for name, values in rates.items():
        ratio = statistics.median(values) / statistics.median(rates[base])
        lines.append(
            f"| {name} | {rounded(statistics.median(values))} | {rounded(min(values))} … {rounded(max(values))} "
            f"| {ratio:.3g} × |"
        )
    return "\n".join(lines)


def compare_ways(count: int, rounds: int, batch_size: int) -> dict[str, list[float]]:
    """Images/s of every way to make the same batches."""
    split = noise_split(count)
    many = noise_split(50_000)  # in memory a pass over few images would be too short to time
    with tempfile.TemporaryDirectory() as root:
        write_folder(split, Path(root))
        folder = ImageFolder(root, transform=v2_transform())
        options = {"batch_size": batch_size, "shuffle": True}
        no_workers = DataLoader(folder, **options)
        workers = DataLoader(folder, **options, num_workers=2, persistent_workers=True)
        ours = Batches(many, **options, augment=CROP_AND_FLIP)
        ways = {
            "ImageFolder + v2 + DataLoader, 0 workers": (lambda: no_workers, count),
            "DataLoader, 2 workers": (lambda: workers, count),
            "v2 on whole batches (one crop and flip for all!)": (lambda: v2_on_batches(many, batch_size), len(many)),
            "Batches": (lambda: ours, len(many)),
        }
        return compare(ways, rounds)


def compare_augmentations(rounds: int, batch_size: int) -> dict[str, list[float]]:
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
