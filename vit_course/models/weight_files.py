"""Files of weights and configurations, on this machine or fetched from the Hugging Face hub. No code in them is run."""

import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# What is fetched of a model on the hub.
FILES = [
    "config.json",
    "preprocessor_config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
]


def read_json(path: Path) -> dict[str, Any]:
    """A configuration.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: weights need their {path.name} beside them")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged or cut off ({error}): fetch it again") from error


def metadata_of(path: Path) -> dict[str, str]:
    """What a safetensors file says of itself; nothing for another file.

    Raises:
        ValueError: it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or cut off ({error}): fetch or write it again") from error


def read_folder(folder: Path) -> dict[str, Tensor]:
    """The weights in a folder: one file, or several with a list of them.

    Raises:
        FileNotFoundError, ValueError: as in `read_weights`.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        parts = [read_weights(folder / name) for name in sorted(set(read_json(index)["weight_map"].values()))]
        return {name: tensor for part in parts for name, tensor in part.items()}
    for name in ("model.safetensors", "pytorch_model.bin"):
        if (folder / name).is_file():
            return read_weights(folder / name)
    raise FileNotFoundError(f"there are no weights in {folder}: model.safetensors is looked for")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in one file, on the CPU.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is damaged, or holds more than weights.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: fetch the whole folder again")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no weights make a reader fail in any way, a KeyError included
        raise ValueError(
            f"{path} is damaged, cut off, or holds more than weights: fetch it again, or another"
        ) from error


def download(name: str) -> Path:
    """The folder of a hub id on this machine; what is not there yet is fetched, with a bar that says how far it is.

    Raises:
        FileNotFoundError: no such model, no network, or a name that is no hub id.
    """
    from huggingface_hub import errors, snapshot_download

    if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name):
        raise FileNotFoundError(f"there is no file or folder {name!r}, and a hub id has the form owner/name")
    offline = bool(os.environ.get("VIT_COURSE_OFFLINE"))
    try:
        folder = Path(snapshot_download(name, allow_patterns=FILES, local_files_only=offline))
        if not any(folder.glob("*.safetensors")):  # some older models, such as OpenAI's CLIP ViT-B/32
            folder = Path(snapshot_download(name, allow_patterns=["pytorch_model.bin"], local_files_only=offline))
        return folder
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no model {name!r} on the hub, or it is not public: check the name"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.HfHubHTTPError, OSError) as error:
        first, *_ = str(error).splitlines() or ["no answer"]
        why = "VIT_COURSE_OFFLINE is set" if offline else f"it could not be fetched ({first})"
        raise FileNotFoundError(
            f"{name!r} is not on this machine, and {why}: go online once, or name a folder"
        ) from error
