"""Notebook 11, second part: equations 2 to 4, from tokens to logits."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Exercise, Mistake


class Mixing(nn.Module):
    """As good as an encoder block for a check: adds to the stream, mixes tokens, and two of them do not commute."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.alone, self.together = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.together(x.mean(1, keepdim=True)).tanh()
        return x + self.alone(x).tanh()


def networks() -> list[tuple]:
    """Tokens, blocks, a norm with random weights and a head. In the last case N = D, so that a wrong axis can pass."""
    found = []
    for B, N, D, depth, classes in ((2, 3, 4, 2, 5), (3, 5, 6, 3, 2), (2, 6, 6, 4, 3)):
        norm = nn.LayerNorm(D, eps=1e-6)
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
        blocks = nn.ModuleList([Mixing(D) for _ in range(depth)])
        found.append((torch.randn(B, N, D), blocks, norm, nn.Linear(D, classes)))
    return found


def vit_logits(tokens: Tensor, blocks: nn.ModuleList, norm: nn.LayerNorm, head: nn.Linear) -> Tensor:
    """All blocks in order, the norm, the class token, the head."""
    x = tokens
    for block in blocks:
        x = block(x)
    return head(norm(x)[:, 0])


def otherwise(end: Callable, through: Callable | None = None) -> Callable:
    """`end(x, norm, head)` after all blocks; or after `through(tokens, blocks, norm)`."""

    def answer(tokens, blocks, norm, head):
        return end(through(tokens, blocks, norm) if through else all_blocks(tokens, blocks), norm, head)

    return answer


def all_blocks(x: Tensor, blocks) -> Tensor:
    for block in blocks:
        x = block(x)
    return x


def right_end(x: Tensor, norm: nn.Module, head: nn.Module) -> Tensor:
    return head(norm(x)[:, 0])


def normed_each(x, blocks, norm):
    for block in blocks:
        x = norm(block(x))
    return x


def normed_before_each(x, blocks, norm):
    for block in blocks:
        x = block(norm(x))
    return x


def added_again(x, blocks, norm):
    for block in blocks:
        x = x + block(x)
    return x


def with_sequential(tokens: Tensor, blocks: nn.ModuleList, norm: nn.LayerNorm, head: nn.Linear) -> Tensor:
    """Right: only the class token is normed."""
    x = nn.Sequential(*blocks)(tokens)
    return head(norm(x.select(1, 0)))


def by_hand(tokens: Tensor, blocks: nn.ModuleList, norm: nn.LayerNorm, head: nn.Linear) -> Tensor:
    """Right: the head on all tokens, of which the first is kept."""
    for i in range(len(blocks)):
        tokens = blocks[i](tokens)
    centred = tokens - tokens.mean(-1, keepdim=True)
    x = centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias
    return torch.einsum("bnd,cd->bnc", x, head.weight)[:, 0] + head.bias


VIT_LOGITS = Exercise(
    name="vit_logits",
    notebook="11",
    title="Equations 2 to 4: from tokens to logits",
    reference=vit_logits,
    probes=networks,
    result="logits",
    axes={"tokens": "B N D", "logits": "B classes"},
    hints=[
        "A loop and a line. In the loop each block gets what the block before it gave out; the residual additions "
        "are inside the blocks.",
        "After the loop, in this order: the norm, the class token, the head. The class token is token 0 of each image, "
        "and the first axis is the batch.",
    ],
    mistakes=[
        Mistake(
            "no_norm",
            otherwise(lambda x, norm, head: head(x[:, 0])),
            "The final LayerNorm is left out (equation 4). Pre-norm blocks only ever *add* to the stream, so nobody "
            "has brought it to a common scale: the head gets numbers that grow with depth, and loaded weights answer "
            "wrongly.",
        ),
        Mistake(
            "norm_first",
            otherwise(lambda x, norm, head: head(x[:, 0]), lambda x, blocks, norm: all_blocks(norm(x), blocks)),
            "The norm stands before the blocks. There it is of no use, since every block begins with one of its own. "
            "It belongs after the last block.",
        ),
        Mistake(
            "norm_each",
            otherwise(lambda x, norm, head: head(x[:, 0]), normed_each),
            "You norm the stream after every block. This norm is used once, at the end; the stream between the blocks "
            "is left alone, so that gradients pass it unhindered.",
        ),
        Mistake(
            "norm_each_and_last",
            otherwise(right_end, normed_each),
            "You norm the stream after every block, and once more at the end. Only the last is meant: between the "
            "blocks the stream is left alone, so that gradients pass it unhindered.",
        ),
        Mistake(
            "norm_before_each",
            otherwise(right_end, normed_before_each),
            "You norm what goes into each block. The blocks do that themselves, in their branches and each with a norm "
            "of its own; here it cuts off the stream. This norm is used once, after the last block.",
        ),
        Mistake(
            "mean",
            otherwise(lambda x, norm, head: head(norm(x).mean(1))),
            'You average over the tokens. That is the other good way to pool, `pool="mean"`, but then there is no '
            "class token among them. Here the answer is read from the class token, token 0.",
        ),
        Mistake(
            "mean_over_width",
            otherwise(lambda x, norm, head: head(norm(x).mean(-1))),
            "You average over the width D, so one number is left of each token. After a LayerNorm its mean says next "
            "to nothing. Nothing is averaged here: take the vector of the class token.",
        ),
        Mistake(
            "last_token",
            otherwise(lambda x, norm, head: head(norm(x)[:, -1])),
            "You read the last token: the bottom right patch. The class token stands in front, at 0.",
        ),
        Mistake(
            "second_token",
            otherwise(lambda x, norm, head: head(norm(x)[:, 1])),
            "You read token 1, which is the top left patch. The class token is number 0.",
        ),
        Mistake(
            "mean_of_patches",
            otherwise(lambda x, norm, head: head(norm(x)[:, 1:].mean(1))),
            "You average the patches and leave out the class token. Here it is the other way round: only the class "
            "token is read.",
        ),
        Mistake(
            "first_image",
            otherwise(lambda x, norm, head: head(norm(x)[0])),
            "`x[0]` is the first *image*, with all its tokens. The axes are (B, N, D): the first token of every image "
            "is on the second axis.",
        ),
        Mistake(
            "all_tokens",
            otherwise(lambda x, norm, head: head(norm(x))),
            "You give the head every token, and so get an answer from each. One answer an image is wanted, from the "
            "class token.",
        ),
        Mistake(
            "reversed",
            otherwise(right_end, lambda x, blocks, norm: all_blocks(x, reversed(blocks))),
            "The blocks run from the last to the first. From scratch nobody would notice; loaded weights would be used "
            "upside down.",
        ),
        Mistake(
            "one_block",
            otherwise(right_end, lambda x, blocks, norm: blocks[-1](x)),
            "Only one block has a say: each of them gets the *original* tokens, and the last result is kept. Hand on "
            "what the block before gave out. Every other parameter would get no gradient.",
        ),
        Mistake(
            "first_block",
            otherwise(right_end, lambda x, blocks, norm: blocks[0](x)),
            "Only the first block runs. Does a `return` stand in the loop? The norm and the head come after it.",
        ),
        Mistake(
            "blocks_called",
            otherwise(right_end, lambda x, blocks, norm: blocks(x)),
            "A `ModuleList` is a list and cannot be called (an `nn.Sequential` can). Call its blocks one after the "
            "other.",
        ),
        Mistake(
            "no_blocks",
            otherwise(right_end, lambda x, blocks, norm: x),
            "No block has any effect: their results are computed and thrown away. Keep each result and give it to the "
            "next block.",
        ),
        Mistake(
            "added_again",
            otherwise(right_end, added_again),
            "You add the stream to each block's result. The residual additions are *inside* the block: done again "
            "outside, the stream doubles from block to block, 4096 times in twelve.",
        ),
        Mistake(
            "softmax",
            otherwise(lambda x, norm, head: head(norm(x)[:, 0]).softmax(-1)),
            "You return probabilities. Wanted are logits: `F.cross_entropy` does the softmax itself, and done twice "
            "the gradients are small and the loss can never come near 0.",
        ),
        Mistake(
            "log_softmax",
            otherwise(lambda x, norm, head: head(norm(x)[:, 0]).log_softmax(-1)),
            "You return logarithms of probabilities. Wanted are the logits as the head gives them: `F.cross_entropy` "
            "does the rest.",
        ),
        Mistake(
            "norm_after_head",
            otherwise(lambda x, norm, head: norm(head(x[:, 0]))),
            "The norm comes after the head. It is made for vectors of width D and normalises what the head *reads*; "
            "the logits are left as they are.",
        ),
    ],
    variants=[with_sequential, by_hand],
    solved="Any number of blocks, one norm, one token, one linear layer: the rest of the network in four lines.",
)

EXERCISES = [VIT_LOGITS]
