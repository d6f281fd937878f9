"""Sums over samples, and the history that an epoch's sums become."""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vit_course.training import processes

CAUSES = (
    "Likely causes, the likeliest first: a learning rate that is too high (try a tenth of it, or a warm-up); nan or "
    "inf in the images, such as after a division by a standard deviation of 0; a division by 0 or a logarithm of 0 in "
    "the model or the loss; float16 without a gradient scaler."
)


class Metrics(NamedTuple):
    """Mean loss and accuracy (0 … 1) over all samples of a pass."""

    loss: float
    accuracy: float


class Tally:
    """Adds up loss and right answers over samples; a mean of batch means would count a small last batch too much.

    The sums stay on the device. `metrics` reads them once, at the end: reading makes the CPU wait for a GPU.

    Args:
        where: what to call this pass in an error, such as " of epoch 3".
    """

    def __init__(self, where: str = "") -> None:
        self.where = where
        self.samples = 0
        self.loss: Tensor | float = 0.0  # a tensor from the first batch on
        self.correct: Tensor | float = 0.0
        self.finite: Tensor | float = 0.0  # batches until the sum of losses stops being finite

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: its mean loss, logits (B, num_classes), labels (B,) or soft ones (B, num_classes).

        Of a soft label, the largest share counts as the right answer.

        Raises:
            FloatingPointError: the loss is nan or inf. On a GPU, where looking costs time, `metrics` raises it.
        """
        if labels.ndim == 2:
            labels = labels.argmax(dim=1)  # (B,)
        self.samples += len(labels)
        self.loss = self.loss + loss.detach().float() * len(labels)
        self.correct = self.correct + (logits.detach().argmax(dim=1) == labels).sum().float()
        self.finite = self.finite + self.loss.isfinite().float()
        if self.loss.device.type == "cpu":
            self._check(self.loss.item(), self.finite.item())

    def metrics(self) -> Metrics:
        """Means over the samples so far, of all processes that train together.

        Raises:
            ValueError: there were none.
            FloatingPointError: a loss was nan or inf; the message names the first batch that was, and likely causes.
        """
        if not self.samples:
            raise ValueError("there was no batch: is the data empty, or an iterator that was used up before?")
        sums = torch.stack([self.loss, self.correct, torch.full_like(self.correct, self.samples)])
        loss, correct, samples = processes.total(sums.double()).tolist()
        self._check(loss, float(self.finite))
        return Metrics(loss / samples, correct / samples)

    def _check(self, loss: float, finite: float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {int(finite) + 1}{self.where}. {CAUSES}")

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        for name, value in state.items():
            setattr(self, name, value.to(device) if isinstance(value, Tensor) else value)


@dataclass
class History:
    """Loss and accuracy of every finished epoch, as lists: entry 0 is epoch 1.

    Training values are means over the epoch *while* the weights changed, with augmentation and dropout; validation
    values are of the weights at its end. Without validation data the val_ lists stay empty.
    """

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        """The number of finished epochs."""
        return len(self.train_loss)

    def append(self, train: Metrics, validation: Metrics | None = None) -> None:
        """Add an epoch."""
        self.train_loss.append(train.loss)
        self.train_accuracy.append(train.accuracy)
        if validation is not None:
            self.val_loss.append(validation.loss)
            self.val_accuracy.append(validation.accuracy)

    @property
    def best_epoch(self) -> int:
        """The epoch, counted from 1, of the highest validation accuracy (of equals, the lowest loss, then the first).

        Without validation data: the last epoch, since training values choose nothing. 0 before the first.
        """
        if not self.val_accuracy:
            return len(self)
        order = [(-accuracy, loss) for accuracy, loss in zip(self.val_accuracy, self.val_loss, strict=True)]
        return order.index(min(order)) + 1

    def line(self, epoch: int) -> str:
        """One epoch as text, rounded: of a trained loss, further digits differ from machine to machine."""
        text = f"train loss {self.train_loss[epoch - 1]:.2f}, accuracy {self.train_accuracy[epoch - 1]:.1%}"
        if self.val_loss:
            text += f" · validation loss {self.val_loss[epoch - 1]:.2f}, accuracy {self.val_accuracy[epoch - 1]:.1%}"
        return text.replace("%", " %")
