"""The doctor's table, what it installs, and the command line's words for bad input."""

import subprocess
import sys

import pytest

from vit_course import doctor
from vit_course.__main__ import main


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    """A requirements.txt of one's own."""

    def write(text: str) -> None:
        path = tmp_path / "requirements.txt"
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(doctor, "REQUIREMENTS", path)

    return write


@pytest.fixture
def pip(monkeypatch):
    """Calls of pip, caught; `pip.status` is what it answers."""
    calls = []

    def run(command, **options):
        calls.append(command[4:])
        return subprocess.CompletedProcess(command, run.status)

    run.status, run.calls = 0, calls
    monkeypatch.setattr(doctor.subprocess, "run", run)
    return run


def test_everything_the_course_needs_is_here(capsys):
    assert doctor.doctor() == 0
    printed = capsys.readouterr().out
    for name in ("Python", "torch ", "torchvision", "memory", "device", "cpu:", "data folder", "shapes", "cifar10"):
        assert name in printed
    assert "No problems." in printed


def test_problems_come_with_their_remedy(wanted, capsys, monkeypatch):
    wanted("torch>=2.9\nno-such-package>=1.0\nnumpy>=99\n")
    monkeypatch.setenv("VIT_COURSE_DEVICE", "tpu")
    assert doctor.doctor() == 3
    printed = capsys.readouterr().out
    assert "missing" in printed and 'python -m pip install "no-such-package>=1.0"' in printed
    assert '>=99 needed: python -m pip install --upgrade "numpy>=99"' in printed
    assert "VIT_COURSE_DEVICE: 'tpu' is not the name of a device" in printed and "3 problems." in printed


def test_nothing_missing_installs_nothing_in_silence(pip, capsys):
    doctor.install_missing()
    assert pip.calls == [] and capsys.readouterr().out == ""


def test_only_what_is_missing_is_installed(wanted, pip):
    wanted("torch>=2.9\nnumpy>=99  # too old is not missing\nno-such-package>=1.0\njupyterlab>=4.2\n")
    doctor.install_missing()
    assert pip.calls == [["--quiet", "no-such-package>=1.0"]]


def test_torch_is_never_installed(wanted, pip, monkeypatch):
    def version(name):
        raise doctor.importlib.metadata.PackageNotFoundError(name)

    wanted("torch>=2.9\nnumpy>=1.26\n")
    monkeypatch.setattr(doctor.importlib.metadata, "version", version)
    with pytest.raises(RuntimeError, match=r"torch>=2.9 missing: install PyTorch first"):
        doctor.install_missing()
    assert pip.calls == []


def test_a_failing_pip_is_named(wanted, pip):
    wanted("no-such-package>=1.0\n")
    pip.status = 1
    with pytest.raises(RuntimeError, match=r"could not install no-such-package>=1.0: is this machine online"):
        doctor.install_missing()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["notebooks", "lint", "99"], "no notebook begins with '99'"),
        (["notebooks", "address", "nowhere"], "REPO=nowhere: give it as owner/name"),
        (["notebooks", "grade", "no-such-folder"], "no notebook in the folder no-such-folder"),
    ],
)
def test_bad_input_ends_in_one_line(arguments, message, capsys):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_doctor_runs_as_a_command():
    done = subprocess.run([sys.executable, "-m", "vit_course", "doctor"], capture_output=True, text=True)
    assert done.returncode == 0 and "No problems." in done.stdout
