"""Notebook 06, second part: images that are shifted."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def shift_image(images: Tensor, down: int, right: int, wrap: bool) -> Tensor:
    """What is in the images moves `down` rows and `right` columns (negative: up, left)."""
    moved = images.roll((down, right), dims=(2, 3))
    return moved if wrap else blanked(moved, down, right)


def blanked(moved: Tensor, down: int, right: int, value: float = 0) -> Tensor:
    """With `value` wherever `roll` brought in the opposite edge."""
    moved = moved.clone()
    H, W = moved.shape[2:]
    moved[:, :, : max(down, 0)] = value
    moved[:, :, H + min(down, 0) :] = value
    moved[:, :, :, : max(right, 0)] = value
    moved[:, :, :, W + min(right, 0) :] = value
    return moved


def shifted_by_padding(images: Tensor, down: int, right: int, wrap: bool) -> Tensor:
    mode = "circular" if wrap else "constant"
    d, r = abs(down), abs(right)
    padded = F.pad(images.float(), (r, r, d, d), mode=mode)
    H, W = images.shape[2:]
    return padded[:, :, d - down : d - down + H, r - right : r - right + W].to(images.dtype)


def shifted_by_index(images: Tensor, down: int, right: int, wrap: bool) -> Tensor:
    H, W = images.shape[2:]
    rows, columns = torch.arange(H) - down, torch.arange(W) - right
    result = images[:, :, rows % H][:, :, :, columns % W]
    inside = ((rows >= 0) & (rows < H))[:, None] & ((columns >= 0) & (columns < W))
    return result if wrap else torch.where(inside, result, torch.zeros_like(result))


def rolled(images: Tensor, by: tuple, dims: tuple, blank: tuple, wrap: bool) -> Tensor:
    """A roll, and 0 where another shift would need it."""
    moved = images.roll(by, dims)
    return moved if wrap else blanked(moved, *blank)


def blanked_from_the_left(images: Tensor, down: int, right: int, wrap: bool) -> Tensor:
    moved = images.roll((down, right), dims=(2, 3))
    if not wrap:
        moved[:, :, :down] = 0
        moved[:, :, :, :right] = 0
    return moved


def blanked_at_the_start(images: Tensor, down: int, right: int, wrap: bool) -> Tensor:
    moved = shift_image(images, down, right, True)
    return moved if wrap else blanked(moved, abs(down), abs(right))


def zero_blanks_all(images: Tensor, down: int, right: int, wrap: bool) -> Tensor:
    """`[:down]` for a positive number, else `[down:]`, which is everything for 0."""
    moved = shift_image(images, down, right, wrap)
    return moved if wrap or (down and right) else torch.zeros_like(moved)


def one_slice(images: Tensor, down: int, right: int, wrap: bool, minus: bool = False) -> Tensor:
    """Copies a slice, with ends counted for positive numbers alone, from 0 or (`minus`) from the end."""
    if wrap:
        return shift_image(images, down, right, True)
    (H, W), result = images.shape[2:], torch.zeros_like(images)
    bottom, end = (-down, -right) if minus else (H - down, W - right)
    result[:, :, down:, right:] = images[:, :, :bottom, :end]
    return result


def edge_repeated(images: Tensor, down: int, right: int, wrap: bool) -> Tensor:
    H, W = images.shape[2:]
    rows, columns = (torch.arange(H) - down).clamp(0, H - 1), (torch.arange(W) - right).clamp(0, W - 1)
    return shift_image(images, down, right, True) if wrap else images[:, :, rows][:, :, :, columns]


def images_to_shift() -> list[tuple]:
    return [
        (torch.arange(1.0, 13).reshape(1, 1, 3, 4), 1, 0, False),
        (torch.arange(1.0, 13).reshape(1, 1, 3, 4), 0, 1, True),
        (torch.randint(1, 256, (5, 3, 7, 6), dtype=torch.uint8), 2, -1, False),
        (torch.rand(4, 3, 5, 8) + 0.1, -1, 3, True),
        (torch.rand(4, 3, 6, 7) + 0.1, -2, 3, False),
    ]


SHIFT_IMAGE = Exercise(
    name="shift_image",
    notebook="06",
    title="Shift images, with and without wrapping",
    reference=shift_image,
    probes=images_to_shift,
    result="images",
    axes={"images": "B C H W"},
    hints=[
        "`images.roll((down, right), dims=(…, …))` does the wrapping kind. Which two of the four axes are height and "
        "width?",
        "Without wrapping, roll first, then put 0 where the opposite edge came in: the first `down` rows if down is "
        "positive, the last ones if it is negative. The same for columns.",
        "Mind zero: `x[:, :, -0:]` is everything. `H + down` is a safe way to say where the last rows begin.",
    ],
    mistakes=[
        Mistake(
            "other_way",
            lambda images, down, right, wrap: shift_image(images, -down, -right, wrap),
            "The content moves the wrong way, up for down and left for right. Row 0 is at the top, so what moves down "
            "gets a *larger* row number.",
        ),
        Mistake(
            "other_way_blanked",
            lambda images, down, right, wrap: rolled(images, (-down, -right), (2, 3), (down, right), wrap),
            "The content moves the wrong way: what moves down gets a *larger* row number, as row 0 is at the top. What "
            "you put 0 into are the right places, for a shift the right way.",
        ),
        Mistake(
            "other_way_wrapped",
            lambda images, down, right, wrap: shift_image(images, -down, -right, True),
            "Two things: the content moves the wrong way (row 0 is at the top, so down means larger row numbers), and "
            "`wrap` is not used.",
        ),
        Mistake(
            "axes",
            lambda images, down, right, wrap: shift_image(images, right, down, wrap),
            "`down` moved the columns and `right` the rows. The axes are (B, C, H, W): height comes before width.",
        ),
        Mistake(
            "axes_in_roll",
            lambda images, down, right, wrap: rolled(images, (right, down), (2, 3), (down, right), wrap),
            "Your roll takes `down` for the columns and `right` for the rows: in (B, C, H, W) height is axis 2, width "
            "axis 3. Where you put 0, they are the right way round.",
        ),
        Mistake(
            "always_wraps",
            lambda images, down, right, wrap: shift_image(images, down, right, True),
            "With wrap=False the opposite edge still comes in. The network would get the object's other half as an "
            "extra, and you would measure that as well. Put 0 there.",
        ),
        Mistake(
            "never_wraps",
            lambda images, down, right, wrap: shift_image(images, down, right, False),
            "With wrap=True, what leaves on one side should come in on the other. Yours is lost.",
        ),
        Mistake(
            "wrap_swapped",
            lambda images, down, right, wrap: shift_image(images, down, right, not wrap),
            "The two kinds are the wrong way round: you wrap for False, and blank for True.",
        ),
        Mistake(
            "channels_rolled",
            lambda images, down, right, wrap: images.roll((down, right), dims=(1, 2)),
            "You moved channels and rows: axis 1 is the colour. Red becomes green, and the picture does not move to "
            "the side. Count again: (B, C, H, W). And nothing becomes 0 for wrap=False.",
        ),
        Mistake(
            "channels_rolled_and_blanked",
            lambda images, down, right, wrap: rolled(images, (down, right), (1, 2), (down, right), wrap),
            "Your roll moves channels and rows, axes 1 and 2: red becomes green, and nothing moves to the side. In "
            "(B, C, H, W) height and width are the last two. What you put 0 into is right.",
        ),
        Mistake(
            "negative",
            blanked_from_the_left,
            "Right for positive shifts. For a negative one `[:down]` means *all but the last rows*, so nearly "
            "everything is blanked. What has to be 0 then are the last rows or columns.",
        ),
        Mistake(
            "negative_wraps",
            lambda images, down, right, wrap: rolled(
                images, (down, right), (2, 3), (max(down, 0), max(right, 0)), wrap
            ),
            "Right for positive shifts. For a negative one, up or left, nothing becomes 0: the opposite edge still "
            "comes in, in the last rows or columns.",
        ),
        Mistake(
            "negative_first_rows",
            blanked_at_the_start,
            "Right for positive shifts. For a negative one you put 0 into the first rows or columns, where the content "
            "has gone; the opposite edge came in at the other end.",
        ),
        Mistake(
            "minus_zero",
            zero_blanks_all,
            "Right unless a shift is 0: `[0:]`, or `[-0:]`, is everything, so the whole picture becomes 0. With a "
            "shift of 0, nothing does.",
        ),
        Mistake(
            "slices",
            one_slice,
            "Right for positive shifts. For a negative one, `[down:]` are the *last* rows and `[:H - down]` all of "
            "them: the two parts differ in size. Up and left need slices of their own.",
        ),
        Mistake(
            "slices_minus_zero",
            lambda images, down, right, wrap: one_slice(images, down, right, wrap, True),
            "`[:-down]` is empty if `down` is 0, since -0 is 0, and for a negative shift it counts from the wrong end. "
            "Say where the slice stops as H - down, and give negative shifts slices of their own.",
        ),
        Mistake(
            "rows_only_blanked",
            lambda images, down, right, wrap: rolled(images, (down, right), (2, 3), (down, 0), wrap),
            "The rows that came in are 0. The columns are not: what left on one side still comes in on the other.",
        ),
        Mistake(
            "edge_repeated",
            edge_repeated,
            "You repeat the picture's edge where nothing comes in. That draws stripes that are not in the data; asked "
            "is 0.",
        ),
        Mistake(
            "one_axis",
            lambda images, down, right, wrap: shift_image(images, down, 0, wrap),
            "Nothing moves sideways: `right` is not used.",
        ),
    ],
    variants=[shifted_by_padding, shifted_by_index],
    solved="With wrapping, nothing is lost, so any change of the answer is due to the place alone.",
)

EXERCISES = [SHIFT_IMAGE]
