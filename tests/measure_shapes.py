"""How hard Shapes is: trains small models and prints the table of data/README.md.

    python tests/measure_shapes.py                        # all rows, seeds 0, 1, 2
    python tests/measure_shapes.py --row vit --seeds 0    # one row, one seed
    python tests/measure_shapes.py --validation           # other images than the table's: for tuning

The seed fixes the model's first weights, the order of the images, their augmentation, and which images a subset has.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from shapes_models import Linear, SmallViT, TinyVGG
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from vit_course.data import Dataset, Split, load
from vit_course.data.augment import Augmentation, Compose, HorizontalFlip, RandomCrop
from vit_course.data.batches import Batches
from vit_course.data.dataset import channel_statistics
from vit_course.data.shapes import CLASSES, draw

VALIDATION_SEEDS = {"train": 11, "test": 12}


@dataclass(frozen=True)
class Row:
    """One row of the table: a model and how it is trained. `images`: how many of the training images it sees."""

    title: str
    bound: str  # what test_shapes_bounds.py asserts, in words
    model: type[nn.Module]
    epochs: int
    lr: float
    weight_decay: float = 0.05
    muon_lr: float = 0.0  # above 0: Muon on the matrices of the blocks, AdamW on the rest
    bf16: bool = False
    images: int = 8_000
    augment: Augmentation | None = None


CROP_AND_FLIP = Compose([RandomCrop(padding=4), HorizontalFlip()])
ROWS = {
    "linear": Row("linear softmax on pixels", "test at most 45", Linear, epochs=10, lr=3e-4, weight_decay=1.0),
    "tinyvgg": Row("TinyVGG", "test at least 85 within 30 s", TinyVGG, epochs=8, lr=6e-3),
    "vit": Row("plain ViT 64×4", "test at least 70 within 75 s", SmallViT, epochs=6, lr=3e-3, muon_lr=0.02, bf16=True),
    "small": Row(
        "the same on 1,000 images",
        "train − test at least 20",
        SmallViT,
        epochs=30,
        lr=3e-3,
        muon_lr=0.02,
        bf16=True,
        images=1_000,
    ),
}
ROWS["small+augment"] = replace(  # the same in everything else, so the same steps and the same time
    ROWS["small"],
    title="the same on 1,000 images, random crop + flip",
    bound="test at least 5 above the row before",
    augment=CROP_AND_FLIP,
)


@dataclass(frozen=True)
class Result:
    """Accuracies in percent, and the seconds of the training alone."""

    train: float
    test: float
    seconds: float


def shapes(validation: bool = False) -> Dataset:
    """The images of the table, `load("shapes")`, or others of the same kind to tune on."""
    if not validation:
        return load("shapes")
    train, test = (draw(count, seed=VALIDATION_SEEDS[which]) for which, count in (("train", 8_000), ("test", 2_000)))
    mean, std = channel_statistics(train.images)
    return Dataset("shapes", CLASSES, *(Split(part.images, part.labels, mean, std) for part in (train, test)))


def measure(name: str, seed: int, dataset: Dataset) -> Result:
    """Train one row with one seed; train accuracy is on the images it was trained on, without augmentation."""
    row = ROWS[name]
    chosen = torch.randperm(len(dataset.train), generator=torch.Generator().manual_seed(seed))[: row.images]
    split = dataset.train.subset(chosen)
    torch.manual_seed(seed)
    model = row.model().to(memory_format=torch.channels_last)
    batches = Batches(split, batch_size=128, shuffle=True, augment=row.augment, seed=seed)
    seconds = train(model, batches, row)
    return Result(accuracy(model, split), accuracy(model, dataset.test), seconds)


def train(model: nn.Module, batches: Batches, row: Row) -> float:
    """Label smoothing 0.1, warm-up over a tenth of the steps, then linear to zero. Returns seconds."""
    muon = [p for name, p in model.named_parameters() if row.muon_lr and "blocks" in name and p.ndim == 2]
    rest = [p for p in model.parameters() if all(p is not other for other in muon)]
    decayed = [p for p in rest if p.ndim in (2, 4)]  # matrices and kernels; not biases, norms and positions
    others = [p for p in rest if p.ndim not in (2, 4)]
    groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizers = [torch.optim.AdamW(groups, lr=row.lr, weight_decay=row.weight_decay, betas=(0.9, 0.98))]
    if muon:
        optimizers.append(torch.optim.Muon(muon, lr=row.muon_lr, weight_decay=row.weight_decay))
    steps = row.epochs * len(batches)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / (0.1 * steps), (steps - step) / (0.9 * steps), 1.0)
        )
        for optimizer in optimizers
    ]
    start = time.perf_counter()
    for _ in range(row.epochs):
        for images, labels in batches:
            images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=row.bf16):
                logits = model(images)
            loss = nn.functional.cross_entropy(logits.float(), labels, label_smoothing=0.1)
            model.zero_grad()
            loss.backward()
            for optimizer, schedule in zip(optimizers, schedules, strict=True):
                optimizer.step()
                schedule.step()
    return time.perf_counter() - start


@torch.no_grad()
def accuracy(model: nn.Module, split: Split) -> float:
    """Percent of the images that the model gets right."""
    right = sum((model(images).argmax(dim=1) == labels).sum() for images, labels in Batches(split, batch_size=500))
    return 100 * right.item() / len(split)


def spread(values: Sequence[float]) -> str:
    """mean ± sd, one decimal."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1f} ± {deviation:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", choices=ROWS, action="append", help="only this row; may be repeated")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--validation", action="store_true", help="on images to tune on, not the table's")
    arguments = parser.parse_args()
    dataset = shapes(arguments.validation)
    print("| model | train accuracy, % | test accuracy, % | seconds | bound |\n|---|---|---|---|---|")
    for name in arguments.row or ROWS:
        results = [measure(name, seed, dataset) for seed in arguments.seeds]
        columns = ([result.train for result in results], [result.test for result in results])
        seconds = [result.seconds for result in results]
        cells = [ROWS[name].title, *map(spread, columns), spread(seconds), ROWS[name].bound]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
