"""Notebook 06, first part: images whose patches are shuffled."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def shuffle_patches(images: Tensor, patch_size: int, order: Tensor) -> Tensor:
    """Images whose place n, counted row by row, shows the image's own patch order[b, n]."""
    return shuffled()(images, patch_size, order)


def cut_rows_first(images: Tensor, P: int) -> Tensor:
    """(B, C, H, W) -> (B, N, C, P, P), row by row from the top left."""
    B, C, H, W = images.shape
    return images.reshape(B, C, H // P, P, W // P, P).permute(0, 2, 4, 1, 3, 5).reshape(B, -1, C, P, P)


def join_rows_first(patches: Tensor, P: int, H: int, W: int) -> Tensor:
    """The way back: (B, N, C, P, P) -> (B, C, H, W)."""
    B, _, C = patches.shape[:3]
    return patches.reshape(B, H // P, W // P, C, P, P).permute(0, 3, 1, 4, 2, 5).reshape(B, C, H, W)


def pick(patches: Tensor, order: Tensor) -> Tensor:
    return torch.stack([patches[b, order[b]] for b in range(len(order))])


def shuffled(
    cut: Callable = cut_rows_first, choose: Callable = pick, join: Callable = join_rows_first
) -> Callable[[Tensor, int, Tensor], Tensor]:
    """`shuffle_patches` with another way to cut, to choose or to put together."""

    def answer(images, patch_size, order):
        H, W = images.shape[2:]
        return join(choose(cut(images, patch_size), order), patch_size, H, W)

    return answer


def cut_by_reshape(images: Tensor, P: int) -> Tensor:
    B, C, H, W = images.shape
    return images.reshape(B, H // P * (W // P), C, P, P)


def join_by_reshape(patches: Tensor, P: int, H: int, W: int) -> Tensor:
    return patches.reshape(len(patches), -1, H, W)


def cut_columns_first(images: Tensor, P: int) -> Tensor:
    return cut_rows_first(images.transpose(2, 3), P).transpose(3, 4)


def join_columns_first(patches: Tensor, P: int, H: int, W: int) -> Tensor:
    return join_rows_first(patches.transpose(3, 4), P, W, H).transpose(2, 3)


def per_channel(images: Tensor, patch_size: int, order: Tensor) -> Tensor:
    """Channels as images of their own, with the orders repeated as a whole: image after image, not channel."""
    channels = images.flatten(0, 1)[:, None]
    return shuffle_patches(channels, patch_size, order.repeat(images.shape[1], 1)).reshape(images.shape)


def strips_per_channel(images: Tensor, patch_size: int, order: Tensor) -> Tensor:
    patches = images.reshape(*images.shape[:2], -1, patch_size, patch_size).transpose(1, 2)
    return pick(patches, order).transpose(1, 2).reshape(images.shape)


def channels_last(patches: Tensor) -> Tensor:
    """A patch's numbers, (C, P, P), laid out as `patchify` does, row, column, channel, and read as if (C, P, P)."""
    return patches.permute(0, 1, 3, 4, 2).reshape(patches.shape)


def read_as_channels_last(patches: Tensor) -> Tensor:
    """The way back: a patch's numbers read as (P, P, C)."""
    B, N, C, P, _ = patches.shape
    return patches.reshape(B, N, P, P, C).permute(0, 1, 4, 2, 3)


def by_loops(images: Tensor, patch_size: int, order: Tensor) -> Tensor:
    P, columns, result = patch_size, images.shape[3] // patch_size, torch.empty_like(images)
    for b, row in enumerate(order.tolist()):
        for n, m in enumerate(row):
            (i, j), (k, l) = divmod(n, columns), divmod(m, columns)  # noqa: E741
            part = images[b, :, k * P : (k + 1) * P, l * P : (l + 1) * P]
            result[b, :, i * P : (i + 1) * P, j * P : (j + 1) * P] = part
    return result


def by_unfold(images: Tensor, patch_size: int, order: Tensor) -> Tensor:
    patches = F.unfold(images.float(), patch_size, stride=patch_size)  # (B, C·P·P, N)
    patches = patches.gather(2, order[:, None].expand_as(patches))
    return F.fold(patches, images.shape[2:], patch_size, stride=patch_size).to(images.dtype)


def orders(count: int, patches: int) -> Tensor:
    """An order an image, none of them its own inverse."""
    rows: list[Tensor] = []
    while len(rows) < count:
        order = torch.randperm(patches)
        if not torch.equal(order, order.argsort()):
            rows.append(order)
    return torch.stack(rows)


def images_to_shuffle() -> list[tuple]:
    return [
        (torch.arange(24.0).reshape(1, 1, 4, 6), 2, orders(1, 6)),
        (torch.randint(256, (2, 3, 6, 12), dtype=torch.uint8), 3, orders(2, 8)),
        (torch.rand(4, 2, 8, 4), 2, orders(4, 8)),
    ]


SHUFFLE_PATCHES = Exercise(
    name="shuffle_patches",
    notebook="06",
    title="Shuffle the patches of each image",
    reference=shuffle_patches,
    probes=images_to_shuffle,
    result="images",
    axes={"images": "B C H W", "order": "B N"},
    hints=[
        "Three steps: cut into patches, choose them in another order, put them together. For the first and the last "
        "you may use the package's `patchify` and `unpatchify`; both are exact inverses.",
        "After cutting you have (B, N, …). Image b wants `patches[b, order[b]]`. A loop over the batch is fine; "
        "without one, index with `torch.arange(B)[:, None]` and `order` together.",
        "`unpatchify` needs the image's height and width: `images.shape[2:]`.",
    ],
    mistakes=[
        Mistake(
            "reshape",
            shuffled(cut=cut_by_reshape, join=join_by_reshape),
            "You cut with a bare `reshape`. It takes numbers in the order in which they lie in memory: whole rows of "
            "one channel. Those pieces are strips, not squares. A patch gathers P numbers from each of P rows, so axes "
            "have to change places in between.",
        ),
        Mistake(
            "reshape_to_cut",
            shuffled(choose=lambda patches, order: read_as_channels_last(pick(patches, order)), cut=cut_by_reshape),
            "You put together as it should be, but you cut with a bare `reshape`, which takes the numbers as they "
            "lie in memory: your pieces are strips of rows, not squares. Cut by `patchify`, or split height and width "
            "and move the axes.",
        ),
        Mistake(
            "reshape_to_join",
            shuffled(choose=lambda patches, order: channels_last(pick(patches, order)), join=join_by_reshape),
            "You cut and choose as it should be. But a bare `reshape` does not put squares together: it lays each "
            "patch out along the image's rows. The way back has to move axes too, as `unpatchify` does.",
        ),
        Mistake(
            "reshape_per_channel",
            strips_per_channel,
            "You split H · W by a bare `reshape`. Channels stay apart, but each piece is P · P numbers as they lie in "
            "memory, along the rows: a strip, not a square. Height and width have to be split each for itself.",
        ),
        Mistake(
            "first_order",
            shuffled(choose=lambda patches, order: patches[:, order[0]]),
            "Every image got the first image's order. That is the milder experiment, the same permutation for all. "
            "`order` has one row an image.",
        ),
        Mistake(
            "inverse",
            shuffled(choose=lambda patches, order: pick(patches, order.argsort(dim=1))),
            "Your permutation is the inverse: patch n *went to* place order[n]. Asked is that place n *shows* patch "
            "order[n]. For a random shuffle both look alike, but then nobody can put the image back.",
        ),
        Mistake(
            "columns",
            shuffled(cut=cut_columns_first, join=join_columns_first),
            "You count the patches down the columns. `order`, the position embeddings and everything after them "
            "count row by row, like a page of text.",
        ),
        Mistake(
            "joined_in_columns",
            shuffled(join=join_columns_first),
            "You cut row by row and put together column by column. The order of the places has to be the same on both "
            "ways. On square images this is easy to overlook: the result has the right shape.",
        ),
        Mistake(
            "channels",
            shuffled(choose=lambda patches, order: read_as_channels_last(pick(patches, order))),
            "The patches are at their places, but inside each the numbers are mixed up: the channel was the first axis "
            "when you cut, and the last when you put together, as `unpatchify` has it.",
        ),
        Mistake(
            "channels_other_way",
            shuffled(choose=lambda patches, order: channels_last(pick(patches, order))),
            "The patches are at their places, but inside each the numbers are mixed up: `patchify` puts the channel "
            "*last* in a patch, and when you put together you take it for the first axis.",
        ),
        Mistake(
            "turned",
            shuffled(choose=lambda patches, order: pick(patches, order).transpose(3, 4)),
            "Each patch is mirrored along its diagonal: rows and columns *inside* a patch have changed places. Shuffle "
            "the patches, and leave their pixels alone.",
        ),
        Mistake(
            "first_image",
            shuffled(choose=lambda patches, order: patches.flatten(0, 1)[order]),
            "Every image is made of the *first* image's patches. Batch and patches were put into one axis, and there "
            "the numbers 0 … N - 1 are the first image's.",
        ),
        Mistake(
            "batch_indexed",
            lambda images, patch_size, order: shuffled(choose=lambda patches, order: patches[order])(
                images, patch_size, order
            ),
            "`order` alone as an index chooses along the *first* axis, the batch: it asks for images, not for patches. "
            "Say which image as well: `order[b]` for image b.",
        ),
        Mistake(
            "last_order",
            shuffled(choose=lambda patches, order: patches[:, order[-1]]),
            "Every image got the last image's order: in your loop each turn replaces the whole result. Image b wants "
            "row b of `order`, and only its own patches.",
        ),
        Mistake(
            "per_channel",
            per_channel,
            "The channels do not move together: red, green and blue of one patch end up at different places. One "
            "patch is all its channels.",
        ),
        Mistake(
            "unchanged",
            lambda images, patch_size, order: images.clone(),
            "Nothing has moved: `order` is not used, or what you chose with it is not what you put together.",
        ),
    ],
    variants=[by_loops, by_unfold],
    solved="Cut, choose, join: the image is now a sequence, and you can deal it out anew.",
)

EXERCISES = [SHUFFLE_PATCHES]
