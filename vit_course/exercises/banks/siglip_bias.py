"""Notebook 19, second part: where the bias should start."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake, is_blank


def starting_bias(batch_size: int) -> float:
    """The logit whose sigmoid is 1 / B, the share of the pairs that match."""
    return math.log(1 / (batch_size - 1))  # 0.0 at B = 2, where -log(1) would be -0.0


def as_number(answer: Callable, batch_size: int) -> object:
    """The answer's number; a tensor with one number in it is as good."""
    found = answer(batch_size)
    if is_blank(found):
        return found
    one = isinstance(found, Tensor) and found.numel() == 1 and not found.is_complex() and not found.is_meta
    return float(found.to_dense() if one and found.layout != torch.strided else found) if one else found


def by_minimum(batch_size: int) -> float:
    low, high = -60.0, 60.0
    for _ in range(80):  # where the loss of a constant answer is flat
        b = (low + high) / 2
        slope = (batch_size - 1) / (1 + math.exp(-b)) - 1 / (1 + math.exp(b))
        low, high = (b, high) if slope < 0 else (low, b)
    return low


BIAS = Exercise(
    name="starting_bias",
    notebook="19",
    title="Where the bias should start",
    reference=starting_bias,
    call=as_number,
    probes=lambda: [(2,), (4,), (10,), (256,), (32_768,)],
    result="bias",
    hints=[
        "How many of the B² pairs of a batch match? Then what is the probability that a pair, of which nothing is "
        "known, is a match?",
        "At the start all similarities are near 0, so the logit of every pair is about b. Which b makes σ(b) that "
        "probability?",
        "The inverse of the sigmoid is the log-odds: ln(p / (1 - p)). With p = 1 / B a good deal cancels.",
    ],
    mistakes=[
        Mistake(
            "sign",
            lambda batch_size: math.log(batch_size - 1),
            "The sign is wrong: your model begins by saying *yes* to nearly every pair. Of B pairs only one is a "
            "match, so the odds are 1 to B - 1, and their logarithm is negative.",
        ),
        Mistake(
            "logarithm_of_the_probability",
            lambda batch_size: -math.log(batch_size),
            "Near, but not it: that is the logarithm of the probability, 1 / B. The sigmoid turns log-*odds* into a "
            "probability: ln(p / (1 - p)). At B = 2 half of all pairs match. What should b be there?",
        ),
        Mistake(
            "all_strangers",
            lambda batch_size: -math.log(batch_size**2 - batch_size),
            "You count one match against all B² - B strangers. But a batch has B matches, not one: the odds are B to "
            "B² - B.",
        ),
        Mistake(
            "one_of_all_pairs",
            lambda batch_size: -math.log(batch_size**2 - 1),
            "You take one match among B² pairs. A batch has B of them.",
        ),
        Mistake(
            "logarithm_of_all_pairs",
            lambda batch_size: -math.log(batch_size**2),
            "That is the logarithm of 1 / B². A batch has B matches among its B² pairs; and what goes into a sigmoid "
            "is a logarithm of odds.",
        ),
        Mistake(
            "probability",
            lambda batch_size: 1 / batch_size,
            "That is the probability of a match. The bias is a logit: which number becomes this probability in a "
            "sigmoid?",
        ),
        Mistake(
            "odds",
            lambda batch_size: 1 / (batch_size - 1),
            "Those are the odds of a match, 1 to B - 1. The bias is their logarithm.",
        ),
        Mistake(
            "sigmoid_again",
            lambda batch_size: 1 / (1 + math.exp(-1 / batch_size)),
            "You put the probability into a sigmoid. What you look for is the other way round: the number that the "
            "sigmoid turns *into* 1 / B.",
        ),
        Mistake(
            "base_ten",
            lambda batch_size: -math.log10(batch_size - 1),
            "The logarithm is to the base of 10. The sigmoid has an e in it, so it is the natural one.",
        ),
        Mistake(
            "base_two",
            lambda batch_size: -math.log2(batch_size - 1),
            "The logarithm is to the base of 2. The sigmoid has an e in it, so it is the natural one.",
        ),
        Mistake(
            "published",
            lambda batch_size: -10.0,
            "-10 is where the paper starts, for its large batches. Asked is for the best start at *this* batch size.",
        ),
        Mistake(
            "strangers",
            lambda batch_size: -(batch_size - 1),
            "The number of strangers for each match is right. What makes a probability of it is the sigmoid, so take "
            "the logarithm.",
        ),
        Mistake(
            "brackets",
            lambda batch_size: math.log(1 / batch_size) / (1 - 1 / batch_size),
            "You divide the *logarithm* by 1 - p. The brackets stand round the quotient: ln(p / (1 - p)).",
        ),
        Mistake(
            "share_of_strangers",
            lambda batch_size: math.log(1 - 1 / batch_size),
            "That is the logarithm of 1 - p, the probability of a stranger: near 0 for every batch. What is missing "
            "is ln p: the odds are p / (1 - p).",
        ),
        Mistake(
            "plus",
            lambda batch_size: -math.log(batch_size + 1),
            "You have B + 1 where B - 1 belongs: is there a plus in your odds? They are p / (1 - p), a match "
            "against a stranger.",
        ),
    ],
    variants=[
        lambda batch_size: torch.logit(torch.tensor(1 / batch_size, dtype=torch.float64)),
        lambda batch_size: math.log((1 / batch_size) / (1 - 1 / batch_size)),
        by_minimum,
    ],
    solved="For B = 32,768 it is -10.4, close to the -10 with which SigLIP starts.",
)

EXERCISES = [BIAS]
