"""What every source of images returns: a `Dataset` of two `Split`s, held whole in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels of uint8 images (N, C, H, W), in units of 0…1.

    Counted from histograms, so exact: the same on every machine and for any number of threads. CIFAR-10's training
    images give (0.4914, 0.4822, 0.4465) and (0.2470, 0.2435, 0.2616).
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(dim=1):
        weights = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
        mean = (weights * values).sum()
        means.append(mean.item())
        stds.append((weights * (values - mean) ** 2).sum().sqrt().item())
    return tuple(means), tuple(stds)


@dataclass(frozen=True, eq=False)
class Split:
    """Images of one split (train or test) with their labels; a torch dataset, too: `split[i]` is (image, label).

    images: uint8 (N, C, H, W).  labels: int64 (N,).
    mean, std: per channel in units of 0…1, always the *training* split's, so that no test pixel leaks into training.
    captions: one sentence an image, or None.
    """

    images: Tensor
    labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    captions: list[str] | None = None

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise ValueError(
                f"images are {self.images.dtype} {tuple(self.images.shape)}: give uint8 of shape (N, C, H, W)"
            )
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != torch.int64:
            raise ValueError(
                f"labels are {self.labels.dtype} {tuple(self.labels.shape)}: "
                f"give int64 of shape ({len(self.images)},), one label an image"
            )
        channels = self.images.shape[1]
        if not len(self.mean) == len(self.std) == channels:
            raise ValueError(
                f"{len(self.mean)} means and {len(self.std)} standard deviations for {channels} channels: "
                f"give {channels} of each"
            )
        if self.captions is not None and len(self.captions) != len(self.images):
            raise ValueError(f"{len(self.captions)} captions for {len(self.images)} images: give one an image")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.labels[index])

    def __repr__(self) -> str:
        count, *shape = self.images.shape
        captions = ", with captions" if self.captions is not None else ""
        return f"Split({count:,} images, {'×'.join(map(str, shape))} uint8{captions})"

    def subset(self, indices: Tensor | Sequence[int]) -> "Split":
        """The images at `indices`, in that order; the statistics stay those of the whole training split."""
        indices = torch.as_tensor(indices, dtype=torch.int64)
        captions = None if self.captions is None else [self.captions[i] for i in indices.tolist()]
        return replace(self, images=self.images[indices], labels=self.labels[indices], captions=captions)

    def split(self, held_out: float = 0.1, seed: int = 0) -> tuple["Split", "Split"]:
        """Two disjoint splits: (the rest, a validation split), with `held_out` of each class in the second.

        Raises:
            ValueError: `held_out` is not strictly between 0 and 1.
        """
        if not 0 < held_out < 1:
            raise ValueError(f"held_out is {held_out}: give a fraction between 0 and 1, such as 0.1")
        generator = torch.Generator().manual_seed(seed)
        held = torch.zeros(len(self), dtype=torch.bool)
        for label in self.labels.unique():
            members = (self.labels == label).nonzero().flatten()
            chosen = torch.randperm(len(members), generator=generator)[: round(held_out * len(members))]
            held[members[chosen]] = True
        return self.subset((~held).nonzero().flatten()), self.subset(held.nonzero().flatten())


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named dataset: its class names and its two splits. Labels are positions in `classes`.

    Raises:
        ValueError: a label that is no position in `classes`.
    """

    name: str
    classes: list[str]
    train: Split
    test: Split

    def __post_init__(self) -> None:
        for which, split in (("train", self.train), ("test", self.test)):
            wrong = split.labels[(split.labels < 0) | (split.labels >= len(self.classes))]
            if len(wrong):
                raise ValueError(
                    f"{which} label {wrong[0].item()} is out of range: {len(self.classes)} classes have "
                    f"labels 0 to {len(self.classes) - 1}"
                )

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.train.images.shape[1:]))
        return (
            f"{self.name}: {len(self.train):,} training and {len(self.test):,} test images, {shape}, "
            f"{len(self.classes)} classes ({', '.join(self.classes)})"
        )
