"""Which pixels an answer depends on: by the gradient (saliency), and by covering parts of the image (occlusion)."""

import torch
from torch import Tensor, nn


def class_scores(logits: Tensor, targets: Tensor | int | None = None) -> Tensor:
    """Each image's logit for its target class: (B, num_classes) -> (B,).

    Args:
        targets: int64 (B,), or one class for all images; by default the class that the model predicts.

    Raises:
        ValueError: a target that is no class, or not one target an image.
    """
    if targets is None:
        return logits.amax(dim=1)
    targets = torch.as_tensor(targets, device=logits.device)
    if targets.ndim and len(targets) != len(logits):
        raise ValueError(f"{len(targets)} targets for {len(logits)} images: give one an image, or one for all")
    if targets.min() < 0 or targets.max() >= logits.shape[1]:
        raise ValueError(f"targets lie in {targets.min()}…{targets.max()}: classes are 0 to {logits.shape[1] - 1}")
    return logits.gather(1, targets.expand(len(logits))[:, None])[:, 0]


def require_eval(model: nn.Module) -> None:
    """Refuse a model in training mode: there, dropout is random and batch norm lets one image change another's answer.

    Raises:
        ValueError: `model.training`.
    """
    if model.training:
        raise ValueError("the model is in training mode, so its answers are not settled: call model.eval() first")


def saliency(model: nn.Module, images: Tensor, targets: Tensor | int | None = None) -> Tensor:
    """How much the class score would change with each pixel: (B, H, W), never negative.

    The largest absolute gradient over the colour channels (Simonyan et al. 2014, "Deep inside convolutional networks",
    section 3.1). One backward pass, and noisy: a gradient says what a *tiny* change of one pixel would do.

    Args:
        model: images (B, C, H, W) -> logits (B, num_classes), in eval mode.
        targets: see `class_scores`.

    Raises:
        ValueError: the model is in training mode; or targets as `class_scores` refuses them.
    """
    require_eval(model)
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        # The gradient of the sum is each image's own: in eval mode no image has a part in another's score.
        score = class_scores(model(images), targets).sum()
    (gradients,) = torch.autograd.grad(score, images)  # (B, C, H, W)
    return gradients.abs().amax(dim=1)  # (B, H, W)


@torch.no_grad()
def occlusion(
    model: nn.Module,
    images: Tensor,
    targets: Tensor | int | None = None,
    *,
    size: int = 8,
    stride: int = 4,
    fill: float = 0.0,
    batch_size: int = 256,
) -> Tensor:
    """How far the class score falls when a square covers each pixel: (B, H, W), negative where covering helps.

    A square is slid over the image (Zeiler & Fergus 2014, "Visualizing and understanding convolutional networks",
    section 4.2); a pixel's value is the mean fall over the squares that cover it. Scores are logits, as in Grad-CAM;
    for the fall of the probability, as in that paper, give `nn.Sequential(model, nn.Softmax(dim=1))` in eval mode.

    Args:
        model: images (B, C, H, W) -> logits (B, num_classes), in eval mode.
        targets: see `class_scores`; by default the class predicted for the uncovered image.
        size: side of the square in pixels.  stride: from one square to the next; the last one touches the edge.
        fill: what the square is filled with; 0 is the mean colour of normalised images.
        batch_size: covered images in one forward pass.

    Raises:
        ValueError: the model is in training mode; a square larger than the image; a stride that skips pixels.
    """
    require_eval(model)
    height, width = images.shape[-2:]
    if not 1 <= size <= min(height, width) or not 1 <= stride <= size:
        raise ValueError(f"size {size}, stride {stride} on {height}×{width} pixels: use 1 ≤ stride ≤ size ≤ image side")
    logits = model(images)  # (B, num_classes)
    if targets is None:
        targets = logits.argmax(dim=1)
    scores = class_scores(logits, targets)  # (B,)
    covers = _squares(height, width, size, stride).to(images.device)  # (squares, H, W)
    targets = torch.as_tensor(targets, device=logits.device).expand(len(images))
    heat = []
    for image, target, score in zip(images, targets, scores, strict=True):
        falls = []
        for part in covers.split(batch_size):
            covered = torch.where(part[:, None], fill, image)  # (batch_size, C, H, W)
            falls.append(score - class_scores(model(covered), target))
        falls = torch.cat(falls)  # (squares,)
        heat.append((falls[:, None, None] * covers).sum(dim=0) / covers.sum(dim=0))
    return torch.stack(heat)  # (B, H, W)


def _squares(height: int, width: int, size: int, stride: int) -> Tensor:
    """Every position of the square: bool (squares, H, W), True where it covers."""
    rows, columns = ([*range(0, side - size, stride), side - size] for side in (height, width))
    covers = torch.zeros(len(rows), len(columns), height, width, dtype=torch.bool)
    for r, row in enumerate(rows):
        for c, column in enumerate(columns):
            covers[r, c, row : row + size, column : column + size] = True
    return covers.flatten(0, 1)
