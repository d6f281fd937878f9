"""First weights that know the data or the task: what a recipe may change in a model before its first step."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_course.models.positions import sine_positions


@torch.no_grad()
def whiten(model: nn.Module, images: Tensor, eps: float = 5e-4) -> None:
    """Start the first convolution such that its outputs are uncorrelated and of variance about 1.

    Neighbouring pixels are nearly equal, so most of what a random filter passes on is the patch's mean colour. The
    eigenvectors of the patches' covariance, each divided by its standard deviation, take that apart (as the first
    layer of cifar10-airbench, arXiv:2404.00498). With fewer than two channels an eigenvector, as in a small VGG, the
    layer gets the first ones and their negatives, which an activation would cut off otherwise; with more, as in a
    ViT, random mixtures of all. The bias starts at 0.

    Args:
        images: of the training set, normalised (N, C, H, W).
        eps: added to each variance, so that directions which hardly occur are not blown up.
    """
    layer = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    patches = F.unfold(images, layer.kernel_size, stride=layer.stride)  # (N, C·k·k, L)
    patches = patches.transpose(1, 2).flatten(0, 1).double()  # (N·L, C·k·k)
    variances, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))  # ascending
    filters = (vectors / (variances + eps).sqrt()).T.flip(0)  # (C·k·k, C·k·k), the largest variance first
    # An eigenvector's sign is the library's choice: let its largest entry be positive, for the same start everywhere.
    filters *= filters.gather(1, filters.abs().argmax(1, keepdim=True)).sign()
    out, count = len(layer.weight), len(filters)
    if out <= 2 * count:
        half = filters[: (out + 1) // 2]
        filters = torch.cat([half, -half])[:out]
    else:
        filters = torch.randn(out, count).double() / math.sqrt(count) @ filters
    layer.weight.copy_(filters.view_as(layer.weight))
    if layer.bias is not None:
        layer.bias.zero_()


@torch.no_grad()
def sine(model: nn.Module, images: Tensor, size: float = 0.3) -> None:
    """Start learned positions as `size` times the sine positions: neighbours alike, and large enough to be seen.

    torch's own small random start says nothing about who is whose neighbour. The class token's stays.

    Raises:
        ValueError: the model has no learned positions.
    """
    config = getattr(model, "config", None)
    if getattr(config, "positions", None) != "learned":
        raise ValueError("the start 'sine' is for a ViT with learned positions: leave it out of starts")
    positions = sine_positions(config.grid, config.dim)
    model.pos_embed[:, config.num_tokens - positions.shape[-2] :] = size * positions


@torch.no_grad()
def identity(model: nn.Module, images: Tensor) -> None:
    """Start a SmallVGG's stages such that a kernel's first outputs are its inputs, unchanged; the others as torch does.

    What the first layer sees then reaches the last one before anything is learned, as along a residual connection; the
    norms scale it. From cifar10-airbench (arXiv:2404.00498).

    Raises:
        ValueError: the model has no stages.
    """
    if not hasattr(model, "stages"):
        raise ValueError("the start 'identity' is for a SmallVGG's stages: leave it out of starts")
    for module in model.stages.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
            nn.init.dirac_(module.weight[: module.in_channels])


def fixed_scale(model: nn.Module, images: Tensor) -> None:
    """Keep a SmallVGG's first filters and the gains of its norms as they are: less to learn, from cifar10-airbench.

    Raises:
        ValueError: the model has no stem.
    """
    if not hasattr(model, "stem"):
        raise ValueError("the start 'fixed_scale' is for a SmallVGG's stem and norms: leave it out of starts")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) or module is model.stem[0]:
            module.weight.requires_grad_(False)


# A start gets the model and normalised training images.
STARTS = {"identity": identity, "whiten": whiten, "fixed_scale": fixed_scale, "sine": sine}
