"""Notebook 10, fifth part: one pre-norm block around the residual stream."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Exercise, Mistake


class Mix(nn.Module):
    """A small stand-in for attention: what a token gets depends on all tokens of its image."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return (x @ x.transpose(1, 2) / x.shape[2] ** 0.5).softmax(-1) @ self.linear(x)


def pre_norm_block(x: Tensor, norm1: Callable, attn: Callable, norm2: Callable, mlp: Callable) -> Tensor:
    """Equations 2 and 3 of the ViT paper."""
    x = x + attn(norm1(x))
    return x + mlp(norm2(x))


def in_three_lines_each(x: Tensor, norm1: Callable, attn: Callable, norm2: Callable, mlp: Callable) -> Tensor:
    for norm, branch in ((norm1, attn), (norm2, mlp)):
        read = norm(x)
        written = branch(read)
        x = torch.add(x, written)
    return x


def as_a_sum(x: Tensor, norm1: Callable, attn: Callable, norm2: Callable, mlp: Callable) -> Tensor:
    first = attn(norm1(x))
    return torch.stack([x, first, mlp(norm2(x + first))]).sum(0)


def image_by_image(x: Tensor, norm1: Callable, attn: Callable, norm2: Callable, mlp: Callable) -> Tensor:
    return torch.cat([pre_norm_block(image[None], norm1, attn, norm2, mlp) for image in x])


def overwritten(x, norm1, attn, norm2, mlp):
    x = norm1(x)
    x = x + attn(x)
    x = norm2(x)
    return x + mlp(x)


def blocks() -> list[tuple]:
    """Streams off zero, and modules with random weights: no norm is the identity, no bias is zero."""
    found = []
    for b, n, d in ((1, 2, 3), (2, 5, 4), (3, 4, 6)):
        norms = [nn.LayerNorm(d, eps=1e-6) for _ in range(2)]
        for norm in norms:
            nn.init.uniform_(norm.weight, 0.4, 2)
            nn.init.normal_(norm.bias)
        mlp = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))
        found.append((2 * torch.randn(b, n, d) + 1, norms[0], Mix(d), norms[1], mlp))
    return found


PRE_NORM_BLOCK = Exercise(
    name="pre_norm_block",
    notebook="10",
    title="One block from its four parts",
    reference=pre_norm_block,
    probes=blocks,
    axes={"x": "B N D", "result": "B N D"},
    hints=[
        "Two lines, one for each equation. Each reads a normalised copy of the stream, lets a branch work on it, and "
        "adds the result to the stream itself.",
        "Equation 3 reads the stream as equation 2 left it. What is added to is never normalised.",
    ],
    mistakes=[
        Mistake(
            "post_norm",
            lambda x, norm1, attn, norm2, mlp: (lambda y: norm2(y + mlp(y)))(norm1(x + attn(x))),
            "This is post-norm, the form of 2017: the norm comes after the addition, so it lies across the stream. "
            "Equations 2 and 3 have it *inside* the branch. Deep post-norm stacks need a careful warm-up, and weights "
            "of a ViT give nonsense in one.",
        ),
        Mistake(
            "norm_after_the_branch",
            lambda x, norm1, attn, norm2, mlp: (lambda y: y + norm2(mlp(y)))(x + norm1(attn(x))),
            "The norm stands behind its branch, before the addition. Then attention reads the stream in whatever size "
            "it has by now. In equations 2 and 3 the norm is what a branch reads *through*.",
        ),
        Mistake(
            "overwritten",
            overwritten,
            "You overwrite the stream by its norm: after `x = norm1(x)` the old x is gone, and the branch is added to "
            "the normalised copy. The shape agrees and it even trains, but the norms now lie across the stream, as in "
            "post-norm. Give the copy a name of its own, or none.",
        ),
        Mistake(
            "first_overwritten",
            lambda x, norm1, attn, norm2, mlp: (lambda y: y + mlp(norm2(y)))(norm1(x) + attn(norm1(x))),
            "Equation 3 is right. In equation 2 attention's output is added to norm1(x), not to x: the stream itself "
            "is gone from there on. Only what a branch reads is normalised.",
        ),
        Mistake(
            "second_overwritten",
            lambda x, norm1, attn, norm2, mlp: (lambda y: norm2(y) + mlp(norm2(y)))(x + attn(norm1(x))),
            "Equation 2 is right. In equation 3 the MLP's output is added to norm2(z'), not to z' itself: the stream "
            "is normalised on the way. Only what a branch reads is.",
        ),
        Mistake(
            "residual_lost",
            lambda x, norm1, attn, norm2, mlp: mlp(norm2(attn(norm1(x)))),
            "Both additions are missing: each branch *replaces* the stream. What the tokens carried is gone after one "
            "block, and all tokens grow alike. A branch only adds to x.",
        ),
        Mistake(
            "one_residual_around_both",
            lambda x, norm1, attn, norm2, mlp: x + mlp(norm2(attn(norm1(x)))),
            "There is one addition around both branches. The MLP then reads attention's output alone, not the stream "
            "with attention added. Each equation has an addition of its own.",
        ),
        Mistake(
            "half_a_block",
            lambda x, norm1, attn, norm2, mlp: x + attn(norm1(x)),
            "That is equation 2. Equation 3, the MLP, does not reach what you return.",
        ),
        Mistake(
            "first_residual_lost",
            lambda x, norm1, attn, norm2, mlp: (lambda y: y + mlp(norm2(y)))(attn(norm1(x))),
            "The addition of equation 2 is missing: attention replaces the stream instead of adding to it. Each token "
            "is now a mixture of others and has forgotten itself.",
        ),
        Mistake(
            "second_residual_lost",
            lambda x, norm1, attn, norm2, mlp: mlp(norm2(x + attn(norm1(x)))),
            "The addition of equation 3 is missing: you return the MLP's output alone, and what attention wrote is "
            "lost with the rest of the stream.",
        ),
        Mistake(
            "side_by_side",
            lambda x, norm1, attn, norm2, mlp: x + attn(norm1(x)) + mlp(norm2(x)),
            "Both branches read the *same* stream, side by side. Some networks do that to save time. In the paper the "
            "MLP reads what attention has written: equation 3 begins from z', the result of equation 2.",
        ),
        Mistake(
            "mlp_reads_attention_alone",
            lambda x, norm1, attn, norm2, mlp: (lambda a: x + a + mlp(norm2(a)))(attn(norm1(x))),
            "Everything is added, but the MLP reads attention's output alone. It should read the stream *with* that "
            "added, the z' of equation 2.",
        ),
        Mistake(
            "added_to_the_beginning",
            lambda x, norm1, attn, norm2, mlp: x + mlp(norm2(x + attn(norm1(x)))),
            "The MLP reads the right thing, but you add its output to the x from the *beginning*: what attention wrote "
            "never reaches the stream. Equation 3 adds to z'.",
        ),
        Mistake(
            "norm1_twice",
            lambda x, norm1, attn, norm2, mlp: (lambda y: y + mlp(norm1(y)))(x + attn(norm1(x))),
            "You use `norm1` in front of both branches. At the start the two norms are equal, so nothing shows; once "
            "trained they are not, and `norm2` never gets a gradient.",
        ),
        Mistake(
            "norm2_twice",
            lambda x, norm1, attn, norm2, mlp: (lambda y: y + mlp(norm2(y)))(x + attn(norm2(x))),
            "You use `norm2` in front of both branches; attention's own is `norm1`, which then never learns.",
        ),
        Mistake(
            "norms_swapped",
            lambda x, norm1, attn, norm2, mlp: (lambda y: y + mlp(norm1(y)))(x + attn(norm2(x))),
            "The two norms are swapped: `norm1` belongs to attention, `norm2` to the MLP.",
        ),
        Mistake(
            "no_norms",
            lambda x, norm1, attn, norm2, mlp: (lambda y: y + mlp(y))(x + attn(x)),
            "No norm is used. The stream grows with every block, so deep branches read larger and larger numbers.",
        ),
        Mistake(
            "mlp_without_norm",
            lambda x, norm1, attn, norm2, mlp: (lambda y: y + mlp(y))(x + attn(norm1(x))),
            "The MLP reads the stream as it is; `norm2` is not used. Each branch has a norm in front.",
        ),
        Mistake(
            "attention_without_norm",
            lambda x, norm1, attn, norm2, mlp: (lambda y: y + mlp(norm2(y)))(x + attn(x)),
            "Attention reads the stream as it is; `norm1` is not used. Large streams make large scores, and the "
            "softmax then listens to one token alone.",
        ),
        Mistake(
            "normed_at_the_end",
            lambda x, norm1, attn, norm2, mlp: norm2(pre_norm_block(x, norm1, attn, norm2, mlp)),
            "Right up to the last step, where you normalise the stream once more. Inside the stack nothing may lie "
            "across the stream; one final norm, that of equation 4, comes after the *last* block.",
        ),
        Mistake(
            "mlp_first",
            lambda x, norm1, attn, norm2, mlp: (lambda y: y + attn(norm1(y)))(x + mlp(norm2(x))),
            "The MLP comes first. Equation 2 is attention, equation 3 the MLP: first gather, then work on it.",
        ),
        Mistake(
            "mlp_first_norms_in_order",
            lambda x, norm1, attn, norm2, mlp: (lambda y: y + attn(norm2(y)))(x + mlp(norm1(x))),
            "The branches have changed places: the MLP, behind `norm1`, comes before attention. Equation 2 is "
            "attention with `norm1`, equation 3 the MLP with `norm2`.",
        ),
    ],
    variants=[in_three_lines_each, as_a_sum, image_by_image],
    solved="Two lines; everything else in a ViT stands around them.",
)

EXERCISES = [PRE_NORM_BLOCK]
