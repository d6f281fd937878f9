"""Notebook 07, third part: patches glued together again."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.banks.patches import Sides, numbered_images, patchify_reshape
from vit_course.exercises.core import Exercise, Mistake


def patches_to_images(patches: Tensor, patch_size: Sides, image_size: Sides) -> Tensor:
    """Patches (B, N, P·Q·C) -> images (B, C, H, W)."""
    (P, Q), (H, W) = patch_size, image_size
    x = patches.reshape(len(patches), H // P, W // Q, P, Q, -1).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(len(patches), -1, H, W)


def cut_images() -> list[tuple]:
    """What `patchify_reshape` makes of its own probes."""
    return [(patchify_reshape(images, patch), patch, tuple(images.shape[2:])) for images, patch in numbered_images()]


def glued(order: tuple[int, ...], sizes: str = "rcPQC", end: Callable | None = None) -> Callable:
    """`patches_to_images` with the patches read as other axes, or these put in another order."""

    def answer(patches, patch_size, image_size):
        (P, Q), (H, W) = patch_size, image_size
        C = patches.shape[2] // (P * Q)
        lengths = {"r": H // P, "c": W // Q, "P": P, "Q": Q, "C": C}
        x = patches.reshape(len(patches), *(lengths[size] for size in sizes)).permute(order)
        return end(x, H, W) if end else x.reshape(len(patches), C, H, W)

    return answer


def three_channels(patches, patch_size, image_size):
    (P, Q), (H, W) = patch_size, image_size
    x = patches.reshape(len(patches), H // P, W // Q, P, Q, 3).permute(0, 5, 1, 3, 2, 4)
    return x.reshape(len(patches), 3, H, W)


def glued_by_loops(patches, patch_size, image_size):
    (P, Q), (H, W) = patch_size, image_size
    images = patches.new_zeros(len(patches), patches.shape[2] // (P * Q), H, W)
    for place in range(patches.shape[1]):
        row, column = divmod(place, W // Q)
        tile = patches[:, place].unflatten(1, (P, Q, -1)).movedim(-1, 1)
        images[:, :, row * P : (row + 1) * P, column * Q : (column + 1) * Q] = tile
    return images


def glued_by_fold(patches, patch_size, image_size):
    P, Q = patch_size
    columns = patches.unflatten(2, (P * Q, -1)).permute(0, 3, 2, 1).flatten(1, 2)  # (B, C·P·Q, N)
    return F.fold(columns, image_size, patch_size, stride=patch_size)


def glued_by_cat(patches, patch_size, image_size):
    (P, Q), (H, W) = patch_size, image_size
    tiles = [tile.reshape(len(patches), P, Q, -1) for tile in patches.unbind(1)]
    across = W // Q
    rows = [torch.cat(tiles[i * across : (i + 1) * across], dim=2) for i in range(H // P)]
    return torch.einsum("bhwc->bchw", torch.cat(rows, dim=1))


PATCHES_TO_IMAGES = Exercise(
    name="patches_to_images",
    notebook="07",
    title="Glue the patches together again",
    reference=patches_to_images,
    probes=cut_images,
    result="images",
    axes={"patches": "B N D", "images": "B C H W"},
    hints=[
        "Go back the way you came: split the two merged axes first. N is (grid rows, grid columns), and the last one "
        "is (row in the patch, column in the patch, channel).",
        "A row of pixels of the image runs through all patches of a grid row. So grid row and row in the patch must "
        "become neighbours, and so must the two columns.",
        "`permute` into: batch, channel, grid row, row in the patch, grid column, column in the patch. One `reshape` "
        "merges both pairs.",
    ],
    mistakes=[
        Mistake(
            "reshape_alone",
            lambda patches, patch_size, image_size: patches.reshape(len(patches), -1, *image_size),
            "The shape is right, the picture is scrambled: `reshape` lays the patches' numbers out along the image's "
            "rows, so a patch becomes a strip. Axes have to be moved between two reshapes.",
        ),
        Mistake(
            "column_order",
            glued((0, 5, 1, 3, 2, 4), "crPQC", lambda x, H, W: x.permute(0, 1, 4, 3, 2, 5).reshape(len(x), -1, H, W)),
            "You lay the patches down column by column. They come row by row: N splits into (grid rows, grid "
            "columns), in this order.",
        ),
        Mistake(
            "counts_swapped",
            glued((0, 5, 1, 3, 2, 4), "crPQC"),
            "Right for square grids only: the number of grid rows comes from the height and that of grid columns "
            "from the width, and you have them the other way round.",
        ),
        Mistake(
            "channels_first",
            glued((0, 3, 1, 4, 2, 5), "rcCPQ"),
            "The patches are in their places, and inside them colours and pixels are mixed up: you read a patch as "
            "(channel, row, column), the order of `F.unfold` and `F.fold`. These patches are (row, column, channel).",
        ),
        Mistake(
            "transposed_inside",
            glued((0, 5, 1, 4, 2, 3), "rcQPC"),
            "Inside each patch rows and columns have changed places. The last axis splits into (row in the patch, "
            "column in the patch, channel), in this order.",
        ),
        Mistake(
            "merged_crosswise",
            glued((0, 5, 1, 4, 2, 3)),
            "You merge the grid's row with the *column* in the patch, and the grid's column with the row in the "
            "patch: every patch lies on its side. Row goes with row, column with column.",
        ),
        Mistake(
            "grid_crosswise",
            glued((0, 5, 2, 3, 1, 4)),
            "You merge the grid's *column* with the row in the patch, and the grid's row with the column in the patch. "
            "Row goes with row, column with column; which image side each belongs to follows from that.",
        ),
        Mistake(
            "image_transposed",
            glued((0, 5, 2, 4, 1, 3)),
            "Columns stand in front of rows, in the grid and in the patch: you put together the image on its side, "
            "W × H, and then cut that into H × W. Rows, the height, come first.",
        ),
        Mistake(
            "same_permute",
            glued((0, 2, 4, 3, 5, 1)),
            "You move the axes as on the way from images to patches. Now the six stand in another order, so the way "
            "back needs another `permute`: the one that undoes the first.",
        ),
        Mistake(
            "same_split",
            lambda patches, patch_size, image_size: patchify_reshape(
                patches.reshape(len(patches), -1, *image_size), patch_size
            ).reshape(len(patches), -1, *image_size),
            "You split the patches as if they were an image, (channel, height, width). They come as (grid row, grid "
            "column, row in the patch, column in the patch, channel): split that, then move.",
        ),
        Mistake(
            "one_side",
            lambda patches, patch_size, image_size: patches_to_images(patches, patch_size[:1] * 2, image_size),
            "You give the patches their height for a width as well. `patch_size` is (P, Q), and the two may differ.",
        ),
        Mistake(
            "sides_swapped",
            glued((0, 5, 1, 3, 2, 4), "rcQPC"),
            "Right for square patches only: inside a patch there are P rows of Q pixels, and you split it into Q "
            "rows of P.",
        ),
        Mistake(
            "interleaved",
            glued((0, 5, 3, 1, 4, 2)),
            "The patches are spread out: pixels that were neighbours are far apart. In each pair the *grid's* row or "
            "column comes before the one in the patch.",
        ),
        Mistake(
            "patch_by_patch",
            glued((0, 5, 1, 2, 3, 4)),
            "The channel is in place, but the numbers are laid out along the image patch after patch, as if grid row "
            "and grid column made the height. A line of the image runs through many patches: split N and the patch, "
            "and bring grid row and row in the patch together.",
        ),
        Mistake(
            "three_channels",
            three_channels,
            "You write 3 for the channels, and there are images with another number. It follows from the length of a "
            "patch: `reshape` finds it for -1.",
        ),
        Mistake(
            "three_channels_at_the_end",
            lambda patches, patch_size, image_size: patches_to_images(patches, patch_size, image_size).reshape(
                len(patches), 3, *image_size
            ),
            "The last `reshape` says 3 for the channels, and there are images with another number. Leave that number "
            "to `reshape`, by -1, or work it out from the length of a patch.",
        ),
        Mistake(
            "channels_last_as_first",
            glued((0, 1, 3, 2, 4, 5)),
            "The pixels are in their places with the channel *last*, and then you reshape as if it were first: the "
            "colours are dealt out over the picture. `permute` it to right after the batch.",
        ),
        Mistake(
            "channels_last",
            glued((0, 1, 3, 2, 4, 5), end=lambda x, H, W: x.reshape(len(x), H, W, -1)),
            "The picture is right, in Matplotlib's order: height, width, channel. Torch wants the channel right "
            "after the batch.",
        ),
        Mistake(
            "folded_as_they_come",
            lambda patches, patch_size, image_size: F.fold(patches, image_size, patch_size, stride=patch_size),
            "`F.fold` wants (B, C·P·Q, N): a patch in each *column*, and inside it all values of one channel "
            "together. Both orders differ from these patches'.",
        ),
    ],
    variants=[glued_by_loops, glued_by_fold, glued_by_cat],
    solved="Nothing is lost on the way into patches and back, not one bit.",
)

EXERCISES = [PATCHES_TO_IMAGES]
