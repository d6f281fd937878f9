"""The numbers of evaluation against scikit-learn, torchmetrics and SciPy, and against cases worked by hand."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as reference
from torch import nn
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_calibration_error

from vit_course.data.batches import Batches
from vit_course.data.dataset import Split
from vit_course.interpret import metric_plots, metrics


@pytest.fixture
def answers():
    """Logits of 500 images in 7 classes that are right about half the time, and never class 6."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(6, (500,), generator=generator)
    logits = 2 * torch.randn(500, 7, generator=generator) + 3 * nn.functional.one_hot(labels, 7)
    logits[:, 6] = -20
    return metrics.Predictions(logits, labels)


def test_the_confusion_matrix_is_scikit_learns(answers):
    matrix = metrics.confusion_matrix(answers.labels, answers.classes, 7)
    assert matrix.tolist() == reference.confusion_matrix(answers.labels, answers.classes, labels=range(7)).tolist()
    assert matrix[2, 4] == ((answers.labels == 2) & (answers.classes == 4)).sum()  # rows are true


def test_per_class_is_scikit_learns(answers):
    matrix = metrics.confusion_matrix(answers.labels, answers.classes, 7)
    expected = reference.precision_recall_fscore_support(
        answers.labels, answers.classes, labels=range(7), zero_division=np.nan
    )
    for ours, theirs in zip(metrics.per_class(matrix)[:2], expected[:2], strict=True):
        np.testing.assert_allclose(ours, theirs)
    np.testing.assert_allclose(metrics.per_class(matrix).f1[:6], expected[2][:6])


@pytest.mark.parametrize("k", [1, 2, 5, 7])
def test_top_k_is_torchmetrics(answers, k):
    expected = multiclass_accuracy(answers.logits, answers.labels, 7, average="micro", top_k=k)
    assert metrics.top_k_accuracy(answers.logits, answers.labels, k) == pytest.approx(expected.item())


@pytest.mark.parametrize("bins", [4, 15])
def test_calibration_error_is_torchmetrics(answers, bins):
    probabilities = answers.probabilities
    expected = multiclass_calibration_error(probabilities, answers.labels, 7, n_bins=bins, norm="l1").item()
    assert metrics.expected_calibration_error(probabilities, answers.labels, bins) == pytest.approx(expected, abs=1e-5)
    assert expected > 0.02


def test_reliability_by_hand():
    probabilities = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8], [0.75, 0.25]])
    found = metrics.reliability(probabilities, torch.tensor([0, 0, 0, 1]), bins=4)
    assert found.count.tolist() == [0, 0, 2, 2]  # 0.75 is the upper end of the third bin
    np.testing.assert_allclose(found.confidence[2:], [0.675, 0.85], rtol=1e-6)
    np.testing.assert_allclose(found.accuracy[2:], [0.5, 0.5])
    assert found.accuracy[:2].isnan().all()
    error = metrics.expected_calibration_error(probabilities, torch.tensor([0, 0, 0, 1]), bins=4)
    assert error == pytest.approx((0.175 + 0.35) / 2)


@pytest.mark.parametrize(("correct", "total"), [(0, 5), (5, 5), (1, 1), (47, 60), (9_312, 10_000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_is_scipys(correct, total, confidence):
    expected = stats.binomtest(correct, total).proportion_ci(confidence, method="wilson")
    assert metrics.wilson_interval(correct, total, confidence) == pytest.approx(tuple(expected))


def test_bootstrap_is_scipys():
    values = torch.rand(300, generator=torch.Generator().manual_seed(2)) ** 2
    expected = stats.bootstrap((values.numpy(),), np.mean, method="percentile", rng=3, n_resamples=4_000)
    found = metrics.bootstrap_interval(values, rounds=4_000)
    np.testing.assert_allclose(found, tuple(expected.confidence_interval), atol=0.004)
    assert found == metrics.bootstrap_interval(values, rounds=4_000)
    narrow = metrics.bootstrap_interval(values, confidence=0.5)
    assert found[0] < narrow[0] < values.mean() < narrow[1] < found[1]


def test_bootstrap_of_another_statistic_and_of_bools():
    low, high = metrics.bootstrap_interval(torch.tensor([True] * 90 + [False] * 10))
    assert 0.8 < low < 0.88 and 0.92 < high < 1
    pairs = torch.stack([torch.arange(50.0), torch.arange(50.0)], dim=1)
    assert metrics.bootstrap_interval(pairs, lambda p: (p[:, 0] - p[:, 1]).abs().max()) == (0, 0)  # rows stay together


@pytest.mark.parametrize(("a", "b"), [(0, 0), (3, 9), (12, 12), (40, 70), (900, 1_000)])
def test_mcnemar_is_the_exact_binomial_test(a, b):
    correct_a = torch.tensor([True] * a + [False] * b + [True] * 30 + [False] * 5)
    correct_b = torch.tensor([False] * a + [True] * b + [True] * 30 + [False] * 5)
    expected = stats.binomtest(a, a + b).pvalue if a + b else 1.0
    assert metrics.mcnemar(correct_a, correct_b) == pytest.approx(expected)
    assert metrics.mcnemar(correct_b, correct_a) == pytest.approx(expected)


def test_predict_keeps_the_order_and_switches_dropout_off():
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 1, 2, 2).contiguous()
    split = Split(images, torch.arange(10), (0.0,), (1 / 255,))
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(4, 10, bias=False)).train()
    nn.init.ones_(model[2].weight)
    found = metrics.predict(model, Batches(split, batch_size=4))
    assert not model.training and not found.logits.requires_grad
    np.testing.assert_allclose(found.logits[:, 0], 4 * np.arange(10), rtol=1e-5)
    assert found.labels.tolist() == list(range(10))
    assert found.probabilities.sum() == pytest.approx(10, rel=1e-5)
    assert found.correct.tolist() == [True] + [False] * 9


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.confusion_matrix(torch.tensor([0, 3]), torch.tensor([0, 1]), 3), "labels lie in 0…3"),
        (lambda: metrics.confusion_matrix(torch.tensor([0]), torch.tensor([-1]), 3), "predictions lie in -1"),
        (lambda: metrics.confusion_matrix(torch.zeros(2), torch.zeros(3), 3), r"\(2,\) and predictions \(3,\)"),
        (lambda: metrics.top_k_accuracy(torch.rand(4, 3), torch.zeros(4), 5), "k is 5: give 1 to 3"),
        (lambda: metrics.reliability(torch.rand(4, 3), torch.zeros(4)), "logits.softmax"),
        (lambda: metrics.wilson_interval(3, 2), "3 correct of 2"),
        (lambda: metrics.wilson_interval(0, 0), "at least 1 image"),
        (lambda: metrics.bootstrap_interval(torch.empty(0)), "no values"),
        (lambda: metrics.mcnemar(torch.ones(2) > 0, torch.ones(3) > 0), "the same images"),
        (lambda: metrics.predict(nn.Linear(1, 1), []), "no batch"),
        (lambda: metrics.predict(nn.Linear(1, 1), [(torch.rand(2, 1), torch.rand(2, 3))]), "without MixUp"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_confusion_plot_shows_shares_of_the_true_class():
    matrix = torch.tensor([[8, 2, 0], [0, 0, 0], [1, 0, 3]])
    figure = metric_plots.plot_confusion(matrix, ["a", "b", "c"])
    ax = figure.axes[0]
    texts = {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in ax.texts}
    assert texts == {(0, 0): "80", (0, 1): "20", (2, 0): "25", (2, 2): "75"}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert np.isnan(np.ma.filled(ax.images[0].get_array(), np.nan)).sum() == 3  # the diagonal is left white
    with pytest.raises(ValueError, match="2 names for 3 classes"):
        metric_plots.plot_confusion(matrix, ["a", "b"])
    plt.close("all")


def test_the_confusion_plot_writes_no_zeros():
    figure = metric_plots.plot_confusion(torch.tensor([[199, 1], [3, 197]]), ["a", "b"])  # 1 of 200 is 0.5 %
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["100", "2", "98"]
    plt.close("all")


def test_the_reliability_plot_has_a_dot_for_each_bin_with_images(answers):
    found = metrics.reliability(answers.probabilities, answers.labels, bins=10)
    ax = metric_plots.plot_reliability(found).axes[0]
    dots = ax.collections[-1].get_offsets()
    dots = dots[~np.ma.getmaskarray(dots).any(axis=1)] if np.ma.isMaskedArray(dots) else dots
    filled = found.count > 0
    np.testing.assert_allclose(dots[np.isfinite(dots).all(axis=1)][:, 1], found.accuracy[filled])
    plt.close("all")
