"""What is done to an image before a published network sees it: resized, cut, scaled, normalised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vit_course.models.patches import pair

if TYPE_CHECKING:
    from PIL.Image import Image

PILLOW = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers, as transformers writes them
INTERPOLATIONS = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}


@dataclass(frozen=True)
class Preprocess:
    """Images as they are -> what the network was trained on: float32 (B, C, H, W).

    >>> model(preprocess(photo))

    Raises:
        ValueError: an interpolation that is unknown, or a size to cover that is below the one to be cut out.
    """

    size: tuple[int, int]  # (height, width) of what comes out
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)  # of each channel, on the scale 0…1
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    interpolation: str = "bilinear"
    cover: tuple[int, int] | None = None  # resize to cover this, in proportion, cut the centre out; None: only resize
    scale: float = 1 / 255  # what 0…255 is multiplied by
    classes: tuple[str, ...] = ()  # what the logits stand for, where the file says so

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            known = ", ".join(INTERPOLATIONS)
            raise ValueError(f"interpolation {self.interpolation!r} is not here: use one of {known}")
        if self.cover is not None and (self.cover[0] < self.size[0] or self.cover[1] < self.size[1]):
            raise ValueError(f"what covers {self.cover} is too small to cut {self.size} out of it")

    def __call__(self, images: "Image | Tensor | Sequence[Image]") -> Tensor:
        """Prepare a batch; one image becomes a batch of one.

        Args:
            images: a Pillow image or several (read as RGB, or as grey where mean has one number), or a uint8 tensor
                (C, H, W) or (B, C, H, W).

        Raises:
            ValueError: a tensor that is not uint8 in 0…255, or whose channels are not those of mean.
        """
        if isinstance(images, Sequence):
            return torch.cat([self(image) for image in images])
        if not isinstance(images, Tensor):
            mode = "L" if len(self.mean) == 1 else "RGB"
            pixels = torch.from_numpy(np.array(images.convert(mode)))  # (H, W) or (H, W, 3)
            images = pixels.reshape(*pixels.shape[:2], -1).permute(2, 0, 1)  # (C, H, W)
        images = images if images.ndim == 4 else images[None]  # (B, C, H, W)
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != len(self.mean):
            raise ValueError(
                f"images are {images.dtype} of {tuple(images.shape)}: give uint8 in 0…255, (B, {len(self.mean)}, H, W)"
            )
        images = self._cut(self._resized(images))
        shape = (1, -1, 1, 1)
        mean, std = (torch.tensor(x, device=images.device).reshape(shape) for x in (self.mean, self.std))
        return (images.float() * self.scale - mean) / std

    def _resized(self, images: Tensor) -> Tensor:
        H, W = images.shape[2:]
        new = self.size
        if self.cover is not None:
            h, w = self.cover
            new = (h, W * h // H) if H * w <= W * h else (H * w // W, w)
        if new == (H, W):
            return images
        mode = INTERPOLATIONS[self.interpolation]
        whole = images if images.device.type == "cpu" else images.float()  # only the CPU resizes bytes
        resized = F.interpolate(whole, new, mode=mode, antialias=mode != "nearest-exact")
        return resized.round().clamp(0, 255).to(torch.uint8)

    def _cut(self, images: Tensor) -> Tensor:
        (H, W), (h, w) = images.shape[2:], self.size
        top, left = round((H - h) / 2), round((W - w) / 2)
        return images[:, :, top : top + h, left : left + w]


def from_transformers(config: Mapping[str, Any], said: Mapping[str, Any]) -> Preprocess:
    """What transformers' image processor does.

    Args:
        config: `config.json`.
        said: `preprocessor_config.json`; where it is silent, or empty: the model's size, 0.5, 0.5, bilinear.

    Raises:
        ValueError: a way of resizing that is not here.
    """
    size = said.get("size", config.get("image_size", 224))
    cover = None
    if said.get("do_center_crop"):
        shorter = size.get("shortest_edge", size.get("height")) if isinstance(size, dict) else size
        cover, size = (shorter, shorter), said.get("crop_size", size)
    if isinstance(size, dict):
        if "height" not in size or "width" not in size:
            raise ValueError(f"preprocessor_config.json has the size {size}: height and width are needed")
        size = (size["height"], size["width"])
    channels, normalise = config.get("num_channels", 3), said.get("do_normalize", True)
    names = config.get("id2label") or {}
    return Preprocess(
        size=pair(size),
        mean=tuple(said.get("image_mean", [0.5] * channels)) if normalise else (0.0,) * channels,
        std=tuple(said.get("image_std", [0.5] * channels)) if normalise else (1.0,) * channels,
        interpolation=PILLOW.get(said.get("resample", 2), str(said.get("resample"))),
        cover=cover,
        scale=said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0,
        classes=tuple(names[key] for key in sorted(names, key=int)),
    )


def from_timm(config: Mapping[str, Any], size: tuple[int, int]) -> Preprocess:
    """What timm does to an image in evaluation.

    Args:
        config: `config.json`; where it is silent: 0.5, 0.5, bicubic, and nine tenths of the image kept.
        size: (height, width) of the model's images.

    Raises:
        ValueError: a way of cutting that is not here.
    """
    said = {**config, **config.get("pretrained_cfg", {})}
    channels = said.get("input_size", (3,))[0]
    if said.get("crop_mode", "center") != "center":
        raise ValueError(f"crop_mode {said['crop_mode']!r} is not here, only 'center': build a Preprocess yourself")
    share = said.get("crop_pct", 0.9)
    return Preprocess(
        size=size,
        mean=tuple(said.get("mean", [0.5] * channels)),
        std=tuple(said.get("std", [0.5] * channels)),
        interpolation=said.get("interpolation", "bicubic"),
        cover=(int(size[0] / share), int(size[1] / share)),
        classes=tuple(config.get("label_names") or ()),
    )
