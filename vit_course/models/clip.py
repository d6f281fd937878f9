"""CLIP and SigLIP: an image tower and a text tower that meet in one space, and the losses that bring them together."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vit_course.models.text import TextConfig, TextEncoder
from vit_course.models.vit import ViT, ViTConfig

LARGEST_SCALE = 100.0  # CLIP's logits are "prevented from scaling by more than 100" (section 2.5)


def clip_loss(images: Tensor, texts: Tensor, logit_scale: Tensor) -> Tensor:
    """Each image chooses its text among the batch's, and each text its image: the mean of both cross-entropies.

    Figure 3 of Radford et al. 2021, arXiv:2103.00020.

    Args:
        images, texts: (B, E), rows of length 1; row i of one belongs to row i of the other.
        logit_scale: the logarithm of 1 / temperature, learnt; the scale itself is kept below 100.
    """
    logits = clamped_scale(logit_scale) * images @ texts.T  # (B, B)
    targets = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2


def siglip_loss(
    images: Tensor, texts: Tensor, logit_scale: Tensor, logit_bias: Tensor, *, chunk: int | None = None
) -> Tensor:
    """For each pair alone: do they belong together, yes or no? The sum over all B² pairs, divided by B.

    Equation 1 of Zhai et al. 2023, arXiv:2303.15343.

    Args:
        images, texts: (B, E), rows of length 1; row i of one belongs to row i of the other.
        logit_scale: the logarithm of 1 / temperature, learnt; logit_bias: learnt, starts at -10.
        chunk: as many texts at a time; the B × B logits are then never held at once, at the price of computing them
            again for the gradient. None: all at once. The result is the same.
    """

    def of(start: int, images: Tensor, some: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        logits = scale * images @ some.T + bias  # (B, chunk)
        signs = -torch.ones_like(logits)
        places = torch.arange(len(some), device=logits.device)
        signs[start + places, places] = 1  # the pairs that belong together
        return -F.logsigmoid(signs * logits).sum()

    parts = texts.split(chunk or len(texts))
    starts = range(0, len(texts), chunk or len(texts))
    run = of if chunk is None else lambda *inputs: checkpoint(of, *inputs, use_reentrant=False)
    losses = [
        run(start, images, part, logit_scale.exp(), logit_bias) for start, part in zip(starts, parts, strict=True)
    ]
    return torch.stack(losses).sum() / len(images)


def clamped_scale(logit_scale: Tensor) -> Tensor:
    """1 / temperature from its logarithm, at most 100."""
    return logit_scale.exp().clamp(max=LARGEST_SCALE)


class CLIP(nn.Module):
    """Images and texts as unit vectors of one space: (B, C, H, W) and (T, L) -> similarities (B, T).

    Radford et al. 2021, arXiv:2103.00020. Each tower's vector is projected without a bias to `dim` numbers. OpenAI's
    image towers are ViTs with norm_pre=True, patch_bias=False and activation="quick_gelu"; any other will do.

    Args:
        image, text: the towers' configurations; the image tower has no head (num_classes=0).
        dim: E, width of the common space.

    Raises:
        ValueError: an image tower with a head.
    """

    def __init__(self, image: ViTConfig, text: TextConfig, *, dim: int = 512) -> None:
        super().__init__()
        require_no_head(image)
        self.config = {"image": image, "text": text, "dim": dim}
        self.image, self.text = ViT(image), TextEncoder(text)
        self.image_projection = nn.Linear(image.dim, dim, bias=False)
        self.text_projection = nn.Linear(text.dim, dim, bias=False)
        for layer in (self.image_projection, self.text_projection):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_image(self, images: Tensor) -> Tensor:
        """Unit vectors of images: (B, C, H, W) -> (B, E)."""
        return F.normalize(self.image_projection(self.image(images)), dim=-1)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Unit vectors of texts: (T, L) -> (T, E)."""
        return F.normalize(self.text_projection(self.text(tokens)), dim=-1)

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        return clamped_scale(self.logit_scale) * self.encode_image(images) @ self.encode_text(tokens).T

    def loss(self, images: Tensor, tokens: Tensor) -> Tensor:
        """`clip_loss` of images and their texts."""
        return clip_loss(self.encode_image(images), self.encode_text(tokens), self.logit_scale)

    def no_weight_decay(self) -> set[str]:
        """The temperature is not decayed."""
        return {"logit_scale"}


class SigLIP(nn.Module):
    """CLIP with yes-or-no questions for a loss: (B, C, H, W) and (T, L) -> logits (B, T), above 0 where they match.

    Zhai et al. 2023, arXiv:2303.15343. The image tower's vector is used as it is; the text tower's passes a linear
    layer, so the image tower's width is the width of the common space. The published image towers are ViTs with
    pool="attention" and activation="gelu_tanh", the text towers have pool="last"; any other will do.

    Args:
        image, text: the towers' configurations; the image tower has no head (num_classes=0).

    Raises:
        ValueError: an image tower with a head.
    """

    def __init__(self, image: ViTConfig, text: TextConfig) -> None:
        super().__init__()
        require_no_head(image)
        self.config = {"image": image, "text": text}
        self.image, self.text = ViT(image), TextEncoder(text)
        self.text_projection = nn.Linear(text.dim, image.dim)
        nn.init.normal_(self.text_projection.weight, std=text.dim**-0.5)
        nn.init.zeros_(self.text_projection.bias)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.logit_bias = nn.Parameter(torch.tensor(-10.0))  # most pairs do not match: start by saying no

    def encode_image(self, images: Tensor) -> Tensor:
        """Unit vectors of images: (B, C, H, W) -> (B, E)."""
        return F.normalize(self.image(images), dim=-1)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Unit vectors of texts: (T, L) -> (T, E)."""
        return F.normalize(self.text_projection(self.text(tokens)), dim=-1)

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        return self.logit_scale.exp() * self.encode_image(images) @ self.encode_text(tokens).T + self.logit_bias

    def loss(self, images: Tensor, tokens: Tensor, *, chunk: int | None = None) -> Tensor:
        """`siglip_loss` of images and their texts."""
        return siglip_loss(
            self.encode_image(images), self.encode_text(tokens), self.logit_scale, self.logit_bias, chunk=chunk
        )

    def no_weight_decay(self) -> set[str]:
        """Temperature and bias are not decayed."""
        return {"logit_scale", "logit_bias"}


def require_no_head(config: ViTConfig) -> None:
    """Raises ValueError for an image tower that gives class scores."""
    if config.num_classes:
        raise ValueError(f"the image tower has a head for {config.num_classes} classes: use num_classes=0")
