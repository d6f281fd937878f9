"""The bench: who is compared is alike, what is timed runs in turn, what is counted is right, and the README has it."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vit_course.__main__ import main
from vit_course.bench import command, contestants, measure, report
from vit_course.bench.contestants import COMPILED, OURS, Contestant, tiny_vgg, vgg_11_bn, vits
from vit_course.bench.measure import Case, flops_an_image, measure_case, measure_scaling
from vit_course.bench.timing import Rate, interleaved, peak_memory
from vit_course.models.vit import ViTConfig
from vit_course.training.precision import Precision

CPU = torch.device("cpu")
SMALL = ViTConfig(image_size=16, patch_size=4, num_classes=10, dim=32, depth=2, num_heads=2)
PEERS = ("timm", "torchvision", "transformers", "vit-pytorch")


@pytest.fixture
def small(monkeypatch):
    """The command with nets of a moment in place of those of a minute."""
    monkeypatch.setattr(measure, "SMALL", SMALL)
    monkeypatch.setattr(measure, "PRODUCT", {"cpu": 64})
    cases = (Case("ViT", lambda: vits(SMALL), 16, batch=2, quick=2), Case("TinyVGG", tiny_vgg, 64, batch=2, quick=2))
    monkeypatch.setattr(command, "CASES", cases)
    monkeypatch.setattr(command, "FILES", {False: 20, True: 20})
    rates = {"DataLoader, 2 workers": Rate(2.0, 2.0, 2.0), "Batches": Rate(40.0, 40.0, 40.0)}
    monkeypatch.setattr(command, "compare_ways", lambda count, rounds, batch_size: rates)
    return cases


def test_ways_run_in_turn_and_one_call_does_not_count():
    order = []
    seconds = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, rounds=3, device=CPU)
    assert "".join(order) == "ab" * 4
    assert [len(taken) for taken in seconds.values()] == [3, 3]
    assert Rate.of(10, [1.0, 2.0, 5.0]) == Rate(5.0, 2.0, 10.0)
    with pytest.raises(ValueError, match="rounds is 0"):
        interleaved({}, rounds=0, device=CPU)


def test_memory_is_that_of_all_tensors_alive_at_once():
    x = torch.ones(1000)

    def chain():  # two of 4,000 bytes at a time; views and what is given cost nothing
        y = x
        for _ in range(5):
            y = (y.view(10, 100) + 1).flatten()
        return y.add_(1)

    assert peak_memory(chain) == 8000
    layers = nn.Sequential(*(nn.Linear(100, 100) for _ in range(4)))
    images = torch.ones(50, 100)
    way = Contestant(layers, torch.float32).forward(images, images)
    output = 50 * 100 * 4
    assert 2 * output <= peak_memory(way) <= 3 * output
    assert peak_memory(lambda: layers(images).sum().backward()) > 4 * output  # autograd keeps what each layer read


def test_the_vits_are_of_one_configuration():
    models = vits(SMALL)
    assert list(models) == [OURS, *PEERS]
    count = {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()}
    assert len({count[name] for name in (OURS, "timm", "torchvision", "transformers")}) == 1
    patch, dim = 3 * 4 * 4, SMALL.dim
    # vit-pytorch has norms before and after its patch embedding, and no bias for queries, keys and values.
    assert count["vit-pytorch"] == count[OURS] + 2 * patch + 2 * dim - SMALL.depth * 3 * dim
    images, labels = torch.randn(3, 3, 16, 16), torch.arange(3)
    for dtype in measure.FORMATS:
        for name, one in contestants.contestants(models, dtype, CPU).items():
            assert (one.precision is None) == (name != OURS)
            logits = one.forward(images, labels)()
            assert logits.shape == (3, 10) and logits.dtype == dtype
            assert not one.model.training and not logits.requires_grad


def test_torchvisions_vgg_has_our_weights():
    ours, theirs = vgg_11_bn().values()
    images = torch.randn(2, 3, 32, 32)
    assert_close(theirs.eval()(images), ours.eval()(images))
    ours, plain = tiny_vgg().values()
    assert_close(plain(torch.ones(1, 3, 64, 64)), ours(torch.ones(1, 3, 64, 64)))


def test_a_training_step_trains():
    model = vits(SMALL)[OURS]
    images, labels = torch.randn(8, 3, 16, 16), torch.randint(10, (8,))
    losses = []
    step = Contestant(model, torch.float32, Precision(model)).training_step(images, labels)
    for _ in range(30):
        step()
        losses.append(nn.functional.cross_entropy(model(images), labels).item())
    assert losses[-1] < losses[0] and model.training
    assert all(p.grad is None for p in model.parameters())


def test_operations_are_counted():
    layers = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    image, label = torch.ones(1, 3, 2, 2), torch.zeros(1, dtype=torch.int64)
    assert flops_an_image(layers, image, label, "forward") == 2 * 12 * 5
    assert flops_an_image(layers, image, label, "training step") == 2 * 2 * 12 * 5  # none for the images' gradient
    N, D = SMALL.num_tokens, SMALL.dim
    block = 2 * (12 * N * D * D + 2 * N * N * D)  # notebook 09's count, and the MLP's 8 N D²
    ends = 2 * (16 * 3 * 16 * D + D * 10)
    assert flops_an_image(vits(SMALL)[OURS], torch.ones(1, 3, 16, 16), label, "forward") == SMALL.depth * block + ends


def test_a_case_has_a_row_for_everyone(small):
    rows = list(measure_case(small[0], device=CPU, rounds=1, quick=True))
    assert len(rows) == 2 * 2 * 5 and {row["who"] for row in rows} == {OURS, *PEERS}
    assert all(row["rate"]["low"] > 0 and row["memory"] > 0 and row["share"] > 0 for row in rows)
    for who in (OURS, *PEERS):
        memory = {(row["work"], row["format"]): row["memory"] for row in rows if row["who"] == who}
        assert memory["training step", "float32"] > memory["forward", "float32"]


def test_scaling_and_the_threads_come_back(small):
    before = torch.get_num_threads()
    rows = list(measure_scaling(device=CPU, rounds=1, quick=True))
    assert torch.get_num_threads() == before
    assert [row["tokens"] for row in rows if row["by"] == "tokens"] == [16, 64, 256, 1024]
    assert rows[-1]["by"] == "threads" and rows[0]["batch"] == 32


def test_the_command_writes_a_table_json_and_a_picture(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "is_there", lambda module: module != "timm")
    monkeypatch.setattr(contestants, "is_there", lambda module: module != "timm")
    assert main(["bench", "--quick", "--device", "cpu", "--out", str(tmp_path / "new" / "bench")]) == 0
    said = capsys.readouterr().out
    assert "timm is not installed and left out: python -m pip install timm" in said
    found = json.loads((tmp_path / "new" / "bench.json").read_text(encoding="utf-8"))
    assert report.tables(found) in said
    assert "| timm |" not in said and "| vit-pytorch |" in said and "20 × |" in said
    assert (tmp_path / "new" / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert found["versions"].keys() >= {"torch", "transformers"} and "timm" not in found["versions"]
    assert found["command"] == "python -m vit_course bench --quick"


def test_ours_is_set_against_the_fastest_other_one():
    def row(who, speed):
        rate = dataclasses.asdict(Rate(speed, speed, speed))
        return {"case": "x", "batch": 1, "who": who, "rate": rate, "memory": 1e6, "share": 0.5}

    rows = [
        {**row(who, speed), "work": work, "format": form}
        for work, form in report.COLUMNS
        for who, speed in ((OURS, 30.0), ("slow", 10.0), ("fast", 20.0), (COMPILED, 90.0))
    ]
    assert report.ratios(rows).splitlines()[-1] == f"| x |{' 1.50 × fast, 50 % of the ceiling |' * 4}"


def test_torch_that_cannot_compile_is_said(small, monkeypatch):
    class Broken(nn.Sequential):
        def forward(self, images):
            raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", Broken)
    with pytest.raises(ValueError, match=r"torch\.compile does not work here \(RuntimeError\)"):
        list(measure_case(small[0], device=CPU, rounds=1, quick=True, compiled=True))


def test_the_readme_has_the_recorded_run():
    text = "the README's table is not that of data/recorded: put in what `python -m vit_course.bench.report` prints"
    assert report.readme() in (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8"), text


def test_nothing_recorded_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="vit_course bench --out"):
        report.readme(tmp_path / "bench.json")
