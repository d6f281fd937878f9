"""CIFAR-10 in the data folder: every form is read and verified, and nothing else is taken for it."""

import io
import pickle
import sys

import numpy as np
import pytest
from cifar10_forms import (
    arrays,
    as_archive,
    as_batches,
    as_npz,
    as_pngs,
    assert_same,
    put,
    take_for_cifar10,
)

from vit_course.data import cifar10, load
from vit_course.data.cifar10_forms import _ArraysOnly

REAL_SOURCES = cifar10.SOURCES


@pytest.fixture(autouse=True)
def small_world(tmp_path, monkeypatch):
    take_for_cifar10(monkeypatch, tmp_path)


def test_npz(tmp_path):
    put(tmp_path, {"cifar10.npz": as_npz(arrays)})
    assert_same(load("cifar10"), arrays)


def test_batches_folder_and_archive(tmp_path):
    put(tmp_path / "cifar-10-batches-py", as_batches(arrays))
    assert_same(load("cifar10"), arrays, same_order=False)
    for path in (tmp_path / "cifar-10-batches-py").iterdir():
        path.unlink()
    (tmp_path / "cifar-10-batches-py").rmdir()
    put(tmp_path, {"cifar-10-python.tar.gz": as_archive(arrays)})
    assert_same(load("cifar10"), arrays, same_order=False)


def test_batches_written_by_python_3(tmp_path):
    files = {}
    for name, pair in (("data_batch_1", arrays["train"]), ("test_batch", arrays["test"])):
        data = pair[0].transpose(0, 3, 1, 2).reshape(-1, 3072)
        files[name] = pickle.dumps({b"data": data, b"labels": pair[1].tolist()}, protocol=2)
    put(tmp_path / "cifar-10-batches-py", files)
    assert_same(load("cifar10"), arrays)


def test_class_folders(tmp_path):
    put(tmp_path, as_pngs(arrays))
    assert_same(load("cifar10"), arrays)  # the files are numbered, so even the order is the same


def test_the_order_of_sources(tmp_path):
    put(tmp_path, as_pngs(arrays))
    assert cifar10._find(tmp_path)[1].name == "cifar10"
    put(tmp_path, {"cifar-10-python.tar.gz": b""})
    assert cifar10._find(tmp_path)[1].name == "cifar-10-python.tar.gz"
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert cifar10._find(tmp_path)[1].name == "cifar-10-batches-py"
    put(tmp_path, {"cifar10.npz": b""})
    assert cifar10._find(tmp_path)[1].name == "cifar10.npz"


def test_the_digest_has_no_order_but_sees_a_label_and_a_pixel():
    images, labels = arrays["test"]
    order = np.random.default_rng(1).permutation(len(labels))
    assert cifar10.digest(images[order], labels[order]) == cifar10.digest(images, labels)
    assert cifar10.digest(images, labels[order]) != cifar10.digest(images, labels)
    changed = images.copy()
    changed[7, 3, 3, 0] ^= 1
    assert cifar10.digest(changed, labels) != cifar10.digest(images, labels)


def test_a_file_with_other_images_is_refused_by_name(tmp_path):
    put(tmp_path, {"cifar10.npz": as_npz(arrays, test_labels=arrays["test"][1][::-1])})
    with pytest.raises(ValueError, match=r"cifar10\.npz is damaged or is not CIFAR-10: the digest of its test images"):
        load("cifar10")


@pytest.mark.parametrize("name", ["cifar10.npz", "cifar-10-python.tar.gz"])
@pytest.mark.parametrize("damage", ["cut off", "a byte changed", "empty"])
def test_a_damaged_file_is_refused_by_name_and_the_remedy_told(tmp_path, name, damage):
    content = as_npz(arrays) if name.endswith("npz") else as_archive(arrays)
    middle = len(content) // 2
    changed = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    put(tmp_path, {name: {"cut off": content[:middle], "a byte changed": changed, "empty": b""}[damage]})
    with pytest.raises(ValueError, match=rf"{name}.*Delete it"):
        load("cifar10")


def test_a_damaged_picture_is_named(tmp_path):
    files = as_pngs(arrays)
    name = next(name for name in files if name.endswith(".png"))
    put(tmp_path, files | {name: files[name][:100]})
    with pytest.raises(ValueError, match=name.rpartition("/")[2]):
        load("cifar10")


class Evil:
    def __reduce__(self):
        return exec, ("import sys; sys.evil = True",)


def test_a_pickle_with_code_in_it_is_refused_unrun(tmp_path):
    put(tmp_path / "cifar-10-batches-py", as_batches(arrays) | {"data_batch_1": pickle.dumps(Evil())})
    with pytest.raises(ValueError, match=r"asks for builtins\.exec"):
        load("cifar10")
    assert not hasattr(sys, "evil")


def unpickle(code):
    return _ArraysOnly(io.BytesIO(code), encoding="bytes").load()


def test_a_pickle_cannot_reach_functions_through_numpys_names(tmp_path):
    code = b"cnumpy.f2py.os\ndtype\n."  # a module below numpy, an allowed name: gets NumPy's dtype whatever it says
    assert unpickle(code) is np.dtype
    for code in (b"cnumpy\nload\n.", b"cos\nsystem\n.", b"c_codecs\nencode\n(Vx\nVzip\ntR."):
        with pytest.raises(pickle.UnpicklingError, match="asks for"):
            unpickle(code)


def test_describe(tmp_path):
    assert cifar10.describe().startswith('not here: load("cifar10") downloads it')
    put(tmp_path, {"cifar10.npz": as_npz(arrays)})
    assert cifar10.describe() == f"verified: 50 + 20 images in {tmp_path / 'cifar10.npz'}"
    put(tmp_path, {"cifar10.npz": as_npz(arrays)[:-100]})
    with pytest.raises(ValueError, match=r"cifar10.npz cannot be read as CIFAR-10 .* Delete it") as caught:
        cifar10.describe()
    assert "\n" not in str(caught.value)


def test_the_real_sources_begin_with_the_quick_ones_and_end_with_the_original_host():
    urls = [url for source in REAL_SOURCES for url, _ in source.files]
    assert all(url.startswith("https://") for url in urls)
    assert "huggingface.co" in urls[0] and "fast-ai" in urls[2] and "cs.toronto.edu" in urls[-1]
    assert sum("cs.toronto.edu" in url for url in urls) == 1
