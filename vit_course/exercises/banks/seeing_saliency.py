"""Notebook 05: the gradient of a class score, as a picture."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vit_course.exercises.core import Exercise, Mistake, is_blank


def saliency_map(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """The largest absolute gradient of the target's score over the channels: (B, H, W)."""
    return gradient_map()(model, images, targets)


def target_score(logits: Tensor, targets: Tensor) -> Tensor:
    return logits[torch.arange(len(logits)), targets].sum()


def gradient_map(
    reduce: Callable = lambda gradients, images: gradients.abs().amax(dim=1), score: Callable = target_score
) -> Callable:
    """`saliency_map` of another score, or with the channels brought together in another way."""

    def answer(model, images, targets):
        images = images.clone().requires_grad_()
        (gradients,) = torch.autograd.grad(score(model(images), targets), images)
        return reduce(gradients, images.detach())

    return answer


def by_backward(model: nn.Module, images: Tensor, targets: Tensor, fresh: bool = True) -> Tensor:
    images = images.detach().clone().requires_grad_() if fresh else images.requires_grad_()
    target_score(model(images), targets).backward()
    return images.grad.abs().max(dim=1).values


def one_by_one(model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    maps = []
    for image, target in zip(images, targets, strict=True):
        image = image[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(image)[0, target], image)
        maps.append(gradient[0].abs().amax(dim=0))
    return torch.stack(maps)


def classifiers() -> list[tuple]:
    """(model, images, targets): smooth small networks, and targets that are not all the predicted class."""

    def draw(b: int, c: int, h: int, w: int, classes: int) -> tuple:
        layers = (nn.Conv2d(c, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * (h - 2) * (w - 2), classes))
        return nn.Sequential(*layers).eval(), torch.randn(b, c, h, w), torch.arange(b) % classes

    return [draw(1, 1, 3, 4, 2), draw(3, 3, 4, 5, 3), draw(4, 2, 6, 4, 3)]


def call_twice(answer: Callable, model: nn.Module, images: Tensor, targets: Tensor) -> object:
    """Two calls in a row must agree: `backward` adds to the gradients that are there."""
    first = answer(model, images, targets)
    if is_blank(first):
        return first
    return {"map": first, "map, called once more": answer(model, images, targets)}


SALIENCY_MAP = Exercise(
    name="saliency_map",
    notebook="05",
    title="The gradient of a class score, as a picture",
    reference=saliency_map,
    probes=classifiers,
    call=call_twice,
    axes={"images": "B C H W", "targets": "B", "map": "B H W", "map, called once more": "B H W"},
    hints=[
        "Take a copy of the images that asks for gradients: `images.clone().requires_grad_()`.",
        "Each image's score is its logit at its target. Their sum is one number, and its gradient holds every image's "
        "own: no image has a part in another's score.",
        "`torch.autograd.grad(score, images)` returns a tuple with the gradient (B, C, H, W). Of each pixel's C "
        "numbers take the one that is farthest from zero.",
    ],
    mistakes=[
        Mistake(
            "no_abs",
            gradient_map(lambda gradients, images: gradients.amax(dim=1)),
            "You took the largest gradient, so a pixel that speaks strongly *against* the class when it gets brighter "
            "seems unimportant. The question is how much the score depends on a pixel, whichever way: take absolute "
            "values before the maximum.",
        ),
        Mistake(
            "abs_too_late",
            gradient_map(lambda gradients, images: gradients.amax(dim=1).abs()),
            "The absolute value comes too late: the maximum has already preferred a small positive number to a large "
            "negative one.",
        ),
        Mistake(
            "sum",
            gradient_map(lambda gradients, images: gradients.abs().sum(dim=1)),
            "You added the channels up. People do that too; this exercise, like Simonyan et al., takes the channel "
            "that counts most.",
        ),
        Mistake(
            "signed_sum",
            gradient_map(lambda gradients, images: gradients.sum(dim=1)),
            "You added up gradients with their signs. A pixel whose red speaks for the class and whose green speaks "
            "against it comes out as zero, though the score depends on it twice.",
        ),
        Mistake(
            "one_channel",
            gradient_map(lambda gradients, images: gradients[:, 0].abs()),
            "You took the first channel alone. A network that watches for blue would look blind.",
        ),
        Mistake(
            "times_image",
            gradient_map(lambda gradients, images: (gradients * images).abs().amax(dim=1)),
            "You multiplied the gradient by the image. That is another method (gradient × input): the picture itself "
            "shows through, and the map looks better than it is.",
        ),
        Mistake(
            "loss",
            gradient_map(score=lambda logits, targets: F.cross_entropy(logits, targets, reduction="sum")),
            "That is the gradient of the loss. Its size shrinks to nothing for an image that the network is sure of, "
            "and it mixes in every other class. Take the logit of the target.",
        ),
        Mistake(
            "mean_loss",
            gradient_map(score=lambda logits, targets: F.cross_entropy(logits, targets)),
            "That is the gradient of the mean loss: it shrinks where the network is sure, mixes in the other classes, "
            "and gets smaller with every image in the batch. Take the logits of the targets, and add them up.",
        ),
        Mistake(
            "probability",
            gradient_map(score=lambda logits, targets: target_score(logits.softmax(1), targets)),
            "You took the probability. It can rise because *other* classes fall, and near 1 its gradient vanishes. "
            "Leave the softmax out: the score is the logit.",
        ),
        Mistake(
            "predicted",
            gradient_map(score=lambda logits, targets: logits.amax(dim=1).sum()),
            "You explain the class that the network predicts. The caller named one in `targets`, perhaps to ask why "
            "not that one.",
        ),
        Mistake(
            "every_pair",
            gradient_map(score=lambda logits, targets: logits[:, targets].sum()),
            "`logits[:, targets]` takes *every* image's score for *every* target of the batch, B × B numbers. Each "
            "image should meet its own target alone: pair them up, row by row.",
        ),
        Mistake(
            "pair",
            gradient_map(lambda gradients, images: gradients.abs().max(dim=1)),
            "`max` with a `dim` returns two things, the values and their places. Take the values, or use `amax`.",
        ),
        Mistake(
            "all_classes",
            gradient_map(score=lambda logits, targets: logits.sum()),
            "You added the scores of all classes, so the map belongs to none of them. Pick each image's target.",
        ),
        Mistake(
            "mean_score",
            gradient_map(score=lambda logits, targets: target_score(logits, targets) / len(logits)),
            "You averaged the scores over the batch, so an image's map gets paler the more images come with it. Add "
            "them up: each image's gradient is then its own.",
        ),
        Mistake(
            "accumulated",
            lambda model, images, targets: by_backward(model, images, targets, fresh=False),
            "`backward` *adds* to `images.grad`, and you never emptied it: a second call on the same images gives the "
            "sum of both. Work on a copy of the images, or use `torch.autograd.grad`, which keeps nothing.",
        ),
    ],
    variants=[by_backward, one_by_one, gradient_map(lambda gradients, images: gradients.abs().max(dim=1)[0])],
    solved="One backward pass, whatever the size of the image. It says what a *tiny* change of each pixel would do.",
)

EXERCISES = [SALIENCY_MAP]
