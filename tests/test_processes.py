"""Training in several processes: the parts of a batch, and two processes that end as one does."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from recipe_data import write_folder
from recipe_run import TINY

from vit_course.data.batches import Batches
from vit_course.data.dataset import Split
from vit_course.recipes.run import train
from vit_course.training import processes
from vit_course.training.processes import Share, average_gradients
from vit_course.training.tally import Tally

PROGRAM = Path(__file__).with_name("recipe_run.py")


def split(count=11):
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(count, 1, 2, 2).contiguous()
    return Split(images, torch.arange(count), (0.0,), (1 / 255,))  # a pixel is its image's number


def pretend(monkeypatch, rank, count):
    monkeypatch.setattr(processes, "rank", lambda: rank)
    monkeypatch.setattr(processes, "count", lambda: count)


@pytest.mark.parametrize("count", [2, 3])
def test_the_parts_of_a_batch_are_the_batch(monkeypatch, count):
    whole = list(Batches(split(), 4, shuffle=True, seed=3))  # 4, 4 and 3 images
    parts = []
    for rank in range(count):
        pretend(monkeypatch, rank, count)
        share, mine, weights = Share(Batches(split(), 4, shuffle=True, seed=3)), [], []
        for pair in share:
            mine.append(pair)
            weights.append(share.weight)
        parts.append(mine)
        assert weights == [
            len(labels) / len(all_labels) for (_, labels), (_, all_labels) in zip(mine, whole, strict=True)
        ]
        assert len(share) == 3 and share.epoch == 1
    for batch, found in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(batch[0], torch.cat([images for images, _ in found]))
        assert torch.equal(batch[1], torch.cat([labels for _, labels in found]))


def test_a_share_goes_on_in_the_middle_of_an_epoch(monkeypatch):
    pretend(monkeypatch, 1, 2)
    share = Share(Batches(split(), 4, shuffle=True, seed=3))
    passes = [list(share), list(share)]
    share.epoch = 1
    assert torch.equal(next(share.from_batch(2))[1], passes[1][2][1])
    assert not torch.equal(passes[0][0][1], passes[1][0][1])


def test_more_processes_than_images_are_named(monkeypatch):
    pretend(monkeypatch, 0, 4)
    with pytest.raises(ValueError, match="a batch has 3 images for 4 processes: use fewer processes"):
        Share(Batches(split(), 4))


def test_gradients_are_weighted_by_the_parts_sizes(monkeypatch):
    """With the other process's part added, the step's gradient is that of the whole batch, though parts differ."""
    pretend(monkeypatch, 0, 2)
    model, (images, labels) = torch.nn.Linear(4, 11), next(iter(Batches(split(), 3)))
    images = images.flatten(1)
    torch.nn.functional.cross_entropy(model(images), labels).backward()
    expected = model.weight.grad.clone(), model.bias.grad.clone()
    grads = []
    for part in (slice(2, 3), slice(0, 2)):  # the other's, then mine, which stays in .grad
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(images[part]), labels[part]).backward()
        grads.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    monkeypatch.setattr(processes, "total", lambda mine: mine + grads[0] / 3)
    optimizer, share = torch.optim.SGD(model.parameters(), lr=0.0), Share(Batches(split(), 3))
    share.weight = 2 / 3
    average_gradients(optimizer, share)
    optimizer.step()
    torch.testing.assert_close((model.weight.grad, model.bias.grad), expected)


def test_means_are_over_the_samples_of_all_processes(monkeypatch):
    tally = Tally()
    tally.add(torch.tensor(1.0), torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    others = torch.tensor([3 * 5.0, 0.0, 3.0], dtype=torch.float64)  # three samples, loss 5, none right
    monkeypatch.setattr(processes, "total", lambda mine: mine + others)
    assert tally.metrics() == (4.0, 0.25)


def test_torchrun_with_two_processes_ends_as_one_process_does(tmp_path, monkeypatch):
    """The same global batch, so the same run, up to rounding (Muon's bfloat16 makes 1e-7 into 1e-3)."""
    write_folder(tmp_path / "data", 100)
    monkeypatch.setenv("VIT_COURSE_DATA", str(tmp_path / "one"))
    alone = train(dataclasses.replace(TINY, dataset=str(tmp_path / "data")), live="none")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    command += ["--nproc-per-node=2", str(PROGRAM), str(tmp_path / "data"), str(tmp_path / "two"), "-1"]
    monkeypatch.setenv("PYTHONPATH", str(PROGRAM.parents[1]))
    monkeypatch.setenv("VIT_COURSE_DATA", str(tmp_path / "two"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("tiny, seed 0: test accuracy") == 1, "every process speaks"
    together = json.loads((tmp_path / "two" / "tiny.json").read_text())["runs"]
    for one, two in zip(alone, together, strict=True):
        assert (one["processes"], two["processes"]) == (1, 2)
        assert two["curve"]["train_loss"] == pytest.approx(one["curve"]["train_loss"], abs=2e-3)
        assert two["test_loss"] == pytest.approx(one["test_loss"], abs=2e-3)
        assert one["curve"]["train_loss"][-1] < one["curve"]["train_loss"][0] - 0.03
