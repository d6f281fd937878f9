"""Positions: sines equal to the formula and to vit-pytorch, learned ones resized as timm does it."""

import math

import pytest
import torch
from timm.layers import resample_abs_pos_embed
from torch.testing import assert_close
from vit_pytorch.simple_vit import posemb_sincos_2d

from vit_course.models.positions import resize_positions, sine_positions

GRIDS = [(1, 1), (2, 3), (7, 7), (5, 2)]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("dim", [8, 64])
def test_sines_are_those_of_vit_pytorch(grid, dim):
    """Theirs have the column's half first."""
    ours = sine_positions(grid, dim)
    x, y = posemb_sincos_2d(*grid, dim).split(dim // 2, dim=1)
    assert ours.shape == (1, grid[0] * grid[1], dim) and ours.dtype == torch.float32
    assert_close(ours[0], torch.cat([y, x], dim=1))


def test_sines_by_the_formula():
    """One patch, number by number: row 2 and column 1 of 3 × 4, eight numbers, so frequencies 1 and 1 / 10000."""
    got = sine_positions((3, 4), 8)[0, 2 * 4 + 1]
    row = [math.sin(2), math.sin(2e-4), math.cos(2), math.cos(2e-4)]
    column = [math.sin(1), math.sin(1e-4), math.cos(1), math.cos(1e-4)]
    assert_close(got, torch.tensor(row + column))


def test_sines_of_a_square_grid_by_one_number():
    assert_close(sine_positions(3, 12), sine_positions((3, 3), 12))


def test_four_numbers_are_enough_and_every_place_differs():
    assert_close(sine_positions((2, 2), 4)[0, 3], torch.tensor([math.sin(1), math.cos(1)] * 2))
    for grid in ((9, 5), (32, 32)):
        places = sine_positions(grid, 64)[0]
        assert (torch.cdist(places, places) + torch.eye(len(places))).min() > 0.1


@pytest.mark.parametrize("dim", [2, 6, 63, 0, -4])
def test_sines_need_a_multiple_of_four(dim):
    with pytest.raises(ValueError, match=rf"dim {dim} is not a multiple of 4 above 0: use {max(dim // 4 * 4 + 4, 4)}$"):
        sine_positions((2, 2), dim)


@pytest.mark.parametrize("prefix", [0, 1, 5])
@pytest.mark.parametrize(
    ("old", "new"), [((7, 7), (12, 12)), ((8, 8), (5, 5)), ((4, 6), (6, 4)), ((3, 8), (5, 4)), ((1, 1), (2, 3))]
)
def test_resized_as_timm_does(old, new, prefix):
    positions = torch.randn(1, prefix + old[0] * old[1], 10, generator=torch.Generator().manual_seed(0))
    expected = resample_abs_pos_embed(positions, list(new), list(old), num_prefix_tokens=prefix)
    got = resize_positions(positions, old, new)
    assert got.shape == (1, prefix + new[0] * new[1], 10)
    assert_close(got, expected)
    assert torch.equal(got[:, :prefix], positions[:, :prefix])  # bit for bit: a class token is no place


def test_the_same_grid_gives_the_same_positions():
    positions = torch.randn(1, 1 + 6, 4)
    assert resize_positions(positions, (2, 3), (2, 3)) is positions
    with pytest.raises(AssertionError):  # 3 × 2 has as many places as 2 × 3, in another order
        assert_close(resize_positions(positions, (2, 3), (3, 2)), positions)


def test_there_and_back_is_nearly_the_same():
    """Smooth positions come through a larger grid and back; sides given as one number."""
    positions = sine_positions(8, 16)[..., [1, 5, 9, 13, 2, 6, 10, 14]]  # the slower waves
    back = resize_positions(resize_positions(positions, 8, 16), 16, 8)
    assert_close(back, positions, atol=0.02, rtol=0)


def test_rows_stay_rows():
    """Positions that say their row alone: in the new grid, too, all of a row are equal, and rows go down in order."""
    rows = torch.arange(4.0)[:, None].expand(4, 3).reshape(1, 12, 1)
    got = resize_positions(torch.cat([torch.full((1, 1, 1), 9.0), rows], dim=1), (4, 3), (8, 5))[0, :, 0]
    grid = got[1:].reshape(8, 5)
    assert got[0] == 9
    assert_close(grid, grid[:, :1].expand(8, 5))
    assert (grid[1:, 0] > grid[:-1, 0]).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype_stays(dtype):
    assert resize_positions(torch.randn(1, 10, 4, dtype=dtype), (3, 3), (4, 5)).dtype == dtype


def test_a_gradient_goes_through():
    positions = torch.randn(1, 10, 4, requires_grad=True)
    resize_positions(positions, 3, 5).sum().backward()
    assert positions.grad.ne(0).all()


def test_too_few_positions():
    with pytest.raises(ValueError, match="11 positions are too few for a grid of 4×3 patches"):
        resize_positions(torch.randn(1, 11, 4), (4, 3), (5, 5))


@pytest.mark.parametrize("shape", [(10, 4), (2, 10, 4), (1, 3, 3, 4)])
def test_positions_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"not \(1, tokens, dim\)"):
        resize_positions(torch.randn(shape), (3, 3), (5, 5))


@pytest.mark.parametrize("grid", [0, (3, 0), (-1, 2)])
def test_a_grid_without_patches(grid):
    for call in (lambda: resize_positions(torch.randn(1, 10, 4), 3, grid), lambda: sine_positions(grid, 8)):
        with pytest.raises(ValueError, match="is not a size"):
            call()
