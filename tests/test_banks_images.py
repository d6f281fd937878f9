"""Wrong answers to the exercises of notebooks 00 and 01, written in other words than the banks' own mistakes."""

import numpy as np
import pytest
import torch

from vit_course.exercises.core import examine, registry


def flip_where(heads, images):
    """Images (B, C, H, W), mirrored where `heads` (B) says so."""
    return torch.where(torch.as_tensor(heads)[:, None, None, None], images.flip(-1), images)


def every_fifth(labels, held_out):
    step = round(1 / held_out)
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        held[(labels == label).nonzero().flatten()[step // 2 :: step]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()


def returned_within_the_loop(labels, held_out):
    for label in labels.unique():
        places = (labels == label).nonzero().flatten()
        places = places[torch.randperm(len(places))]
        count = int(held_out * len(places))
        return places[count:], places[:count]


def half_the_share(labels, held_out):
    return registry()["stratified_split"].reference(labels, held_out / 2)


def rest_and_flipped(images):
    heads = np.random.rand(len(images)) < 0.5
    return torch.cat([images[~heads], images[heads].flip(-1)])


def by_row(images):
    return torch.where(torch.rand(images.shape[2], 1) < 0.5, images.flip(-1), images)


def columns(images):
    return torch.where(torch.tensor(np.random.rand(images.shape[3]) < 0.5), images.flip(-1), images)


def noisy(images):
    coins = torch.rand_like(images)
    return coins * images.flip(-1) + (1 - coins) * images


def normalised_squared(images, mean, std):
    return torch.stack([(images[:, c] / 255 - mean[c]) / std[c] ** 2 for c in range(3)], dim=1)


CASES = {
    "sorted": ("mirror", lambda image: image.sort(dim=2, descending=True).values, None, "the values are not"),
    "view with a 3": ("channels_first", lambda x: x.reshape(-1, 3, *x.shape[1:3]), "reshape_to_three", "scrambled"),
    "joined": ("channels_first", lambda x: torch.cat([i.permute(2, 0, 1) for i in x]), None, "N and C are merged"),
    "last": ("normalise", lambda x, m, s: (x.movedim(1, 3) / 255 - m) / s, None, "another order, (B, H, W, C)"),
    "loop to 3": ("normalise", normalised_squared, "variance", "IndexError"),
    "no random number": ("stratified_split", every_fifth, "reseeded", "either nothing is random"),
    "return in the loop": ("stratified_split", returned_within_the_loop, "last_class_only", "Only one class"),
    "too few": ("stratified_split", half_the_share, None, "should be so, but is not: validation has its share"),
    "every second": ("random_flip", lambda x: flip_where(np.arange(len(x)) % 2 == 0, x), "reseeded", "every call"),
    "NumPy's seed": (
        "random_flip",
        lambda x: flip_where(np.random.RandomState(0).rand(len(x)) < 0.5, x),
        "reseeded",
        "the seed is set inside",
    ),
    "too often": ("random_flip", lambda x: flip_where(np.random.rand(len(x)) < 0.9, x), None, "%, expected about half"),
    "divided": ("random_flip", lambda x: x.flip(-1) / 255, "scaled", "divided"),
    "noise": ("random_flip", noisy, None, "Images come back: with other values, expected as they were or mirrored."),
    "rolled": ("random_flip", lambda x: x.roll(1, -1), None, "with their pixels in other places"),
    "by row": ("random_flip", by_row, "each_pixel", "different coins"),
    "columns": ("random_flip", columns, "coins_for_columns", "*column*"),
    "in two groups": ("random_flip", rest_and_flipped, "other_order", "another order"),
}


@pytest.mark.parametrize(("name", "answer", "mistake", "message"), CASES.values(), ids=CASES.keys())
def test_what_is_said_is_true_of_the_answer(name, answer, mistake, message):
    report = examine(name, answer)
    assert report.status == "wrong" and report.mistake == mistake, report
    assert message.lower() in report.message.lower()
