"""Notebook 11, first part: equation 1, the tokens that enter the first block."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vit_course.exercises.core import Exercise, Mistake


def image_tokens(images: Tensor, proj: nn.Conv2d, cls_token: Tensor, pos_embed: Tensor) -> Tensor:
    """Patches to vectors, the class token in front, positions added to all of them."""
    x = proj(images).flatten(2).transpose(1, 2)
    x = torch.cat([cls_token.expand(len(x), -1, -1), x], dim=1)
    return x + pos_embed


def not_square() -> list[tuple]:
    """Images that are not square; B, N and D all differ, so that a wrong axis shows."""
    found = []
    for B, C, H, W, P, D in ((2, 1, 2, 4, 2, 3), (3, 3, 4, 6, 2, 5), (2, 2, 9, 3, 3, 8)):
        N = (H // P) * (W // P)
        proj = nn.Conv2d(C, D, P, stride=P)
        found.append((torch.rand(B, C, H, W), proj, torch.randn(1, 1, D), torch.randn(1, 1 + N, D)))
    return found


def otherwise(finish: Callable, patches: Callable = lambda x: x.flatten(2).transpose(1, 2)) -> Callable:
    """`finish(x, cls_token of every image, pos_embed)` on patches (B, N, D), or on what `patches` makes of the map."""

    def answer(images, proj, cls_token, pos_embed):
        return finish(patches(proj(images)), cls_token.expand(len(images), -1, -1), pos_embed)

    return answer


def equation(x: Tensor, cls: Tensor, pos: Tensor) -> Tensor:
    return torch.cat([cls, x], dim=1) + pos


def without_expand(images, proj, cls_token, pos_embed):
    return torch.cat([cls_token, proj(images).flatten(2).transpose(1, 2)], dim=1) + pos_embed


def scrambled(x: Tensor) -> Tensor:
    return x.flatten(2).reshape(len(x), -1, x.shape[1])


def in_place(images: Tensor, proj: nn.Conv2d, cls_token: Tensor, pos_embed: Tensor) -> Tensor:
    """Right: an empty tensor, filled."""
    tokens = torch.empty(len(images), *pos_embed.shape[1:])
    tokens[:, 0] = cls_token[0, 0] + pos_embed[0, 0]
    tokens[:, 1:] = torch.einsum("bdhw->bhwd", proj(images)).flatten(1, 2) + pos_embed[:, 1:]
    return tokens


def with_unfold(images: Tensor, proj: nn.Conv2d, cls_token: Tensor, pos_embed: Tensor) -> Tensor:
    """Right: patches cut out first, then one matrix for all."""
    patches = nn.functional.unfold(images, proj.kernel_size, stride=proj.stride).mT
    x = patches @ proj.weight.flatten(1).T + proj.bias
    first = (cls_token + pos_embed[:, :1]).repeat(len(images), 1, 1)
    return torch.hstack([first, x + pos_embed[:, 1:]])


IMAGE_TOKENS = Exercise(
    name="image_tokens",
    notebook="11",
    title="Equation 1: from images to the tokens that enter the first block",
    reference=image_tokens,
    probes=not_square,
    result="tokens",
    axes={
        "images": "B C H W",
        "cls_token": "one one D",
        "pos_embed": "one tokens D",
        "tokens": "B tokens D",
    },
    hints=[
        "Four lines: the convolution; its map as a sequence; the class token in front; the positions on top.",
        "`proj(images)` is (B, D, rows, columns). A sequence is (B, N, D): put rows and columns in one axis, then swap "
        "two axes. A `reshape` to (B, N, D) has the right shape and mixes the patches.",
        "`cls_token` is (1, 1, D) and there are B images: `.expand(B, -1, -1)` shows it B times without a copy. Then "
        "`torch.cat([…, …], dim=1)`, and `pos_embed` has a row for every token, the class token's first.",
    ],
    mistakes=[
        Mistake(
            "class_token_last",
            otherwise(lambda x, cls, pos: torch.cat([x, cls], dim=1) + pos),
            "Your class token comes last. The paper's, and that of every published weight, stands in front: here each "
            "patch gets the position of its neighbour, and whoever reads token 0 as the class token reads the top "
            "left patch. Trained from scratch it would work; with loaded weights the answers are wrong.",
        ),
        Mistake(
            "class_token_last_with_its_position",
            otherwise(lambda x, cls, pos: torch.cat([x + pos[:, 1:], cls + pos[:, :1]], dim=1)),
            "Each token has its right position, but the class token stands at the end. The head reads token 0, and "
            "would answer from the top left patch. Put it in front.",
        ),
        Mistake(
            "no_positions",
            otherwise(lambda x, cls, pos: torch.cat([cls, x], dim=1)),
            "The positions are left out. Nothing complains, the network even learns; but attention does not know "
            "order, so a shuffled image looks the same to it. Equation 1 ends in + E_pos.",
        ),
        Mistake(
            "patches_only",
            otherwise(lambda x, cls, pos: torch.cat([cls, x + pos[:, 1:]], dim=1)),
            "You add positions to the patches and then put a bare class token in front. `pos_embed` has 1 + N rows: "
            "the class token has one of its own, the first. First join, then add.",
        ),
        Mistake(
            "shifted",
            otherwise(lambda x, cls, pos: torch.cat([cls, x + pos[:, :-1]], dim=1)),
            "You add the positions before the class token is there, and leave out the last row to make them fit. So "
            "every patch gets the row of the token before it. First join, then add all of them.",
        ),
        Mistake(
            "positions_before_the_class_token",
            otherwise(lambda x, cls, pos: torch.cat([cls, x + pos], dim=1)),
            "You add the positions while the class token is not there yet: N tokens, and 1 + N positions. One of them "
            "is the class token's own. First join, then add.",
        ),
        Mistake(
            "along_the_batch",
            otherwise(lambda x, cls, pos: torch.cat([cls, x]) + pos),
            "You join along axis 0, the batch, which is what `torch.cat` does if you say nothing. The class token is "
            "one more *token*: axis 1 of (B, N, D).",
        ),
        Mistake(
            "multiplied",
            otherwise(lambda x, cls, pos: torch.cat([cls, x], dim=1) * pos),
            "You multiply by the positions. They start near zero, so hardly anything of the image would be left. "
            "Positions are *added*.",
        ),
        Mistake(
            "reshaped",
            otherwise(equation, scrambled),
            "The shape is right and the contents are mixed: a `reshape` (or `view`) from (B, D, N) to (B, N, D) cuts "
            "the numbers in a new place, so one token holds one channel of many patches. Swap the axes instead.",
        ),
        Mistake(
            "columns",
            otherwise(equation, lambda x: x.transpose(2, 3).flatten(2).transpose(1, 2)),
            "Your patches go down the columns. The order is row by row, as in a book: only then does position 2 mean "
            "the same patch to you, to `pos_embed` and to published weights.",
        ),
        Mistake(
            "no_class_token",
            otherwise(lambda x, cls, pos: x + pos[:, 1:]),
            "There are N tokens and no class token. It is one more token, in front of the patches, with a position "
            "of its own.",
        ),
        Mistake(
            "class_token_added",
            otherwise(lambda x, cls, pos: x + cls + pos[:, 1:]),
            "You *add* the class token to every patch. That shifts all of them alike, and there is still no token to "
            "collect the answer. Join it to the sequence as one more token.",
        ),
        Mistake(
            "without_expand",
            without_expand,
            "There is one class token and a batch of images: `torch.cat` wants B of them. With a batch of one it would "
            "work, which is how this bug gets past a dummy pass with one image. Show the token B times.",
        ),
        Mistake(
            "no_transpose",
            otherwise(equation, lambda x: x.flatten(2)),
            "After `flatten(2)` the map is (B, D, N): the channels stand where the tokens should be. Swap the last two "
            "axes before you join.",
        ),
        Mistake(
            "empty_class_token",
            otherwise(lambda x, cls, pos: torch.cat([torch.zeros_like(cls), x], dim=1) + pos),
            "You put zeros in front, not `cls_token`. Many codes *start* it at zero, but it is a parameter and learns "
            "another value. Use the one that you are given.",
        ),
    ],
    variants=[in_place, with_unfold],
    solved="That is equation 1. From here on the network no longer knows that it is about images.",
)

EXERCISES = [IMAGE_TOKENS]
