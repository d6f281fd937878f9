"""Notebook 05: Grad-CAM."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_course.exercises.banks.seeing_saliency import target_score
from vit_course.exercises.core import Exercise, Mistake


def grad_cam_map(features: nn.Module, head: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017, equations 1 and 2) of a model that is `head(features(images))`: (B, h, w)."""
    return cam()(features, head, images, targets)


def weighted(maps: Tensor, weights: Tensor) -> Tensor:
    return (weights * maps).sum(dim=1).relu()


def cam(
    weigh: Callable = lambda gradients: gradients.mean(dim=(2, 3), keepdim=True),
    combine: Callable = weighted,
    score: Callable = target_score,
) -> Callable:
    """`grad_cam_map` with other weights alpha, another way to put the maps together, or another score."""

    def answer(features, head, images, targets):
        maps = features(images)
        (gradients,) = torch.autograd.grad(score(head(maps), targets), maps)
        return combine(maps, weigh(gradients)).detach()

    return answer


def scaled(maps: Tensor, weights: Tensor) -> Tensor:
    heat = weighted(maps, weights)
    return heat / heat.amax(dim=(1, 2), keepdim=True).clamp(min=1e-8)


def cam_by_loop(features: nn.Module, head: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    result = []
    for image, target in zip(images, targets, strict=True):
        maps = features(image[None])
        maps.retain_grad()
        head(maps)[0, target].backward()
        heat = sum(maps.grad[0, k].mean() * maps[0, k] for k in range(maps.shape[1]))
        result.append(heat.clamp(min=0).detach())
    return torch.stack(result)


def cam_by_einsum(features: nn.Module, head: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    maps = features(images)
    score = (head(maps) * F.one_hot(targets, head(maps).shape[1])).sum()
    (gradients,) = torch.autograd.grad(score, maps)
    return F.relu(torch.einsum("bk,bkhw->bhw", gradients.mean((2, 3)), maps)).detach()


def networks_in_two() -> list[tuple]:
    """(features, head, images, targets): a head that sees positions, so that the gradients differ over space."""

    def draw(b: int, c: int, k: int, h: int, w: int, classes: int) -> tuple:
        features = nn.Sequential(nn.Conv2d(c, k, 3), nn.Tanh())  # negative values too
        head = nn.Sequential(nn.Flatten(), nn.Linear(k * (h - 2) * (w - 2), 6), nn.Tanh(), nn.Linear(6, classes))
        with torch.no_grad():
            head[3].weight.mul_(20)  # so that the maps are not tiny numbers
        return features.eval(), head.eval(), torch.randn(b, c, h, w), torch.arange(1, b + 1) % classes

    return [draw(1, 1, 2, 4, 5, 2), draw(4, 3, 5, 6, 8, 3), draw(5, 2, 4, 8, 5, 4)]


GRAD_CAM_MAP = Exercise(
    name="grad_cam_map",
    notebook="05",
    title="Grad-CAM",
    reference=grad_cam_map,
    probes=networks_in_two,
    axes={"images": "B C H W", "targets": "B", "result": "B h w"},
    hints=[
        "The maps are `features(images)`, and `head` makes logits of them. Keep the maps: the gradient is taken with "
        "respect to them, not to the images.",
        "Equation 1: the mean of the gradient over rows and columns. `keepdim=True` keeps it (B, K, 1, 1), so that it "
        "can be multiplied with the maps.",
        "Equation 2: weight every map, add up over K, and only then the ReLU.",
    ],
    mistakes=[
        Mistake(
            "no_relu",
            cam(combine=lambda maps, weights: (weights * maps).sum(dim=1)),
            "The last ReLU is missing. Your map is negative where the evidence is for *other* classes; on a colour "
            "scale from its smallest to its largest value those places look like a background that they are not.",
        ),
        Mistake(
            "not_averaged",
            cam(weigh=lambda gradients: gradients),
            "You multiplied maps by gradients place by place. Equation 1 first averages the gradient over rows and "
            "columns: one weight for a whole feature map says how much that *feature* counts.",
        ),
        Mistake(
            "over_channels",
            cam(weigh=lambda gradients: gradients.mean(dim=1, keepdim=True)),
            "You averaged over the channels, so all feature maps at one place get the same weight. The average in "
            "equation 1 goes over the places i, j; there is one weight for each k.",
        ),
        Mistake(
            "max",
            cam(weigh=lambda gradients: gradients.amax(dim=(2, 3), keepdim=True)),
            "You took the largest gradient of each map. One single place then decides for the whole map, and features "
            "that speak against the class are turned into features for it. Equation 1 is a mean.",
        ),
        Mistake(
            "sum",
            cam(weigh=lambda gradients: gradients.sum(dim=(2, 3), keepdim=True)),
            "You added the gradients up; equation 1 divides by Z, the number of places. The picture looks the same, "
            "but maps of layers with other sizes cannot be compared.",
        ),
        Mistake(
            "over_the_batch",
            cam(weigh=lambda gradients: gradients.mean(dim=(0, 2, 3), keepdim=True)),
            "You averaged over the images of the batch as well, so one image's map depends on its neighbours. Rows and "
            "columns only.",
        ),
        Mistake(
            "relu_too_early",
            cam(combine=lambda maps, weights: (weights * maps).relu().sum(dim=1)),
            "The ReLU comes before the sum over the feature maps: nothing can speak against the class any more. First "
            "add up, then cut off.",
        ),
        Mistake(
            "positive_weights",
            cam(combine=lambda maps, weights: (weights.relu() * maps).sum(dim=1)),
            "You cut off negative *weights*. Features that speak against the class belong into the sum; the ReLU comes "
            "at the very end.",
        ),
        Mistake(
            "abs",
            cam(combine=lambda maps, weights: (weights * maps).sum(dim=1).abs()),
            "You took the absolute value: places that speak *against* the class light up like those that speak for it.",
        ),
        Mistake(
            "mean_over_maps",
            cam(combine=lambda maps, weights: (weights * maps).mean(dim=1).relu()),
            "Equation 2 adds the weighted maps up; you averaged them.",
        ),
        Mistake(
            "no_weights",
            cam(combine=lambda maps, weights: maps.sum(dim=1).relu()),
            "The weights are not used. This is how active the layer is anywhere, and the same for every class.",
        ),
        Mistake(
            "probability",
            cam(score=lambda logits, targets: target_score(logits.softmax(1), targets)),
            "You took the gradient of the probability. It mixes in all other classes, and where the network is sure "
            "it vanishes. In the paper y is the score *before* the softmax.",
        ),
        Mistake(
            "loss",
            cam(score=lambda logits, targets: F.cross_entropy(logits, targets, reduction="sum")),
            "You took the gradient of the loss. It falls where the score rises, so your map shows what speaks against "
            "the class. Take the target's logit.",
        ),
        Mistake(
            "mean_loss",
            cam(score=F.cross_entropy),
            "You took the gradient of the mean loss. It falls where the score rises, so your map shows what speaks "
            "against the class, and it gets paler with every image in the batch. Add up the targets' logits.",
        ),
        Mistake(
            "predicted",
            cam(score=lambda logits, targets: logits.amax(dim=1).sum()),
            "The class you explain is the predicted one. The caller named another in `targets`.",
        ),
        Mistake(
            "every_pair",
            cam(score=lambda logits, targets: logits[:, targets].sum()),
            "`logits[:, targets]` is B × B numbers: every image's score for every target of the batch. Pair each image "
            "with its own target only.",
        ),
        Mistake(
            "no_keepdim",
            cam(weigh=lambda gradients: gradients.mean(dim=(2, 3))),
            "The weights are (B, K), the maps (B, K, h, w), and broadcasting lines them up from the right: B with h, K "
            "with w. The weights need two axes of length 1 at the end.",
        ),
        Mistake(
            "all_classes",
            cam(score=lambda logits, targets: logits.sum()),
            "You added up all the logits: the map shows what moves any class. Pick each image's target.",
        ),
        Mistake(
            "mean_score",
            cam(score=lambda logits, targets: target_score(logits, targets) / len(logits)),
            "You averaged the scores over the batch: the more images, the paler every map. Add them up.",
        ),
        Mistake(
            "scaled",
            cam(combine=scaled),
            "The map is right, but you stretched each one to a maximum of 1. Then a map with no evidence at all looks "
            "as bright as any. Leave the scale to whoever draws it.",
        ),
    ],
    variants=[
        cam_by_loop,
        cam_by_einsum,
        cam(combine=lambda maps, weights: torch.clamp((weights * maps).sum(1), min=0)),
    ],
    solved="The package's version finds the maps in any model by the layer's name, with a hook.",
)

EXERCISES = [GRAD_CAM_MAP]
