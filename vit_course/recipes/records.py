"""Records of runs: one JSON file a recipe, which its command writes and reproduces."""

import json
import os
import platform
import statistics
import subprocess
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vit_course.data.files import whole_file
from vit_course.interpret.metrics import Predictions
from vit_course.recipes.recipe import MODELS, AdamW, Muon, Recipe

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "recorded"
ROOMS = [f"vit_course/{room}" for room in ("data", "models", "training", "recipes", "device.py")]
OTHERS = {  # records that no recipe makes, and what python runs to make them
    "bench": "-m vit_course bench --out data/recorded/bench",
    "clip-shapes": "tests/measure_clip.py --record",
    "siglip-batch": "tests/measure_siglip.py --record",
}
KINDS = {kind.__name__: kind for kind in (*MODELS, Muon, AdamW)}  # what a record calls a recipe's parts
GENERATION = {"family": "cpu family", "model": "model"}  # what they are called here and in /proc/cpuinfo
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # of /proc/cpuinfo: what decides a CPU's speed here


def record_of(name: str, folder: str | os.PathLike | None = None) -> dict[str, Any]:
    """What `data/recorded/NAME.json` holds: "recipe", "command", "summary", and "runs", one a seed.

    Each run has "seed", "curve" (lists, one value an epoch), "test_loss", "test_accuracy" and
    "test_accuracy_mirrored" (0 … 1), "seconds" and "cpu_seconds" of training, "machine", "versions" and "commit".

    Raises:
        FileNotFoundError: there is no record of that recipe.
    """
    path = Path(folder or FOLDER) / f"{name}.json"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) or "none"
        maker = OTHERS.get(name, f"-m vit_course train {name} --record")
        raise FileNotFoundError(f"there is no record of {name!r}; recorded: {there}. `python {maker}` makes one")
    return json.loads(path.read_text(encoding="utf-8"))


def weights_of(name: str, folder: str | os.PathLike | None = None) -> Path:
    """The file with the weights that come with the course, of the recipe's run with seed 0; for `load_pretrained`.

    >>> model, preprocess = load_pretrained(weights_of("vgg-10min"))

    Raises:
        FileNotFoundError: none come with that recipe.
    """
    return _shipped(name, ".safetensors", folder)


def predictions_of(name: str, folder: str | os.PathLike | None = None) -> Predictions:
    """What those weights say of every test image of the recipe's dataset: their logits, rounded to float16.

    So the course can look at real results where the images themselves are not.

    Raises:
        FileNotFoundError: none come with that recipe.
    """
    with np.load(_shipped(name, ".npz", folder)) as arrays:
        return Predictions(torch.from_numpy(arrays["logits"]).float(), torch.from_numpy(arrays["labels"]).long())


def _shipped(name: str, suffix: str, folder: str | os.PathLike | None) -> Path:
    path = (Path(folder or FOLDER) / name).with_suffix(suffix)
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in path.parent.glob(f"*{suffix}"))) or "none"
        raise FileNotFoundError(
            f"no weights of {name!r} come with the course; there are those of: {there}. "
            f"`python -m vit_course train {name} --ship` trains them and puts them there"
        )
    return path


def runs_so_far(recipe: Recipe, folder: str | os.PathLike | None = None) -> list[dict[str, Any]]:
    """The runs in the recipe's record, by seed; none where there is no record.

    Raises:
        ValueError: the record is of a recipe of this name that said something else.
    """
    path = Path(folder or FOLDER) / f"{recipe.name}.json"
    if not path.is_file():
        return []
    record = record_of(recipe.name, folder)
    now, then = _essential(json.loads(json.dumps(recipe.as_dict()))), _essential(record["recipe"])
    if now != then:
        changed = ", ".join(sorted(key for key in now | then if now.get(key) != then.get(key)))
        raise ValueError(
            f"the record of {recipe.name!r} is of another recipe ({changed} differ): delete data/recorded/"
            f"{recipe.name}.json to record this one, or give this one another name"
        )
    return record["runs"]


def _essential(recipe: dict[str, Any]) -> dict[str, Any]:
    """What decides a run's result: not the words about it, nor how many seeds to take.

    A field that a part of the recipe has got since counts with its default: so the run was made.
    """
    parts = {key: value for key, value in recipe.items() if key not in ("about", "seeds")}
    for key in ("model", "optimizer"):
        own = {f.name: f.default for f in fields(KINDS[parts[key]["kind"]]) if f.default is not MISSING}
        parts[key] = json.loads(json.dumps(own)) | parts[key]
    return parts


def add(recipe: Recipe, run: dict[str, Any], folder: str | os.PathLike | None = None) -> Path:
    """Put a run into the recipe's record, in place of one with the same seed; the file is written whole.

    Raises:
        ValueError: as `runs_so_far`.
    """
    runs = [old for old in runs_so_far(recipe, folder) if old["seed"] != run["seed"]] + [run]
    runs.sort(key=lambda one: one["seed"])
    record = {
        "recipe": recipe.as_dict(),
        "command": f"python -m vit_course train {recipe.name} --record --seeds {len(runs)}",
        "summary": summary(runs),
        "runs": runs,
    }
    path = Path(folder or FOLDER) / f"{recipe.name}.json"
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Over the seeds: mean and sd of accuracies and seconds; the sd of a single run is null, for it has no spread."""
    result: dict[str, Any] = {"seeds": len(runs)}
    for name in ("test_accuracy", "test_accuracy_mirrored", "seconds", "cpu_seconds"):
        values = [run[name] for run in runs]
        sd = statistics.stdev(values) if len(values) > 1 else None
        result[name] = {"mean": statistics.mean(values), "sd": sd}
    return result


def machine(device: torch.device) -> dict[str, Any]:
    """What decides how long a run takes; nothing that names the machine."""
    found = {
        "cpu": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
        lines = {key.strip(): value.strip() for key, value in lines.items()}
        # A rented machine often hides which model it is; its generation decides the speed, and this tells it.
        generation = "".join(f", {key} {lines[full]}" for key, full in GENERATION.items() if full in lines)
        found["cpu"] = lines.get("model name", found["cpu"]) + generation
        found["features"] = [flag for flag in FLAGS if flag in lines.get("flags", "").split()]
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def versions() -> dict[str, str]:
    """Of Python and torch, without the build's own suffix."""
    return {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]}


def commit() -> str | None:
    """The commit checked out, with "+changes" where the code that trains has been edited since; None without git."""
    try:
        git = ["git", "-C", str(ROOT)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        edited = subprocess.run(
            [*git, "status", "--porcelain", "--", *ROOMS], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if edited.strip() else "")
