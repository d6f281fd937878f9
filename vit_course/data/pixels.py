"""Arithmetic on whole batches of pixels: what the augmentations are made of."""

import torch
from torch import Tensor


def as_float(images: Tensor) -> Tensor:
    """uint8 images as float32, still 0 … 255; a ValueError for others, whose range no one knows."""
    if images.dtype != torch.uint8:
        raise ValueError(f"images are {images.dtype}: augmentations take torch.uint8, 0 to 255, before normalising")
    return images.float()


def as_uint8(pixels: Tensor) -> Tensor:
    """float32 pixels clipped to 0 … 255 and rounded."""
    return pixels.clamp(0, 255).round_().to(torch.uint8)


def mirrored(position: Tensor, size: int) -> Tensor:
    """Positions beyond 0 … size - 1 reflected at the edges: -1 -> 1, size -> size - 2."""
    return (size - 1) - ((size - 1) - position.abs()).abs()


def turned_hue(pixels: Tensor, turns: Tensor) -> Tensor:
    """RGB (B, 3, H, W) with its hue turned by `turns` (B, 1, 1, 1) of the colour circle; value and saturation stay."""
    red, green, blue = pixels.split(1, dim=1)  # (B, 1, H, W) each
    high, low = pixels.amax(1, keepdim=True), pixels.amin(1, keepdim=True)
    spread = high - low
    hue = torch.where(high == red, green - blue, torch.where(high == green, blue - red, red - green))
    start = torch.where(high == red, 0, torch.where(high == green, 2, 4))  # red at 0, green at 2, blue at 4 sixths
    sixths = hue / spread.clamp(min=1e-6) + start + 6 * turns
    offsets = pixels.new_tensor([5, 3, 1]).view(3, 1, 1)  # how far round red, green and blue come to their turn
    k = (sixths + offsets) % 6  # (B, 3, H, W)
    return high - spread * torch.minimum(k, 4 - k).clamp(0, 1)


def boxes(top: Tensor, left: Tensor, height: Tensor, width: Tensor, images: Tensor) -> Tensor:
    """Masks (B, 1, H, W) on the images' device, True within each image's box; all four are (B,), in pixels."""
    top, left, height, width = torch.stack([top, left, height, width]).to(images.device).view(4, -1, 1, 1, 1)
    rows = torch.arange(images.shape[2], device=images.device).view(-1, 1)  # (H, 1)
    cols = torch.arange(images.shape[3], device=images.device)  # (W,)
    return (rows >= top) & (rows < top + height) & (cols >= left) & (cols < left + width)


def boxes_anywhere(height: Tensor, width: Tensor, images: Tensor, generator: torch.Generator) -> Tensor:
    """Masks (B, 1, H, W) of boxes whose centre is any pixel of the image; what falls outside is cut off."""
    B, _, H, W = images.shape
    down, right = torch.rand(2, B, generator=generator)
    top = (down * H).floor() - (height / 2).floor()
    left = (right * W).floor() - (width / 2).floor()
    return boxes(top, left, height, width, images)


def painted(images: Tensor, box: Tensor, fill: float | tuple[float, ...]) -> Tensor:
    """The images with `fill` (0 … 1, a number or one a channel) where `box` is True."""
    paint = torch.tensor(fill, dtype=torch.float32).view(-1, 1, 1)  # (1, 1, 1) or (C, 1, 1)
    if len(paint) not in (1, images.shape[1]):
        raise ValueError(
            f"fill has {len(paint)} values for {images.shape[1]} channels: give one number, or one a channel"
        )
    if paint.min() < 0 or paint.max() > 1:
        raise ValueError(f"fill is {fill}: give numbers from 0 to 1, such as split.mean")
    return torch.where(box, as_uint8(255 * paint).to(images.device), images)
