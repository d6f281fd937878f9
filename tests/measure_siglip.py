"""What the batch size does to CLIP's loss and to SigLIP's: the numbers of notebook 19's plot.

    python tests/measure_siglip.py            # prints the table
    python tests/measure_siglip.py --record   # and writes data/recorded/siglip-batch.json

The image tower is locked, as in the paper's SigLiT: the shipped vgg-10min, which has seen photographs alone. On its
maps and on the words of a caption sits one linear layer each, so that a run takes a second or two. Every run sees as
many pairs as every other. SigLIP is measured with two starts of its bias. Each way has, at each batch size, the best
of four learning rates: chosen with a seed of its own, on pictures that the table does not use.
"""

import argparse
import itertools
import json
import math
import statistics
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))

from vit_course.data import load
from vit_course.data.dataset import Split
from vit_course.models.clip import clip_loss, siglip_loss
from vit_course.models.pretrained import load_pretrained
from vit_course.recipes.records import FOLDER, weights_of

BATCHES, RATES, SEEDS, TUNING_SEED = (16, 64, 256), (1e-3, 3e-3, 1e-2, 3e-2), (0, 1, 2), 10
TRAIN, HELD_OUT, TEST, EPOCHS = 2400, 500, 600, 10  # pairs to learn from, to choose the rate by, to report; times seen
WIDTH, AMONG = 64, 100  # of the common space; captions to choose from
# Each way with where its bias starts; "even" is the best for a model that gives all pairs the same logit.
WAYS = {"CLIP": None, "SigLIP": lambda batch: -10.0, "SigLIP, even start": lambda batch: -math.log(batch - 1)}
Pair = tuple[Tensor, Tensor]


@torch.no_grad()
def image_features(split: Split) -> Tensor:
    """The locked tower's last maps, averaged to 2 × 2 places: (N, 768)."""
    vgg, prepare = load_pretrained(weights_of("vgg-10min"))
    parts = [F.adaptive_avg_pool2d(vgg.features(prepare(images)), 2).flatten(1) for images in split.images.split(250)]
    return torch.cat(parts)


def phrases(caption: str) -> set[str]:
    """The words of a caption, and its pairs of neighbours: "red star" tells what is red, "star above" what is above."""
    words = caption.split()
    return {*words, *(f"{a} {b}" for a, b in itertools.pairwise(words))}


def text_features(captions: list[str], known: list[str]) -> Tensor:
    """Which of the known phrases a caption has: (N, len(known)), of 0 and 1."""
    place = {phrase: i for i, phrase in enumerate(known)}
    rows = torch.zeros(len(captions), len(known))
    for row, caption in zip(rows, captions, strict=True):
        row[[place[phrase] for phrase in phrases(caption) if phrase in place]] = 1
    return rows


def train(way: str, pairs: Pair, batch: int, lr: float, seed: int) -> nn.ModuleDict:
    """Two linear layers on frozen features, by one loss; linear decay, no weight decay."""
    torch.manual_seed(seed)
    images, texts = pairs
    heads = nn.ModuleDict({"image": nn.Linear(images.shape[1], WIDTH), "text": nn.Linear(texts.shape[1], WIDTH)})
    scale = nn.Parameter(torch.tensor(math.log(1 / 0.07 if way == "CLIP" else 10.0)))
    bias = nn.Parameter(torch.tensor(0.0 if way == "CLIP" else WAYS[way](batch)))
    steps = EPOCHS * (len(images) // batch)
    optimizer = torch.optim.Adam([*heads.parameters(), scale, bias], lr=lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(images))[: len(images) // batch * batch].split(batch):
            x = F.normalize(heads["image"](images[chosen]), dim=-1)
            y = F.normalize(heads["text"](texts[chosen]), dim=-1)
            loss = clip_loss(x, y, scale) if way == "CLIP" else siglip_loss(x, y, scale, bias)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return heads


@torch.no_grad()
def found(heads: nn.ModuleDict, pairs: Pair) -> float:
    """The share of pictures whose own caption comes first among AMONG: chance is 1 / AMONG."""
    x, y = F.normalize(heads["image"](pairs[0]), dim=-1), F.normalize(heads["text"](pairs[1]), dim=-1)
    right = [(a @ b.T).argmax(1) == torch.arange(len(a)) for a, b in zip(x.split(AMONG), y.split(AMONG), strict=True)]
    return torch.cat(right).float().mean().item()


def pictures_of_two(split: Split, count: int, start: int = 0) -> Split:
    """Pictures with two objects: hardly two have the same caption, so hardly a stranger is none."""
    two = [i for i, caption in enumerate(split.captions) if len(caption.split()) > 4]
    return split.subset(torch.tensor(two[start : start + count]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write data/recorded/siglip-batch.json")
    arguments = parser.parse_args()
    dataset = load("shapes", captions=True)
    splits = [pictures_of_two(dataset.train, TRAIN), pictures_of_two(dataset.train, HELD_OUT, TRAIN)]
    splits.append(pictures_of_two(dataset.test, TEST))
    known = sorted({phrase for caption in splits[0].captions for phrase in phrases(caption)})
    images = [image_features(split) for split in splits]
    mean, std = images[0].mean(0), images[0].std(0)
    pairs, held_out, test = (
        ((x - mean) / std, text_features(split.captions, known)) for x, split in zip(images, splits, strict=True)
    )
    rows = []
    for way in WAYS:
        for batch in BATCHES:
            tried = {lr: found(train(way, pairs, batch, lr, TUNING_SEED), held_out) for lr in RATES}
            lr = max(tried, key=tried.get)
            runs = [round(found(train(way, pairs, batch, lr, seed), test), 4) for seed in SEEDS]
            rows.append({"loss": way, "batch": batch, "lr": lr, "found": runs})
            print(f"{way} {batch} lr {lr} found {statistics.mean(runs):.3f} ± {statistics.stdev(runs):.3f}", flush=True)
    if arguments.record:
        about = {"command": "python tests/measure_siglip.py --record", "pairs": len(pairs[0]), "epochs": EPOCHS}
        about |= {"among": AMONG, "pictures": len(test[0]), "seeds": list(SEEDS), "rows": rows}
        path = FOLDER / "siglip-batch.json"
        path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
