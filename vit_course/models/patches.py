"""Images as sequences of patches, and the patches as vectors of the model's width."""

import torch
from torch import Tensor, nn

from vit_course.models.vgg import check_channels

Size = int | tuple[int, int]  # a side in pixels, or (height, width)


def pair(size: Size) -> tuple[int, int]:
    """(height, width) of a size given as one side or as both.

    Raises:
        ValueError: more or fewer than two sides, or one below 1.
    """
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(f"{size} is not a size: give one side, or (height, width), of 1 or more")
    return sides


def grid_size(image_size: Size, patch_size: Size) -> tuple[int, int]:
    """Rows and columns of patches that tile an image.

    Raises:
        ValueError: a side of the image that is not a multiple of the patch's.
    """
    sides = pair(image_size), pair(patch_size)
    for image_side, patch_side in zip(*sides, strict=True):
        if image_side % patch_side:
            below = image_side // patch_side * patch_side
            remedy = f"{below} or {below + patch_side}" if below else f"{patch_side}"
            raise ValueError(f"image_size {image_side} is not a multiple of patch_size {patch_side}: use {remedy}")
    (H, W), (P, Q) = sides
    return H // P, W // Q


def patchify(images: Tensor, patch_size: Size) -> Tensor:
    """Images (B, C, H, W) -> patches (B, N, P·P·C), row by row from the top left.

    The numbers of one patch keep the paper's order, P² · C: row, column, channel (Dosovitskiy et al. 2020,
    arXiv:2010.11929, section 3.1).

    Raises:
        ValueError: images that are not (B, C, H, W), or a side that is not a multiple of the patch's.
    """
    if images.ndim != 4:
        raise ValueError(f"images are {tuple(images.shape)}, not (B, C, H, W): give it a batch of images")
    B, C, H, W = images.shape
    P, Q = pair(patch_size)
    rows, columns = grid_size((H, W), (P, Q))
    x = images.reshape(B, C, rows, P, columns, Q)
    x = x.permute(0, 2, 4, 3, 5, 1)  # (B, rows, columns, P, Q, C)
    return x.reshape(B, rows * columns, P * Q * C)


def unpatchify(patches: Tensor, patch_size: Size, image_size: Size) -> Tensor:
    """The inverse of `patchify`: patches (B, N, P·P·C) -> images (B, C, H, W).

    Raises:
        ValueError: patches whose number or length does not fit the sizes.
    """
    P, Q = pair(patch_size)
    rows, columns = grid_size(image_size, patch_size)
    if patches.ndim != 3 or patches.shape[1] != rows * columns or patches.shape[2] % (P * Q):
        raise ValueError(
            f"patches are {tuple(patches.shape)}, but images of {rows * P}×{columns * Q} in patches of {P}×{Q} are "
            f"(B, {rows * columns}, {P * Q} · channels)"
        )
    B, C = len(patches), patches.shape[2] // (P * Q)
    x = patches.reshape(B, rows, columns, P, Q, C)
    x = x.permute(0, 5, 1, 3, 2, 4)  # (B, C, rows, P, columns, Q)
    return x.reshape(B, C, rows * P, columns * Q)


class PatchEmbedding(nn.Module):
    """One linear map for every patch: images (B, C, H, W) -> tokens (B, N, dim), row by row from the top left.

    A convolution whose kernel and stride are the patch: the same as `patchify` and a linear layer, and faster. It is
    the E of equation 1 (Dosovitskiy et al. 2020, arXiv:2010.11929). Its weight is (dim, C, P, P): a kernel keeps the
    channels first, where `patchify` has them last.

    Args:
        image_size, patch_size: pixels, one side or (height, width).
        bias: CLIP's has none.

    Raises:
        ValueError: a side of the image that is not a multiple of the patch's; in `forward`, another number of
            channels or another size.
    """

    def __init__(
        self, *, image_size: Size = 224, patch_size: Size = 16, in_channels: int = 3, dim: int = 768, bias: bool = True
    ) -> None:
        super().__init__()
        self.grid = grid_size(image_size, patch_size)
        self.image_size, self.patch_size, self.in_channels = pair(image_size), pair(patch_size), in_channels
        self.proj = nn.Conv2d(in_channels, dim, kernel_size=self.patch_size, stride=self.patch_size, bias=bias)

    @property
    def num_patches(self) -> int:
        """N, the length of the sequence."""
        return self.grid[0] * self.grid[1]

    def forward(self, images: Tensor) -> Tensor:
        check_channels(images, self.in_channels)
        if images.shape[2:] != torch.Size(self.image_size):
            H, W = images.shape[2:]
            raise ValueError(
                f"images are {H}×{W}, but this network was built for {self.image_size[0]}×{self.image_size[1]}: "
                f"resize them, or build it with image_size=({H}, {W})"
            )
        x = self.proj(images)  # (B, D, rows, columns)
        return x.flatten(2).transpose(1, 2)  # (B, N, D)
