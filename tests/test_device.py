"""Devices and seeds."""

import random

import numpy as np
import pytest
import torch

from vit_course.device import best_device, by_device, seed_everything


def test_tests_run_on_the_cpu():
    assert best_device() == torch.device("cpu")
    assert by_device(cpu=3, gpu=30) == 3


def test_by_device_follows_the_best_device(monkeypatch):
    monkeypatch.delenv("VIT_COURSE_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert by_device(cpu=3, gpu=30) == 30
    monkeypatch.setenv("VIT_COURSE_DEVICE", "cpu")
    assert by_device(cpu=3, gpu=30) == 3


def test_a_device_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device 'cuda:1' is not on this machine: use one of cpu"):
        best_device("cuda:1")
    with pytest.raises(ValueError, match="'gpu' is not the name of a device: use one of cpu"):
        best_device("gpu")


def test_a_second_gpu_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert best_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(ValueError, match="device 'cuda:1' is not on this machine"):
        best_device("cuda:1")


def test_seed_everything_repeats_all_three_generators():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    seed_everything(3)
    first = draw()
    assert draw() != first
    seed_everything(3)
    assert draw() == first
