"""The forms in which CIFAR-10 is passed around, each read into the same arrays; `cifar10` verifies them."""

import io
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vit_course.data import folders
from vit_course.data.images import read_images

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SPLITS = ("train", "test")
Arrays = dict[str, tuple[np.ndarray, np.ndarray]]  # split -> images uint8 (N, 32, 32, 3), labels (N,)


def read_npz(path: Path) -> Arrays:
    """The course's own file: train_images, train_labels, test_images, test_labels (and classes)."""
    with np.load(path, allow_pickle=False) as file:
        return {name: (file[f"{name}_images"], file[f"{name}_labels"]) for name in SPLITS}


def read_batches(folder: Path) -> Arrays:
    """torchvision's folder: data_batch_1 … data_batch_5 and test_batch, pickled dictionaries of NumPy arrays."""
    return _from_batches({path.name: path.read_bytes() for path in folder.iterdir() if "_batch" in path.name})


def read_archive(path: Path) -> Arrays:
    """The original archive, cifar-10-python.tar.gz: the same batches in a tar file."""
    return _from_batches(_members(path, lambda name: "_batch" in name.rpartition("/")[2]))


def _from_batches(files: dict[str, bytes]) -> Arrays:
    batches = {"train": [], "test": []}
    for name in sorted(files):
        batch = _ArraysOnly(io.BytesIO(files[name]), encoding="bytes").load()
        batches["test" if "test_batch" in name else "train"].append(batch)
    return {
        name: (
            np.concatenate([batch[b"data"] for batch in parts]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1),
            np.concatenate([batch[b"labels"] for batch in parts]),
        )
        for name, parts in batches.items()
    }


class _ArraysOnly(pickle.Unpickler):
    """A pickle can name any function to be called. This reader gives it the four that arrays need, and no other."""

    def find_class(self, module: str, name: str) -> Callable:
        if name not in _ALLOWED:  # the name alone decides, and gives what is in the table, whatever the module
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return _ALLOWED[name]


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin1")


_ALLOWED = {
    "_reconstruct": np.empty(0).__reduce__()[0],  # its module has moved between NumPy's versions
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "encode": _latin1,  # how Python 3 writes bytes in the old protocol
}


def read_folders(root: Path) -> Arrays:
    """root/train/<class>/*.png and root/test/<class>/*.png."""
    found = folders.load(root, size=32)
    if found.classes != CLASSES:
        raise ValueError(f"its classes are {', '.join(found.classes)}")
    return {
        name: (split.images.permute(0, 2, 3, 1).numpy(), split.labels.numpy())
        for name, split in (("train", found.train), ("test", found.test))
    }


def read_png_archive(path: Path) -> Arrays:
    """An archive of class folders: …/train/<class>/<name>.png and …/test/<class>/<name>.png."""
    files = _members(path, lambda name: name.endswith(".png"))
    arrays = {}
    for split in SPLITS:
        # By file name first, as `folders` has it: the classes are mixed.
        keys = sorted((key.split("/")[-1], key.split("/")[-2], key) for key in files if f"{split}/" in key)
        images = read_images([files[key] for _, _, key in keys], size=32).transpose(0, 2, 3, 1)
        arrays[split] = images, np.array([CLASSES.index(name) for _, name, _ in keys])
    return arrays


def read_parquet(train: Path, test: Path) -> Arrays:
    """Hugging Face's files: a column of PNG bytes and one of labels."""
    import pyarrow.parquet

    arrays = {}
    for split, path in (("train", train), ("test", test)):
        table = pyarrow.parquet.read_table(path, columns=["img", "label"])
        images = read_images([cell["bytes"] for cell in table["img"].to_pylist()], size=32)
        arrays[split] = images.transpose(0, 2, 3, 1), table["label"].to_numpy()
    return arrays


def _members(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Name and content of the wanted files in an archive, read in memory: nothing is unpacked, so no path matters."""
    with tarfile.open(path, "r:gz") as tar:
        return {
            member.name: tar.extractfile(member).read() for member in tar if member.isfile() and wanted(member.name)
        }
