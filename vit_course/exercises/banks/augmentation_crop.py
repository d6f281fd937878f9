"""Notebook 15: a random crop for each image of a batch."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.banks.augmentation_windows import batches_to_crop, crop_properties
from vit_course.exercises.core import Exercise, Mistake


def crop_each(images: Tensor, padding: int) -> Tensor:
    """A random window of each image of (B, C, H, W), padded with zeros: as large as the image, its own for each."""
    return cropped(images, padding, *offsets(images, padding))


def offsets(images: Tensor, padding: int) -> tuple[Tensor, Tensor]:
    """Where the windows begin in the padded images, (B,) each: 0 … 2 · padding."""
    return tuple(torch.randint(2 * padding + 1, (2, len(images))))


def cropped(images: Tensor, padding: int, down: Tensor, right: Tensor, mode: str = "constant") -> Tensor:
    """The windows that begin at these rows and columns of the padded images."""
    H, W = images.shape[2:]
    padded = F.pad(images, (padding,) * 4, mode=mode)
    windows = zip(padded, down.tolist(), right.tolist(), strict=True)
    return torch.stack([image[:, d : d + H, r : r + W] for image, d, r in windows])


def crop_where(draw: Callable, mode: str = "constant") -> Callable:
    """A crop whose windows begin where `draw(images, padding)` says."""
    return lambda images, padding: cropped(images, padding, *draw(images, padding), mode=mode)


def crop_by_index(images: Tensor, padding: int) -> Tensor:
    B, _, H, W = images.shape
    down, right = offsets(images, padding)
    rows = (down[:, None] + torch.arange(H))[:, :, None]  # (B, H, 1)
    cols = (right[:, None] + torch.arange(W))[:, None, :]  # (B, 1, W)
    padded = F.pad(images, (padding,) * 4).movedim(1, -1)
    return padded[torch.arange(B)[:, None, None], rows, cols].movedim(-1, 1)


def crop_into_black(images: Tensor, padding: int) -> Tensor:
    result = torch.zeros_like(images)
    H, W = images.shape[2:]
    for i in range(len(images)):
        d, r = (int(torch.randint(-padding, padding + 1, (1,))) for _ in range(2))
        rows, cols = slice(max(0, d), min(H, H + d)), slice(max(0, r), min(W, W + r))
        moved = images[i, :, max(0, -d) : min(H, H - d), max(0, -r) : min(W, W - r)]
        result[i, :, rows, cols] = moved
    return result


def one_window(images: Tensor, padding: int) -> Tensor:
    down, right = torch.randint(2 * padding + 1, (2, 1)).expand(2, len(images))
    return cropped(images, padding, down, right)


def sides_swapped(images: Tensor, padding: int) -> Tensor:
    H, W = images.shape[2:]
    windows = zip(F.pad(images, (padding,) * 4), *(o.tolist() for o in offsets(images, padding)), strict=True)
    return torch.stack([image[:, d : d + W, r : r + H] for image, d, r in windows])


def each_colour(images: Tensor, padding: int) -> Tensor:
    return torch.cat([crop_each(channel, padding) for channel in images.split(1, dim=1)], dim=1)


def rolled(images: Tensor, padding: int) -> Tensor:
    shifts = torch.randint(-padding, padding + 1, (len(images), 2)).tolist()
    return torch.stack([image.roll(shift, dims=(1, 2)) for image, shift in zip(images, shifts, strict=True)])


def in_place(images: Tensor, padding: int) -> Tensor:
    return images.copy_(crop_each(images, padding))


def reseeded(images: Tensor, padding: int) -> Tensor:
    torch.manual_seed(0)
    return crop_each(images, padding)


CROP_EACH = Exercise(
    name="crop_each",
    notebook="15",
    title="A random crop of its own for each image of a batch",
    reference=crop_each,
    probes=batches_to_crop,
    call=crop_properties,
    axes={"images": "B C H W"},
    hints=[
        "Pad the whole batch once: `F.pad(images, (padding,) * 4)` puts zeros on all four sides. Then every image "
        "needs the row and the column at which its window begins.",
        "In the padded image a window may begin at row 0, 1, … 2 · padding: that many and one more. `torch.randint(n, "
        "(B,))` draws from 0 to n - 1.",
        "A loop over the images is fine: `padded[i, :, d : d + H, r : r + W]`, and `torch.stack` at the end.",
    ],
    mistakes=[
        Mistake(
            "one_window",
            one_window,
            "All images of a batch get the same window. It is what torchvision's transforms do with a batch tensor: "
            "no error, and an epoch sees as many windows as it has batches, not as it has images. Draw B rows and B "
            "columns.",
        ),
        Mistake(
            "last_missing",
            crop_where(lambda images, padding: torch.randint(2 * padding, (2, len(images)))),
            "One shift never comes: `torch.randint` leaves out its upper end. From 0 to 2 · padding there are 2 · "
            "padding + 1 places, so your images move a little further to one side than to the other, on average.",
        ),
        Mistake(
            "one_way",
            crop_where(lambda images, padding: torch.randint(padding + 1, (2, len(images)))),
            "Your windows begin at 0 … padding, so the picture only ever moves down and to the right. The untouched "
            "image begins at row `padding` of the padded one: windows lie on both sides of that.",
        ),
        Mistake(
            "too_far",
            lambda images, padding: cropped(images, 2 * padding, *torch.randint(4 * padding + 1, (2, len(images)))),
            "The shifts reach twice as far as they should: is the padding counted twice? With padding p an image may "
            "move by p pixels each way; beyond that, more and more of the object is lost.",
        ),
        Mistake(
            "diagonal",
            crop_where(lambda images, padding: torch.randint(2 * padding + 1, (1, len(images))).expand(2, -1)),
            "One number serves for row and column: images move along the diagonal and nowhere else. Draw two for each "
            "image.",
        ),
        Mistake(
            "rows_only",
            crop_where(lambda images, padding: (offsets(images, padding)[0], torch.full((len(images),), padding))),
            "The columns never move. Draw a second number for each image, for where its window begins from the left.",
        ),
        Mistake(
            "never",
            lambda images, padding: images.clone(),
            "Nothing is ever shifted: training sees the same images again and again. (`torch.randint(0, 1, …)` gives "
            "only 0; a window that always begins at `padding` is the image itself.)",
        ),
        Mistake(
            "sides_swapped",
            sides_swapped,
            "Your windows differ in size, because some reach beyond the padded image, and a slice stops there without "
            "a word. Are height and width swapped (rows go with H, columns with W)? Or is the padding missing on two "
            "sides? (Square images would hide the first.) Or a `:` in front, so that the slice cuts the channels? Or "
            "does a window begin below 0, or beyond 2 · padding?",
        ),
        Mistake(
            "not_cut",
            lambda images, padding: F.pad(images, (padding,) * 4),
            "You padded the images and left them so. A crop is a window of the *old* size somewhere in the padded "
            "image.",
        ),
        Mistake(
            "each_colour",
            each_colour,
            "Each colour has its own window, so red is shifted where green is not: coloured ghosts. One window for the "
            "three of them.",
        ),
        Mistake(
            "rolled",
            rolled,
            "What is pushed out on one side comes in on the other (`roll` does that). Half a star on the left and "
            "half on the right is no star. Black comes in, so pad first.",
        ),
        Mistake(
            "in_place",
            in_place,
            "The windows are right, but they are written into the images that you were given. These are the data: the "
            "next epoch would shift what is shifted already, until little but border is left. Make new images.",
        ),
        Mistake(
            "reflected",
            crop_where(offsets, mode="reflect"),
            "The windows are right, but your border is a mirror image. The package does this by default, since hard "
            "black edges are something that test images never have; here, zeros were asked for.",
        ),
        Mistake(
            "reseeded",
            reseeded,
            "Every call gives the same windows: is the seed set inside? Then each epoch sees the same crops, and "
            "nothing is gained. Leave the seed to whoever calls.",
        ),
    ],
    variants=[crop_by_index, crop_into_black],
    solved="The package's RandomCrop does it without a loop, and mirrors the border.",
)

EXERCISES = [CROP_EACH]
