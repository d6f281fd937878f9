"""Which device to compute on, and seeds: the two things every notebook settles first."""

import os
import random
from typing import TypeVar

import numpy as np
import torch

Choice = TypeVar("Choice")


def best_device(wanted: str | torch.device | None = None) -> torch.device:
    """The fastest device here (CUDA, then Apple's MPS, then the CPU), or `wanted` if this machine has it.

    The environment variable `VIT_COURSE_DEVICE` stands in for `wanted` where that is None.

    Raises:
        ValueError: `wanted` is not on this machine; the message names what is.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    wanted = wanted or os.environ.get("VIT_COURSE_DEVICE")
    if not wanted:
        return torch.device(available[0])
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ValueError(f"{wanted!r} is not the name of a device: use one of {', '.join(available)}") from error
    if device.type not in available or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise ValueError(f"device {str(device)!r} is not on this machine: use one of {', '.join(available)}")
    return device


def by_device(*, cpu: Choice, gpu: Choice) -> Choice:
    """`cpu` where the best device is a CPU, else `gpu`: one line that shows both budgets of a notebook.

    >>> epochs = by_device(cpu=3, gpu=30)
    """
    return cpu if best_device().type == "cpu" else gpu


def seed_everything(seed: int = 0) -> None:
    """Seed Python's, NumPy's and torch's global generators (all devices)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
