"""Notebook 14, third part: is a model right as often as it says?"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake, is_blank


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int) -> float:
    """The mean |confidence - accuracy| of the bins, each weighted by its share of the images."""
    return error()(probabilities, labels, bins)


def as_number(answer: Callable, probabilities: Tensor, labels: Tensor, bins: int) -> object:
    """The answer's number; a tensor or array with one number in it is as good."""
    found = answer(probabilities, labels, bins)
    if is_blank(found):
        return found
    one = isinstance(found, Tensor | np.generic) and found.shape == ()
    return float(found) if one and not np.iscomplexobj(found) else found


def some_probabilities() -> list[tuple]:
    """Too sure, hardly sure, many, and 100 % sure; none lies on the edge between two bins; some bins are empty."""
    found = []
    for count, classes, bins, scale, right in ((6, 3, 4, 2.0, 0.5), (200, 4, 10, 3.0, 0.4), (500, 6, 15, 1.5, 0.7)):
        probabilities = (scale * torch.randn(count, classes)).softmax(1)
        best, others = probabilities.argmax(1), torch.randint(classes, (count,))
        found.append((probabilities, torch.where(torch.rand(count) < right, best, others), bins))
    sure = torch.tensor([[0.05, 0.95], [1, 0], [0.9, 0.1], [0, 1], [1, 0], [0.3, 0.7], [0.96, 0.04], [0, 1]])
    return [*found, (sure, torch.tensor([1, 1, 0, 1, 1, 0, 0, 0]), 5)]


def gaps_weighted(gaps: Tensor, counts: Tensor) -> float:
    return float((gaps.abs() * counts).sum() / counts.sum())


def error(
    confidence: Callable = lambda p, labels: p.max(1).values,
    place: Callable = lambda c, bins: (c * bins).ceil().long().clamp(1, bins) - 1,
    total: Callable = gaps_weighted,
    prepare: Callable = lambda p: p,
    keep_empty: bool = False,
    against: Callable = lambda right, mask: right[mask].mean(),
) -> Callable:
    """`calibration_error` with another confidence, other bins or another way to add up."""

    def answer(probabilities, labels, bins):
        p = prepare(probabilities)
        sure, right = confidence(p, labels), (p.argmax(1) == labels).float()
        where = place(sure, bins)
        kept = [where == b for b in range(bins) if keep_empty or (where == b).any()]
        gaps = torch.stack([sure[mask].mean() - against(right, mask) for mask in kept])
        return total(gaps, torch.stack([mask.sum() for mask in kept]).float())

    return answer


def of_all_bins(probabilities, labels, bins):
    return error(total=lambda gaps, counts: float(gaps.abs().sum() / bins))(probabilities, labels, bins)


def from_the_middle(probabilities, labels, bins):
    sure, right = probabilities.max(1).values, (probabilities.argmax(1) == labels).float()
    where = (sure * bins).ceil().long() - 1
    gaps = [((b + 0.5) / bins - right[where == b].mean()).abs() * (where == b).sum() for b in where.unique().tolist()]
    return float(sum(gaps) / len(sure))


def image_by_image(probabilities, labels, bins):
    right = (probabilities.argmax(1) == labels).float()
    return (probabilities.max(1).values - right).abs().mean().item()


def ends_early(probabilities, labels, bins, last=0):
    """Wrong: left-closed bins, the last of which has no upper edge either; with last=1 one bin more, for these."""
    sure, right = probabilities.max(1).values, (probabilities.argmax(1) == labels).float()
    masks = [(sure * bins).long() == b for b in range(bins + last)]
    return sum(float((sure[m].mean() - right[m].mean()).abs() * m.float().mean()) for m in masks if m.any())


def between_extremes(c: Tensor, bins: int) -> Tensor:
    return ((c - c.min()) / (c.max() - c.min()) * bins).long().clamp(max=bins - 1)


def equally_full(c: Tensor, bins: int) -> Tensor:
    return c.argsort().argsort() * bins // len(c)


def every_probability(probabilities, labels, bins):
    truth = torch.nn.functional.one_hot(labels, probabilities.shape[1]).float()
    where = (probabilities * bins).ceil().long().clamp(1, bins)
    masks = [where == b for b in range(1, bins + 1) if (where == b).any()]
    return sum(float((probabilities[m].mean() - truth[m].mean()).abs() * m.float().mean()) for m in masks)


def edge_by_edge(probabilities, labels, bins):
    sure, answers = probabilities.max(dim=1)
    total = 0.0
    for b in range(bins):
        inside = (sure > b / bins) & (sure <= (b + 1) / bins)
        if inside.any():
            gap = sure[inside].mean() - (answers[inside] == labels[inside]).double().mean()
            total += abs(gap.item()) * inside.sum().item()
    return total / len(labels)


def by_histogram(probabilities, labels, bins):
    sure = probabilities.numpy().max(1)
    right = probabilities.numpy().argmax(1) == labels.numpy()
    edges = np.linspace(0, 1, bins + 1)
    return np.abs(np.histogram(sure, edges, weights=sure - right)[0]).sum() / len(sure)


def by_bincount(probabilities, labels, bins):
    sure, answers = probabilities.max(1)
    where = torch.bucketize(sure, torch.linspace(0, 1, bins + 1)) - 1
    return torch.bincount(where, weights=sure - (answers == labels).float(), minlength=bins).abs().sum() / len(sure)


CALIBRATION = Exercise(
    name="calibration_error",
    notebook="14",
    title="The expected calibration error",
    reference=calibration_error,
    call=as_number,
    probes=some_probabilities,
    result="error",
    axes={"probabilities": "N classes", "labels": "N"},
    hints=[
        "Two numbers an image: how sure it is (its highest probability), and whether that answer is right.",
        "A loop over the bins: which images have a confidence in (b / bins, (b + 1) / bins]? Of these the mean "
        "confidence, the share that is right, and the distance of the two.",
        "A bin with many images counts for more: weigh each distance with the number of its images, and divide by N "
        "at the end. Skip a bin with none: the mean of nothing is nan.",
    ],
    mistakes=[
        Mistake(
            "unweighted",
            error(total=lambda gaps, counts: float(gaps.abs().mean())),
            "Every bin counts the same, so three images in a bin weigh as much as three thousand in another, and the "
            "result is mostly noise. Weigh each bin with its share of the images.",
        ),
        Mistake(
            "of_all_bins",
            of_all_bins,
            "You divide the sum of the distances by the number of bins, empty ones included: more bins, smaller error. "
            "Weigh each bin with its share of the images.",
        ),
        Mistake(
            "true_class",
            error(confidence=lambda p, labels: p.gather(1, labels[:, None])[:, 0]),
            "You take the probability of the *true* class for the confidence. The model does not know the true class "
            "when it answers; what it claims is the probability of its own answer, the highest one.",
        ),
        Mistake(
            "signed",
            error(total=lambda gaps, counts: float((gaps * counts).sum() / counts.sum())),
            "You add up signed differences: bins where the model is too sure and bins where it is not sure enough "
            "cancel. All that is left is mean confidence minus accuracy. Take the distance in each bin.",
        ),
        Mistake(
            "signed_the_other_way",
            error(total=lambda gaps, counts: float(-(gaps * counts).sum() / counts.sum())),
            "You add up accuracy minus confidence with its sign, so that bins above and bins below cancel. Take the "
            "distance in each bin before you add.",
        ),
        Mistake(
            "one_bin",
            error(total=lambda gaps, counts: abs(float((gaps * counts).sum() / counts.sum()))),
            "This is the distance between the mean confidence and the accuracy of *all* images, as with a single bin. "
            "A model that is too sure here and too modest there looks perfect. Take the distance in each bin.",
        ),
        Mistake(
            "accuracy_of_all",
            error(against=lambda right, mask: right.mean()),
            "You compare each bin's confidence with the accuracy of *all* images. Asked is whether those that are 60 % "
            "sure are right 60 % of the time: take the accuracy in the bin.",
        ),
        Mistake(
            "from_the_middle",
            from_the_middle,
            "You take the middle of each bin for its confidence. Inside a wide bin the images may all lie at one end: "
            "take the mean of their confidences.",
        ),
        Mistake(
            "largest",
            error(total=lambda gaps, counts: float(gaps.abs().max())),
            "That is the largest distance of any bin, the *maximum* calibration error, and it hangs on a bin "
            "with few images. Asked for is the mean, weighted by images.",
        ),
        Mistake(
            "squared",
            error(total=lambda gaps, counts: float((gaps**2 * counts).sum() / counts.sum())),
            "You average squared distances. The expected calibration error takes their absolute values.",
        ),
        Mistake(
            "summed",
            error(total=lambda gaps, counts: float((gaps.abs() * counts).sum())),
            "You weigh with the number of images and do not divide by their total: twice the images, twice the error.",
        ),
        Mistake(
            "not_averaged",
            error(total=lambda gaps, counts: float(gaps.abs().sum())),
            "You add up the distances of the bins and average nothing: more bins, more error. Weigh each distance with "
            "its bin's share of the images.",
        ),
        Mistake(
            "empty_bins",
            error(keep_empty=True),
            "The result is nan: a bin has no image, and the mean of nothing is nan, which spreads to every sum. Leave "
            "empty bins out.",
        ),
        Mistake(
            "no_bins",
            image_by_image,
            "You compare each image's confidence with 0 or 1, its own answer wrong or right. Even a perfectly "
            "calibrated model fails that: 0.8 sure, it is never 0.8 right on *one* image. Average within bins first.",
        ),
        Mistake(
            "softmax_twice",
            error(prepare=lambda p: p.softmax(1)),
            "You take a softmax of what are probabilities already. All come out nearly equal, so the model looks far "
            "less sure than it is.",
        ),
        Mistake(
            "one_bin_fewer",
            lambda probabilities, labels, bins: error()(probabilities, labels, bins - 1),
            "You have one bin too few: `linspace(0, 1, bins)` gives so many *edges*, and between them lies one bin "
            "fewer.",
        ),
        Mistake(
            "ends_early",
            ends_early,
            "An image that is 100 % sure falls into none of your bins: they end before their upper edge. The upper "
            "edge belongs to the bin (`<=`), the lower does not (`>`).",
        ),
        Mistake(
            "bin_too_many",
            lambda probabilities, labels, bins: ends_early(probabilities, labels, bins, last=1),
            "Images that are 100 % sure get a bin of their own, one more than there are: by its lower edge, theirs is "
            "the one after the last. The upper edge belongs to the bin, the lower does not.",
        ),
        Mistake(
            "rounded",
            error(place=lambda c, bins: (c * bins).round().long().clamp(max=bins - 1)),
            "You round to the nearest edge, so the bins lie *around* the edges and the outer ones are halves. A bin "
            "reaches from one edge to the next: round up.",
        ),
        Mistake(
            "every_probability",
            every_probability,
            "You sort all N · K probabilities into bins, those of the rejected classes too. Mostly they are near 0 and "
            "rightly so, which makes the error look small. Asked for: each image's highest.",
        ),
        Mistake(
            "own_edges",
            error(place=between_extremes),
            "Your bins reach from the lowest to the highest confidence that occurs. They should divide 0 … 1 in equal "
            "steps, so that two models are measured with the same bins.",
        ),
        Mistake(
            "equally_full",
            error(place=equally_full),
            "Your bins hold equally many images. Such a version exists, but here the bins are equal steps of "
            "confidence between 0 and 1.",
        ),
        Mistake(
            "percent",
            error(total=lambda gaps, counts: 100 * gaps_weighted(gaps, counts)),
            "The value is in percent. Here it is a share, 0 … 1; write it as percent where you print it.",
        ),
    ],
    variants=[edge_by_edge, by_histogram, by_bincount],
    solved="A small error is no praise: whoever always answers the commonest class, as sure as it is common, has none.",
)

EXERCISES = [CALIBRATION]
