"""Grad-CAM equals captum's, equals CAM where CAM exists, and refuses what it cannot explain."""

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from vit_course.interpret.gradcam import grad_cam


@pytest.fixture
def model():
    """A small VGG: batch norm with statistics of its own, in-place ReLUs, a head that sees positions."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, 7, 3, padding=1), nn.BatchNorm2d(7), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
        *(nn.Conv2d(7, 5, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(5 * 4 * 6, 4)),
    )
    for tensor in (*model[1].parameters(), model[1].running_mean, model[1].running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)
    return model.eval()


@pytest.fixture
def images():
    return torch.randn(6, 3, 12, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("layer", ["0", "1", "2", "3", "4", "5"])
@pytest.mark.parametrize("targets", [None, 2, [3, 0, 1, 1, 2, 0]], ids=["predicted", "one class", "one each"])
def test_equals_captums(model, images, layer, targets):
    targets = torch.tensor(targets) if isinstance(targets, list) else targets
    ours = grad_cam(model, images, layer, targets)
    captums = model(images).argmax(dim=1) if targets is None else targets
    theirs = LayerGradCam(model, model[int(layer)]).attribute(images, captums, relu_attributions=True)
    assert ours.shape == (6, *theirs.shape[2:]) and ours.max() > 0 and not ours.requires_grad
    torch.testing.assert_close(ours, theirs[:, 0], atol=1e-6, rtol=1e-5)


def test_equals_cam_where_a_linear_layer_reads_pooled_maps(images):
    """Section 3.1 of the paper: with global average pooling alpha is the linear layer's weight, divided by Z."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 4)).eval()
    maps = model[:2](images)
    cam = torch.einsum("k,bkhw->bhw", model[4].weight[3], maps).relu() / maps[0, 0].numel()
    assert cam.max() > 0
    torch.testing.assert_close(grad_cam(model, images, "1", 3), cam.detach())


def test_an_images_map_does_not_depend_on_its_batch(model, images):
    alone = torch.cat([grad_cam(model, image[None], "5") for image in images])
    torch.testing.assert_close(grad_cam(model, images, "5"), alone)


def test_works_frozen_and_without_gradients_and_leaves_the_model_alone(model, images):
    expected = grad_cam(model, images, "5")
    assert all(parameter.grad is None for parameter in model.parameters()) and not images.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(grad_cam(model.requires_grad_(False), images, "5"), expected)
    assert not any(module._forward_hooks for module in model.modules())


def test_what_cannot_be_explained_is_refused(model, images):
    with pytest.raises(ValueError, match=r"6 gives \(6, 120\), no feature maps \(B, K, h, w\): name a convolution"):
        grad_cam(model, images, "6")
    with pytest.raises(ValueError, match="no module 'conv'"):
        grad_cam(model, images, "conv")
    with pytest.raises(ValueError, match=r"call model.eval\(\) first"):
        grad_cam(model.train(), images, "5")
