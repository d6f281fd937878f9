"""How a model computes: device, number format and memory layout, chosen here and nowhere else."""

import contextlib
import ctypes
import functools
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vit_course.training.linear import LinearAsConvolution

MARGIN = 0.9  # a shorter format is taken where it needs at most this share of float32's time
PROBE_IMAGES = 32
PROBE_SECONDS = 1.0


class Precision:
    """How to compute with a model: what `train_one_epoch` and `evaluate` ask for every batch.

    Weights stay float32. In bfloat16 or float16, autocast does matrix products and convolutions in the shorter
    format; float16's small range also needs a gradient scaler. Models with a Conv2d get images in channels_last
    layout (each pixel's channels side by side), which convolutions read faster, and wide linear layers over tokens are
    computed as convolutions where that is faster (`training.linear`); results are the same up to rounding.

    Args:
        model: it stays on its device; batches are moved there.
        dtype: torch.float32, torch.bfloat16 or torch.float16.

    Raises:
        ValueError: another dtype.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        parameter = next(model.parameters(), None)
        self.device = torch.device("cpu") if parameter is None else parameter.device
        if self.device.type == "cpu":
            keep_freed_memory()
        self.channels_last = any(isinstance(module, nn.Conv2d) for module in model.modules())
        self._set_dtype(dtype)

    def _set_dtype(self, dtype: torch.dtype) -> None:
        if dtype not in (torch.float32, torch.bfloat16, torch.float16):
            raise ValueError(f"dtype is {dtype}: give torch.float32, torch.bfloat16 or torch.float16")
        self.dtype = dtype
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=dtype == torch.float16)

    def __repr__(self) -> str:
        layout = ", channels_last" if self.channels_last else ""
        return f"{str(self.dtype).removeprefix('torch.')} on {self.device}{layout}"

    def place(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The batch on the model's device, images in the layout that it reads fastest."""
        layout = torch.channels_last if self.channels_last and images.ndim == 4 else torch.preserve_format
        # From a loader's pinned memory CUDA copies while the CPU goes on; elsewhere that gains nothing.
        unwaited = self.device.type == "cuda"
        images = images.to(self.device, non_blocking=unwaited, memory_format=layout)
        return images, labels.to(self.device, non_blocking=unwaited)

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """The context for the forward pass and the loss."""
        short = None if self.dtype == torch.float32 else self.dtype
        with LinearAsConvolution(), torch.autocast(self.device.type, dtype=short, enabled=short is not None):
            yield

    def backward(self, loss: Tensor) -> None:
        """`loss.backward()`, with the loss scaled up where float16 would lose small gradients."""
        self.scaler.scale(loss).backward()

    def step(self, optimizer: Optimizer) -> None:
        """`optimizer.step()`; in float16 with gradients scaled back, and left out where they overflowed."""
        self.scaler.step(optimizer)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        return {"dtype": str(self.dtype).removeprefix("torch."), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._set_dtype(getattr(torch, state["dtype"]))
        self.scaler.load_state_dict(state["scaler"])


@functools.cache
def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for its next tensors; whether that could be said to the system.

    Else glibc, the C library of most Linux systems, returns the large blocks of each step, and the system hands out
    the next step's page by page and wiped. Kept, a small ViT trained 1 and 6 % faster in float32 and 15 and 5 % in
    bfloat16, in two measurements beside other work. See `man mallopt`; elsewhere nothing is done.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no glibc: macOS, Windows, Alpine
        return False
    trim_threshold, mmap_threshold = -1, -3  # the options' numbers in malloc.h
    # Never trimmed; blocks of up to 1 GB, or what an older glibc allows, taken from what is kept.
    return bool(mallopt(trim_threshold, -1) and (mallopt(mmap_threshold, 2**30) or mallopt(mmap_threshold, 2**25)))


def choose_precision(model: nn.Module, images: Tensor) -> Precision:
    """The fastest precision for this model on its device, by a probe of about a second on a few of these images.

    Candidates: bfloat16; on a GPU without bfloat16 units (such as a T4) float16 instead. The probe changes nothing:
    no weight, gradient, running statistic or random state.
    """
    plain = Precision(model)
    fast = Precision(model, _short_dtype(plain.device))
    images, _ = plain.place(images[:PROBE_IMAGES], images[:0])
    best = {plain: float("inf"), fast: float("inf")}
    start = time.perf_counter()
    with evaluating(model):
        for round in range(4):  # the first warms up; taken in turns, so that a busy moment hits both
            for precision in best:
                seconds = _train_step_seconds(model, images, precision)
                best[precision] = min(best[precision], seconds)
            if round and time.perf_counter() - start > PROBE_SECONDS:
                break
    return fast if best[fast] < MARGIN * best[plain] else plain


def _short_dtype(device: torch.device) -> torch.dtype:
    emulated = device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.float16 if emulated else torch.bfloat16


def _train_step_seconds(model: nn.Module, images: Tensor, precision: Precision) -> float:
    """Seconds of one forward and backward pass; gradients are computed and thrown away."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    synchronise(precision.device)
    start = time.perf_counter()
    with precision.autocast():
        loss = model(images).float().square().mean()
    if parameters:
        torch.autograd.grad(loss, parameters, allow_unused=True)
    synchronise(precision.device)
    return time.perf_counter() - start


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).synchronize()


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode for a while: no dropout is drawn, no running mean moves. Each module's mode comes back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
