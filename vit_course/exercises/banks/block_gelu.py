"""Notebook 10, second part: the exact GELU."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def gelu_by_hand(x: Tensor) -> Tensor:
    """x · Φ(x), with the normal distribution's Φ(x) = (1 + erf(x / √2)) / 2 (Hendrycks and Gimpel 2016)."""
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def by_math(x: Tensor) -> Tensor:
    """Right: number by number, in Python."""
    values = [0.5 * v * math.erfc(-v / math.sqrt(2)) for v in x.flatten().tolist()]
    return torch.tensor(values).reshape(x.shape)


def by_distribution(x: Tensor) -> Tensor:
    return x * torch.distributions.Normal(0.0, 1.0).cdf(x)


def numbers() -> list[tuple]:
    """A few by eye, then a finer row on both sides of zero, then tokens."""
    return [
        (torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]),),
        (torch.linspace(-6, 6, 49),),
        (2 * torch.randn(2, 3, 5),),
    ]


GELU_BY_HAND = Exercise(
    name="gelu_by_hand",
    notebook="10",
    title="GELU from its formula",
    reference=gelu_by_hand,
    probes=numbers,
    hints=[
        "GELU(x) = x · Φ(x). `torch.erf` is the error function; Φ(x) = ½ (1 + erf(x / √2)).",
        "Check three values by eye: GELU(0) = 0, GELU(1) ≈ 0.841, and far to the right GELU(x) ≈ x.",
    ],
    mistakes=[
        Mistake(
            "tanh",
            lambda x: F.gelu(x, approximate="tanh"),
            "This is the tanh approximation. It is off by up to 0.0005: too little to see in a curve, enough that a "
            "published model's answers no longer agree to five digits after a dozen blocks. ViT uses the exact form "
            "with erf.",
        ),
        Mistake(
            "quick",
            lambda x: x * torch.sigmoid(1.702 * x),
            "This is QuickGELU, the sigmoid approximation of OpenAI's CLIP, off by up to 0.02. Models trained with the "
            "one lose accuracy with the other. Here the exact form with erf is wanted.",
        ),
        Mistake(
            "silu",
            lambda x: x * torch.sigmoid(x),
            "x · sigmoid(x) is SiLU, also called Swish: of the same family, but with the logistic curve in place of "
            "the normal one. It dips to -0.28, GELU to -0.17.",
        ),
        Mistake(
            "no_root",
            lambda x: x * (1 + torch.erf(x)) / 2,
            "The √2 is missing. `erf` belongs to a bell curve of variance ½; Φ is that of variance 1, so x is divided "
            "by √2 before it goes in.",
        ),
        Mistake(
            "root_outside",
            lambda x: x * (1 + torch.erf(x) / math.sqrt(2)) / 2,
            "You divide by √2 *after* `erf`: then it no longer reaches 1, and even far to the right the gate stays at "
            "0.85. The √2 belongs inside, under the x.",
        ),
        Mistake(
            "a_quarter",
            lambda x: x * (1 + torch.erf(x / 4)) / 2,
            "`2**1/2` is 1, since Python takes the power first, and `x / 2**1/2` is x / 4. For √2 the exponent needs "
            "brackets or a point: a half is 0.5.",
        ),
        Mistake(
            "brackets",
            lambda x: x / 2 + torch.erf(x / math.sqrt(2)),
            "Brackets are missing around 1 + erf. As it stands, x is multiplied by ½ alone and erf is added to that.",
        ),
        Mistake(
            "minus",
            lambda x: x * (1 - torch.erf(x / math.sqrt(2))) / 2,
            "The sign of erf is turned round: your gate closes to the right. Large x should pass, very negative x not.",
        ),
        Mistake(
            "root_of_both",
            lambda x: x * (1 + torch.erf(torch.sqrt(x / 2))) / 2,
            "Your root goes over x as well: √(x / 2) is NaN for every negative x. Only the 2 is under the root.",
        ),
        Mistake(
            "math_erf",
            lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
            "Python's `math.erf` takes one number, not a tensor. `torch.erf` takes a tensor of any shape.",
        ),
        Mistake(
            "half_for_root",
            lambda x: x * (1 + torch.erf(x / 2)) / 2,
            "You divide by 2 inside `erf`; the formula divides by √2. Then the gate opens too slowly: 0.76 at x = 1, "
            "where it should be 0.84.",
        ),
        Mistake(
            "times_root",
            lambda x: x * (1 + torch.erf(x * math.sqrt(2))) / 2,
            "You multiply by √2, and the formula divides by it. The curve then bends twice as sharply, nearer to ReLU.",
        ),
        Mistake(
            "no_half",
            lambda x: x * (1 + torch.erf(x / math.sqrt(2))),
            "The half is missing: 1 + erf runs from 0 to 2, a probability from 0 to 1. Far to the right you give 2x; "
            "a stack of such layers doubles its signal each time.",
        ),
        Mistake(
            "no_one",
            lambda x: x * torch.erf(x / math.sqrt(2)) / 2,
            "The 1 + is missing. `erf` runs from -1 to 1, so your curve rises on *both* sides: it is even, like |x| / "
            "2. Φ runs from 0 to 1.",
        ),
        Mistake(
            "phi_only",
            lambda x: (1 + torch.erf(x / math.sqrt(2))) / 2,
            "That is Φ(x), the gate alone, between 0 and 1. GELU lets the value x through this gate: x · Φ(x).",
        ),
        Mistake(
            "density",
            lambda x: x * torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi),
            "You multiply by the bell curve φ(x), the density. Large values are then silenced on both sides. What is "
            "wanted is the area to the left of x, Φ(x).",
        ),
        Mistake(
            "relu",
            lambda x: x.clamp(min=0),
            "This is ReLU. GELU bends smoothly and lets a little through below zero: GELU(-1) ≈ -0.159.",
        ),
        Mistake(
            "negative_cut",
            lambda x: (x * (1 + torch.erf(x / math.sqrt(2))) / 2).clamp(min=0),
            "You cut the negative part off. GELU keeps it: below zero there is a small dip, and with it a gradient "
            "that a ReLU does not have.",
        ),
    ],
    variants=[F.gelu, by_math, by_distribution, lambda x: x * torch.special.ndtr(x)],
    solved='`nn.GELU()` is the same function; `approximate="tanh"` asks for the tanh form.',
)

EXERCISES = [GELU_BY_HAND]
