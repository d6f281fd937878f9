"""Notebook 14, fifth part: two models on the same images."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake, is_blank


def paired_p(correct_a: Tensor, correct_b: Tensor) -> float:
    """How likely so unequal a record is if both are equally good: exact, two-sided (McNemar 1947)."""
    return pairs()(correct_a, correct_b)


def as_number(answer: Callable, correct_a: Tensor, correct_b: Tensor) -> object:
    """The answer's number; a tensor with one number in it is as good. What no float can hold becomes infinite."""
    found = answer(correct_a, correct_b)
    if is_blank(found):
        return found
    if isinstance(found, Fraction | int):
        return float(found) if found < 10**300 else math.inf
    one = isinstance(found, Tensor | np.generic) and found.shape == ()
    return float(found) if one and not np.iscomplexobj(found) else found


def records() -> list[tuple]:
    """Who is right where: few images, as many for both, none to tell them apart, many, and more than 2.0**n allows."""
    found = []
    few = ((1, 5, 4, 2), (6, 6, 10, 3), (0, 0, 7, 2), (31, 52, 200, 17), (9, 4, 0, 1))
    for only_a, only_b, both, neither in (*few, (590, 630, 60, 40)):
        a = torch.tensor([True] * only_a + [False] * only_b + [True] * both + [False] * neither)
        b = torch.tensor([False] * only_a + [True] * only_b + [True] * both + [False] * neither)
        order = torch.randperm(len(a))
        found.append((a[order], b[order]))
    return found


def two_sided(n: int, k: int) -> float:
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)


def pairs(
    count: Callable = lambda a, b: (int((a & ~b).sum()), int((~a & b).sum())),
    p: Callable = lambda x, y: two_sided(x + y, min(x, y)),
) -> Callable[[Tensor, Tensor], float]:
    """`paired_p` that counts something else, or works out another p from two counts."""
    return lambda correct_a, correct_b: p(*count(correct_a, correct_b))


def all_images(correct_a, correct_b):
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((~correct_a & correct_b).sum())
    return two_sided(len(correct_a), min(only_a, only_b))


def unpaired(correct_a, correct_b):
    n = len(correct_a)
    pa, pb = correct_a.double().mean().item(), correct_b.double().mean().item()
    both = (pa + pb) / 2
    deviation = math.sqrt(2 * both * (1 - both) / n)
    return math.erfc(abs(pa - pb) / deviation / math.sqrt(2)) if deviation else 1.0


def approximate(x: int, y: int, less: int = 0) -> float:
    return math.erfc(math.sqrt(max(abs(x - y) - less, 0) ** 2 / (x + y) / 2)) if x + y else 1.0


def tail(n: int, terms: range) -> float:
    return sum(math.comb(n, i) for i in terms) / 2**n


def of_both_tails(correct_a, correct_b):
    n, k = int((correct_a != correct_b).sum()), int((correct_a > correct_b).sum())
    far = abs(2 * k - n)
    return float(sum(math.comb(n, i) for i in range(n + 1) if abs(2 * i - n) >= far) / 2**n)


def by_steps(correct_a, correct_b):
    """Walks through the coin's distribution, throw by throw."""
    differ = correct_a ^ correct_b
    n = int(differ.sum())
    chance = torch.ones(1, dtype=torch.float64)
    for _ in range(n):
        chance = (torch.cat([chance, chance.new_zeros(1)]) + torch.cat([chance.new_zeros(1), chance])) / 2
    k = int((correct_a & differ).sum())
    return torch.clamp(2 * torch.minimum(chance[: k + 1].sum(), chance[k:].sum()), max=1)


def in_fractions(correct_a, correct_b):
    a, b = correct_a.numpy(), correct_b.numpy()
    x, y = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    return min(Fraction(1), 2 * sum(Fraction(math.comb(x + y, i), 2 ** (x + y)) for i in range(min(x, y) + 1)))


def by_logarithms(correct_a, correct_b):
    x, y = ((mine & ~other).sum().item() for mine, other in ((correct_a, correct_b), (correct_b, correct_a)))
    i = torch.arange(min(x, y) + 1, dtype=torch.float64)
    logs = math.lgamma(x + y + 1) - torch.lgamma(i + 1) - torch.lgamma(x + y - i + 1) - (x + y) * math.log(2)
    return min(1.0, 2 * logs.exp().sum().item())


PAIRS = Exercise(
    name="paired_p",
    notebook="14",
    title="McNemar's test",
    reference=paired_p,
    call=as_number,
    probes=records,
    result="P",
    axes={"correct_a": "N", "correct_b": "N"},
    hints=[
        "Count two kinds of images: only A is right (`correct_a & ~correct_b`), only B is right. All others say "
        "nothing about which of the two is better.",
        "If both are equally good, each of these n images is a fair coin. How likely is it that the side with fewer "
        "heads has k or fewer? The sum of `math.comb(n, i)` for i = 0 … k, divided by 2ⁿ.",
        "Either of the two may come out worse, so that probability counts twice, and it is at most 1.",
    ],
    mistakes=[
        Mistake(
            "one_sided",
            pairs(p=lambda x, y: tail(x + y, range(min(x, y) + 1))),
            "You count one tail: that this side loses so clearly. Before you looked, either could have lost, so the "
            "probability counts twice. One-sided, equal models pass for different twice as often as you say.",
        ),
        Mistake(
            "above_one",
            pairs(p=lambda x, y: 2 * tail(x + y, range(min(x, y) + 1))),
            "Right wherever the two differ. With equally many on both sides the doubled tail counts the middle twice "
            "and exceeds 1, which no probability does: 1 is the most.",
        ),
        Mistake(
            "all_images",
            all_images,
            "You throw a coin for *every* image. Where both are right, or both wrong, nothing is decided; those "
            "images are no throws. n is the number of images on which exactly one is right.",
        ),
        Mistake(
            "concordant",
            pairs(count=lambda a, b: (int((a & b).sum()), int((~a & ~b).sum()))),
            "You count the images on which the two agree: both right, both wrong. They say nothing about which is "
            "better. Take those on which exactly one is right.",
        ),
        Mistake(
            "right_answers",
            pairs(count=lambda a, b: (int(a.sum()), int(b.sum()))),
            "You set all right answers of A against all of B. Most are right in both, and only dilute what is "
            "different. Count images on which *only* A, and *only* B, is right.",
        ),
        Mistake(
            "unpaired",
            unpaired,
            "That is the test for two accuracies from two *different* sets of images. Here both models saw the same "
            "ones; it does not use that, and misses differences that are there.",
        ),
        Mistake(
            "approximate",
            pairs(p=approximate),
            "That is McNemar's test by its approximation, (x - y)² / (x + y) read off the chi-squared curve. For few "
            "differing images it is too bold. Asked for is the exact one: count with `math.comb`.",
        ),
        Mistake(
            "statistic",
            pairs(p=lambda x, y: (x - y) ** 2 / (x + y) if x + y else 0.0),
            "That is a *statistic*, (x - y)² / (x + y): large where the models differ, and above 1 soon. A probability "
            "is asked for, and the exact one: count with `math.comb`.",
        ),
        Mistake(
            "corrected",
            pairs(p=lambda x, y: approximate(x, y, less=1)),
            "That is the approximation with a continuity correction, (|x - y| - 1)² / (x + y). It comes close; asked "
            "for is the exact probability: count with `math.comb`.",
        ),
        Mistake(
            "observed_left_out",
            pairs(p=lambda x, y: min(1.0, 2 * tail(x + y, range(min(x, y))))),
            "You leave out what was observed itself: `range(k)` ends at k - 1. 'So unequal a record' means k or fewer.",
        ),
        Mistake(
            "one_outcome",
            pairs(p=lambda x, y: min(1.0, 2 * math.comb(x + y, x) / 2 ** (x + y))),
            "You take the probability of exactly this outcome. With many images each single one is unlikely, the "
            "commonest too. Add up all that are as far out or farther: 0 … k.",
        ),
        Mistake(
            "larger_side",
            pairs(p=lambda x, y: min(1.0, 2 * tail(x + y, range(max(x, y) + 1)))),
            "You sum up to the *larger* of the two counts, which is nearly everything, so p is always 1. Sum up to the "
            "smaller. (Or you forgot to divide by 2ⁿ, and cut off at 1.)",
        ),
        Mistake(
            "first_side",
            pairs(p=lambda x, y: min(1.0, 2 * tail(x + y, range(x + 1)))),
            "You always sum up to A's count. That is right if A is the worse one; otherwise p comes out as 1. Take the "
            "smaller of the two, so that the order of the models does not matter.",
        ),
        Mistake(
            "complement",
            pairs(p=lambda x, y: 1 - two_sided(x + y, min(x, y))),
            "You return 1 - p. A small p is to say: equal models would hardly differ so much.",
        ),
        Mistake(
            "nothing_differs",
            pairs(p=lambda x, y: two_sided(x + y, min(x, y)) if x + y else 0.0),
            "Right wherever the models differ. If they never do, you return 0, as if a difference were proven. Nothing "
            "speaks against equal models then: 1. (The formula says so by itself: one way of 2⁰ = 1.)",
        ),
        Mistake(
            "not_divided",
            pairs(p=lambda x, y: 2 * sum(math.comb(x + y, i) for i in range(min(x, y) + 1))),
            "You count the ways and do not divide by all there are: n coins fall in 2ⁿ ways.",
        ),
        Mistake(
            "times_a_float",
            pairs(p=lambda x, y: min(1.0, 2 * sum(math.comb(x + y, i) * 0.5 ** (x + y) for i in range(min(x, y) + 1)))),
            "Right for few images. Here `comb(n, i)` has hundreds of digits, too many for a float, and 2⁻ⁿ as a float "
            "rounds to 0: times `0.5**n`, or times 2.0, no number comes of it. Add up the whole numbers first, and "
            "divide once, `… / 2**n`.",
        ),
        Mistake(
            "by_a_float",
            pairs(p=lambda x, y: min(1.0, 2 * sum(math.comb(x + y, i) for i in range(min(x, y) + 1)) / 2.0 ** (x + y))),
            "Right for few images. Here `2.0**n` is larger than any float. Whole numbers have no such limit: add them "
            "up first, and divide once, `… / 2**n`, with a whole 2.",
        ),
    ],
    variants=[of_both_tails, by_steps, in_fractions, by_logarithms],
    solved="The two models' common images cancel; what is left is a coin.",
)

EXERCISES = [PAIRS]
