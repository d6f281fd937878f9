"""Mini-batches made whole: a split that stays in memory, shuffled, augmented and normalised a batch at a time."""

import hashlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from vit_course.data.augment import Augmentation
from vit_course.data.dataset import Split
from vit_course.device import best_device


def generator_for(*key: int) -> torch.Generator:
    """A CPU generator whose numbers depend on `key` alone; neighbouring keys give unrelated numbers.

    >>> generator_for(seed, epoch, index)
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


class Batches:
    """An iterable over a split: pairs (images float32 (B, C, H, W), labels int64 (B,)), on `device`.

    Images are normalised per channel, (x / 255 - mean) / std, with `split.mean` and `split.std`. The last batch may be
    smaller; none is dropped. `len(batches)` is the number of batches of an epoch. Labels are float
    (B, num_classes) where `augment` mixes images (MixUp, CutMix).

    All randomness is a pure function of (seed, epoch, batch number) and drawn on the CPU: the same seed gives the same
    batches on every device, for any number of threads, and from whichever batch an epoch is taken up again.
    Captions stay in the split. For batches that name their images, give positions as labels:
    `dataclasses.replace(split, labels=torch.arange(len(split)))`.

    Args:
        batch_size: images a batch.
        shuffle: a new order each epoch, else the split's order.
        augment: (uint8 images, labels, generator) -> (images, labels), see `vit_course.data.augment`.
        device: where the split's images are kept and the batches made: moved there once.
        seed: the same number, the same batches.

    `epoch` is the number of the next pass; each pass adds one. Set it to go back or on.

    Raises:
        ValueError: an empty split, a batch_size below 1, a device that this machine does not have, a channel whose
            pixels are all equal (std 0), or, on the way, an `augment` that returns something else than it should.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int = 128,
        shuffle: bool = False,
        augment: Augmentation | None = None,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        if len(split) == 0:
            raise ValueError("the split has 0 images: give one with at least 1")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: give 1 or more")
        if 0 in split.std:
            raise ValueError(
                f"std is 0 in channel {split.std.index(0)}: every pixel there is the same; check the training images"
            )
        self.batch_size, self.shuffle, self.augment, self.seed = batch_size, shuffle, augment, seed
        self.epoch = 0
        self.device = best_device(device)
        self.images = split.images.to(self.device)  # (N, C, H, W), uint8: a quarter of the memory of float32
        self.labels = split.labels.to(self.device)  # (N,)
        mean, std = torch.tensor(split.mean), torch.tensor(split.std)
        self.scale = (1 / (255 * std)).view(-1, 1, 1).to(self.device)  # (C, 1, 1)
        self.shift = (-mean / std).view(-1, 1, 1).to(self.device)  # (C, 1, 1)

    def __len__(self) -> int:
        return math.ceil(len(self.images) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.from_batch(0)

    def from_batch(self, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The next pass from its batch number `start` on; the earlier ones are not computed.

        A run that was killed in epoch 3 after 40 batches goes on with `batches.epoch = 3` and `batches.from_batch(40)`.

        Raises:
            ValueError: `start` is not within 0 … len(self).
        """
        if not 0 <= start <= len(self):
            raise ValueError(f"start is {start}: an epoch has {len(self)} batches, so give 0 to {len(self)}")
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self._batches(epoch, start)

    def _batches(self, epoch: int, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        if self.shuffle:
            order = torch.randperm(len(self.images), generator=generator_for(self.seed, epoch)).to(self.device)
        for index in range(start, len(self)):
            which = slice(index * self.batch_size, (index + 1) * self.batch_size)
            if self.shuffle:
                images = self.images.index_select(0, order[which])  # (B, C, H, W)
                labels = self.labels.index_select(0, order[which])  # (B,)
            else:
                images, labels = self.images[which], self.labels[which]  # views: nothing is copied
            if self.augment is not None:
                images, labels = self._augmented(images, labels, generator_for(self.seed, epoch, index))
            yield self.normalise(images), labels

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 (B, C, H, W) -> float32 (x / 255 - mean) / std, as one multiplication and one addition a pixel."""
        # .float() copies, so the next two may work in place. Not torch.addcmul: it is slower here, and a multiplication
        # and an addition apart are rounded alike on every device.
        return images.float().mul_(self.scale).add_(self.shift)

    def _augmented(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """What `augment` makes of a batch, looked over: a wrong shape would train on, on nonsense."""
        if not self.shuffle:  # a view of the split: an augmentation that works in place must not spoil the data
            images, labels = images.clone(), labels.clone()
        result = self.augment(images, labels, generator)
        name = getattr(self.augment, "__name__", repr(self.augment))
        if not (isinstance(result, tuple) and len(result) == 2 and all(isinstance(part, Tensor) for part in result)):
            raise ValueError(f"augment {name} returned {type(result).__name__}: return the pair (images, labels)")
        new_images, new_labels = result
        if new_images.shape != images.shape or new_images.dtype != torch.uint8:
            raise ValueError(
                f"augment {name} returned images {new_images.dtype} {tuple(new_images.shape)}: "
                f"return torch.uint8 {tuple(images.shape)}, as it was given"
            )
        hard = new_labels.shape == labels.shape and new_labels.dtype == torch.int64
        soft = new_labels.ndim == 2 and len(new_labels) == len(labels) and new_labels.is_floating_point()
        if not (hard or soft):
            raise ValueError(
                f"augment {name} returned labels {new_labels.dtype} {tuple(new_labels.shape)}: return "
                f"torch.int64 ({len(labels)},), or soft labels torch.float32 ({len(labels)}, num_classes)"
            )
        return new_images, new_labels
