"""Running a recipe: its seeds one after another, each taken up again where it stopped, and recorded when it ends."""

import dataclasses
import functools
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_course.data import data_folder, load
from vit_course.data.batches import Batches
from vit_course.data.dataset import Dataset, Split
from vit_course.data.files import whole_file
from vit_course.device import best_device, seed_everything
from vit_course.interpret.metrics import predict
from vit_course.models.preprocess import Preprocess
from vit_course.models.pretrained import load_pretrained, save_pretrained
from vit_course.recipes import records
from vit_course.recipes.recipe import Recipe
from vit_course.training import processes
from vit_course.training.loop import evaluate, fit, train_one_epoch
from vit_course.training.optim import warm_up
from vit_course.training.precision import Precision

EVALUATION_BATCH, PROBE_BATCHES = 500, 12


class Stopwatch:
    """Seconds of training, by the wall and of CPU time in this process; a checkpoint keeps them.

    What a killed run had done since its last checkpoint is done again, and counts once.
    """

    def __init__(self) -> None:
        self.before = {"seconds": 0.0, "cpu_seconds": 0.0}
        self.start = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Both, so far."""
        wall, cpu = time.perf_counter() - self.start[0], time.process_time() - self.start[1]
        return {"seconds": self.before["seconds"] + wall, "cpu_seconds": self.before["cpu_seconds"] + cpu}

    def state_dict(self) -> dict[str, float]:
        return self.read()

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.__init__()
        self.before = dict(state)


class Mirrored(nn.Module):
    """A classifier that averages the probabilities of an image and of its mirror image; gives their logarithms."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        both = self.model(images).float().softmax(1) + self.model(images.flip(3)).float().softmax(1)
        return (both / 2).clamp(min=1e-12).log()


def train(
    recipe: Recipe,
    *,
    seeds: int | None = None,
    record: bool = False,
    resume: bool = False,
    folder: Path | None = None,
    live: str | None = None,
) -> list[dict[str, Any]]:
    """Run the recipe for seeds 0, 1, …; returns their runs as a record holds them, those already recorded included.

    Checkpoints and final weights are kept in `runs/` of the data folder, as RECIPE-SEED.pt and .safetensors.

    Args:
        seeds: how many; None: as many as the recipe says.
        record: write `data/recorded/RECIPE.json` after each seed, and leave out the seeds that it has.
        resume: go on from the checkpoint of a run that was stopped.
        folder: of the records, in place of data/recorded.
        live: as in `fit`.

    Raises:
        ValueError: a record of another recipe of this name, or a dataset that the model does not fit.
        FileNotFoundError: the dataset is not there.
    """
    done = runs = records.runs_so_far(recipe, folder) if record else []
    device = processes.start(best_device())
    first = processes.rank() == 0
    try:
        dataset = load(recipe.dataset)
        for seed in range(seeds or recipe.seeds):
            if seed in [run["seed"] for run in done]:
                continue
            run = train_seed(recipe, dataset, seed, device=device, resume=resume, live=live if first else "none")
            runs = [*runs, run]
            if record and first:
                records.add(recipe, run, folder)
            if first:
                print(line(recipe, run), flush=True)
    finally:
        processes.stop()
    return runs


def train_seed(
    recipe: Recipe, dataset: Dataset, seed: int, *, device: torch.device, resume: bool = False, live: str | None = None
) -> dict[str, Any]:
    """One run, from its first weights to its accuracy on the test images, which are read once, at the end."""
    train_split, validation = recipe.splits(dataset)
    model = processes.synchronised(recipe.build(dataset, seed).to(device, memory_format=torch.channels_last))
    augmented = {"shuffle": True, "augment": recipe.augment, "seed": seed}
    batches = processes.Share(Batches(train_split, recipe.batch_size, device=device, **augmented))
    seed_everything(seed + processes.rank())  # what the model draws as it trains, such as dropout
    optimizer = recipe.optimizer(model)
    processes.average_gradients(optimizer, batches)
    place = data_folder() / "runs" / f"{recipe.name}-{seed}.pt"
    stopwatch, alone = Stopwatch(), processes.count() == 1
    history = fit(
        model,
        batches,
        whole(validation, device),
        recipe.epochs,
        optimizer=optimizer,
        scheduler=warm_up(optimizer, recipe.epochs * len(batches), share=recipe.warm_up, then=recipe.then),
        loss_fn=functools.partial(F.cross_entropy, label_smoothing=recipe.label_smoothing),
        precision=recipe.dtype,
        live=live,
        checkpoint=place,
        # Several processes have written sums of their own in the middle of an epoch, and none at its end.
        checkpoint_seconds=60.0 if alone else float("inf"),
        resume=resume,
        also={"stopwatch": stopwatch},
    )
    seconds = stopwatch.read()
    seconds["cpu_seconds"] = processes.total(torch.tensor(seconds["cpu_seconds"], device=device)).item()
    processes.average_buffers(model)
    computing = Precision(model, recipe.dtype)
    test = evaluate(model, whole(dataset.test, device), precision=computing)
    mirrored = evaluate(Mirrored(model), whole(dataset.test, device), precision=computing)
    if processes.rank() == 0:
        save_pretrained(model, place.with_suffix(".safetensors"), preparation(dataset))
        place.unlink(missing_ok=True)
    return {
        "seed": seed,
        "curve": dataclasses.asdict(history),
        "test_loss": test.loss,
        "test_accuracy": test.accuracy,
        "test_accuracy_mirrored": mirrored.accuracy,
        **seconds,
        "parameters": sum(p.numel() for p in model.parameters()),
        "processes": processes.count(),
        "machine": records.machine(device),
        "versions": records.versions(),
        "commit": records.commit(),
    }


def preparation(dataset: Dataset) -> Preprocess:
    """What `Batches` does to an image of the dataset, as a file of weights says it; of another size: its centre."""
    train, size = dataset.train, tuple(dataset.train.images.shape[2:])
    return Preprocess(size=size, cover=size, mean=train.mean, std=train.std, classes=tuple(dataset.classes))


def ship(recipe: Recipe, *, seed: int = 0, folder: Path | None = None) -> Path:
    """Put a run's weights beside its record, in float16, with what they say of every test image; returns their path.

    `records.weights_of` and `records.predictions_of` find them again.

    Raises:
        FileNotFoundError: the run's weights are not in the data folder, or the dataset is not there.
    """
    trained = data_folder() / "runs" / f"{recipe.name}-{seed}.safetensors"
    if not trained.is_file():
        raise FileNotFoundError(
            f"{trained} is not there: `python -m vit_course train {recipe.name} --ship` trains first, where there is "
            "no record; where there is one, delete it to train again"
        )
    place = (folder or records.FOLDER) / f"{recipe.name}.safetensors"
    model, preprocess = load_pretrained(trained)
    save_pretrained(model, place, preprocess, dtype=torch.float16)
    model, _ = load_pretrained(place)
    device = best_device()
    split = load(recipe.dataset).test
    said = predict(model.to(device), Batches(split, EVALUATION_BATCH, device=device))
    with whole_file(place.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, logits=said.logits.half().numpy(), labels=said.labels.to(torch.uint8).numpy())
    return place


def whole(split: Split | None, device: torch.device) -> processes.Share | None:
    """A split once through, in its order; each process takes its part."""
    return None if split is None else processes.Share(Batches(split, EVALUATION_BATCH, device=device))


def line(recipe: Recipe, run: dict[str, Any]) -> str:
    """A run in one line."""
    return (
        f"{recipe.name}, seed {run['seed']}: test accuracy {run['test_accuracy']:.2%}, averaged with the mirror image "
        f"{run['test_accuracy_mirrored']:.2%}; trained {run['seconds']:.0f} s, of CPU time {run['cpu_seconds']:.0f} s"
    ).replace("%", " %")


def in_minutes(recipe: Recipe, minutes: float) -> Recipe:
    """The recipe with as many epochs as this machine trains in that time: at least one; by a probe of some seconds.

    Raises:
        ValueError: minutes that are not above 0.
    """
    if not minutes > 0:
        raise ValueError(f"minutes is {minutes}: give a number above 0, such as 5")
    dataset, device = load(recipe.dataset), best_device()
    split = recipe.splits(dataset)[0]
    batches = Batches(split, recipe.batch_size, shuffle=True, augment=recipe.augment, device=device)
    model = recipe.build(dataset, 0).to(device, memory_format=torch.channels_last)
    optimizer, computing = recipe.optimizer(model), Precision(model, recipe.dtype)
    train_one_epoch(model, itertools.islice(batches, 3), optimizer, precision=computing)  # warms up
    start = time.perf_counter()
    train_one_epoch(model, itertools.islice(batches, PROBE_BATCHES), optimizer, precision=computing)
    seconds = (time.perf_counter() - start) / min(PROBE_BATCHES, len(batches))
    return dataclasses.replace(recipe, epochs=max(1, round(60 * minutes / (seconds * len(batches)))))
