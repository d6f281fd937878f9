"""Some dozens of images in place of CIFAR-10, in every form in which it is passed around. For tests."""

import io
import pickle
import struct
import tarfile

import numpy as np
import torch
from PIL import Image

from vit_course.data import cifar10
from vit_course.data.cifar10_forms import CLASSES


def some_images():
    rng = np.random.default_rng(0)
    for split, count in {"train": 50, "test": 20}.items():
        images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        yield split, (images, rng.permutation(np.arange(count) % 10).astype(np.uint8))


arrays = dict(some_images())  # split -> (images, labels)


def take_for_cifar10(monkeypatch, folder, arrays=arrays):
    """`folder` is the data folder, these arrays have the right digests, and there is no host at all."""
    monkeypatch.setenv("VIT_COURSE_DATA", str(folder))
    monkeypatch.delenv("VIT_COURSE_OFFLINE", raising=False)  # conftest.py sets it: here the network is this machine
    monkeypatch.setattr(cifar10, "DIGESTS", {split: cifar10.digest(*pair) for split, pair in arrays.items()})
    monkeypatch.setattr(cifar10, "SOURCES", None)


def as_npz(arrays, **changes):
    named = {f"{s}_{part}": a for s, pair in arrays.items() for part, a in zip(("images", "labels"), pair, strict=True)}
    file = io.BytesIO()
    np.savez(file, classes=np.array(CLASSES), **(named | changes))
    return file.getvalue()


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2's strings, as in the real batches."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def save_bytes(self, data):
        short = len(data) < 256
        self.write((b"U" + bytes([len(data)]) if short else b"T" + struct.pack("<i", len(data))) + data)
        self.memoize(data)

    dispatch[bytes] = save_bytes
    dispatch[str] = lambda self, text: self.save_bytes(text.encode("latin1"))


def as_batch(images, labels):
    file = io.BytesIO()
    data = images.transpose(0, 3, 1, 2).reshape(len(images), 3072)
    batch = {b"batch_label": b"a batch", b"labels": labels.tolist(), b"data": np.ascontiguousarray(data)}
    Python2Pickler(file, protocol=2).dump(batch)
    return file.getvalue().replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n")


def as_batches(arrays):
    images, labels = arrays["train"]
    files = {f"data_batch_{i + 1}": as_batch(images[i::5], labels[i::5]) for i in range(5)}
    return {"batches.meta": b"\x80\x02.", "readme.html": b"<html>", "test_batch": as_batch(*arrays["test"]), **files}


def as_tar(files):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def as_archive(arrays):
    return as_tar({f"cifar-10-batches-py/{name}": content for name, content in as_batches(arrays).items()})


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def as_pngs(arrays):
    """Path -> content, as fast.ai's archive and the folders that one unpacks."""
    files = {"cifar10/labels.txt": "\n".join(CLASSES).encode()}
    for split, (images, labels) in arrays.items():
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            files[f"cifar10/{split}/{CLASSES[label]}/{i:05d}.png"] = png(image)
    return files


def put(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def assert_same(dataset, arrays, same_order=True):
    assert dataset.classes == CLASSES
    for split, (images, labels) in arrays.items():
        got = getattr(dataset, split)
        if same_order:
            torch.testing.assert_close(got.images.permute(0, 2, 3, 1), torch.from_numpy(images))
            torch.testing.assert_close(got.labels, torch.from_numpy(labels).long())
        assert sorted(
            zip(got.labels.tolist(), map(bytes, got.images.permute(0, 2, 3, 1).numpy()), strict=True)
        ) == sorted(zip(labels.tolist(), map(bytes, images), strict=True))
        assert got.mean == dataset.train.mean
        assert got.images.is_contiguous()
