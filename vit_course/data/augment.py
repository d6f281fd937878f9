"""Augmentation of whole batches, each image with random numbers of its own.

An augmentation is any callable `(images, labels, generator) -> (images, labels)`:

    images     uint8 (B, C, H, W), 0 … 255, before normalising, on any device; uint8 of the same shape comes back
    labels     int64 (B,); MixUp and CutMix give soft labels, float32 (B, num_classes), whose rows sum to 1
    generator  a torch.Generator on the CPU, the only source of randomness

Pixels stay uint8 because that is a quarter of float32's memory to move, and because 0 … 255 needs no statistics to be
understood. What computes in float (ColorJitter, MixUp) rounds once, at the end: an error of half a grey level at most.
Nothing changes its input in place. The classes print what they are, so a recipe can print its augmentation.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.data.pixels import as_float, as_uint8, boxes, boxes_anywhere, mirrored, painted, turned_hue

Augmentation = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Compose:
    """One augmentation after the other: `Compose([RandomCrop(padding=4), HorizontalFlip()])`. Labels: as its steps."""

    steps: Sequence[Augmentation]

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        for step in self.steps:
            images, labels = step(images, labels, generator)
        return images, labels


@dataclass(frozen=True, kw_only=True)
class RandomCrop:
    """Shift each image by up to `padding` pixels each way: the crop of its own size from the padded image.

    Assumes that the class does not depend on where the object is. Label change: none.

    Args:
        padding: the largest shift, in pixels.
        mode: what comes in at the border: "reflect", the mirrored image without its edge row, or "zeros", black.

    Raises:
        ValueError: an unknown mode, a negative padding, or one that is not smaller than the image.
    """

    padding: int = 4
    mode: str = "reflect"

    def __post_init__(self) -> None:
        if self.mode not in ("reflect", "zeros"):
            raise ValueError(f"mode is {self.mode!r}: give 'reflect' or 'zeros'")
        if self.padding < 0:
            raise ValueError(f"padding is {self.padding}: give 0 or more pixels")

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        B, C, H, W = images.shape
        if self.padding >= min(H, W):
            raise ValueError(f"padding {self.padding} is not smaller than the {H}×{W} image: give a smaller one")
        down, right = torch.randint(-self.padding, self.padding + 1, (2, B, 1), generator=generator).to(images.device)
        rows = down + torch.arange(H, device=images.device)  # (B, H): the old row that each new row shows
        cols = right + torch.arange(W, device=images.device)  # (B, W)
        inside_rows, inside_cols = mirrored(rows, H), mirrored(cols, W)
        source = inside_rows[:, :, None] * W + inside_cols[:, None, :]  # (B, H, W): where in the flattened image
        source = source.view(B, 1, H * W).expand(B, C, H * W)
        crops = images.flatten(2).gather(2, source).view(B, C, H, W)
        if self.mode == "zeros":
            crops = crops * ((rows == inside_rows)[:, None, :, None] & (cols == inside_cols)[:, None, None, :])
        return crops, labels


@dataclass(frozen=True, kw_only=True)
class HorizontalFlip:
    """Mirror each image left to right with probability `p`.

    Assumes that left and right mean nothing: wrong for letters and digits, and for captions such as "left of".
    Label change: none.
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        within("p", self.p, 0, 1)

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        B = len(images)
        flipped = torch.rand(B, generator=generator) < self.p  # (B,)
        both = torch.cat([images, images.flip(3)])  # (2B, C, H, W): image i stands at i, its mirror image at B + i
        choice = torch.arange(B) + B * flipped
        return both.index_select(0, choice.to(images.device)), labels  # (B, C, H, W)


@dataclass(frozen=True, kw_only=True)
class ColorJitter:
    """Change each image's contrast, brightness, saturation and hue, in this order, by random amounts.

    Assumes that the class does not depend on exact colour: wrong where colour is the label. Label change: none.
    Each step equals torchvision's; pixels are clipped and rounded once, at the end.

    Args:
        brightness, contrast, saturation: x draws a factor from 1 - x … 1 + x; at most 1; 0 leaves it as it is.
        hue: x draws a turn of the colour circle from -x … x; at most 0.5, half the circle.

    Raises:
        ValueError: an amount out of its range, or images without 3 channels.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("brightness", 1), ("contrast", 1), ("saturation", 1), ("hue", 0.5)):
            within(name, getattr(self, name), 0, most)

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        B, C, H, W = images.shape
        if C != 3:
            raise ValueError(f"images have {C} channels: ColorJitter needs 3, red, green and blue")
        # All drawn at once, from -1 … 1: switching one amount off leaves the others' numbers as they are.
        draws = 2 * torch.rand(4, B, 1, 1, 1, generator=generator).to(images.device) - 1
        grey = torch.tensor([0.2989, 0.587, 0.114], device=images.device).view(3, 1, 1)  # the channels' parts in grey
        pixels = as_float(images)
        if self.contrast:  # away from, or towards, the image's average grey; sums of integers are exact
            average = (images.sum((2, 3), keepdim=True) / (H * W) * grey).sum(1, keepdim=True)  # (B, 1, 1, 1)
            pixels = torch.lerp(average, pixels, 1 + self.contrast * draws[0])
        if self.brightness:  # away from, or towards, black
            pixels = pixels * (1 + self.brightness * draws[1])
        if self.saturation:  # away from, or towards, the image in grey, (B, 1, H, W)
            pixels = torch.lerp((pixels * grey).sum(1, keepdim=True), pixels, 1 + self.saturation * draws[2])
        if self.hue:
            pixels = turned_hue(pixels, self.hue * draws[3])
        return as_uint8(pixels), labels


@dataclass(frozen=True, kw_only=True)
class RandomErasing:
    """With probability `p`, paint over a random box that lies wholly in the image (Zhong et al. 2017, algorithm 1).

    Assumes that a part shows the class as well as the whole. Label change: none.

    Args:
        scale: the box's area as a share of the image's, drawn from this range.
        ratio: its height over its width, evenly on a log scale; a side longer than the image's is cut to it.
        fill: the paint, in units of 0 … 1: a number, or one a channel, such as `split.mean`.
    """

    p: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    fill: float | tuple[float, ...] = 0.5

    def __post_init__(self) -> None:
        within("p", self.p, 0, 1)
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale is {self.scale}: give a range within 0 … 1, such as (0.02, 0.33)")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"ratio is {self.ratio}: give a range of positive numbers, such as (0.3, 3.3)")

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        B, _, H, W = images.shape
        chosen, area, ratio, down, right = torch.rand(5, B, generator=generator)
        area = (self.scale[0] + (self.scale[1] - self.scale[0]) * area) * H * W
        ratio = self.ratio[0] * (self.ratio[1] / self.ratio[0]) ** ratio
        height = (area * ratio).sqrt().round().clamp(1, H)
        width = (area / ratio).sqrt().round().clamp(1, W)
        top, left = (down * (H - height + 1)).floor(), (right * (W - width + 1)).floor()
        box = boxes(top, left, height * (chosen < self.p), width, images)  # of height 0 where not chosen
        return painted(images, box, self.fill), labels


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """Paint over a square of `size` pixels a side, centred anywhere, so part of it may fall outside (DeVries 2017).

    Assumes that a part shows the class as well as the whole. Label change: none.

    Args:
        fill: the paint, in units of 0 … 1: a number, or one a channel, such as `split.mean`.
    """

    size: int = 8
    fill: float | tuple[float, ...] = 0.5

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size is {self.size}: give a side of 1 pixel or more")

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        side = torch.full((len(images),), float(self.size))
        return painted(images, boxes_anywhere(side, side, images, generator), self.fill), labels


@dataclass(frozen=True, kw_only=True)
class MixUp:
    """Blend each image with another of the batch: share * image + (1 - share) * partner (Zhang et al. 2017, eq. 1).

    Assumes that half an image is half a label, so predictions change evenly between two images.
    Label change: soft, (B, num_classes): `share` of the image's label, the rest of its partner's.
    Each image draws a share of its own (the paper: one a batch). Partners are a permutation of the batch.

    Args:
        num_classes: the width of the soft labels; `len(dataset.classes)`.
        alpha: shares come from Beta(alpha, alpha): small, mostly near 0 or 1; 1, evenly from 0 to 1.

    Raises:
        ValueError: alpha outside 0.01 … 1000, or labels that do not fit num_classes.
    """

    num_classes: int
    alpha: float = 0.2

    def __post_init__(self) -> None:
        within("alpha", self.alpha, 0.01, 1000)

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        share = beta(self.alpha, len(images), generator).to(images.device)  # (B,)
        partner = torch.randperm(len(images), generator=generator).to(images.device)
        pixels, soft = as_float(images), soft_labels(labels, self.num_classes)
        mixed = torch.lerp(pixels[partner], pixels, share.view(-1, 1, 1, 1))
        return as_uint8(mixed), torch.lerp(soft[partner], soft, share.view(-1, 1))


@dataclass(frozen=True, kw_only=True)
class CutMix:
    """Paste a box of another image of the batch into each image, at the same place (Yun et al. 2019, algorithm 1).

    Assumes that area is evidence: a quarter of the pixels, a quarter of the label, whatever they show.
    Label change: soft, (B, num_classes), by the pixels that each image really holds after the box is cut at the border.
    Each image draws a box of its own (the paper: one a batch). Partners are a permutation of the batch.

    Args:
        num_classes: the width of the soft labels; `len(dataset.classes)`.
        alpha: the box's area is 1 - share, with share from Beta(alpha, alpha); 1, evenly from 0 to 1.

    Raises:
        ValueError: alpha outside 0.01 … 1000, or labels that do not fit num_classes.
    """

    num_classes: int
    alpha: float = 1.0

    def __post_init__(self) -> None:
        within("alpha", self.alpha, 0.01, 1000)

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        B, _, H, W = images.shape
        side = (1 - beta(self.alpha, B, generator)).sqrt()  # (B,): of the box, as a share of the image's
        box = boxes_anywhere((side * H).round(), (side * W).round(), images, generator)  # (B, 1, H, W)
        partner = torch.randperm(B, generator=generator).to(images.device)
        share = 1 - box.sum((2, 3)) / (H * W)  # (B, 1): of the pixels that stay
        soft = soft_labels(labels, self.num_classes)
        return torch.where(box, images[partner], images), torch.lerp(soft[partner], soft, share)


@dataclass(frozen=True, kw_only=True)
class RandAugment:
    """torchvision's RandAugment: `num_ops` of 14 operations on each image, all at one strength (Cubuk et al. 2019).

    Assumes a good deal: that neither colour, nor position, nor a slant or turn of up to 30° makes the class.
    Label change: none. It works one image at a time, so it is far slower than the others: see data/README.md.

    Args:
        num_ops: operations an image.
        magnitude: strength, 0 … 30.
    """

    num_ops: int = 2
    magnitude: int = 9

    def __post_init__(self) -> None:
        within("num_ops", self.num_ops, 1, 14)
        within("magnitude", self.magnitude, 0, 30)

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        from torchvision.transforms import v2  # here: the import takes a second that no one else should pay

        transform = v2.RandAugment(num_ops=self.num_ops, magnitude=self.magnitude)
        with global_randomness(generator):
            return torch.stack([transform(image) for image in images]), labels


@contextmanager
def global_randomness(generator: torch.Generator) -> Iterator[None]:
    """Lend torch's global CPU generator the state of `generator`, for code that takes none; then put both right."""
    before = torch.get_rng_state()
    torch.set_rng_state(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(torch.get_rng_state())
        torch.set_rng_state(before)


def beta(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """`count` numbers from Beta(alpha, alpha), float32 (count,)."""
    with global_randomness(generator):
        return torch.distributions.Beta(alpha, alpha).sample((count,))


def soft_labels(labels: Tensor, num_classes: int) -> Tensor:
    """int64 (B,) as float32 (B, num_classes), 1 at the label; labels already soft come back as they are."""
    if labels.ndim == 2:
        if labels.shape[1] != num_classes:
            raise ValueError(
                f"soft labels of {labels.shape[1]} classes with num_classes={num_classes}: make them equal"
            )
        return labels
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"labels go from {labels.min()} to {labels.max()}, num_classes is {num_classes}: give len(dataset.classes)"
        )
    return F.one_hot(labels, num_classes).float()


def within(name: str, value: float, low: float, high: float) -> None:
    """A ValueError that names `value` unless it lies in `low` … `high`."""
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}: give a number from {low:g} to {high:g}")
