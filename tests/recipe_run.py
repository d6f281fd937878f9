"""A tiny recipe run as a program, alone or under torchrun; test_recipes.py and test_processes.py start it.

python recipe_run.py DATASET RECORDS KILL_AT: trains, records in the folder RECORDS, goes on from a checkpoint if there
is one, and dies by SIGKILL in the KILL_AT-th training step (0: never).
"""

import dataclasses
import os
import sys
from pathlib import Path

import torch

from vit_course.data.augment import Compose, HorizontalFlip, RandomCrop
from vit_course.models.vit import ViTConfig
from vit_course.recipes import run as running
from vit_course.recipes.recipe import Muon, Recipe

TINY = Recipe(
    name="tiny",
    about="For tests.",
    model=ViTConfig(image_size=8, patch_size=4, num_classes=2, dim=16, depth=2, num_heads=2, mlp_ratio=2.0),
    optimizer=Muon(lr=0.02, adamw_lr=1e-2),
    epochs=3,
    batch_size=16,
    augment=Compose((RandomCrop(padding=1), HorizontalFlip())),
    precision="float32",
    seeds=2,
)


def main(dataset: str, folder: str, kill_at: int) -> None:
    """Train, and die on the way if told so."""
    torch.set_num_threads(1)
    steps = []
    original = running.fit

    def fit(model, *args, **options):
        smoothed = options["loss_fn"]

        def loss_fn(logits, labels):
            steps.append(1)
            if len(steps) == kill_at:
                os.kill(os.getpid(), 9)  # SIGKILL: nothing is tidied up
            return smoothed(logits, labels)

        return original(model, *args, **(options | {"loss_fn": loss_fn, "checkpoint_seconds": 0.0}))

    if kill_at >= 0:  # -1: as it is, as under torchrun
        running.fit = fit
    recipe = dataclasses.replace(TINY, dataset=dataset)
    running.train(recipe, record=True, resume=True, folder=Path(folder), live="none")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
