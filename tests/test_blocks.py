"""QuickGELU, MLP, DropPath and EncoderBlock: equal to three libraries' blocks, and random only where they should be."""

import itertools
from functools import partial

import pytest
import timm.layers
import torch
import torchvision
from timm.models.vision_transformer import Block
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close
from transformers.activations import ACT2FN

from vit_course.models.blocks import ACTIVATIONS, MLP, DropPath, EncoderBlock, QuickGELU

LAYER_NORM = partial(nn.LayerNorm, eps=1e-6)
DIM, HEADS = 12, 3
close = partial(assert_close, rtol=1e-5, atol=1e-5)


def randomise(module):
    """Fill every parameter with random numbers, the norms' too: no weight is 1, no bias is 0."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.rand(p.shape, generator=generator) - 0.4)
    return module


def tokens(batch=2, count=5, dim=DIM):
    return 3 * torch.randn(batch, count, dim, generator=torch.Generator().manual_seed(2)) + 1


def block(**options):
    return randomise(EncoderBlock(dim=DIM, num_heads=HEADS, **options))


def as_torchvision(state, linears=("mlp.0", "mlp.3"), attention="self_attention", norms=("ln_1", "ln_2")):
    """Our state dict under the names of torchvision's EncoderBlock, or of torch's own encoder layer."""
    names = {"norm1": norms[0], "norm2": norms[1], "mlp.fc1": linears[0], "mlp.fc2": linears[1]}
    names |= {"attn.proj": f"{attention}.out_proj"}
    renamed = {}
    for name, tensor in state.items():
        layer, kind = name.rsplit(".", 1)
        renamed[f"{attention}.in_proj_{kind}" if layer == "attn.qkv" else f"{names[layer]}.{kind}"] = tensor
    return renamed


def encoder_layer(ours, mlp_ratio=4, eps=1e-6):
    theirs = nn.TransformerEncoderLayer(
        DIM, HEADS, int(DIM * mlp_ratio), 0.0, "gelu", norm_first=True, batch_first=True, layer_norm_eps=eps
    )
    theirs.load_state_dict(as_torchvision(ours.state_dict(), ("linear1", "linear2"), "self_attn", ("norm1", "norm2")))
    return theirs


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("gelu", nn.GELU()), ("gelu_tanh", ACT2FN["gelu_pytorch_tanh"]), ("quick_gelu", ACT2FN["quick_gelu"])],
)
def test_the_activations_are_the_libraries(name, theirs):
    x = torch.linspace(-6, 6, 101)
    close(ACTIVATIONS[name]()(x), theirs(x))
    others = [ACTIVATIONS[other]()(x) for other in ACTIVATIONS if other != name]
    assert all((other - theirs(x)).abs().max() > 1e-4 for other in others)


def test_mlp_equals_timms():
    ours = randomise(MLP(dim=DIM, hidden=31))
    theirs = timm.layers.Mlp(DIM, 31)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    close(ours(tokens()), theirs(tokens()))


def test_mlp_works_on_each_token_alone():
    mlp, x = randomise(MLP(dim=DIM, hidden=20, activation="quick_gelu")), tokens()
    changed = x.clone()
    changed[:, 2] += 1
    same = torch.arange(5) != 2
    assert_close(mlp(changed)[:, same], mlp(x)[:, same], rtol=0, atol=1e-5)
    assert (mlp(changed)[:, 2] - mlp(x)[:, 2]).abs().max() > 0.1
    close(mlp(x[0, 0]), mlp(x)[0, 0])  # one token, no batch
    assert isinstance(mlp.act, QuickGELU)


def test_mlp_refuses_an_unknown_activation():
    with pytest.raises(ValueError, match=r"'swish' is unknown: use one of gelu, gelu_tanh, quick_gelu"):
        MLP(dim=4, hidden=8, activation="swish")


def test_mlp_drops_after_both_layers_and_in_training_only():
    mlp, x = randomise(MLP(dim=DIM, hidden=40, dropout=0.3)), tokens()
    torch.manual_seed(3)
    given = mlp(x)
    torch.manual_seed(3)
    inner = F.dropout(F.gelu(mlp.fc1(x)), 0.3)
    close(given, F.dropout(mlp.fc2(inner), 0.3))
    close(mlp.eval()(x), mlp.fc2(F.gelu(mlp.fc1(x))))


@pytest.mark.parametrize("qkv_bias", [True, False])
@pytest.mark.parametrize("mlp_ratio", [4.0, 2.6])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_block_equals_timms(qkv_bias, mlp_ratio, activation):
    options = {"mlp_ratio": mlp_ratio, "qkv_bias": qkv_bias}
    ours = block(activation=activation, **options)
    theirs = Block(DIM, HEADS, norm_layer=LAYER_NORM, act_layer=ACTIVATIONS[activation], **options)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    close(ours(tokens()), theirs(tokens()))


def test_block_equals_torchvisions():
    ours = block(mlp_ratio=3)
    theirs = torchvision.models.vision_transformer.EncoderBlock(HEADS, DIM, 3 * DIM, 0.0, 0.0)
    theirs.load_state_dict(as_torchvision(ours.state_dict()), strict=True)
    close(ours(tokens()), theirs(tokens()))


@pytest.mark.parametrize("eps", [1e-6, 0.5])
def test_block_and_its_gradients_equal_torchs_encoder_layer(eps):
    ours = block(mlp_ratio=2.5, norm_eps=eps)
    theirs = encoder_layer(ours, 2.5, eps)
    x, y = tokens().requires_grad_(), tokens().requires_grad_()
    ours(x).square().sum().backward()
    theirs(y).square().sum().backward()
    close(ours(tokens()), theirs(tokens()))
    assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-3)
    gradients = as_torchvision(
        {name: p.grad for name, p in ours.named_parameters()}, ("linear1", "linear2"), "self_attn", ("norm1", "norm2")
    )
    for name, p in theirs.named_parameters():
        assert_close(gradients[name], p.grad, rtol=1e-4, atol=1e-2)


def test_block_hands_the_mask_on():
    ours, x = block(), tokens()
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    close(ours(x, mask), encoder_layer(ours)(x, src_mask=~mask))  # torch's says where one may not look
    assert (ours(x, mask) - ours(x)).abs().max() > 0.01
    changed = x.clone()
    changed[:, 4] += 1
    close(ours(changed, mask)[:, :4], ours(x, mask)[:, :4])


def test_every_parameter_gets_a_gradient_and_blocks_stack():
    stack = randomise(nn.Sequential(*[EncoderBlock(dim=DIM, num_heads=HEADS) for _ in range(3)]))
    x = tokens()
    assert stack(x).shape == x.shape
    (stack(x) ** 3).sum().backward()
    missing = [name for name, p in stack.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not missing


def test_block_drops_in_both_branches_and_on_the_weights():
    x = tokens(batch=40, count=20)
    for options, share in (({"dropout": 0.3}, 0.3), ({"attention_dropout": 0.3}, 0.0)):
        drops = block(**options)
        plain = block()
        first = drops.attn(x)
        assert abs((first == 0).float().mean() - share) < 0.02
        assert abs((drops.mlp(x) == 0).float().mean() - share) < 0.02
        assert not torch.equal(drops(x), drops(x))
        close(drops.eval()(x), plain(x))


def test_drop_path_leaves_whole_images_out_and_keeps_the_mean():
    torch.manual_seed(0)
    drop = DropPath(0.3)
    for shape in ((4000, 3), (4000, 3, 2), (4000, 2, 2, 3)):
        x = torch.rand(shape) + 0.5
        factor = (drop(x) / x).flatten(1)
        assert_close(factor, factor[:, :1].expand_as(factor), rtol=1e-5, atol=1e-6)  # one coin an image
        assert sorted({round(f, 4) for f in factor[:, 0].tolist()}) == [0.0, round(1 / 0.7, 4)]
        assert abs(factor.mean() - 1) < 0.05
        assert not torch.equal(drop(x), drop(x))
    assert drop(x.bfloat16()).dtype == torch.bfloat16


def test_drop_path_does_nothing_in_evaluation_or_at_zero():
    x = tokens()
    assert DropPath(0.9).eval()(x) is x
    assert DropPath(0.0)(x) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_drop_path_refuses_what_is_no_probability(p):
    with pytest.raises(ValueError, match=f"drop_path is {p}: give a probability from 0 to below 1"):
        DropPath(p)


def test_an_images_two_branches_have_coins_of_their_own():
    torch.manual_seed(0)
    ours = block(drop_path=0.5)
    x = tokens(count=3)[:1].expand(64, -1, -1)
    given = ours(x)
    seen = []
    for first, second in itertools.product((0, 2), repeat=2):
        after = x + first * ours.attn(ours.norm1(x))
        after = after + second * ours.mlp(ours.norm2(after))
        seen.append(torch.isclose(given, after, rtol=1e-4, atol=1e-4).flatten(1).all(1))
    seen = torch.stack(seen)  # (4, 64): which of the four cases each image is
    assert (seen.sum(0) == 1).all()
    assert (seen.sum(1) >= 6).all()  # 16 each on average
    close(ours.eval()(x), block()(x))
