"""Ways to do the same thing, timed in turn, and the memory that one of them needs."""

import statistics
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vit_course.training.precision import synchronise


@dataclass(frozen=True)
class Rate:
    """Something per second: the median over the rounds, the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, amount: float, seconds: list[float]) -> "Rate":
        """Of rounds that each did `amount` in so many seconds."""
        rates = [amount / one for one in seconds]
        return cls(statistics.median(rates), min(rates), max(rates))


def interleaved(
    ways: Mapping[str, Callable[[], object]], *, rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each way in each round; all ways in turn in every round, so that a slow minute slows them alike.

    Each runs once before it counts: the first call builds kernels and fills caches.

    Raises:
        ValueError: no round.
    """
    if rounds < 1:
        raise ValueError(f"rounds is {rounds}: give 1 or more")
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            synchronise(device)
            start = time.perf_counter()
            way()
            synchronise(device)
            seconds[name].append(time.perf_counter() - start)
    return seconds


class PeakMemory(TorchDispatchMode):
    """A context that adds up the bytes of all tensors made in it and still there; `.peak` is the most at one time.

    The same on every device. What a kernel takes for itself while it computes is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {id(one.untyped_storage()) for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)}
        for one in tree_leaves(result):
            if isinstance(one, Tensor) and id(one.untyped_storage()) not in given | self._known:
                self._add(one.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def peak_memory(way: Callable[[], object]) -> int:
    """Bytes that one call needs at most, on top of what was there before: call it once before, as it may keep some."""
    with PeakMemory() as memory:
        way()
    return memory.peak
