"""Ways to make the same batches: images cropped, mirrored and normalised, from files and from memory.

The images are noise, 32×32: what they show does not matter here.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from vit_course.bench.timing import Rate, interleaved
from vit_course.data.augment import Compose, HorizontalFlip, RandomCrop
from vit_course.data.batches import Batches
from vit_course.data.dataset import Split

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
BATCHES, FILES, WORKERS, ON_BATCHES = (
    "Batches",
    "ImageFolder + v2 + DataLoader, 0 workers",
    "DataLoader, 2 workers",
    "v2 on whole batches (one crop and flip for all!)",
)


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


def compare(ways: dict[str, tuple[Callable[[], Iterable[object]], int]], rounds: int) -> dict[str, Rate]:
    """Images/s of each way, all in turn. A way is (what gives its batches, images of one pass over them)."""

    def once_through(batches: Callable[[], Iterable[object]]) -> None:
        for _ in batches():
            pass

    passes = {name: partial(once_through, batches) for name, (batches, _) in ways.items()}
    seconds = interleaved(passes, rounds=rounds, device=torch.device("cpu"))
    return {name: Rate.of(count, seconds[name]) for name, (_, count) in ways.items()}


def compare_ways(count: int, rounds: int, batch_size: int) -> dict[str, Rate]:
    """Images/s of every way to make the same batches; `count` files."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.ToImage(),
            v2.RandomCrop(32, padding=4, padding_mode="reflect"),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )

    def on_batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for which in torch.randperm(len(many)).split(batch_size):
            yield transform(many.images[which]), many.labels[which]

    split = noise_split(count)
    many = noise_split(50_000)  # in memory a pass over few images would be too short to time
    with tempfile.TemporaryDirectory() as root:
        write_folder(split, Path(root))
        folder = ImageFolder(root, transform=transform)
        options = {"batch_size": batch_size, "shuffle": True}
        no_workers = DataLoader(folder, **options)
        workers = DataLoader(folder, **options, num_workers=2, persistent_workers=True)
        ours = Batches(many, **options, augment=Compose([RandomCrop(padding=4), HorizontalFlip()]))
        ways = {
            FILES: (lambda: no_workers, count),
            WORKERS: (lambda: workers, count),
            ON_BATCHES: (on_batches, len(many)),
            BATCHES: (lambda: ours, len(many)),
        }
        return compare(ways, rounds)
