"""Notebook 04, first part: the loss of a classifier, by hand."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the batch of -ln(softmax(logits)[label])."""
    log_p = logits - logits.logsumexp(dim=1, keepdim=True)  # (B, C)
    return -log_p[torch.arange(len(labels)), labels].mean()


def scores() -> list[tuple]:
    """Logits (B, C) with B ≠ C, also so large that exp overflows, and labels."""
    return [
        (torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]]), torch.tensor([0, 2])),
        (torch.randn(5, 4), torch.tensor([3, 0, 1, 1, 2])),
        (torch.tensor([[120.0, 0.0, 60.0], [-150.0, 0.0, 3.0]]), torch.tensor([0, 0])),
    ]


def picked(p: Tensor, labels: Tensor) -> Tensor:
    return p[torch.arange(len(labels)), labels]


def by_one_hot(logits: Tensor, labels: Tensor) -> Tensor:
    chosen = F.one_hot(labels, logits.shape[1]).float()
    return -(chosen * logits.log_softmax(dim=1)).sum(dim=1).mean()


def by_largest(logits: Tensor, labels: Tensor) -> Tensor:
    shifted = logits - logits.max(dim=1, keepdim=True).values
    sums = shifted.exp().sum(dim=1).log()
    return (sums - shifted.gather(1, labels[:, None])[:, 0]).mean()


def by_rows(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([row.logsumexp(0) - row[label] for row, label in zip(logits, labels, strict=True)]).mean()


CROSS_ENTROPY = Exercise(
    name="cross_entropy",
    notebook="04",
    title="The loss of a classifier, by hand",
    reference=cross_entropy,
    probes=scores,
    result="loss",
    axes={"logits": "B C", "labels": "B"},
    hints=[
        "Three steps: from scores to logarithms of probabilities, along the classes; pick each row's entry at its "
        "label; take the mean and turn the sign.",
        "`torch.log_softmax(logits, dim=1)` does the first step without ever forming e¹²⁰, which overflows.",
        "`x[torch.arange(B), labels]` picks one entry a row: row 0 at labels[0], row 1 at labels[1], and so on.",
    ],
    mistakes=[
        Mistake(
            "overflow",
            lambda logits, labels: -picked(logits.exp() / logits.exp().sum(1, keepdim=True), labels).log().mean(),
            "Right on paper, but e¹²⁰ is more than float32 can hold, and inf / inf is nan. In training it comes after "
            "an hour, from one sure batch, and kills the run. A row's largest score can be taken off first, which "
            "changes no probability; `log_softmax` and `logsumexp` do that.",
        ),
        Mistake(
            "log_of_softmax",
            lambda logits, labels: -picked(logits.softmax(1), labels).log().mean(),
            "Softmax first and then the logarithm: a probability below 10⁻⁴⁵ has become 0 by then, and ln 0 is -inf. "
            "Take both in one: logarithm and softmax together are a subtraction.",
        ),
        Mistake(
            "across_batch",
            lambda logits, labels: -picked(logits.log_softmax(0), labels).mean(),
            "Your softmax runs along the batch: the images of one batch compete with each other for each class. The "
            "classes of one image should: that is axis 1.",
        ),
        Mistake(
            "summed",
            lambda logits, labels: -picked(logits.log_softmax(1), labels).sum(),
            "You have the sum over the batch. Then twice the batch size means twice the loss and twice the step. "
            "Take the mean.",
        ),
        Mistake(
            "every_entry",
            lambda logits, labels: -(F.one_hot(labels, logits.shape[1]) * logits.log_softmax(1)).mean(),
            "You divide by all B·C entries, of which most are zeros. The loss and every gradient are C times too "
            "small. One term an image: add up along the classes, then take the mean over the batch.",
        ),
        Mistake(
            "sign",
            lambda logits, labels: picked(logits.log_softmax(1), labels).mean(),
            "The sign is missing: a logarithm of a probability is negative, and a loss has to become *smaller* where "
            "the model gets better. As it is, training would drive the right answers away.",
        ),
        Mistake(
            "no_logarithm",
            lambda logits, labels: -picked(logits.softmax(1), labels).mean(),
            "There is no logarithm: you average the probability of the right class. Where the model is sure and wrong, "
            "that has next to no slope, so it learns nothing just there.",
        ),
        Mistake(
            "softmax_twice",
            lambda logits, labels: F.cross_entropy(logits.softmax(1), labels),
            "`F.cross_entropy` takes raw scores and does the softmax itself, so here it is done twice. The second one "
            "sees numbers between 0 and 1 and can never be sure: with ten classes the loss cannot fall below 1.46, "
            "and training crawls. It is among the commonest silent bugs.",
        ),
        Mistake(
            "all_columns",
            lambda logits, labels: -logits.log_softmax(1)[:, labels].mean(),
            "`x[:, labels]` takes for *every* row the columns of *all* labels, (B, B) numbers. You want B of them: "
            "row and column go in pairs.",
        ),
        Mistake(
            "scores_only",
            lambda logits, labels: -picked(logits, labels).mean(),
            "You take the raw score of the right class. It can grow without end, whatever the other scores do. "
            "First make logarithms of probabilities of the scores, which puts a row in relation.",
        ),
    ],
    variants=[by_one_hot, by_largest, by_rows, lambda logits, labels: F.cross_entropy(logits, labels)],
    solved="This is F.cross_entropy, to the last digit that counts.",
)

EXERCISES = [CROSS_ENTROPY]
