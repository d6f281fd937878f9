"""A small training run that can kill itself with SIGKILL; test_checkpoint.py runs it as a program of its own.

python killed_run.py CHECKPOINT SECONDS KILL_AT RESULT: resumes from CHECKPOINT if it is there, writes it every SECONDS
and after each epoch, dies in the middle of the KILL_AT-th call of the loss (0: never), else writes its end to RESULT.
"""

import json
import os
import sys

import torch
import torch.nn.functional as F
from torch import nn

from vit_course.data.augment import Compose, HorizontalFlip, MixUp, RandomCrop
from vit_course.data.batches import Batches
from vit_course.data.dataset import Split
from vit_course.training.checkpoint import save
from vit_course.training.loop import History, fit
from vit_course.training.optim import muon, warm_up

EPOCHS, TRAIN_CALLS, VAL_CALLS = 3, 7, 2  # 100 images in batches of 16, 20 in batches of 16


def split(count: int) -> Split:
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    return Split(images, images[:, 0, 0, 0].long() % 4, (0.5, 0.5, 0.5), (0.3, 0.3, 0.3))


def run(checkpoint: str | None, seconds: float = 0.0, kill_at: int = 0) -> tuple[nn.Module, History]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(512, 16),
        nn.ReLU(),
        nn.Linear(16, 4),
    )
    augment = Compose([RandomCrop(padding=1), HorizontalFlip(), MixUp(num_classes=4)])
    train_batches = Batches(split(100), 16, shuffle=True, augment=augment, seed=5)
    optimizer = muon(model)
    calls = []

    def loss_fn(logits, labels):
        calls.append(1)
        if len(calls) == kill_at:
            os.kill(os.getpid(), 9)  # SIGKILL: nothing is tidied up
        return F.cross_entropy(logits, labels)

    history = fit(
        model,
        train_batches,
        Batches(split(20), 16),
        EPOCHS,
        optimizer=optimizer,
        scheduler=warm_up(optimizer, EPOCHS * len(train_batches)),
        loss_fn=loss_fn,
        precision=torch.float32,
        live="none",
        checkpoint=checkpoint,
        checkpoint_seconds=seconds,
        resume=checkpoint is not None,
    )
    return model, history


if __name__ == "__main__":
    path, every, kill, result = sys.argv[1:]
    trained, found = run(path, float(every), int(kill))
    save(trained, result)
    print(json.dumps(vars(found)))
