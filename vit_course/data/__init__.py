"""Where images come from. `load(name)` is the one door; the sources behind it know no model."""

import difflib
import os
from pathlib import Path

from vit_course.data.dataset import Dataset, Split

__all__ = ["Dataset", "Split", "data_folder", "load"]


def data_folder() -> Path:
    """Where datasets are kept: `VIT_COURSE_DATA` if set, else `data/` beside the package."""
    return Path(os.environ.get("VIT_COURSE_DATA") or Path(__file__).parents[2] / "data").expanduser()


def load(
    name: str | os.PathLike,
    *,
    size: int | None = None,
    captions: bool = False,
    fallback: str | None = None,
) -> Dataset:
    """Load a dataset by name: "shapes", "cifar10", or a folder of class folders.

    Args:
        size: side of the images in pixels. Shapes are drawn at it (32 unless told); a folder's images are resized
            to it; CIFAR-10 has only 32.
        captions: Shapes alone: scenes of one or two objects with a sentence each in `train.captions`.
        fallback: what to load instead, with a word about it, when `name` cannot be had here and no quick host has it:
            `load("cifar10", fallback="shapes")` never stops a notebook, nor holds it up for an hour.

    Raises:
        FileNotFoundError: no such folder, or CIFAR-10 neither here nor to be downloaded; the message says the ways on.
        ValueError: an option that this source does not have, or data that is not what it should be.
    """
    if size is not None and not isinstance(size, int):
        raise ValueError(f"size is {size!r}: give the side of square images in pixels, such as 64")
    if captions and name != "shapes":
        raise ValueError(f'captions=True with {str(name)!r}: only "shapes" has captions')
    try:
        if name == "shapes":
            from vit_course.data import shapes

            return shapes.load(size=size or 32, captions=captions)
        if name == "cifar10":
            if size not in (None, 32):
                raise ValueError(f'size={size} with "cifar10": its images are 32×32; leave size out')
            from vit_course.data import cifar10

            return cifar10.load(patient=fallback is None)
        from vit_course.data import folders

        near = difflib.get_close_matches(str(name).lower(), ("shapes", "cifar10"), n=1, cutoff=0.7)
        if near and not Path(name).exists():
            raise FileNotFoundError(f"no dataset and no folder is called {str(name)!r}: did you mean {near[0]!r}?")
        return folders.load(Path(name), size=size)
    except FileNotFoundError as error:
        if fallback is None:
            raise
        print(f"{error}\nGoing on with {fallback!r}.")
        return load(fallback)
