"""Notebook 09, fourth part: the width cut into heads, and the heads put together again."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Head j gets the j-th piece of every token: (B, N, D) -> (B, h, N, d)."""
    B, N, D = x.shape
    return x.reshape(B, N, num_heads, D // num_heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """The pieces of each token side by side, the first head's first: (B, h, N, d) -> (B, N, h·d)."""
    return x.transpose(1, 2).flatten(2)


def reshaped(split: Callable[..., Tensor]) -> Callable:
    """An answer from `split(x, B, N, h, d)`."""

    def answer(x, num_heads):
        B, N, D = x.shape
        return split(x, B, N, num_heads, D // num_heads)

    return answer


def numbered(*shape: int) -> Tensor:
    """Numbers that say where they stood: 1203 is token 12, place 3 of image 0."""
    grids = torch.meshgrid(*[torch.arange(n, dtype=torch.float32) for n in shape], indexing="ij")
    return grids[0] * 10_000 + grids[1] * 100 + grids[2]


def tokens_to_split() -> list[tuple]:
    return [(numbered(1, 3, 4), 2), (numbered(2, 5, 12), 3), (numbered(3, 4, 10), 5), (numbered(2, 6, 7), 7)]


def heads_to_merge() -> list[tuple]:
    cases = [(1, 2, 3, 2), (2, 3, 5, 4), (3, 5, 4, 2), (2, 7, 6, 1)]
    return [(numbered(B * h, N, d).reshape(B, h, N, d),) for B, h, N, d in cases]


def split_by_slices(x: Tensor, num_heads: int) -> Tensor:
    d = x.shape[2] // num_heads
    return torch.stack([x[:, :, j * d : (j + 1) * d] for j in range(num_heads)], dim=1)


def split_by_loops(x: Tensor, num_heads: int) -> Tensor:
    B, N, D = x.shape
    heads = x.new_zeros(B, num_heads, N, D // num_heads)
    for place in range(D):
        heads[:, place // (D // num_heads), :, place % (D // num_heads)] = x[:, :, place]
    return heads


def split_by_unflatten(x: Tensor, num_heads: int) -> Tensor:
    return x.unflatten(-1, (num_heads, -1)).permute(0, 2, 1, 3).contiguous()


def split_by_chunks(x: Tensor, num_heads: int) -> Tensor:
    return torch.cat([piece[:, None] for piece in x.chunk(num_heads, dim=-1)], dim=1)


def merged_by_cat(x: Tensor) -> Tensor:
    return torch.cat(list(x.unbind(1)), dim=-1)


def merged_by_view(x: Tensor) -> Tensor:
    B, h, N, d = x.size()
    return x.permute(0, 2, 1, 3).contiguous().view(B, N, h * d)


def merged_token_by_token(x: Tensor) -> Tensor:
    return torch.stack([x[:, :, n].reshape(len(x), -1) for n in range(x.shape[2])], dim=1)


SPLIT_HEADS = Exercise(
    name="split_heads",
    notebook="09",
    title="Cut the width of every token into heads",
    reference=split_heads,
    probes=tokens_to_split,
    axes={"x": "B N D", "result": "B h N d"},
    hints=[
        "Which axis is cut? The last one, D, and into h pieces of d. `reshape` can cut an axis into two *neighbouring* "
        "ones: what shape comes out, in which order?",
        "Now the heads stand behind the tokens. Moving an axis is not `reshape`'s work: that is `transpose`'s.",
    ],
    mistakes=[
        Mistake(
            "view",
            reshaped(lambda x, B, N, h, d: x.reshape(B, h, N, d)),
            "This is the trap. The shape is right and the numbers are shuffled: `reshape` (or `view`) reads the tokens "
            "one after the other and deals them out anew, so the rows of a head hold other tokens than their own. "
            "Look at the second row of head 0: do its numbers come from token 1?",
        ),
        Mistake(
            "not_moved",
            reshaped(lambda x, B, N, h, d: x.reshape(B, N, h, d)),
            "The width is cut rightly, but the heads still stand behind the tokens, (B, N, h, d). A matrix product "
            "over the last two axes would compare the heads of one token, not the tokens of one head.",
        ),
        Mistake(
            "dealt_out",
            reshaped(lambda x, B, N, h, d: x.reshape(B, N, d, h).permute(0, 3, 1, 2)),
            "You deal the places out like cards: head 0 gets places 0, h, 2h … A network trained so from scratch would "
            "be as good; published weights expect neighbours together, head 0 with the first d places.",
        ),
        Mistake(
            "moved_first",
            reshaped(lambda x, B, N, h, d: x.transpose(1, 2).reshape(B, h, N, d)),
            "The tokens are moved to the end first, and then `reshape` cuts across them: the numbers of several places "
            "and tokens are mixed in each row. Cut first, while the width is last, and move then.",
        ),
        Mistake(
            "along_tokens",
            lambda x, num_heads: torch.stack(x.chunk(num_heads, dim=1), dim=1),
            "You cut the *sequence* into pieces: each head would see some of the tokens. Every head sees every token, "
            "and of each a piece of its width.",
        ),
        Mistake(
            "heads_before_batch",
            reshaped(lambda x, B, N, h, d: torch.stack(x.chunk(h, dim=-1))),
            "The heads stand first, before the batch: (h, B, N, d). The pieces are right; the axis belongs after the "
            "batch. With as many images as heads nobody would notice.",
        ),
        Mistake(
            "in_the_batch",
            reshaped(lambda x, B, N, h, d: x.reshape(B, N, h, d).transpose(1, 2).flatten(0, 1)),
            "Heads and images are one axis, B·h. The old implementations did that for products of three axes; here "
            "they stay apart, (B, h, N, d).",
        ),
        Mistake(
            "whole_width",
            reshaped(lambda x, B, N, h, d: x[:, None].expand(B, h, N, h * d)),
            "Each head gets the whole width. Then h heads cost h times as much. In a transformer they share: d = D / h "
            "for each.",
        ),
        Mistake(
            "counts_swapped",
            reshaped(lambda x, B, N, h, d: x.reshape(B, N, d, h).transpose(1, 2)),
            "`num_heads` is used as the width of a head: you have d heads of width h. Divide D by it.",
        ),
        Mistake(
            "width_before_tokens",
            reshaped(lambda x, B, N, h, d: x.reshape(B, N, h, d).permute(0, 2, 3, 1)),
            "Tokens and width are in the other order, (B, h, d, N). Keys are needed that way for the scores, but "
            "leave it to the product to swap them.",
        ),
    ],
    variants=[split_by_slices, split_by_loops, split_by_unflatten, split_by_chunks],
    solved="Every number stays with its token: only the width is cut.",
)


MERGE_HEADS = Exercise(
    name="merge_heads",
    notebook="09",
    title="Put the heads side by side again",
    reference=merge_heads,
    probes=heads_to_merge,
    axes={"x": "B h N d", "result": "B N D"},
    hints=[
        "It is `split_heads` run backwards: the last step first.",
        "`flatten` and `reshape` can make one axis of two *neighbours*. Which two must be neighbours, in which order?",
    ],
    mistakes=[
        Mistake(
            "not_moved_back",
            lambda x: x.reshape(x.shape[0], x.shape[2], -1),
            "The heads are merged without moving their axis back. The shape is right, but a row now holds one head of "
            "*several tokens*, one after the other. Nothing complains, and such a network trains; with published "
            "weights it gives nonsense. The axis of the heads has to stand beside the width first.",
        ),
        Mistake(
            "view_refused",
            lambda x: x.transpose(1, 2).view(x.shape[0], x.shape[2], -1),
            "The axes are right; only `view` refuses, because after a `transpose` the numbers no longer lie in memory "
            "in the order of the axes. `flatten` and `reshape` copy them where needed. (Without the `transpose`, "
            "`view` would not complain, and be wrong.)",
        ),
        Mistake(
            "width_first",
            lambda x: x.permute(0, 2, 3, 1).flatten(2),
            "In each token the heads are shuffled together like cards: first place 0 of all heads, then place 1. "
            "Published weights expect all of head 0, then all of head 1.",
        ),
        Mistake(
            "summed",
            lambda x: x.sum(1),
            "You add the heads up. Then nobody can tell any more which head saw what. Side by side they keep what they "
            "found, and the next layer decides.",
        ),
        Mistake(
            "averaged",
            lambda x: x.mean(1),
            "You average the heads, and what one of them saw alone gets lost. Put them side by side.",
        ),
        Mistake(
            "along_tokens",
            lambda x: x.flatten(1, 2),
            "The heads are put one after the other along the *sequence*: h · N tokens of width d. They belong side by "
            "side in the width.",
        ),
        Mistake(
            "not_flattened",
            lambda x: x.transpose(1, 2),
            "The axes are in the right order, (B, N, h, d), and not merged yet: h and d have to become one.",
        ),
        Mistake(
            "all_in_one",
            lambda x: x.transpose(1, 2).flatten(1),
            "You flattened the tokens too. Say from which axis on.",
        ),
        Mistake(
            "turned",
            lambda x: x.transpose(2, 3).reshape(x.shape[0], x.shape[2], -1),
            "You moved the tokens behind the width, and the heads still stand in front: pieces of several tokens are "
            "mixed in each row. The axis to move is the heads'.",
        ),
        Mistake(
            "first_head",
            lambda x: x[:, 0],
            "That is the first head alone. All of them, side by side.",
        ),
    ],
    variants=[merged_by_cat, merged_by_view, merged_token_by_token],
    solved="Split and merged again, every number is back in its place.",
)

EXERCISES = [SPLIT_HEADS, MERGE_HEADS]
