"""Positions of patches on their grid: fixed ones from sines, and learned ones for another grid."""

import torch
from torch import Tensor
from torch.nn import functional as F

from vit_course.models.patches import Size, pair


def sine_positions(grid: Size, dim: int) -> Tensor:
    """Fixed positions on a grid of patches: (1, rows · columns, dim).

    Half of the numbers say the row, half the column; each half is the sines, then the cosines, of the place at
    dim / 4 frequencies from 1 down to 1 / 10000 (as in Beyer et al. 2022, arXiv:2205.01580).

    Raises:
        ValueError: dim is not a multiple of 4, or a side of the grid is below 1.
    """
    if dim < 4 or dim % 4:
        raise ValueError(f"dim {dim} is not a multiple of 4 above 0: use {max(dim // 4 * 4 + 4, 4)}")
    rows, columns = pair(grid)
    frequencies = 10_000 ** -(torch.arange(dim // 4) / max(dim // 4 - 1, 1))  # (dim / 4,)
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = torch.stack([y, x]).flatten(1)[..., None] * frequencies  # (2, N, dim / 4)
    halves = torch.cat([angles.sin(), angles.cos()], dim=-1)  # (2, N, dim / 2)
    return torch.cat([*halves], dim=-1)[None]


def resize_positions(positions: Tensor, old_grid: Size, new_grid: Size) -> Tensor:
    """Learned positions for another grid of patches: (1, tokens, dim) -> (1, new tokens, dim).

    Those of the patches are interpolated as an image of dim channels (bicubic, antialiased, as in timm); tokens before
    them, such as the class token's, stay.

    Raises:
        ValueError: positions that are not (1, tokens, dim), fewer than the old grid has patches, or a side below 1.
    """
    if positions.ndim != 3 or len(positions) != 1:
        raise ValueError(f"positions are {tuple(positions.shape)}, not (1, tokens, dim): give those of one sequence")
    (rows, columns), new = pair(old_grid), pair(new_grid)
    before = positions.shape[1] - rows * columns
    if before < 0:
        raise ValueError(f"{positions.shape[1]} positions are too few for a grid of {rows}×{columns} patches")
    if (rows, columns) == new:
        return positions
    tokens, patches = positions[:, :before], positions[:, before:]
    image = patches.reshape(1, rows, columns, -1).permute(0, 3, 1, 2)  # (1, D, rows, columns)
    image = F.interpolate(image.float(), new, mode="bicubic", antialias=True).to(positions.dtype)
    return torch.cat([tokens, image.flatten(2).transpose(1, 2)], dim=1)
