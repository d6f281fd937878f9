"""The small VGG: its shapes, its size, its start, and what it says to images that do not fit."""

import math

import pytest
import torch
from torch import nn

from vit_course.models.small_vgg import SmallVGG, SmallVGGConfig


def net(**changes):
    torch.manual_seed(0)
    return SmallVGG(SmallVGGConfig(**changes))


def test_shapes_at_32_pixels_and_others():
    model = net().eval()
    assert model.features(torch.zeros(2, 3, 32, 32)).shape == (2, 192, 4, 4)
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert model(torch.zeros(2, 3, 8, 24)).shape == (2, 10)
    assert net(stem_kernel=2).eval().features(torch.zeros(2, 3, 32, 32)).shape == (2, 192, 3, 3)
    assert net(stem_kernel=2).eval()(torch.zeros(2, 3, 9, 24)).shape == (2, 10)
    assert net(widths=(8, 9), in_channels=1, num_classes=3)(torch.zeros(2, 1, 4, 4)).shape == (2, 3)


def test_parameters_counted_by_hand():
    expected, inputs = 3 * 24 * 9 + 24, 24
    for width in (48, 128, 192):
        expected += 9 * inputs * width + 9 * width * width + 4 * width  # two kernels, two batch norms
        inputs = width
    expected += 192 * 10 + 10
    assert sum(p.numel() for p in net().parameters()) == expected == 790_890


def test_the_head_reads_each_channels_maximum():
    model, images = net().eval(), torch.randn(2, 3, 32, 32)
    highest = model.features(images).flatten(2).max(dim=2).values
    torch.testing.assert_close(model(images), model.head(highest))


def test_every_parameter_gets_a_gradient():
    model = net()
    model(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_start_keeps_the_scale():
    """Kernels have the variance 2 / inputs, and untrained losses are of the size of ln 10."""
    model = net()
    for conv in (m for m in model.modules() if isinstance(m, nn.Conv2d)):
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / conv.weight[0].numel()), rel=0.12)
    loss = nn.functional.cross_entropy(model(torch.randn(256, 3, 32, 32)), torch.arange(256) % 10)
    assert math.log(10) - 0.1 < loss.item() < math.log(10) + 1.0


def test_running_statistics_forget_at_the_configured_pace():
    model = net(momentum=1.0)
    images = torch.randn(8, 3, 32, 32) + 1
    model(images)
    before = model.stages[0][1](model.stages[0][0](model.stem(images)))  # what the first norm sees
    torch.testing.assert_close(model.stages[0][2].running_mean, before.mean(dim=(0, 2, 3)))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 1, 32, 32), r"built for \(B, 3, H, W\): build it with in_channels=1"),
        (torch.zeros(3, 32, 32), "give it a batch of images"),
        (torch.zeros(2, 3, 32, 7), "image size 7 is too small, 3 poolings halve it to nothing: use 8 or more"),
    ],
)
def test_images_that_do_not_fit_are_named(images, message):
    with pytest.raises(ValueError, match=message):
        net()(images)


def test_a_stem_of_two_pixels_needs_one_pixel_more():
    with pytest.raises(ValueError, match="image size 8 is too small, 3 poolings halve it to nothing: use 9 or more"):
        net(stem_kernel=2)(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match="stem_kernel is 4: give 2 or 3"):
        net(stem_kernel=4)


@pytest.mark.parametrize("wrong", [{"widths": ()}, {"widths": (8, 0)}, {"stem": 0}])
def test_a_configuration_without_channels_is_named(wrong):
    with pytest.raises(ValueError, match="give one or more channels, stage by stage"):
        SmallVGGConfig(**wrong)
