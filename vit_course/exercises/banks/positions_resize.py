"""Notebook 08, last part: positions for another grid of patches."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Complaint, Exercise, Mistake, Tolerance

CLASS_ROW = "The grid has rows × columns places, and `positions` one row more: the class token's. Take it off first."


def stretch_positions(positions: Tensor, old_grid: tuple[int, int], new_grid: tuple[int, int]) -> Tensor:
    """Positions for another grid, the class token's kept: (1, 1 + N, D) -> (1, 1 + new N, D)."""
    return stretched()(positions, old_grid, new_grid)


def as_image(patches: Tensor, grid: tuple[int, int]) -> Tensor:
    return patches.reshape(1, *grid, -1).permute(0, 3, 1, 2)  # (1, D, rows, columns)


def as_sequence(image: Tensor) -> Tensor:
    return image.flatten(2).transpose(1, 2)  # (1, N, D)


def bicubic(image: Tensor, size: tuple[int, int], **options: object) -> Tensor:
    return F.interpolate(image, size=tuple(size), **{"mode": "bicubic", "antialias": True, **options})


def stretched(
    *,
    into: Callable = as_image,
    resize: Callable = bicubic,
    back: Callable = as_sequence,
    join: Callable[[Tensor, Tensor], Tensor] = lambda cls, patches: torch.cat([cls, patches], dim=1),
    cls: Callable[[Tensor], Tensor] = lambda positions: positions[:, :1],
) -> Callable:
    """`stretch_positions` with one thing done otherwise."""

    def answer(positions, old_grid, new_grid):
        image = resize(into(positions[:, 1:], old_grid), new_grid)
        return join(cls(positions), back(image))

    return answer


def along_the_sequence(positions: Tensor, old_grid: tuple, new_grid: tuple) -> Tensor:
    """Wrong: as a line of 1 + N points, with the class token as its first."""
    count = 1 + new_grid[0] * new_grid[1]
    return F.interpolate(positions.transpose(1, 2), size=count, mode="linear").transpose(1, 2)


def patches_along_the_sequence(positions: Tensor, old_grid: tuple, new_grid: tuple) -> Tensor:
    """Wrong: the class token kept, the patches as a line."""
    count = new_grid[0] * new_grid[1]
    line = F.interpolate(positions[:, 1:].transpose(1, 2), size=count, mode="linear").transpose(1, 2)
    return torch.cat([positions[:, :1], line], dim=1)


def cut_or_padded(positions: Tensor, old_grid: tuple, new_grid: tuple) -> Tensor:
    """Wrong: the first rows as they are, and zeros where there are too few."""
    count = 1 + new_grid[0] * new_grid[1]
    return F.pad(positions[:, :count], (0, 0, 0, max(0, count - positions.shape[1])))


def with_class_row(positions: Tensor, old_grid: tuple, new_grid: tuple) -> Tensor:
    """Wrong: an image of rows × columns places is to be made of one row more."""
    return as_image(positions, old_grid)


def call(answer: Callable, positions: Tensor, old_grid: tuple, new_grid: tuple) -> Tensor:
    """Calls it, and says torch's error about 1 + N rows that fit no grid of N in words."""
    try:
        return answer(positions, old_grid, new_grid)
    except RuntimeError as error:
        if f"invalid for input of size {positions.numel()}" in str(error) or "multiply up to the size" in str(error):
            raise Complaint(CLASS_ROW) from None
        raise


def stretch_by_channel(positions: Tensor, old_grid: tuple, new_grid: tuple) -> Tensor:
    channels = []
    for channel in positions[0, 1:].unbind(dim=1):
        image = channel.reshape(1, 1, *old_grid)
        channels.append(F.interpolate(image, new_grid, mode="bicubic", antialias=True).flatten())
    return torch.cat([positions[:, :1], torch.stack(channels, dim=1)[None]], dim=1)


def stretch_by_unflatten(positions: Tensor, old_grid: tuple, new_grid: tuple) -> Tensor:
    cls, patches = positions.split([1, positions.shape[1] - 1], dim=1)
    image = patches.mT.unflatten(2, old_grid)
    image = F.interpolate(image, new_grid, mode="bicubic", antialias=True, align_corners=False)
    return torch.hstack([cls, image.flatten(2).mT])


def grids() -> list[tuple]:
    """(positions, old grid, new grid): larger, smaller, non-square, one side only."""
    cases = [((2, 3), (3, 4), 2), ((4, 3), (2, 6), 5), ((5, 4), (3, 2), 3), ((3, 3), (3, 3), 4)]
    return [(torch.randn(1, 1 + h * w, D), (h, w), new) for (h, w), new, D in cases]


STRETCH_POSITIONS = Exercise(
    name="stretch_positions",
    notebook="08",
    title="Positions for another grid of patches",
    reference=stretch_positions,
    probes=grids,
    call=call,
    axes={"positions": "1 1+N D", "result": "1 1+N D"},
    tolerance=Tolerance(rtol=1e-3, atol=1e-4),
    hints=[
        "Take the class token's row off, and put it back, untouched, at the end.",
        "`F.interpolate` wants an image, (1, channels, rows, columns). The sequence becomes (1, rows, columns, D) by a "
        "`reshape`; then the axes have to move, and for that `reshape` is the wrong tool.",
        'Ask for `mode="bicubic", antialias=True`. And on the way back: the axes first, or last?',
    ],
    mistakes=[
        Mistake(
            "class_token_too",
            along_the_sequence,
            "The class token was interpolated along, as if it were the neighbour of the top left patch; and the grid "
            "was treated as a line. Take its row off first, then make an image of the rest.",
        ),
        Mistake(
            "as_a_line",
            patches_along_the_sequence,
            "The class token is safe, but you stretched the patches as a line. The end of one row and the start of the "
            "next are no neighbours in the picture, and your new rows have other lengths than the old ones: everything "
            "slants. Interpolate over rows and columns.",
        ),
        Mistake("class_row_left_on", with_class_row, CLASS_ROW),
        Mistake(
            "cut",
            cut_or_padded,
            "You cut the list off, or filled it up with zeros. With another number of columns, row 1 begins elsewhere: "
            "from there on each patch has the position of another place.",
        ),
        Mistake(
            "reshaped",
            stretched(into=lambda patches, grid: patches.reshape(1, -1, *grid)),
            "You made (1, D, rows, columns) by `reshape` alone. It keeps the order of the numbers, and the "
            "D numbers of one place stand together: so the first one's are spread over the picture as if they were "
            "pixels. Nothing crashes. Reshape to (1, rows, columns, D), then permute.",
        ),
        Mistake(
            "not_back",
            stretched(back=lambda image: image.reshape(1, -1, image.shape[1])),
            "On the way back you reshaped without moving the channels to the end: each new position is a mixture "
            "of other places' numbers. Permute (or flatten and transpose) first.",
        ),
        Mistake(
            "both_reshaped",
            stretched(
                into=lambda patches, grid: patches.reshape(1, -1, *grid),
                back=lambda image: image.reshape(1, -1, image.shape[1]),
            ),
            "There and back by `reshape` alone. Where the grid stays the same the two undo each other, and it seems "
            "to work; at any other size the numbers of different places are mixed. The channels must be moved by "
            "`permute`, both times.",
        ),
        Mistake(
            "rows_and_columns",
            stretched(into=lambda patches, grid: as_image(patches, (grid[1], grid[0]))),
            "Rows and columns of the old grid are swapped. On a square grid nobody would notice.",
        ),
        Mistake(
            "transposed",
            stretched(back=lambda image: image.permute(0, 3, 2, 1).flatten(1, 2)),
            "You read the new grid down its columns; the patches go along the rows.",
        ),
        Mistake(
            "new_grid_swapped",
            stretched(resize=lambda image, size: bicubic(image, (size[1], size[0]))),
            "Rows and columns of the new grid are swapped. The number of tokens is right, so nothing crashes; their "
            "places are wrong. `F.interpolate` takes (rows, columns).",
        ),
        Mistake(
            "dropped",
            stretched(join=lambda cls, patches: patches),
            "The class token's position is gone: the sequence is one too short. Keep its row and put it back in front.",
        ),
        Mistake(
            "class_token_last",
            stretched(join=lambda cls, patches: torch.cat([patches, cls], dim=1)),
            "The class token's position came back at the end. It belongs in row 0, where it was.",
        ),
        Mistake(
            "class_token_zero",
            stretched(cls=lambda positions: torch.zeros_like(positions[:, :1])),
            "The class token's position became zeros. It was learned like the others: keep it.",
        ),
        Mistake(
            "bilinear",
            stretched(resize=lambda image, size: bicubic(image, size, mode="bilinear")),
            "Your places are right, but the interpolation is bilinear. Here bicubic is asked for, as timm does it.",
        ),
        Mistake(
            "bilinear_and_not_antialiased",
            stretched(resize=lambda image, size: bicubic(image, size, mode="bilinear", antialias=False)),
            "Your places are right, but the interpolation is bilinear, and not antialiased. Here bicubic with "
            "`antialias=True` is asked for, as timm does it.",
        ),
        Mistake(
            "nearest",
            stretched(resize=lambda image, size: F.interpolate(image, tuple(size))),
            "You took the nearest old position, which is what `F.interpolate` does unless told: several new places get "
            "the same one, and cannot be told apart. Say which mode.",
        ),
        Mistake(
            "not_antialiased",
            stretched(resize=lambda image, size: bicubic(image, size, antialias=False)),
            "The mode is right; `antialias=True` is missing. Without it a smaller grid skips places instead of "
            "averaging them, and even a larger one gets slightly other numbers.",
        ),
        Mistake(
            "corners",
            stretched(resize=lambda image, size: bicubic(image, size, antialias=False, align_corners=True)),
            "You aligned the corners: the outermost centres of both grids fall together. Patches are areas, so it is "
            "their outer edges that do. Leave `align_corners` out, and antialias.",
        ),
    ],
    variants=[stretch_by_channel, stretch_by_unflatten],
    solved="Your ViT takes images of another size now; the package's version allows more tokens before the patches.",
)

EXERCISES = [STRETCH_POSITIONS]
