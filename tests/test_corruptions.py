"""Corruptions: seeded, stronger by degrees, and each doing what its name says."""

import pytest
import torch

from vit_course.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from vit_course.data.dataset import Split

every_corruption = pytest.mark.parametrize("name", CORRUPTIONS)


@pytest.fixture
def split():
    """Smooth pictures, not square, every image another."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(6, 3, 4, 6, generator=generator)
    images = torch.nn.functional.interpolate(small, (32, 48), mode="bicubic").clamp(0, 1)
    return Split((255 * images).to(torch.uint8), torch.arange(6), (0.5,) * 3, (0.2,) * 3)


@every_corruption
def test_the_same_seed_gives_the_same_images_and_leaves_the_split_alone(split, name):
    before = split.images.clone()
    once, twice = corrupt(split, name, 3, seed=4), corrupt(split, name, 3, seed=4)
    assert torch.equal(once.images, twice.images) and torch.equal(split.images, before)
    assert once.images.dtype == torch.uint8 and once.images.shape == split.images.shape
    assert torch.equal(once.labels, split.labels) and once.mean == split.mean
    if name in ("noise", "shift", "patch shuffle"):
        assert not torch.equal(once.images, corrupt(split, name, 3, seed=5).images)


@every_corruption
def test_each_degree_is_worse(split, name):
    distances = [
        (corrupt(split, name, severity).images.float() - split.images.float()).abs().mean() for severity in SEVERITIES
    ]
    if name != "patch shuffle":  # there a finer grid of some patches follows a coarser one of all
        assert distances == sorted(distances)
    assert distances[0] > 0.2 and distances[-1] > 1.5 * distances[0]


def test_noise_has_its_standard_deviation():
    grey = Split(torch.full((4, 3, 64, 64), 128, dtype=torch.uint8), torch.zeros(4).long(), (0.5,) * 3, (1,) * 3)
    assert corrupt(grey, "noise", 1).images.float().std().item() == pytest.approx(8, rel=0.02)


def test_blur_keeps_a_flat_image_and_the_mean(split):
    flat = Split(torch.full((1, 1, 32, 32), 77, dtype=torch.uint8), torch.zeros(1).long(), (0.5,), (1,))
    assert (corrupt(flat, "blur", 5).images == 77).all()
    blurred = corrupt(split, "blur", 2).images.float()
    torch.testing.assert_close(blurred.mean((2, 3)), split.images.float().mean((2, 3)), atol=2, rtol=0)
    assert blurred.diff(dim=3).abs().mean() < split.images.float().diff(dim=3).abs().mean()


def test_shift_moves_whole_pixels_in_all_four_directions():
    images = torch.zeros(40, 1, 32, 32, dtype=torch.uint8)
    images[:, 0, 16, 16] = 255
    moved = corrupt(Split(images, torch.zeros(40).long(), (0.5,), (1,)), "shift", 3).images[:, 0]
    places = {tuple(place.tolist()) for place in (moved == 255).nonzero()[:, 1:]}
    assert places == {(12, 16), (20, 16), (16, 12), (16, 20)}


def test_contrast_shrinks_differences_and_keeps_the_mean(split):
    weak = corrupt(split, "contrast", 5).images.float()
    before = split.images.float()
    torch.testing.assert_close(weak.std((1, 2, 3)) / before.std((1, 2, 3)), torch.full((6,), 0.1), atol=0.01, rtol=0)
    torch.testing.assert_close(weak.mean((1, 2, 3)), before.mean((1, 2, 3)), atol=0.5, rtol=0)


@pytest.mark.parametrize(("severity", "grid", "moved"), [(1, 2, 2), (2, 4, 8), (3, 4, 16), (4, 8, 32), (5, 8, 64)])
def test_patch_shuffle_moves_whole_patches(severity, grid, moved):
    patch = 32 // grid
    numbers = torch.arange(grid**2, dtype=torch.uint8).view(1, 1, grid, grid)
    images = numbers.repeat_interleave(patch, 2).repeat_interleave(patch, 3).expand(5, 1, 32, 32).contiguous()
    shuffled = corrupt(Split(images, torch.zeros(5).long(), (0.5,), (1,)), "patch shuffle", severity).images
    corners = shuffled[:, 0, ::patch, ::patch].flatten(1)  # (B, N)
    assert torch.equal(
        shuffled[:, 0], corners.view(5, grid, grid).repeat_interleave(patch, 1).repeat_interleave(patch, 2)
    )
    assert (corners.sort(dim=1).values == torch.arange(grid**2)).all()
    assert ((corners != torch.arange(grid**2)).sum(dim=1) == moved).all()
    assert len({tuple(row.tolist()) for row in corners}) > 1  # each image its own


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("fog", 1), "no corruption 'fog'"), (("noise", 0), "severity is 0"), (("noise", 6), "give 1 to 5")],
)
def test_bad_input_is_named(split, arguments, words):
    with pytest.raises(ValueError, match=words):
        corrupt(split, *arguments)
    odd = Split(torch.zeros(1, 1, 30, 30, dtype=torch.uint8), torch.zeros(1).long(), (0.5,), (1,))
    with pytest.raises(ValueError, match="30×30"):
        corrupt(odd, "patch shuffle", 5)
