"""Notebook 12, third part: one matrix into three."""

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def matrices() -> list[tuple]:
    """Fused weights whose parts are not square, and fused biases."""
    return [(torch.arange(18.0).reshape(6, 3),), (torch.arange(6.0),), (torch.randn(24, 9),), (torch.randn(12, 6),)]


def split_qkv(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The fused weight or bias as three."""
    return qkv.chunk(3)


def by_slices(qkv):
    third = len(qkv) // 3
    return qkv[:third], qkv[third : 2 * third], qkv[2 * third :]


def by_reshape(qkv):
    q, k, v = qkv.reshape(3, len(qkv) // 3, *qkv.shape[1:])
    return [q.clone(), k.clone(), v.clone()]


def by_columns(qkv):
    D = qkv.shape[-1]
    return qkv[:D], qkv[D : 2 * D], qkv[2 * D :]


def unpacked(qkv: Tensor, length: int) -> tuple:
    q, k, v = qkv.split(length)
    return q, k, v


SPLIT = Exercise(
    name="split_qkv",
    notebook="12",
    title="One layer becomes three",
    reference=split_qkv,
    probes=matrices,
    result=("query", "key", "value"),
    axes={"qkv": "3·h·d D", "query": "h·d D", "key": "h·d D", "value": "h·d D"},
    hints=[
        "It is the way back: what stood one above the other comes apart again, along the same axis.",
        "How many rows has each part? A third of them. That is not always the number of columns.",
    ],
    mistakes=[
        Mistake(
            "last_axis",
            lambda qkv: qkv.chunk(3, dim=-1),
            "You cut through the columns. Those are the inputs, which all three read in full. For a bias it makes no "
            "difference, so that part is right.",
        ),
        Mistake(
            "second_axis",
            lambda qkv: qkv.chunk(3, dim=1),
            "You cut through the columns, and a bias has none. The columns are the inputs, which all three read in "
            "full: cut through the rows.",
        ),
        Mistake(
            "pieces_of_three",
            lambda qkv: qkv.split(3),
            "Your pieces have three rows each: the number that `split` takes is how *long* a piece is, not how many "
            "there are. (`chunk` takes how many.)",
        ),
        Mistake(
            "pieces_of_three_unpacked",
            lambda qkv: unpacked(qkv, 3),
            "`split(3)` makes pieces of three rows each, and not three pieces: the number says how *long* a piece is. "
            "(`chunk` takes how many.)",
        ),
        Mistake(
            "every_third",
            lambda qkv: (qkv[0::3], qkv[1::3], qkv[2::3]),
            "You take every third row. The rows are not dealt out one by one: all queries come first, then all keys, "
            "then all values.",
        ),
        Mistake(
            "every_third_with_an_axis_more",
            lambda qkv: qkv.reshape(len(qkv) // 3, 3, -1).unbind(1),
            "You take every third row: `reshape` with the 3 in second place puts neighbouring rows into different "
            "parts. All queries come first, then all keys, then all values. (And a bias comes out with an axis more.)",
        ),
        Mistake(
            "columns_as_rows",
            by_columns,
            "You cut after as many rows as there are columns. In most ViTs a third of the rows is just that number, "
            "but a bias has no columns, and heads may be wider or narrower than D / h. Count the rows.",
        ),
        Mistake(
            "columns_unpacked",
            lambda qkv: unpacked(qkv, qkv.shape[-1]),
            "You make pieces of as many rows as there are columns, and that need not give three: a bias has no "
            "columns, and heads may be wider or narrower than D / h. Count the rows, and take a third.",
        ),
        Mistake(
            "reversed",
            lambda qkv: qkv.chunk(3)[::-1],
            "The parts come out as value, key, query. The first third of the rows makes the queries.",
        ),
        Mistake(
            "key_first",
            lambda qkv: tuple(qkv.chunk(3)[i] for i in (1, 0, 2)),
            "Keys and queries have changed places. The first third of the rows makes the queries, the second the keys.",
        ),
        Mistake(
            "values_second",
            lambda qkv: tuple(qkv.chunk(3)[i] for i in (0, 2, 1)),
            "Keys and values have changed places. The order is in the name: `qkv`.",
        ),
        Mistake(
            "query_last",
            lambda qkv: tuple(qkv.chunk(3)[i] for i in (2, 0, 1)),
            "Your code takes the first third of the rows for the keys, the second for the values, the last for the "
            "queries. The order is in the name: `qkv`.",
        ),
        Mistake(
            "stack",
            lambda qkv: qkv.reshape(3, -1, *qkv.shape[1:]),
            "One tensor comes back with the three along a new axis. The numbers are right; hand them back as three: "
            "`unbind` or a tuple does it.",
        ),
        Mistake(
            "transposed",
            lambda qkv: tuple(part.T for part in qkv.chunk(3)),
            "The parts are transposed. Both libraries keep a weight as (out, in): nothing has to be turned.",
        ),
    ],
    variants=[by_slices, by_reshape],
    solved="There and back: what you split, `fuse_qkv` puts together again, to the last bit.",
)

EXERCISES = [SPLIT]
