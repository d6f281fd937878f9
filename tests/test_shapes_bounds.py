"""The bounds that make Shapes teach honestly, on two cores; `python tests/measure_shapes.py` prints the numbers.

Slow: minutes. The times are the fastest of three runs, so that other work on the machine may disturb some of them; the
ViT's assumes a CPU with bf16 instructions.
"""

from statistics import mean

import pytest
from measure_shapes import Result, measure, shapes

SEEDS = (0, 1, 2)
pytestmark = pytest.mark.slow


def results(name: str) -> list[Result]:
    dataset = shapes()
    return [measure(name, seed, dataset) for seed in SEEDS]


def test_a_linear_model_is_not_enough():
    accuracy = mean(result.test for result in results("linear"))
    assert 15 <= accuracy <= 45, accuracy  # above chance, too: it did learn


def test_tinyvgg_learns_it_in_half_a_minute():
    runs = results("tinyvgg")
    assert mean(run.test for run in runs) >= 85, runs
    assert min(run.seconds for run in runs) <= 30, runs


def test_a_plain_vit_learns_it_in_75_seconds():
    runs = results("vit")
    assert mean(run.test for run in runs) >= 70, runs
    assert min(run.seconds for run in runs) <= 75, runs


def test_on_few_images_a_vit_overfits_and_augmentation_helps():
    plain, augmented = results("small"), results("small+augment")
    assert mean(run.train - run.test for run in plain) >= 20, plain
    assert mean(run.test for run in augmented) - mean(run.test for run in plain) >= 5, (plain, augmented)
    # equal time: the steps are the same, and augmenting costs next to nothing
    assert min(run.seconds for run in augmented) <= 1.2 * min(run.seconds for run in plain), (plain, augmented)
