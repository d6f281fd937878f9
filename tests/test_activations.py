"""Hooks: what is kept is what the module gave, the model's answer stays the same, and nothing stays behind."""

import pytest
import torch
from torch import nn

from vit_course.interpret.activations import activations


@pytest.fixture
def model():
    torch.manual_seed(0)
    head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 3 * 3, 5))
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), head).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def hooks(model):
    return sum(len(module._forward_hooks) for module in model.modules())


def test_kept_outputs_are_the_modules_own(model, images):
    conv = model[0](images)
    expected = model(images)
    with activations(model, ["0", "1", "3.1"]) as store, torch.no_grad():
        logits = model(images)
    assert torch.equal(logits, expected) and list(store) == ["0", "1", "3.1"]
    assert torch.equal(store["0"], conv)  # the in-place ReLU behind it has not overwritten it
    assert store["0"].min() < 0 and torch.equal(store["1"], conv.relu())
    assert torch.equal(store["3.1"], logits)


def test_one_name_and_the_last_of_several_runs(model, images):
    with activations(model, "2") as store:
        model(torch.zeros_like(images))
        model(images)
    assert torch.equal(store["2"], model[:3](images))


def test_gradients_can_be_taken_of_what_is_kept(model, images):
    with activations(model, "0") as store:
        score = model(images)[:, 1].sum()
    (gradient,) = torch.autograd.grad(score, store["0"])
    conv = model[0](images).detach().requires_grad_()
    (expected,) = torch.autograd.grad(model[1:](conv.clone())[:, 1].sum(), conv)
    assert expected.abs().sum() > 0
    torch.testing.assert_close(gradient, expected)


def test_an_output_that_is_no_tensor_is_kept_as_it_is():
    model = nn.Sequential(nn.LSTM(3, 4))
    with activations(model, "0") as store:
        outputs = model(torch.randn(5, 1, 3))
    assert store["0"] is outputs and len(outputs) == 2


def test_no_hook_stays_behind_even_after_an_error(model, images):
    with pytest.raises(RuntimeError), activations(model, ["0", "1"]):
        assert hooks(model) == 2
        model(images[:, :2])
    assert hooks(model) == 0


def test_an_unknown_name_is_answered_with_those_there_are(model):
    with pytest.raises(ValueError, match=r"Sequential has no module 'features.9': use a name such as 0, 1, 2, 3, 3.0"):
        activations(model, "features.9").__enter__()
    with pytest.raises(ValueError, match=r"no module '3.11': use a name such as 3.1"):
        activations(model, ["0", "3.11"]).__enter__()
    assert hooks(model) == 0
