"""Notebook 07, second part: images cut into patches."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake

Sides = tuple[int, int]  # height and width


def patchify_reshape(images: Tensor, patch_size: Sides) -> Tensor:
    """Images (B, C, H, W) -> patches (B, N, P·Q·C)."""
    (B, C, H, W), (P, Q) = images.shape, patch_size
    x = images.reshape(B, C, H // P, P, W // Q, Q).permute(0, 2, 4, 3, 5, 1)
    return x.reshape(B, -1, P * Q * C)


def numbered_images() -> list[tuple]:
    """Images in which no two numbers are alike; the first has one channel, the others have no two sizes alike."""
    cases = [((1, 1, 4, 6), (2, 2)), ((2, 3, 4, 4), (2, 2)), ((2, 3, 8, 20), (4, 5)), ((1, 2, 9, 4), (3, 1))]
    return [(torch.randperm(torch.Size(shape).numel()).float().reshape(shape), patch) for shape, patch in cases]


def cut(order: tuple[int, ...], sizes: str = "rPcQ", end: Callable | None = None) -> Callable:
    """`patchify_reshape` with another order of the axes (B, C, r, P, c, Q), or the sides split otherwise."""

    def answer(images, patch_size):
        (B, C, H, W), (P, Q) = images.shape, patch_size
        lengths = {"r": H // P, "c": W // Q, "P": P, "Q": Q}
        x = images.reshape(B, C, *(lengths[size] for size in sizes)).permute(order)
        return end(x) if end else x.reshape(B, (H // P) * (W // Q), P * Q * C)

    return answer


def patchify_strips(images, patch_size):
    """For images (B, H, W, C)."""
    return images.reshape(len(images), -1, patch_size[0] * patch_size[1] * images.shape[3])


def one_side(images, patch_size):
    return patchify_reshape(images, (patch_size[0], patch_size[0]))


def patches_by_loops(images, patch_size):
    (_, _, H, W), (P, Q) = images.shape, patch_size
    found = []
    for top in range(0, H, P):
        for left in range(0, W, Q):
            found.append(images[:, :, top : top + P, left : left + Q].permute(0, 2, 3, 1).flatten(1))
    return torch.stack(found, dim=1)


def patches_by_unfold(images, patch_size):
    B, C = images.shape[:2]
    columns = F.unfold(images, patch_size, stride=patch_size)  # (B, C·P·Q, N)
    return columns.reshape(B, C, -1, columns.shape[2]).permute(0, 3, 2, 1).flatten(2)


def patches_by_windows(images, patch_size):
    P, Q = patch_size
    windows = images.unfold(2, P, P).unfold(3, Q, Q)  # (B, C, rows, columns, P, Q)
    return torch.einsum("bcrspq->brspqc", windows).flatten(3).flatten(1, 2)


PATCHIFY_RESHAPE = Exercise(
    name="patchify_reshape",
    notebook="07",
    title="Cut images into patches without a loop",
    reference=patchify_reshape,
    probes=numbered_images,
    result="patches",
    axes={"images": "B C H W", "patches": "B N D"},
    hints=[
        "Split height into (rows of the grid, P) and width into (columns of the grid, Q). `reshape` may do that: it "
        "cuts an axis into two and moves nothing.",
        "Now there are six axes: batch, channel, grid row, row in the patch, grid column, column in the patch. Which "
        "of them say *which patch*, and which say *where in the patch*?",
        "`permute` them into: batch, grid row, grid column, row in the patch, column in the patch, channel. Then two "
        "groups of neighbours can be merged by one `reshape`.",
    ],
    mistakes=[
        Mistake(
            "reshape_alone",
            lambda images, patch_size: images.reshape(len(images), -1, patch_size[0] * patch_size[1] * images.shape[1]),
            "The shape is right, but what you cut are strips: `reshape` and `view` read the numbers in memory order, "
            "along the image's rows and channel by channel, and cut that line. A square patch lies in pieces in that "
            "line, so axes must be *moved* before they are merged. A network still trains on this, and "
            "nothing warns you; published weights, and every picture of what a token sees, are wrong from then on.",
        ),
        Mistake(
            "channels_last_and_reshape",
            lambda images, patch_size: patchify_strips(images.permute(0, 2, 3, 1), patch_size),
            "The channels stand together, as they should. But `reshape` still cuts the line of numbers where it "
            "happens to be: your patches are strips along the rows of pixels. Height and width have to be split, and "
            "their parts moved.",
        ),
        Mistake(
            "column_order",
            cut((0, 4, 2, 3, 5, 1)),
            "Every patch is right, and they come in column order: down the first column, then the next. The position "
            "embeddings of published weights expect row after row from the top left, so they would all be "
            "misplaced. The grid's row comes before the grid's column.",
        ),
        Mistake(
            "channels_first",
            cut((0, 2, 4, 1, 3, 5)),
            "The patches are right, the order inside them is not: all red values, then all green ones. That is the "
            "order of `F.unfold`. Here, as in the paper's P² · C, the channels of one pixel stand together: the "
            "channel changes fastest, so it comes last.",
        ),
        Mistake(
            "transposed_inside",
            cut((0, 2, 4, 5, 3, 1)),
            "Inside each patch rows and columns have changed places: every patch lies on its side. The row in the "
            "patch comes before the column in the patch.",
        ),
        Mistake(
            "image_transposed",
            cut((0, 4, 2, 5, 3, 1)),
            "Rows and columns have changed places everywhere, in the grid and inside the patches: you cut the "
            "mirrored image. Height comes before width, twice.",
        ),
        Mistake(
            "channels_between",
            cut((0, 2, 4, 3, 1, 5)),
            "The channel stands between row and column of the patch. Each pixel's channels should stand together: "
            "the channel is the last of all axes.",
        ),
        Mistake(
            "every_kth_pixel",
            cut((0, 3, 5, 2, 4, 1), "PrQc"),
            "Each of your patches takes every so-many-th pixel from all over the image: you split the height into "
            "(P, rows) instead of (rows, P). Neighbouring pixels differ in the *last* part of a split axis, and "
            "neighbours belong in one patch.",
        ),
        Mistake(
            "counts_swapped",
            cut((0, 2, 4, 3, 5, 1), "cPrQ"),
            "Right for square grids only: the number of grid rows comes from the height, that of grid columns from "
            "the width, and you have them the other way round.",
        ),
        Mistake(
            "sides_swapped",
            cut((0, 2, 4, 3, 5, 1), "rQcP"),
            "Right for square patches only: the height is split by the patch's height, the width by its width, and "
            "you have them the other way round.",
        ),
        Mistake(
            "pair_swapped",
            lambda images, patch_size: patchify_reshape(images, patch_size[::-1]),
            "Right for square patches only: you take the first number of `patch_size` for the width. It is (P, Q), "
            "height first, as in (H, W).",
        ),
        Mistake(
            "one_side",
            one_side,
            "You use the patch's height for its width, too. `patch_size` is a pair, and the two may differ.",
        ),
        Mistake(
            "a_token_a_channel",
            cut((0, 1, 2, 4, 3, 5), end=lambda x: x.flatten(4).flatten(1, 3)),
            "You make a token of each *channel* of a patch: three times as many, each a third as long. A patch keeps "
            "its colours together.",
        ),
        Mistake(
            "a_token_a_channel_in_turn",
            cut((0, 2, 4, 1, 3, 5), end=lambda x: x.flatten(4).flatten(1, 3)),
            "Each patch falls into one token a channel, in turn: several times as many tokens, each as much shorter. "
            "The channels of a patch belong into its own vector.",
        ),
        Mistake(
            "channel_in_front",
            cut((0, 1, 2, 4, 3, 5)),
            "The channel still stands in front of the grid. Merged like this, a token is several neighbouring patches "
            "of *one* channel, and the sequence runs through the image once a channel. The channel belongs at the end.",
        ),
        Mistake(
            "nothing_merged",
            cut((0, 2, 4, 3, 5, 1), end=lambda x: x),
            "The six axes are in the right order. What is missing is the third step: merge the grid's two into one, "
            "and the last three into one.",
        ),
        Mistake(
            "not_merged",
            cut((0, 2, 4, 3, 5, 1), end=lambda x: x.flatten(1, 2)),
            "The patches are right, and still small images. A token is one flat vector: merge the last three axes.",
        ),
        Mistake(
            "grid_kept",
            cut((0, 2, 4, 3, 5, 1), end=lambda x: x.flatten(3)),
            "The patches are right, and still on their grid. A transformer takes a sequence: merge grid row and grid "
            "column into one axis.",
        ),
        Mistake(
            "batch_merged",
            cut((0, 2, 4, 3, 5, 1), end=lambda x: x.flatten(3).flatten(0, 2)),
            "The patches of all images stand in one long row. Then nobody knows which image a patch belongs to, and "
            "attention would look from one image into another. Keep the batch axis.",
        ),
        Mistake(
            "unfold_as_it_comes",
            lambda images, patch_size: F.unfold(images, patch_size, stride=patch_size),
            "`F.unfold` gives (B, C·P·Q, N): a patch is a *column* there, and inside it all values of one channel "
            "stand together. Both orders have to be changed.",
        ),
        Mistake(
            "overlapping",
            lambda images, patch_size: F.unfold(images, patch_size).transpose(1, 2),
            "Your windows overlap: without a stride, `F.unfold` moves by one pixel, as a convolution does. Patches "
            "lie beside each other.",
        ),
    ],
    variants=[patches_by_loops, patches_by_unfold, patches_by_windows],
    solved="Two reshapes with a permute between them: the pattern to cut anything into blocks.",
)

EXERCISES = [PATCHIFY_RESHAPE]
