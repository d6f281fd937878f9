"""Notebook 17: the deletion test's step, covering the patches that a map calls important."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def cover_patches(image: Tensor, heat: Tensor, k: int, fill: float) -> Tensor:
    """The image with the k patches of the highest heat filled: (C, H, W), (rows, columns) -> (C, H, W)."""
    return covering()(image, heat, k, fill)


def highest(heat: Tensor, k: int) -> Tensor:
    """Which patches: bool (rows, columns)."""
    chosen = torch.zeros(heat.numel(), dtype=torch.bool)
    chosen[heat.flatten().topk(k).indices] = True
    return chosen.view_as(heat)


def enlarged(chosen: Tensor, image: Tensor) -> Tensor:
    """Which pixels: bool (H, W)."""
    rows, columns = chosen.shape
    tall, wide = image.shape[1] // rows, image.shape[2] // columns
    return chosen.repeat_interleave(tall, dim=0).repeat_interleave(wide, dim=1)


def filled(image: Tensor, pixels: Tensor, fill: float) -> Tensor:
    return torch.where(pixels, fill, image)


def covering(choose: Callable = highest, enlarge: Callable = enlarged, put: Callable = filled) -> Callable:
    """`cover_patches` that chooses, enlarges or fills in another way."""
    return lambda image, heat, k, fill: put(image, enlarge(choose(heat, k), image), fill)


def by_order(order: Callable) -> Callable:
    """Patches chosen by their numbers, from the sorted heat."""

    def choose(heat: Tensor, k: int) -> Tensor:
        chosen = torch.zeros(heat.numel(), dtype=torch.bool)
        chosen[order(heat.flatten().argsort(), k)] = True
        return chosen.view_as(heat)

    return choose


def scrambled(chosen: Tensor, image: Tensor) -> Tensor:
    """Numbers read with the height where the width belongs."""
    rows, columns = chosen.shape
    wrong = torch.zeros_like(chosen)
    for n in chosen.flatten().nonzero()[:, 0].tolist():
        wrong[n // rows % rows, n % rows % columns] = True
    return enlarged(wrong, image)


def single_pixels(chosen: Tensor, image: Tensor) -> Tensor:
    pixels = torch.zeros(image[0].numel(), dtype=torch.bool)
    pixels[: chosen.numel()] = chosen.flatten()
    return pixels.view_as(image[0])


def corners(chosen: Tensor, image: Tensor) -> Tensor:
    rows, columns = chosen.shape
    pixels = torch.zeros_like(image[0], dtype=torch.bool)
    pixels[:: image.shape[1] // rows, :: image.shape[2] // columns] = chosen
    return pixels


def patch_as_pixel(chosen: Tensor, image: Tensor) -> Tensor:
    pixels = torch.zeros_like(image[0], dtype=torch.bool)
    pixels[: chosen.shape[0], : chosen.shape[1]] = chosen
    return pixels


def square(chosen: Tensor, image: Tensor) -> Tensor:
    side = image.shape[1] // chosen.shape[0]
    pixels = torch.zeros_like(image[0], dtype=torch.bool)
    for row, column in chosen.nonzero().tolist():
        pixels[row * side : (row + 1) * side, column * side : (column + 1) * side] = True
    return pixels


def exchanged(chosen: Tensor, image: Tensor) -> Tensor:
    pixels = torch.zeros_like(image[0], dtype=torch.bool)
    tall, wide = image.shape[1] // chosen.shape[0], image.shape[2] // chosen.shape[1]
    for row, column in chosen.nonzero().tolist():
        pixels[column * tall : (column + 1) * tall, row * wide : (row + 1) * wide] = True
    return pixels


def one_pixel_short(chosen: Tensor, image: Tensor) -> Tensor:
    pixels = enlarged(chosen, image)
    pixels[image.shape[1] // chosen.shape[0] - 1 :: image.shape[1] // chosen.shape[0]] = False
    pixels[:, image.shape[2] // chosen.shape[1] - 1 :: image.shape[2] // chosen.shape[1]] = False
    return pixels


def one_channel(image: Tensor, pixels: Tensor, fill: float) -> Tensor:
    covered = image.clone()
    covered[0, pixels] = fill
    return covered


def covered_by_loop(image: Tensor, heat: Tensor, k: int, fill: float) -> Tensor:
    covered, left = image.clone(), heat.clone()
    tall, wide = image.shape[1] // heat.shape[0], image.shape[2] // heat.shape[1]
    for _ in range(k):
        row, column = divmod(left.argmax().item(), heat.shape[1])
        left[row, column] = float("-inf")
        covered[:, row * tall : (row + 1) * tall, column * wide : (column + 1) * wide] = fill
    return covered


def covered_by_threshold(image: Tensor, heat: Tensor, k: int, fill: float) -> Tensor:
    chosen = torch.zeros_like(heat, dtype=torch.bool) if k == 0 else heat >= heat.flatten().topk(k).values[-1]
    mask = torch.nn.functional.interpolate(chosen[None, None].float(), image.shape[1:], mode="nearest")[0]
    return image * (1 - mask) + fill * mask


COVER_PATCHES = Exercise(
    name="cover_patches",
    notebook="17",
    title="Cover the patches that a map calls important",
    reference=cover_patches,
    probes=lambda: [
        (torch.randn(1, 4, 6), torch.randn(2, 3), 2, 0.5),
        (torch.randn(3, 6, 8), torch.randn(3, 2), 2, -0.25),
        (torch.randn(2, 9, 8), torch.randn(3, 4), 3, 0.75),
        (torch.randn(3, 4, 8), torch.randn(2, 4), 0, 0.5),
    ],
    axes={"image": "C H W", "heat": "rows columns", "result": "C H W"},
    hints=[
        "`heat.flatten().topk(k).indices` are the numbers of the patches. Patch n is in row n // columns and column "
        "n % columns.",
        "A patch is H // rows pixels high and W // columns wide. Either fill slices of a *clone* in a loop, or make a "
        "mask of patches and stretch it with `repeat_interleave` in both directions.",
        "All channels are covered. And with k = 0 nothing is.",
    ],
    mistakes=[
        Mistake(
            "lowest",
            covering(choose=by_order(lambda order, k: order[:k])),
            "You covered the k patches with the *lowest* heat: `argsort` begins with the smallest. The test would then "
            "praise a map for being wrong.",
        ),
        Mistake(
            "minus_zero",
            covering(choose=by_order(lambda order, k: order[-k:])),
            "Right but for k = 0: `order[-0:]` is everything, so the whole picture is covered. The curve would begin "
            "at the wrong end.",
        ),
        Mistake(
            "kept",
            covering(choose=lambda heat, k: ~highest(heat, k)),
            "You covered everything *but* the k patches. That is another test (insertion); here the k patches go.",
        ),
        Mistake(
            "rows_for_columns",
            covering(enlarge=scrambled),
            "You divided the patch's number by the number of rows. A row holds `columns` patches: n // columns and "
            "n % columns. On a square grid nobody would notice.",
        ),
        Mistake(
            "single_pixels",
            covering(enlarge=single_pixels),
            "You took the numbers of patches for numbers of pixels: only k pixels at the top of the picture are "
            "covered.",
        ),
        Mistake(
            "patch_as_pixel",
            covering(enlarge=patch_as_pixel),
            "You filled the pixel at (row, column) of the patch's place in the *grid*. A patch of row 2 begins at "
            "pixel 2 · H // rows, and it has more than one pixel.",
        ),
        Mistake(
            "square",
            covering(enlarge=square),
            "Your patches are square, with the height for the width. Here they need not be: H // rows pixels high, "
            "W // columns wide.",
        ),
        Mistake(
            "corners",
            covering(enlarge=corners),
            "You covered one pixel of each patch, its top left corner. A patch has (H // rows) · (W // columns) of "
            "them.",
        ),
        Mistake(
            "one_channel",
            covering(put=one_channel),
            "Only the first channel is covered. Green and blue still show what was there.",
        ),
        Mistake(
            "with_zero",
            covering(put=lambda image, pixels, fill: image * ~pixels),
            "You covered with 0 and not with `fill`. What one covers with decides much: the caller wants to choose.",
        ),
        Mistake(
            "added",
            covering(put=lambda image, pixels, fill: image + fill * pixels),
            "You added `fill` to what was there, so it still shows through. Replace it.",
        ),
        Mistake(
            "in_each_row",
            covering(choose=lambda heat, k: torch.zeros_like(heat).scatter(1, heat.topk(k, 1).indices, 1).bool()),
            "You took the k highest of *each row*: `topk` works along the last axis. Flatten the map first.",
        ),
        Mistake(
            "one_too_few",
            covering(choose=lambda heat, k: highest(heat, max(k - 1, 0))),
            "One patch too few is covered. A threshold at the k-th value with `>` leaves that patch itself out.",
        ),
        Mistake(
            "same_again",
            covering(choose=lambda heat, k: highest(heat, min(k, 1))),
            "Only the very first patch is covered, again and again. Once covered, a patch has to leave the race.",
        ),
        Mistake(
            "by_size",
            covering(choose=lambda heat, k: highest(heat.abs(), k)),
            "You chose by the size of the heat, sign aside. A patch that speaks strongly *against* the class is not "
            "important for it.",
        ),
        Mistake(
            "exchanged",
            covering(enlarge=exchanged),
            "Row and column are exchanged where you cut the slices: the row says how far *down* a patch lies, in "
            "axis 1 of (C, H, W), the column how far to the right, in axis 2.",
        ),
        Mistake(
            "one_pixel_short",
            covering(enlarge=one_pixel_short),
            "Your patches lack their last row and column of pixels. A slice ends *before* its second number, so "
            "nothing is to be taken off.",
        ),
        Mistake(
            "tiled",
            covering(enlarge=lambda c, image: c.repeat(image.shape[1] // c.shape[0], image.shape[2] // c.shape[1])),
            "`repeat` lays the whole grid side by side, again and again. Each *entry* has to be as often as its "
            "patch has pixels: `repeat_interleave`, in both directions.",
        ),
    ],
    variants=[covered_by_loop, covered_by_threshold],
    solved="Now any map can be put to the test.",
)

EXERCISES = [COVER_PATCHES]
