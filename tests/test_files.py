"""`whole_file`: a file is there whole, or not at all."""

import os
import time

import numpy as np
import pytest

from vit_course.data import files
from vit_course.data.files import whole_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "folder" / "notes.txt"
    with whole_file(target) as temporary:
        temporary.write_text("all of it")
        assert not target.exists()
    assert target.read_text() == "all of it"
    assert names(target.parent) == ["notes.txt"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)), whole_file(tmp_path / "notes.txt") as temporary:
        temporary.write_text("half of")
        raise error
    assert names(tmp_path) == []


def test_an_interrupted_write_keeps_the_older_file(tmp_path):
    target = tmp_path / "notes.txt"
    target.write_text("old")
    with pytest.raises(OSError, match="disk full"), whole_file(target) as temporary:
        temporary.write_text("new, half")
        raise OSError("disk full")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["notes.txt"]


def test_a_file_is_replaced(tmp_path):
    target = tmp_path / "notes.txt"
    target.write_text("old")
    with whole_file(target) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_the_suffix_stays_so_numpy_does_not_rename_it(tmp_path):
    with whole_file(tmp_path / "numbers.npz") as temporary:
        np.savez(temporary, numbers=np.arange(3))
    assert names(tmp_path) == ["numbers.npz"]


def test_two_writers_at_once_do_not_meet(tmp_path):
    with whole_file(tmp_path / "a.txt") as one, whole_file(tmp_path / "a.txt") as two:
        one.write_text("one")
        two.write_text("two")
    assert (tmp_path / "a.txt").read_text() == "one"  # `two` is moved first, `one` last
    assert names(tmp_path) == ["a.txt"]


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a.txt"):
        pass


def test_what_a_killed_process_left_goes_with_the_next_write_but_a_young_one_stays(tmp_path):
    old, young = tmp_path / ".a.0123abcd.tmp.txt", tmp_path / ".a.4567abcd.tmp.txt"
    for path in (old, young):
        path.write_text("half")
    long_ago = time.time() - 2 * files.STALE_SECONDS
    os.utime(old, (long_ago, long_ago))
    with whole_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert names(tmp_path) == [young.name, "a.txt"]


def test_a_file_held_open_elsewhere_is_waited_for(tmp_path, monkeypatch):
    """As on Windows, where a virus scanner holds a fresh file for a moment."""
    really, refusals = os.replace, iter([PermissionError("held"), PermissionError("held")])

    def held(source, target):
        for refusal in refusals:
            raise refusal
        really(source, target)

    monkeypatch.setattr(files.os, "replace", held)
    with whole_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "a.txt").read_text() == "whole"
