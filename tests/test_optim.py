"""Parameter groups, Muon, schedules."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vit_course.training.muon import Muon, Together, orthogonalised
from vit_course.training.optim import adamw, hidden_weights, muon, one_cycle, parameter_groups, sgd, warm_up


class Small(nn.Module):
    """One of everything that parameter groups tell apart, with the names of a ViT."""

    def __init__(self):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 8, 4, 4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, 8))
        self.pos_embed = nn.Parameter(torch.randn(1, 5, 8))
        self.table = nn.Parameter(torch.randn(2, 8))
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.qkv = nn.Linear(8, 24)
        self.conv = nn.Conv2d(8, 8, 3)
        self.norm = nn.LayerNorm((8, 2))
        self.fc = nn.Linear(8, 16)
        self.head = nn.Linear(16, 4)

    def no_weight_decay(self):
        return {"table"}


def names_of(model, params):
    return [name for name, p in model.named_parameters() if any(p is q for q in params)]


def trained_by(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"]]


def test_weight_decay_leaves_out_biases_norms_and_positions():
    model = Small()
    decayed, plain = parameter_groups(model, 0.1)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    weights = ["patch_embed.weight", "qkv.weight", "conv.weight", "fc.weight", "head.weight"]
    assert names_of(model, decayed["params"]) == weights
    rest = [name for name, _ in model.named_parameters() if name not in weights]
    assert names_of(model, plain["params"]) == rest


def test_no_weight_decay_of_an_inner_module_counts():
    model = nn.Sequential(Small(), nn.Linear(4, 4))
    names = names_of(model, parameter_groups(model, 0.1)[1]["params"])
    assert {"0.table", "0.pos_embed", "1.bias"} <= set(names)


def test_frozen_parameters_are_left_out():
    model = Small().requires_grad_(False)
    with pytest.raises(ValueError, match="every parameter is frozen"):
        adamw(model)
    model.head.requires_grad_(True)
    assert names_of(model, trained_by(sgd(model))) == ["head.weight", "head.bias"]


def test_muon_gets_the_hidden_weights_and_adamw_the_rest():
    model = Small()
    optimizer = muon(model, lr=0.02, adamw_lr=1e-3, momentum=0.6)
    hidden, rest = optimizer.optimizers
    assert {group["momentum"] for group in hidden.param_groups} == {0.6}
    groups = [(group["parts"], names_of(model, group["params"])) for group in hidden.param_groups]
    assert isinstance(hidden, Muon)
    assert groups == [(1, ["fc.weight"]), (3, ["qkv.weight"]), (1, ["conv.weight"])]
    everything = trained_by(optimizer)
    assert sorted(names_of(model, everything)) == sorted(name for name, _ in model.named_parameters())
    assert len(everything) == len(list(model.parameters())), "a parameter is stepped twice"
    assert {"patch_embed.weight", "head.weight", "pos_embed"} <= set(names_of(model, trained_by(rest)))


def test_hidden_weights_can_be_chosen():
    assert hidden_weights(Small(), ["conv", "qkv"]) == ["patch_embed.weight", "fc.weight", "head.weight"]
    with pytest.raises(ValueError, match="the model has no 'stem': not_hidden takes names such as patch_embed, qkv"):
        muon(Small(), not_hidden=["stem"])
    with pytest.raises(ValueError, match=r"no hidden matrix or kernel.*use adamw"):
        muon(nn.Linear(2, 2))


@pytest.mark.parametrize("shape", [(12, 20), (20, 12), (16, 16)])
def test_muon_equals_torchs_on_matrices(shape):
    torch.manual_seed(0)
    start = torch.randn(shape)
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    options = {"lr": 0.03, "weight_decay": 0.2, "momentum": 0.9}
    mine, torchs = Muon([ours], **options), torch.optim.Muon([theirs], **options)
    for _ in range(4):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        mine.step()
        torchs.step()
    assert (ours - start).abs().max() > 0.01
    assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_muon_takes_matrices_of_one_shape_together_and_keeps_them_apart():
    torch.manual_seed(0)
    starts = [torch.randn(shape) for shape in ((12, 20), (20, 12), (12, 20), (12, 20))]
    together, alone = ([nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    gradients = [torch.randn_like(start) * 10**i for i, start in enumerate(starts)]
    for parameters in (together, alone):
        for p, gradient in zip(parameters[:3], gradients, strict=False):  # the last has none
            p.grad = gradient.clone()
    Muon(together).step()
    for p in alone:
        Muon([p]).step()
    for mine, one, start in zip(together, alone, starts, strict=True):
        assert_close(mine.detach(), one.detach(), rtol=1e-5, atol=1e-5)
        assert torch.equal(mine, start) == (start is starts[3])


def test_muon_sees_a_kernel_as_out_by_the_rest():
    torch.manual_seed(0)
    for layout in (torch.contiguous_format, torch.channels_last):
        kernel = nn.Parameter(torch.randn(6, 4, 3, 3).contiguous(memory_format=layout))
        matrix = nn.Parameter(kernel.detach().flatten(1).clone())
        kernel.grad = torch.randn(6, 4, 3, 3).contiguous(memory_format=layout)
        matrix.grad = kernel.grad.flatten(1).clone()
        Muon([kernel]).step()
        torch.optim.Muon([matrix], lr=0.02, weight_decay=0.0).step()
        assert_close(kernel.detach().flatten(1), matrix.detach(), rtol=1e-5, atol=1e-5)


def test_muon_orthogonalises_a_fused_qkv_as_three():
    torch.manual_seed(0)
    fused = nn.Parameter(torch.randn(24, 8))
    parts = [nn.Parameter(part.clone()) for part in fused.detach().chunk(3)]
    fused.grad = torch.randn(24, 8) * torch.tensor([1.0, 10.0, 100.0]).repeat_interleave(8)[:, None]
    for part, grad in zip(parts, fused.grad.chunk(3), strict=True):
        part.grad = grad.clone()
    Muon([{"params": [fused], "parts": 3}]).step()
    Muon(parts).step()
    assert_close(fused.detach(), torch.cat([part.detach() for part in parts]), rtol=1e-5, atol=1e-5)


def test_muon_makes_singular_values_near_one_and_keeps_kernels_norm():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(30, 50)).float())
    assert values.min() > 0.5 and values.max() < 1.3
    kernel = nn.Parameter(100 * torch.randn(16, 4, 3, 3))
    kernel.grad = torch.zeros_like(kernel)
    Muon([kernel], renormalise=True).step()
    assert kernel.norm().item() == pytest.approx(4, rel=1e-4)
    with pytest.raises(ValueError, match=r"shape \(5,\) in 1 parts"):
        Muon([nn.Parameter(torch.zeros(5))])


def test_several_optimisers_are_one_to_schedules_and_checkpoints():
    def steps(optimizer, model, seeds):
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            for p in model.parameters():
                p.grad = torch.randn(p.shape, generator=generator)
            optimizer.step()

    torch.manual_seed(0)
    first = Small()
    second = Small()
    second.load_state_dict(first.state_dict())
    one, other = muon(first), muon(second)
    assert isinstance(one, Together)
    steps(one, first, [1, 2])
    steps(other, second, [1])
    resumed = muon(second)
    resumed.load_state_dict(other.state_dict())
    schedule = warm_up(resumed, 10)
    assert resumed.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.02 / 2)  # the schedule reaches the members
    for group in resumed.param_groups:
        group["lr"] = group["initial_lr"]
    steps(resumed, second, [2])
    for p, q in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(p, q)
    schedule.step()
    resumed.zero_grad()
    assert all(p.grad is None for p in second.parameters())


def rates(schedule, optimizer, steps):
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_warm_up_rises_then_falls_to_zero():
    def run(**options):
        optimizer = sgd(nn.Linear(2, 2), lr=1.0)
        return rates(warm_up(optimizer, 20, **options), optimizer, 22)

    linear = run(share=0.2, then="linear")
    assert linear[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert linear[12] == pytest.approx(0.5) and linear[19] == pytest.approx(1 / 16)
    assert linear[20:] == [0, 0]
    cosine = run(share=0.2, then="cosine")
    assert cosine[:5] == linear[:5] and cosine[12] == pytest.approx(0.5)
    assert cosine[8] == pytest.approx((1 + math.cos(math.pi / 4)) / 2) and cosine[20] == 0
    assert run(share=0)[0] == 1.0


def test_schedules_refuse_nonsense():
    optimizer = sgd(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="steps is 0"):
        warm_up(optimizer, 0)
    with pytest.raises(ValueError, match=r"share 1\.5"):
        warm_up(optimizer, 10, share=1.5)
    with pytest.raises(ValueError, match="then is 'step': give 'cosine' or 'linear'"):
        warm_up(optimizer, 10, then="step")


@pytest.mark.parametrize("make", [sgd, adamw, muon])
def test_one_cycle_peaks_at_the_given_rates(make):
    optimizer = make(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)))
    peak = optimizer.param_groups[0]["lr"]
    found = rates(one_cycle(optimizer, 10, share=0.5), optimizer, 10)
    assert found[0] == pytest.approx(peak / 25) and max(found) == found[4] == pytest.approx(peak)
    assert found[9] == pytest.approx(peak / 250_000)
