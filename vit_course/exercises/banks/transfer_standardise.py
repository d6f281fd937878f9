"""Notebook 16, the probe: features on one scale, with the training images' numbers."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vit_course.exercises.core import Exercise, Mistake


def standardise_features(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Mean 0 and deviation 1 in each column of `train`; `test` by the same numbers; a constant column only shifted."""
    return scaled()(train, test)


def safe(std: Tensor) -> Tensor:
    return torch.where(std > 0, std, torch.ones_like(std))


def scaled(
    *,
    of: Callable[[Tensor, Tensor], Tensor] = lambda train, test: train,
    mean: Callable[[Tensor], Tensor] = lambda x: x.mean(dim=0),
    std: Callable[[Tensor], Tensor] = lambda x: safe(x.std(dim=0, correction=0)),
) -> Callable:
    """`standardise_features` with one thing done otherwise."""

    def answer(train, test):
        source = of(train, test)
        return (train - mean(source)) / std(source), (test - mean(source)) / std(source)

    return answer


def each_by_its_own(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Wrong: the test features by their own mean and deviation."""
    return standardise_features(train, train)[0], standardise_features(test, test)[0]


def each_image(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Wrong: over the features of each image."""
    own = [(x - x.mean(1, keepdim=True)) / safe(x.std(1, correction=0, keepdim=True)) for x in (train, test)]
    return own[0], own[1]


def train_only(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Wrong: the test features as they were."""
    return standardise_features(train, test)[0], test


def swapped(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Wrong: in the other order."""
    return standardise_features(train, test)[::-1]


def not_a_number(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Wrong: 0 / 0 is made 0 afterwards, but x / 0 becomes the largest float."""
    a, b = scaled(std=lambda x: x.std(dim=0, correction=0))(train, test)
    return a.nan_to_num(), b.nan_to_num()


def zero_where_constant(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Wrong: a constant column is wiped out, in the test as well."""
    constant = train.std(dim=0, correction=0) == 0
    a, b = standardise_features(train, test)
    return a.masked_fill(constant, 0.0), b.masked_fill(constant, 0.0)


def guarded(tiny: float, *, correction: int = 0, added: bool = False) -> Callable:
    """Wrong: `tiny` is the least deviation, or added to each."""
    if added:
        return scaled(std=lambda x: x.std(dim=0, correction=correction) + tiny)
    return scaled(std=lambda x: x.std(dim=0, correction=correction).clamp(min=tiny))


def blown_up(tiny: float) -> str:
    """What dividing by it does."""
    text = f"{tiny:.12f}".rstrip("0")
    return (
        f"A column that is constant in training is divided by a tiny number, {text} here. There, 0 / {text} looks "
        f"harmless, but a test image whose value differs by 0.5 gets {0.5 / tiny:,.0f} there. Where the deviation is "
        "0, divide by 1."
    )


TINY = (*(10.0**-digits for digits in range(2, 13)), 2.0**-23)  # the last: torch.finfo(torch.float32).eps


def by_columns(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    a, b = train.clone(), test.clone()
    for column in range(train.shape[1]):
        mean, std = train[:, column].mean(), train[:, column].std(correction=0)
        for x in (a, b):
            x[:, column] -= mean
            if std > 0:
                x[:, column] /= std
    return a, b


def by_numpy(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = train.numpy().mean(axis=0), train.numpy().std(axis=0)
    std[std == 0] = 1
    return tuple(torch.from_numpy(np.divide(x.numpy() - mean, std)) for x in (train, test))


def features() -> list[tuple]:
    """Columns of very different size; in the first probe none is constant, later one is, in training alone."""
    found = []
    for count, others, D, constant in ((4, 3, 2, False), (7, 5, 3, True), (9, 4, 5, True)):
        scale, shift = 10 ** torch.linspace(-1, 2, D), torch.linspace(-3, 8, D)
        train, test = (torch.randn(n, D) * scale + shift for n in (count, others))
        if constant:
            train[:, 1] = 2.0
        found.append((train, test + 0.5 * scale))
    return found


STANDARDISE_FEATURES = Exercise(
    name="standardise_features",
    notebook="16",
    title="Features on one scale",
    reference=standardise_features,
    probes=features,
    result=("train", "test"),
    axes={"train": "N D", "test": "M D"},
    hints=[
        "One mean and one deviation a column, so `dim=0`; from which of the two sets?",
        "`x.std(dim=0, correction=0)` is the deviation asked for.",
        "Where the deviation is 0, divide by 1 instead: `torch.where(condition, a, b)`.",
    ],
    mistakes=[
        Mistake(
            "test_by_its_own",
            each_by_its_own,
            "The test features were standardised by their own mean and deviation. So the same image gets other "
            "features in other company, and the head reads numbers on a scale it was not trained on. The test set may "
            "have one image only: then everything would be 0. Use the numbers of `train` for both.",
        ),
        Mistake(
            "of_both",
            scaled(of=lambda train, test: torch.cat([train, test])),
            "Mean and deviation were taken over training and test features together. So the test images have a say in "
            "what the probe is trained on, and your test is no longer one. Take them from `train` alone.",
        ),
        Mistake(
            "one_number",
            scaled(mean=lambda x: x.mean(), std=lambda x: x.std(correction=0)),
            "One mean and one deviation for everything: the columns keep their different sizes, and the largest goes "
            "on ruling the others. One of each for every column.",
        ),
        Mistake(
            "each_image",
            each_image,
            "You standardised each image over its own features (that is what a LayerNorm does). Columns keep their "
            "different sizes. The mean is to be taken over the images, `dim=0`.",
        ),
        Mistake(
            "one_number_sample",
            scaled(mean=lambda x: x.mean(), std=lambda x: x.std()),
            "One mean and one deviation for everything: `mean()` and `std()` without `dim` run over the whole table. "
            "The columns keep their different sizes. One of each for every column.",
        ),
        Mistake(
            "divided_by_zero",
            scaled(std=lambda x: x.std(dim=0, correction=0)),
            "One column never changes in training: its deviation is 0, and dividing by it gives NaN or infinity. Dead "
            "units are common in trained networks. Where the deviation is 0, divide by 1.",
        ),
        *(Mistake(f"tiny_{tiny:.2g}", guarded(tiny), blown_up(tiny)) for tiny in TINY),
        *(
            Mistake(
                f"added_{tiny:.2g}",
                guarded(tiny, added=True),
                f"{blown_up(tiny)} And as you add it to *every* deviation, the other columns come out too small.",
            )
            for tiny in TINY[:4]
        ),
        *(
            Mistake(
                f"under_the_root_{tiny:.2g}",
                scaled(std=lambda x, tiny=tiny: (x.var(dim=0, correction=0) + tiny).sqrt()),
                f"{blown_up(round(tiny**0.5, 5))} And as the number is added under *every* root, all columns change.",
            )
            for tiny in (1e-5, 1e-6)
        ),
        *(
            Mistake(
                f"sample_and_tiny_{tiny:.2g}",
                guarded(tiny, correction=1, added=True),
                f"`std` divides by N - 1 unless told: `correction=0` is asked for. A second thing. {blown_up(tiny)}",
            )
            for tiny in TINY
        ),
        Mistake(
            "not_a_number",
            not_a_number,
            "`nan_to_num` turns 0 / 0 into 0, which saves the training features. But a test image that differs there "
            "is divided by 0, too: infinity, which becomes the largest float there is. Where the deviation is 0, "
            "divide by 1.",
        ),
        Mistake(
            "zero_where_constant",
            zero_where_constant,
            "A column that is constant in training is 0 in your test features, whatever the test images have there. "
            "Harmless for this head, but asked was to shift it only: the difference from the training value stays.",
        ),
        Mistake(
            "constant_as_it_was",
            lambda train, test: tuple(
                torch.where(train.std(dim=0, correction=0) > 0, z, x)
                for x, z in zip((train, test), standardise_features(train, test), strict=True)
            ),
            "A column that is constant in training came back as it was. It is shifted like the others; only the "
            "division is left out.",
        ),
        Mistake(
            "variance",
            scaled(std=lambda x: safe(x.var(dim=0, correction=0))),
            "You divided by the variance. Columns of large numbers come out tiny and small ones large: the same "
            "trouble upside down. Its root, the deviation, has the columns' own unit.",
        ),
        Mistake(
            "sample",
            scaled(std=lambda x: safe(x.std(dim=0))),
            "All is right but for a small factor: `std` divides by N - 1 unless told. Here `correction=0` is "
            "asked for.",
        ),
        Mistake(
            "sample_and_zero",
            scaled(std=lambda x: x.std(dim=0)),
            "Two things. `std` divides by N - 1 unless told: `correction=0` is asked for. And a column that is "
            "constant in training has the deviation 0: there, divide by 1.",
        ),
        Mistake(
            "not_shifted",
            scaled(mean=lambda x: torch.zeros(x.shape[1])),
            "The mean was not taken off: columns that lie far from 0 still do, and weight decay on the head makes the "
            "bias work against them. Shift first, then divide.",
        ),
        Mistake(
            "only_shifted",
            scaled(std=lambda x: torch.ones(x.shape[1])),
            "The mean is taken off, but nothing was divided: the columns keep their different sizes.",
        ),
        Mistake(
            "train_only",
            train_only,
            "The test features came back as they were. The head is trained on the new scale and would be asked on the "
            "old one. The same two numbers a column, for both. (If you overwrite `train` first, its mean is 0 and its "
            "deviation 1 from then on: keep both numbers before you do.)",
        ),
        Mistake("swapped", swapped, "The two came back in the other order: first the training features."),
    ],
    variants=[by_columns, by_numpy],
    solved="The test images had no say in it, and a dead unit does no harm.",
)

EXERCISES = [STANDARDISE_FEATURES]
