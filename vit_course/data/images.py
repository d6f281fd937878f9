"""Image files of any kind to one array of RGB pixels."""

import contextlib
import io
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

MAX_BYTES = 8 * 2**30  # of pixels; beyond it, photos were surely meant to be resized
THREADS_FROM = 128 * 128  # pixels. Smaller images decode in less time than threads take to hand over the lock:
# 32×32 PNG 10,200 images/s in one thread and 4,900 in two; 1000×750 JPEG 346 and 552 (two cores)


def read_images(files: Sequence[Path | bytes], size: int | None = None, name: str = "images") -> np.ndarray:
    """Decode image files, by path or by content, to uint8 (N, 3, H, W); see `folders.load` for sizes and modes.

    Raises:
        ValueError: a file that cannot be read, by name; more pixels than memory is likely to hold.
    """
    threads = min(8, os.cpu_count() or 1) if math.prod(upright_size(files[0])) >= THREADS_FROM else 1
    wanted = (size, size) if size else _commonest(files, threads, name)
    needed = len(files) * 3 * math.prod(wanted)
    if needed > MAX_BYTES:
        raise ValueError(
            f"{name}: {len(files):,} images of {wanted[0]}×{wanted[1]} are {needed / 2**30:.0f} GiB in memory: "
            "give a smaller size, such as size=224"
        )
    out = np.empty((len(files), 3, wanted[1], wanted[0]), np.uint8)

    def place(index: int) -> None:
        out[index] = decode(files[index], wanted).transpose(2, 0, 1)

    _map(place, range(len(files)), threads)
    return out


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow image as RGB: turned upright by its EXIF tag, transparency over white, 16 bits scaled to 8.

    Raises:
        ValueError: 32-bit pixels, whose range is anyone's guess.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if image.mode == "F" or image.mode.startswith("I"):  # Pillow's own conversion would cut 16 bits off at 255
        pixels = np.asarray(image)
        if image.mode == "F" or pixels.min() < 0 or pixels.max() > 65535:
            raise ValueError(f"pixels of mode {image.mode!r} have no agreed range; save it with 8 or 16 bits")
        image = Image.fromarray(np.round(pixels / 257).astype(np.uint8))  # 65535 / 257 = 255
    return image.convert("RGB")


def upright_size(file: Path | bytes) -> tuple[int, int]:
    """(width, height) as seen, after the turn that EXIF asks for. Reads the head of the file alone."""
    with _open(file) as image:
        quarter_turn = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return image.size[::-1] if quarter_turn else image.size


def decode(file: Path | bytes, wanted: tuple[int, int]) -> np.ndarray:
    """Pixels uint8 (H, W, 3) of a file as RGB, scaled and cropped to `wanted` (width, height)."""
    with _open(file) as image:
        image.draft(None, (2 * max(wanted), 2 * max(wanted)))  # a large JPEG is decoded at a fraction of its size
        image = to_rgb(image)
        if image.size != wanted:
            image = ImageOps.fit(image, wanted, Image.Resampling.BICUBIC)
        return np.asarray(image)


def _commonest(files: Sequence[Path | bytes], threads: int, name: str) -> tuple[int, int]:
    """The commonest (width, height); of several, the smallest, which invents no pixels. Says so if there are others."""
    sizes = Counter(_map(upright_size, files, threads))
    wanted = min(sizes, key=lambda found: (-sizes[found], math.prod(found), found))
    if len(sizes) > 1:
        print(
            f"{name}: {len(files) - sizes[wanted]:,} of {len(files):,} images have another size; "
            f"scaled and cropped around the middle to {wanted[0]}×{wanted[1]}"
        )
    return wanted


@contextlib.contextmanager
def _open(file: Path | bytes) -> Iterator[Image.Image]:
    """`Image.open`, with one kind of error that names the file."""
    try:
        with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
            yield image
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes of them
        which = "an image of the archive" if isinstance(file, bytes) else str(file)
        raise ValueError(f"{which} cannot be read as an image ({error}): replace it or delete it") from error


def _map(function: Callable, items: Iterable, threads: int) -> list:
    if threads == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))
