"""Number formats and memory layout: chosen by a probe that changes nothing."""

import copy

import pytest
import torch
from torch import nn

from vit_course.training import precision as module
from vit_course.training.loop import evaluate, train_one_epoch
from vit_course.training.optim import adamw
from vit_course.training.precision import Precision, choose_precision


def model_with_everything():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8 * 36, 4)]
    return nn.Sequential(*layers)


def test_the_probe_changes_nothing():
    model = model_with_everything()
    model[1].eval()  # a frozen norm stays frozen
    images = torch.randn(40, 3, 8, 8)
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    choose_precision(model, images)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert [m.training for m in model.modules()] == [True, True, False, True, True, True, True]


@pytest.mark.parametrize(("bf16_seconds", "dtype"), [(0.5, torch.bfloat16), (0.95, torch.float32)])
def test_the_shorter_format_is_taken_where_it_is_clearly_faster(monkeypatch, bf16_seconds, dtype):
    seconds = {torch.float32: 1.0, torch.bfloat16: bf16_seconds}
    monkeypatch.setattr(module, "_train_step_seconds", lambda model, images, precision: seconds[precision.dtype])
    assert choose_precision(model_with_everything(), torch.randn(2, 3, 8, 8)).dtype == dtype


def test_a_gpu_without_bfloat16_gets_float16_with_a_scaler(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert module._short_dtype(torch.device("cuda")) == torch.float16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert module._short_dtype(torch.device("cuda")) == torch.bfloat16
    assert Precision(model_with_everything(), torch.float16).scaler.is_enabled()
    assert not Precision(model_with_everything(), torch.bfloat16).scaler.is_enabled()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_precision_learns_about_the_same(dtype):
    model = model_with_everything()
    batch = torch.randn(16, 3, 8, 8), torch.randint(0, 4, (16,))
    start = evaluate(model, [batch]).loss
    precision = Precision(model, dtype)
    optimizer = adamw(model, 3e-3)
    for _ in range(8):
        train_one_epoch(model, [batch], optimizer, precision=precision)
    assert evaluate(model, [batch], precision=precision).loss < 0.8 * start
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_float16_leaves_out_a_step_whose_gradients_overflow():
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    precision, optimizer = Precision(model, torch.float16), torch.optim.SGD(model.parameters(), lr=0.1)
    scale = precision.scaler.get_scale()
    precision.backward(model(torch.full((1, 2), 1e38)).sum())
    precision.step(optimizer)
    assert torch.equal(model.weight, before)
    assert precision.scaler.get_scale() == scale / 2


def test_images_are_laid_out_for_models_with_convolutions_alone():
    images, labels = torch.randn(2, 3, 8, 8), torch.zeros(2, dtype=torch.int64)
    placed, _ = Precision(model_with_everything()).place(images, labels)
    assert placed.is_contiguous(memory_format=torch.channels_last) and torch.equal(placed, images)
    placed, _ = Precision(nn.Linear(2, 2)).place(images, labels)
    assert placed.is_contiguous()
    placed, _ = Precision(nn.Conv2d(3, 3, 1)).place(torch.zeros(2, 5), labels)
    assert placed.shape == (2, 5)


def test_the_format_comes_back_from_a_checkpoint():
    model = model_with_everything()
    saved, other = Precision(model, torch.float16), Precision(model)
    other.load_state_dict(saved.state_dict())
    assert other.dtype == torch.float16 and other.scaler.is_enabled()
    assert repr(other) == "float16 on cpu, channels_last"
    with pytest.raises(ValueError, match=r"dtype is torch\.float64: give torch\.float32"):
        Precision(model, torch.float64)


def test_freed_memory_is_kept_for_the_next_tensors():
    """Where the system can be told so; the second round of large tensors then gets no new page from it."""
    if not module.keep_freed_memory():
        pytest.skip("this system's C library is not glibc")
    import resource

    def faults() -> int:
        for _ in range(5):
            tensors = [torch.ones(2_000_000) for _ in range(8)]  # 64 MB in all
            del tensors
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    before = faults()
    assert faults() - before < 5 * 8 * 2_000_000 * 4 / 4096 / 20  # of the pages that they fill


def test_without_glibc_nothing_is_done(monkeypatch):
    monkeypatch.setattr(module.ctypes, "CDLL", lambda name: object())
    assert module.keep_freed_memory.__wrapped__() is False
