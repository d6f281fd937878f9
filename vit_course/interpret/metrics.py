"""How good a classifier is, beyond one number: per class, top-k, calibration, and how sure one can be of the number."""

import math
from collections.abc import Callable, Iterable
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Predictions(NamedTuple):
    """What a model says of every image of a split, on the CPU."""

    logits: Tensor  # float32 (N, num_classes)
    labels: Tensor  # int64 (N,)

    @property
    def classes(self) -> Tensor:
        """The predicted classes, int64 (N,)."""
        return self.logits.argmax(dim=1)

    @property
    def probabilities(self) -> Tensor:
        """The softmax of the logits, float32 (N, num_classes)."""
        return self.logits.softmax(dim=1)

    @property
    def correct(self) -> Tensor:
        """Which images are right, bool (N,)."""
        return self.classes == self.labels


@torch.no_grad()
def predict(model: nn.Module, batches: Iterable) -> Predictions:
    """The logits of every image, in the order of `batches`; leaves the model in eval mode, as `evaluate` does.

    The labels must be classes (B,), so an augmentation that mixes images does not belong here.

    Raises:
        ValueError: no batch, or labels that are not (B,).
    """
    device = next(model.parameters()).device
    logits, labels = [], []
    model.eval()
    for images, targets in batches:
        if targets.ndim != 1:
            raise ValueError(f"labels are {tuple(targets.shape)}, not (B,): evaluate without MixUp and CutMix")
        logits.append(model(images.to(device)).float().cpu())
        labels.append(targets.cpu())
    if not logits:
        raise ValueError("there is no batch: is the split empty, or an iterator that was used up before?")
    return Predictions(torch.cat(logits), torch.cat(labels))


def confusion_matrix(labels: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """How often each class (row) was taken for each class (column): int64 (num_classes, num_classes).

    Raises:
        ValueError: not one prediction a label, or a class outside 0 … num_classes - 1.
    """
    if labels.shape != predicted.shape or labels.ndim != 1:
        raise ValueError(f"labels are {tuple(labels.shape)} and predictions {tuple(predicted.shape)}: give two of (N,)")
    for name, classes in (("labels", labels), ("predictions", predicted)):
        if len(classes) and not 0 <= classes.min() <= classes.max() < num_classes:
            raise ValueError(f"{name} lie in {classes.min()}…{classes.max()}: classes are 0 to {num_classes - 1}")
    return torch.bincount(labels * num_classes + predicted, minlength=num_classes**2).view(num_classes, num_classes)


class PerClass(NamedTuple):
    """One number a class each, float64 (num_classes,); nan where nothing was there to divide by."""

    precision: Tensor  # of the images called this class, the share that is
    recall: Tensor  # of the images of this class, the share that was found: the accuracy of the class
    f1: Tensor  # the harmonic mean of both


def per_class(matrix: Tensor) -> PerClass:
    """Precision, recall and F1 of each class from a confusion matrix (C, C) with the true classes in rows."""
    right = matrix.diagonal().double()
    called, real = matrix.sum(0).double(), matrix.sum(1).double()
    return PerClass(right / called, right / real, 2 * right / (called + real))


def top_k_accuracy(scores: Tensor, labels: Tensor, k: int = 5) -> float:
    """The share of images whose class is among the k highest of their scores (N, num_classes).

    Raises:
        ValueError: k below 1 or above the number of classes.
    """
    if not 1 <= k <= scores.shape[1]:
        raise ValueError(f"k is {k}: give 1 to {scores.shape[1]}, the number of classes")
    found = scores.topk(k, dim=1).indices == labels[:, None]  # (N, k)
    return found.any(dim=1).double().mean().item()


class Reliability(NamedTuple):
    """Images in bins by confidence, float64 (bins,); nan in the means of an empty bin."""

    confidence: Tensor  # mean of the highest probability
    accuracy: Tensor
    count: Tensor  # int64


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 15) -> Reliability:
    """Confidence beside accuracy in `bins` equal steps of confidence: a calibrated model has them equal.

    A bin holds its upper end, as in Guo et al. 2017, arXiv:1706.04599, section 2.

    Args:
        probabilities: (N, num_classes), rows that sum to 1.

    Raises:
        ValueError: rows that do not sum to 1: logits, perhaps.
    """
    sums = probabilities.sum(dim=1)
    if not torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        raise ValueError("rows do not sum to 1: give probabilities, logits.softmax(dim=1)")
    confidence, predicted = probabilities.max(dim=1)
    place = (confidence.double() * bins).ceil().long().clamp(1, bins) - 1  # (N,)
    count = torch.bincount(place, minlength=bins)
    means = [
        torch.bincount(place, weights=values.double(), minlength=bins) / count
        for values in (confidence, predicted == labels)
    ]
    return Reliability(*means, count)


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """The mean distance between confidence and accuracy, bins weighted by their images: ECE, 0 … 1.

    Guo et al. 2017, arXiv:1706.04599, equation 3. Raises as `reliability`.
    """
    found = reliability(probabilities, labels, bins)
    gaps = (found.confidence - found.accuracy).abs().nan_to_num()
    return ((gaps * found.count).sum() / found.count.sum()).item()


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Where the true accuracy lies, given `correct` of `total` independent images (Wilson 1927): (low, high).

    Unlike mean ± 2 sd it never leaves 0 … 1 and holds for few images too.

    Raises:
        ValueError: counts that cannot be.
    """
    if not 0 <= correct <= total or total < 1:
        raise ValueError(f"{correct} correct of {total}: give 0 ≤ correct ≤ total, and at least 1 image")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = correct / total
    centre = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_interval(
    values: Tensor,
    statistic: Callable[[Tensor], Tensor] = lambda samples: samples.mean(dim=0),
    *,
    confidence: float = 0.95,
    rounds: int = 2_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Where a statistic would lie for other images of the same kind: draw N of the N again, many times: (low, high).

    Percentiles of the redrawn statistic (Efron 1979). To compare two models on the same images give the difference,
    `a.correct.double() - b.correct.double()`: pairs stay together.

    Args:
        values: (N,) or (N, …), one entry an image.
        statistic: a function of drawn values (N, …) that gives one number.

    Raises:
        ValueError: no values.
    """
    if not len(values):
        raise ValueError("there are no values: give at least one an image")
    generator = torch.Generator().manual_seed(seed)
    values = values.cpu().double() if values.dtype in (torch.bool, torch.int64) else values.cpu()
    drawn = [
        float(statistic(values[torch.randint(len(values), (len(values),), generator=generator)])) for _ in range(rounds)
    ]
    tail = (1 - confidence) / 2
    low, high = torch.tensor(drawn, dtype=torch.float64).quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64))
    return low.item(), high.item()


def mcnemar(correct_a: Tensor, correct_b: Tensor) -> float:
    """How likely so unequal a record would be if both models were equally good: the exact two-sided p.

    Only images on which exactly one of the two is right count; each is then a fair coin (McNemar 1947).

    Args:
        correct_a, correct_b: bool (N,), the same images in the same order.

    Raises:
        ValueError: two shapes.
    """
    if correct_a.shape != correct_b.shape:
        raise ValueError(f"{tuple(correct_a.shape)} and {tuple(correct_b.shape)}: give both models the same images")
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((~correct_a & correct_b).sum())
    n = only_a + only_b
    tail = sum(math.comb(n, i) for i in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / 2**n)
