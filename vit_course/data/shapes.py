"""The embedded dataset: shapes drawn by code, so it needs no network, no licence and no download."""

import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vit_course.data import data_folder
from vit_course.data.dataset import Dataset, Split, channel_statistics
from vit_course.data.files import whole_file
from vit_course.data.outlines import CLASSES
from vit_course.data.scenes import COLOURS, SMALL_BELOW, paint, plan

VERSION = 1  # part of the cache's name: raise it with every change of the pixels or captions
COUNTS = {"train": 8_000, "test": 2_000}
SEEDS = {"train": 0, "test": 1}
CHUNK_PIXELS = 2**18  # painted at a time: the working memory is a few MB at any size
SMALLEST = 16  # pixels; below it a star and a heart are the same blob


@dataclass(frozen=True, eq=False)
class Drawing:
    """Pictures and what is in them. Column 0 is the first-named object, 1 the second; -1 or NaN where there is none.

    images: uint8 (N, 3, S, S).  shapes, colours: int64 (N, 2), positions in `CLASSES` and in `COLOURS`.
    centres: float32 (N, 2, 2), x rightward and y downward, and radii: float32 (N, 2), in units of the picture's side.
    """

    images: Tensor
    shapes: Tensor
    colours: Tensor
    centres: Tensor
    radii: Tensor

    @property
    def labels(self) -> Tensor:
        """The class of the first-named object: int64 (N,)."""
        return self.shapes[:, 0]

    @property
    def captions(self) -> list[str]:
        """One sentence a picture, such as "a small red star above a blue ring"."""
        columns = (self.shapes, self.colours, self.centres, self.radii)
        return [_caption(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def contains(self, pairs: Iterable[tuple[str, str]]) -> Tensor:
        """Whether each picture shows one of these (colour, shape) pairs, such as ("red", "star"): bool (N,)."""
        found = _pair_table(pairs)[self.shapes.clamp(min=0), self.colours.clamp(min=0)]
        return (found & (self.shapes >= 0)).any(dim=1)


def draw(
    count: int, size: int = 32, seed: int = 0, captions: bool = False, exclude: Iterable[tuple[str, str]] = ()
) -> Drawing:
    """Draw `count` pictures of `size` × `size` pixels, with as many of each class as of any other.

    Without captions: one bright object on a darker striped ground with soft blobs; in half of the pictures a bar
    crosses it. With captions: one or two objects, small or large, and no bar, so that the sentence is plainly true.
    The seed fixes the scenes at any size: 64 pixels show the same scenes as 32, only finer.

    Args:
        exclude: (colour, shape) pairs never to draw, such as `[("red", "star")]`: hold them out here, and find them
            in another drawing with `contains`.

    Raises:
        ValueError: a size below 16, a count below 1, an unknown pair, or a shape left without a colour.
    """
    if size < SMALLEST:
        raise ValueError(f"size is {size}: shapes are drawn at {SMALLEST} pixels or more; use 32 or 64")
    if count < 1:
        raise ValueError(f"count is {count}: draw at least 1 picture")
    excluded = _pair_table(exclude)
    bare = excluded.all(dim=1).nonzero().flatten().tolist()
    if bare:
        raise ValueError(
            f"exclude leaves no colour for the {CLASSES[bare[0]]}: leave it at least one of {len(COLOURS)}"
        )
    generator = torch.Generator().manual_seed(seed)
    images = torch.empty(count, 3, size, size, dtype=torch.uint8)
    chunk = max(1, CHUNK_PIXELS // size**2)  # pictures at a time
    with _one_thread():
        scenes = plan(count, captions, excluded, generator)
        for start in range(0, count, chunk):
            part = {name: column[start : start + chunk] for name, column in scenes.items()}
            noise = torch.rand(len(part["shapes"]), 3, size, size, generator=generator)
            images[start : start + chunk] = paint(part, size, noise)
    return Drawing(images, *(scenes[name] for name in ("shapes", "colours", "centres", "radii")))


def load(size: int = 32, captions: bool = False) -> Dataset:
    """Shapes as a dataset: 8,000 training and 2,000 test images, drawn from different seeds.

    The first call draws (seconds) and keeps the result in `data_folder()`, uncompressed, because noise hardly
    compresses: 31 MB at 32 pixels, 123 MB at 64. Where that folder cannot be written, each call draws anew.

    Raises:
        ValueError: a size below 16.
    """
    path = data_folder() / f"shapes-v{VERSION}-{size}{'-captions' if captions else ''}.npz"
    columns = _read(path, size, captions)
    if columns is None:
        columns = {}
        for which, count in COUNTS.items():
            drawing = draw(count, size, SEEDS[which], captions)
            columns[f"{which}_images"], columns[f"{which}_labels"] = drawing.images.numpy(), drawing.labels.numpy()
            if captions:
                columns[f"{which}_captions"] = np.array(drawing.captions)
        with suppress(OSError), whole_file(path) as temporary:  # a folder that cannot be written, a full disk
            np.savez(temporary, **columns)
    images = {which: torch.from_numpy(columns[f"{which}_images"]) for which in COUNTS}
    mean, std = channel_statistics(images["train"])
    splits = {
        which: Split(
            images[which],
            torch.from_numpy(columns[f"{which}_labels"]),
            mean,
            std,
            columns[f"{which}_captions"].tolist() if captions else None,
        )
        for which in COUNTS
    }
    return Dataset("shapes", list(CLASSES), **splits)


def _read(path: Path, size: int, captions: bool) -> dict[str, np.ndarray] | None:
    """The cached columns, or None where there are none or they are damaged (a zip file has a checksum a column)."""
    try:
        with np.load(path) as file:
            columns = {name: file[name] for name in file.files}
        for which, count in COUNTS.items():
            if columns[f"{which}_images"].shape != (count, 3, size, size) or len(columns[f"{which}_labels"]) != count:
                raise ValueError(f"the {which} columns have other shapes than expected")
            if captions and len(columns[f"{which}_captions"]) != count:
                raise ValueError(f"{which} has not {count} captions")
        return columns
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        print(f"{path.name} in the data folder is damaged: drawing it again.")
        return None


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, then as many as before: the steps are small, and on a busy machine threads that wait for each other
    were measured at 12 s where one alone takes 1.6 s."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _caption(shapes: list[int], colours: list[int], centres: list[list[float]], radii: list[float]) -> str:
    names, size = list(COLOURS), "small" if radii[0] < SMALL_BELOW else "large"
    text = f"a {size} {names[colours[0]]} {CLASSES[shapes[0]]}"
    if shapes[1] < 0:
        return text
    (x0, y0), (x1, y1) = centres
    if abs(x0 - x1) > abs(y0 - y1):
        relation = "left of" if x0 < x1 else "right of"
    else:
        relation = "above" if y0 < y1 else "below"
    other = names[colours[1]]
    return f"{text} {relation} {'an' if other[0] in 'aeiou' else 'a'} {other} {CLASSES[shapes[1]]}"


def _pair_table(pairs: Iterable[tuple[str, str]]) -> Tensor:
    """(colour, shape) pairs as a table: bool (shapes, colours)."""
    table = torch.zeros(len(CLASSES), len(COLOURS), dtype=torch.bool)
    for colour, shape in pairs:
        if colour not in COLOURS or shape not in CLASSES:
            raise ValueError(
                f"there is no {colour!r} {shape!r} here: give (colour, shape), a colour of {', '.join(COLOURS)} "
                f"and a shape of {', '.join(CLASSES)}"
            )
        table[CLASSES.index(shape), list(COLOURS).index(colour)] = True
    return table
