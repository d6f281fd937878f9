"""How well a small CLIP names colour-shape pairs that it was shown, and pairs that it never was.

    python tests/measure_clip.py                  # seeds 0, 1, 2; prints the table of data/README.md
    python tests/measure_clip.py --record         # and writes data/recorded/clip-shapes.json, which notebook 18 reads
    python tests/measure_clip.py --validation     # on other drawings than the table's: for tuning

Ten of the 80 pairs are never drawn for training. Tested are pictures with one object: which of ten sentences, one for
each shape in the picture's colour, is nearest (chance 10 %), and which of all 80 (chance 1.25 %). A pair has two
sentences, "a small red star" and "a large red star", and is as near as the nearer of them. The seed fixes the first
weights and the order of the pictures. The recipe is that of notebook 18.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from vit_course.data.batches import Batches
from vit_course.data.dataset import Split, channel_statistics
from vit_course.data.files import whole_file
from vit_course.data.outlines import CLASSES
from vit_course.data.scenes import COLOURS
from vit_course.data.shapes import Drawing, draw
from vit_course.device import seed_everything
from vit_course.models.clip import CLIP, clip_loss
from vit_course.models.text import TextConfig, WordTokenizer
from vit_course.models.vit import ViTConfig
from vit_course.recipes.records import FOLDER, commit, machine, versions
from vit_course.recipes.starts import sine, whiten
from vit_course.training.optim import muon, warm_up
from vit_course.training.precision import choose_precision

NAMES = list(COLOURS)
HELD_OUT = [(NAMES[number % len(NAMES)], shape) for number, shape in enumerate(CLASSES)]
SHOWN = [(colour, shape) for colour in NAMES for shape in CLASSES if (colour, shape) not in HELD_OUT]
DRAWINGS = {"train": 21, "seen": 22, "unseen": 23}  # seeds
VALIDATION = {"train": 11, "seen": 12, "unseen": 13}
RECIPE = {
    "images": 16_000,
    "size": 48,
    "batch": 100,
    "epochs": 6,
    "lr": 0.015,
    "adamw_lr": 2e-3,
    "dim": 64,
    "image": {"patch_size": 8, "dim": 64, "depth": 4, "num_heads": 4, "mlp_ratio": 2.0, "pool": "mean"},
    "text": {"dim": 64, "depth": 2, "num_heads": 4, "mlp_ratio": 2.0},
}
KEYS = ("seen", "unseen", "seen_of_80", "unseen_of_80", "cpu_seconds")


def drawings(validation: bool = False) -> dict[str, Drawing]:
    """Pictures to train on, pictures of pairs that were shown, and pictures of nothing but the held-out pairs."""
    seeds, size = VALIDATION if validation else DRAWINGS, RECIPE["size"]
    return {
        "train": draw(RECIPE["images"], size, seeds["train"], captions=True, exclude=HELD_OUT),
        "seen": draw(2_000, size, seeds["seen"], captions=True, exclude=HELD_OUT),
        "unseen": draw(1_000, size, seeds["unseen"], captions=True, exclude=SHOWN),
    }


def measure(drawn: dict[str, Drawing], seed: int) -> dict[str, Any]:
    """One run: trains, and returns its shares of right answers, its loss and its seconds."""
    train = drawn["train"]
    mean, std = channel_statistics(train.images)
    captions = train.captions
    tokenizer = WordTokenizer.of(captions)
    seed_everything(seed)
    model = CLIP(
        ViTConfig(image_size=RECIPE["size"], num_classes=0, **RECIPE["image"]),
        TextConfig(len(tokenizer), tokenizer.context_length, **RECIPE["text"]),
        dim=RECIPE["dim"],
    )
    split = Split(train.images, torch.arange(len(train.images)), mean, std)
    batches = Batches(split, RECIPE["batch"], shuffle=True, seed=seed)
    for start in (whiten, sine):
        start(model.image, batches.normalise(train.images[:2_000]))
    tokens = tokenizer(captions)
    optimizer = muon(
        model,
        lr=RECIPE["lr"],
        adamw_lr=RECIPE["adamw_lr"],
        not_hidden=["image.patch_embed", "image_projection", "text_projection"],
    )
    scheduler = warm_up(optimizer, RECIPE["epochs"] * len(batches), then="linear")
    precision = choose_precision(model.image, batches.normalise(train.images[: RECIPE["batch"]]))
    start, cpu, losses = time.perf_counter(), time.process_time(), []
    for _ in range(RECIPE["epochs"]):
        for images, rows in batches:
            images, texts = precision.place(images, tokens[rows])
            with precision.autocast():
                pictures, sentences = model.encode_image(images), model.encode_text(texts)
            loss = clip_loss(pictures.float(), sentences.float(), model.logit_scale)
            optimizer.zero_grad()
            precision.backward(loss)
            precision.step(optimizer)
            scheduler.step()
            losses.append(loss.item())
    run = {"seed": seed, "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
    run["loss"] = statistics.mean(losses[-50:])
    model.eval()
    for name in ("seen", "unseen"):
        run[name], run[f"{name}_of_80"] = named(model, tokenizer, drawn[name], mean, std)
    return run | {"machine": machine(torch.device("cpu")), "versions": versions(), "commit": commit()}


@torch.no_grad()
def named(model: CLIP, tokenizer: WordTokenizer, drawing: Drawing, mean: Tensor, std: Tensor) -> tuple[float, float]:
    """Shares of the pictures with one object that get their own sentence: of ten, and of 80."""
    alone = drawing.shapes[:, 1] < 0
    colours, shapes = drawing.colours[alone, 0], drawing.shapes[alone, 0]
    split = Split(drawing.images[alone], shapes, mean, std)
    vectors = torch.cat([model.encode_image(images) for images, _ in Batches(split, 250)])
    sentences = [[f"a {size} {c} {s}" for c in NAMES for s in CLASSES] for size in ("small", "large")]
    scores = torch.stack([vectors @ model.encode_text(tokenizer(texts)).T for texts in sentences]).amax(dim=0)
    of_ten = scores.view(-1, len(NAMES), len(CLASSES))[torch.arange(len(scores)), colours].argmax(dim=1) == shapes
    of_all = scores.argmax(dim=1) == colours * len(CLASSES) + shapes
    return of_ten.float().mean().item(), of_all.float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--validation", action="store_true", help="on drawings to tune on, not the table's")
    parser.add_argument("--record", action="store_true", help="add the runs to data/recorded/clip-shapes.json")
    arguments = parser.parse_args()
    drawn = drawings(arguments.validation)
    path, runs = FOLDER / "clip-shapes.json", {}
    if arguments.record and path.is_file():
        old = json.loads(path.read_text(encoding="utf-8"))
        runs = {run["seed"]: run for run in old["runs"] if old["recipe"] == RECIPE}
    for seed in arguments.seeds:
        runs[seed] = measure(drawn, seed)
        print(f"seed {seed}: " + ", ".join(f"{key} {runs[seed][key]:.3f}" for key in KEYS), flush=True)
        spread = {key: [run[key] for run in runs.values()] for key in KEYS}
        summary = {
            key: {"mean": statistics.mean(v), "sd": statistics.stdev(v) if len(v) > 1 else None}
            for key, v in spread.items()
        }
        if arguments.record and not arguments.validation:
            record = {"recipe": RECIPE, "command": "python tests/measure_clip.py --record", "summary": summary}
            record["runs"] = [runs[number] for number in sorted(runs)]
            with whole_file(path) as temporary:
                temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("| | of ten shapes, chance 10 % | of all 80 pairs, chance 1.25 % |\n|---|---|---|")
    for name in ("seen", "unseen"):
        both = (summary[key] for key in (name, f"{name}_of_80"))
        cells = [f"{100 * one['mean']:.1f} ± {100 * (one['sd'] or 0):.1f}" for one in both]
        print(f"| pairs {'in training' if name == 'seen' else 'never shown'} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
