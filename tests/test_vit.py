"""The Vision Transformer: counts, names, what is computed, and what is refused."""

import dataclasses
import math
from itertools import pairwise

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from vit_course.models.blocks import DropPath, EncoderBlock, QuickGELU
from vit_course.models.positions import resize_positions, sine_positions
from vit_course.models.vit import ViT, ViTConfig
from vit_course.training.optim import parameter_groups

# name -> parameters, and the name in timm, where it has one.
PUBLISHED = {
    "ViT-Ti/16": (5_717_416, "vit_tiny_patch16_224"),
    "ViT-Ti/32": (6_131_560, None),
    "ViT-S/16": (22_050_664, "vit_small_patch16_224"),
    "ViT-S/32": (22_878_952, "vit_small_patch32_224"),
    "ViT-B/16": (86_567_656, "vit_base_patch16_224"),
    "ViT-B/32": (88_224_232, "vit_base_patch32_224"),
    "ViT-L/16": (304_326_632, "vit_large_patch16_224"),
    "ViT-L/32": (306_535_400, "vit_large_patch32_224"),
}
SMALL = ViTConfig(image_size=(8, 12), patch_size=(4, 2), in_channels=2, num_classes=5, dim=24, depth=3, num_heads=4)
WIDE = dataclasses.replace(SMALL, dim=256, num_classes=100)


def count(model):
    return sum(p.numel() for p in model.parameters())


def shapes(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def small(seed=0, **changes):
    """A small ViT in eval mode whose every parameter is random, so that a part left out shows."""
    torch.manual_seed(seed)
    model = ViT(dataclasses.replace(SMALL, **changes)).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.2)
    return model


def images(count=3, channels=2, size=(8, 12)):
    return torch.randn(count, channels, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts_and_timms_names(name):
    parameters, timms = PUBLISHED[name]
    with torch.device("meta"):
        model = ViT(ViTConfig.published(name))
        assert count(model) == parameters
        if timms is not None:
            theirs = timm.create_model(timms, pretrained=False, num_classes=1000)
            assert list(shapes(model).items()) == list(shapes(theirs).items())


def test_published_takes_changes():
    config = ViTConfig.published("ViT-S/32", num_classes=10, image_size=(64, 96), drop_path=0.1)
    assert (config.dim, config.depth, config.num_heads) == (384, 12, 6)
    assert (config.grid, config.num_tokens, config.num_classes, config.drop_path) == ((2, 3), 7, 10, 0.1)
    assert ViTConfig.published("ViT-B/16") == ViTConfig()


@pytest.mark.parametrize("pool", ["cls", "mean", "attention"])
@pytest.mark.parametrize("positions", ["learned", "sine", "none"])
@pytest.mark.parametrize("norm_pre", [False, True])
def test_every_form_computes_the_four_equations(pool, positions, norm_pre):
    """Against plain lines that use blocks and pooling, which have tests of their own, and nothing else of the class."""
    model, x = small(pool=pool, positions=positions, norm_pre=norm_pre, norm_eps=1e-3), images()
    assert model.config.grid == (2, 6)
    weight = model.patch_embed.proj.weight.flatten(1)  # (D, C·P·Q)
    tokens = F.unfold(x, (4, 2), stride=(4, 2)).transpose(1, 2) @ weight.T + model.patch_embed.proj.bias
    where = torch.zeros(1, 12, 24)
    if positions == "sine":
        where = sine_positions((2, 6), 24)
    elif positions == "learned":
        where = model.pos_embed[:, -12:]
    tokens = tokens + where
    if pool == "cls":
        first = model.cls_token + (model.pos_embed[:, :1] if positions == "learned" else 0)
        tokens = torch.cat([first.expand(3, 1, 24), tokens], dim=1)
    if norm_pre:
        tokens = F.layer_norm(tokens, (24,), model.norm_pre.weight, model.norm_pre.bias, 1e-3)
    assert_close(model.embed(x), tokens)
    for block in model.blocks:
        tokens = block(tokens)
    tokens = F.layer_norm(tokens, (24,), model.norm.weight, model.norm.bias, 1e-3)
    assert_close(model.features(x), tokens)
    vector = {"cls": tokens[:, 0], "mean": tokens.mean(1)}.get(pool)
    if pool == "attention":
        assert (model.attn_pool.norm.eps, model.attn_pool.num_heads) == (1e-3, 4)
        vector = model.attn_pool(tokens)
    assert_close(model.pool(tokens), vector)
    assert_close(model.pooled(x), vector)
    assert_close(model(x), vector @ model.head.weight.T + model.head.bias)
    assert model(x).shape == (3, 5)


def test_what_is_a_parameter_depends_on_the_form():
    def names(**changes):
        return {name for name in shapes(small(**changes)) if "." not in name}

    assert names() == {"cls_token", "pos_embed"}
    assert names(pool="mean") == names(pool="attention") == {"pos_embed"}
    assert names(positions="sine") == {"cls_token"}
    assert names(pool="mean", positions="none") == set()
    assert shapes(small())["pos_embed"] == (1, 13, 24)
    assert shapes(small(pool="mean"))["pos_embed"] == (1, 12, 24)
    assert isinstance(small(num_classes=0).head, nn.Identity)
    assert small(num_classes=0)(images()).shape == (3, 24)
    assert small(qkv_bias=False).blocks[2].attn.qkv.bias is None
    assert isinstance(small(activation="quick_gelu").blocks[2].mlp.act, QuickGELU)
    assert shapes(small(mlp_ratio=1.5))["blocks.1.mlp.fc1.weight"] == (36, 24)
    pooled = small(pool="attention", mlp_ratio=1.5, activation="quick_gelu")
    assert shapes(pooled)["attn_pool.mlp.fc1.weight"] == (36, 24) and shapes(pooled)["pos_embed"] == (1, 12, 24)
    assert isinstance(pooled.attn_pool.mlp.act, QuickGELU)
    assert small(patch_bias=False).patch_embed.proj.bias is None
    assert not any("norm_pre" in name or "attn_pool" in name for name in shapes(small()))


@pytest.mark.parametrize("changes", [
    {}, {"pool": "mean"}, {"positions": "sine"}, {"activation": "quick_gelu"},
    {"pool": "attention"}, {"norm_pre": True, "patch_bias": False},
])  # fmt: skip
def test_every_parameter_gets_a_gradient(changes):
    model = small(**changes).train()
    F.cross_entropy(model(images()), torch.tensor([0, 3, 4])).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_initial_weights():
    torch.manual_seed(0)
    model = ViT(WIDE)
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            assert not p.any(), name
        elif "norm" in name:
            assert (p == 1).all(), name
        else:
            assert p.std().item() == pytest.approx(0.02, rel=0.15), name
            assert p.abs().max() <= 2, name


@pytest.mark.parametrize("pool", ["cls", "mean", "attention"])
def test_the_first_loss_is_that_of_guessing(pool):
    torch.manual_seed(0)
    model = ViT(dataclasses.replace(WIDE, pool=pool)).eval()
    loss = F.cross_entropy(model(images(50)), torch.arange(50) * 2).item()
    assert math.log(100) - 0.1 < loss < math.log(100) + 0.15


@pytest.mark.parametrize(("positions", "pool", "sees_order"), [
    ("none", "cls", False), ("none", "mean", False), ("sine", "cls", True), ("learned", "mean", True),
])  # fmt: skip
def test_without_positions_the_order_of_patches_does_not_matter(positions, pool, sees_order):
    model, x = small(positions=positions, pool=pool), images()
    swapped = x.clone()
    swapped[:, :, :4, 2:4], swapped[:, :, 4:, 8:10] = x[:, :, 4:, 8:10], x[:, :, :4, 2:4]  # two whole patches
    apart = (model(swapped) - model(x)).abs().max().item()
    assert apart > 1e-2 if sees_order else apart < 1e-5


def test_the_answer_depends_on_every_patch_and_channel():
    model, x = small(), images().requires_grad_()
    model(x).square().sum().backward()
    assert (x.grad.abs() > 0).all()


def test_dropout_and_drop_path():
    model = small(depth=4, dropout=0.1, attention_dropout=0.2, drop_path=0.3)
    rates = [block.drop_path.p for block in model.blocks]
    assert rates[0] == 0 and rates[-1] == pytest.approx(0.3)
    assert all(b - a == pytest.approx(0.1) for a, b in pairwise(rates))
    assert small(depth=1, drop_path=0.3).blocks[0].drop_path.p == 0
    assert model.pos_drop.p == 0.1 and {block.attn.attention_dropout for block in model.blocks} == {0.2}
    for block in model.blocks:
        assert block.attn.dropout.p == block.mlp.dropout.p == 0.1
    x = images()
    assert torch.equal(model(x), model(x))  # eval mode: nothing is dropped
    plain = small(depth=4)
    plain.load_state_dict(model.state_dict())
    assert_close(model(x), plain(x))
    for part in ({"dropout": 0.3}, {"attention_dropout": 0.3}, {"drop_path": 0.5}):
        model = small(**part).train()
        assert not torch.equal(model(x), model(x)), part


def test_drop_path_keeps_the_mean_and_drops_whole_images():
    torch.manual_seed(0)
    layer, x = DropPath(0.25).train(), torch.ones(4000, 2, 3)
    y = layer(x)
    assert y.mean().item() == pytest.approx(1, abs=0.05)
    assert y.unique().tolist() == [0, pytest.approx(4 / 3)]
    assert torch.equal(y.amin((1, 2)), y.amax((1, 2)))
    assert torch.equal(layer.eval()(x), x)


def test_a_block_is_pre_norm_and_takes_a_mask():
    torch.manual_seed(0)
    block, x = EncoderBlock(dim=12, num_heads=3, mlp_ratio=2).eval(), torch.randn(2, 5, 12)
    middle = x + block.attn(block.norm1(x))
    assert_close(block(x), middle + block.mlp(block.norm2(middle)))
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    changed = x.clone()
    changed[:, 3] = x[:, 0]
    assert_close(block(changed, mask)[:, :3], block(x, mask)[:, :3])
    assert (block(changed)[:, :3] - block(x)[:, :3]).abs().max() > 1e-4


def test_weight_decay_leaves_out_tokens_biases_and_norms():
    model = small()
    assert model.no_weight_decay() == {"cls_token", "pos_embed"}
    decayed, plain = parameter_groups(model, 0.1)
    names = {id(p): name for name, p in model.named_parameters()}
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0)
    assert {names[id(p)].rsplit(".", 1)[-1] for p in decayed["params"]} == {"weight"}
    assert not any("norm" in names[id(p)] for p in decayed["params"])
    left_out = {names[id(p)] for p in plain["params"]}
    assert {"cls_token", "pos_embed", "norm.weight", "head.bias", "blocks.0.norm1.weight"} <= left_out
    assert len(decayed["params"]) + len(plain["params"]) == len(names)
    model = small(pool="attention", norm_pre=True)
    kept = {id(p) for p in parameter_groups(model, 0.1)[1]["params"]}
    assert {id(model.attn_pool.latent), id(model.norm_pre.weight), id(model.attn_pool.norm.weight)} <= kept
    assert id(model.attn_pool.q.weight) not in kept


@pytest.mark.parametrize("changes", [
    {}, {"pool": "mean"}, {"positions": "sine"}, {"positions": "none"}, {"pool": "attention"}, {"norm_pre": True},
])  # fmt: skip
def test_resized(changes):
    model = small(**changes)
    larger = model.resized((16, 20))
    assert larger.config == dataclasses.replace(model.config, image_size=(16, 20))
    assert larger(images(size=(16, 20))).shape == (3, 5)
    assert not larger.training and model.resized((8, 12)).train().resized(8).training
    for name, tensor in model.state_dict().items():
        if name == "pos_embed":
            tensor = resize_positions(tensor, (2, 6), (4, 10))
        assert torch.equal(larger.state_dict()[name], tensor), name
    assert_close(model.resized((8, 12))(images()), model(images()))
    if changes.get("positions") == "sine":
        assert_close(larger.pos_embed[:, 1:], sine_positions((4, 10), 24))
    assert model.config.image_size == (8, 12), "the original stays"
    assert model.double().resized((16, 20)).head.weight.dtype == torch.float64


def test_there_and_back_and_the_same_again():
    model, other = small(seed=0), small(seed=1)
    assert not torch.equal(model(images()), other(images()))
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(model(images()), other(images()))
    torch.manual_seed(5)
    first = ViT(SMALL)
    torch.manual_seed(5)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), ViT(SMALL).parameters(), strict=True))
    blocks = {id(p) for block in first.blocks for p in block.parameters()}
    assert len(blocks) == 3 * len(list(first.blocks[0].parameters())), "each block has weights of its own"


@pytest.mark.parametrize(("changes", "message"), [
    ({"image_size": 3}, "image_size 3 is not a multiple of patch_size 16: use 16"),
    ({"image_size": (224, 230)}, "image_size 230 is not a multiple of patch_size 16: use 224 or 240"),
    ({"patch_size": 0}, "0 is not a size"),
    ({"image_size": (224,)}, "is not a size"),
    ({"dim": 100}, "dim 100 is not a multiple of num_heads 12"),
    ({"num_heads": 0}, "num_heads is 0: use 1 or more"),
    ({"depth": 0}, "depth is 0: use 1 or more"),
    ({"dim": -8}, "dim is -8: use 1 or more"),
    ({"in_channels": 0}, "in_channels is 0: use 1 or more"),
    ({"num_classes": -1}, "num_classes is -1: use 0 or more"),
    ({"mlp_ratio": 0}, "mlp_ratio is 0, which leaves nothing of dim 768"),
    ({"dropout": 1.5}, "dropout is 1.5: it is a probability"),
    ({"attention_dropout": -0.1}, "attention_dropout is -0.1: it is a probability"),
    ({"drop_path": 1}, "drop_path is 1: it is a probability"),
    ({"pool": "max"}, "pool='max' is unknown: use one of cls, mean, attention"),
    ({"positions": "rope"}, "positions='rope' is unknown: use one of learned, sine, none"),
    ({"activation": "relu"}, "activation='relu' is unknown: use one of gelu, gelu_tanh, quick_gelu"),
    ({"positions": "sine", "dim": 30, "num_heads": 3}, "dim 30 is not a multiple of 4, .*: use 32"),
])  # fmt: skip
def test_a_config_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        ViTConfig(**changes)


@pytest.mark.parametrize("name", ["ViT-X/16", "vit_base_patch16_224", "ViT-B", "ViT-B/0", "ViT-B/-16", "ViT-B/16x", ""])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ValueError, match=rf"there is no '{name}': use ViT-{{Ti, S, B, L}}/16 or /32, as in ViT-B/16"):
        ViTConfig.published(name)


def test_an_unknown_field_is_named():
    with pytest.raises(TypeError, match="imagesize"):
        ViTConfig(imagesize=32)
    with pytest.raises(TypeError, match="heads"):
        ViTConfig.published("ViT-B/16", heads=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        ViTConfig().depth = 3


def test_wrong_images_are_refused():
    model = small()
    with pytest.raises(ValueError, match=r"images are \(3, 3, 8, 12\), but this network was built for \(B, 2, H, W\)"):
        model(images(channels=3))
    with pytest.raises(ValueError, match=r"images are 12×8, but this network was built for 8×12"):
        model(images(size=(12, 8)))
