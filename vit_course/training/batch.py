"""A look at the first batch: what would fail later, or train on nonsense, is named before training starts."""

import itertools
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from vit_course.training.precision import evaluating
from vit_course.training.progress import random_state, set_random_state

Batch = tuple[Tensor, Tensor]


def check_again(batches: Iterable[Batch] | None, epochs: int) -> None:
    """Raises ValueError for an iterator, which gives its batches once, where there is more than one epoch."""
    if epochs > 1 and isinstance(batches, Iterator):
        raise ValueError(
            f"the batches are an iterator, used up after one of {epochs} epochs: give a list, a DataLoader or Batches"
        )


def peek(batches: Iterable[Batch]) -> tuple[Batch, Iterable[Batch]]:
    """The first batch, and batches that still hold it.

    The number of the next pass of a `Batches` (`.epoch`) and the random state stay as they were.

    Raises:
        ValueError: no batch at all, or something that is no pair of tensors.
    """
    epoch = getattr(batches, "epoch", None)
    state = random_state()  # a DataLoader draws its order from it
    iterator = iter(batches)
    batch = next(iterator, None)
    if batch is None:
        raise ValueError("there is no batch: is the data empty, or an iterator that was used up before?")
    set_random_state(state)
    if epoch is not None:
        batches.epoch = epoch
    if not (isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch)):
        raise ValueError(f"a batch is {type(batch).__name__}: give pairs of tensors (images, labels)")
    return tuple(batch), itertools.chain([batch], iterator) if isinstance(batches, Iterator) else batches


def check_batch(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Does this batch fit this model? Runs two of its images through it, in eval mode.

    Raises:
        ValueError: images on another device than the model's, no float images, nan in them, logits that are not
            (B, num_classes), labels that are neither int64 (B,) within 0 … num_classes - 1 nor float (B, num_classes).
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    if images.device.type not in ("cpu", device.type):
        raise ValueError(
            f"the model is on {device}, its batches on {images.device}: model.to({images.device.type!r}) first, "
            "and make the optimizer after that"
        )
    if not images.is_floating_point():
        raise ValueError(f"images are {images.dtype}: give floats, normalised, as Batches does")
    if not images.isfinite().all():
        raise ValueError("there is nan or inf in the images of the first batch: check how they were normalised")
    with evaluating(model), torch.no_grad():
        logits = model(images[:2].to(device))
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        what = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"the model returned {what}: return logits, a tensor (B, num_classes)")
    B, num_classes = len(images), logits.shape[1]
    if labels.ndim == 2 and labels.is_floating_point():
        if labels.shape != (B, num_classes):
            raise ValueError(f"soft labels are {tuple(labels.shape)}, logits ({B}, {num_classes}): make them the same")
        return
    if labels.shape != (B,) or labels.dtype != torch.int64:
        raise ValueError(f"labels are {labels.dtype} {tuple(labels.shape)}: give int64 ({B},), one label an image")
    low, high = labels.min().item(), labels.max().item()
    if low < 0 or high >= num_classes:
        wrong = low if low < 0 else high
        raise ValueError(
            f"label {wrong} is out of range: the model has {num_classes} outputs, for labels 0 to {num_classes - 1}"
        )
