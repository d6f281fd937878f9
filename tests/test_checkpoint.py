"""Weights in files, and runs that are killed and go on."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import killed_run
import pytest
import torch
from killed_run import TRAIN_CALLS, VAL_CALLS
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vit_course.training.checkpoint import load, resume, save, save_run
from vit_course.training.loop import fit
from vit_course.training.optim import adamw, one_cycle, sgd, warm_up


def small(width=4, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width * 36, 4))


def equal(model, other):
    pairs = zip(model.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == other_name and torch.equal(a, b) for (name, a), (other_name, b) in pairs)


def test_weights_and_buffers_come_back(tmp_path):
    model, other = small().to(memory_format=torch.channels_last), small(seed=1)
    model(torch.randn(2, 3, 8, 8))  # moves the running statistics
    save(model, tmp_path / "new" / "model.safetensors")
    assert not equal(model, other)
    assert load(other, tmp_path / "new" / "model.safetensors") is other
    assert equal(model, other)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    assert equal(model, load(small(seed=2), tmp_path / "model.pt"))


def test_a_checkpoint_of_another_architecture_is_named_by_keys_and_shapes(tmp_path):
    path = tmp_path / "model.safetensors"
    save(small(), path)
    other = small(width=5)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(ValueError, match="is of another architecture than this Sequential") as raised:
        load(other, path)
    assert "0.weight (model (5, 3, 3, 3), file (4, 3, 3, 3))" in str(raised.value)
    assert "and 3 more of another shape" in str(raised.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in other.state_dict().items())
    with pytest.raises(ValueError, match=r"2\.weight only in the model; 3\.\w+, 3\.\w+ only in the file"):
        load(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU()), path)


class Trap:
    def __reduce__(self):
        return print, ("code in a checkpoint was run",)


def test_code_in_a_checkpoint_is_not_run(tmp_path, capsys):
    torch.save({"weight": Trap()}, tmp_path / "trap.pt")
    for read in (lambda path: load(small(), path), lambda path: resume(path, {"model": small()})):
        with pytest.raises(ValueError, match="holds more than weights, perhaps code that would run"):
            read(tmp_path / "trap.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_damaged_or_missing_file_is_named(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    with pytest.raises(FileNotFoundError, match=r"there is no file .*: check the path"):
        load(small(), path)
    save(small(), tmp_path / "model.safetensors")
    torch.save(small().state_dict(), tmp_path / "model.pt")
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"<html>not found</html>"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged"):
            load(small(), path)
    if suffix == ".pt":  # no archive of torch at all, but a pickle in an old form, or noise
        for damaged in (pickle.dumps([1, 2, 3], protocol=2)[:-1], bytes(range(200))):
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match="is damaged"):
                load(small(), path)


def test_wrong_names_and_contents_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"does not end in \.safetensors"):
        save(small(), tmp_path / "model.pth")
    save_run(tmp_path / "run.pt", {"model": small()})
    with pytest.raises(ValueError, match="holds no state dict"):
        load(small(), tmp_path / "run.pt")
    with pytest.raises(ValueError, match="holds model, but this run has model, optimizer"):
        resume(tmp_path / "run.pt", {"model": small(), "optimizer": sgd(small())})
    with pytest.raises(ValueError, match="another architecture"):
        resume(tmp_path / "run.pt", {"model": small(width=5)})
    model = small()
    save_run(tmp_path / "run.pt", {"optimizer": sgd(model)})
    with pytest.raises(ValueError, match=r"the optimizer in .* is not of this run's kind"):
        resume(tmp_path / "run.pt", {"optimizer": torch.optim.SGD(model.parameters(), lr=0.1)})
    with pytest.raises(ValueError, match="resume=True needs to know from which file"):
        fit(model, [(torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]))], resume=True)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.pt"
    save_run(path, {"model": small()})
    old = path.read_bytes()

    def half(state, file):
        Path(file).write_bytes(old[:100])
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="disk full"):
        save_run(path, {"model": small(seed=1)})
    assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == ["run.pt"]


def killed(tmp_path, seconds, kill_at):
    """Run killed_run.py as a process; (exit status, what it printed)."""
    arguments = [tmp_path / "run.pt", seconds, kill_at, tmp_path / "end.safetensors"]
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": str(here.parent)}
    command = [sys.executable, here / "killed_run.py", *arguments]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout


def test_a_killed_run_goes_on_to_the_same_weights_bit_for_bit(tmp_path):
    model, history = killed_run.run(None)
    an_epoch = TRAIN_CALLS + VAL_CALLS
    # Killed in epoch 2, in its 5th batch; the checkpoint is of the moment before that batch.
    status, _ = killed(tmp_path, seconds=0, kill_at=an_epoch + 5)
    assert status != 0
    state = torch.load(tmp_path / "run.pt", weights_only=True)["progress"]
    assert (state["epoch"], state["batch"]) == (2, 4)
    # Killed while validating epoch 2 (3 batches were left of it), no checkpoint since that epoch's 4th batch.
    status, _ = killed(tmp_path, seconds=1000, kill_at=3 + 1)
    assert status != 0 and not (tmp_path / "end.safetensors").exists()
    status, printed = killed(tmp_path, seconds=0, kill_at=0)
    assert status == 0
    assert equal(load(killed_run.run(None)[0], tmp_path / "end.safetensors"), model)
    assert json.loads(printed) == vars(history)
    # A finished run is not trained on.
    again, same = killed_run.run(str(tmp_path / "run.pt"))
    assert equal(again, model) and same == history


class Killed(Exception):
    """Stands in for SIGKILL where the process must go on: nothing in the package catches it."""


@pytest.mark.parametrize("kill_at", [6, 13, 14, 18])
@pytest.mark.parametrize("schedule", [warm_up, one_cycle])
def test_any_iterable_is_taken_up_in_the_middle(tmp_path, kill_at, schedule):
    """A DataLoader that shuffles, and augments with the global generator, has no from_batch."""
    images, labels = torch.randn(48, 3, 8, 8), torch.arange(48) % 4

    def noisy(samples):
        chosen, named = zip(*samples, strict=True)
        return torch.stack(chosen) + torch.randn(len(chosen), 3, 8, 8), torch.stack(named)

    def run(kill_at, checkpoint=None, **options):
        model = nn.Sequential(small(seed=3), nn.Dropout(0.3))
        optimizer, calls = adamw(model), []

        def loss_fn(logits, target):
            calls.append(1)
            if len(calls) == kill_at:
                raise Killed
            return nn.functional.cross_entropy(logits, target)

        batches = DataLoader(TensorDataset(images, labels), 8, shuffle=True, collate_fn=noisy)
        options |= {"optimizer": optimizer, "scheduler": schedule(optimizer, 18), "checkpoint": checkpoint}
        history = fit(
            model, batches, epochs=3, loss_fn=loss_fn, precision=torch.float32, live="none", resume=bool(checkpoint),
            checkpoint_seconds=0, **options,
        )  # fmt: skip
        return model, history

    model, history = run(0)
    with pytest.raises(Killed):
        run(kill_at, tmp_path / "run.pt")
    resumed, found = run(0, tmp_path / "run.pt")
    assert equal(resumed, model) and found == history


def test_other_data_than_the_checkpoints_is_refused(tmp_path):
    batch = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    options = {"precision": torch.float32, "live": "none", "checkpoint": tmp_path / "run.pt", "resume": True}
    fit(small(), [batch] * 3, **options)
    with pytest.raises(ValueError, match="written with 3 batches an epoch, here are 2: resume with the same data"):
        fit(small(), [batch] * 2, epochs=2, **options)


class Extra:
    """Something that a run keeps besides its own parts."""

    def __init__(self, value):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


def test_what_is_given_along_is_kept_in_the_checkpoint(tmp_path):
    options = {"precision": torch.float32, "live": "none", "checkpoint": tmp_path / "run.pt", "resume": True}
    batches = [(torch.randn(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64))]
    fit(small(), batches, epochs=1, also={"extra": Extra(7)}, **options)
    later = Extra(0)
    fit(small(), batches, epochs=2, also={"extra": later}, **options)
    assert later.value == 7
    with pytest.raises(ValueError, match="holds extra, model"):
        fit(small(), batches, epochs=2, **options)
