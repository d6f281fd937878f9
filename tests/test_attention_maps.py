"""Attention maps: the model's own weights, rollout and distance on cases worked by hand."""

import pytest
import torch
from torch import nn

from vit_course.interpret import attention_maps as looking
from vit_course.models.vit import ViT, ViTConfig


def build(**changes):
    torch.manual_seed(0)
    settings = {"image_size": (8, 12), "patch_size": (4, 2), "num_classes": 5, "dim": 12, "depth": 3, "num_heads": 2}
    model = ViT(ViTConfig(**(settings | changes))).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


@pytest.fixture
def images():
    return torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(1))


def test_maps_are_the_weights_that_the_model_uses(images):
    model = build()
    maps = looking.attention_maps(model, images)
    assert maps.shape == (3, 2, 2, 13, 13)
    torch.testing.assert_close(maps.sum(-1), torch.ones(3, 2, 2, 13))
    x = model.embed(images)
    for i, block in enumerate(model.blocks):
        y = block.norm1(x)
        _, _, v = block.attn.split_heads(y)
        mixed = (maps[i] @ v).transpose(1, 2).flatten(2)
        torch.testing.assert_close(block.attn.proj(mixed), block.attn(y))
        x = block(x)


def test_maps_agree_with_pytorchs_own_module(images):
    model = build(depth=1)
    ours = model.blocks[0].attn
    theirs = nn.MultiheadAttention(12, 2, batch_first=True).eval()
    theirs.in_proj_weight, theirs.in_proj_bias = ours.qkv.weight, ours.qkv.bias
    x = model.blocks[0].norm1(model.embed(images))
    _, weights = theirs(x, x, x, average_attn_weights=False)
    torch.testing.assert_close(looking.attention_maps(model, images)[0], weights)


def test_nothing_stays_on_the_model_and_its_answer_is_the_same(images):
    model = build()
    before = model(images)
    looking.attention_maps(model, images)
    assert torch.equal(model(images), before)
    assert not any(module._forward_hooks for module in model.modules())


def test_rollout_by_hand():
    """Two tokens, two layers. Layer 1: both look at token 0. Layer 2: token 0 looks at 1, and 1 at itself."""
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    second = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    maps = torch.stack([first, second])[:, None, None]
    # with the residual: [[1, 0], [.5, .5]], then [[.5, .5], [0, 1]]
    expected = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    assert torch.equal(looking.rollout(maps)[0], expected)


def test_rollout_averages_heads_and_keeps_rows(images):
    maps = looking.attention_maps(build(), images)
    rolled = looking.rollout(maps)
    assert rolled.shape == (2, 13, 13)
    torch.testing.assert_close(rolled.sum(-1), torch.ones(2, 13))
    torch.testing.assert_close(looking.rollout(maps.mean(2, keepdim=True)), rolled)


def test_distance_by_hand():
    """A grid of 1×3 patches of 4×2 pixels, a class token before them; head 0 looks at itself, head 1 at patch 0."""
    maps = torch.zeros(1, 1, 2, 4, 4)
    maps[0, 0, 0] = torch.eye(4)
    maps[0, 0, 1, :, 0] = 0.5  # half of the weight lies on the class token and does not count
    maps[0, 0, 1, :, 1] = 0.5
    assert looking.attention_distance(maps, (1, 3), (4, 2)).tolist() == [[0, 2]]  # (0 + 2 + 4) / 3


def test_distance_knows_rows_from_columns():
    maps = torch.zeros(1, 1, 1, 6, 6)
    maps[..., 1] = 1  # everyone looks at the second patch of 2×3, in the middle of the first row
    across = [-1, 0, 1]
    expected = sum((down**2 + (5 * right) ** 2) ** 0.5 for down in (0, 10) for right in across) / 6
    assert looking.attention_distance(maps, (2, 3), (10, 5)).item() == pytest.approx(expected)
    with pytest.raises(ValueError, match="6 tokens"):
        looking.attention_distance(maps, (3, 3), 4)


def test_a_patch_map_leaves_the_class_token_out():
    assert looking.patch_map(torch.arange(7), (2, 3)).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("changes", [{}, {"pool": "mean"}, {"pool": "attention"}, {"norm_pre": True}])
def test_prediction_by_layer_ends_in_the_answer(images, changes):
    model = build(**changes)
    logits = looking.predictions_by_layer(model, images)
    assert logits.shape == (4, 2, 5)
    torch.testing.assert_close(logits[-1], model(images))
    for layer in (0, 1):
        short = build(**changes)
        short.blocks = short.blocks[:layer]
        torch.testing.assert_close(logits[layer], short(images))


def test_position_similarity(images):
    model = build()
    found = looking.position_similarity(model)
    assert found.shape == (2, 6, 2, 6)
    a, b = model.pos_embed[0, 1 + 1 * 6 + 2], model.pos_embed[0, 1 + 4]
    assert found[1, 2, 0, 4].item() == pytest.approx(torch.cosine_similarity(a, b, dim=0).item(), abs=1e-6)
    assert found[1, 2, 1, 2].item() == pytest.approx(1, abs=1e-6)


def test_bad_models_are_named(images):
    with pytest.raises(ValueError, match=r"model\.eval"):
        looking.attention_maps(build().train(), images)
    with pytest.raises(ValueError, match=r"model\.eval"):
        looking.predictions_by_layer(build().train(), images)
    with pytest.raises(ValueError, match="Linear has no attention layer"):
        looking.attention_maps(nn.Linear(2, 2).eval(), images)
