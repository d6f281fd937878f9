"""`python -m vit_course doctor`: what is here, what is missing, and for each problem the remedy.

Imports nothing that is not in Python's own library until it is asked, because it also runs where nothing is installed.
"""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
TO_OPEN = ("jupyterlab", "nbval")  # what Colab and Kaggle bring in a form of their own
OK, NOTE, PROBLEM = "ok", "note", "problem"


def requirements() -> Iterator[tuple[str, str, str | None]]:
    """(package, its range, the version installed or None) for each line of requirements.txt."""
    for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line:
            name, _, least = line.partition(">=")
            try:
                version = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                version = None
            yield name, f">={least}", version


def install_missing() -> None:
    """Install what the notebooks import and this Python lacks, and nothing else: never torch, never a newer version.

    Raises:
        RuntimeError: torch is missing, or pip failed; the message says what to do.
    """
    missing = [name + least for name, least, version in requirements() if version is None and name not in TO_OPEN]
    if not missing:
        return
    if torch := [name for name in missing if name.startswith("torch>") or name.startswith("torchvision>")]:
        raise RuntimeError(
            f"{' and '.join(torch)} missing: install PyTorch first, as https://pytorch.org/get-started says"
        )
    print(f"Installing {', '.join(missing)} …")
    if subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *missing]).returncode:
        raise RuntimeError(f"pip could not install {', '.join(missing)}: is this machine online?")
    importlib.invalidate_caches()


def doctor() -> int:
    """Print one table of versions, device, memory and data; returns the number of problems."""
    rows = [*_versions(), *_machine(), *_data()]
    width = max(len(name) for name, *_ in rows)
    found = max(len(what) for _, what, *_ in rows)
    for name, what, state, remedy in rows:
        sign = {OK: " ", NOTE: "·", PROBLEM: "✗"}[state]
        print(f"{sign} {name:<{width}}  {what:<{found if remedy else 0}}{'  → ' + remedy if remedy else ''}")
    problems = sum(state == PROBLEM for *_, state, _ in rows)
    print(f"\n{problems or 'No'} problem{'' if problems == 1 else 's'}.")
    return problems


Row = tuple[str, str, str, str]  # name, what was found, state, remedy


def _versions() -> Iterator[Row]:
    from packaging.version import Version

    python = platform.python_version()
    good = sys.version_info >= (3, 10)
    yield "Python", python, OK if good else PROBLEM, "" if good else "install Python 3.10 or newer"
    for name, least, version in requirements():
        if version is None:
            yield name, "missing", PROBLEM, f'python -m pip install "{name}{least}"'
        elif Version(version) < Version(least[2:]):
            yield name, version, PROBLEM, f'{least} needed: python -m pip install --upgrade "{name}{least}"'
        else:
            yield name, version, OK, ""


def _machine() -> Iterator[Row]:
    try:
        import psutil  # comes with JupyterLab's kernel

        memory = psutil.virtual_memory()
        free = memory.available / 2**30
        what = f"{free:.1f} of {memory.total / 2**30:.1f} GiB free"
        yield "memory", what, OK if free > 2 else PROBLEM, "" if free > 2 else "2 GiB are needed: close other programs"
    except ImportError:
        yield "memory", "not known", NOTE, "python -m pip install psutil"
    try:
        import torch
        import torchvision  # noqa: F401 (a wheel that does not fit torch fails here)

        from vit_course.device import best_device
    except Exception as error:
        first = str(error).splitlines()[0][:80]
        yield "torch", f"does not import: {first}", PROBLEM, "reinstall torch and torchvision together, same release"
        return
    try:
        device = best_device()
    except ValueError as error:
        yield "device", os.environ.get("VIT_COURSE_DEVICE", "?"), PROBLEM, f"VIT_COURSE_DEVICE: {error}"
        return
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        yield "device", f"cuda: {name}, {torch.cuda.mem_get_info(device)[1] / 2**30:.0f} GiB", OK, ""
    else:
        kind = torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else "Apple GPU"
        yield "device", f"{device.type}: {kind}, {torch.get_num_threads()} threads", OK, ""


def _data() -> Iterator[Row]:
    from vit_course.data import cifar10, data_folder

    folder = data_folder()
    parent = next(p for p in (folder, *folder.resolve().parents) if p.exists())
    writable = os.access(parent, os.W_OK)
    remedy = "" if writable else "not writable: set VIT_COURSE_DATA to a folder that is"
    yield "data folder", str(folder), OK if writable else PROBLEM, remedy
    drawn = sorted(folder.glob("shapes*.npz"))
    yield "shapes", f"{len(drawn)} drawn" if drawn else "drawn on first use", OK, ""
    try:
        yield "cifar10", cifar10.describe(), OK, ""
    except ValueError as error:
        yield "cifar10", "damaged", PROBLEM, str(error)
