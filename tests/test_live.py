"""What a run shows while it trains: curves in a notebook, a bar in a terminal, lines elsewhere."""

import base64
import re
from pathlib import Path

import nbformat
import pytest

from vit_course.authoring.execute import run
from vit_course.training import live
from vit_course.training.live import clock, watch
from vit_course.training.tally import History, Metrics


def history_of(*epochs, validation=True):
    history = History()
    for loss, accuracy in epochs:
        history.append(Metrics(loss, accuracy), Metrics(loss + 0.1, accuracy - 0.1) if validation else None)
    return history


def test_lines_are_rounded_and_hold_no_time(capsys):
    history = History()
    view = watch("lines", history, 12, [0, 0])
    for loss, accuracy in ((2.30258, 0.1004), (1.5, 0.5)):
        history.append(Metrics(loss, accuracy), Metrics(loss, accuracy))
        view.step(len(history), 1)
        view.epoch()
    view.close()
    assert capsys.readouterr().out == (
        "epoch  1/12: train loss 2.30, accuracy 10.0 % · validation loss 2.30, accuracy 10.0 %\n"
        "epoch  2/12: train loss 1.50, accuracy 50.0 % · validation loss 1.50, accuracy 50.0 %\n"
    )
    assert history_of((1.0, 0.5), validation=False).line(1) == "train loss 1.00, accuracy 50.0 %"


def test_none_says_nothing(capsys):
    view = watch("none", history_of((1.0, 0.5)), 1, [0])
    view.step(1, 1)
    view.epoch()
    view.close()
    assert capsys.readouterr() == ("", "")


def test_a_bar_counts_all_batches_and_tells_the_time_left(capsys):
    history = History()
    view = watch("bar", history, 2, [0, 0, 0])
    view.bar.mininterval = 0
    for epoch in (1, 2):
        for batch in (1, 2, 3):
            view.step(epoch, batch)
        history.append(Metrics(1.0, 0.5))
        view.epoch()
    assert view.bar.n == view.bar.total == 6
    view.close()
    printed = capsys.readouterr()
    assert re.search(r"3/6 \[\d\d:\d\d<\d\d:\d\d", printed.err)
    assert "epoch 2/2: train loss 1.00, accuracy 50.0 %" in printed.out


def test_a_bar_of_unknown_length_and_of_a_resumed_run(capsys):
    view = watch("bar", History(), 2, iter([]))
    view.step(1, 1)
    view.step(1, 2)
    assert view.bar.n == 2 and view.bar.total is None
    view.close()
    view = watch("bar", history_of((1.0, 0.5)), 2, [0, 0, 0])
    view.step(2, 3)
    assert view.bar.n == 6
    view.close()


class Shell:
    kernel = object()


def test_the_view_suits_the_place(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("VIT_COURSE_LIVE", raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert live._suitable() == "bar"
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    assert live._suitable() == "lines"
    monkeypatch.setattr("IPython.get_ipython", Shell)
    assert live._suitable() == "curves"
    monkeypatch.setenv("CI", "true")
    assert live._suitable() == "lines"
    monkeypatch.setenv("VIT_COURSE_LIVE", "none")
    assert type(watch(None, History(), 1, [])) is live.Nothing
    assert type(watch("lines", History(), 1, [])) is live.Lines
    with pytest.raises(ValueError, match="live is 'plot': give one of curves, bar, lines, none"):
        watch("plot", History(), 1, [])


class Handle:
    def __init__(self):
        self.titles = []

    def update(self, figure):
        self.titles.append(figure.get_suptitle())


def test_curves_show_the_history_and_the_time_left(monkeypatch):
    handle, shown, now = Handle(), [], [0.0]
    monkeypatch.setattr("IPython.display.display", lambda figure, display_id: shown.append(figure) or handle)
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    history = History()
    view = watch("curves", history, 3, [0] * 10)
    assert len(shown) == 1 and len(shown[0].axes) == 2, "the axes must stand before the first display"
    for batch in range(1, 11):
        view.step(1, batch)
        now[0] += 1.0
    assert handle.titles == [
        "epoch 1 of 3, batch 4 of 10, 0:26 left",
        "epoch 1 of 3, batch 7 of 10, 0:23 left",
        "epoch 1 of 3, batch 10 of 10, 0:20 left",
    ]
    history.append(Metrics(2.0, 0.3), Metrics(1.5, 0.4))
    view.epoch()
    history.append(Metrics(float("inf"), 0.5), Metrics(1.0, 0.35))
    view.epoch()  # at once: not drawn
    assert handle.titles[3:] == ["epoch 1 of 3"]
    view.close()
    assert handle.titles[-1] == "2 of 3 epochs; best: epoch 1, validation accuracy 40.0 %"
    assert view.curves["val_accuracy"].get_ydata() == [0.4, 0.35] and list(view.curves["val_loss"].get_xdata()) == [
        1,
        2,
    ]
    assert view.curves["train_loss"].axes.get_ylim() == (0, 1.05 * 2.0)
    assert clock(3723.9) == "62:03"


def test_a_notebook_gets_one_figure_drawn_anew_and_no_second_one():
    source = """
import sys, time, torch
sys.path.insert(0, '..')
from vit_course.training.loop import fit
torch.manual_seed(0)
batches = [(torch.randn(8, 1, 4, 4), torch.arange(8) % 2)] * 4
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
history = fit(model, batches, batches, epochs=3, live=LIVE)
"""
    cells = [nbformat.v4.new_code_cell(source.replace("LIVE", choice)) for choice in ("'curves'", "'lines'")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    run(notebook, Path(__file__).parent, seconds=100)
    (figure,) = notebook.cells[0].outputs
    assert figure.output_type == "display_data" and figure.data["text/plain"] == "<Figure size 900x320 with 2 Axes>"
    assert len(base64.b64decode(figure.data["image/png"])) < 60_000
    assert {output.name for output in notebook.cells[1].outputs} == {"stdout"}
    text = "".join(output.text for output in notebook.cells[1].outputs)
    assert text.count("\n") == 3 and text.startswith("epoch 1/3: train loss")
