"""Notebook 12, last part: names out."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake

Answer = list[list[tuple[str, float]]]


def answers() -> list[tuple]:
    """Logits of one image, then of several; names that are not sorted; different k."""
    names = ["tie", "cat", "bow tie", "suit", "uniform", "bus"]
    small = torch.tensor([[0.5, 2.0, -1.0]])
    return [(small, names[:3], 2), (torch.randn(3, 6) * 2, names, 3), (torch.randn(4, 5), names[:5], 1)]


def top_predictions(logits: Tensor, classes: list[str], k: int) -> Answer:
    """For each image the k most probable classes with their probabilities, the best first."""
    values, places = logits.softmax(dim=-1).topk(k)
    return [
        [(classes[i], p) for i, p in zip(row, column, strict=True)]
        for row, column in zip(places.tolist(), values.tolist(), strict=True)
    ]


def ranked(
    numbers: Callable = lambda x: x.softmax(-1), *, best: bool = True, name: Callable = lambda names, i: names[i]
) -> Callable:
    """`top_predictions` with one thing done otherwise."""

    def answer(logits, classes, k):
        scores = numbers(logits).tolist()
        order = [sorted(range(len(row)), key=row.__getitem__, reverse=best)[:k] for row in scores]
        return [[(name(classes, i), row[i]) for i in places] for row, places in zip(scores, order, strict=True)]

    return answer


def of_the_best(logits, classes, k):
    values, places = logits.topk(k)
    found = zip(places.tolist(), values.softmax(-1).tolist(), strict=True)
    return [[(classes[i], p) for i, p in zip(*pair, strict=True)] for pair in found]


def rising(logits, classes, k):
    return [row[::-1] for row in top_predictions(logits, classes, k)]


def first_ones(logits, classes, k):
    return [list(zip(classes[:k], row[:k], strict=True)) for row in logits.softmax(-1).tolist()]


def names_in_order(logits, classes, k):
    return [list(zip(classes[:k], row, strict=True)) for row in logits.softmax(-1).topk(k).values.tolist()]


def always_five(logits, classes, k):
    return top_predictions(logits, classes, min(5, len(classes)))


def just_five(logits, classes, k):
    return top_predictions(logits, classes, 5)


def one_list(logits, classes, k):
    return top_predictions(logits, classes, k)[0]


def last_names(logits, classes, k):
    rows = logits.softmax(-1).tolist()
    return [sorted(zip(classes, row, strict=True), reverse=True)[:k] for row in rows]


def turned(logits, classes, k):
    return [[pair[::-1] for pair in row] for row in top_predictions(logits, classes, k)]


def with_numpy(logits, classes, k):
    out = []
    for row in logits.double().numpy():
        weights = [2.718281828459045 ** (x - row.max()) for x in row]
        pairs = sorted(((w / sum(weights), name) for w, name in zip(weights, classes, strict=True)), reverse=True)
        out.append([(name, float(p)) for p, name in pairs[:k]])
    return out


TOP = Exercise(
    name="top_predictions",
    notebook="12",
    title="Name the most probable classes",
    reference=top_predictions,
    probes=answers,
    result="predictions",
    axes={"logits": "B C"},
    hints=[
        "Logits become probabilities by a softmax. Which axis has to sum to 1: the images or the classes?",
        "`x.topk(k)` gives the k largest values of each row, the largest first, and their places. `.tolist()` turns "
        "both into plain Python.",
    ],
    mistakes=[
        Mistake(
            "over_images",
            ranked(lambda x: x.softmax(0)),
            "The softmax runs over the images, so the classes of one image do not sum to 1; a single image is 100 % "
            "sure of everything. It belongs on the axis of the classes, the last one.",
        ),
        Mistake(
            "logits",
            ranked(lambda x: x),
            "You give back logits. They rank the classes rightly, and they are not probabilities: they may be "
            "negative, and their sum is arbitrary.",
        ),
        Mistake(
            "log",
            ranked(lambda x: x.log_softmax(-1)),
            "These are logarithms of probabilities, none above 0. They are handy in a loss; a reader wants `softmax`.",
        ),
        Mistake(
            "sigmoid",
            ranked(torch.sigmoid),
            "A sigmoid judges each class alone, so the numbers need not sum to 1. This network was trained with "
            "softmax, where classes compete.",
        ),
        Mistake(
            "of_the_best",
            of_the_best,
            "You take the k best first and the softmax afterwards, so the k numbers sum to 1 and the network looks "
            "surer than it is. All classes belong in the softmax.",
        ),
        Mistake(
            "rising",
            rising,
            "The k classes are right, with the best one last. Begin with the most probable.",
        ),
        Mistake(
            "worst",
            ranked(best=False),
            "These are the k *least* probable classes. `sorted` and `argsort` go upwards unless told otherwise.",
        ),
        Mistake(
            "first_ones",
            first_ones,
            "You give the first k classes of the list, not the most probable ones. Sort by probability, and keep each "
            "name with its number.",
        ),
        Mistake(
            "names_in_order",
            names_in_order,
            "The probabilities are the largest, but the names are the first k of the list. `topk` gives the places "
            "too: look the names up there.",
        ),
        Mistake(
            "numbers",
            ranked(name=lambda names, i: i),
            "You give the number of the class instead of its name: `classes` turns one into the other.",
        ),
        Mistake(
            "percent",
            ranked(lambda x: 100 * x.softmax(-1)),
            "Your numbers are percentages. Give probabilities, from 0 to 1; whoever prints them can use `:.1%`.",
        ),
        Mistake(
            "always_five",
            always_five,
            "You give five classes, whatever k is.",
        ),
        Mistake(
            "topk_of_five",
            just_five,
            "You ask for the five best classes, whatever k is. Here are too few classes for that.",
        ),
        Mistake(
            "one_list",
            one_list,
            "You give one list of pairs, that of the first image. Wanted is a list for every image, also where there "
            "is only one.",
        ),
        Mistake(
            "sorted_by_name",
            last_names,
            "You sort pairs, and Python compares their first entries: the names. So these are the last k names of the "
            "alphabet. Sort by the second entry.",
        ),
        Mistake(
            "turned",
            turned,
            "The pairs are turned round: first the name, then the probability.",
        ),
    ],
    variants=[ranked(), with_numpy],
    solved="Read such a list with care: a softmax spreads 100 % over the classes it knows, whatever the photo shows.",
)

EXERCISES = [TOP]
