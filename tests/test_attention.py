"""Attention: two forms that agree, parity with torch, timm and vit-pytorch, and what must not leak between tokens."""

import pytest
import torch
from einops import einsum, rearrange
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close
from vit_pytorch.vit import Attention as TheirAttention

import vit_course.models.attention as ours
from vit_course.exercises.core import examine
from vit_course.models.attention import MultiHeadSelfAttention, attention, attention_weights

SHAPES = [((2,), (5,), 4, 3), ((2, 3), (7, 5), 6, 4), ((), (1, 1), 4, 4), ((2, 2), (3, 600), 8, 8)]


def draw(batch, n, m, d, e, **options):
    return tuple(torch.randn(*batch, *size, **options) for size in ((n, d), (m, d), (m, e)))


def inputs(case, **options):
    batch, tokens, d, e = case
    return draw(batch, tokens[0], tokens[-1], d, e, **options)


def masks(q, k):
    """None, one for every pair, one that broadcasts over queries; each query may look somewhere."""
    n, m = q.shape[-2], k.shape[-2]
    pairs = torch.rand(n, m) > 0.4
    pairs[:, 0] = True
    keys = torch.ones(1, m, dtype=torch.bool)
    keys[:, m // 2 + 1 :] = False
    return [None, pairs, keys, pairs.expand(*q.shape[:-2], n, m)]


def written_out(q, k, v, mask=None):
    return attention_weights(q, k, mask) @ v


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_written_out_equals_the_fused_kernel_with_masks_and_gradients(case):
    torch.manual_seed(0)
    qkv = inputs(case, dtype=torch.float64, requires_grad=True)
    for mask in masks(*qkv[:2]):
        weights = attention_weights(*qkv[:2], mask)
        assert_close(weights.sum(-1), torch.ones(weights.shape[:-1], dtype=torch.float64))
        assert mask is None or not (weights * ~mask).any()
        forms = (
            written_out(*qkv, mask),
            attention(*qkv, mask=mask),
            F.scaled_dot_product_attention(*qkv, attn_mask=mask),
        )
        probe = torch.randn_like(forms[0])
        grads = [torch.autograd.grad((form * probe).sum(), qkv) for form in forms]
        for form, grad in zip(forms[:-1], grads[:-1], strict=True):
            assert_close(form, forms[-1])
            assert_close(grad, grads[-1])


def test_it_is_the_formula():
    torch.manual_seed(1)
    q, k, v = draw((), 2, 3, 4, 5)
    for i in range(2):
        grown = [torch.exp((q[i] * k[j]).sum() / 2) for j in range(3)]  # √4 = 2
        wanted = sum(g * v[j] for j, g in enumerate(grown)) / sum(grown)
        assert_close(attention(q, k, v)[i], wanted)


@pytest.mark.parametrize("keys", [65, 600])
def test_bfloat16_stays_and_is_near(keys):
    torch.manual_seed(2)
    q, k, v = draw((2, 3), 17, keys, 64, 64)
    low = attention(q.bfloat16(), k.bfloat16(), v.bfloat16())
    assert low.dtype == torch.bfloat16
    assert_close(low.float(), attention(q, k, v), rtol=0, atol=0.03)


def test_under_autocast_it_is_near():
    torch.manual_seed(3)
    layer, x = MultiHeadSelfAttention(dim=32, num_heads=4), torch.randn(2, 9, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = layer(x)
    assert low.dtype == torch.bfloat16
    assert_close(low.float(), layer(x), rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("device", "dtype", "keys", "fused"),
    [
        ("cpu", torch.bfloat16, 1024, False),
        ("cpu", torch.bfloat16, 1025, True),
        ("cpu", torch.bfloat16, 2, False),
        ("cpu", torch.float32, 2, True),
        ("meta", torch.bfloat16, 65, True),
    ],
)
def test_the_choice(device, dtype, keys, fused, monkeypatch):
    calls = []
    kernel = F.scaled_dot_product_attention
    monkeypatch.setattr(
        ours.F, "scaled_dot_product_attention", lambda *a, **b: (calls.append(1), kernel(*a, **b))[1], raising=True
    )
    out = attention(*(part.to(dtype) for part in draw((2,), 3, keys, 4, 4, device=device)))
    assert out.shape == (2, 3, 4) and bool(calls) == fused


def random_weights(module):
    for p in module.parameters():
        nn.init.uniform_(p, -0.5, 0.5)
    return module.eval()


@pytest.mark.parametrize(("B", "N", "dim", "heads"), [(2, 5, 12, 3), (3, 1, 6, 2), (1, 7, 8, 1), (2, 3, 8, 8)])
def test_parity_with_torchs_module(B, N, dim, heads):
    torch.manual_seed(4)
    layer = random_weights(MultiHeadSelfAttention(dim=dim, num_heads=heads))
    theirs = nn.MultiheadAttention(dim, heads, batch_first=True).eval()
    names = {"in_proj_weight": "qkv.weight", "in_proj_bias": "qkv.bias"}
    names |= {"out_proj.weight": "proj.weight", "out_proj.bias": "proj.bias"}
    theirs.load_state_dict({new: layer.state_dict()[old] for new, old in names.items()})
    x = torch.randn(B, N, dim)
    output, weights = theirs(x, x, x, average_attn_weights=False)
    assert output.std() > 0.1
    assert_close(layer(x), output)
    assert_close(attention_weights(*layer.split_heads(x)[:2]), weights)
    allowed = torch.ones(N, N, dtype=torch.bool).tril()
    assert_close(layer(x, allowed), theirs(x, x, x, attn_mask=~allowed, need_weights=False)[0])


@pytest.mark.parametrize("options", [{}, {"qkv_bias": False}, {"head_dim": 7}])
def test_parity_with_timm(options):
    timm = pytest.importorskip("timm")
    torch.manual_seed(5)
    layer = random_weights(MultiHeadSelfAttention(dim=12, num_heads=3, **options))
    theirs = timm.layers.Attention(
        12, num_heads=3, qkv_bias=options.get("qkv_bias", True), attn_head_dim=options.get("head_dim")
    ).eval()
    theirs.load_state_dict(layer.state_dict())
    x = torch.randn(2, 5, 12)
    assert_close(layer(x), theirs(x))


def test_head_dim_is_vit_pytorchs_dim_head():
    torch.manual_seed(6)
    theirs = random_weights(TheirAttention(10, heads=3, dim_head=7))
    layer = MultiHeadSelfAttention(dim=10, num_heads=3, head_dim=7, qkv_bias=False).eval()
    assert (layer.qkv.weight.shape, layer.proj.weight.shape) == ((63, 10), (10, 21))
    old = theirs.state_dict()
    new = {"qkv.weight": "to_qkv.weight", "proj.weight": "to_out.0.weight", "proj.bias": "to_out.0.bias"}
    layer.load_state_dict({name: old[other] for name, other in new.items()})
    x = torch.randn(2, 5, 10)
    assert_close(layer(theirs.norm(x)), theirs(x))


@pytest.mark.parametrize(("dim", "heads"), [(12, 3), (192, 3), (768, 12)])
def test_parameters_by_formula(dim, heads):
    count = sum(p.numel() for p in MultiHeadSelfAttention(dim=dim, num_heads=heads).parameters())
    assert count == 4 * dim**2 + 4 * dim


def test_tokens_stay_apart_until_they_attend():
    """q, k and v of a token depend on it alone; permuted tokens give permuted outputs; images do not meet."""
    torch.manual_seed(7)
    layer = random_weights(MultiHeadSelfAttention(dim=12, num_heads=3))
    x = torch.randn(2, 5, 12)
    y = x.clone()
    y[0, 3] += 1
    for old, new in zip(layer.split_heads(x), layer.split_heads(y), strict=True):
        same = (old == new).all(dim=(1, 3))  # (B, N)
        assert not same[0, 3] and int(same.sum()) == 9
    order = torch.tensor([3, 0, 4, 1, 2])
    assert_close(layer(x[:, order]), layer(x)[:, order])
    assert_close(layer(y)[1], layer(x)[1])
    assert not torch.isclose(layer(y)[0], layer(x)[0]).all(-1).any(), "a changed token is felt by all"


def test_one_token_gives_its_own_value():
    layer = random_weights(MultiHeadSelfAttention(dim=6, num_heads=2))
    x = torch.randn(3, 1, 6)
    assert_close(layer(x), layer.proj(layer.qkv(x)[..., 12:]))


def test_no_gradient_is_lost():
    torch.manual_seed(8)
    layer, x = MultiHeadSelfAttention(dim=6, num_heads=2), torch.randn(2, 4, 6, requires_grad=True)
    layer(x).square().sum().backward()
    found = {"x": x.grad} | {name: p.grad for name, p in layer.named_parameters()}
    found |= dict(zip("qkv", layer.qkv.weight.grad.chunk(3), strict=True))
    assert all(grad.abs().max() > 1e-6 for grad in found.values()), found


def test_a_causal_mask_lets_no_token_see_ahead():
    layer, x = random_weights(MultiHeadSelfAttention(dim=6, num_heads=2)), torch.randn(1, 5, 6)
    y = x.clone()
    y[:, 3] += 1
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    assert_close(layer(y, causal)[:, :3], layer(x, causal)[:, :3], rtol=0, atol=0)
    assert not torch.allclose(layer(y)[:, :3], layer(x)[:, :3])


@pytest.mark.parametrize("keys", [100, 600])
def test_dropout_of_weights_drops_the_share_and_keeps_the_mean(keys):
    torch.manual_seed(9)
    q, k = torch.zeros(1, 200, 4), torch.zeros(1, keys, 4)  # even weights, 1 / keys
    out = attention(q, k, torch.eye(keys)[None], dropout=0.25) * keys
    assert abs((out == 0).float().mean() - 0.25) < 0.02
    assert_close(out[out != 0], torch.full_like(out[out != 0], 4 / 3))


@pytest.mark.parametrize("which", ["attention_dropout", "dropout"])
def test_dropout_only_in_training(which):
    torch.manual_seed(10)
    layer, x = MultiHeadSelfAttention(dim=8, num_heads=2, **{which: 0.5}), torch.randn(2, 6, 8)
    plain = MultiHeadSelfAttention(dim=8, num_heads=2)
    plain.load_state_dict(layer.state_dict())
    assert_close(layer.eval()(x), plain(x))
    layer.train()
    assert not torch.allclose(layer(x), layer(x))
    zeros = (layer(x) == 0).float().mean()
    assert (0.3 < zeros < 0.7) if which == "dropout" else zeros == 0


def test_errors():
    with pytest.raises(ValueError, match="dim 10 is not a multiple of num_heads 4: use num_heads=5, or give head_dim"):
        MultiHeadSelfAttention(dim=10, num_heads=4)
    with pytest.raises(ValueError, match="num_heads 0: use num_heads=1"):
        MultiHeadSelfAttention(dim=10, num_heads=0, head_dim=4)
    with pytest.raises(TypeError):
        MultiHeadSelfAttention(10, 2)
    assert MultiHeadSelfAttention(dim=10, num_heads=4, head_dim=3)(torch.zeros(1, 2, 10)).shape == (1, 2, 10)
    for keys in (3, 600):
        q, k, v = draw((), 2, keys, 4, 4)
        with pytest.raises(ValueError, match=r"mask is torch.float32: give a boolean one, True where a query may look"):
            attention(q, k, v, mask=torch.zeros(2, keys))


def test_exercises_accept_einops():
    def split(x, num_heads):
        return rearrange(x, "b n (h d) -> b h n d", h=num_heads)

    def merge(x):
        return rearrange(x, "b h n d -> b n (h d)")

    class Whole(nn.Module):
        def __init__(self, dim, num_heads):
            super().__init__()
            self.h, self.qkv, self.proj = num_heads, nn.Linear(dim, dim * 3), nn.Linear(dim, dim)

        def forward(self, x):
            q, k, v = rearrange(self.qkv(x), "b n (three h d) -> three b h n d", three=3, h=self.h)
            weights = torch.softmax(einsum(q, k, "b h i d, b h j d -> b h i j") / q.shape[-1] ** 0.5, -1)
            return self.proj(merge(weights @ v))

    for name, answer in (("split_heads", split), ("merge_heads", merge), ("SelfAttentionFromScratch", Whole)):
        assert examine(name, answer).status == "solved"


def test_the_exercise_is_the_packages_module():
    class Wrapped(nn.Module):
        def __init__(self, dim, num_heads):
            super().__init__()
            made = MultiHeadSelfAttention(dim=dim, num_heads=num_heads)
            self.qkv, self.proj, self.made = made.qkv, made.proj, [made]

        def forward(self, x):
            return self.made[0](x)

    assert examine("SelfAttentionFromScratch", Wrapped).status == "solved"
