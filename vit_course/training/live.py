"""Training as it happens: curves in a notebook, a bar in a terminal, a line an epoch where nobody watches."""

import math
import os
import sys
import time
from collections.abc import Callable, Iterable

from vit_course.training.tally import History

BLUE, ORANGE = "#0072B2", "#D55E00"  # of Okabe and Ito's colours, which colour-blind people tell apart


class Lines:
    """One line an epoch, without times, so that the same run prints the same. Also what the other views are made of.

    Args:
        history: the run's own; read, never written.
        epochs: in all.
        batches: in an epoch, or None where that is not known.
        write: takes a line.
    """

    def __init__(
        self, history: History, epochs: int, batches: int | None, write: Callable[[str], object] = print
    ) -> None:
        self.history, self.epochs, self.batches, self.write = history, epochs, batches, write

    def step(self, epoch: int, batch: int) -> None:
        """A batch is done: the `batch`-th of epoch `epoch`, both counted from 1."""

    def epoch(self) -> None:
        """An epoch is done and in the history."""
        epoch = len(self.history)
        self.write(f"epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}: {self.history.line(epoch)}")

    def close(self) -> None:
        """Training is over, however it ended."""


class Nothing(Lines):
    """No output at all."""

    def epoch(self) -> None:
        """Says nothing."""


class Bar(Lines):
    """A tqdm bar over all epochs with the time left, on stderr, and the epochs' lines above it."""

    def __init__(self, history: History, epochs: int, batches: int | None) -> None:
        from tqdm import tqdm

        super().__init__(history, epochs, batches, write=tqdm.write)
        total = None if batches is None else epochs * batches
        done = len(history) * (batches or 0)
        self.bar = tqdm(total=total, initial=done, unit="batch", dynamic_ncols=True, leave=False)

    def step(self, epoch: int, batch: int) -> None:
        self.bar.update((epoch - 1) * self.batches + batch - self.bar.n if self.batches else 1)

    def close(self) -> None:
        self.bar.close()


class Curves(Lines):
    """Loss and accuracy as one figure in a notebook, redrawn in place; its title says how far and how long yet.

    Args:
        seconds: at least so long between two drawings within an epoch; one takes about a tenth of a second.
    """

    def __init__(self, history: History, epochs: int, batches: int | None, seconds: float = 2.0) -> None:
        import matplotlib.pyplot as plt
        from IPython.display import display

        super().__init__(history, epochs, batches)
        self.seconds, self.started, self.drawn = seconds, time.monotonic(), time.monotonic()
        self.first_step: int | None = None
        self.figure, (loss, accuracy) = plt.subplots(1, 2, figsize=(9, 3.2))
        plt.close(self.figure)  # else the notebook shows it once more when the cell ends
        self.curves = {}
        for axes, quantity in ((loss, "loss"), (accuracy, "accuracy")):
            for data, label, colour in (("train", "training", BLUE), ("val", "validation", ORANGE)):
                (self.curves[f"{data}_{quantity}"],) = axes.plot([], [], "o-", markersize=4, color=colour, label=label)
            axes.set(xlabel="epoch", title=quantity, xlim=(0.5, max(epochs, 2) + 0.5))
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
        loss.set_ylim(bottom=0)
        accuracy.set_ylim(0, 1)
        accuracy.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        accuracy.legend(loc="lower right")
        self._draw_lines()
        self._title(f"epoch 1 of {epochs}")
        self.figure.tight_layout()
        self.handle = display(self.figure, display_id=True)

    def step(self, epoch: int, batch: int) -> None:
        done = (epoch - 1) * (self.batches or 0) + batch
        if self.first_step is None:
            self.first_step, self.started = done, time.monotonic()  # the first batch warms up: not counted
        if time.monotonic() - self.drawn > self.seconds:
            text = f"epoch {epoch} of {self.epochs}, batch {batch}"
            if self.batches and done > self.first_step:
                rate = (time.monotonic() - self.started) / (done - self.first_step)
                text += f" of {self.batches}, {clock(rate * (self.epochs * self.batches - done))} left"
            self._show(text)

    def epoch(self) -> None:
        self._draw_lines()
        if time.monotonic() - self.drawn > min(self.seconds, 0.5):  # short epochs are not all drawn
            self._show(f"epoch {len(self.history)} of {self.epochs}")

    def close(self) -> None:
        self._draw_lines()
        best = self.history.best_epoch
        text = f"{len(self.history)} of {self.epochs} epochs"
        if self.history.val_accuracy:
            text += f"; best: epoch {best}, validation accuracy {100 * self.history.val_accuracy[best - 1]:.1f} %"
        self._show(text)

    def _draw_lines(self) -> None:
        for name, curve in self.curves.items():
            values = getattr(self.history, name)
            curve.set_data(range(1, len(values) + 1), values)
        loss = self.curves["train_loss"].axes
        highest = max((v for v in self.history.train_loss + self.history.val_loss if math.isfinite(v)), default=1.0)
        loss.set_ylim(0, 1.05 * highest or 1.0)

    def _title(self, text: str) -> None:
        self.figure.suptitle(text, fontsize="medium")

    def _show(self, text: str) -> None:
        self._title(text)
        self.handle.update(self.figure)
        self.drawn = time.monotonic()


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds: 83.2 -> "1:23"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


VIEWS = {"curves": Curves, "bar": Bar, "lines": Lines, "none": Nothing}


def watch(kind: str | None, history: History, epochs: int, batches: Iterable) -> Lines:
    """A view of a run: "curves", "bar", "lines", "none", or None for what suits the place.

    That is the environment variable `VIT_COURSE_LIVE` where it is set, curves in a notebook, a bar in a terminal, and
    lines elsewhere: in a file, in CI (where `CI` is set), wherever outputs are compared.

    Raises:
        ValueError: another kind.
    """
    kind = kind or os.environ.get("VIT_COURSE_LIVE") or _suitable()
    if kind not in VIEWS:
        raise ValueError(f"live is {kind!r}: give one of {', '.join(VIEWS)}")
    return VIEWS[kind](history, epochs, len(batches) if hasattr(batches, "__len__") else None)


def _suitable() -> str:
    if os.environ.get("CI"):
        return "lines"
    ipython = sys.modules.get("IPython")  # loaded already wherever a notebook runs
    shell = ipython.get_ipython() if ipython else None
    if hasattr(shell, "kernel"):
        return "curves"
    return "bar" if sys.stderr.isatty() else "lines"
