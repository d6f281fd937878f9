"""Where a run stands: what a checkpoint needs, besides model and optimizer, to go on as if nothing had happened."""

import random
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vit_course.training.tally import History, Metrics, Tally


class Progress:
    """The epoch a run is in and the batches done of it, its sums and history, its best weights, its random state.

    Any iterable that gives the same batches again from the same random state can be taken up in the middle of an
    epoch: by `from_batch` where it has that (`Batches`), else by going through the batches done and dropping them.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.history = History()
        self.best: dict[str, Tensor] | None = None
        self.epoch, self.batch = 1, 0  # the epoch under way, counted from 1, and the batches done of it
        self.batches: Iterable = ()
        self.batches_an_epoch: int | None = None
        self.data_epoch: int | None = None  # the data's own number of the pass under way
        self.start: dict[str, Any] = {}  # random state at the start of the epoch
        self.now: dict[str, Any] | None = None  # set by a checkpoint: random state when it was written
        self.tally = Tally()

    def rest_of(self, batches: Iterable) -> Iterable:
        """The batches of this epoch that are not done yet; random generators are where they were at that point.

        Raises:
            ValueError: an epoch has another number of batches than when the checkpoint was written.
        """
        if self.now is None:
            self._begin(batches)
            return batches
        count = _count(batches)
        if count != self.batches_an_epoch:
            raise ValueError(
                f"the checkpoint was written with {self.batches_an_epoch} batches an epoch, here are {count}: "
                "resume with the same data and batch size"
            )
        self.batches = batches
        set_random_state(self.start)
        if self.data_epoch is not None:
            batches.epoch = self.data_epoch
        if self.batch and hasattr(batches, "from_batch"):
            batches = batches.from_batch(self.batch)
        elif self.batch:
            batches = iter(batches)
            for _ in range(self.batch):
                next(batches)
        set_random_state(self.now)
        self.now = None
        return batches

    def _begin(self, batches: Iterable) -> None:
        """Note all that the next epoch starts from."""
        self.batches, self.batches_an_epoch = batches, _count(batches)
        self.batch, self.tally = 0, Tally(where=f" of epoch {self.epoch}")
        self.data_epoch, self.start = getattr(batches, "epoch", None), random_state()

    def finish_epoch(self, train: Metrics, validation: Metrics | None) -> None:
        """Put the epoch's means into the history, and keep its weights if they are the best so far."""
        weights = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        self.history.append(train, validation)  # after the copy, which takes a moment in which Ctrl-C may come
        if self.history.best_epoch == len(self.history):
            self.best = weights
        self.epoch += 1
        self._begin(self.batches)

    def take_best(self) -> str:
        """Give the model its best weights; returns a sentence that says which those are."""
        if self.best is None:
            return "No epoch was finished: the model has the weights of this moment, and the history is empty."
        self.model.load_state_dict(self.best)
        best, count = self.history.best_epoch, len(self.history)
        epochs = "1 epoch" if count == 1 else f"{count} epochs"
        return f"The model has its best weights, those of epoch {best}; the history holds {epochs}."

    def state_dict(self) -> dict[str, Any]:
        names = ("best", "epoch", "batch", "batches_an_epoch", "data_epoch", "start")
        state = {name: getattr(self, name) for name in names}
        return state | {"now": random_state(), "tally": self.tally.state_dict(), "history": asdict(self.history)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        state = dict(state)
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        self.tally.load_state_dict(state.pop("tally"), device)
        self.history = History(**state.pop("history"))
        for name, value in state.items():
            setattr(self, name, value)


def _count(batches: Iterable) -> int | None:
    return len(batches) if hasattr(batches, "__len__") else None


def random_state() -> dict[str, Any]:
    """The states of Python's, NumPy's and torch's global generators, as `torch.load(weights_only=True)` reads them."""
    kind, keys, *rest = np.random.get_state()
    state = {"torch": torch.get_rng_state(), "python": random.getstate(), "numpy": (kind, keys.tolist(), *rest)}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Set the generators back; a GPU's only where the same kind of GPU is there."""
    torch.set_rng_state(state["torch"])
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    if len(state.get("cuda", ())) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state["cuda"])
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"])
