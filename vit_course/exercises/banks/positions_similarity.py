"""Notebook 08, fourth part: how alike positions are."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def position_similarity(positions: Tensor) -> Tensor:
    """Cosine similarity of each position with each: (N, D) -> (N, N)."""
    return alike()(positions)


def unit(positions: Tensor) -> Tensor:
    return positions / positions.norm(dim=1, keepdim=True)


def alike(left: Callable[[Tensor], Tensor] = unit, right: Callable[[Tensor], Tensor] | None = None) -> Callable:
    """`position_similarity` with other scales on one side or both."""
    return lambda positions: left(positions) @ (right or left)(positions).T


def same(positions: Tensor) -> Tensor:
    return positions


def similarity_by_loop(positions: Tensor) -> Tensor:
    return torch.stack([F.cosine_similarity(one[None], positions) for one in positions])


def similarity_by_einsum(positions: Tensor) -> Tensor:
    lengths = (positions**2).sum(1).sqrt()
    return torch.einsum("nd,md->nm", positions, positions) / torch.outer(lengths, lengths)


POSITION_SIMILARITY = Exercise(
    name="position_similarity",
    notebook="08",
    title="How alike two positions are",
    reference=position_similarity,
    probes=lambda: [(3 * torch.randn(2, 3) + 1,), (torch.randn(6, 4) + 1,), (torch.randn(5, 9),)],
    axes={"positions": "N D", "result": "N N"},
    hints=[
        "The cosine of two vectors is their dot product over both lengths. All dot products at once are one matrix "
        "product.",
        "Bring each position to length 1 first: `norm(dim=…, keepdim=True)`. Along which axis does one position lie?",
        "Check: the diagonal must be 1, since each position is as like itself as can be.",
    ],
    mistakes=[
        Mistake(
            "no_norm",
            alike(same),
            "These are dot products: a long vector seems to be like everything. Divide by both lengths; the diagonal "
            "must be 1.",
        ),
        Mistake(
            "wrong_axis",
            alike(lambda p: p / p.norm(dim=0, keepdim=True)),
            "You divided by the lengths of the columns. Each position is a row of D numbers, and it is rows that "
            "should have length 1: look at the diagonal.",
        ),
        Mistake(
            "one_length",
            alike(lambda p: p / p.norm()),
            "You divided by one length for the whole matrix. Every position has its own.",
        ),
        Mistake(
            "one_side",
            alike(unit, same),
            "Only one side is divided by its length. The cosine is symmetric: [i, j] and [j, i] must be equal.",
        ),
        Mistake(
            "squared",
            alike(lambda p: p / (p**2).sum(dim=1, keepdim=True)),
            "You divided by the squared lengths: the root is missing.",
        ),
        Mistake(
            "features",
            lambda p: F.normalize(p, dim=0).T @ F.normalize(p, dim=0),
            "You compared the D columns with each other, (D, D). The question is which *places* are alike: (N, N).",
        ),
        Mistake(
            "centred",
            torch.corrcoef,
            "You took the correlation, which first subtracts each row's mean. The cosine subtracts nothing.",
        ),
        Mistake(
            "distance",
            lambda p: torch.cdist(p, p),
            "These are distances: 0 on the diagonal, and larger for what is less alike. Asked for is the cosine, 1 on "
            "the diagonal.",
        ),
        Mistake(
            "absolute",
            lambda p: position_similarity(p).abs(),
            "The signs are gone. Vectors that point in opposite directions have the cosine -1, and that is something "
            "else than being alike.",
        ),
        Mistake(
            "softmax",
            lambda p: (p @ p.T).softmax(dim=1),
            "There is a softmax, as in attention: each row sums to 1. The cosine compares two vectors and knows "
            "nothing of the others.",
        ),
        Mistake(
            "mean_product",
            lambda p: p @ p.T / p.shape[1],
            "You divided the dot products by D, whatever the lengths of the vectors. Divide by the lengths.",
        ),
    ],
    variants=[similarity_by_loop, similarity_by_einsum, alike(lambda p: F.normalize(p, dim=-1))],
    solved="Row n, laid out as the grid, shows which places the network can hardly tell from place n.",
)

EXERCISES = [POSITION_SIMILARITY]
