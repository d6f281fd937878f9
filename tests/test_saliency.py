"""Saliency and occlusion find the patch that a model's answer depends on, and only that."""

import pytest
import torch
from captum.attr import Occlusion
from torch import nn

from vit_course.interpret.gradcam import grad_cam
from vit_course.interpret.saliency import class_scores, occlusion, saliency

ROWS, COLUMNS = slice(4, 8), slice(12, 16)  # the patch, in images of 16 × 20 pixels


class Watcher(nn.Module):
    """Class 1's logit is 3 × green + red of one patch, class 0's is that of the opposite sign; class 2's is 0."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Identity()

    def forward(self, images):
        patch = self.maps(images)[:, :, ROWS, COLUMNS].sum(dim=(2, 3))  # (B, C)
        score = patch[:, 0] + 3 * patch[:, 1]
        return torch.stack([-score, score, 0 * score], dim=1)


@pytest.fixture
def model():
    return Watcher().eval()


@pytest.fixture
def images():
    return torch.rand(3, 3, 16, 20, generator=torch.Generator().manual_seed(0)) + 0.5


def inside():
    mask = torch.zeros(16, 20, dtype=torch.bool)
    mask[ROWS, COLUMNS] = True
    return mask


def test_class_scores_are_the_targets_logits():
    logits = torch.tensor([[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])
    assert class_scores(logits).tolist() == [5.0, 4.0]
    assert class_scores(logits, 2).tolist() == [2.0, 3.0]
    assert class_scores(logits, torch.tensor([0, 1])).tolist() == [1.0, 0.0]
    with pytest.raises(ValueError, match="3 targets for 2 images: give one an image, or one for all"):
        class_scores(logits, torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="targets lie in 0…3: classes are 0 to 2"):
        class_scores(logits, torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="targets lie in -1…-1"):
        class_scores(logits, -1)


def test_saliency_is_the_largest_channels_gradient_in_the_patch_and_zero_elsewhere(model, images):
    for targets in (None, 0, 1):  # negative gradients count as much as positive ones
        assert torch.equal(saliency(model, images, targets), 3.0 * inside().expand(3, -1, -1))
    assert saliency(model, images, 2).abs().max() == 0


def test_occlusion_of_known_squares(model, images):
    """Squares of the patch's own size, side by side: one covers it wholly, the others not at all."""
    patch = images[:, :, ROWS, COLUMNS].sum(dim=(2, 3))
    fall = patch[:, 0] + 3 * patch[:, 1]
    expected = fall[:, None, None] * inside()
    torch.testing.assert_close(occlusion(model, images, size=4, stride=4), expected)
    torch.testing.assert_close(occlusion(model, images, 0, size=4, stride=4), -expected)  # covering helps class 0
    filled = occlusion(model, images, 1, size=4, stride=4, fill=0.25)
    torch.testing.assert_close(filled, (fall - 4 * 0.25 * 16)[:, None, None] * inside())


def test_occlusions_hottest_pixels_lie_in_the_patch(model, images):
    heat = occlusion(model, images, size=4, stride=1)
    for one in heat:
        row, column = divmod(one.argmax().item(), 20)
        assert inside()[row, column]
    near = nn.functional.max_pool2d(inside()[None].float(), 7, stride=1, padding=3)[0] > 0
    assert (heat[:, ~near] == 0).all() and (heat[:, near] > 0).all()


@pytest.mark.parametrize(("size", "stride"), [(4, 4), (8, 4), (4, 2)])
def test_occlusion_equals_captums_where_the_squares_fit(images, size, stride):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 14 * 18, 4)).eval()
    targets = torch.tensor([2, 0, 1])
    ours = occlusion(model, images, targets, size=size, stride=stride, fill=0.3, batch_size=7)
    theirs = Occlusion(model).attribute(images, (3, size, size), (3, stride, stride), 0.3, targets)
    torch.testing.assert_close(ours, theirs[:, 0], atol=1e-5, rtol=1e-4)


def test_the_last_square_touches_the_edge(model, images):
    heat = occlusion(model, images, size=6, stride=4)  # squares at columns 0, 4, 8, 12 and 14
    assert heat.isfinite().all() and (heat[:, 4:8, 19] > 0).all()


def test_grad_cam_looks_at_the_patch_too(model, images):
    """One alpha a channel: the map is red + 3 × green of the whole image, so it is bright where these are."""
    images = images * inside()
    heat = grad_cam(model, images, "maps", 1)
    assert ((heat > 0) == inside()).all()


def test_what_has_no_answer_is_refused(model, images):
    with pytest.raises(ValueError, match="size 17, stride 4 on 16×20 pixels: use 1 ≤ stride ≤ size ≤ image side"):
        occlusion(model, images, size=17)
    with pytest.raises(ValueError, match="size 4, stride 5"):
        occlusion(model, images, size=4, stride=5)
    for method in (saliency, occlusion):
        with pytest.raises(ValueError, match=r"call model.eval\(\) first"):
            method(model.train(), images)
