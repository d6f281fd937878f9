"""Folders of image files, one folder a class, to and from tensors."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from vit_course.data.dataset import Dataset, Split, channel_statistics
from vit_course.data.images import read_images

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
TEST_FOLDERS = ("test", "val", "valid", "validation")  # the first of these is the test split
NO_FOLDER_NAME = re.compile(r'[<>:"/\\|?*\x00-\x1f]|^\.|[. ]$|^$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)


def load(root: Path, size: int | None = None) -> Dataset:
    """Read `root/<class>/*.png` or `root/train/<class>/*.png` with `root/test/<class>/*.png` (.jpg and others as well).

    Without a train folder, a fifth of each class becomes the test split (seeded: the same one each time). With a
    train folder, the test split is `test`, else `val`, `valid` or `validation`. Classes are the folders' names, sorted.
    Images come in the order of their file names, on every system: numbered files keep their numbers' order.

    Everything becomes RGB: transparency over white, 16 bits down to 8, photos turned upright as their EXIF says.
    Images become `size`×`size`, or are left alone if `size` is None; then, if there are several sizes, all take the
    commonest, with a line that says so. They are scaled and cropped around the middle, which keeps proportions.
    Hidden files are ignored; files that are no images are skipped with a line.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: no class folders, a class without images, train and test with other classes, a file that claims
            to be an image and cannot be read.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(
            f"no folder {str(root)!r} here ({root.absolute()}): give a folder that holds one folder of images a class, "
            'or one of the names "shapes" and "cifar10"'
        )
    if size is not None and size < 1:
        raise ValueError(f"size is {size}: give the side of the images in pixels, such as 64")
    train_root, test_root = _split_folders(root)
    skipped: list[str] = []
    classes, train_files, train_labels = _class_files(train_root, skipped)
    test_files, test_labels = [], []
    if test_root is not None:
        test_classes, test_files, test_labels = _class_files(test_root, skipped)
        if classes != test_classes:
            only = [
                f"{name!r} only in {folder.name}"
                for folder, name in _differences((train_root, classes), (test_root, test_classes))
            ]
            raise ValueError(
                f"{root}: train and test have other classes ({', '.join(only)}): give both the same folders"
            )
    if skipped:
        print(f"{root}: skipped {len(skipped)} files that are no images or in no class, such as {skipped[0]}")

    images = torch.from_numpy(read_images(train_files + test_files, size=size, name=str(root)))
    cut = len(train_files)
    anything = (0.0,) * 3
    train = Split(images[:cut], torch.tensor(train_labels), anything, anything)
    if test_root is not None:
        test = Split(images[cut:], torch.tensor(test_labels), anything, anything)
    else:
        counts = train.labels.bincount(minlength=len(classes))
        if counts.min() < 3:
            raise ValueError(
                f"{root}: class {classes[counts.argmin()]!r} has {counts.min()} images: at least 3 are needed, to hold "
                "some back for testing; add images, or make the folders train/ and test/"
            )
        train, test = train.split(held_out=0.2, seed=0)
    mean, std = channel_statistics(train.images)
    return Dataset(root.name, classes, replace(train, mean=mean, std=std), replace(test, mean=mean, std=std))


def write(split: Split, classes: Sequence[str], root: Path) -> None:
    """Write every image as PNG to `root/<class>/00000.png`, numbered by its place in `split`: `load` reads them back.

    For a whole dataset: `write(ds.train, ds.classes, root / "train")`, then the same with test.
    Writing twice gives the same files. A class that has no image gets no folder.

    Raises:
        ValueError: `root` holds other files already, a class name that cannot be a folder's, or not 1 or 3 channels.
    """
    root = Path(root)
    channels = split.images.shape[1]
    if channels not in (1, 3):
        raise ValueError(f"images have {channels} channels: PNG files take 1 (grey) or 3 (RGB)")
    if len({name.casefold() for name in classes}) < len(classes):
        raise ValueError(
            f"classes {list(classes)}: two names are the same, or differ only in capitals, as folders cannot"
        )
    for name in classes:
        if NO_FOLDER_NAME.search(name):
            raise ValueError(f"class {name!r} cannot be the name of a folder on every system: rename it")
    digits = max(5, len(str(len(split) - 1)))
    paths = [root / classes[label] / f"{i:0{digits}d}.png" for i, label in enumerate(split.labels.tolist())]
    others = {path for _, path in _files(root)} - set(paths) if root.is_dir() else ()
    if others:
        raise ValueError(f"{root} holds other files already, such as {min(others)}: give a new folder")
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    pixels = split.images.permute(0, 2, 3, 1).cpu().numpy()  # (N, H, W, C), as Pillow wants them

    for image, path in zip(pixels, paths, strict=True):
        Image.fromarray(image if channels == 3 else image[:, :, 0]).save(path, compress_level=1)  # lossless, and quick


def _split_folders(root: Path) -> tuple[Path, Path | None]:
    """(folder of the training classes, folder of the test classes or None)."""
    inside = {path.name: path for path in root.iterdir() if path.is_dir()}
    splits = [
        name for name in ("train", *TEST_FOLDERS) if name in inside and any(map(Path.is_dir, inside[name].iterdir()))
    ]
    if not splits:
        return root, None
    if "train" not in splits or len(splits) == 1:
        raise ValueError(
            f"{root} has {splits[0]}/ and not the other split: add {'test' if 'train' in splits else 'train'}/, "
            f"or load {root / splits[0]} and a fifth of each class is held back for testing"
        )
    if len(splits) > 2:
        print(f"{root}: {', '.join(splits[2:])} not read; ds.train.split() makes a validation split")
    return inside["train"], inside[splits[1]]


def _files(root: Path) -> list[tuple[str, Path]]:
    """Every file under `root` that is not hidden: (path below `root` with forward slashes, path), sorted."""
    found = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith((".", "__MACOSX"))]
        for name in names:
            if not name.startswith(".") and name.lower() not in ("thumbs.db", "desktop.ini"):
                path = Path(folder, name)
                found.append((path.relative_to(root).as_posix(), path))
    return sorted(found)


def _class_files(root: Path, skipped: list[str]) -> tuple[list[str], list[Path], list[int]]:
    """(classes, files, labels) of a folder of class folders; what is no image is added to `skipped`."""
    folders = [path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith((".", "__MACOSX"))]
    if not folders:
        raise ValueError(f"{root} has no class folders: put the images of each class in a folder named after it")
    classes = sorted(folders)
    label_of = {name: label for label, name in enumerate(classes)}
    images = []
    for below, path in _files(root):
        name, _, inside = below.partition("/")
        if inside and path.suffix.lower() in SUFFIXES:
            images.append((inside, label_of[name], path))
        else:
            skipped.append(below)
    images.sort(key=lambda image: image[:2])  # by file name, then class: numbered files keep their order
    empty = sorted(set(range(len(classes))) - {label for _, label, _ in images})
    if empty:
        raise ValueError(
            f"{root / classes[empty[0]]} has no images: put some there ({', '.join(SUFFIXES)}) or delete the folder"
        )
    return classes, [path for _, _, path in images], [label for _, label, _ in images]


def _differences(one: tuple[Path, list[str]], two: tuple[Path, list[str]]) -> list[tuple[Path, str]]:
    return [(a[0], name) for a, b in ((one, two), (two, one)) for name in a[1] if name not in b[1]]
