"""Notebook 04, fourth part: learning rates over time."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Complaint, Exercise, Mistake, Tolerance, is_blank


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Linear warm-up over `warmup` steps to `peak`, then half a cosine wave to 0 at step `steps`."""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    done = (step - warmup) / (steps - warmup)
    return peak * (1 + math.cos(math.pi * done)) / 2


def whole_run(answer: Callable, steps: int, warmup: int, peak: float) -> object:
    """The rates of steps 0, 1, …, `steps`, as a tensor."""
    rates = []
    for step in range(steps + 1):
        rate = answer(step, steps, warmup, peak)
        if is_blank(rate):
            if step == 0:
                return rate
            raise Complaint(f"For step {step} of {steps} with warmup {warmup} nothing comes back. Return a number.")
        if isinstance(rate, bool) or not isinstance(rate, int | float | Tensor) or torch.as_tensor(rate).numel() != 1:
            raise Complaint(f"Return one number, a learning rate. Yours is of type {type(rate).__name__}.")
        rates.append(torch.as_tensor(rate).detach().to(torch.float64).reshape(()))
    return torch.stack(rates)


def rising(step: int, warmup: int) -> float:
    return (step + 1) / (warmup + 1)


def curve(fall: Callable, rise: Callable = rising) -> Callable:
    """A schedule with another fall (of `step, steps, warmup`) or another rise (of `step, warmup`)."""

    def answer(step, steps, warmup, peak):
        return peak * (rise(step, warmup) if step < warmup else fall(step, steps, warmup))

    return answer


def wave(done: float) -> float:
    return (1 + math.cos(math.pi * done)) / 2


def share(step: int, steps: int, warmup: int) -> float:
    return (step - warmup) / (steps - warmup)


def falling(step: int, steps: int, warmup: int) -> float:
    return wave(share(step, steps, warmup))


def by_square(step: int, steps: int, warmup: int, peak: float) -> float:
    if step >= warmup:
        return peak * math.cos(math.pi / 2 * (step - warmup) / (steps - warmup)) ** 2
    return peak - peak * (warmup - step) / (warmup + 1)


def by_tensor(step: int, steps: int, warmup: int, peak: float) -> Tensor:
    up = torch.tensor((step + 1) / (warmup + 1), dtype=torch.float64)
    down = torch.tensor(falling(max(step, warmup), steps, warmup), dtype=torch.float64)
    return peak * torch.minimum(up, down) if step < warmup else peak * down


LEARNING_RATE = Exercise(
    name="learning_rate",
    notebook="04",
    title="Warm-up and cosine",
    reference=learning_rate,
    call=whole_run,
    probes=lambda: [(5, 1, 1.0), (8, 3, 0.1), (12, 0, 2.0), (7, 2, 0.5)],
    result="rates",
    axes={"rates": "step"},
    tolerance=Tolerance(rtol=1e-4, atol=1e-6, any_float=True),
    hints=[
        "Two cases. While step < warmup the rate is a fraction of the peak, in equal strides; afterwards it falls.",
        "Strides: with warmup = 3 the steps 0, 1, 2 have 1/4, 2/4, 3/4 of the peak, and step 3 all of it.",
        "For the fall, first how much of it is done, from 0 at step `warmup` to 1 at step `steps`. Half a cosine "
        "wave goes from cos 0 = 1 to cos π = -1; shift and halve it, so that it goes from 1 to 0.",
    ],
    mistakes=[
        Mistake(
            "starts_at_zero",
            curve(falling, lambda step, warmup: step / warmup),
            "Your first step has rate 0: a whole batch is computed and nothing is learned from it. Steps are counted "
            "from 0, so the first stride is (step + 1).",
        ),
        Mistake(
            "peak_too_early",
            curve(falling, lambda step, warmup: (step + 1) / warmup),
            "The last step of your warm-up has the full rate already, and the first one of the fall has it again. The "
            "strides are 1 / (warmup + 1): step `warmup` is the first at the peak.",
        ),
        Mistake(
            "counted_from_start",
            curve(lambda step, steps, warmup: wave(step / steps)),
            "Your cosine counts from step 0, so it has come some way down when the warm-up ends: the rate jumps, and "
            "never is the peak. Count what is done of the fall from the end of the warm-up.",
        ),
        Mistake(
            "never_zero",
            curve(lambda step, steps, warmup: wave((step - warmup) / steps)),
            "The fall does not reach 0: at the last step some of the rate is left, and the weights still jump "
            "about. The fall has steps - warmup steps, not steps.",
        ),
        Mistake(
            "zero_too_early",
            curve(lambda step, steps, warmup: wave((step - warmup) / (steps - warmup - 1))),
            "The fall is one step short: the last step of the run has rate 0, so its batch is computed for nothing. "
            "0 belongs to step `steps`, which is not taken any more.",
        ),
        Mistake(
            "whole_wave",
            curve(lambda step, steps, warmup: wave(2 * share(step, steps, warmup))),
            "You draw a whole wave: down to 0 in the middle and up to the peak again at the end, where the rate should "
            "be smallest. Half a wave ends at π.",
        ),
        Mistake(
            "quarter_wave",
            curve(lambda step, steps, warmup: math.cos(math.pi / 2 * share(step, steps, warmup))),
            "That is a quarter of a wave: it goes from 1 to 0, but steeply at the end, where you want small careful "
            "steps. Take the half wave from 1 to -1, and shift and halve it.",
        ),
        Mistake(
            "not_shifted",
            curve(lambda step, steps, warmup: math.cos(math.pi * share(step, steps, warmup))),
            "cos goes on to -1, so your rate is negative in the second half: the model climbs the loss. Add 1 and "
            "halve.",
        ),
        Mistake(
            "upside_down",
            curve(lambda step, steps, warmup: 1 - falling(step, steps, warmup)),
            "Your rate rises after the warm-up: from 0 up to the peak. The cosine is upside down; look at its sign.",
        ),
        Mistake(
            "straight",
            curve(lambda step, steps, warmup: 1 - share(step, steps, warmup)),
            "You fall in a straight line. That is a good schedule too, but here a cosine is asked for.",
        ),
        Mistake(
            "no_pi",
            curve(lambda step, steps, warmup: (1 + math.cos(share(step, steps, warmup))) / 2),
            "`math.cos` takes radians: from 0 to 1 the cosine only falls from 1 to 0.54, so the rate hardly changes. "
            "Half a wave needs π.",
        ),
        Mistake(
            "no_peak",
            lambda step, steps, warmup, peak: learning_rate(step, steps, warmup, 1.0),
            "You return a share between 0 and 1. The learning rate is that share of `peak`.",
        ),
        Mistake(
            "no_warmup",
            lambda step, steps, warmup, peak: peak * wave(max(0, step - warmup) / (steps - warmup)),
            "There is no warm-up: you begin at the full rate, when the gradients are at their largest and the "
            "optimiser's averages are empty. The first `warmup` steps rise.",
        ),
    ],
    variants=[by_square, by_tensor],
    solved="`warm_up` in vit_course/training/optim.py is this, as a scheduler.",
)

EXERCISES = [LEARNING_RATE]
