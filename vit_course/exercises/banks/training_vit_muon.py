"""Notebook 13, third part: Muon's orthogonalised update."""

from collections.abc import Callable

import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake, Tolerance

A, B, C = 3.4445, -4.7750, 2.0315


def orthogonalise(matrix: Tensor, steps: int) -> Tensor:
    """Divide by the Frobenius norm, then `steps` times X -> aX + b(XXᵀ)X + c(XXᵀ)²X."""
    x = matrix / matrix.norm()
    for _ in range(steps):
        s = x @ x.T  # (rows, rows)
        x = A * x + (B * s + C * s @ s) @ x
    return x


def matrices() -> list[tuple]:
    """Wide, tall, square; large and small; several numbers of steps."""
    return [(torch.randn(2, 4), 1), (100 * torch.randn(6, 3), 5), (1e-3 * torch.randn(4, 4), 3)]


def iterated(
    update: Callable = lambda x, s: A * x + (B * s + C * s @ s) @ x,
    first: Callable = lambda m: m / m.norm(),
    square: Callable = lambda x: x @ x.T,
    count: Callable = lambda steps: steps,
) -> Callable:
    """`orthogonalise` with one part done otherwise."""

    def answer(matrix, steps):
        x = first(matrix)
        for _ in range(count(steps)):
            x = update(x, square(x))
        return x

    return answer


def one_after_the_other(x: Tensor, s: Tensor) -> Tensor:
    x = A * x
    x = x + B * s @ x
    return x + C * s @ s @ x


def exact(matrix: Tensor, steps: int) -> Tensor:
    u, _, vt = torch.linalg.svd(matrix, full_matrices=False)
    return u @ vt


def left_lying(matrix: Tensor, steps: int) -> Tensor:
    return orthogonalise(matrix.T if matrix.shape[0] > matrix.shape[1] else matrix, steps)


def lying_down(matrix: Tensor, steps: int) -> Tensor:
    """Right: a tall matrix is turned, so that the products are small, and turned back."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = orthogonalise(matrix.T if tall else matrix, steps)
    return x.T if tall else x


def by_values(matrix: Tensor, steps: int) -> Tensor:
    """Right: the polynomial of the singular values alone."""
    u, values, vt = torch.linalg.svd(matrix / matrix.square().sum().sqrt(), full_matrices=False)
    for _ in range(steps):
        values = A * values + B * values**3 + C * values**5
    return u * values @ vt


def from_the_right(matrix: Tensor, steps: int) -> Tensor:
    """Right: X(XᵀX) is (XXᵀ)X."""
    x = matrix / torch.linalg.matrix_norm(matrix)
    for _ in range(steps):
        s = torch.einsum("ri,rj->ij", x, x)
        x = A * x + B * (x @ s) + C * (x @ s @ s)
    return x


ORTHOGONALISE = Exercise(
    name="orthogonalise",
    notebook="13",
    title="The update that Muon takes",
    reference=orthogonalise,
    probes=matrices,
    result="update",
    axes={"matrix": "rows columns", "update": "rows columns"},
    tolerance=Tolerance(rtol=2e-3, atol=2e-4),
    hints=[
        "Two parts: once, before the loop, make sure that no singular value is above 1. Then the loop.",
        "Divide by the Frobenius norm, `matrix.norm()`: the root of the sum of all squares. It is at least as large "
        "as the largest singular value.",
        "In the loop: `s = x @ x.T`. Then X³ is `s @ x`, and X⁵ is `s @ s @ x`: matrix products, no powers of entries.",
    ],
    mistakes=[
        Mistake(
            "not_normalised",
            iterated(first=lambda m: m),
            "Nothing is divided before the loop. The polynomial works for singular values from 0 to 1 only; above it, "
            "the fifth power takes over, and after a few steps you have inf or nan. Gradients come in every size.",
        ),
        Mistake(
            "by_the_square",
            iterated(first=lambda m: m / m.square().sum()),
            "You divide by the sum of the squares and not by its root. A matrix of large numbers becomes tiny, one of "
            "small numbers large, above 1 even: the division should make them all alike.",
        ),
        Mistake(
            "by_largest_entry",
            iterated(first=lambda m: m / m.abs().max()),
            "You divide by the largest *entry*. A singular value can be much larger than that: a matrix of ones has "
            "entries 1, and √(rows · columns) as its singular value. The norm of the whole matrix is safe.",
        ),
        Mistake(
            "by_singular_value",
            iterated(first=lambda m: m / torch.linalg.matrix_norm(m, 2)),
            "You divide by the largest singular value. That is as good, even better, but it needs the very "
            "decomposition that Newton–Schulz avoids. The Frobenius norm costs nothing, and five steps make up for it.",
        ),
        Mistake(
            "row_by_row",
            iterated(first=lambda m: m / m.norm(dim=1, keepdim=True)),
            "You normalise each row by itself. That changes the matrix's directions, and singular values may still "
            "be above 1. One number for the whole matrix.",
        ),
        Mistake(
            "each_round",
            lambda m, steps: (
                iterated(lambda x, s: A * x + (B * s + C * s @ s) @ x, lambda m: m)(m / m.norm(), 1)
                if steps == 1
                else iterated(
                    update=lambda x, _: (lambda y: A * y + (B * y @ y.T + C * y @ y.T @ y @ y.T) @ y)(x / x.norm())
                )(m, steps)
            ),
            "You divide by the norm in every round. That pushes all singular values down again, by the root of their "
            "number, so they never come near 1. Once, before the loop.",
        ),
        Mistake(
            "entry_by_entry",
            iterated(update=lambda x, s: A * x + B * x**3 + C * x**5),
            "`x**3` takes the third power of each *entry*. What is wanted is XXᵀX, a product of matrices: it is this "
            "that takes the third power of each singular value.",
        ),
        Mistake(
            "no_fifth_power",
            iterated(update=lambda x, s: A * x + B * s @ x),
            "The term with c is missing. Without it the polynomial overshoots: singular values are thrown far below 0 "
            "and grow from there.",
        ),
        Mistake(
            "not_squared",
            iterated(update=lambda x, s: A * x + (B * s + C * s) @ x),
            "Your last term is c·XXᵀX, a third power once more. The fifth needs the square of `s`: `s @ s`.",
        ),
        Mistake(
            "square_of_entries",
            iterated(update=lambda x, s: A * x + (B * s + C * s**2) @ x),
            "`s**2` squares each *entry* of s. The fifth power needs the product of matrices, `s @ s`.",
        ),
        Mistake(
            "one_after_the_other",
            iterated(update=one_after_the_other),
            "x changes in the middle of a round: the second term works on what the first has left, the third on both. "
            "All three terms belong to the *same* x. Add them up, and put the sum into x at the end of the round.",
        ),
        Mistake(
            "exchanged",
            iterated(update=lambda x, s: C * x + (B * s + A * s @ s) @ x),
            "a and c have changed places. a belongs to X: it is the slope at 0, and says how fast small singular "
            "values grow.",
        ),
        Mistake(
            "sign_of_b",
            iterated(update=lambda x, s: A * x + (-B * s + C * s @ s) @ x),
            "b is negative already. With another minus all three terms push upwards, and the values explode.",
        ),
        Mistake(
            "wrong_side",
            iterated(square=lambda x: x.T @ x),
            "Products of matrices have an order. XᵀX is (columns, columns): it may stand to the right of X, not to its "
            "left. To the left belongs XXᵀ, (rows, rows). For a square matrix nothing complains, and it is wrong.",
        ),
        Mistake(
            "square_outside",
            lambda m, steps: iterated(
                update=lambda x, _: A * x + (lambda s: B * s + C * s @ s)((m / m.norm()) @ (m / m.norm()).T) @ x
            )(m, steps),
            "`s` is computed once, before the loop, so every round uses the square of the *first* x. It has to be "
            "made anew in each.",
        ),
        Mistake(
            "column_by_column",
            iterated(first=lambda m: m / m.norm(dim=0)),
            "`norm(dim=0)` is one number a column, so each column is scaled for itself. One number for the whole "
            "matrix: the norm without `dim`.",
        ),
        Mistake(
            "once",
            iterated(count=lambda steps: 1),
            "Only one round is made: small singular values are still small. Each round multiplies them by about 3.4; "
            "`steps` says how many.",
        ),
        Mistake(
            "one_too_many",
            iterated(count=lambda steps: steps + 1),
            "You make one round more than `steps`.",
        ),
        Mistake(
            "exact",
            exact,
            "That is the exact answer, UVᵀ from the decomposition: all singular values are 1. It is what Muon wants to "
            "be near. But a decomposition of every matrix at every step is slow, slower still on a GPU. Use the "
            "polynomial, which needs products alone.",
        ),
        Mistake(
            "left_lying",
            left_lying,
            "A tall matrix may be turned on its side, to make the products small. You did not turn it back.",
        ),
    ],
    variants=[lying_down, by_values, from_the_right],
    solved="Five rounds of products, and every direction that the gradient shows is about equally long.",
)

EXERCISES = [ORTHOGONALISE]
