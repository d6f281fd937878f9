"""Files that are written whole or not at all."""

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

STALE_SECONDS = 24 * 3600  # a temporary file this old belongs to a process that was killed


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Write `path` whole or not at all: yields a temporary path beside it and moves that in place at the end.

    An exception (Ctrl-C too) removes the temporary file and leaves an older `path` as it was. Missing folders are
    made. The temporary name ends as `path` does, because `np.savez` and Pillow read the suffix. Two processes may
    write the same path at once: each has a name of its own, and the last one to finish stays.

    >>> with whole_file("numbers.npz") as temporary:
    ...     np.savez(temporary, numbers=numbers)

    Raises:
        FileNotFoundError: the block ended without writing the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())  # else a power cut just after the rename may leave an empty file
        _replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _replace(temporary: Path, path: Path, seconds: float = 2.0) -> None:
    """`os.replace`, with patience: Windows refuses while another process (a virus scanner, a reader) holds a file."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return os.replace(temporary, path)
        except PermissionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _remove_stale(path: Path) -> None:
    for old in path.parent.glob(f".{path.stem}.????????.tmp{path.suffix}"):
        with contextlib.suppress(OSError):  # gone already, or another process holds it
            if time.time() - old.stat().st_mtime > STALE_SECONDS:
                old.unlink()
