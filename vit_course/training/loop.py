"""The training loop: one epoch, an evaluation, and `fit`, which is both, again and again."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from vit_course.training import checkpoint as checkpoints
from vit_course.training.batch import check_again, check_batch, peek
from vit_course.training.checkpoint import Stateful
from vit_course.training.live import watch
from vit_course.training.optim import adamw
from vit_course.training.precision import Precision, choose_precision
from vit_course.training.progress import Progress
from vit_course.training.tally import History, Metrics, Tally

__all__ = ["History", "Metrics", "Tally", "evaluate", "fit", "train_one_epoch"]


def train_one_epoch(
    model: nn.Module,
    batches: Iterable,
    optimizer: Optimizer,
    *,
    loss_fn: Callable = F.cross_entropy,
    scheduler: LRScheduler | None = None,
    precision: Precision | None = None,
    tally: Tally | None = None,
    after_step: Callable[[], None] | None = None,
) -> Metrics:
    """Train on every batch once; returns mean loss and accuracy, measured while the weights changed.

    Args:
        batches: pairs of images (B, C, H, W) and labels, int64 (B,) or soft ones, float (B, num_classes).
        loss_fn: logits and labels -> their mean over the batch.
        scheduler: stepped after every batch.
        precision: None computes in float32.
        tally: where to add up; one that has sums already goes on from there.
        after_step: called after every batch.

    Raises:
        FloatingPointError: the loss is nan or inf; the message names the step and the likely causes.
    """
    precision = precision or Precision(model)
    tally = tally or Tally()
    model.train()
    for images, labels in batches:
        images, labels = precision.place(images, labels)
        with precision.autocast():
            logits = model(images)  # (B, num_classes)
            loss = loss_fn(logits, labels)
        tally.add(loss, logits, labels)
        optimizer.zero_grad()
        precision.backward(loss)
        precision.step(optimizer)
        if scheduler is not None:
            scheduler.step()
        if after_step is not None:
            after_step()
    return tally.metrics()


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: Iterable, *, loss_fn: Callable = F.cross_entropy, precision: Precision | None = None
) -> Metrics:
    """Mean loss and accuracy over all samples, without learning from them; leaves the model in eval mode.

    >>> loss, accuracy = evaluate(model, Batches(ds.test))

    Raises:
        FloatingPointError: as `train_one_epoch`.
    """
    precision = precision or Precision(model)
    tally = Tally(where=" of the evaluation")
    model.eval()
    for images, labels in batches:
        images, labels = precision.place(images, labels)
        with precision.autocast():
            logits = model(images)  # (B, num_classes)
            loss = loss_fn(logits, labels)
        tally.add(loss, logits, labels)
    return tally.metrics()


def fit(
    model: nn.Module,
    train_batches: Iterable,
    val_batches: Iterable | None = None,
    epochs: int = 1,
    *,
    optimizer: Optimizer | None = None,
    scheduler: LRScheduler | None = None,
    loss_fn: Callable = F.cross_entropy,
    precision: torch.dtype | None = None,
    live: str | None = None,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_seconds: float = 60.0,
    resume: bool = False,
    also: Mapping[str, Stateful] | None = None,
) -> History:
    """Train for `epochs`, look at the validation data after each, and leave the model with its best weights.

    The best epoch is `history.best_epoch`: validation chooses it. Ctrl-C, or a notebook's stop button, ends training
    early: the best weights and the history are kept, and a line says so.

    Args:
        model: on the device to train on: `model.to(best_device())`. Batches are moved there if they are on the CPU.
        optimizer: None takes `adamw(model)`.
        scheduler: stepped after every batch, for `epochs * len(train_batches)` steps.
        loss_fn: for training and validation alike.
        precision: torch.float32, bfloat16 or float16; None lets a short probe choose the fastest.
        live: "curves", "bar", "lines" or "none"; None takes what suits the place, see `live.watch`.
        checkpoint: a file that always holds the run so far, written at the end of each epoch and, within one, every
            `checkpoint_seconds`.
        resume: go on from `checkpoint` where it is there, else start anew. Give the same model, data, optimizer and
            scheduler: a run that was killed then ends with the same weights, bit for bit on a CPU.
        also: more to keep in the checkpoint, by name: whatever has `state_dict` and `load_state_dict`.

    Raises:
        ValueError: batches that do not fit the model (device, shape, labels), or a checkpoint of something else.
        FloatingPointError: the loss is nan or inf. The message names step and likely causes; the model has its best
            weights again, if an epoch was finished.
    """
    check_again(train_batches, epochs)
    check_again(val_batches, epochs)
    first, train_batches = peek(train_batches)
    check_batch(model, *first)
    optimizer = optimizer or adamw(model)
    computing = choose_precision(model, first[0]) if precision is None else Precision(model, precision)
    progress = Progress(model)
    parts = {"model": model, "optimizer": optimizer, "precision": computing, "progress": progress, **(also or {})}
    if scheduler is not None:
        parts["scheduler"] = scheduler
    if resume and checkpoint is None:
        raise ValueError("resume=True needs to know from which file: give checkpoint=...")
    if resume and Path(checkpoint).exists():
        checkpoints.resume(checkpoint, parts)
    saver = checkpoints.Saver(checkpoint, parts, checkpoint_seconds)
    view = watch(live, progress.history, epochs, train_batches)
    stopped = ""

    def after_step() -> None:
        progress.batch += 1
        view.step(progress.epoch, progress.batch)
        saver.perhaps_save()

    try:
        while progress.epoch <= epochs:
            rest = progress.rest_of(train_batches)
            train = train_one_epoch(
                model,
                rest,
                optimizer,
                loss_fn=loss_fn,
                scheduler=scheduler,
                precision=computing,
                tally=progress.tally,
                after_step=after_step,
            )
            validation = None
            if val_batches is not None:
                validation = evaluate(model, val_batches, loss_fn=loss_fn, precision=computing)
            progress.finish_epoch(train, validation)
            view.epoch()
            saver.save()
    except KeyboardInterrupt:
        stopped = f"Stopped in epoch {progress.epoch} of {epochs}. "
    except FloatingPointError as error:
        rates = ", ".join(f"{rate:.2g}" for rate in sorted({group["lr"] for group in optimizer.param_groups}))
        raise FloatingPointError(f"{error} The learning rate was {rates}. {progress.take_best()}") from None
    finally:
        view.close()
    best = progress.take_best()
    if stopped:
        print(stopped + best)
    return progress.history
