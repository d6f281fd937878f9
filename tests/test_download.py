"""CIFAR-10 fetched: resumed, verified, given up where slow; a server on this machine is the network."""

import io
import time

import numpy as np
import pytest
from cifar10_forms import (
    arrays,
    as_archive,
    as_pngs,
    as_tar,
    assert_same,
    png,
    put,
    take_for_cifar10,
)
from loopback import Host

from vit_course.data import cifar10, download, load
from vit_course.data.cifar10 import Source
from vit_course.data.cifar10_forms import CLASSES, read_archive, read_parquet, read_png_archive


@pytest.fixture(autouse=True)
def small_world(tmp_path, monkeypatch):
    take_for_cifar10(monkeypatch, tmp_path)
    monkeypatch.setattr(download, "WATCH", 0.3)  # seconds: hosts are judged quickly here,
    monkeypatch.setattr(download, "SLOW", 20_000)  # and mildly: the slow one gives 4,000 bytes/s
    monkeypatch.setattr(download, "TIMEOUT", 2.0)


@pytest.fixture
def host():
    host = Host()
    yield host
    host.close()


def sources(monkeypatch, *made):
    monkeypatch.setattr(cifar10, "SOURCES", made)


def archive_source(host, name, content, manner="", here="cifar-10-python.tar.gz"):
    host.files[name] = content, manner
    return Source(name, ((host.url(name), here),), read_archive)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_download_is_verified_kept_as_one_file_and_not_repeated(tmp_path, host, monkeypatch, capsys):
    sources(monkeypatch, archive_source(host, "good", as_archive(arrays)))
    assert_same(load("cifar10"), arrays, same_order=False)
    assert left(tmp_path) == ["cifar10.npz"]
    assert "verified, and kept as" in capsys.readouterr().out
    host.files.clear()
    assert_same(load("cifar10"), arrays, same_order=False)
    assert len(host.asked) == 1
    with np.load(tmp_path / "cifar10.npz") as file:
        assert sorted(file.files) == ["classes", "test_images", "test_labels", "train_images", "train_labels"]
        assert file["train_images"].shape == (50, 32, 32, 3)
        assert file["classes"].tolist() == CLASSES


def test_fastai_archive(tmp_path, host, monkeypatch):
    host.files["cifar10.tgz"] = as_tar({"../../evil.png": b"x", **as_pngs(arrays)}), ""
    sources(monkeypatch, Source("fast.ai", ((host.url("cifar10.tgz"), "cifar10-fastai.tgz"),), read_png_archive))
    assert_same(load("cifar10"), arrays)
    assert left(tmp_path) == ["cifar10.npz"]


def test_parquet(tmp_path, host, monkeypatch):
    from pyarrow import parquet, table

    for split, (images, labels) in arrays.items():
        rows = table(
            {"img": [{"bytes": png(image), "path": "x.png"} for image in images], "label": labels.astype(np.int64)}
        )
        file = io.BytesIO()
        parquet.write_table(rows, file)
        host.files[split] = file.getvalue(), "cut" if split == "train" else ""
    files = tuple((host.url(split), f"cifar10-{split}.parquet") for split in arrays)
    sources(monkeypatch, Source("the Hub", files, read_parquet, needs="pyarrow"))
    assert_same(load("cifar10"), arrays)
    assert left(tmp_path) == ["cifar10.npz"]


def test_a_missing_package_is_told_and_the_next_source_used(tmp_path, host, monkeypatch, capsys):
    hub = Source("the Hub", ((host.url("hub"), "hub.parquet"),), read_parquet, needs="no_such_package")
    sources(monkeypatch, hub, archive_source(host, "good", as_archive(arrays)))
    assert_same(load("cifar10"), arrays, same_order=False)
    assert (
        "the Hub needs the package no_such_package, which is not installed; trying the next" in capsys.readouterr().out
    )
    assert [path for path, _ in host.asked] == ["good"]


def test_a_cut_connection_resumes(host, monkeypatch, capsys):
    content = as_archive(arrays)
    sources(monkeypatch, archive_source(host, "cut", content, "cut"))
    assert_same(load("cifar10"), arrays, same_order=False)
    assert host.asked == [("cut", None), ("cut", f"bytes={len(content) // 2}-")]
    assert "the connection was cut after 0.1 MB" in capsys.readouterr().out


def test_an_interrupted_download_resumes_later_and_from_another_host(tmp_path, host, monkeypatch):
    content = as_archive(arrays)
    sources(monkeypatch, archive_source(host, "one", content, "cut"))
    really = download._fetch

    def once(*args):
        try:
            really(*args)
        except download._Cut:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(download, "_fetch", once)
    with pytest.raises(KeyboardInterrupt):
        load("cifar10")
    assert left(tmp_path) == ["cifar-10-python.tar.gz.part"]  # and nothing that could be taken for the whole
    monkeypatch.setattr(download, "_fetch", really)
    sources(monkeypatch, archive_source(host, "two", content))
    assert_same(load("cifar10"), arrays, same_order=False)
    assert host.asked[-1] == ("two", f"bytes={len(content) // 2}-")
    assert left(tmp_path) == ["cifar10.npz"]


def test_a_host_that_cannot_resume_is_begun_anew(host, monkeypatch):
    sources(monkeypatch, archive_source(host, "plain", as_archive(arrays), "no ranges"))
    assert_same(load("cifar10"), arrays, same_order=False)
    assert len(host.asked) == 2


def test_a_part_that_is_whole_already_is_taken(tmp_path, host, monkeypatch):
    content = as_archive(arrays)
    put(tmp_path, {"cifar-10-python.tar.gz.part": content})
    sources(monkeypatch, archive_source(host, "good", content))
    assert_same(load("cifar10"), arrays, same_order=False)
    assert host.asked == [("good", f"bytes={len(content)}-")]


def test_a_part_longer_than_the_file_is_thrown_away(tmp_path, host, monkeypatch):
    content = as_archive(arrays)
    put(tmp_path, {"cifar-10-python.tar.gz.part": content + b"more"})
    sources(monkeypatch, archive_source(host, "one", content), archive_source(host, "two", content))
    assert_same(load("cifar10"), arrays, same_order=False)


@pytest.mark.parametrize("content", ["a page that says sorry", "half of it", "other images"])
def test_a_wrong_file_is_refused_and_the_next_source_used(tmp_path, host, monkeypatch, capsys, content):
    right = as_archive(arrays)
    other = {"train": arrays["train"], "test": (arrays["test"][0], arrays["test"][1][::-1])}
    wrong = {"a page that says sorry": b"<html>sorry</html>", "half of it": right[: len(right) // 2]}
    wrong = wrong.get(content) or as_archive(other)
    sources(monkeypatch, archive_source(host, "wrong", wrong), archive_source(host, "good", right))
    assert_same(load("cifar10"), arrays, same_order=False)
    assert "wrong sent something else than CIFAR-10, refused" in capsys.readouterr().out
    assert left(tmp_path) == ["cifar10.npz"]
    assert host.asked == [("wrong", None), ("good", None)]  # nothing of the wrong one is built upon


def test_a_slow_host_is_left_for_the_next_which_goes_on_from_there(host, monkeypatch, capsys):
    content = as_archive(arrays)
    sources(monkeypatch, archive_source(host, "slow", content, "slow"), archive_source(host, "good", content))
    began = time.monotonic()
    assert_same(load("cifar10"), arrays, same_order=False)
    assert time.monotonic() - began < 5  # to its end, the slow host would take 25 s at least
    assert "sends only" in capsys.readouterr().out
    path, asked = host.asked[1]
    assert path == "good" and 200 <= int(asked[len("bytes=") : -1]) < len(content)


def test_a_silent_host_is_left_too(host, monkeypatch):
    content = as_archive(arrays)
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    sources(monkeypatch, archive_source(host, "silent", content, "silent"), archive_source(host, "good", content))
    assert_same(load("cifar10"), arrays, same_order=False)
    assert host.asked == [("silent", None), ("good", "bytes=1000-")]  # not asked again and again


def test_parts_from_hosts_that_were_given_up_are_tidied_away(tmp_path, host, monkeypatch):
    content = as_archive(arrays)
    slow = archive_source(host, "slow", content, "slow", here="other.tgz")
    sources(monkeypatch, slow, archive_source(host, "good", content))
    assert_same(load("cifar10"), arrays, same_order=False)
    assert [path for path, _ in host.asked] == ["slow", "good"]
    assert left(tmp_path) == ["cifar10.npz"]


def test_the_last_source_is_waited_for_and_says_how_long(tmp_path, host, monkeypatch, capsys):
    tiny = {split: (images[:10], labels[:10]) for split, (images, labels) in arrays.items()}
    content = as_archive(tiny)
    take_for_cifar10(monkeypatch, tmp_path, tiny)
    monkeypatch.setattr(download, "WATCH", 0.1)
    host.files["gone"] = b"", "404"
    gone = Source("gone", ((host.url("gone"), "gone.tgz"),), read_archive)
    sources(monkeypatch, gone, archive_source(host, "original", content, "slow"))
    host.pause = 0.002
    assert_same(load("cifar10"), tiny, same_order=False)
    out = capsys.readouterr().out
    assert "answers 404 Not Found; trying the next source" in out
    assert "an hour" in out and "what has arrived is kept" in out
    assert "MB/s" in out


def test_of_slow_hosts_the_quickest_is_taken_before_the_original(host, monkeypatch):
    content = as_archive(arrays)
    calls = []

    def fake(url, path, patient=False, note=""):
        calls.append((url.rpartition("/")[2], patient))
        if not patient:
            raise download.SlowHost("host", {"a": 60_000, "b": 150_000, "c": 20_000}[url[-1]])
        path.write_bytes(content)

    monkeypatch.setattr(cifar10, "download", fake)
    sources(monkeypatch, *(archive_source(host, name, content) for name in ("a", "b", "c", "original")))
    assert_same(load("cifar10"), arrays, same_order=False)
    assert calls == [("a", False), ("b", False), ("c", False), ("b", True)]


def test_with_a_fallback_no_slow_host_is_waited_for(host, monkeypatch):
    from vit_course.data import shapes

    monkeypatch.setattr(shapes, "load", lambda size, captions: "the shapes")
    sources(
        monkeypatch,
        archive_source(host, "slow", as_archive(arrays), "slow"),
        archive_source(host, "original", as_archive(arrays), "slow"),
    )
    assert load("cifar10", fallback="shapes") == "the shapes"
    assert [path for path, _ in host.asked] == ["slow"]


def test_offline_no_host_is_asked(host, monkeypatch):
    sources(monkeypatch, archive_source(host, "good", as_archive(arrays)))
    monkeypatch.setenv("VIT_COURSE_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="VIT_COURSE_OFFLINE is set"):
        load("cifar10")
    assert host.asked == []


def test_no_network_and_no_file_says_the_three_ways_on(tmp_path, monkeypatch):
    nowhere = Source("nowhere", (("http://127.0.0.1:9/x", "x.tgz"),), read_archive)  # nothing listens on port 9
    sources(monkeypatch, nowhere, nowhere)
    with pytest.raises(FileNotFoundError) as caught:
        load("cifar10")
    message = str(caught.value)
    for piece in (
        str(tmp_path),
        "no connection",
        "1. put cifar10.npz",
        "2. set the environment variable VIT_COURSE_DATA",
    ):
        assert piece in message
    assert "3. try again later" in message and 'load("shapes")' in message


def test_the_fallback_goes_on_with_shapes(tmp_path, monkeypatch, capsys):
    from vit_course.data import shapes

    nowhere = Source("nowhere", (("http://127.0.0.1:9/x", "x.tgz"),), read_archive)
    sources(monkeypatch, nowhere)
    monkeypatch.setattr(shapes, "load", lambda size, captions: "the shapes")
    assert load("cifar10", fallback="shapes") == "the shapes"
    assert "Going on with 'shapes'" in capsys.readouterr().out


def test_a_data_folder_that_cannot_be_written_says_so(tmp_path, host, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VIT_COURSE_DATA", str(tmp_path / "file"))
    sources(monkeypatch, archive_source(host, "good", as_archive(arrays)))
    with pytest.raises(FileNotFoundError, match=r"cannot be kept in .*VIT_COURSE_DATA to a folder where you may write"):
        load("cifar10")


def test_a_full_disk_leaves_no_half_file_and_the_images_are_there(tmp_path, host, monkeypatch, capsys):
    def full(path, **arrays):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    sources(monkeypatch, archive_source(host, "good", as_archive(arrays)))
    monkeypatch.setattr(cifar10.np, "savez", full)
    assert_same(load("cifar10"), arrays, same_order=False)
    assert left(tmp_path) == []
    assert "No space left on device" in capsys.readouterr().out
