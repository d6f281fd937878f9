"""Grad-CAM: where in the image the evidence for a class lies, by a convolution's feature maps."""

import torch
from torch import Tensor, nn

from vit_course.interpret.activations import activations
from vit_course.interpret.saliency import class_scores, require_eval


def grad_cam(model: nn.Module, images: Tensor, layer: str, targets: Tensor | int | None = None) -> Tensor:
    """Grad-CAM's heat maps (B, h, w) at the layer's resolution, never negative; `overlay` stretches them over images.

    Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization",
    equations 1 and 2; y^c is the class's logit, A^k the layer's k-th feature map.

    Args:
        model: images (B, C, H, W) -> logits (B, num_classes), in eval mode.
        layer: name of the module whose output is explained, usually the last convolution or the ReLU behind it.
        targets: int64 (B,), or one class for all images; by default the class that the model predicts.

    Raises:
        ValueError: the model is in training mode or has no such layer; the layer's output is not feature maps
            (B, K, h, w); a target that is no class.
    """
    require_eval(model)
    images = images.detach().requires_grad_()  # so that a model with frozen weights has gradients, too
    with activations(model, layer) as store, torch.enable_grad():
        score = class_scores(model(images), targets).sum()  # of the y^c: none depends on another image's maps
    maps = store[layer]  # A: (B, K, h, w)
    if maps.ndim != 4:
        raise ValueError(f"{layer} gives {tuple(maps.shape)}, no feature maps (B, K, h, w): name a convolution")
    (gradients,) = torch.autograd.grad(score, maps)  # dy^c/dA: (B, K, h, w)
    weights = gradients.mean(dim=(2, 3), keepdim=True)  # alpha, equation 1: (B, K, 1, 1)
    return (weights * maps).sum(dim=1).relu().detach()  # equation 2: (B, h, w)
