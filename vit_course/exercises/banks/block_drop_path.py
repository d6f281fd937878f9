"""Notebook 10, sixth part: drop path, which leaves a branch out for some images."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Complaint, Exercise, Mistake, is_blank

OWN_COINS = "each image has its own coin"
NO_FIT = (
    "Your mask does not fit x, (B, N, D): broadcasting lines shapes up from the right, so one number for each image "
    "meets the channels or the tokens. Give the mask two axes of length 1 behind the images': (B, 1, 1)."
)
CALLS = 40  # with a batch each: enough coins to tell a share, and one coin for a whole batch from one an image


def looked_over(answer: Callable, x: Tensor, p: float) -> object:
    """What a random answer does, in words: out of training, and in many calls in training."""
    before = x.clone()
    quiet = answer(x, p, False)
    if is_blank(quiet):
        return quiet
    try:
        outputs = [answer(x, p, True) for _ in range(CALLS)]
    except RuntimeError as error:
        raise (Complaint(NO_FIT) if "must match the size" in str(error) else error) from None
    if is_blank(outputs[0]):
        return outputs[0]
    if not torch.equal(x, before):
        raise Complaint("Your code changes `x` in place, and `x` is what the branch wrote. Give back a new tensor.")
    for output, when in ((quiet, "Out of training"), *((output, "In training") for output in outputs)):
        if not isinstance(output, Tensor) or output.shape != x.shape:
            shape = f"of shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
            raise Complaint(f"{when} your result is {shape}; it should have the shape of x, {tuple(x.shape)}.")
    factors = torch.stack(outputs).detach() / x  # (CALLS, B, N, D): 0 where something was left out
    same = all(torch.equal(outputs[0], output) for output in outputs)
    coins = wholes(factors)
    return {
        "out of training": comes_back(quiet.detach() / x),
        "in training": coins,
        "two calls leave out the same": same,
        "share of the coins that leave out": "always the same" if same else share(factors, p, coins == OWN_COINS),
        "what is kept is multiplied by": multiples(factors),
    }


def comes_back(factors: Tensor) -> str:
    """What evaluation gives, in words that random coins do not change."""
    if bool((factors == 0).any()):
        return "only zeros" if bool((factors == 0).all()) else "parts of x are left out"
    scale = multiples(factors)
    return "x as it is" if scale == "1" else f"x times {scale}"


def multiples(factors: Tensor) -> str:
    """The numbers, other than 0, by which x was multiplied: three at most."""
    found = sorted({round(factor, 2) for factor in factors[factors != 0].unique().tolist()})
    return ", ".join(f"{factor:g}" for factor in found[:3]) or "nothing is kept"


def wholes(factors: Tensor) -> str:
    """What shares a coin: looks at which numbers are left out together."""
    out = factors == 0  # (CALLS, B, N, D)
    if not out.any():
        return "nothing is left out"
    if bool((out.flatten(1).any(1) == out.flatten(1).all(1)).all()):
        return "all images of a batch share one coin"
    if bool((out.flatten(2).any(2) == out.flatten(2).all(2)).all()):
        return OWN_COINS
    if bool((out.any(3) == out.all(3)).all()):
        same = bool((out[:, :1] == out).all())
        return "each place in the sequence has its own coin" if same else "each token has its own coin"
    if bool((out.any(2) == out.all(2)).all()):
        return "each channel has its own coin"
    return "each number has its own coin"


def share(factors: Tensor, p: float, many: bool) -> str:
    """How much is left out, in words that random coins do not change; fewer coins vary more."""
    found = (factors == 0).float().mean().item()
    near = 0.08 if many else 0.25
    for name, value in sorted((("about p", p), ("about 1 - p", 1 - p)), key=lambda pair: abs(found - pair[1])):
        if abs(found - value) < near:
            return name
    return f"{found:.0%}"


def drop_path(x: Tensor, p: float, training: bool) -> Tensor:
    """Whole images are left out with probability p, in training; the others are scaled by 1 / (1 - p)."""
    if not training:
        return x
    return dropping()(x, p, True)


def dropping(
    shape: Callable = lambda x: (x.shape[0], 1, 1),
    *,
    scale: Callable = lambda p: 1 / (1 - p),
    keep: Callable = lambda coins, p: coins >= p,
    when: Callable = lambda training: training,
    quiet: Callable = lambda x, p: x,
    generator: Callable = lambda: None,
) -> Callable:
    """`drop_path` with one thing done otherwise."""

    def answer(x, p, training):
        if not when(training):
            return quiet(x, p)
        coins = torch.rand(shape(x), generator=generator())
        return x * keep(coins, p) * scale(p)

    return answer


def by_loop(x: Tensor, p: float, training: bool) -> Tensor:
    images = [image * 0 if training and torch.rand(()) < p else image / (1 - p * training) for image in x]
    return torch.stack(images)


def by_bernoulli(x: Tensor, p: float, training: bool) -> Tensor:
    if not training or p == 0:
        return x
    mask = torch.empty(len(x)).bernoulli_(1 - p)
    return torch.einsum("b,bnd->bnd", mask, x) / (1 - p)


def by_dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Right: dropout on a tensor of ones, one for each image."""
    return x * F.dropout(torch.ones(len(x), 1, 1), p, training)


def branches() -> list[tuple]:
    """Outputs of a branch, no value near 0, and a probability: not 0, for which some write a line of its own."""
    return [((torch.rand(b, n, d) + 0.5), p) for b, n, d, p in ((24, 2, 3, 0.25), (30, 5, 4, 0.7), (20, 3, 2, 0.15))]


DROP_PATH = Exercise(
    name="drop_path",
    notebook="10",
    title="Drop path",
    reference=drop_path,
    call=looked_over,
    probes=branches,
    axes={"x": "B N D"},
    hints=[
        "Out of training nothing happens. In training, draw one number in 0 … 1 for each image: `torch.rand(B, 1, 1)`. "
        "Its two axes of length 1 make the coin count for every token and channel of that image.",
        "Keep an image where its number is at least p. Multiply by True or False as by 1 or 0.",
        "If a share p is lost, the mean falls to 1 - p of what it was. Divide what is kept, in training, so that it "
        "does not.",
    ],
    mistakes=[
        Mistake(
            "dropout",
            dropping(lambda x: x.shape),
            "This is dropout: each number has its own coin. Drop path tosses one coin for each *image* and leaves out "
            "its whole branch. The mask has one number an image, and two axes of length 1.",
        ),
        Mistake(
            "per_token",
            dropping(lambda x: (*x.shape[:2], 1)),
            "Each token has its own coin. Within an image some tokens then skip the block and others do not. One coin "
            "an image.",
        ),
        Mistake(
            "per_place",
            dropping(lambda x: (x.shape[1], 1)),
            "Each place in the sequence has its own coin, the same for all images of the batch: broadcasting lines "
            "shapes up from the right. The first axis is the one that needs its own coins.",
        ),
        Mistake(
            "per_channel",
            dropping(lambda x: (x.shape[0], 1, x.shape[2])),
            "Each channel has its own coin: that is the dropout of whole channels. Drop path leaves out the whole "
            "branch of an image.",
        ),
        Mistake(
            "whole_batch",
            dropping(lambda x: (1, 1, 1)),
            "One coin for the whole batch: in one step of p everybody skips the block. The paper of 2016 did that. "
            "Here, as in timm, each image has its own coin, so every step trains every block a little.",
        ),
        Mistake(
            "not_scaled",
            dropping(scale=lambda p: 1),
            "What is kept is not scaled. In training the branch then gives, on average, 1 - p of what it gives in "
            "evaluation: the blocks behind it meet larger numbers in the test than they were trained on.",
        ),
        Mistake(
            "scaled_down",
            dropping(scale=lambda p: 1 - p),
            "You multiply by 1 - p, and the mean falls twice. Divide: what is kept must stand in for what is lost.",
        ),
        Mistake(
            "scaled_by_p",
            dropping(scale=lambda p: 1 / p),
            "You divide by p, the share that is lost. Divide by the share that is kept.",
        ),
        Mistake(
            "kept_with_p",
            dropping(keep=lambda coins, p: coins < p),
            "You *keep* with probability p; p is the probability of leaving out. Turn the comparison round.",
        ),
        Mistake(
            "kept_with_p_and_scaled",
            dropping(keep=lambda coins, p: coins < p, scale=lambda p: 1 / p),
            "Your p is the probability of *keeping*, in the comparison and in the scale: a consistent function, with "
            "the opposite meaning: at p = 0.1 nine images of ten lose the branch. Here p is the share left out.",
        ),
        Mistake(
            "always",
            dropping(when=lambda training: True),
            "You leave branches out in evaluation too: the same image gets another answer each time. Return x as it is "
            "where `training` is False.",
        ),
        Mistake(
            "the_wrong_way_round",
            dropping(when=lambda training: not training),
            "In training nothing happens, and in evaluation branches are left out: `training` is used the wrong way "
            "round.",
        ),
        Mistake("never", lambda x, p, training: x + 0, "Nothing is left out, in training neither."),
        Mistake(
            "scaled_in_evaluation",
            dropping(scale=lambda p: 1, quiet=lambda x, p: x * (1 - p)),
            "You scale in evaluation instead of in training. The means agree, and dropout was first done so; but then "
            "a model in use has to know p. Here the kept branches are scaled up in training, and evaluation leaves x "
            "alone.",
        ),
        Mistake(
            "scaled_twice",
            dropping(quiet=lambda x, p: x * (1 - p)),
            "Training is right, but in evaluation you scale by 1 - p as well. The scale is needed once: evaluation "
            "returns x as it is.",
        ),
        Mistake("no_axes", dropping(lambda x: x.shape[:1]), NO_FIT),
        Mistake(
            "seeded",
            dropping(generator=lambda: torch.Generator().manual_seed(0)),
            "Every call leaves out the same places of the batch: a seed is set inside. Coins must be new each time.",
        ),
    ],
    variants=[by_loop, by_bernoulli, by_dropout],
    solved="The package keeps p in a module, `DropPath`, which asks its own `training` flag.",
)

EXERCISES = [DROP_PATH]
