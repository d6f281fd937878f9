"""Attention pooling: equal to timm's and transformers' heads, and to plain lines."""

import functools

import pytest
import torch
import transformers
from parity import randomise
from timm.layers import AttentionPoolLatent
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close
from transformers.models.siglip.modeling_siglip import SiglipMultiheadAttentionPoolingHead

from vit_course.models.pooling import AttentionPool

SIZES = {"dim": 24, "num_heads": 3, "mlp_ratio": 2.5, "norm_eps": 1e-3}


def tokens(count=7):
    return torch.randn(2, count, 24, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def pool():
    return randomise(AttentionPool(**SIZES), seed=0)


@torch.no_grad()
def test_it_is_timms_with_the_same_names(pool):
    norm = functools.partial(nn.LayerNorm, eps=1e-3)
    theirs = AttentionPoolLatent(24, num_heads=3, mlp_ratio=2.5, norm_layer=norm).eval()
    assert [name for name, _ in pool.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    theirs.load_state_dict(pool.state_dict())
    assert_close(pool(tokens()), theirs(tokens()), rtol=0, atol=1e-6)
    assert pool(tokens()).shape == (2, 24) and pool(tokens()).std() > 0.3


@torch.no_grad()
def test_it_is_transformers_head():
    config = transformers.SiglipVisionConfig(hidden_size=24, num_attention_heads=3, intermediate_size=60)
    theirs = randomise(SiglipMultiheadAttentionPoolingHead(config), seed=1)
    pool = AttentionPool(dim=24, num_heads=3, mlp_ratio=2.5, activation="gelu_tanh").eval()
    state = theirs.state_dict()
    mine = {"latent": state["probe"]}
    for end in ("weight", "bias"):
        mine[f"q.{end}"], mine[f"kv.{end}"] = state[f"attention.in_proj_{end}"].split([24, 48])
    for name, tensor in state.items():
        name = name.replace("attention.out_proj.", "proj.").replace("layernorm.", "norm.")
        if name in dict(pool.named_parameters()):
            mine[name] = tensor
    pool.load_state_dict(mine)
    assert_close(pool(tokens()), theirs(tokens()), rtol=0, atol=1e-6)


@torch.no_grad()
def test_by_hand_head_by_head(pool):
    x = tokens()
    q = F.linear(pool.latent[0, 0], pool.q.weight, pool.q.bias)  # the same question for every image
    k, v = F.linear(x, pool.kv.weight, pool.kv.bias).split(24, dim=-1)
    answers = []
    for head in range(3):
        cut = slice(8 * head, 8 * head + 8)
        weights = (k[..., cut] @ q[cut] / 8**0.5).softmax(dim=1)  # (B, N)
        answers.append((weights[..., None] * v[..., cut]).sum(dim=1))
    y = F.linear(torch.cat(answers, dim=-1), pool.proj.weight, pool.proj.bias)
    assert_close(pool(x), y + pool.mlp(pool.norm(y)))
    parts = pool.split_heads(x)
    assert [tuple(part.shape) for part in parts] == [(2, 3, 1, 8), (2, 3, 7, 8), (2, 3, 7, 8)]


def test_the_order_and_number_of_tokens_are_free_and_each_counts(pool):
    x = tokens()
    assert_close(pool(x[:, torch.randperm(7)]), pool(x))
    assert pool(x[:, :4]).shape == (2, 24)
    x.requires_grad_()
    pool(x).square().sum().backward()
    assert (x.grad.abs().sum(dim=-1) > 0).all()
    assert all(p.grad is not None and p.grad.any() for p in pool.parameters())


def test_how_it_starts():
    torch.manual_seed(0)
    pool = AttentionPool(dim=256, num_heads=4)
    assert pool.latent.std().item() == pytest.approx(1 / 16, rel=0.2)
    assert pool.no_weight_decay() == {"latent"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_heads": 5}, "dim 24 is not a multiple of num_heads 5"),
        ({"num_heads": 0}, "num_heads 0"),
        ({"activation": "relu"}, "activation='relu' is unknown: use one of gelu"),
    ],
)
def test_what_cannot_be_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        AttentionPool(**SIZES | changes)
