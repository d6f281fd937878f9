"""Notebook 14, fourth part: where the true accuracy lies."""

import cmath
import math
from collections.abc import Callable

import numpy as np
from torch import Tensor

from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank


def score_interval(correct: int, total: int, z: float) -> tuple[float, float]:
    """All accuracies that are within z of their own deviations from what was measured: (low, high), Wilson 1927."""
    return wilson()(correct, total, z)


def two_numbers(answer: Callable, correct: int, total: int, z: float) -> object:
    """Both ends as numbers; tensors with one number in them are as good."""
    found = answer(correct, total, z)
    if is_blank(found):
        return found
    if isinstance(found, Tensor | np.ndarray) and found.shape == (2,):
        found = tuple(found.tolist())
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise Complaint("Return two numbers: the low end and the high end.")
    ends = [e.item() if isinstance(e, Tensor | np.ndarray | np.generic) and e.shape == () else e for e in found]
    if any(isinstance(end, complex) for end in ends):
        raise Complaint("An end is a complex number: what stands under the root has become negative.")
    return {"low": ends[0], "high": ends[1]}


def wilson(
    centre: Callable = lambda p, n, z: (p + z * z / (2 * n)) / (1 + z * z / n),
    root: Callable = lambda p, n, z: math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)),
    half: Callable = lambda root, n, z: z * root / (1 + z * z / n),
    ends: Callable = lambda centre, half, n: (centre - half, centre + half),
) -> Callable[[int, int, float], tuple]:
    """The interval with another part."""

    def answer(correct, total, z):
        p = correct / total
        return ends(centre(p, total, z), half(root(p, total, z), total, z), total)

    return answer


def wald(correct: int, total: int, z: float, clipped: bool = False) -> tuple[float, float]:
    p = correct / total
    half = z * math.sqrt(p * (1 - p) / total)
    return (max(0.0, p - half), min(1.0, p + half)) if clipped else (p - half, p + half)


def agresti_coull(correct: int, total: int, z: float) -> tuple[float, float]:
    return wald(correct + z * z / 2, total + z * z, z)


def with_correction(correct: int, total: int, z: float) -> tuple[float, float]:
    low, high = wald(correct, total, z)
    return low - 0.5 / total, high + 0.5 / total


def roots_of_the_square(correct, total, z):
    p = correct / total
    a, b, c = total + z * z, -(2 * total * p + z * z), total * p * p
    return tuple(sorted(((-b + sign * cmath.sqrt(b * b - 4 * a * c)) / (2 * a)).real for sign in (-1, 1)))


def by_halving(correct, total, z):
    measured = correct / total

    def too_far(p: float) -> bool:
        return (p - measured) ** 2 > z * z * p * (1 - p) / total

    ends = []
    for outside in (0.0, 1.0):
        inside = measured
        if not too_far(outside) and outside == measured:
            inside = outside
        for _ in range(60):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if too_far(middle) else (middle, outside)
        ends.append(inside)
    return ends


def with_numpy(correct, total, z):
    wrong = total - correct
    spread = z * np.sqrt(np.float64(correct * wrong) / total + z * z / 4)
    return np.array([(correct + z * z / 2 - spread), (correct + z * z / 2 + spread)]) / (total + z * z)


INTERVAL = Exercise(
    name="score_interval",
    notebook="14",
    title="Wilson's interval",
    reference=score_interval,
    call=two_numbers,
    probes=lambda: [(9, 10, 1.96), (0, 8, 1.96), (47, 60, 1.645), (25, 25, 1.0), (930, 1_000, 2.576)],
    hints=[
        "p = correct / total. Then three parts: the centre, what is added and subtracted, and the two ends.",
        "The centre is (p + z² / 2n) / (1 + z² / n): measured accuracy, drawn a little towards ½.",
        "Added and subtracted is z / (1 + z² / n) times the root of p(1 - p) / n + z² / 4n². Mind the brackets: "
        "z² / 4n² is `z * z / (4 * n * n)`.",
    ],
    mistakes=[
        Mistake(
            "wald",
            wald,
            "That is p ± z · √(p(1 - p) / n), the interval of the textbooks. It takes the deviation at the *measured* "
            "accuracy: with all answers right it has length 0, and near 1 it sticks out. Wilson asks each possible "
            "accuracy for its own deviation.",
        ),
        Mistake(
            "wald_clipped",
            lambda correct, total, z: wald(correct, total, z, clipped=True),
            "You cut the textbook's p ± z · √(p(1 - p) / n) off at 0 and 1. It no longer sticks out, but with all "
            "answers right it still has length 0.",
        ),
        Mistake(
            "z_not_used",
            lambda correct, total, z: score_interval(correct, total, 1.96),
            "Right for z = 1.96, and you use 1.96 whatever z is given. z is how sure one wants to be: 1.96 belongs to "
            "95 %, 1.645 to 90 %, 2.576 to 99 %.",
        ),
        Mistake(
            "wald_without_z",
            lambda correct, total, z: wald(correct, total, 1.96),
            "That is the textbook's interval p ± 1.96 · √(p(1 - p) / n), for any z. Use z, and Wilson's two ends.",
        ),
        Mistake(
            "around_the_measured",
            wilson(centre=lambda p, n, z: p),
            "The half-width is right, but the centre is the measured accuracy. Wilson's lies a little towards ½: an "
            "accuracy near 1 leaves more room below than above.",
        ),
        Mistake(
            "not_divided",
            wilson(centre=lambda p, n, z: p + z * z / (2 * n), half=lambda root, n, z: z * root),
            "Both parts lack their division by 1 + z² / n. For few images the interval is too wide and leaves 0 … 1.",
        ),
        Mistake(
            "centre_not_divided",
            wilson(centre=lambda p, n, z: p + z * z / (2 * n)),
            "The half-width is right. The centre lacks its division by 1 + z² / n, so it lies too high.",
        ),
        Mistake(
            "half_not_divided",
            wilson(half=lambda root, n, z: z * root),
            "The centre is right. The half-width lacks its division by 1 + z² / n.",
        ),
        Mistake(
            "under_the_root",
            wilson(root=lambda p, n, z: math.sqrt(p * (1 - p) / n)),
            "Under the root z² / 4n² is missing. It is what keeps the interval open when every answer is right and "
            "p(1 - p) is 0.",
        ),
        Mistake(
            "square_of_n",
            wilson(root=lambda p, n, z: math.sqrt(p * (1 - p) / n + z * z / (4 * n))),
            "Under the root stands z² / 4n where z² / 4n² belongs: n is squared there. Your interval is far too wide.",
        ),
        Mistake(
            "brackets",
            wilson(root=lambda p, n, z: math.sqrt(p * (1 - p) / n + z * z / 4 * n * n)),
            "`z * z / 4 * n * n` multiplies with n², as Python goes from left to right. Put 4n² in brackets.",
        ),
        Mistake(
            "brackets_of_the_centre",
            wilson(centre=lambda p, n, z: (p + z * z / 2 * n) / (1 + z * z / n)),
            "`z * z / 2 * n` multiplies with n, as Python goes from left to right. Put 2n in brackets.",
        ),
        Mistake(
            "all_brackets",
            wilson(
                centre=lambda p, n, z: (p + z * z / 2 * n) / (1 + z * z / n),
                root=lambda p, n, z: math.sqrt(p * (1 - p) / n + z * z / 4 * n * n),
            ),
            "`z**2 / 2 * n` divides by 2 and then *multiplies* by n, and `z**2 / 4 * n**2` likewise. Put brackets "
            "around what stands below the line: (2 * n), (4 * n**2).",
        ),
        Mistake(
            "outside_the_root",
            wilson(
                root=lambda p, n, z: math.sqrt(p * (1 - p) / n),
                half=lambda root, n, z: (z * root + z * z / (4 * n * n)) / (1 + z * z / n),
            ),
            "z² / 4n² stands behind the root in your code. It belongs under it, beside p(1 - p) / n.",
        ),
        Mistake(
            "one_less_p",
            wilson(root=lambda p, n, z: math.sqrt(p * 1 - p / n + z * z / (4 * n * n))),
            "`p * 1 - p` is p - p: brackets around 1 - p.",
        ),
        Mistake(
            "z_once",
            wilson(centre=lambda p, n, z: (p + z / (2 * n)) / (1 + z * z / n)),
            "In the centre stands z / 2n where z² / 2n belongs.",
        ),
        Mistake(
            "no_root",
            wilson(root=lambda p, n, z: p * (1 - p) / n + z * z / (4 * n * n)),
            "The root is missing: you add and subtract variances, which are far too small. A deviation is their root.",
        ),
        Mistake(
            "one_deviation",
            wilson(half=lambda root, n, z: root / (1 + z * z / n)),
            "You add and subtract one deviation, not z of them: the half-width lacks its factor z.",
        ),
        Mistake(
            "agresti_coull",
            agresti_coull,
            "That is Agresti and Coull's interval: z²/2 right and z²/2 wrong answers more, then the textbook formula. "
            "A good one, with the same centre, but a little wider than Wilson's. The root differs.",
        ),
        Mistake(
            "correction",
            with_correction,
            "You widen the textbook's interval by half an image on each side, a continuity correction. Asked for is "
            "Wilson's interval: another centre, another width.",
        ),
        Mistake(
            "exchanged",
            wilson(ends=lambda centre, half, n: (centre + half, centre - half)),
            "Both ends are right and have changed places: low first, then high.",
        ),
        Mistake(
            "plus_minus",
            wilson(ends=lambda centre, half, n: (centre, half)),
            "You return the centre and the half-width. Return the two ends: centre minus and centre plus.",
        ),
        Mistake(
            "percent",
            wilson(ends=lambda centre, half, n: (100 * (centre - half), 100 * (centre + half))),
            "The ends are in percent. Here they are shares, 0 … 1.",
        ),
        Mistake(
            "counts",
            wilson(ends=lambda centre, half, n: (n * (centre - half), n * (centre + half))),
            "The ends are numbers of images. Divide by the total: shares, 0 … 1, are asked for.",
        ),
    ],
    variants=[roots_of_the_square, by_halving, with_numpy],
    solved="It never leaves 0 … 1, and it holds for 10 images as for 10,000.",
)

EXERCISES = [INTERVAL]
