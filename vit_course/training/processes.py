"""Training in several processes at once, as `torchrun` starts them; with one process all of this does nothing.

Each process works on its part of every batch. Gradients are averaged before each step, weighted by the parts' sizes, so
all processes keep the same weights, and those a single process would get from the whole batch, up to rounding. Not so
for what looks at a batch as a whole: BatchNorm2d sees only its process's part (on GPUs `synchronised` mends that;
SyncBatchNorm does not exist for CPUs), and dropout draws other numbers.
"""

import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from vit_course.data.batches import Batches


def rank() -> int:
    """The number of this process, from 0; 0 where there is only one."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def count() -> int:
    """How many processes train together; 1 unless `torchrun` started more."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def start(device: torch.device) -> torch.device:
    """Join the processes that `torchrun` started, if it did; returns this one's device, of several GPUs its own."""
    if "RANK" not in os.environ or not dist.is_available():
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def stop() -> None:
    """Leave the other processes, if there are any."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def total(sums: Tensor) -> Tensor:
    """The sum over all processes; on every one of them."""
    if count() > 1:
        sums = sums.clone()
        dist.all_reduce(sums)
    return sums


def synchronised(model: nn.Module) -> nn.Module:
    """The model with batch norms that look at the whole batch, where there are several GPUs; else as it is."""
    on_gpu = any(p.device.type == "cuda" for p in model.parameters())
    return nn.SyncBatchNorm.convert_sync_batchnorm(model) if on_gpu and count() > 1 else model


class Share:
    """This process's part of every batch of `batches`; all of it where there is one process.

    Every process makes the whole batch, since batches depend on seed, epoch and number alone, and takes its images.
    `weight` is the part's share of the batch under way, for `average_gradients`.

    Raises:
        ValueError: a batch with fewer images than there are processes.
    """

    def __init__(self, batches: Batches) -> None:
        self.batches, self.weight = batches, 1.0
        last = len(batches.images) % batches.batch_size or batches.batch_size
        if min(last, batches.batch_size) < count():
            raise ValueError(
                f"a batch has {min(last, batches.batch_size)} images for {count()} processes: use fewer processes or "
                "another batch size"
            )

    @property
    def epoch(self) -> int:
        """The number of the next pass."""
        return self.batches.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.batches.epoch = epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.from_batch(0)

    def from_batch(self, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """As `Batches.from_batch`."""
        return self._parts(self.batches.from_batch(start))

    def _parts(self, batches: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in batches:
            mine = torch.tensor_split(torch.arange(len(images)), count())[rank()]
            part = slice(int(mine[0]), int(mine[-1]) + 1)
            self.weight = len(mine) / len(images)
            yield images[part], labels[part]


def average_gradients(optimizer: Optimizer, share: Share) -> None:
    """From now on, let each step of `optimizer` use the gradient of the whole batch: one sum over all processes."""

    def average(*_: object) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        flat = total(torch.cat([gradient.flatten() for gradient in gradients]) * share.weight)
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    if count() > 1:
        optimizer.register_step_pre_hook(average)


def average_buffers(model: nn.Module) -> None:
    """Give all processes the same running statistics: the mean of theirs."""
    for buffer in model.buffers():
        if count() > 1 and buffer.is_floating_point():
            buffer.copy_(total(buffer) / count())
