"""Notebook 13, first part: cross-entropy with smoothed labels."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def smoothed_cross_entropy(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean over the batch of -Σ target · ln p; the target is 1 - smoothing at the label, and smoothing / C on top."""
    log_p = logits - logits.logsumexp(dim=1, keepdim=True)  # (B, C)
    return -(targets(logits, labels, smoothing) * log_p).sum(dim=1).mean()


def targets(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    classes = logits.shape[1]
    return (1 - smoothing) * F.one_hot(labels, classes) + smoothing / classes  # (B, C)


def scores() -> list[tuple]:
    """Logits (B, C) with B ≠ C, also so large that exp overflows, labels and smoothing."""
    cases = [
        (torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]]), torch.tensor([0, 2]), 0.3),
        (torch.randn(5, 4), torch.tensor([3, 0, 1, 1, 2]), 0.1),
        (torch.tensor([[120.0, 0.0, 60.0], [-150.0, 0.0, 3.0]]), torch.tensor([0, 0]), 0.2),
    ]
    with torch.enable_grad():  # no leaves, like a model's output: to change a clone in place is no error of torch's
        return [(logits.requires_grad_().clone(), *rest) for logits, *rest in cases]


def with_targets(make: Callable) -> Callable:
    """The loss with other targets: of (one_hot, smoothing, C)."""

    def answer(logits, labels, smoothing):
        wanted = make(F.one_hot(labels, logits.shape[1]).float(), smoothing, logits.shape[1])
        return -(wanted * logits.log_softmax(1)).sum(1).mean()

    return answer


def otherwise(logs: Callable = lambda z: z.log_softmax(1), reduce: Callable = lambda rows: -rows.sum(1).mean()):
    """The right targets with other logarithms, or another way to one number."""
    return lambda logits, labels, smoothing: reduce(targets(logits, labels, smoothing) * logs(logits))


def divergence(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    wanted = targets(logits, labels, smoothing)
    return F.kl_div(logits.log_softmax(1), wanted, reduction="batchmean")


def two_terms(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    log_p = logits.log_softmax(1)
    return (1 - smoothing) * F.nll_loss(log_p, labels) - smoothing * log_p.mean()


def in_every_row(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    wanted = torch.full_like(logits, smoothing / logits.shape[1])
    wanted[:, labels] += 1 - smoothing
    return -(wanted * logits.log_softmax(1)).sum(1).mean()


def smoothed_answers(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    p = (1 - smoothing) * logits.softmax(1) + smoothing / logits.shape[1]
    return F.nll_loss(p.log(), labels)


def plus_a_constant(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    return (1 - smoothing) * F.cross_entropy(logits, labels) + smoothing / logits.shape[1]


def second_term_summed(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    log_p = logits.log_softmax(1)
    return (1 - smoothing) * F.nll_loss(log_p, labels) - smoothing * log_p.sum(1).mean()


def by_rows(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    losses = []
    for row, label in zip(logits, labels.tolist(), strict=True):
        costs = row.logsumexp(0) - row  # (C,)
        wanted = torch.full_like(costs, smoothing / len(costs))
        wanted[label] += 1 - smoothing
        losses.append(wanted @ costs)
    return torch.stack(losses).mean()


# What learners add to p, or clamp it at, before they take the logarithm; no p of the probes lies near one of them.
FLOAT32 = torch.finfo(torch.float32)
CAPS = (1e-5, 1e-6, FLOAT32.eps, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16, 1e-20, 1e-30, FLOAT32.tiny)

SMOOTHED = Exercise(
    name="smoothed_cross_entropy",
    notebook="13",
    title="Cross-entropy with smoothed labels",
    reference=smoothed_cross_entropy,
    probes=scores,
    result="loss",
    axes={"logits": "B C", "labels": "B"},
    hints=[
        "First the targets, one row an image. Take `smoothing` off the one at the label, and share it out evenly: "
        "among *all* C classes, the right one included. Does each row sum to 1?",
        "`F.one_hot(labels, C)` gives the rows to start from; two operations make the targets of it.",
        "Then the cross-entropy of two distributions: minus the sum over the classes of target times ln p. "
        "`log_softmax` gives ln p without overflow. The mean is over images only.",
    ],
    mistakes=[
        Mistake(
            "wrong_classes_only",
            with_targets(lambda hot, s, c: hot * (1 - s) + (1 - hot) * s / (c - 1)),
            "You share `smoothing` out among the C - 1 wrong classes. That is a common way too, and a slightly "
            "stronger smoothing; torch and this course share it among all C, so the right class gets some of it back.",
        ),
        Mistake(
            "sum_above_one",
            with_targets(lambda hot, s, c: hot + s / c),
            "Your targets sum to more than 1: the label has kept its whole 1, and everybody got a share on top. What "
            "is shared out has to be taken from somewhere.",
        ),
        Mistake(
            "sum_below_one",
            with_targets(lambda hot, s, c: hot * (1 - s) + (1 - hot) * s / c),
            "Your targets sum to a little less than 1: the label is at 1 - smoothing, and its own share of smoothing / "
            "C is missing. Add the share to every class, the right one too.",
        ),
        Mistake(
            "not_shared",
            with_targets(lambda hot, s, c: hot * (1 - s) + (1 - hot) * s),
            "Every wrong class gets the whole of `smoothing`, so with ten classes 0.1 becomes 0.9 in all: as much as "
            "the right one has. Share it out: divide by the number of classes.",
        ),
        Mistake(
            "exchanged",
            with_targets(lambda hot, s, c: hot * s + (1 - s) / c),
            "`smoothing` and 1 - smoothing have changed places: most of the weight is spread over all classes, and "
            "the label hardly counts. With smoothing 0 nothing would be learned.",
        ),
        Mistake(
            "ignored",
            with_targets(lambda hot, s, c: hot),
            "That is the plain cross-entropy: `smoothing` is not used.",
        ),
        Mistake(
            "in_every_row",
            in_every_row,
            "`target[:, labels]` marks the labels of the *whole batch* in every row. Each row has one label: pair rows "
            "with labels, or start from `F.one_hot`. Print the targets of a small batch: every row should sum to 1.",
        ),
        Mistake(
            "smoothed_answers",
            smoothed_answers,
            "You smooth the network's probabilities, and keep labels of 0 and 1. The loss still falls as long as the "
            "right logit grows, so nothing ends the race. It is the *target* that gets the share.",
        ),
        Mistake(
            "plus_a_constant",
            plus_a_constant,
            "The share smoothing / C stands alone: a constant, whose gradient is 0. It has to be multiplied by the "
            "-ln p of each class, and the sum taken over all of them.",
        ),
        Mistake(
            "second_term_summed",
            second_term_summed,
            "Split in two, the loss is right but for one thing: in the second part every class gets the whole of "
            "`smoothing`. Each gets smoothing / C, so average -ln p over the classes there.",
        ),
        Mistake(
            "every_entry",
            otherwise(reduce=lambda rows: -rows.mean()),
            "You average over all B·C entries, so the loss and its gradients are C times too small: as if the learning "
            "rate had been divided by ten. Add up along the classes; only images are averaged.",
        ),
        Mistake(
            "summed",
            otherwise(reduce=lambda rows: -rows.sum()),
            "You have the sum over the images of the batch. The step would grow with the batch size. Average them.",
        ),
        Mistake(
            "softmax_twice",
            otherwise(logs=lambda z: z.softmax(1).log_softmax(1)),
            "There are two softmaxes, one inside the other: `log_softmax` wants raw scores. On probabilities it is "
            "nearly flat, so the loss stays high and training crawls.",
        ),
        Mistake(
            "log_of_softmax",
            otherwise(logs=lambda z: z.softmax(1).log()),
            "Softmax, then the logarithm: for a class that is hopeless p has become 0, its logarithm -inf. Plain "
            "labels would hide that, since a target of 0 is often skipped; smoothed ones ask about *every* class. "
            "Take both in one function.",
        ),
        *[
            Mistake(
                f"capped_{small:g}",
                otherwise(logs=lambda z, small=small: (z.softmax(1) + small).log()),
                "A small number inside the logarithm hides -inf, but it caps the loss: a class at p = 0 never costs "
                f"more than -ln of that number (of {small:.2g}: {-math.log(small):.1f}), and its gradient is gone. Use "
                "`log_softmax`.",
            )
            for small in CAPS
        ],
        Mistake(
            "across_batch",
            otherwise(logs=lambda z: z.log_softmax(0)),
            "The softmax runs down the batch: images compete for a class. Classes compete for an image: axis 1.",
        ),
        Mistake(
            "sign",
            otherwise(reduce=lambda rows: rows.sum(1).mean()),
            "The minus is missing: ln p is negative, and so is your loss. Training would run away from the labels.",
        ),
        Mistake(
            "divergence",
            divergence,
            "That is the Kullback–Leibler divergence: the cross-entropy less the targets' own entropy. The gradients "
            "are the same, and at its best it is 0. But the loss that torch shows, and that you compare with, has "
            "the entropy in it.",
        ),
    ],
    variants=[two_terms, by_rows],
    solved="`F.cross_entropy(logits, labels, label_smoothing=…)` is this. Its lowest value is no longer 0.",
)

EXERCISES = [SMOOTHED]
