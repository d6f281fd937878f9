"""Pictures of the numbers in `metrics`: which classes are confused, and whether confidence can be trusted."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from vit_course.interpret.metrics import Reliability
from vit_course.interpret.plots import COLORS


def plot_confusion(matrix: Tensor, classes: Sequence[str], *, title: str = "") -> Figure:
    """A confusion matrix as shares of each true class (row), in percent; what is right lies on the diagonal.

    Only the mistakes are coloured, each by its share, since the diagonal would outshine them.

    Args:
        matrix: int64 (C, C) of `confusion_matrix`.

    Raises:
        ValueError: not one name a class.
    """
    if len(classes) != len(matrix):
        raise ValueError(f"{len(classes)} names for {len(matrix)} classes: give one a class")
    shares = 100 * matrix.double() / matrix.sum(dim=1, keepdim=True).clamp(min=1)  # (C, C)
    shares = shares.numpy()
    side = 0.48 * len(classes) + 1.4
    figure, ax = plt.subplots(figsize=(side, side), layout="constrained")
    mistakes = np.where(np.eye(len(shares), dtype=bool), np.nan, shares)
    top = max(float(np.nanmax(mistakes, initial=0)), 1.0)
    ax.imshow(mistakes, cmap="viridis", vmin=0, vmax=top)
    for (row, column), share in np.ndenumerate(shares):
        if share > 0.5:  # what rounds to 0 is left out
            light = row != column and share < 0.6 * top
            ax.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=9, color="w" if light else "k")
    ax.set_xticks(range(len(classes)), classes, rotation=60, ha="right")
    ax.set_yticks(range(len(classes)), classes)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="predicted", ylabel="true", title=title or "Mistakes in percent of each true class")
    return figure


def plot_reliability(found: Reliability, *, title: str = "") -> Figure:
    """Accuracy over confidence, a dot a bin, larger with more images; on the dashed line the two agree.

    Args:
        found: of `reliability`.
    """
    figure, ax = plt.subplots(figsize=(4.2, 4.2), layout="constrained")
    ax.plot([0, 1], [0, 1], "--", color="#888888", linewidth=1.5, label="calibrated")
    count = found.count.numpy()
    confidence, accuracy = found.confidence.numpy(), found.accuracy.numpy()
    ax.vlines(confidence, confidence, accuracy, color=COLORS["vermilion"], linewidth=1.5)
    ax.scatter(confidence, accuracy, s=15 + 250 * count / count.max(), color=COLORS["blue"], zorder=3, label="images")
    ax.set(xlim=(0, 1.03), ylim=(0, 1.03), xlabel="confidence", ylabel="accuracy", aspect="equal")
    ax.set_title(title or "Below the line: surer than right")
    ax.legend(loc="upper left")
    return figure
