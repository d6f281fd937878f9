"""Notebook 13, fifth part: does my run lie where it should?"""

import statistics
from collections.abc import Callable

import numpy as np
import torch

from vit_course.exercises.core import Exercise, Mistake


def verdict(mine: float, others: list[float], width: float) -> tuple[float, str]:
    """How many standard deviations `mine` is from the mean of `others`, and the word for it."""
    away = (mine - statistics.mean(others)) / statistics.stdev(others)
    return away, word(away, width)


def word(away: float, width: float) -> str:
    return "below" if away < -width else "above" if away > width else "within"


def cases() -> list[tuple]:
    """Below, within and above; near the edges, where another spread decides otherwise; several numbers of runs.

    The last two are within, but not by their sign alone, and one of them not by the range of the others.
    """
    return [
        (0.85, [0.80, 0.82, 0.84, 0.83], 3.0),
        (0.775, [0.80, 0.81, 0.825], 4.0),
        (0.868, [0.80, 0.83, 0.81, 0.82, 0.835], 2.5),
        (0.776, [0.80, 0.82, 0.81, 0.834], 2.0),
        (0.805, [0.80, 0.83, 0.84, 0.83, 0.82], 3.0),
        (0.825, [0.80, 0.82, 0.84, 0.83], 3.0),
        (0.845, [0.80, 0.82, 0.84, 0.83], 3.0),
    ]


def other(
    center: Callable = lambda mine, others: statistics.mean(others),
    spread: Callable = lambda mine, others: statistics.stdev(others),
    judge: Callable = word,
    signed: Callable = lambda away: away,
) -> Callable:
    """`verdict` with another centre, spread, sign or judgement."""

    def answer(mine, others, width):
        away = signed((mine - center(mine, others)) / spread(mine, others))
        return away, judge(away, width)

    return answer


def by_range(mine: float, others: list[float], width: float) -> tuple[float, str]:
    away = verdict(mine, others, width)[0]
    return away, "below" if mine < min(others) else "above" if mine > max(others) else "within"


def with_torch(mine: float, others: list[float], width: float) -> tuple[float, str]:
    values = torch.tensor(others, dtype=torch.float64)
    low, high = (values.mean() + sign * width * values.std() for sign in (-1, 1))
    name = "within" if low <= mine <= high else "below" if mine < low else "above"
    return ((mine - values.mean()) / values.std()).item(), name


def with_numpy(mine: float, others: list[float], width: float) -> list:
    away = (mine - np.mean(others)) / np.std(others, ddof=1)
    return [float(away), ["within", "above", "below"][int(np.sign(away)) * int(abs(away) > width)]]


VERDICT = Exercise(
    name="verdict",
    notebook="13",
    title="My run against the recorded ones",
    reference=verdict,
    probes=cases,
    result=("distance", "word"),
    hints=[
        "Three steps: the mean of the recorded runs; how much single runs scatter around it; how many such scatters "
        "yours is away.",
        "The scatter of single runs is their standard deviation. From a sample it is the root of the sum of squares "
        "divided by n - 1: `statistics.stdev`, `np.std(…, ddof=1)`, or torch's `.std()`.",
        'The distance has a sign, negative where you are below. The word is "below", "within" or "above", by `width`.',
    ],
    mistakes=[
        Mistake(
            "population",
            other(spread=lambda _, others: statistics.pstdev(others)),
            "You divide the squares by n, as `np.std` does unless told otherwise. That is right when these runs are "
            "all there are. They are a sample of the seeds that could be drawn, and lie nearer to their own mean than "
            "to the true one: divide by n - 1. With three runs the difference is a fifth.",
        ),
        Mistake(
            "standard_error",
            other(spread=lambda _, others: statistics.stdev(others) / len(others) ** 0.5),
            "You divide by √n: that is the standard error, how sure the *mean* is. The question here is where *one "
            "more run* may lie, and single runs scatter by the standard deviation, however many you have.",
        ),
        Mistake(
            "variance",
            other(spread=lambda _, others: statistics.variance(others)),
            "That is the variance, the mean *square* of the distances. Its unit is percent squared. Take the root.",
        ),
        Mistake(
            "not_divided",
            other(spread=lambda *_: 1.0),
            "Your distance is in accuracy, not in standard deviations, so against a width of 2 or 3 everything is "
            '"within". Divide by the spread of the runs.',
        ),
        Mistake(
            "mine_included",
            other(
                center=lambda mine, others: statistics.mean([*others, mine]),
                spread=lambda mine, others: statistics.stdev([*others, mine]),
            ),
            "Your own run is among those that make the band. A bad one pulls the mean towards itself and widens the "
            "spread, so it excuses itself. The band comes from the others alone.",
        ),
        Mistake(
            "no_sign",
            other(signed=abs),
            'You take the distance without its sign, so a bad run is called "above". Below and above are different '
            "news: one is a bug to look for, the other perhaps a leak.",
        ),
        Mistake(
            "turned",
            other(signed=lambda away: -away),
            "The difference is the wrong way round: mine minus the mean, so that better is positive.",
        ),
        Mistake(
            "words_exchanged",
            other(judge=lambda away, width: word(-away, width)),
            "The distances are right; the words “below” and “above” have changed places.",
        ),
        Mistake(
            "width_ignored",
            other(judge=lambda away, _: word(away, 2.0)),
            "You judge by 2 standard deviations, whatever `width` says. With few runs the spread itself is uncertain, "
            "and 2 would reject many a sound run.",
        ),
        Mistake(
            "one_is_enough",
            other(judge=lambda away, _: word(away, 1.0)),
            "You judge by one standard deviation. About a third of all sound runs lie outside that. Use `width`.",
        ),
        Mistake(
            "sign_alone",
            other(judge=lambda away, _: word(away, 0.0)),
            'You judge by the sign of the distance alone, so next to no run is ever "within". Only what is more than '
            "`width` standard deviations away is below or above.",
        ),
        Mistake(
            "half_the_width",
            other(judge=lambda away, width: word(away, width / 2)),
            "You judge by half of `width`. The band reaches `width` standard deviations to *each* side of the mean.",
        ),
        Mistake(
            "by_range",
            by_range,
            "The distance is right, but you judge by the smallest and the largest recorded run. A further run is "
            "outside the range of three others half of the time, with nothing wrong about it.",
        ),
        Mistake(
            "in_widths",
            lambda mine, others, width: (verdict(mine, others, width)[0] / width, verdict(mine, others, width)[1]),
            "The word is right. Your distance is counted in widths of the band; asked for are standard deviations. "
            "`width` decides on the word only.",
        ),
        Mistake(
            "median",
            other(center=lambda _, others: statistics.median(others)),
            "You measure from the median. It is robust against an outlier, but the standard deviation is around the "
            "mean: use the two together.",
        ),
        Mistake(
            "relative",
            other(spread=lambda _, others: statistics.stdev(others) / statistics.mean(others)),
            "You divide by the spread relative to the mean (the coefficient of variation). Accuracy minus accuracy has "
            "to be divided by something in accuracy: the standard deviation itself.",
        ),
    ],
    variants=[with_torch, with_numpy],
    solved="Mean, standard deviation of single runs, and a width that knows how few they are.",
)

EXERCISES = [VERDICT]
