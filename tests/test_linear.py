"""A linear layer over tokens as a 1×1 convolution: the same numbers and gradients, where it is used and where not."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from vit_course.models.vit import ViT, ViTConfig
from vit_course.training import linear as module
from vit_course.training.linear import LEAST, LinearAsConvolution, suits
from vit_course.training.precision import Precision

CONFIG = ViTConfig(image_size=8, patch_size=4, num_classes=3, dim=LEAST, depth=2, num_heads=2, mlp_ratio=1.5)


@pytest.fixture
def convolutions(monkeypatch):
    """The shapes of the images that `F.conv2d` got."""
    seen, conv2d = [], F.conv2d
    monkeypatch.setattr(module.F, "conv2d", lambda x, *rest: (seen.append(tuple(x.shape)), conv2d(x, *rest))[1])
    return seen


@pytest.mark.parametrize("bias", [True, False])
def test_the_same_numbers_and_gradients(bias, convolutions):
    torch.manual_seed(0)
    layer = nn.Linear(LEAST, LEAST + 3, bias=bias)
    x, weigh = torch.randn(4, 5, LEAST, requires_grad=True), torch.randn(4, 5, LEAST + 3)
    plain = layer(x)
    with LinearAsConvolution():
        convolved = layer(x)
    assert convolutions == [(4, LEAST, 1, 5)]
    assert_close(convolved, plain, rtol=1e-5, atol=1e-5)
    wanted, grads = (torch.autograd.grad((out * weigh).sum(), [x, *layer.parameters()]) for out in (plain, convolved))
    assert_close(grads, wanted, rtol=1e-4, atol=1e-4)


def test_precision_computes_a_vit_so(convolutions):
    """And its logits and gradients are those of the plain ViT."""
    torch.manual_seed(1)
    model, images = ViT(CONFIG), torch.randn(2, 3, 8, 8)
    wanted = model(images)
    grads = torch.autograd.grad(wanted.square().sum(), list(model.parameters()))
    patches = convolutions.pop()
    with Precision(model).autocast():
        logits = model(images)
    assert convolutions[0] == patches
    assert len(convolutions) == 1 + 4 * CONFIG.depth  # qkv, proj, fc1, fc2; not the head: one vector an image
    assert_close(logits, wanted, rtol=1e-4, atol=1e-5)
    assert_close(torch.autograd.grad(logits.square().sum(), list(model.parameters())), grads, rtol=1e-3, atol=1e-5)


def test_it_is_left_alone_where_it_does_not_gain():
    tokens, weight = torch.randn(2, 5, LEAST), torch.randn(LEAST, LEAST)
    assert suits(tokens, weight)
    assert not suits(tokens[0], weight)  # no batch of tokens
    assert not suits(tokens[..., 1:], weight[:, 1:]) and not suits(tokens, weight[1:])  # narrow
    assert not suits(tokens.to("meta"), weight)
    with torch.backends.mkldnn.flags(enabled=False):
        assert not suits(tokens, weight)
