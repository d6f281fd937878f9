"""Notebook 14, second part: which class is taken for which."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def confusion_counts(labels: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """How often each class (row) was taken for each class (column), int64 (num_classes, num_classes)."""
    pairs = labels * num_classes + predicted
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


def answers() -> list[tuple]:
    """Labels and predictions; classes that are never predicted, or do not occur at all, at the upper end too."""
    found = [(torch.tensor([0, 0, 2, 1, 0, 2]), torch.tensor([0, 1, 2, 1, 1, 0]), 3)]
    for count, classes, seen in ((40, 5, 4), (90, 4, 4), (60, 7, 5)):
        labels = torch.randint(seen, (count,))
        moved = (labels + torch.randint(seen, (count,)).clamp(max=2)) % seen
        found.append((labels, torch.where(torch.rand(count) < 0.5, labels, moved), classes))
    return found


def changed(change: Callable[[Tensor], Tensor]) -> Callable:
    """The right counts, and then something is done to them."""
    return lambda labels, predicted, num_classes: change(confusion_counts(labels, predicted, num_classes))


def placed(place: Callable[[Tensor, Tensor, int], Tensor]) -> Callable:
    """Each pair at another place of the flat matrix."""

    def answer(labels, predicted, num_classes):
        flat = torch.bincount(place(labels, predicted, num_classes), minlength=num_classes**2)
        return flat[: num_classes**2].view(num_classes, num_classes)

    return answer


def each_pair_once(labels, predicted, num_classes):
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    matrix[labels, predicted] += 1
    return matrix


def shared_rows(labels, predicted, num_classes):
    matrix = [[0] * num_classes] * num_classes
    for label, answer in zip(labels.tolist(), predicted.tolist(), strict=True):
        matrix[label][answer] += 1
    return torch.tensor(matrix)


def of_classes_seen(labels, predicted, num_classes):
    classes = int(max(labels.max(), predicted.max())) + 1
    return confusion_counts(labels, predicted, classes)


def without_minlength(labels, predicted, num_classes):
    return torch.bincount(labels * num_classes + predicted).view(num_classes, num_classes)


def either(labels, predicted, num_classes):
    K = range(num_classes)
    return torch.tensor([[int(((labels == i) | (predicted == j)).sum()) for j in K] for i in K])


def cell_by_cell(labels, predicted, num_classes):
    K = range(num_classes)
    return torch.tensor([[int(((labels == i) & (predicted == j)).sum()) for j in K] for i in K])


def by_loop(labels, predicted, num_classes):
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.long)
    for label, answer in zip(labels.tolist(), predicted.tolist(), strict=True):
        matrix[label, answer] += 1
    return matrix


def by_product(labels, predicted, num_classes):
    return F.one_hot(labels, num_classes).T @ F.one_hot(predicted, num_classes)


def by_index_put(labels, predicted, num_classes):
    matrix = torch.zeros(num_classes, num_classes, dtype=torch.long)
    return matrix.index_put((labels, predicted), torch.ones_like(labels), accumulate=True)


CONFUSION = Exercise(
    name="confusion_counts",
    notebook="14",
    title="The confusion matrix",
    reference=confusion_counts,
    probes=answers,
    result="matrix",
    axes={"labels": "N", "predicted": "N", "matrix": "true predicted"},
    hints=[
        "By a loop: a matrix of zeros, whole numbers, and for each image one more at [its class, the answer].",
        "Without a loop: give each pair (class, answer) a number of its own, count how often each number occurs, "
        "and lay the counts out as a matrix.",
        "The pair (i, j) gets the number i · num_classes + j: its place in the matrix read row by row. "
        "`torch.bincount` counts; `minlength` says how many numbers there are, even if the last ones never occur.",
    ],
    mistakes=[
        Mistake(
            "transposed",
            changed(lambda m: m.T),
            "Rows and columns have changed places. Here, as in scikit-learn, the *true* class is the row. Transposed, "
            "you would read 'cats taken for dogs' where dogs are taken for cats, and precision where recall is.",
        ),
        Mistake(
            "each_pair_once",
            each_pair_once,
            "No number is above 1. `matrix[labels, predicted] += 1` with whole tensors reads all places first, and "
            "writes each once, so a pair that occurs fifty times is counted once. (With a loop: add 1, do not set 1.)",
        ),
        Mistake(
            "shared_rows",
            shared_rows,
            "All rows are equal: `[[0] * K] * K` holds the *same* list K times, so a count in one row stands in every "
            "row. Make each row a list of its own, or take a tensor of zeros.",
        ),
        Mistake(
            "rows_as_shares",
            changed(lambda m: m / m.sum(1, keepdim=True)),
            "These are shares of each row. Counts are asked for, in whole numbers: shares can be had from counts at "
            "any time, counts from shares never.",
        ),
        Mistake(
            "columns_as_shares",
            changed(lambda m: m / m.sum(0, keepdim=True)),
            "These are shares of each *column*, and counts are asked for. (When you do want shares: a row holds all "
            "images of a class, so shares of a row say what becomes of them.)",
        ),
        Mistake(
            "shares_of_all",
            changed(lambda m: m / m.sum()),
            "These are shares of all images. Counts are asked for, in whole numbers.",
        ),
        Mistake(
            "base_too_small",
            placed(lambda labels, predicted, K: labels * (K - 1) + predicted),
            "Two pairs share a number: with a factor of num_classes - 1, class 0 answered with the last class falls "
            "on class 1 answered with the first. A row has num_classes places.",
        ),
        Mistake(
            "base_too_large",
            placed(lambda labels, predicted, K: labels * (K + 1) + predicted),
            "Your factor leaves one place free after each row, so the rows slip to the right, and the last counts "
            "fall off the end. A row has num_classes places.",
        ),
        Mistake(
            "sums",
            placed(lambda labels, predicted, K: labels + predicted),
            "Different pairs share a number: 0 + 2, 1 + 1 and 2 + 0 are all 2. Each pair needs a place of its own.",
        ),
        Mistake(
            "of_classes_seen",
            of_classes_seen,
            "The matrix is as large as the highest class that happens to occur. A class that no image has, and nobody "
            "answers, still has its row and column: num_classes of each.",
        ),
        Mistake(
            "without_minlength",
            without_minlength,
            "`bincount` stops at the highest number that occurs, so when the last pairs never come there are too few "
            "counts for the matrix. It can be told how many to give at least.",
        ),
        Mistake(
            "either",
            either,
            "You count the images with label i *or* answer j. A cell holds those with both: `&`.",
        ),
        Mistake(
            "both_ways",
            changed(lambda m: m + m.T),
            "You add the matrix to its transpose: cats called dog and dogs called cat become one number. Pairs are "
            "added up later; here each direction has a cell of its own.",
        ),
        Mistake(
            "mistakes_alone",
            changed(lambda m: m - m.diag().diag()),
            "The diagonal is empty: you count mistakes alone. The right answers belong there, each class's own.",
        ),
        Mistake(
            "right_alone",
            changed(lambda m: m.diag().diag()),
            "Only the diagonal is filled: you count right answers alone. What is off the diagonal is why one draws "
            "this matrix.",
        ),
        Mistake(
            "flat",
            changed(lambda m: m.flatten()),
            "The counts are right, but they lie in one row. Lay them out: num_classes rows of num_classes.",
        ),
    ],
    variants=[by_loop, by_product, by_index_put, cell_by_cell],
    solved="Every other number about classes can be read off this matrix.",
)

EXERCISES = [CONFUSION]
