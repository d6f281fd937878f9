"""Notebook 08, second part: positions from sine waves."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake, Tolerance


def sine_1d(length: int, dim: int) -> Tensor:
    """Vaswani et al. 2017, section 3.5: sine in the even columns, cosine in the odd ones: (length, dim)."""
    return waves()(length, dim)


def pairs_of(dim: int) -> Tensor:
    return torch.arange(dim // 2) * 2 / dim  # (dim / 2,), 2i / D


def interleaved(sines: Tensor, cosines: Tensor) -> Tensor:
    return torch.stack([sines, cosines], dim=2).flatten(1)


def waves(
    *,
    start: int = 0,
    base: float = 10_000.0,
    exponents: Callable[[int], Tensor] = pairs_of,
    join: Callable[[Tensor, Tensor], Tensor] = interleaved,
    factor: float = 1.0,
    sign: int = -1,
) -> Callable:
    """`sine_1d` with one thing done otherwise."""

    def answer(length, dim):
        places = torch.arange(start, start + length)[:, None]
        angles = factor * places * base ** (sign * exponents(dim))  # (length, dim / 2)
        return join(angles.sin(), angles.cos())

    return answer


def own_frequency(length: int, dim: int) -> Tensor:
    """Wrong: each column has a frequency of its own, so that sine and cosine are no pair."""
    columns = torch.arange(dim)
    angles = torch.arange(length)[:, None] / 10_000 ** (columns / dim)
    return torch.where(columns % 2 == 0, angles.sin(), angles.cos())


def doubled(length: int, dim: int) -> Tensor:
    """Wrong: the column's number for i, although it is 2i already."""
    result = torch.zeros(length, dim)
    places, columns = torch.arange(length)[:, None], torch.arange(0, dim, 2)
    result[:, 0::2] = torch.sin(places / 10_000 ** (2 * columns / dim))
    result[:, 1::2] = torch.cos(places / 10_000 ** (2 * columns / dim))
    return result


def sine_by_loop(length: int, dim: int) -> Tensor:
    result = torch.zeros(length, dim)
    for place in range(length):
        for i in range(dim // 2):
            angle = torch.tensor(place / 10_000 ** (2 * i / dim))
            result[place, 2 * i], result[place, 2 * i + 1] = angle.sin(), angle.cos()
    return result


def sine_by_slices(length: int, dim: int) -> Tensor:
    frequencies = torch.exp(torch.arange(0, dim, 2) * (-torch.log(torch.tensor(10_000.0)) / dim))
    angles = torch.outer(torch.arange(length).float(), frequencies)
    result = torch.empty(length, dim)
    result[:, ::2], result[:, 1::2] = angles.sin(), angles.cos()
    return result


def sine_by_shift(length: int, dim: int) -> Tensor:
    """Right: a cosine is a sine that is a quarter of a turn ahead."""
    columns = torch.arange(dim)
    angles = torch.arange(length)[:, None] / 10_000 ** (columns // 2 * 2 / dim)
    return torch.sin(angles + (columns % 2) * torch.pi / 2)


SINE_1D = Exercise(
    name="sine_1d",
    notebook="08",
    title="Positions from sine waves",
    reference=sine_1d,
    probes=lambda: [(3, 4), (5, 6), (9, 8)],
    axes={"result": "length D"},
    tolerance=Tolerance(rtol=1e-3, atol=1e-4, any_float=True),
    hints=[
        "Three pieces: the places (length,), the frequencies (dim / 2,), and all their products (length, dim / 2): "
        "`places[:, None] * frequencies`.",
        "Frequency i is 1 / 10000^(2i / D), for i from 0 to D / 2 - 1. The first is 1.",
        "`result[:, 0::2] = …` fills the columns 0, 2, 4, …; `1::2` the others.",
    ],
    mistakes=[
        Mistake(
            "halves",
            waves(join=lambda s, c: torch.cat([s, c], dim=1)),
            "The right numbers in another order: all sines, then all cosines. A network learns as well from it, and "
            "many programs do it so; but the formula alternates, and weights of a model that does would not fit.",
        ),
        Mistake(
            "cosine_first",
            waves(join=lambda s, c: interleaved(c, s)),
            "Sine and cosine are swapped. At place 0 all sines are 0 and all cosines 1, so the first row must read "
            "0, 1, 0, 1, …",
        ),
        Mistake(
            "from_one",
            waves(start=1),
            "Your places start at 1. The first row belongs to place 0: 0, 1, 0, 1, …",
        ),
        Mistake(
            "own_frequency",
            own_frequency,
            "Each column has a frequency of its own. Columns 2i and 2i + 1 share one: only as a pair do sine and "
            "cosine turn like the hand of a clock, and a shift becomes a rotation.",
        ),
        Mistake(
            "doubled",
            doubled,
            "The exponent is doubled twice: `arange(0, dim, 2)` already counts 2i. So the waves get longer twice as "
            "fast, and the later columns hardly change.",
        ),
        Mistake(
            "half_the_exponent",
            waves(exponents=lambda dim: torch.arange(dim // 2) / dim),
            "The 2 is missing in the exponent 2i / D. So your slowest wave is a hundred times too fast: it should come "
            "near 10000 · 2π.",
        ),
        Mistake(
            "endpoint",
            waves(exponents=lambda dim: torch.arange(dim // 2) / max(dim // 2 - 1, 1)),
            "Your exponents run from 0 to 1 with both ends. That is the rule of many 2-D positions; in the "
            "formula of 2017 the exponent is 2i / D and stays below 1.",
        ),
        Mistake(
            "multiplied",
            waves(sign=1),
            "You multiplied by 10000^(2i / D) instead of dividing. The waves should get slower from column to column; "
            "yours get so fast that neighbours have nothing in common.",
        ),
        Mistake(
            "two_pi",
            waves(factor=2 * torch.pi),
            "There is a 2π too much. The formula takes the place itself as an angle in radians; with 2π the first "
            "pair is the same at every place, since a whole number of turns is no turn.",
        ),
        Mistake(
            "sines_alone",
            waves(join=lambda s, c: interleaved(s, s)),
            "All columns are sines. A sine alone cannot tell where on its wave it is, up or down; with the "
            "cosine beside it, it can. The odd columns are cosines.",
        ),
        Mistake(
            "one_frequency",
            waves(exponents=lambda dim: torch.zeros(dim // 2)),
            "Every pair has the same frequency, so the positions repeat after 2π ≈ 6 places. Fast waves tell "
            "neighbours apart, slow ones tell beginning from end.",
        ),
        Mistake(
            "base",
            waves(base=1_000.0),
            "The base is 1000; the formula's is 10000.",
        ),
        Mistake(
            "transposed",
            lambda length, dim: sine_1d(length, dim).T,
            "Rows and columns are swapped: one row a place, one column a wave.",
        ),
    ],
    variants=[sine_by_loop, sine_by_slices, sine_by_shift],
    solved="Nothing in it is learned, and it goes on for as many places as you like.",
)

EXERCISES = [SINE_1D]
