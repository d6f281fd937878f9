"""Weights and whole runs in files: written whole or not at all, read without running any code in them."""

import os
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vit_course.data.files import whole_file
from vit_course.training import processes


class Stateful(Protocol):
    """A model, an optimizer, a scheduler: whatever can say its state and take it back."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> Any: ...


def save(model: nn.Module, path: str | os.PathLike) -> None:
    """Write a model's weights and buffers as safetensors, whole or not at all; from any device, read on any.

    Raises:
        ValueError: a name that does not end in .safetensors.
    """
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"{path} does not end in .safetensors: the form in which weights are written here")
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    with whole_file(path) as temporary:
        save_file(tensors, temporary)


def load(model: nn.Module, path: str | os.PathLike) -> nn.Module:
    """Give `model` the weights in `path`, a .safetensors file or a state dict of `torch.save`; returns the model.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, holds code, or is of another architecture (which keys, which shapes).
    """
    state = _read(Path(path))
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no state dict: was it written by `save`? A whole run is read by `resume`")
    check_fit(model, state, path)
    model.load_state_dict(state)
    return model


def check_fit(model: nn.Module, state: Mapping[str, Tensor], path: str | os.PathLike) -> None:
    """Raises ValueError, with the keys and shapes that differ, unless `state` is of the model's architecture."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    problems = {
        "only in the model": [name for name in wanted if name not in found],
        "only in the file": [name for name in found if name not in wanted],
        "of another shape": [
            f"{name} (model {shape}, file {found[name]})"
            for name, shape in wanted.items()
            if found.get(name, shape) != shape
        ],
    }
    said = [f"{_some(names)} {where}" for where, names in problems.items() if names]
    if said:
        raise ValueError(
            f"{path} is of another architecture than this {type(model).__name__}: {'; '.join(said)}. "
            "Build the model with the arguments it was saved with"
        )


def _some(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _read(path: Path) -> Any:
    """Whatever is in `path`, on the CPU, as plain data."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: check the path, or train and `save` first")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        if not zipfile.is_zipfile(path):  # what `torch.save` writes is a zip archive
            raise ValueError(f"{path} is damaged, or no checkpoint: fetch or write it again") from error
        raise ValueError(
            f"{path} holds more than weights, perhaps code that would run on loading: it is not read. "
            "Ask for a .safetensors file, or a state dict"
        ) from error
    except (safetensors.SafetensorError, RuntimeError, EOFError, ValueError, KeyError, IndexError) as error:
        raise ValueError(f"{path} is damaged or cut off ({error}): fetch or write it again") from error


def save_run(path: str | os.PathLike, parts: Mapping[str, Stateful]) -> None:
    """Write the states of all parts of a run, such as {"model": model, "optimizer": optimizer}, into one file."""
    state = {name: part.state_dict() for name, part in parts.items()}
    with whole_file(path) as temporary:
        torch.save(state, temporary)


def resume(path: str | os.PathLike, parts: Mapping[str, Stateful]) -> None:
    """Give the parts of a run the states in `path`, as `save_run` wrote them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, or is of a run with other parts, or of another model or optimizer.
    """
    state = _read(Path(path))
    if not isinstance(state, dict) or set(state) != set(parts):
        found = ", ".join(sorted(state)) if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"{path} holds {found}, but this run has {', '.join(sorted(parts))}: start it as it was")
    for name, part in parts.items():
        if isinstance(part, nn.Module):
            check_fit(part, state[name], path)
    for name, part in parts.items():
        try:
            part.load_state_dict(state[name])
        except (ValueError, KeyError, RuntimeError) as error:
            raise ValueError(f"the {name} in {path} is not of this run's kind ({error}): start it as it was") from error


class Saver:
    """Writes a run at the moments that `fit` asks for: where there is a path, and of several processes in the first."""

    def __init__(self, path: str | os.PathLike | None, parts: Mapping[str, Stateful], seconds: float) -> None:
        self.path, self.parts, self.seconds = path, parts, seconds
        self.last = time.monotonic()

    def save(self) -> None:
        if self.path is not None and processes.rank() == 0:
            save_run(self.path, self.parts)
            self.last = time.monotonic()

    def perhaps_save(self) -> None:
        """Save if the last time is `seconds` ago. The moment changes no result, only from where a run goes on."""
        if self.path is not None and time.monotonic() - self.last >= self.seconds:
            self.save()
