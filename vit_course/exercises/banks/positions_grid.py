"""Notebook 08, third part: positions on a grid."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def grid_positions(row_codes: Tensor, column_codes: Tensor) -> Tensor:
    """The row's code, then the column's, in reading order: (rows, D/2), (columns, D/2) -> (rows · columns, D)."""
    return laid()(row_codes, column_codes)


def laid(
    *,
    rows: Callable[[Tensor, int], Tensor] = lambda codes, n: codes.repeat_interleave(n, dim=0),
    columns: Callable[[Tensor, int], Tensor] = lambda codes, n: codes.repeat(n, 1),
    join: Callable[[Tensor, Tensor], Tensor] = lambda r, c: torch.cat([r, c], dim=1),
) -> Callable:
    """`grid_positions` with one thing done otherwise."""

    def answer(row_codes, column_codes):
        R, C = len(row_codes), len(column_codes)
        return join(rows(row_codes, C), columns(column_codes, R))

    return answer


def codes() -> list[tuple]:
    """Grids that are not square, except for one."""
    sizes = [(2, 3, 1), (4, 3, 2), (3, 3, 4)]
    return [(torch.randn(R, d), torch.randn(C, d)) for R, C, d in sizes]


def grid_by_loop(row_codes: Tensor, column_codes: Tensor) -> Tensor:
    return torch.stack([torch.cat([row, column]) for row in row_codes for column in column_codes])


def grid_by_expand(row_codes: Tensor, column_codes: Tensor) -> Tensor:
    R, C = len(row_codes), len(column_codes)
    y, x = torch.meshgrid(torch.arange(R), torch.arange(C), indexing="ij")
    return torch.cat([row_codes[y], column_codes[x]], dim=-1).flatten(0, 1)


def grid_by_division(row_codes: Tensor, column_codes: Tensor) -> Tensor:
    place = torch.arange(len(row_codes) * len(column_codes))
    C = len(column_codes)
    return torch.cat([row_codes[place // C], column_codes[place % C]], dim=1)


def spread(row_codes: Tensor, column_codes: Tensor) -> tuple[Tensor, Tensor]:
    R, C = len(row_codes), len(column_codes)
    return row_codes[:, None].expand(R, C, -1), column_codes[None].expand(R, C, -1)


GRID_POSITIONS = Exercise(
    name="grid_positions",
    notebook="08",
    title="Positions on a grid",
    reference=grid_positions,
    probes=codes,
    axes={"row_codes": "rows D/2", "column_codes": "columns D/2", "result": "rows·columns D"},
    hints=[
        "Patch n stands in row n // C and column n % C. Which code of the rows, which of the columns does it get?",
        "In reading order the row changes slowly: each row's code comes C times in a row. The columns' codes come as a "
        "whole, R times. `repeat_interleave` does one, `repeat` the other.",
        "Join the two halves along the last axis, the row's first.",
    ],
    mistakes=[
        Mistake(
            "columns_first",
            laid(join=lambda r, c: torch.cat([c, r], dim=1)),
            "The column's half comes first. A network learns as well from it, and some programs do it so; here the row "
            "comes first, as everywhere in shapes: height, then width.",
        ),
        Mistake(
            "down_the_columns",
            laid(rows=lambda codes, n: codes.repeat(n, 1), columns=lambda codes, n: codes.repeat_interleave(n, dim=0)),
            "Your patches go down the columns; `patchify` goes along the rows. Each patch would get the position of "
            "another place, its mirror image at the diagonal on a square grid.",
        ),
        Mistake(
            "both_repeated",
            laid(rows=lambda codes, n: codes.repeat(n, 1)),
            "Rows and columns both change with every patch. In reading order the row stays the same for C patches.",
        ),
        Mistake(
            "both_interleaved",
            laid(columns=lambda codes, n: codes.repeat_interleave(n, dim=0)),
            "Rows and columns both change slowly, so neighbours in a row get the same position. In reading order the "
            "column changes with every patch.",
        ),
        Mistake(
            "added",
            laid(join=torch.add),
            "You added the two codes. Then a position is half as wide as it should be, and row 2 of column 5 gets the "
            "same sum as row 5 of column 2 where the codes are the same. Put them side by side.",
        ),
        Mistake(
            "alternating",
            laid(join=lambda r, c: torch.stack([r, c], dim=2).flatten(1)),
            "Row and column numbers alternate. Every number is there, in another order: first the whole half for the "
            "row, then the one for the column.",
        ),
        Mistake(
            "behind_each_other",
            lambda r, c: torch.cat([r, c], dim=0),
            "You put the codes behind each other: R + C positions. There is one for each patch, R · C.",
        ),
        Mistake(
            "not_flat",
            lambda r, c: torch.cat(spread(r, c), dim=2),
            "The numbers are right, but they are still a grid. The encoder takes a sequence: flatten rows and columns "
            "into one axis.",
        ),
        Mistake(
            "rows_alone",
            laid(join=lambda r, c: torch.cat([r, r], dim=1)),
            "Both halves hold the row, so all patches of a row look the same. The second half is the column's.",
        ),
    ],
    variants=[grid_by_loop, grid_by_expand, grid_by_division],
    solved="Two patches in one row now share half of their numbers, and so do two in one column.",
)

EXERCISES = [GRID_POSITIONS]
