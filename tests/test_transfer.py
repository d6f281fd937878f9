"""A trained network for another task."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from vit_course.models.small_vgg import SmallVGG, SmallVGGConfig
from vit_course.models.vit import ViT, ViTConfig
from vit_course.training.loop import train_one_epoch
from vit_course.training.optim import adamw
from vit_course.training.transfer import freeze, head_inputs, layer_groups, layer_of, linear_probe, with_new_head

IMAGES, LABELS = torch.randn(6, 3, 16, 16), torch.tensor([0, 1, 2, 0, 1, 2])


def vgg():
    torch.manual_seed(0)
    model = SmallVGG(SmallVGGConfig(num_classes=5, stem=4, widths=(6, 8)))
    model(IMAGES)  # so that running statistics are no round numbers
    return model.eval()


def vit(depth=2, **changes):
    torch.manual_seed(0)
    config = ViTConfig(image_size=16, patch_size=8, num_classes=5, dim=12, depth=depth, num_heads=2, **changes)
    return ViT(config).eval()


both = pytest.mark.parametrize("build", [vgg, vit])


@both
def test_head_inputs_are_what_the_head_reads_and_leave_nothing_behind(build):
    model = build().train()
    before = copy.deepcopy(model.state_dict())
    features, labels = head_inputs(model, [(IMAGES[:4], LABELS[:4]), (IMAGES[4:], LABELS[4:])])
    assert_close(model.head(features), model(IMAGES))
    assert_close(labels, LABELS)
    assert not features.requires_grad and not model.training and not model.head._forward_pre_hooks
    assert_close(model.state_dict(), before)
    with pytest.raises(ValueError, match="there is no batch"):
        head_inputs(model, [])


def test_head_inputs_take_their_hook_away_after_an_error():
    model = vit()
    with pytest.raises(ValueError):
        head_inputs(model, [(torch.randn(1, 3, 20, 20), LABELS[:1])])
    assert not model.head._forward_pre_hooks


def test_linear_probe_is_the_minimum_and_reads_the_features_as_they_are():
    torch.manual_seed(0)
    labels = torch.arange(60) % 3
    features = torch.randn(60, 4) * torch.tensor([1.0, 30, 0.1, 0]) + torch.tensor([0, 5.0, -2, 0.7])
    assert features[:, 3].std(correction=0) > 0, "the mean of 60 equal numbers is rounded"
    features[:, 0] += labels
    head = linear_probe(features, labels, 3, weight_decay=0.01)
    assert_close(head.weight[:, 3].detach(), torch.zeros(3), rtol=0, atol=1e-5)  # a constant says nothing
    mean, std = features.mean(0), features.std(0, correction=0)
    std = torch.where(std > 1e-5, std, 1.0)
    x = (features - mean) / std
    weight = (head.weight * std).detach().requires_grad_()
    bias = (head.bias + head.weight @ mean).detach().requires_grad_()
    assert_close(x @ weight.T + bias, head(features), rtol=0, atol=1e-3)
    (F.cross_entropy(x @ weight.T + bias, labels) + 0.005 * weight.square().sum()).backward()
    assert weight.grad.abs().max() < 1e-3 and bias.grad.abs().max() < 1e-3, "not at the minimum"


def test_linear_probe_equals_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    torch.manual_seed(0)
    features, labels = torch.randn(16, 5), torch.randint(3, (16,))
    x = (features - features.mean(0)) / features.std(0, correction=0)
    theirs = linear_model.LogisticRegression(C=1 / (0.02 * 16), tol=1e-8, max_iter=1000).fit(x, labels)
    ours = linear_probe(features, labels, 3, weight_decay=0.02)(features).softmax(dim=1)
    assert_close(ours.detach().double(), torch.tensor(theirs.predict_proba(x)).double(), rtol=0, atol=5e-4)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(4, dtype=torch.int64), "give .N, D. and .N,."),
        (torch.zeros(3, 2), torch.tensor([0, 1, 3]), "classes are 0 to 2"),
        (torch.zeros(3, 2), torch.tensor([0, -1, 2]), "classes are 0 to 2"),
    ],
)
def test_linear_probe_refuses(features, labels, message):
    with pytest.raises(ValueError, match=message):
        linear_probe(features, labels, 3)


@both
def test_a_new_head_leaves_the_old_network_alone(build):
    model = build().double().requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    new = with_new_head(model, 3)
    assert new.head.weight.shape == (3, model.head.in_features) and new.head.weight.dtype == torch.float64
    assert not new.head.weight.any() and not new.head.bias.any()
    assert new.head.weight.requires_grad and not new.training
    assert (new.config.num_classes, model.config.num_classes) == (3, 5)
    with torch.no_grad():
        for p in new.parameters():
            p += 1
    assert_close(model.state_dict(), before)
    with pytest.raises(ValueError, match="num_classes is 0"):
        with_new_head(model, 0)
    with pytest.raises(ValueError, match="the head of Identity is NoneType"):
        with_new_head(nn.Identity(), 3)


def test_a_vit_with_a_new_head_can_be_resized():
    assert with_new_head(vit(), 3).resized(32)(torch.randn(2, 3, 32, 32)).shape == (2, 3)


@both
def test_only_the_head_of_a_frozen_network_learns(build):
    model = freeze(with_new_head(build(), 3))
    before = copy.deepcopy(model.state_dict())
    batches = [(IMAGES, LABELS)] * 3
    train_one_epoch(model, batches, adamw(model, 0.1))
    changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    assert changed == ["head.weight", "head.bias"]
    assert_close(model.train()(IMAGES), model.eval()(IMAGES))


def test_freezing_can_be_taken_back_in_part_and_copied():
    model = copy.deepcopy(freeze(freeze(vgg()), but=("stages.1", "head")))
    assert not any(p.requires_grad for p in (*model.stem.parameters(), *model.stages[0].parameters()))
    assert all(p.requires_grad for p in (*model.stages[1].parameters(), *model.head.parameters()))
    before = copy.deepcopy(model.state_dict())
    model.train()(IMAGES)
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved and all(name.startswith("stages.1.") for name in moved)
    with pytest.raises(ValueError, match="has no 'heads'"):
        freeze(model, but=("heads",))


def test_layers_are_counted_from_the_images():
    names = ["cls_token", "pos_embed", "patch_embed.proj.bias", "blocks.0.norm1.weight", "blocks.10.mlp.fc1.bias"]
    assert [layer_of(name, 12) for name in names] == [0, 0, 0, 1, 11]
    assert [layer_of(name, 12) for name in ("norm.weight", "head.bias")] == [13, 13]
    assert [layer_of(name, 3) for name in ("stem.0.weight", "stages.2.0.weight", "head.weight")] == [0, 3, 4]


@pytest.mark.parametrize("model", [vgg(), vit(depth=11)], ids=["vgg", "vit"])
def test_every_parameter_has_the_rate_of_its_layer_once(model):
    model.head.bias.requires_grad = False
    groups = layer_groups(model, 0.1, decay=0.5, weight_decay=0.3)
    depth = len(model.blocks if hasattr(model, "blocks") else model.stages)
    found = {id(p): group for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(found)
    for name, p in model.named_parameters():
        if name == "head.bias":
            assert id(p) not in found
            continue
        assert found[id(p)]["lr"] == pytest.approx(0.1 * 0.5 ** (depth + 1 - layer_of(name, depth)))
        kept = p.ndim < 2 or name in ("cls_token", "pos_embed")
        assert found[id(p)]["weight_decay"] == (0.0 if kept else 0.3), name


def test_layer_groups_refuse():
    with pytest.raises(ValueError, match="neither blocks nor stages"):
        layer_groups(nn.Linear(2, 2), 0.1)
    with pytest.raises(ValueError, match="decay is 0"):
        layer_groups(vit(), 0.1, decay=0)
